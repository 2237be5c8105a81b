// Discards an event that has come already: a client that sent twice, an import that runs beside the tracking.
// Words: the print of an event is a hash of what makes it the same event.

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Input = {
    config: {
        dedupMode?: string
        properties?: string
        ignoreProperties?: string
        events?: string
        windowSeconds?: string
    }
    global: { identityOf: (event: PluginEvent) => unknown; isMeant: (name: unknown) => boolean; window: number }
}

/** A year; what is kept longer belongs into a unique index. */
const MAX_WINDOW = 366 * 24 * 3600

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const properties = names(config.properties)
    const ignored = new Set(names(config.ignoreProperties))
    const mode = config.dedupMode || 'Event and Timestamp'
    if (mode === 'Chosen Properties' && properties.length === 0) {
        throw new Error('properties: name at least one property to compare')
    }
    const identityOf = identity(mode, properties, ignored)
    if (identityOf === null) {
        throw new Error(`dedupMode: unknown mode "${mode}"`)
    }
    const events = new Set<unknown>(names(config.events))
    const window = Number((config.windowSeconds ?? '').trim() || '3600')
    if (!Number.isInteger(window) || window < 1 || window > MAX_WINDOW) {
        throw new Error(`windowSeconds: expected a whole number from 1 to ${MAX_WINDOW}, found "${config.windowSeconds}"`)
    }
    global.identityOf = identityOf
    global.isMeant = (name) => events.size === 0 || events.has(name)
    global.window = window
}

export async function processEvent(event: PluginEvent, { cache, global }: PluginMeta<Input>): Promise<PluginEvent | null> {
    const identity = global.isMeant(event.event) ? global.identityOf(event) : null
    if (identity === null) {
        return event
    }
    const key = print(canonical(identity))
    // Of two sessions with the same event, one gets the 1: counting is one step, to look and to set would be two.
    const count = await cache.incr(key)
    if (count > 1) {
        return null
    }
    await cache.expire(key, global.window)
    return event
}

/** What makes an event the same; null for an event that has no such thing. */
function identity(mode: string, properties: string[], ignored: Set<string>): ((event: PluginEvent) => unknown) | null {
    const sender = (event: PluginEvent) => [event.team_id, event.distinct_id, event.event]
    switch (mode) {
        case 'UUID':
            return (event) => (event.uuid ? [event.team_id, event.uuid] : null)
        case 'Event and Timestamp':
            return (event) => (event.timestamp ? [...sender(event), event.timestamp] : null)
        case 'All Properties':
            return (event) =>
                event.timestamp ? [...sender(event), event.timestamp, without(event.properties ?? {}, ignored)] : null
        case 'Chosen Properties':
            return (event) => {
                const values = properties.map((path) => lookUp(event.properties, path))
                return values.some((value) => value !== undefined) ? [...sender(event), values] : null
            }
        default:
            return null
    }
}

function without(properties: object, ignored: Set<string>): [string, unknown][] | object {
    const isObject = !Array.isArray(properties)
    return isObject && ignored.size > 0 ? Object.entries(properties).filter(([name]) => !ignored.has(name)) : properties
}

/** The key as written comes first; then a dot leads into a nested object. */
function lookUp(value: unknown, path: string): unknown {
    if (typeof value !== 'object' || value === null) {
        return undefined
    }
    const object = value as Record<string, unknown>
    if (Object.hasOwn(object, path)) {
        return object[path]
    }
    const dot = path.indexOf('.')
    const head = path.slice(0, Math.max(dot, 0))
    return dot >= 0 && Object.hasOwn(object, head) ? lookUp(object[head], path.slice(dot + 1)) : undefined
}

function names(list: string | undefined): string[] {
    return (list ?? '')
        .split(/[,\n]/)
        .map((name) => name.trim())
        .filter((name) => name !== '')
}

/** JSON with keys in one order; undefined, which JSON has not, differs from null. */
function canonical(value: unknown): string {
    if (Array.isArray(value)) {
        return `[${value.map(canonical).join()}]`
    }
    if (typeof value === 'object' && value !== null) {
        const object = value as Record<string, unknown>
        const members = Object.keys(object).sort().map((key) => `${JSON.stringify(key)}:${canonical(object[key])}`)
        return `{${members.join()}}`
    }
    return JSON.stringify(value) ?? 'undefined'
}

/** 128 bits: of a billion events, two share a print with a chance of one in 10²⁰. */
function print(text: string): string {
    const lanes = [0x9e3779b9, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f]
    for (let i = 0; i < text.length; i++) {
        const code = text.charCodeAt(i)
        for (let lane = 0; lane < 4; lane++) {
            lanes[lane] = Math.imul(lanes[lane]! ^ code, MULTIPLIERS[lane]!)
            lanes[lane]! ^= lanes[(lane + 1) & 3]! >>> 15
        }
    }
    return lanes.map((lane) => finish(lane).toString(16).padStart(8, '0')).join('')
}

/** Odd, so that no bit is lost. */
const MULTIPLIERS = [0x01000193, 0x5bd1e995, 0x1b873593, 0x2c1b3c6d]

/** The finalizer of MurmurHash3. */
function finish(lane: number): number {
    let state = lane
    state = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35)
    return (state ^ (state >>> 16)) >>> 0
}
