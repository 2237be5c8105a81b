// Discards events by name, by sender or by property, or keeps only a share of them.
// Words: a rule is one of the three lists; an event is caught when it meets the rules.

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Test = (event: PluginEvent) => boolean

type Input = {
    config: {
        events?: string
        distinct_ids?: string
        properties?: string
        match?: string
        keep_percentage?: string
    }
    global: { isCaught: Test; keepShare: number }
}

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const rules = [
        anyOf(entries(config.events).map((pattern) => textTest(pattern, (event) => event.event))),
        anyOf(entries(config.distinct_ids).map((pattern) => textTest(pattern, (event) => event.distinct_id))),
        anyOf(entries(config.properties).map(propertyTest)),
    ].filter((rule) => rule !== null)

    const percentage = (config.keep_percentage ?? '').trim()
    if (rules.length === 0 && percentage === '') {
        throw new Error('nothing to drop: give events, distinct_ids, properties or keep_percentage')
    }
    global.keepShare = parsePercentage(percentage) / 100

    const match = config.match || 'any'
    if (match !== 'any' && match !== 'all') {
        throw new Error(`match: expected any or all, found "${match}"`)
    }
    global.isCaught =
        rules.length === 0 || match === 'all'
            ? (event) => rules.every((rule) => rule(event))
            : (event) => rules.some((rule) => rule(event))
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent | null {
    if (!global.isCaught(event)) {
        return event
    }
    return global.keepShare > 0 && position(event) < global.keepShare ? event : null
}

function entries(list: string | undefined): string[] {
    return (list ?? '')
        .split(/[,\n]/)
        .map((entry) => entry.trim())
        .filter((entry) => entry !== '')
}

/** Null when there is nothing to test: an empty list is no rule. */
function anyOf(tests: Test[]): Test | null {
    return tests.length === 0 ? null : (event) => tests.some((test) => test(event))
}

function textTest(pattern: string, read: (event: PluginEvent) => unknown): Test {
    const matches = wildcard(pattern)
    return (event) => {
        const text = read(event)
        return typeof text === 'string' && matches(text)
    }
}

/** `name` asks for presence, `name=value` for the value as text. */
function propertyTest(entry: string): Test {
    const equals = entry.indexOf('=')
    const name = (equals < 0 ? entry : entry.slice(0, equals)).trim()
    if (name === '') {
        throw new Error(`properties: no name in "${entry}"`)
    }
    if (equals < 0) {
        return (event) => lookUp(event.properties, name) !== undefined
    }
    const matches = wildcard(entry.slice(equals + 1).trim())
    return (event) => {
        const value = lookUp(event.properties, name)
        const isScalar = value === null || (typeof value !== 'object' && value !== undefined)
        return isScalar && matches(String(value))
    }
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
    const head = path.slice(0, dot)
    return dot >= 0 && Object.hasOwn(object, head) ? lookUp(object[head], path.slice(dot + 1)) : undefined
}

/** Looks for the pieces between the stars from left to right: linear, where a regular expression may backtrack. */
function wildcard(pattern: string): (text: string) => boolean {
    const [start = '', ...pieces] = pattern.split('*')
    const end = pieces.pop()
    if (end === undefined) {
        return (text) => text === pattern
    }
    return (text) => {
        if (!text.startsWith(start)) {
            return false
        }
        let from = start.length
        for (const piece of pieces) {
            const found = text.indexOf(piece, from)
            if (found < 0) {
                return false
            }
            from = found + piece.length
        }
        return text.length - end.length >= from && text.endsWith(end)
    }
}

function parsePercentage(text: string): number {
    if (text === '') {
        return 0
    }
    const percentage = Number(text)
    if (!(percentage >= 0 && percentage <= 100)) {
        throw new Error(`keep_percentage: expected a number from 0 to 100, found "${text}"`)
    }
    return percentage
}

/**
 * Where the sender stands between 0 and 1, the same in every session, so that a person's events are kept or
 * dropped together. FNV-1a, then the finalizer of MurmurHash3: FNV alone hardly moves its upper bits for
 * ids that differ only at the end.
 */
function position(event: PluginEvent): number {
    const id = String(event.distinct_id ?? event.uuid ?? '')
    let hash = 0x811c9dc5
    for (let i = 0; i < id.length; i++) {
        hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}
