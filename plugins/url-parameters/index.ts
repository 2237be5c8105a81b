// Takes parameters out of an event's URL and makes them properties of the event and of the person.

import type { PluginEvent, PluginMeta, Properties } from '@posthog/plugin-scaffold'

type Input = {
    config: {
        parameters?: string
        prefix?: string
        suffix?: string
        ignoreCase?: string
        setAsUserProperties?: string
        setAsInitialUserProperties?: string
        alwaysJson?: string
    }
    global: {
        /** What a name is compared by, to the name that its property gets. */
        names: Map<string, string>
        /** Beginnings of names: an entry `utm_*`. */
        starts: string[]
        fold: (name: string) => string
        setsPerson: boolean
        setsInitial: boolean
        alwaysList: boolean
    }
}

/** More would be an attack rather than a campaign; only a star can come so far. */
const MAX_PARAMETERS = 200

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const ignoresCase = config.ignoreCase === 'true'
    global.fold = ignoresCase ? (name) => name.toLowerCase() : (name) => name
    global.setsPerson = config.setAsUserProperties === 'true'
    global.setsInitial = config.setAsInitialUserProperties === 'true'
    global.alwaysList = config.alwaysJson === 'true'
    global.names = new Map()
    global.starts = []
    for (const entry of (config.parameters ?? '').split(/[,\n]/).map((name) => name.trim())) {
        if (entry.endsWith('*')) {
            global.starts.push(global.fold(entry.slice(0, -1)))
        } else if (entry !== '') {
            global.names.set(global.fold(entry), entry)
        }
    }
}

export function processEvent(event: PluginEvent, { config, global }: PluginMeta<Input>): PluginEvent {
    const properties = event.properties
    const address: unknown = isObject(properties) ? properties['$current_url'] : undefined
    const query = typeof address === 'string' ? queryOf(address) : null
    if (query === null || !isObject(properties)) {
        return event
    }
    for (const [name, values] of valuesByName(query, global)) {
        const value = values.length === 1 && !global.alwaysList ? values[0] : JSON.stringify(values)
        const key = `${config.prefix ?? ''}${name}${config.suffix ?? ''}`
        set(properties, key, value)
        if (global.setsPerson) {
            set(personProperties(properties, '$set'), key, value)
        }
        if (global.setsInitial) {
            set(personProperties(properties, '$set_once'), `initial_${key}`, value)
        }
    }
    return event
}

function queryOf(address: string): URLSearchParams | null {
    // Most addresses have no query, and need not be taken apart to see it.
    if (!address.includes('?')) {
        return null
    }
    try {
        return new URL(address).searchParams
    } catch {
        return null
    }
}

function valuesByName(query: URLSearchParams, { names, starts, fold }: Input['global']): Map<string, string[]> {
    const found = new Map<string, string[]>()
    for (const [written, value] of query) {
        const folded = fold(written)
        const name = names.get(folded) ?? (starts.some((start) => folded.startsWith(start)) ? folded : null)
        const values = name === null ? null : found.get(name)
        if (values) {
            values.push(value)
        } else if (name !== null && found.size < MAX_PARAMETERS) {
            found.set(name, [value])
        }
    }
    return found
}

/** What is there and no object is not ours to replace. */
function personProperties(properties: Properties, key: '$set' | '$set_once'): Properties | null {
    properties[key] ??= {}
    return isObject(properties[key]) ? properties[key] : null
}

/** A parameter may be named `__proto__`, which is no property to set. */
function set(target: Properties | null, key: string, value: unknown): void {
    if (target !== null && key !== '__proto__') {
        target[key] = value
    }
}

function isObject(value: unknown): value is Properties {
    return typeof value === 'object' && value !== null && !Array.isArray(value)
}
