// Sets properties ("labels") on the events that meet the conditions of a rule.
// Words: a condition tests one value of the event; a rule is conditions (`when`) and labels (`set`).

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Scalar = string | number | boolean | null
type Condition = (value: unknown) => boolean
type EventTest = (event: PluginEvent) => boolean

interface Rule {
    when: EventTest[]
    set: [name: string, value: Scalar][]
}

type Input = { config: { rules?: unknown }; global: { rules: Rule[] } }

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const rules = parseJson(config.rules)
    if (!Array.isArray(rules) || rules.length === 0) {
        throw new Error('rules: expected a list of at least one rule')
    }
    global.rules = rules.map((rule, index) => compileRule(rule, `rule ${index + 1}`))
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent {
    for (const { when, set } of global.rules) {
        if (when.every((test) => test(event))) {
            const properties = (event.properties ??= {})
            for (const [name, value] of set) {
                properties[name] = value
            }
        }
    }
    return event
}

// ---- rules ----------------------------------------------------------------------------------------

/** The setting is text; a caller who wrote it as JSON within JSON means the same. */
function parseJson(setting: unknown): unknown {
    if (typeof setting !== 'string') {
        return setting
    }
    try {
        return JSON.parse(setting)
    } catch (error) {
        throw new Error(`rules: not valid JSON (${(error as Error).message})`)
    }
}

function compileRule(rule: unknown, where: string): Rule {
    const { when = {}, set } = fields(rule, ['when', 'set'], where)
    return { when: compileWhen(when, `${where}, when`), set: compileSet(set, `${where}, set`) }
}

function compileWhen(when: unknown, where: string): EventTest[] {
    const { event, distinct_id, properties } = fields(when, ['event', 'distinct_id', 'properties'], where)
    const tests: EventTest[] = []
    if (event !== undefined) {
        const holds = compileCondition(event, `${where}.event`)
        tests.push((candidate) => holds(candidate.event))
    }
    if (distinct_id !== undefined) {
        const holds = compileCondition(distinct_id, `${where}.distinct_id`)
        tests.push((candidate) => holds(candidate.distinct_id))
    }
    if (properties !== undefined) {
        for (const [path, condition] of Object.entries(object(properties, `${where}.properties`))) {
            const holds = compileCondition(condition, `${where}.properties, "${path}"`)
            tests.push((candidate) => holds(lookUp(candidate.properties, path)))
        }
    }
    return tests
}

function compileSet(set: unknown, where: string): Rule['set'] {
    const labels = Object.entries(object(set, where))
    if (labels.length === 0) {
        throw new Error(`${where}: expected at least one label`)
    }
    return labels.map(([name, value]) => {
        if (name === '__proto__') {
            throw new Error(`${where}: a label cannot be called __proto__`)
        }
        // One list or object would be shared by all events, and the next plugin may change it.
        return [name, scalar(value, `${where}, "${name}"`)]
    })
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

// ---- conditions -----------------------------------------------------------------------------------

type Operator = (operand: unknown, where: string) => Condition

const operators = new Map<string, Operator>([
    ['is', (operand, where) => equals(scalar(operand, where))],
    ['is_not', (operand, where) => not(equals(scalar(operand, where)))],
    ['any_of', (operand, where) => oneOf(operand, where)],
    ['none_of', (operand, where) => not(oneOf(operand, where))],
    ['matches', (operand, where) => pattern(operand, 'u', where)],
    ['matches_any_case', (operand, where) => pattern(operand, 'iu', where)],
    ['contains', contains],
    ['starts_with', (operand, where) => onText(text(operand, where), (value, start) => value.startsWith(start))],
    ['ends_with', (operand, where) => onText(text(operand, where), (value, end) => value.endsWith(end))],
    ['gt', (operand, where) => compares(operand, where, (order) => order > 0)],
    ['gte', (operand, where) => compares(operand, where, (order) => order >= 0)],
    ['lt', (operand, where) => compares(operand, where, (order) => order < 0)],
    ['lte', (operand, where) => compares(operand, where, (order) => order <= 0)],
    ['exists', exists],
])

/** A plain value is compared, a list offers several, an object names operators that must all hold. */
function compileCondition(condition: unknown, where: string): Condition {
    if (Array.isArray(condition)) {
        return oneOf(condition, where)
    }
    if (typeof condition !== 'object' || condition === null) {
        return equals(scalar(condition, where))
    }
    const conditions = Object.entries(condition).map(([name, operand]) => {
        const operator = operators.get(name)
        if (operator === undefined) {
            throw new Error(`${where}: unknown operator "${name}"; there are ${[...operators.keys()].join(', ')}`)
        }
        return operator(operand, `${where}.${name}`)
    })
    if (conditions.length === 0) {
        throw new Error(`${where}: expected at least one operator`)
    }
    return (value) => conditions.every((holds) => holds(value))
}

function equals(operand: Scalar): Condition {
    return (value) => value === operand
}

function not(condition: Condition): Condition {
    return (value) => !condition(value)
}

function oneOf(operand: unknown, where: string): Condition {
    if (!Array.isArray(operand) || operand.length === 0) {
        throw new Error(`${where}: expected a list of at least one value`)
    }
    const values = new Set<unknown>(operand.map((value) => scalar(value, where)))
    return (value) => values.has(value)
}

function pattern(operand: unknown, flags: string, where: string): Condition {
    let expression: RegExp
    try {
        expression = new RegExp(text(operand, where), flags)
    } catch (error) {
        throw new Error(`${where}: ${(error as Error).message}`)
    }
    return (value) => typeof value === 'string' && expression.test(value)
}

function contains(operand: unknown, where: string): Condition {
    const part = scalar(operand, where)
    return (value) =>
        Array.isArray(value)
            ? value.includes(part)
            : typeof value === 'string' && typeof part === 'string' && value.includes(part)
}

function exists(operand: unknown, where: string): Condition {
    if (typeof operand !== 'boolean') {
        throw new Error(`${where}: expected true or false`)
    }
    return (value) => (value !== undefined) === operand
}

function onText(operand: string, holds: (value: string, operand: string) => boolean): Condition {
    return (value) => typeof value === 'string' && holds(value, operand)
}

/** Numbers compare with numbers and text with text, which puts ISO dates in order; nothing else compares. */
function compares(operand: unknown, where: string, holds: (order: number) => boolean): Condition {
    if (typeof operand !== 'number' && typeof operand !== 'string') {
        throw new Error(`${where}: expected a number or text`)
    }
    return (value) => {
        if (typeof value !== typeof operand) {
            return false
        }
        const comparable = value as number | string
        return holds(comparable < operand ? -1 : comparable > operand ? 1 : 0)
    }
}

// ---- reading the setting --------------------------------------------------------------------------

function object(value: unknown, where: string): Record<string, unknown> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new Error(`${where}: expected an object`)
    }
    return value as Record<string, unknown>
}

function fields(value: unknown, known: string[], where: string): Record<string, unknown> {
    const given = object(value, where)
    const stranger = Object.keys(given).find((name) => !known.includes(name))
    if (stranger !== undefined) {
        throw new Error(`${where}: unknown key "${stranger}"; there are ${known.join(', ')}`)
    }
    return given
}

function scalar(value: unknown, where: string): Scalar {
    if (value !== null && typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
        throw new Error(`${where}: expected text, a number, true, false or null`)
    }
    return value
}

function text(value: unknown, where: string): string {
    if (typeof value !== 'string') {
        throw new Error(`${where}: expected text`)
    }
    return value
}
