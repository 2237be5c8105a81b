// Sends stored events in batches to an HTTP address, as lines of JSON or as one array.

import { createHash } from 'crypto'
import { gzipSync } from 'zlib'

import type { PluginMeta, ProcessedPluginEvent } from '@posthog/plugin-scaffold'

type Input = {
    config: {
        url?: string
        method?: string
        format?: string
        compression?: string
        authorization?: string
        headers?: string
    }
    global: { url: string; host: string; method: string; isArray: boolean; compresses: boolean; headers: Headers }
}

/** As much of an answer as a message needs to explain itself. */
const ANSWER_LENGTH = 300

/** What passes by itself, beside the errors of the server. */
const PASSING = [408, 425, 429]

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const text = (key: keyof Input['config'], otherwise = '') => (config[key] ?? '').trim() || otherwise
    const url = parseUrl(text('url'))
    global.url = url.href
    global.host = url.host
    global.method = oneOf('method', text('method', 'POST'), ['POST', 'PUT'])
    global.isArray = oneOf('format', text('format', 'ndjson'), ['ndjson', 'json']) === 'json'
    global.compresses = oneOf('compression', text('compression', 'none'), ['none', 'gzip']) === 'gzip'
    global.headers = new Headers({ 'content-type': global.isArray ? 'application/json' : 'application/x-ndjson' })
    if (global.compresses) {
        global.headers.set('content-encoding', 'gzip')
    }
    for (const [name, value] of parseHeaders(text('headers', '{}'))) {
        setHeader(global.headers, 'headers', name, value)
    }
    const authorization = text('authorization')
    if (authorization !== '') {
        setHeader(global.headers, 'authorization', 'authorization', authorization)
    }
}

function parseUrl(text: string): URL {
    try {
        const url = new URL(text)
        if (/^https?:$/.test(url.protocol)) {
            return url
        }
    } catch {
        // Said below.
    }
    throw new Error(`url: expected an address that begins with https://, found "${text}"`)
}

function oneOf(key: string, value: string, choices: string[]): string {
    if (!choices.includes(value)) {
        throw new Error(`${key}: expected ${choices.join(' or ')}, found "${value}"`)
    }
    return value
}

function parseHeaders(text: string): [string, string][] {
    let value: unknown
    try {
        value = JSON.parse(text)
    } catch (error) {
        throw new Error(`headers: not valid JSON (${(error as Error).message})`)
    }
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (!isObject || Object.values(value!).some((header) => typeof header !== 'string')) {
        throw new Error('headers: expected an object of names to texts')
    }
    return Object.entries(value!)
}

function setHeader(headers: Headers, key: string, name: string, value: string): void {
    try {
        headers.set(name, value)
    } catch {
        // Without the value: it may be a secret.
        throw new Error(`${key}: "${name}" cannot be sent as a header`)
    }
}

export async function exportEvents(events: ProcessedPluginEvent[], { global }: PluginMeta<Input>): Promise<void> {
    if (events.length === 0) {
        return
    }
    const documents = events.map((event) => JSON.stringify(event))
    const text = global.isArray ? `[${documents.join(',')}]` : documents.join('\n') + '\n'
    const headers = new Headers(global.headers)
    // A batch whose answer got lost comes again, with the same key.
    headers.set('idempotency-key', createHash('sha256').update(text).digest('hex'))
    const body = global.compresses ? gzipSync(text) : text
    let response: Response
    try {
        // A redirected POST would become a GET, which brings the events nowhere.
        response = await fetch(global.url, { method: global.method, headers, body, redirect: 'manual' })
    } catch (error) {
        throw new RetryError((error as Error).message)
    }
    if (!response.ok) {
        throw await failure(response, global.host)
    }
}

async function failure(response: Response, host: string): Promise<Error> {
    const { status } = response
    const answer = await response.text().catch(() => '')
    const beginning = answer.replace(/\s+/g, ' ').trim().slice(0, ANSWER_LENGTH)
    const message = `${host} answered ${status}${beginning && `: ${beginning}`}${advice(response)}`
    return status >= 500 || PASSING.includes(status) ? new RetryError(message) : new Error(message)
}

function advice({ status, headers }: Response): string {
    if (status >= 300 && status < 400) {
        return ` (the address is now ${headers.get('location') ?? 'another'}, put that into url)`
    }
    if (status === 401 || status === 403) {
        return ' (look at the setting authorization)'
    }
    return status === 413 ? ' (the batch is too large for it, lower exportEventsBufferBytes)' : ''
}
