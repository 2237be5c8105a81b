// Checks the properties of events against JSON Schema. Events that fail are dropped or labelled.
// Words: a schema is compiled once, in setupPlugin, into a check, a function that says whether a value is valid;
// a keyword ("type", "required", ...) makes one check; a pointer is a JSON pointer (RFC 6901).

import type { PluginAttachment, PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

/** Without a report it stops at the first fault; with one it goes on and describes them all. */
type Check = (value: unknown, report: Report | null) => boolean

type Json = Record<string, unknown>

type Input = {
    config: { schema_json?: unknown; on_invalid?: string }
    attachments: { schema?: PluginAttachment }
    global: { byEvent: Map<string, Check>; otherwise: Check | null; labels: boolean }
}

const ERRORS_PROPERTY = '$schema_errors'

/** One broken client sends the same faults all day; a few of them show what is wrong. */
const MAX_ERRORS = 20

export function setupPlugin({ config, attachments, global }: PluginMeta<Input>): void {
    const onInvalid = config.on_invalid || 'drop'
    if (onInvalid !== 'drop' && onInvalid !== 'label') {
        throw new Error(`on_invalid: expected drop or label, found "${onInvalid}"`)
    }
    global.labels = onInvalid === 'label'

    const root = readSchema(config.schema_json, attachments.schema)
    const compiler = new Compiler(root)
    global.byEvent = new Map()
    global.otherwise = null
    if (isObject(root) && Object.hasOwn(root, 'events')) {
        const { events, ...rest } = root
        // What stands beside the events holds for none of them: only definitions and remarks make sense.
        compiler.compile(rest, '')
        const stranger = Object.keys(rest).find((name) => !ANNOTATIONS.has(name) && !DEFINITIONS.has(name))
        if (stranger !== undefined) {
            refuse('', `"${stranger}" cannot stand beside "events"`)
        }
        for (const [event, schema] of Object.entries(object(events, '/events'))) {
            const check = compiler.compile(schema, child('/events', event))
            if (event === '*') {
                global.otherwise = check
            } else {
                global.byEvent.set(event, check)
            }
        }
    } else {
        global.otherwise = compiler.compile(root, '')
    }
    compiler.refuseEndlessReferences()
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent | null {
    const check = global.byEvent.get(event.event) ?? global.otherwise
    if (check === null) {
        return event
    }
    const properties = event.properties ?? {}
    if (global.labels && properties[ERRORS_PROPERTY] !== undefined) {
        // What a client or an earlier pass wrote here is no finding of this one.
        delete properties[ERRORS_PROPERTY]
    }
    if (check(properties, null)) {
        return event
    }
    const report = new Report()
    check(properties, report)
    if (!global.labels) {
        console.warn(`dropped "${event.event}": ${report.summary()}`)
        return null
    }
    event.properties ??= properties
    properties[ERRORS_PROPERTY] = report.errors
    return event
}

function readSchema(setting: unknown, attachment: PluginAttachment | undefined): unknown {
    const isSet = setting !== undefined && setting !== null && setting !== ''
    if (isSet === (attachment !== undefined)) {
        throw new Error('give the schema either as attachment "schema" or in the setting schema_json')
    }
    const source = attachment === undefined ? setting : attachment.contents.toString()
    if (typeof source !== 'string') {
        return source
    }
    try {
        return JSON.parse(source)
    } catch (error) {
        throw new Error(`the schema is not valid JSON (${(error as Error).message})`)
    }
}

// ---- findings -------------------------------------------------------------------------------------

class Report {
    readonly errors: string[] = []
    private readonly path: (string | number)[] = []
    private count = 0

    add(message: string): void {
        this.count++
        if (this.errors.length < MAX_ERRORS) {
            this.errors.push(`${this.path.reduce<string>(child, '') || '(root)'}: ${message}`)
        }
    }

    within(key: string | number, value: unknown, check: Check): boolean {
        this.path.push(key)
        const valid = check(value, this)
        this.path.pop()
        return valid
    }

    summary(): string {
        const more = this.count - 1
        return `${this.errors[0]}${more > 0 ? ` (and ${more} more)` : ''}`
    }
}

function child(pointer: string, key: string | number): string {
    return `${pointer}/${String(key).replace(/~/g, '~0').replace(/\//g, '~1')}`
}

function within(key: string | number, value: unknown, check: Check, report: Report | null): boolean {
    return report === null ? check(value, null) : report.within(key, value, check)
}

function fail(report: Report | null, message: string): false {
    report?.add(message)
    return false
}

function all(checks: Check[]): Check {
    return checks.length === 1 ? checks[0]! : (value, report) => every(checks, report, (check) => check(value, report))
}

/** Stops at the first failure, unless a report wants to hear of the others. */
function every<T>(items: Iterable<T>, report: Report | null, holds: (item: T) => boolean): boolean {
    let valid = true
    for (const item of items) {
        if (!holds(item)) {
            if (report === null) {
                return false
            }
            valid = false
        }
    }
    return valid
}

// ---- the compiler ---------------------------------------------------------------------------------

const NEVER: Check = (_, report) => fail(report, 'is not allowed')
const ALWAYS: Check = () => true

class Compiler {
    /** Also what makes recursive schemas possible: the check is entered before it is complete. */
    private readonly compiled = new Map<Json, { check: Check }>()
    /** Which schemas a schema applies to the very value it is given itself. */
    private readonly applied = new Map<Json, { target: Json; pointer: string }[]>()
    private readonly root: unknown

    constructor(root: unknown) {
        this.root = root
    }

    compile(schema: unknown, pointer: string): Check {
        if (typeof schema === 'boolean') {
            return schema ? ALWAYS : NEVER
        }
        const json = object(schema, pointer)
        const known = this.compiled.get(json)
        if (known !== undefined) {
            return (value, report) => known.check(value, report)
        }
        const entry = { check: ALWAYS }
        this.compiled.set(json, entry)
        const checks: Check[] = []
        for (const [name, operand] of Object.entries(json)) {
            if (ANNOTATIONS.has(name)) {
                continue
            }
            const keyword = KEYWORDS.get(name) ?? refuse(pointer, `the keyword "${name}" is not supported`)
            const check = keyword(operand, { schema: json, pointer: child(pointer, name), compiler: this })
            if (check !== null) {
                checks.push(check)
            }
        }
        entry.check = checks.length === 0 ? ALWAYS : all(checks)
        return entry.check
    }

    /** For a schema that judges the same value as the one it stands in. */
    compileApplied(schema: unknown, pointer: string, by: Json): Check {
        if (isObject(schema)) {
            this.applied.set(by, [...(this.applied.get(by) ?? []), { target: schema, pointer }])
        }
        return this.compile(schema, pointer)
    }

    resolve(reference: unknown, pointer: string): unknown {
        const path = text(reference, pointer)
        if (path !== '#' && !path.startsWith('#/')) {
            refuse(pointer, `"${path}" leads out of this schema; references begin with #/`)
        }
        const keys = path.split('/').slice(1)
        return keys.reduce<unknown>((schema, key) => {
            const name = decodeURIComponent(key).replace(/~1/g, '/').replace(/~0/g, '~')
            if (typeof schema !== 'object' || schema === null || !Object.hasOwn(schema, name)) {
                refuse(pointer, `"${path}" does not exist`)
            }
            return (schema as Json)[name]
        }, this.root)
    }

    /** A schema that applies itself to the same value again would never end; one that goes deeper ends with the value. */
    refuseEndlessReferences(): void {
        const open = new Set<Json>()
        const done = new Set<Json>()
        const visit = (schema: Json, pointer: string): void => {
            if (open.has(schema)) {
                refuse(pointer, 'refers back to itself without going deeper')
            }
            if (!done.has(schema)) {
                open.add(schema)
                this.applied.get(schema)?.forEach((next) => visit(next.target, next.pointer))
                open.delete(schema)
                done.add(schema)
            }
        }
        for (const schema of this.applied.keys()) {
            visit(schema, '')
        }
    }
}

// ---- keywords -------------------------------------------------------------------------------------

interface Place {
    /** The schema that the keyword stands in, for keywords that look at each other. */
    schema: Json
    pointer: string
    compiler: Compiler
}

/** Null for a keyword that checks nothing by itself. */
type Keyword = (operand: unknown, place: Place) => Check | null

const DEFINITIONS = new Set(['$defs', 'definitions'])

const ANNOTATIONS = new Set([
    '$schema', '$id', '$comment', 'title', 'description', 'default', 'examples', 'deprecated', 'readOnly', 'writeOnly',
])

type Limit = { holds: (size: number, limit: number) => boolean; words: string }
const atLeast: Limit = { holds: (size, limit) => size >= limit, words: 'at least' }
const atMost: Limit = { holds: (size, limit) => size <= limit, words: 'at most' }

const missing: Check = (_, report) => fail(report, 'is missing')
const badName: Check = (_, report) => fail(report, 'has a name that is not allowed')

const onObject = onlyFor(isObject)
const onList = onlyFor<unknown[]>(Array.isArray)
const onText = onlyFor(isString)

const TYPES = new Map<string, (value: unknown) => boolean>([
    ['null', (value) => value === null],
    ['boolean', (value) => typeof value === 'boolean'],
    ['string', (value) => typeof value === 'string'],
    ['number', (value) => typeof value === 'number'],
    ['integer', Number.isInteger],
    ['array', Array.isArray],
    ['object', isObject],
])

const KEYWORDS = new Map<string, Keyword>([
    // Any value
    ['type', (operand, { pointer }) => {
        const names = typeof operand === 'string' ? [operand] : texts(operand, pointer)
        const tests = names.map((name) => TYPES.get(name) ?? refuse(pointer, `"${name}" is no type`))
        const message = `must be ${names.join(' or ')}`
        return (value, report) => tests.some((test) => test(value)) || fail(report, message)
    }],
    ['enum', (operand, { pointer }) => isOneOf(list(operand, pointer), 'must be one of ')],
    ['const', (operand) => isOneOf([operand], 'must be ')],

    // Objects
    ['properties', (operand, { pointer, compiler }) => {
        const checks = compileEach(operand, pointer, compiler)
        return onObject((value, report) =>
            every(checks, report, ([name, check]) => !Object.hasOwn(value, name) || within(name, value[name], check, report))
        )
    }],
    ['patternProperties', (operand, { pointer, compiler }) => {
        const checks = compileEach(operand, pointer, compiler).map(([source, check]) => ({
            pattern: regExp(source, pointer),
            check,
        }))
        return onObject((value, report) =>
            every(Object.keys(value), report, (name) =>
                every(checks, report, ({ pattern, check }) => !pattern.test(name) || within(name, value[name], check, report))
            )
        )
    }],
    ['additionalProperties', (operand, { schema, pointer, compiler }) => {
        const check = compiler.compile(operand, pointer)
        const named = new Set(Object.keys(object(schema['properties'] ?? {}, pointer)))
        const patterns = Object.keys(object(schema['patternProperties'] ?? {}, pointer)).map((source) => regExp(source, pointer))
        const isAdditional = (name: string) => !named.has(name) && !patterns.some((pattern) => pattern.test(name))
        return onObject((value, report) =>
            every(Object.keys(value), report, (name) => !isAdditional(name) || within(name, value[name], check, report))
        )
    }],
    ['propertyNames', (operand, { pointer, compiler }) => {
        const check = compiler.compile(operand, pointer)
        return onObject((value, report) =>
            every(Object.keys(value), report, (name) => check(name, null) || within(name, name, badName, report))
        )
    }],
    ['required', (operand, { pointer }) => {
        const names = texts(operand, pointer)
        return onObject((value, report) => hasAll(value, names, report))
    }],
    ['dependentRequired', (operand, { pointer }) => {
        const dependents = Object.entries(object(operand, pointer)).map(([name, others]) => ({
            name,
            others: texts(others, child(pointer, name)),
        }))
        return onObject((value, report) =>
            every(dependents, report, ({ name, others }) => !Object.hasOwn(value, name) || hasAll(value, others, report))
        )
    }],
    ['minProperties', size(isObject, (value) => Object.keys(value).length, atLeast, 'properties')],
    ['maxProperties', size(isObject, (value) => Object.keys(value).length, atMost, 'properties')],

    // Lists
    ['prefixItems', (operand, { pointer, compiler }) => {
        const checks = list(operand, pointer).map((schema, index) => compiler.compile(schema, child(pointer, index)))
        return onList((value, report) =>
            everyItem(value, 0, Math.min(value.length, checks.length), report, (index) => checks[index]!)
        )
    }],
    ['items', (operand, { schema, pointer, compiler }) => {
        if (Array.isArray(operand)) {
            refuse(pointer, 'a list of schemas belongs in "prefixItems"')
        }
        const check = compiler.compile(operand, pointer)
        const start = schema['prefixItems'] === undefined ? 0 : list(schema['prefixItems'], pointer).length
        return onList((value, report) => everyItem(value, start, value.length, report, () => check))
    }],
    ['contains', (operand, { pointer, compiler }) => {
        const check = compiler.compile(operand, pointer)
        return onList((value, report) =>
            value.some((item) => check(item, null)) || fail(report, 'must contain an item that fits "contains"')
        )
    }],
    ['minItems', size(Array.isArray, (value) => value.length, atLeast, 'items')],
    ['maxItems', size(Array.isArray, (value) => value.length, atMost, 'items')],
    ['uniqueItems', (operand, { pointer }) =>
        boolean(operand, pointer)
            ? onList((value, report) => new JsonSet(value).size === value.length || fail(report, 'must not repeat items'))
            : null],

    // Text
    ['minLength', size(isString, codePoints, atLeast, 'characters')],
    ['maxLength', size(isString, codePoints, atMost, 'characters')],
    ['pattern', (operand, { pointer }) => {
        const source = text(operand, pointer)
        const pattern = regExp(source, pointer)
        return onText((value, report) => pattern.test(value) || fail(report, `must match ${source}`))
    }],
    ['format', (operand, { pointer }) => {
        const name = text(operand, pointer)
        const test = FORMATS.get(name) ?? refuse(pointer, `the format "${name}" is not supported`)
        return onText((value, report) => test(value) || fail(report, `must be a valid ${name}`))
    }],

    // Numbers
    ['minimum', bound((value, limit) => value >= limit, 'at least')],
    ['maximum', bound((value, limit) => value <= limit, 'at most')],
    ['exclusiveMinimum', bound((value, limit) => value > limit, 'more than')],
    ['exclusiveMaximum', bound((value, limit) => value < limit, 'less than')],
    ['multipleOf', (operand, place) => {
        if (number(operand, place.pointer) <= 0) {
            refuse(place.pointer, 'expected a number above 0')
        }
        return bound(isMultiple, 'a multiple of')(operand, place)
    }],

    // Combinations
    ['allOf', (operand, place) => all(compileAlternatives(operand, place))],
    ['anyOf', (operand, place) => {
        const checks = compileAlternatives(operand, place)
        return (value, report) => checks.some((check) => check(value, null)) || fail(report, 'fits none of the schemas in anyOf')
    }],
    ['oneOf', (operand, place) => {
        const checks = compileAlternatives(operand, place)
        return (value, report) => {
            const fitting = checks.filter((check) => check(value, null)).length
            return fitting === 1 || fail(report, `fits ${fitting} of the schemas in oneOf, not exactly one`)
        }
    }],
    ['not', (operand, { schema, pointer, compiler }) => {
        const check = compiler.compileApplied(operand, pointer, schema)
        return (value, report) => !check(value, null) || fail(report, 'fits the schema in not')
    }],
    ['if', (operand, { schema, pointer, compiler }) => {
        const condition = compiler.compileApplied(operand, pointer, schema)
        const branch = (name: string) => compiler.compileApplied(schema[name] ?? true, pointer.replace(/if$/, name), schema)
        const [positive, negative] = [branch('then'), branch('else')]
        return (value, report) => (condition(value, null) ? positive : negative)(value, report)
    }],
    ['then', compileOnly],
    ['else', compileOnly],
    ['$ref', (operand, { schema, pointer, compiler }) =>
        compiler.compileApplied(compiler.resolve(operand, pointer), pointer, schema)],
    ['$defs', compileDefinitions],
    ['definitions', compileDefinitions],
])

/** A keyword for one type has nothing to say about values of the others. */
function onlyFor<T>(isMeant: (value: unknown) => value is T) {
    return (holds: (value: T, report: Report | null) => boolean): Check =>
        (value, report) => !isMeant(value) || holds(value, report)
}

function compileEach(operand: unknown, pointer: string, compiler: Compiler): [string, Check][] {
    const schemas = Object.entries(object(operand, pointer))
    return schemas.map(([name, schema]) => [name, compiler.compile(schema, child(pointer, name))])
}

function compileAlternatives(operand: unknown, { schema, pointer, compiler }: Place): Check[] {
    return list(operand, pointer).map((alternative, index) => compiler.compileApplied(alternative, child(pointer, index), schema))
}

/** Definitions check nothing, but a mistake in one should not wait until it is referred to. */
function compileDefinitions(operand: unknown, { pointer, compiler }: Place): null {
    compileEach(operand, pointer, compiler)
    return null
}

/** `then` and `else` are checked by their `if`; without one they mean nothing. */
function compileOnly(operand: unknown, { pointer, compiler }: Place): null {
    compiler.compile(operand, pointer)
    return null
}

function hasAll(value: Json, names: string[], report: Report | null): boolean {
    return every(names, report, (name) => Object.hasOwn(value, name) || within(name, undefined, missing, report))
}

function everyItem(
    items: unknown[],
    start: number,
    end: number,
    report: Report | null,
    checkOf: (index: number) => Check
): boolean {
    let valid = true
    for (let index = start; index < end; index++) {
        if (!within(index, items[index], checkOf(index), report)) {
            if (report === null) {
                return false
            }
            valid = false
        }
    }
    return valid
}

function isOneOf(values: unknown[], prefix: string): Check {
    const allowed = new JsonSet(values)
    const message = prefix + values.map((value) => JSON.stringify(value)).join(', ')
    return (value, report) => allowed.has(value) || fail(report, message)
}

function size<T>(
    isMeant: (value: unknown) => value is T,
    measure: (value: T) => number,
    limit: Limit,
    unit: string
): Keyword {
    return (operand, { pointer }) => {
        const count = number(operand, pointer)
        if (!Number.isInteger(count) || count < 0) {
            refuse(pointer, 'expected a whole number from 0 on')
        }
        const message = `must have ${limit.words} ${count} ${unit}`
        return onlyFor(isMeant)((value, report) => limit.holds(measure(value), count) || fail(report, message))
    }
}

function bound(holds: (value: number, limit: number) => boolean, words: string): Keyword {
    return (operand, { pointer }) => {
        const limit = number(operand, pointer)
        return (value, report) => typeof value !== 'number' || holds(value, limit) || fail(report, `must be ${words} ${limit}`)
    }
}

/** 0.3 / 0.1 is 2.9999999999999996: one rounding of the quotient is forgiven. */
function isMultiple(value: number, divisor: number): boolean {
    const quotient = value / divisor
    return Math.abs(quotient - Math.round(quotient)) <= Number.EPSILON * Math.max(1, Math.abs(quotient))
}

function codePoints(value: string): number {
    let count = 0
    for (const _ of value) {
        count++
    }
    return count
}

// ---- formats --------------------------------------------------------------------------------------

const DATE = '\\d{4}-\\d{2}-\\d{2}'
const OCTET = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'

const DATE_ONLY = new RegExp(`^${DATE}$`)
const DATE_TIME = new RegExp(`^${DATE}T([01]\\d|2[0-3]):[0-5]\\d:([0-5]\\d|60)(\\.\\d+)?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)$`, 'i')
const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const URI = /^[a-z][a-z0-9+.-]*:[^\s<>"{}|\\^`]+$/i
const IPV4 = new RegExp(`^${OCTET}(\\.${OCTET}){3}$`)

/** RFC 5321 has no longer path; the bound also keeps the expression from walking long text. */
const MAX_EMAIL = 254

const FORMATS = new Map<string, (value: string) => boolean>([
    ['date-time', (value) => DATE_TIME.test(value) && isCalendarDay(value.slice(0, 10))],
    ['date', (value) => DATE_ONLY.test(value) && isCalendarDay(value)],
    ['email', (value) => value.length <= MAX_EMAIL && EMAIL.test(value)],
    ['uuid', (value) => UUID.test(value)],
    ['uri', (value) => URI.test(value)],
    ['ipv4', (value) => IPV4.test(value)],
])

/** Date is lenient: it takes February 30th for a day in March, which does not read back the same. */
function isCalendarDay(day: string): boolean {
    const time = Date.parse(`${day}T00:00:00Z`)
    return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day)
}

// ---- values ---------------------------------------------------------------------------------------

/** Values that are equal as JSON count once: the order of keys does not matter. */
class JsonSet {
    private readonly scalars = new Set<unknown>()
    private readonly containers = new Set<string>()

    constructor(values: unknown[]) {
        for (const value of values) {
            if (isContainer(value)) {
                this.containers.add(canonical(value))
            } else {
                this.scalars.add(value)
            }
        }
    }

    get size(): number {
        return this.scalars.size + this.containers.size
    }

    has(value: unknown): boolean {
        return isContainer(value) ? this.containers.size > 0 && this.containers.has(canonical(value)) : this.scalars.has(value)
    }
}

function canonical(value: unknown): string {
    if (Array.isArray(value)) {
        return `[${value.map(canonical).join()}]`
    }
    if (isObject(value)) {
        const members = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
        return `{${members.join()}}`
    }
    return JSON.stringify(value)
}

function isContainer(value: unknown): boolean {
    return typeof value === 'object' && value !== null
}

function isObject(value: unknown): value is Json {
    return isContainer(value) && !Array.isArray(value)
}

function isString(value: unknown): value is string {
    return typeof value === 'string'
}

// ---- reading the schema ---------------------------------------------------------------------------

function refuse(pointer: string, message: string): never {
    throw new Error(`schema at ${pointer || '(root)'}: ${message}`)
}

function object(value: unknown, pointer: string): Json {
    return isObject(value) ? value : refuse(pointer, 'expected an object')
}

function list(value: unknown, pointer: string): unknown[] {
    return Array.isArray(value) && value.length > 0 ? value : refuse(pointer, 'expected a list that is not empty')
}

function texts(value: unknown, pointer: string): string[] {
    return Array.isArray(value) && value.every(isString) ? value : refuse(pointer, 'expected a list of text')
}

function text(value: unknown, pointer: string): string {
    return isString(value) ? value : refuse(pointer, 'expected text')
}

function number(value: unknown, pointer: string): number {
    return typeof value === 'number' ? value : refuse(pointer, 'expected a number')
}

function boolean(value: unknown, pointer: string): boolean {
    return typeof value === 'boolean' ? value : refuse(pointer, 'expected true or false')
}

function regExp(source: string, pointer: string): RegExp {
    try {
        return new RegExp(source, 'u')
    } catch (error) {
        return refuse(pointer, (error as Error).message)
    }
}
