// Takes stored events, and does nothing with them.
export function onEvent() {}
