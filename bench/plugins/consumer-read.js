// Takes stored events, and reads some of each.
let pages = 0

export function onEvent(event) {
    if (event.properties.$current_url && event.distinct_id && event.event !== '$autocapture') pages += 1
}
