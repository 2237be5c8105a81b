// Sends each stored event by itself.
export async function onEvent(event, { config }) {
    const body = JSON.stringify({ event: event.event, distinct_id: event.distinct_id })
    await fetch(config.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
}
