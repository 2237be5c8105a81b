// Writes the addresses of one page in one way, so that they count as one in a chart.
// Words: an address is a whole URL or a path beginning with a slash; a parameter is a `name=value` of its query.

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Matches = (text: string) => boolean

type Input = {
    config: {
        properties?: string
        lowercase?: string
        trailingSlash?: string
        indexPages?: string
        keepParameters?: string
        removeParameters?: string
        sortParameters?: string
        fragment?: string
    }
    global: {
        paths: string[]
        lowercase: 'all' | 'path' | 'host'
        stripsSlash: boolean
        indexPages: Set<string>
        /** Null when no parameter is touched. */
        keeps: Matches | null
        sorts: boolean
        stripsFragment: boolean
    }
}

/** A path is completed with it to be read, and cut off again. */
const ANY_ORIGIN = 'http://a'

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    global.paths = entries(config.properties)
    if (global.paths.length === 0) {
        throw new Error('properties: name at least one property to normalize')
    }
    const lowercase = config.lowercase || 'all'
    if (lowercase !== 'all' && lowercase !== 'path' && lowercase !== 'host') {
        throw new Error(`lowercase: expected all, path or host, found "${lowercase}"`)
    }
    global.lowercase = lowercase
    global.stripsSlash = config.trailingSlash !== 'keep'
    global.indexPages = new Set(entries(config.indexPages).map((page) => page.toLowerCase()))
    global.sorts = config.sortParameters === 'Yes'
    global.stripsFragment = config.fragment === 'remove'

    const kept = entries(config.keepParameters)
    const removed = entries(config.removeParameters)
    const isKept = anyOf(kept)
    const isRemoved = anyOf(removed)
    global.keeps =
        kept.length > 0 || removed.length > 0
            ? (name) => (kept.length === 0 || isKept(name)) && !isRemoved(name)
            : null
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent {
    for (const path of global.paths) {
        replace(event.properties, path, (address) => normalize(address, global))
    }
    return event
}

/** The key as written comes first; then a dot leads into a nested object. */
function replace(value: unknown, path: string, change: (text: string) => string): void {
    if (typeof value !== 'object' || value === null) {
        return
    }
    const object = value as Record<string, unknown>
    if (Object.hasOwn(object, path)) {
        const before = object[path]
        const after = typeof before === 'string' ? change(before) : before
        if (after !== before) {
            object[path] = after
        }
        return
    }
    const dot = path.indexOf('.')
    const head = path.slice(0, Math.max(dot, 0))
    if (dot >= 0 && Object.hasOwn(object, head)) {
        replace(object[head], path.slice(dot + 1), change)
    }
}

function normalize(address: string, global: Input['global']): string {
    const text = global.lowercase === 'all' ? address.toLowerCase() : address
    const isPath = text.startsWith('/') && !text.startsWith('//')
    const url = parse(isPath ? ANY_ORIGIN + text : text)
    // `mailto:` and its like have no path of segments.
    if (url === null || !url.pathname.startsWith('/')) {
        return address
    }
    url.pathname = normalizePath(url.pathname, global)
    if (url.search !== '') {
        url.search = normalizeQuery(url.search.slice(1), global)
    }
    if (global.stripsFragment) {
        url.hash = ''
    }
    return isPath ? url.href.slice(ANY_ORIGIN.length) : url.href
}

function parse(text: string): URL | null {
    try {
        return new URL(text)
    } catch {
        return null
    }
}

function normalizePath(path: string, { lowercase, indexPages, stripsSlash }: Input['global']): string {
    let result = lowercase === 'path' ? path.toLowerCase() : path
    const last = result.lastIndexOf('/') + 1
    if (indexPages.has(result.slice(last).toLowerCase())) {
        result = result.slice(0, last)
    }
    let end = result.length
    while (stripsSlash && end > 0 && result[end - 1] === '/') {
        end--
    }
    return result.slice(0, end)
}

/** Works on the text as it was sent: to encode it anew would change what nobody asked to change. */
function normalizeQuery(query: string, { keeps, sorts }: Input['global']): string {
    let parameters = query.split('&')
    if (keeps !== null) {
        parameters = parameters.filter((parameter) => keeps(nameOf(parameter)))
    }
    if (sorts) {
        // By code units, and stable: values of one name stay in order.
        const named = parameters.map((text) => ({ name: nameOf(text), text }))
        named.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
        parameters = named.map(({ text }) => text)
    }
    return parameters.join('&')
}

function nameOf(parameter: string): string {
    const equals = parameter.indexOf('=')
    const name = (equals < 0 ? parameter : parameter.slice(0, equals)).replaceAll('+', ' ')
    try {
        return decodeURIComponent(name)
    } catch {
        return name
    }
}

function entries(list: string | undefined): string[] {
    return (list ?? '')
        .split(/[,\n]/)
        .map((entry) => entry.trim())
        .filter((entry) => entry !== '')
}

/** A star stands for any text at the end of a name; case does not count. */
function anyOf(patterns: string[]): Matches {
    const whole = new Set<string>()
    const starts: string[] = []
    for (const pattern of patterns) {
        const star = pattern.indexOf('*')
        if (star >= 0 && star < pattern.length - 1) {
            throw new Error(`parameters: "${pattern}" has a star before its end`)
        }
        if (star < 0) {
            whole.add(pattern.toLowerCase())
        } else {
            starts.push(pattern.slice(0, star).toLowerCase())
        }
    }
    return (text) => {
        const lower = text.toLowerCase()
        return whole.has(lower) || starts.some((start) => lower.startsWith(start))
    }
}
