// Copies nested properties to the top under joined names, `product__size`, where filters reach them.
// Words: a leaf is a value that is not taken apart: text, number, boolean, null, an empty list or object.

import type { PluginEvent, PluginMeta, Properties } from '@posthog/plugin-scaffold'

type Input = {
    config: {
        separator?: string
        arrays?: string
        keepOriginal?: string
        maxDepth?: string
        maxProperties?: string
        skipProperties?: string
    }
    global: Options
}

interface Options {
    separator: string
    takesArraysApart: boolean
    keepsOriginal: boolean
    maxDepth: number
    maxProperties: number
    skipped: Set<string>
}

/** PostHog reads these as they are; flattened they would only be noise. */
const INTERNAL = [
    '$elements', '$elements_chain', '$groups', '$active_feature_flags', '$heatmap_data', '$web_vitals_data',
]

/** Properties of persons and groups are flattened where they are. */
const OWN_PLACES = ['$set', '$set_once', '$group_set']

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const separator = config.separator ?? '__'
    if (separator === '') {
        throw new Error('separator: expected at least one character')
    }
    global.separator = separator
    global.takesArraysApart = config.arrays !== 'keep'
    global.keepsOriginal = config.keepOriginal !== 'No'
    global.maxDepth = parseCount('maxDepth', config.maxDepth, 20)
    global.maxProperties = parseCount('maxProperties', config.maxProperties, 1000)
    const skipped = (config.skipProperties ?? '').split(/[,\n]/).map((name) => name.trim())
    global.skipped = new Set([...INTERNAL, ...skipped.filter((name) => name !== '')])
}

function parseCount(key: string, text: string | undefined, otherwise: number): number {
    const trimmed = (text ?? '').trim()
    const count = trimmed === '' ? otherwise : Number(trimmed)
    if (!Number.isInteger(count) || count < 1) {
        throw new Error(`${key}: expected a whole number from 1 on, found "${text}"`)
    }
    return count
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent {
    // What is clicked on is described by nested elements, which have columns of their own.
    if (event.event === '$autocapture' || !isObject(event.properties)) {
        return event
    }
    const budget = { left: global.maxProperties }
    for (const place of OWN_PLACES) {
        flatten(event.properties[place], global, budget)
    }
    flatten(event.$set, global, budget)
    flatten(event.$set_once, global, budget)
    flatten(event.properties, global, budget)
    return event
}

type Budget = { left: number }

function flatten(place: unknown, options: Options, budget: Budget): void {
    if (!isObject(place)) {
        return
    }
    for (const key of Object.keys(place)) {
        const value = place[key]
        if (!isNested(value, options) || OWN_PLACES.includes(key) || options.skipped.has(key)) {
            continue
        }
        const leaves: [string, unknown][] = []
        const isWhole = collect(key, value, 1, leaves, options, budget)
        for (const [name, leaf] of leaves) {
            // A key that the event came with is not ours to replace; `__proto__` is no key at all.
            if (!Object.hasOwn(place, name) && name !== '__proto__') {
                place[name] = leaf
            }
        }
        if (!options.keepsOriginal && isWhole) {
            delete place[key]
        }
    }
}

/** False when the budget ended before all was collected. */
function collect(
    name: string, value: object, depth: number, leaves: [string, unknown][], options: Options, budget: Budget
): boolean {
    for (const key of Object.keys(value)) {
        const inner = (value as Properties)[key]
        const innerName = name + options.separator + key
        if (depth < options.maxDepth && isNested(inner, options)) {
            if (!collect(innerName, inner, depth + 1, leaves, options, budget)) {
                return false
            }
        } else if (budget.left === 0) {
            return false
        } else {
            budget.left--
            leaves.push([innerName, inner])
        }
    }
    return true
}

function isNested(value: unknown, { takesArraysApart }: Options): value is object {
    return Array.isArray(value) ? takesArraysApart && value.length > 0 : isObject(value) && Object.keys(value).length > 0
}

function isObject(value: unknown): value is Properties {
    return typeof value === 'object' && value !== null && !Array.isArray(value)
}
