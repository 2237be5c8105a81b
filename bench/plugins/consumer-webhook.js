// Has each stored event sent.
export function composeWebhook(event, { config }) {
    return { url: config.url, body: JSON.stringify({ event: event.event, distinct_id: event.distinct_id }) }
}
