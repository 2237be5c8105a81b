// Captures an event once in a minute, an hour or a day, and then tells a monitor that all is well.

import type { PluginMeta, Properties } from '@posthog/plugin-scaffold'

type Input = {
    config: { event?: string; every?: string; distinctId?: string; properties?: string; pingUrl?: string }
    global: { event: string; every: string; properties: Properties; pingUrl: URL | null }
}

/** So late an answer helps no monitor, and the next beat comes in a minute. */
const PING_TIMEOUT = 10_000

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const text = (key: keyof Input['config'], otherwise = '') => (config[key] ?? '').trim() || otherwise
    global.event = text('event', 'heartbeat')
    global.every = text('every', 'minute')
    if (!['minute', 'hour', 'day'].includes(global.every)) {
        throw new Error(`every: expected minute, hour or day, found "${global.every}"`)
    }
    global.pingUrl = text('pingUrl') === '' ? null : parseUrl(text('pingUrl'))
    global.properties = parseProperties(text('properties', '{}'))
    const distinctId = text('distinctId')
    if (distinctId !== '') {
        global.properties.distinct_id = distinctId
    }
}

function parseUrl(text: string): URL {
    try {
        const url = new URL(text)
        if (/^https?:$/.test(url.protocol)) {
            return url
        }
    } catch {
        // Said below.
    }
    // Without what was found: who has the address can tell the monitor that all is well.
    throw new Error('pingUrl: expected an address that begins with https://')
}

function parseProperties(text: string): Properties {
    let value: unknown
    try {
        value = JSON.parse(text)
    } catch (error) {
        throw new Error(`properties: not valid JSON (${(error as Error).message})`)
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new Error('properties: expected a JSON object')
    }
    return value
}

export const runEveryMinute = (meta: PluginMeta<Input>) => beatIf('minute', meta)
export const runEveryHour = (meta: PluginMeta<Input>) => beatIf('hour', meta)
export const runEveryDay = (meta: PluginMeta<Input>) => beatIf('day', meta)

async function beatIf(schedule: string, { global }: PluginMeta<Input>): Promise<void> {
    if (schedule !== global.every) {
        return
    }
    await posthog.capture(global.event, { ...global.properties, $timestamp: new Date().toISOString() })
    // Only now: the monitor is to notice when events cannot be captured.
    if (global.pingUrl !== null) {
        const response = await fetch(global.pingUrl, { timeout: PING_TIMEOUT })
        if (!response.ok) {
            throw new Error(`${global.pingUrl.host} answered the ping with ${response.status}`)
        }
    }
}
