// Tells in an event how long ago its person sent another one: the time from signup to purchase.
// Words: a pair is a first event, which starts the clock, and a second, which gets the time.

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Input = {
    config: { eventsToTrack?: string; updateTimestamp?: string; unit?: string }
    global: {
        /** Second event to the first ones. */
        firsts: Map<unknown, string[]>
        starting: Set<unknown>
        keepsLatest: boolean
        unit: number
    }
}

const UNITS = new Map([
    ['milliseconds', 1],
    ['seconds', 1000],
    ['minutes', 60_000],
    ['hours', 3_600_000],
    ['days', 86_400_000],
])

/** What the storage takes for a key. */
const MAX_KEY = 200

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    global.firsts = new Map()
    global.starting = new Set()
    for (const [first, second] of parsePairs(config.eventsToTrack ?? '')) {
        global.starting.add(first)
        const firsts = global.firsts.get(second) ?? []
        global.firsts.set(second, firsts.includes(first) ? firsts : [...firsts, first])
    }
    const unit = UNITS.get(config.unit || 'milliseconds')
    if (unit === undefined) {
        throw new Error(`unit: unknown unit "${config.unit}"`)
    }
    global.keepsLatest = config.updateTimestamp !== 'No'
    global.unit = unit
}

/** `(first,second),(first,second)`; spaces around a name do not count. */
function parsePairs(text: string): [string, string][] {
    const pairs: [string, string][] = []
    let rest = text.trim()
    while (rest !== '') {
        const found = /^\(([^(),]*),([^(),]*)\)\s*(?:,\s*(?=\()|$)/.exec(rest)
        const [first = '', second = ''] = found?.slice(1).map((name) => name.trim()) ?? []
        if (found === null || first === '' || second === '') {
            throw new Error(`eventsToTrack: expected pairs such as (signup,purchase),(signup,invite), found "${rest}"`)
        }
        pairs.push([first, second])
        rest = rest.slice(found[0].length)
    }
    if (pairs.length === 0) {
        throw new Error('eventsToTrack: give at least one pair, (signup,purchase)')
    }
    return pairs
}

export async function processEvent(event: PluginEvent, { global, storage }: PluginMeta<Input>): Promise<PluginEvent> {
    const { firsts, starting, keepsLatest, unit } = global
    const name: unknown = event.event
    const person: unknown = event.distinct_id
    const before = firsts.get(name)
    if (typeof name !== 'string' || typeof person !== 'string' || (before === undefined && !starting.has(name))) {
        return event
    }
    const time = timeOf(event)
    if (time === null) {
        return event
    }
    // Before its own time is kept: an event may be the first and the second of a pair.
    for (const first of before ?? []) {
        const since: unknown = await storage.get(keyOf(first, person))
        if (typeof since === 'number' && since <= time && !Array.isArray(event.properties)) {
            event.properties ??= {}
            event.properties[`time_since_${first.replaceAll(' ', '_')}`] = (time - since) / unit
        }
    }
    if (starting.has(name)) {
        const key = keyOf(name, person)
        const kept: unknown = await storage.get(key)
        // An event that arrives late moves the clock only in its own direction.
        if (typeof kept !== 'number' || (keepsLatest ? time > kept : time < kept)) {
            await storage.set(key, time)
        }
    }
    return event
}

function timeOf(event: PluginEvent): number | null {
    const { timestamp, sent_at, now, properties } = event
    for (const value of [timestamp, properties?.['timestamp'], now, sent_at, properties?.['$time']]) {
        // $time is in seconds, all others in milliseconds; 1e11 ms is 1973, 1e11 s the year 5138.
        const time = typeof value === 'number' ? (value < 1e11 ? value * 1000 : value) : typeof value === 'string' ? parse(value) : NaN
        if (Number.isFinite(time) && time > 0) {
            return time
        }
    }
    return null
}

/** A time without a zone is UTC, whatever the zone of the server. */
function parse(text: string): number {
    // PostgreSQL's own form of a timestamptz, `2026-01-31 10:00:00+01`, is no ISO 8601.
    const iso = text.trim().replace(/^(\d{4}-\d{2}-\d{2}) (?=\d)/, '$1T').replace(/(T.*[+-]\d{2})$/, '$1:00')
    return Date.parse(/T\d/.test(iso) && !/(Z|[+-]\d{2}:?\d{2})$/i.test(iso) ? `${iso}Z` : iso)
}

/** As JSON, `["a_b", "c"]` and `["a", "b_c"]` differ. What is too long ends in a hash. */
function keyOf(name: string, person: string): string {
    const text = JSON.stringify([name, person])
    return text.length <= MAX_KEY ? text : `${text.slice(0, 160)}#${hash(text, 1)}${hash(text, 2)}`
}

/** FNV-1a, then the finalizer of MurmurHash3. */
function hash(text: string, seed: number): string {
    let state = Math.imul(0x811c9dc5, seed)
    for (let i = 0; i < text.length; i++) {
        state = Math.imul(state ^ text.charCodeAt(i), seed === 1 ? 0x01000193 : 0x5bd1e995)
    }
    state = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35)
    return ((state ^ (state >>> 16)) >>> 0).toString(16).padStart(8, '0')
}
