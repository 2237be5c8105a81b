// Marks the first event of a name, by a person and by anyone, and the first event of a person at all.

import type { Meta, PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Input = {
    config: { events?: string; firstOfPerson?: string }
    global: { names: Set<unknown>; all: boolean; marksPersons: boolean }
}

type Stores = Pick<Meta, 'storage' | 'utils'>

/** What the storage takes for a key. */
const MAX_KEY = 200

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const names = (config.events ?? '').split(/[,\n]/).map((name) => name.trim())
    global.names = new Set(names.filter((name) => name !== ''))
    global.all = global.names.has('*')
    global.marksPersons = config.firstOfPerson === 'Yes'
    if (global.names.size === 0 && !global.marksPersons) {
        throw new Error('events: name at least one event to track')
    }
}

export async function processEvent(event: PluginEvent, meta: PluginMeta<Input>): Promise<PluginEvent> {
    const { names, all, marksPersons } = meta.global
    const name: unknown = event.event
    const person: unknown = event.distinct_id
    const properties = event.properties ?? {}
    if (typeof name !== 'string' || typeof person !== 'string' || Array.isArray(properties)) {
        return event
    }
    if (all || names.has(name)) {
        const byPerson = await isFirst(['event', name, person], meta)
        // Who has not been first cannot be the first of all.
        properties['is_first_event_ever'] = byPerson && (await isFirst(['event', name], meta))
        properties['is_first_event_for_user'] = byPerson
        event.properties = properties
    }
    if (marksPersons) {
        properties['is_first_event_of_user'] = await isFirst(['person', person], meta)
        event.properties = properties
    }
    return event
}

/** True once for each key. Most have been seen, and are only read. */
async function isFirst(parts: string[], { storage, utils }: Stores): Promise<boolean> {
    const key = keyOf(parts)
    if (await storage.get(key)) {
        return false
    }
    // Of two sessions, one gets the 1: counting is one step, to look and to set would be two.
    return (await utils.cursor.increment(key)) === 1
}

/** As JSON, `["a_b", "c"]` and `["a", "b_c"]` differ. What is too long ends in a hash. */
function keyOf(parts: string[]): string {
    const text = JSON.stringify(parts)
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
