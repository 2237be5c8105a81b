// Keeps a share of the events, by chance or by a hash of who sent them.

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Input = {
    config: {
        percentage?: string
        samplingMethod?: string
        events?: string
        keepEvents?: string
        rateProperty?: string
    }
    global: {
        share: number
        /** What decides over an event; null for chance. */
        idOf: ((event: PluginEvent) => unknown) | null
        isSampled: (name: unknown) => boolean
        rateProperty: string
    }
}

const METHODS = new Map<string, Input['global']['idOf']>([
    ['Random sampling', null],
    ['Distinct ID aware sampling', (event) => event.distinct_id],
    ['Session aware sampling', (event) => event.properties?.['$session_id'] ?? event.distinct_id],
])

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const text = (config.percentage ?? '').trim().replace(/\s*%$/, '')
    const percentage = Number(text)
    if (text === '' || !(percentage >= 0 && percentage <= 100)) {
        throw new Error(`percentage: expected a number from 0 to 100, found "${config.percentage ?? ''}"`)
    }
    const idOf = METHODS.get(config.samplingMethod || 'Distinct ID aware sampling')
    if (idOf === undefined) {
        throw new Error(`samplingMethod: unknown method "${config.samplingMethod}"`)
    }
    const sampled = names(config.events)
    const kept = names(config.keepEvents)
    global.share = percentage / 100
    global.idOf = idOf
    global.isSampled = (name) => (sampled.size === 0 || sampled.has(name)) && !kept.has(name)
    global.rateProperty = (config.rateProperty ?? '').trim()
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent | null {
    if (!global.isSampled(event.event)) {
        return event
    }
    if (position(event, global.idOf) >= global.share) {
        return null
    }
    if (global.rateProperty !== '' && event.properties) {
        event.properties[global.rateProperty] = global.share
    }
    return event
}

function names(list: string | undefined): Set<unknown> {
    const all = (list ?? '').split(/[,\n]/).map((name) => name.trim())
    return new Set(all.filter((name) => name !== ''))
}

/** From 0 to just below 1. What has no id is left to chance. */
function position(event: PluginEvent, idOf: Input['global']['idOf']): number {
    const id = idOf === null ? null : (idOf(event) ?? event.uuid)
    return typeof id === 'string' || typeof id === 'number' ? hash(String(id)) / 2 ** 32 : Math.random()
}

/**
 * The same in every session and database. FNV-1a, then the finalizer of MurmurHash3: FNV alone hardly moves
 * its upper bits for ids that differ only at the end.
 */
function hash(text: string): number {
    let state = 0x811c9dc5
    for (let i = 0; i < text.length; i++) {
        state = Math.imul(state ^ text.charCodeAt(i), 0x01000193)
    }
    state = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35)
    return (state ^ (state >>> 16)) >>> 0
}
