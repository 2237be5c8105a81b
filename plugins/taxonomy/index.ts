// Writes the names of your events in one convention, and renames those you list.

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Join = (words: string[]) => string

type Input = {
    config: { defaultNamingConvention?: string; renames?: string; skipEvents?: string }
    global: { join: Join | null; renames: Map<string, string>; skipped: Set<string> }
}

const CONVENTIONS = new Map<string, Join | null>([
    ['camelCase', (words) => words.map((word, index) => (index === 0 ? word : capitalized(word))).join('')],
    ['PascalCase', (words) => words.map(capitalized).join('')],
    ['snake_case', (words) => words.join('_')],
    ['kebab-case', (words) => words.join('-')],
    ['spaces in between', (words) => words.join(' ')],
    ['none', null],
])

/** Events of PostHog itself that have no dollar sign. */
const OF_POSTHOG = ['survey shown', 'survey sent', 'survey dismissed']

/** Longer names are no names; PostHog cuts them at 200. */
const MAX_LENGTH = 400

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const join = CONVENTIONS.get(config.defaultNamingConvention || 'camelCase')
    if (join === undefined) {
        throw new Error(`defaultNamingConvention: unknown convention "${config.defaultNamingConvention}"`)
    }
    const skipped = (config.skipEvents ?? '').split(/[,\n]/).map((name) => name.trim())
    global.join = join
    global.renames = parseRenames(config.renames ?? '')
    global.skipped = new Set([...OF_POSTHOG, ...skipped])
}

function parseRenames(text: string): Map<string, string> {
    let renames: unknown
    try {
        renames = text.trim() === '' ? {} : JSON.parse(text)
    } catch (error) {
        throw new Error(`renames: no JSON: ${(error as Error).message}`)
    }
    if (typeof renames !== 'object' || renames === null || Array.isArray(renames)) {
        throw new Error('renames: expected an object of old names to new ones')
    }
    return new Map(
        Object.entries(renames).map(([before, after]) => {
            if (typeof after !== 'string' || after === '') {
                throw new Error(`renames: expected a new name for "${before}"`)
            }
            return [before, after]
        })
    )
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent {
    const before: unknown = event.event
    if (typeof before === 'string') {
        const after = global.renames.get(before) ?? standardized(before, global)
        if (after !== before) {
            event.event = after
        }
    }
    return event
}

function standardized(name: string, { join, skipped }: Input['global']): string {
    if (join === null || name.startsWith('$') || name.length > MAX_LENGTH || skipped.has(name)) {
        return name
    }
    const words = wordsOf(name)
    return words.length === 0 ? name : join(words)
}

/** At separators, before a capital after a small letter or digit, and before the last capital of several. */
function wordsOf(name: string): string[] {
    return name
        .replace(/(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/gu, ' ')
        .split(/[\s_-]+/)
        .filter((word) => word !== '')
        .map((word) => word.toLowerCase())
}

function capitalized(word: string): string {
    const [first = ''] = word
    return first.toUpperCase() + word.slice(first.length)
}
