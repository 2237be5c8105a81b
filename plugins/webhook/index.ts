// Sends a request for every stored event, made of templates: address, headers and body.
// Words: a placeholder is `{event.…}` in a template, and stands for a value of the event.

import { createHash, createHmac } from 'crypto'

import type { PluginMeta, PostHogEvent, Webhook } from '@posthog/plugin-scaffold'

/** What a template makes of an event. */
type Template<T> = (event: PostHogEvent) => T

type Sign = (id: string, body: string) => Record<string, string>

type Input = {
    config: {
        url?: string
        method?: string
        body?: string
        bodyFormat?: string
        authorization?: string
        headers?: string
        events?: string
        signingSecret?: string
        signature?: string
    }
    global: {
        isWanted: (name: string) => boolean
        url: Template<string>
        method: NonNullable<Webhook['method']>
        headers: [name: string, value: Template<string>][]
        body: Template<string>
        sign: Sign
    }
}

const METHODS = ['POST', 'PUT', 'PATCH', 'GET'] as const
const CONTENT_TYPES = {
    json: 'application/json',
    form: 'application/x-www-form-urlencoded',
    text: 'text/plain; charset=utf-8',
}
const FIELDS = ['uuid', 'event', 'distinct_id', 'team_id', 'timestamp', 'properties']

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const text = (key: keyof Input['config'], otherwise = '') => (config[key] ?? '').trim() || otherwise
    global.isWanted = nameTest(text('events'))
    global.url = urlTemplate(text('url'))
    global.method = oneOf('method', text('method', 'POST'), METHODS)
    const format = oneOf('bodyFormat', text('bodyFormat', 'json'), ['json', 'form', 'text'] as const)
    global.body = global.method === 'GET' ? () => '' : bodyTemplate(text('body'), format)
    const headers = new Map(headerTemplates(text('headers')))
    if (!headers.has('content-type') && global.method !== 'GET') {
        headers.set('content-type', () => CONTENT_TYPES[format])
    }
    const authorization = text('authorization')
    if (authorization !== '') {
        headers.set('authorization', () => authorization)
    }
    global.headers = [...headers]
    global.sign = signer(text('signingSecret'), text('signature', 'standard'))
}

export function composeWebhook(event: PostHogEvent, { global }: PluginMeta<Input>): Webhook | null {
    if (!global.isWanted(event.event)) {
        return null
    }
    const body = global.body(event)
    const headers: Record<string, string> = {}
    for (const [name, value] of global.headers) {
        headers[name] = value(event)
    }
    // An event is delivered at least once: the receiver knows by this that it has it already.
    const id = event.uuid ?? createHash('sha256').update(JSON.stringify(event)).digest('hex')
    Object.assign(headers, { 'webhook-id': id }, global.sign(id, body))
    return { url: global.url(event), method: global.method, headers, body }
}

// ---- settings -------------------------------------------------------------------------------------

function oneOf<T extends string>(key: string, value: string, choices: readonly T[]): T {
    const choice = choices.find((choice) => choice === value)
    if (choice === undefined) {
        throw new Error(`${key}: expected ${choices.join(', ')}, found "${value}"`)
    }
    return choice
}

