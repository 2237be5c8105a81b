// Takes personal data out of an event: by the names of properties, and by what text looks like.
// Words: a kind is a sort of personal data with a way to find it in text; a place is an object of the event.

import { createHmac } from 'crypto'
import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Input = {
    config: {
        kinds?: string
        customPatterns?: string
        properties?: string
        keepProperties?: string
        action?: string
        mask?: string
        salt?: string
        identifiers?: string
    }
    global: Options
}

/** Finds in text, and replaces each find by what `by` gives. */
type Redact = (text: string, by: (found: string) => string) => string

interface Kind {
    name: string
    redact: Redact
}

interface Options {
    kinds: Kind[]
    /** Whole values to redact, by name or path. */
    isNamed: (name: string, path: string) => boolean
    isKept: (name: string, path: string) => boolean
    /** Null to remove. */
    replacement: ((kind: string, found: string) => string) | null
    redactsIdentifiers: boolean
}

/** Without them a person's events fall apart, and a redacted one would join strangers. */
const IDENTIFIERS = [
    'distinct_id', '$anon_distinct_id', '$user_id', '$device_id', 'alias', '$session_id', '$window_id', '$insert_id',
    '$group_0', '$group_1', '$group_2', '$group_3', '$group_4', 'token',
]

/** Who can guess the salt can try all numbers of phones. */
const MIN_SALT = 8

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const names = entries(config.kinds)
    global.kinds = names.map((name) => {
        const redact = KINDS.get(name)
        if (redact === undefined) {
            throw new Error(`kinds: unknown kind "${name}", expected some of ${[...KINDS.keys()].join(', ')}`)
        }
        return { name, redact }
    })
    global.kinds.unshift(...parsePatterns(config.customPatterns ?? ''))

    const named = entries(config.properties)
    if (global.kinds.length === 0 && named.length === 0) {
        throw new Error('nothing to redact: give kinds, customPatterns or properties')
    }
    const redactsIdentifiers = config.identifiers === 'redact'
    global.isNamed = matcher('properties', named)
    global.isKept = matcher('keepProperties', [...entries(config.keepProperties), ...(redactsIdentifiers ? [] : IDENTIFIERS)])
    global.redactsIdentifiers = redactsIdentifiers
    global.replacement = replacementOf(config)
}

function replacementOf(config: Input['config']): Options['replacement'] {
    if (config.action === 'remove') {
        return null
    }
    if (config.action === 'hash') {
        const salt = config.salt ?? ''
        if (salt.length < MIN_SALT) {
            throw new Error(`salt: give at least ${MIN_SALT} characters that nobody knows`)
        }
        return (kind, found) => `${kind}:${createHmac('sha256', salt).update(essence(kind, found)).digest('hex').slice(0, 32)}`
    }
    const mask = config.mask ?? '[{kind}]'
    return (kind) => mask.replaceAll('{kind}', () => kind)
}

/** What two ways to write the same have in common. */
function essence(kind: string, found: string): string {
    switch (kind) {
        case 'email':
            return found.replace('%40', '@').toLowerCase()
        case 'phone':
        case 'card':
        case 'ssn':
            return found.replace(/\D/g, '')
        case 'iban':
            return found.replaceAll(' ', '')
        default:
            return found
    }
}

function entries(list: string | undefined): string[] {
    return (list ?? '')
        .split(/[,\n]/)
        .map((entry) => entry.trim())
        .filter((entry) => entry !== '')
}

/** A name is compared at every depth, a path with dots from the top; case does not count. */
function matcher(key: string, patterns: string[]): (name: string, path: string) => boolean {
    const whole = new Set<string>()
    const starts: string[] = []
    for (const pattern of patterns) {
        const star = pattern.indexOf('*')
        if (star >= 0 && (star === 0 || star < pattern.length - 1)) {
            throw new Error(`${key}: "${pattern}" has a star that is not at its end`)
        }
        if (star < 0) {
            whole.add(pattern.toLowerCase())
        } else {
            starts.push(pattern.slice(0, star).toLowerCase())
        }
    }
    const matches = (text: string) => whole.has(text) || starts.some((start) => text.startsWith(start))
    return whole.size + starts.length === 0 ? () => false : (name, path) => matches(name) || matches(path)
}

