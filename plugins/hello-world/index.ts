// Greets in every event. The smallest plugin that does something: copy it to begin your own.

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Input = { config: { name?: string } }

export function processEvent(event: PluginEvent, { config }: PluginMeta<Input>): PluginEvent {
    // Some events, $identify for one, come without properties.
    if (event.properties) {
        event.properties['hello'] = `Hello ${config.name || 'world'}`
    }
    return event
}
