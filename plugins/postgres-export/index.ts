// Copies stored events into a table of another PostgreSQL, through PostgREST.

import { sign } from 'jsonwebtoken'

import type { PluginMeta, ProcessedPluginEvent } from '@posthog/plugin-scaffold'

type Input = {
    config: {
        url?: string
        tableName?: string
        schema?: string
        columns?: string
        jwt?: string
        jwtSecret?: string
        role?: string
        apiKey?: string
        eventsToIgnore?: string
    }
    global: {
        url: string
        host: string
        tableName: string
        columns: [name: string, value: (event: ProcessedPluginEvent) => unknown][]
        headers: Record<string, string>
        jwtSecret: string
        role: string
        ignored: Set<string>
    }
}

/** The table of PostHog's own plugin. */
const COLUMNS = {
    uuid: 'uuid',
    event: 'event',
    properties: 'properties',
    elements: 'elements',
    set: '$set',
    set_once: '$set_once',
    timestamp: 'timestamp',
    team_id: 'team_id',
    distinct_id: 'distinct_id',
    ip: 'ip',
}

const FIELDS = ['uuid', 'event', 'properties', 'elements', '$set', '$set_once', 'timestamp', 'team_id', 'distinct_id', 'ip']

/** A token is made for each request; this is what the clocks of two servers may differ. */
const TOKEN_SECONDS = 300

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const text = (key: keyof Input['config'], otherwise = '') => (config[key] ?? '').trim() || otherwise
    global.tableName = text('tableName', 'posthog_event')
    global.columns = parseColumns(text('columns'))
    const url = parseUrl(text('url'))
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/${encodeURIComponent(global.tableName)}`
    url.searchParams.set('columns', global.columns.map(([name]) => quoted(name)).join(','))
    url.searchParams.set('on_conflict', 'uuid')
    global.url = url.href
    global.host = url.host
    global.ignored = new Set(names(text('eventsToIgnore')))

    global.headers = {
        'content-type': 'application/json',
        // An event that comes again is there already, and stays as it is.
        prefer: 'resolution=ignore-duplicates,return=minimal',
    }
    if (text('schema') !== '') {
        global.headers['content-profile'] = text('schema')
    }
    if (text('apiKey') !== '') {
        global.headers.apikey = text('apiKey')
    }
    if (text('jwt') !== '' && text('jwtSecret') !== '') {
        throw new Error('jwt, jwtSecret: give a token, or the secret to make tokens with, not both')
    }
    if (text('jwt') !== '') {
        global.headers.authorization = `Bearer ${text('jwt')}`
    }
    global.jwtSecret = text('jwtSecret')
    global.role = text('role')
    if (global.jwtSecret !== '' && global.role === '') {
        throw new Error('role: give the role of the other database that tokens are for')
    }
}

function parseUrl(text: string): URL {
    try {
        const url = new URL(text)
        if (/^https?:$/.test(url.protocol) && url.search === '') {
            return url
        }
    } catch {
        // Said below.
    }
    const isConnection = /^postgres(ql)?:/.test(text)
    const advice = isConnection ? '; plugins reach a database through PostgREST only' : ''
    throw new Error(`url: expected the address of a PostgREST, such as https://example.com/rest/v1${advice}`)
}

function parseColumns(text: string): Input['global']['columns'] {
    let given: unknown
    try {
        given = text === '' ? COLUMNS : JSON.parse(text)
    } catch (error) {
        throw new Error(`columns: not valid JSON (${(error as Error).message})`)
    }
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
        throw new Error('columns: expected an object of columns to fields of the event')
    }
    const columns = Object.entries(given).map(([name, path]): Input['global']['columns'][number] => {
        if (typeof path !== 'string' || !FIELDS.includes(path.split('.', 1)[0]!)) {
            throw new Error(`columns, "${name}": expected a path that begins with ${FIELDS.join(', ')}`)
        }
        return [name, (event) => lookUp(event, path) ?? null]
    })
    if (!columns.some(([name]) => name === 'uuid')) {
        throw new Error('columns: "uuid" is needed, so that an event that comes again is known')
    }
    return columns
}