function parsePatterns(text: string): Kind[] {
    let patterns: unknown
    try {
        patterns = text.trim() === '' ? {} : JSON.parse(text)
    } catch (error) {
        throw new Error(`customPatterns: no JSON: ${(error as Error).message}`)
    }
    if (typeof patterns !== 'object' || patterns === null || Array.isArray(patterns)) {
        throw new Error('customPatterns: expected an object of names to regular expressions')
    }
    return Object.entries(patterns).map(([name, source]) => {
        if (typeof source !== 'string' || source === '') {
            throw new Error(`customPatterns: expected a regular expression for "${name}"`)
        }
        try {
            return { name, redact: byExpression(new RegExp(source, 'gu')) }
        } catch (error) {
            throw new Error(`customPatterns: "${name}": ${(error as Error).message}`)
        }
    })
}

// ---- the event ------------------------------------------------------------------------------------

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent {
    redactPlaces(event, global)
    if (global.redactsIdentifiers) {
        const id: unknown = event.distinct_id
        const redacted = typeof id === 'string' ? redactText(id, global) : id
        // Without a distinct_id there is no event: an id is masked rather than removed.
        if (redacted !== id && typeof redacted === 'string') {
            event.distinct_id = redacted === '' ? '[removed]' : redacted
        }
    }
    return event
}

/** An object or list that is still to be walked. A stack of them has no depth to run out of. */
interface Visit {
    value: Record<string, unknown>
    path: string
    isList: boolean
}

function redactPlaces(event: PluginEvent, options: Options): void {
    const visits: Visit[] = []
    const push = (value: unknown, path: string) => {
        if (typeof value === 'object' && value !== null) {
            visits.push({ value: value as Record<string, unknown>, path, isList: Array.isArray(value) })
        }
    }
    push(event.properties, '')
    push(event.$set, '$set')
    push(event.$set_once, '$set_once')
    for (let visit = visits.pop(); visit !== undefined; visit = visits.pop()) {
        const { value, path, isList } = visit
        // From the end, as removing from a list moves what follows.
        for (const key of Object.keys(value).reverse()) {
            const name = isList ? '' : key.toLowerCase()
            // A list lends its own path to its elements.
            const inner = isList ? path : path === '' ? name : `${path}.${name}`
            if (options.isKept(name, inner)) {
                continue
            }
            const before = value[key]
            const after = options.isNamed(name, inner) ? redactWhole(before, name, options) : redactValue(before, options)
            if (after === undefined && isList) {
                ;(value as unknown as unknown[]).splice(Number(key), 1)
            } else if (after === undefined) {
                delete value[key]
            } else if (after !== before) {
                value[key] = after
            } else {
                push(before, inner)
            }
        }
    }
}

/** Nothing to hide in null and in empty text. */
function redactWhole(value: unknown, name: string, { replacement }: Options): unknown {
    if (value === null || value === '') {
        return value
    }
    if (replacement === null) {
        return undefined
    }
    return replacement(name, typeof value === 'string' ? value : JSON.stringify(value))
}

function redactValue(value: unknown, options: Options): unknown {
    if (typeof value === 'string') {
        const text = redactText(value, options)
        return text === '' && value !== '' && options.replacement === null ? undefined : text
    }
    // A number can be that of a card; of other kinds it has too little to be told by.
    if (typeof value === 'number' && options.kinds.some(({ name }) => name === 'card') && isCard(String(value))) {
        return options.replacement === null ? undefined : options.replacement('card', String(value))
    }
    return value
}

function redactText(text: string, { kinds, replacement }: Options): string {
    let result = text
    for (const { name, redact } of kinds) {
        result = redact(result, (found) => (replacement === null ? '' : replacement(name, found)))
    }
    return result
}

// ---- kinds ----------------------------------------------------------------------------------------
// Every expression has bounded repetitions only, so that no text makes one slow.