/** Names separated by commas or line breaks, in which `*` stands for any text. None wants all. */
function nameTest(list: string): (name: string) => boolean {
    const entries = list.split(/[,\n]/).map((entry) => entry.trim())
    const tests = entries.filter((entry) => entry !== '').map(wildcard)
    return (name) => tests.length === 0 || tests.some((matches) => matches(name))
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

function parse(key: string, text: string, advice: string): unknown {
    try {
        return JSON.parse(text)
    } catch (error) {
        throw new Error(`${key}: not valid JSON (${(error as Error).message}); ${advice}`)
    }
}

function parseTexts(key: string, text: string): [string, string][] {
    const value = parse(key, text, 'expected an object of names to texts')
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (!isObject || Object.values(value).some((text) => typeof text !== 'string')) {
        throw new Error(`${key}: expected an object of names to texts`)
    }
    return Object.entries(value)
}

// ---- templates ------------------------------------------------------------------------------------

const PLACEHOLDER = /\{([A-Za-z_$][\w$]*(?:\.[^{}]*)?)\}/
const PLACEHOLDERS = new RegExp(PLACEHOLDER, 'g')

function urlTemplate(text: string): Template<string> {
    // An event must not choose the host: clients write events.
    if (!/^https?:\/\/[^/?#{}]+([/?#]|$)/.test(text)) {
        throw new Error(`url: expected https://, a host without placeholders, and a path, found "${text}"`)
    }
    const fill = textTemplate('url', text, (value) => encodeURIComponent(asText(value)))
    return (event) => {
        const url = fill(event)
        // The URL standard takes such a segment, encoded or not, for a step to another address.
        if (/\/(\.|%2e){1,2}([/?#]|$)/i.test(url)) {
            throw new Error('url: a value of the event is "." or ".." and would lead to another address')
        }
        return url
    }
}

function headerTemplates(text: string): [string, Template<string>][] {
    if (text === '') {
        return []
    }
    return parseTexts('headers', text).map(([name, value]) => {
        if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
            throw new Error(`headers: "${name}" cannot be the name of a header`)
        }
        const fill = textTemplate(`headers, "${name}"`, value, asText)
        // A line break would begin another header.
        return [name.toLowerCase(), (event) => fill(event).replace(/[\r\n\t]+/g, ' ').replace(/[^ -~]/gu, '?').trim()]
    })
}

function bodyTemplate(text: string, format: keyof typeof CONTENT_TYPES): Template<string> {
    if (format === 'text') {
        return textTemplate('body', text || '{event}', asText)
    }
    if (format === 'form') {
        const fields = parseTexts('body', text).map(
            ([name, value]) => [name, textTemplate(`body, "${name}"`, value, asText)] as const,
        )
        const fill = (event: PostHogEvent) => Object.fromEntries(fields.map(([name, value]) => [name, value(event)]))
        return (event) => new URLSearchParams(fill(event)).toString()
    }
    if (text === '') {
        return (event) => JSON.stringify(event)
    }
    const advice = 'placeholders stand in quotes: "{event.properties.n}" is a number if the property is one'
    const make = jsonTemplate('body', parse('body', text, advice))
    return (event) => JSON.stringify(make(event))
}

/** Values get into the texts of the JSON only, so that none can change its structure. */
function jsonTemplate(where: string, value: unknown): Template<unknown> {
    if (typeof value === 'string') {
        const found = PLACEHOLDER.exec(value)
        if (found === null || found[0] !== value) {
            return textTemplate(where, value, asText)
        }
        // Alone in its text, the value keeps its type.
        const path = pathOf(where, found[1]!)
        return (event) => lookUp(event, path) ?? null
    }
    if (Array.isArray(value)) {
        const elements = value.map((element, index) => jsonTemplate(`${where}[${index}]`, element))
        return (event) => elements.map((element) => element(event))
    }
    if (typeof value === 'object' && value !== null) {
        const members = Object.entries(value).map(
            ([key, member]) => [key, jsonTemplate(`${where}, "${key}"`, member)] as const,
        )
        return (event) => Object.fromEntries(members.map(([key, member]) => [key, member(event)]))
    }
    return () => value
}

function textTemplate(where: string, text: string, write: (value: unknown) => string): Template<string> {
    const parts: (string | Template<string>)[] = []
    let end = 0
    for (const found of text.matchAll(PLACEHOLDERS)) {
        const path = pathOf(where, found[1]!)
        parts.push(text.slice(end, found.index), (event) => write(lookUp(event, path)))
        end = found.index + found[0].length
    }
    parts.push(text.slice(end))
    return (event) => parts.map((part) => (typeof part === 'string' ? part : part(event))).join('')
}

/** The path behind `event`; a misspelt one would only be found out by who misses the value. */
function pathOf(where: string, placeholder: string): string {
    const [root, field] = placeholder.split('.', 2)
    if (root !== 'event' || (field !== undefined && !FIELDS.includes(field))) {
        const known = `{event} and {event.…} with ${FIELDS.join(', ')}`
        throw new Error(`${where}: {${placeholder}} is no placeholder; there are ${known}`)
    }
    return placeholder.slice('event.'.length)
}

/** The key as written comes first; then a dot leads inwards, also to an element of a list by its number. */
function lookUp(value: unknown, path: string): unknown {
    if (path === '') {
        return value
    }
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

function asText(value: unknown): string {
    if (value === undefined || value === null) {
        return ''
    }
    if (value instanceof Date) {
        return value.toISOString()
    }
    return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

// ---- signatures -----------------------------------------------------------------------------------

function signer(secret: string, scheme: string): Sign {
    oneOf('signature', scheme, ['standard', 'body'])
    if (secret === '') {
        return () => ({})
    }
    if (scheme === 'body') {
        return (_id, body) => {
            const digest = createHmac('sha256', secret).update(body).digest('hex')
            return { 'x-hub-signature-256': `sha256=${digest}` }
        }
    }
    const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : secret
    return (id, body) => {
        const timestamp = Math.floor(Date.now() / 1000).toString()
        const digest = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
        return { 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${digest}` }
    }
}