function names(list: string): string[] {
    return list.split(',').map((name) => name.trim()).filter((name) => name !== '')
}

/** The key as written comes first; then a dot leads inwards, also to an element of a list by its number. */
function lookUp(value: unknown, path: string): unknown {
    if (typeof value !== 'object' || value === null) {
        return undefined
    }
    const container = value as Record<string, unknown>
    if (Object.hasOwn(container, path)) {
        return container[path]
    }
    const dot = path.indexOf('.')
    const head = path.slice(0, dot)
    return dot >= 0 && Object.hasOwn(container, head) ? lookUp(container[head], path.slice(dot + 1)) : undefined
}

/** A name in a list of PostgREST's. */
function quoted(name: string): string {
    return `"${name.replace(/["\\]/g, '\\$&')}"`
}

export async function exportEvents(events: ProcessedPluginEvent[], { global }: PluginMeta<Input>): Promise<void> {
    const rows = events
        .filter((event) => !global.ignored.has(event.event))
        .map((event) => Object.fromEntries(global.columns.map(([name, value]) => [name, value(event)])))
    if (rows.length === 0) {
        return
    }
    const headers = { ...global.headers }
    if (global.jwtSecret !== '') {
        const token = sign({ role: global.role }, global.jwtSecret, { algorithm: 'HS256', expiresIn: TOKEN_SECONDS })
        headers.authorization = `Bearer ${token}`
    }
    let response: Response
    try {
        response = await fetch(global.url, { method: 'POST', headers, body: JSON.stringify(rows), redirect: 'manual' })
    } catch (error) {
        throw new RetryError((error as Error).message)
    }
    if (!response.ok) {
        throw await failure(response, global)
    }
}

// ---- failures -------------------------------------------------------------------------------------

/** By PostgREST's code, or the SQLSTATE that it passes on. */
const ADVICE = new Map([
    ['PGRST106', 'add the schema to db-schemas of PostgREST, or correct the setting schema'],
    ['PGRST204', 'the table has not all columns of the setting columns; after a change, NOTIFY pgrst'],
    ['PGRST205', 'create the table there, then NOTIFY pgrst'],
    ['PGRST301', 'jwt or jwtSecret is wrong'],
    ['PGRST302', 'give jwt or jwtSecret'],
    ['PGRST303', 'jwt has expired, or its claims are wrong'],
    ['42P10', 'the column uuid needs a primary key or a unique constraint'],
    ['42501', 'the role needs INSERT and SELECT on the table'],
    ['42P01', 'create the table there'],
])

/** What passes by itself, beside the errors of the server: 405 has 25006, a database that is read-only. */
const PASSING_STATUSES = [408, 429]
const PASSING_CODES = ['25006', '40001', '40P01', '55P03']

async function failure(response: Response, { host, tableName }: Input['global']): Promise<Error> {
    const { status } = response
    const answer = await response.text().catch(() => '')
    const { code, message, details } = parseError(answer)
    const advice = ADVICE.get(code)
    const reasons = [`${host}, table ${tableName}: ${[status, code].filter((part) => part).join(' ')}`, message, details]
    const text = reasons.filter((part) => part).join(': ') + (advice ? ` (${advice})` : '')
    const passes = status >= 500 || PASSING_STATUSES.includes(status) || PASSING_CODES.includes(code)
    return passes ? new RetryError(text) : new Error(text)
}

/** What is not PostgREST's, from a proxy say, is quoted as it begins. */
function parseError(answer: string): { code: string; message: string; details: string } {
    const short = (value: unknown) => (typeof value === 'string' ? value.replace(/\s+/g, ' ').trim().slice(0, 300) : '')
    try {
        const { code, message, details } = JSON.parse(answer)
        return { code: short(code), message: short(message), details: short(details) }
    } catch {
        return { code: '', message: short(answer), details: '' }
    }
}
