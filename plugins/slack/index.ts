// Writes events into a channel of Slack, or of what understands Slack's incoming webhooks.
// Words: a placeholder is `{event.…}` in the template, and stands for a value of the event.

import type { PluginMeta, ProcessedPluginEvent } from '@posthog/plugin-scaffold'

type Template = (event: ProcessedPluginEvent) => string

type Input = {
    config: { webhookUrl?: string; message?: string; events?: string }
    global: { url: string; host: string; template: Template; isWanted: (name: string) => boolean }
}

/** Slack advises 4,000 characters, and cuts at 40,000. */
const LONGEST_MESSAGE = 4_000

/** So that one value leaves room for others. */
const LONGEST_VALUE = 500

const FIELDS = ['uuid', 'event', 'distinct_id', 'team_id', 'timestamp', 'ip', 'properties', '$set', '$set_once']

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const text = (key: keyof Input['config'], otherwise = '') => (config[key] ?? '').trim() || otherwise
    const url = parseUrl(text('webhookUrl'))
    global.url = url.href
    global.host = url.host
    global.template = compile(text('message', '*{event.event}* by {event.distinct_id}'))
    global.isWanted = nameTest(text('events'))
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
    // Without what was found: who has the address can write into the channel.
    throw new Error('webhookUrl: expected an address such as https://hooks.slack.com/services/…')
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

/** One message for all, as Slack takes one a second: it arrives whole or, tried again, whole. */
export async function exportEvents(events: ProcessedPluginEvent[], { global }: PluginMeta<Input>): Promise<void> {
    const lines = events.filter((event) => global.isWanted(event.event)).map(global.template)
    if (lines.length === 0) {
        return
    }
    let response: Response
    try {
        response = await fetch(global.url, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            // Previews would have Slack open addresses that clients wrote.
            body: JSON.stringify({ text: join(lines), unfurl_links: false, unfurl_media: false }),
            redirect: 'manual',
        })
    } catch (error) {
        throw new RetryError((error as Error).message.replaceAll(global.url, global.host))
    }
    if (!response.ok) {
        throw await failure(response, global.host)
    }
}

function join(lines: string[]): string {
    const shown: string[] = []
    let room = LONGEST_MESSAGE
    for (const line of lines) {
        room -= line.length + 1
        // The first in any case: Slack only advises.
        if (room < 0 && shown.length > 0) {
            shown.push(`… and ${lines.length - shown.length} more`)
            break
        }
        shown.push(line)
    }
    return shown.join('\n')
}

// ---- the template ---------------------------------------------------------------------------------

function compile(text: string): Template {
    const parts: (string | Template)[] = []
    let end = 0
    for (const found of text.matchAll(/\{([A-Za-z_$][\w$]*(?:\.[^{}]*)?)\}/g)) {
        const [placeholder, inner] = found
        const [root, field] = inner!.split('.', 2)
        if (root !== 'event' || field === undefined || !FIELDS.includes(field)) {
            throw new Error(`message: ${placeholder} is no placeholder; there is {event.…} with ${FIELDS.join(', ')}`)
        }
        const path = inner!.slice('event.'.length)
        parts.push(text.slice(end, found.index), (event) => escape(asText(lookUp(event, path))))
        end = found.index + placeholder.length
    }
    parts.push(text.slice(end))
    return (event) => parts.map((part) => (typeof part === 'string' ? part : part(event))).join('')
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

function asText(value: unknown): string {
    if (value === undefined || value === null) {
        return '–'
    }
    return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** Slack's three characters: no value can mention a channel or begin a link. */
function escape(value: string): string {
    const line = value.replace(/\s+/g, ' ')
    const cut = line.length > LONGEST_VALUE ? `${line.slice(0, LONGEST_VALUE)}…` : line
    return cut.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

// ---- failures -------------------------------------------------------------------------------------

/** What Slack's short answers mean. */
const MEANINGS = new Map([
    ['no_service', 'the webhook was removed or is switched off'],
    ['no_service_id', 'webhookUrl is incomplete'],
    ['no_team', 'webhookUrl is of no workspace'],
    ['no_active_hooks', 'the webhook is switched off'],
    ['invalid_token', 'webhookUrl is wrong'],
    ['channel_not_found', 'the channel was removed'],
    ['channel_is_archived', 'the channel is archived'],
    ['action_prohibited', 'the workspace does not let the webhook write there'],
    ['posting_to_general_channel_denied', 'the workspace does not let the webhook write there'],
])

async function failure(response: Response, host: string): Promise<Error> {
    const { status } = response
    const answer = (await response.text().catch(() => '')).replace(/\s+/g, ' ').trim().slice(0, 200)
    const meaning = MEANINGS.get(answer)
    const message = `${host} answered ${status}${answer && `: ${answer}`}${meaning ? ` (${meaning})` : ''}`
    return status >= 500 || status === 429 || status === 408 ? new RetryError(message) : new Error(message)
}