const KINDS = new Map<string, Redact>([
    ['email', redactEmails],
    ['card', byExpression(/(?<![\w.])\d(?:[ -]?\d){12,18}(?!\w|\.\d)/g, isCard)],
    ['iban', byExpression(/(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])/g, isIban)],
    ['ssn', byExpression(/(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])/g)],
    ['phone', byExpression(/(?<![\w.+-])(?:\+\d(?:[ ().\/-]{0,2}\d){6,14}|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4})(?![\w-]|\.\d)/g)],
    ['ip', byExpression(/(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-f:]{2,39}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?)(?![\w:]|\.\d)/gi, isIp)],
])

function byExpression(expression: RegExp, isMeant: (found: string) => boolean = () => true): Redact {
    return (text, by) => text.replace(expression, (found) => (found !== '' && isMeant(found) ? by(found) : found))
}

const MAX_LOCAL_PART = 64
const MAX_DOMAIN = 255

/** From each @, also one that is encoded in a URL, as far as an address can reach to both sides. */
function redactEmails(text: string, by: (found: string) => string): string {
    if (!text.includes('@') && !text.includes('%40')) {
        return text
    }
    let result = ''
    let done = 0
    for (const at of text.matchAll(/@|%40/g)) {
        const after = at.index + at[0].length
        const local = localPartBefore(text.slice(Math.max(done, at.index - MAX_LOCAL_PART), at.index))
        const domain = DOMAIN.exec(text.slice(after, after + MAX_DOMAIN))?.[0]
        if (local !== '' && domain !== undefined) {
            const start = at.index - local.length
            result += text.slice(done, start) + by(local + at[0] + domain)
            done = after + domain.length
        }
    }
    return result + text.slice(done)
}

const DOMAIN = /^(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,62})\.){1,8}[\p{L}][\p{L}\p{N}-]{0,61}[\p{L}\p{N}]/u
const LOCAL_CHARACTER = /[\p{L}\p{N}\p{M}.!#$'*+^_`{|}~-]/u

/** Walks backward: an expression that ends here would begin to try at every character. */
function localPartBefore(text: string): string {
    const characters = [...text]
    let start = characters.length
    while (start > 0 && LOCAL_CHARACTER.test(characters[start - 1]!)) {
        start--
    }
    return characters.slice(start).join('').replace(/^\.+/, '')
}

/** By the first digit, the length and Luhn's check: a time in milliseconds begins with 1. */
function isCard(text: string): boolean {
    const digits = text.replace(/[ -]/g, '')
    const hasForm = /^(?:4\d{12}|3\d{13,14}|[2-6]\d{15}|[46]\d{16,18})$/.test(digits)
    let sum = 0
    for (let place = 0; hasForm && place < digits.length; place++) {
        const digit = Number(digits[digits.length - 1 - place])
        const weighted = place % 2 === 0 ? digit : digit * 2
        sum += weighted > 9 ? weighted - 9 : weighted
    }
    return hasForm && sum % 10 === 0
}

/** ISO 13616: the first four characters to the end, letters as numbers from 10, the rest by 97 is 1. */
function isIban(text: string): boolean {
    const compact = text.replaceAll(' ', '')
    let rest = 0
    for (const character of compact.slice(4) + compact.slice(0, 4)) {
        const value = Number.parseInt(character, 36)
        rest = (rest * (value > 9 ? 100 : 10) + value) % 97
    }
    return compact.length <= 34 && rest === 1
}

function isIp(text: string): boolean {
    const lastColon = text.lastIndexOf(':')
    const tail = text.slice(lastColon + 1)
    const isV4 = tail.includes('.')
    if (isV4 && !tail.split('.').every((octet) => Number(octet) <= 255)) {
        return false
    }
    if (lastColon < 0) {
        return isV4
    }
    const halves = (isV4 ? `${text.slice(0, lastColon + 1)}0:0` : text).split('::')
    const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
    const isFull = halves.length === 1 ? groups.length === 8 : halves.length === 2 && groups.length > 0 && groups.length < 8
    return isFull && groups.every((group) => /^[\da-f]{1,4}$/i.test(group))
}
