// Removes properties by name or dotted path before the event is stored.

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

/** `a.b.c` as head `a`, tail `b.c`; whole is the rest as it was written, for keys that contain dots. */
interface Path {
    whole: string
    head: string
    tail: Path | null
}

type Input = { config: { properties?: string }; global: { paths: Path[] } }

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const names = (config.properties ?? '')
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '')
    if (names.length === 0) {
        throw new Error('properties: name at least one property to remove')
    }
    global.paths = names.map(parsePath)
}

function parsePath(whole: string): Path {
    const dot = whole.indexOf('.')
    return dot < 0
        ? { whole, head: whole, tail: null }
        : { whole, head: whole.slice(0, dot), tail: parsePath(whole.slice(dot + 1)) }
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent {
    for (const path of global.paths) {
        remove(event.properties, path)
        // These properties have a twin beside `properties`; hiding one and storing the other hides nothing.
        if (path.whole === '$ip') {
            delete (event as Partial<PluginEvent>).ip
        } else if (path.head === '$set' || path.head === '$set_once') {
            remove(event, path)
        }
    }
    return event
}

function remove(value: unknown, path: Path): void {
    if (Array.isArray(value)) {
        for (const element of value) {
            remove(element, path)
        }
    } else if (isObject(value)) {
        if (Object.hasOwn(value, path.whole)) {
            delete value[path.whole]
        } else if (path.tail !== null && Object.hasOwn(value, path.head)) {
            remove(value[path.head], path.tail)
        }
    }
}

function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === 'object' && value !== null
}
