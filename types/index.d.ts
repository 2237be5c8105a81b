// What a plugin sees: the module '@posthog/plugin-scaffold' and the globals of its realm.
// Copy it beside your plugin, or name it in the "include" of your tsconfig.json.
// Words: an event is what processEvent receives; meta is the last argument of every function.

declare module '@posthog/plugin-scaffold' {
    export type Properties = Record<string, any>

    // ---- events -------------------------------------------------------------------------------

    /** An event on its way into the table: what `processEvent` receives and returns. */
    export interface PluginEvent {
        uuid: string
        event: string
        distinct_id: string
        team_id: number
        ip: string | null
        site_url: string
        /** When the server received the event, ISO 8601. */
        now: string
        /** When the client sent the batch, ISO 8601; clients may leave it out. */
        sent_at?: string
        /** When it happened, as the client says. */
        timestamp?: string
        /** Milliseconds before `sent_at`: the alternative to `timestamp`. */
        offset?: number
        /** Missing in some events, `$identify` for one: test before you use it. */
        properties?: Properties
        /** Person properties to set. */
        $set?: Properties
        /** Person properties to set when they are not there yet. */
        $set_once?: Properties
        person?: PluginPerson
    }

    /** A stored event: what `onEvent` and `exportEvents` receive. */
    export interface ProcessedPluginEvent {
        uuid: string
        event: string
        distinct_id: string
        team_id: number
        ip: string | null
        properties: Properties
        timestamp: string
        $set?: Properties
        $set_once?: Properties
        elements?: Element[]
        person?: PluginPerson
    }

    /** A stored event as `composeWebhook` receives it: `timestamp` is a Date here. */
    export interface PostHogEvent {
        uuid: string
        event: string
        distinct_id: string
        team_id: number
        timestamp: Date
        properties: Properties
        person?: PostHogPerson
        groups?: Record<string, PostHogGroup>
    }

    export interface PluginPerson {
        uuid: string
        team_id: number
        properties: Properties
        created_at: string
    }

    export interface PostHogPerson {
        uuid: string
        properties: Properties
        posthog_url: string
    }

    export interface PostHogGroup {
        key: string
        properties: Properties
        posthog_url: string
    }

    /** One element of an autocaptured click, innermost first. */
    export interface Element {
        text?: string
        tag_name?: string
        href?: string
        attr_id?: string
        attr_class?: string[]
        nth_child?: number
        nth_of_type?: number
        attributes?: Record<string, any>
        event_id?: number
        order?: number
        group_id?: number
    }

    // ---- the plugin ---------------------------------------------------------------------------

    /** What is peculiar to one plugin; each part left out falls back to its general type. */
    export interface PluginInput {
        config?: Record<string, any>
        attachments?: Record<string, PluginAttachment | undefined>
        global?: Record<string, any>
        /** Job name to payload. */
        jobs?: Record<string, any>
        /** Metric name to operation. */
        metrics?: Record<string, MetricsOperation>
    }

    type MaybePromise<T> = T | Promise<T>

    /** Names the input of a plugin type for {@link PluginMeta}; no such key exists at run time. */
    const inputOf: unique symbol

    /** The functions a plugin may export. `meta` comes last in each. */
    export interface Plugin<Input extends PluginInput = {}> {
        setupPlugin?: (meta: Meta<Input>) => MaybePromise<void>
        teardownPlugin?: (meta: Meta<Input>) => MaybePromise<void>
        getSettings?: (meta: Meta<Input>) => PluginSettings
        /** Before the event is stored. Null discards it. */
        processEvent?: (event: PluginEvent, meta: Meta<Input>) => MaybePromise<PluginEvent | null>
        /** The old form of `processEvent`: called with a list of one. */
        processEventBatch?: (events: PluginEvent[], meta: Meta<Input>) => MaybePromise<PluginEvent[]>
        /** After the event is stored. */
        onEvent?: (event: ProcessedPluginEvent, meta: Meta<Input>) => MaybePromise<void>
        /** Stored events in batches. Throw a RetryError to get the batch again. */
        exportEvents?: (events: ProcessedPluginEvent[], meta: Meta<Input>) => MaybePromise<void>
        /** The request to send for a stored event; null sends none. Not async. */
        composeWebhook?: (event: PostHogEvent, meta: Meta<Input>) => Webhook | null
        runEveryMinute?: (meta: Meta<Input>) => MaybePromise<any>
        runEveryHour?: (meta: Meta<Input>) => MaybePromise<any>
        runEveryDay?: (meta: Meta<Input>) => MaybePromise<any>
        jobs?: { [Name in keyof Jobs<Input>]: (payload: any, meta: Meta<Input>) => MaybePromise<any> }
        metrics?: { [Name in keyof Part<Input, 'metrics', Record<string, MetricsOperation>>]: MetricsOperation }
        readonly [inputOf]?: Input
    }

    export interface Webhook {
        url: string
        body: string
        /** `Content-Type: application/json` when left out. */
        headers?: Record<string, string>
        /** POST when left out. */
        method?: 'POST' | 'GET' | 'PUT' | 'DELETE' | 'PATCH'
    }

    export interface PluginSettings {
        /** Ask for larger batches in `exportEvents`. */
        handlesLargeBatches?: boolean
    }

    // ---- meta ---------------------------------------------------------------------------------

    type Part<Input, Name extends string, Otherwise> = Input extends { [N in Name]: infer Given } ? Given : Otherwise

    type Jobs<Input> = Part<Input, 'jobs', Record<string, any>>

    export interface Meta<Input extends PluginInput = {}> {
        /** The configured values. All are strings but `dictionary` fields, which are objects. Read-only. */
        config: Part<Input, 'config', Record<string, any>>
        /** The configured files, by field key. Read-only. */
        attachments: Part<Input, 'attachments', Record<string, PluginAttachment | undefined>>
        /** Yours: lives as long as the plugin stays loaded in this session. */
        global: Part<Input, 'global', Record<string, any>>
        cache: CacheExtension
        storage: StorageExtension
        geoip: GeoIPExtension
        utils: UtilsExtension
        jobs: {
            [Name in keyof Jobs<Input>]: undefined extends Jobs<Input>[Name]
                ? (payload?: Jobs<Input>[Name]) => JobControls
                : (payload: Jobs<Input>[Name]) => JobControls
        }
        metrics: Input extends { metrics: infer Given }
            ? { [Name in keyof Given]: MetricControls<Given[Name]> }
            : Record<string, MetricControls<'sum'> & MetricControls<'max'> & MetricControls<'min'>>
    }

    /** The meta of a plugin type (`PluginMeta<MyPlugin>`) or of an input (`PluginMeta<{ config: ... }>`). */
    export type PluginMeta<T = Plugin> = T extends { readonly [inputOf]?: infer Input }
        ? Input extends PluginInput
            ? Meta<Input>
            : T extends PluginInput
              ? Meta<T>
              : never
        : T extends PluginInput
          ? Meta<T>
          : never

    export interface PluginAttachment {
        content_type: string
        file_name: string
        /** A Buffer: `contents.toString()` is its text. */
        contents: any
    }

    /** A cache shared by all configurations of the plugin in one team. Entries may vanish. */
    export interface CacheExtension {
        set(key: string, value: unknown, ttlSeconds?: number, options?: CacheOptions): Promise<void>
        get(key: string, defaultValue?: unknown, options?: CacheOptions): Promise<any>
        incr(key: string): Promise<number>
        /** False when there is no such key. */
        expire(key: string, ttlSeconds: number): Promise<boolean>
        /** The new length of the list. */
        lpush(key: string, elementOrArray: string | unknown[]): Promise<number>
        /** Both ends count; negative numbers count from the end. */
        lrange(key: string, startIndex: number, endIndex: number): Promise<string[]>
        llen(key: string): Promise<number>
        lpop(key: string, count: number): Promise<string[]>
        /** How many were removed. */
        lrem(key: string, count: number, element: string): Promise<number>
    }

    export interface CacheOptions {
        /** True unless said otherwise. False stores and returns the value as text. */
        jsonSerialize?: boolean
    }

    /** Lasting values of this configuration. Keys have at most 200 characters, values are JSON. */
    export interface StorageExtension {
        get(key: string, defaultValue?: unknown): Promise<any>
        /** Undefined removes the key. */
        set(key: string, value: unknown): Promise<void>
        del(key: string): Promise<void>
    }

    export interface UtilsExtension {
        cursor: CursorUtils
    }

    /** Counters in the storage, safe under concurrency. */
    export interface CursorUtils {
        /** Leaves an existing counter as it is. */
        init(key: string, initialValue?: number): Promise<void>
        /** The new value. */
        increment(key: string, incrementBy?: number): Promise<number>
    }

    export interface GeoIPExtension {
        /** Null for an address that is invalid or not in the database. */
        locate(ip: string): Promise<City | null>
    }

    type Named = { geonameId?: number; names: Record<string, string> & { en: string }; confidence?: number }

    export interface City {
        city?: Named
        continent?: Named & { code: string }
        country?: Named & { isoCode: string; isInEuropeanUnion?: boolean }
        registeredCountry?: Named & { isoCode: string; isInEuropeanUnion?: boolean }
        location?: { latitude: number; longitude: number; accuracyRadius?: number; metroCode?: number; timeZone?: string }
        postal?: { code: string; confidence?: number }
        subdivisions?: (Named & { isoCode: string })[]
        traits?: Record<string, any>
    }

    export interface JobControls {
        runNow(): Promise<void>
        /** Units: milliseconds to years, singular or plural. */
        runIn(duration: number, unit: string): Promise<void>
        /** A date in the past runs at once. */
        runAt(date: Date | number): Promise<void>
    }

    export type MetricsOperation = 'sum' | 'max' | 'min'
    /** The same three under their names, for types such as `MetricsOperation.Sum`. */
    export namespace MetricsOperation {
        type Sum = 'sum'
        type Max = 'max'
        type Min = 'min'
    }

    export type MetricControls<Operation> = Operation extends 'sum'
        ? { increment(value: number): Promise<void> }
        : Operation extends 'max'
          ? { max(value: number): Promise<void> }
          : { min(value: number): Promise<void> }

    // ---- plugin.json --------------------------------------------------------------------------

    interface ConfigField {
        key?: string
        name?: string
        default?: string
        hint?: string
        markdown?: string
        order?: number
        required?: boolean
        secret?: boolean
        required_if?: (string | undefined)[][]
        visible_if?: (string | undefined)[][]
    }

    export type PluginConfigSchema =
        | (ConfigField & { type?: 'string' | 'json' | 'attachment' | 'dictionary' })
        | (ConfigField & { type: 'choice'; choices: string[] })

    // ---- errors and globals -------------------------------------------------------------------

    /** "Try again later": thrown by a function that is retried. */
    export class RetryError extends Error {
        constructor(message?: string)
        readonly nameWithAttempts: string
    }

    export interface ConsoleExtension {
        debug(...args: unknown[]): void
        log(...args: unknown[]): void
        info(...args: unknown[]): void
        warn(...args: unknown[]): void
        error(...args: unknown[]): void
    }

    export interface PostHogExtension {
        /** A new event of the same team. Once this transaction has committed, it passes through the whole
         *  chain into the attached table; loops end after some rounds. */
        capture(event: string, properties?: Properties): Promise<void>
        api: ApiExtension
    }

    export interface ApiExtension {
        get(path: string, options?: ApiMethodOptions): Promise<FetchResponse>
        post(path: string, options?: ApiMethodOptions): Promise<FetchResponse>
        put(path: string, options?: ApiMethodOptions): Promise<FetchResponse>
        patch(path: string, options?: ApiMethodOptions): Promise<FetchResponse>
        delete(path: string, options?: ApiMethodOptions): Promise<FetchResponse>
    }

    export interface ApiMethodOptions {
        data?: Record<string, any>
        headers?: Record<string, string>
        host?: string
        /** The two keys are given together or not at all. */
        projectApiKey?: string
        personalApiKey?: string
    }

    export type FetchOptions = RequestInit
    export type FetchResponse = Response
    export type FetchHeaders = Headers
}

/** The global `fetch`, and its classes. */
declare module 'node-fetch' {
    export type RequestInit = globalThis.RequestInit
    export type ResponseInit = globalThis.ResponseInit
    export const Headers: HeadersClass
    export type Headers = globalThis.Headers
    export const Request: RequestClass
    export type Request = globalThis.Request
    export const Response: ResponseClass
    export type Response = globalThis.Response
    /** Why there is no response: `type` is `system`, or `request-timeout`. */
    export class FetchError extends TypeError {
        constructor(message: string, type?: string)
        type?: string
    }
    export class AbortError extends Error {
        constructor(message?: string)
        type: string
    }
    export function isRedirect(status: number): boolean
    const fetch: typeof globalThis.fetch
    export default fetch
}

/** Hands over what was added when it is full, or when its first object has waited for long enough. */
declare module '@posthog/plugin-contrib' {
    export interface BufferOptions {
        /** The most points of one batch; 10. */
        limit?: number
        /** How long an object may wait; 60. Looked at while a call waits, and with every `add`. */
        timeoutSeconds?: number
        onFlush?: (objects: any[], points: number) => void | Promise<void>
    }
    export function createBuffer(options: BufferOptions): {
        add(object: unknown, points?: number): void
        flush(): Promise<void>
    }
}

declare module 'generic-pool' {
    export interface Factory<T> {
        create(): Promise<T> | T
        destroy(resource: T): Promise<unknown> | unknown
        validate?(resource: T): Promise<boolean> | boolean
    }
    export interface Options {
        max?: number
        min?: number
        maxWaitingClients?: number
        testOnBorrow?: boolean
        testOnReturn?: boolean
        acquireTimeoutMillis?: number
        destroyTimeoutMillis?: number
        fifo?: boolean
        priorityRange?: number
        autostart?: boolean
        /** More than 0: what is idle for too long ends when the next one is borrowed or given back. */
        evictionRunIntervalMillis?: number
        idleTimeoutMillis?: number
        softIdleTimeoutMillis?: number
    }
    export class Pool<T> {
        readonly size: number
        readonly available: number
        readonly borrowed: number
        readonly pending: number
        readonly max: number
        readonly min: number
        acquire(priority?: number): Promise<T>
        release(resource: T): Promise<void>
        destroy(resource: T): Promise<void>
        use<R>(work: (resource: T) => Promise<R> | R, priority?: number): Promise<R>
        isBorrowedResource(resource: T): boolean
        start(): void
        ready(): Promise<void>
        drain(): Promise<void>
        clear(): Promise<void>
        on(event: 'factoryCreateError' | 'factoryDestroyError', listener: (error: any) => void): this
    }
    export function createPool<T>(factory: Factory<T>, options?: Options): Pool<T>
}

// Node's own modules, without types here.
declare module 'assert'
declare module 'assert/strict'
declare module 'buffer'
declare module 'events'
declare module 'path'
declare module 'path/posix'
declare module 'querystring'
declare module 'stream'
declare module 'stream/promises'
declare module 'string_decoder'
declare module 'timers'
declare module 'timers/promises'
declare module 'url'
declare module 'util'
declare module 'util/types'
declare module 'node:*'

declare const console: import('@posthog/plugin-scaffold').ConsoleExtension
declare const posthog: import('@posthog/plugin-scaffold').PostHogExtension
declare const RetryError: typeof import('@posthog/plugin-scaffold').RetryError
/** Reaches only the hosts that the administrator allowed for this configuration. */
declare function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>

type HeadersInit = Headers | Record<string, string> | Iterable<readonly [string, string]>
type BodyInit = string | Uint8Array | ArrayBuffer | URLSearchParams | Blob | FormData

interface RequestInit {
    method?: string
    headers?: HeadersInit | null
    body?: BodyInit | null
    redirect?: 'follow' | 'manual' | 'error'
    signal?: AbortSignal | null
    /** Milliseconds until the request fails; 0 for no limit. */
    timeout?: number
}

interface ResponseInit {
    status?: number
    statusText?: string
    headers?: HeadersInit | null
}

declare class Headers implements Iterable<[string, string]> {
    constructor(init?: HeadersInit | null)
    append(name: string, value: string): void
    delete(name: string): void
    get(name: string): string | null
    getSetCookie(): string[]
    has(name: string): boolean
    set(name: string, value: string): void
    forEach(visit: (value: string, name: string, headers: Headers) => void): void
    entries(): IterableIterator<[string, string]>
    keys(): IterableIterator<string>
    values(): IterableIterator<string>
    /** Every value of every name. */
    raw(): Record<string, string[]>
    [Symbol.iterator](): IterableIterator<[string, string]>
}

/** Can be read once. */
interface Body {
    /** The bytes, which are all there already, in one chunk. */
    readonly body: BodyStream | null
    readonly bodyUsed: boolean
    blob(): Promise<Blob>
    formData(): Promise<FormData>
    arrayBuffer(): Promise<ArrayBuffer>
    buffer(): Promise<Buffer>
    bytes(): Promise<Uint8Array>
    json(): Promise<any>
    text(): Promise<string>
}

interface Request extends Body {}
declare class Request {
    constructor(input: string | URL | Request, init?: RequestInit)
    readonly url: string
    readonly method: string
    readonly headers: Headers
    readonly redirect: 'follow' | 'manual' | 'error'
    readonly signal: AbortSignal
    readonly timeout: number
    clone(): Request
}

interface Response extends Body {}
declare class Response {
    constructor(body?: BodyInit | null, init?: ResponseInit)
    static error(): Response
    static json(data: unknown, init?: ResponseInit): Response
    static redirect(url: string | URL, status?: number): Response
    readonly headers: Headers
    readonly ok: boolean
    readonly redirected: boolean
    readonly status: number
    readonly statusText: string
    readonly type: 'basic' | 'default' | 'error'
    readonly url: string
    clone(): Response
}

// Within 'node-fetch' the classes' own names mean its exports.
type HeadersClass = typeof Headers
type RequestClass = typeof Request
type ResponseClass = typeof Response

interface BodyStream extends AsyncIterable<Uint8Array> {
    readonly locked: boolean
    getReader(): {
        read(): Promise<{ value: Uint8Array; done: false } | { value: undefined; done: true }>
        cancel(): Promise<void>
        releaseLock(): void
    }
    cancel(): Promise<void>
    /** Into a stream of the module 'stream'. */
    pipe<Target>(target: Target): Target
}

declare class Blob {
    constructor(sources?: Iterable<string | Uint8Array | ArrayBuffer | Blob>, options?: { type?: string })
    readonly size: number
    readonly type: string
    arrayBuffer(): Promise<ArrayBuffer>
    bytes(): Promise<Uint8Array>
    slice(start?: number, end?: number, type?: string): Blob
    stream(): BodyStream
    text(): Promise<string>
}

declare class File extends Blob {
    constructor(
        sources: Iterable<string | Uint8Array | ArrayBuffer | Blob>,
        name: string,
        options?: { type?: string; lastModified?: number },
    )
    readonly name: string
    readonly lastModified: number
}

declare class FormData implements Iterable<[string, string | File]> {
    append(name: string, value: string | Blob, fileName?: string): void
    delete(name: string): void
    get(name: string): string | File | null
    getAll(name: string): (string | File)[]
    has(name: string): boolean
    set(name: string, value: string | Blob, fileName?: string): void
    forEach(visit: (value: string | File, name: string, form: FormData) => void): void
    entries(): IterableIterator<[string, string | File]>
    keys(): IterableIterator<string>
    values(): IterableIterator<string | File>
    [Symbol.iterator](): IterableIterator<[string, string | File]>
}

declare class Event {
    constructor(type: string, init?: { bubbles?: boolean; cancelable?: boolean; composed?: boolean })
    readonly type: string
    readonly target: EventTarget | null
    readonly cancelable: boolean
    readonly defaultPrevented: boolean
    preventDefault(): void
    stopImmediatePropagation(): void
}

type EventListener = ((event: Event) => void) | { handleEvent(event: Event): void }

declare class EventTarget {
    addEventListener(
        type: string,
        listener: EventListener | null,
        options?: { once?: boolean; signal?: AbortSignal },
    ): void
    removeEventListener(type: string, listener: EventListener | null): void
    dispatchEvent(event: Event): boolean
}

/** As Node's: an object, which can also be turned into a number. */
interface Timeout {
    close(): this
    hasRef(): boolean
    ref(): this
    refresh(): this
    unref(): this
    [Symbol.toPrimitive](): number
}

interface Immediate {
    hasRef(): boolean
    ref(): this
    unref(): this
}

// They ring until the promise of the call is settled; what is left then is dropped.
declare function setTimeout<Args extends unknown[]>(callback: (...args: Args) => void, delay?: number, ...args: Args): Timeout
declare function setInterval<Args extends unknown[]>(callback: (...args: Args) => void, delay?: number, ...args: Args): Timeout
declare function setImmediate<Args extends unknown[]>(callback: (...args: Args) => void, ...args: Args): Immediate
declare function clearTimeout(timer?: Timeout | number | string | null): void
declare function clearInterval(timer?: Timeout | number | string | null): void
declare function clearImmediate(immediate?: Immediate | null): void

type AbortListener = (event: Event) => void

declare class AbortSignal extends EventTarget {
    private constructor()
    static abort(reason?: unknown): AbortSignal
    static any(signals: Iterable<AbortSignal>): AbortSignal
    /** Rings while a request or the call waits. */
    static timeout(milliseconds: number): AbortSignal
    readonly aborted: boolean
    readonly reason: any
    onabort: AbortListener | null
    throwIfAborted(): void
}

declare class AbortController {
    readonly signal: AbortSignal
    abort(reason?: unknown): void
}

type BufferEncoding = 'utf8' | 'utf-8' | 'hex' | 'base64' | 'base64url' | 'latin1' | 'binary' | 'ascii'

interface Buffer extends Uint8Array {
    toString(encoding?: BufferEncoding, start?: number, end?: number): string
}

declare const Buffer: {
    from(text: string, encoding?: BufferEncoding): Buffer
    from(bytes: ArrayBuffer | ArrayLike<number>): Buffer
    alloc(size: number): Buffer
    concat(list: readonly Uint8Array[]): Buffer
    isBuffer(value: unknown): value is Buffer
    byteLength(text: string, encoding?: BufferEncoding): number
}

declare class URL {
    constructor(url: string, base?: string | URL)
    hash: string
    host: string
    hostname: string
    href: string
    password: string
    pathname: string
    port: string
    protocol: string
    search: string
    username: string
    readonly origin: string
    readonly searchParams: URLSearchParams
    toString(): string
    toJSON(): string
}

declare class URLSearchParams implements Iterable<[string, string]> {
    constructor(init?: string | Record<string, string> | Iterable<[string, string]>)
    append(name: string, value: string): void
    delete(name: string): void
    get(name: string): string | null
    getAll(name: string): string[]
    has(name: string): boolean
    set(name: string, value: string): void
    sort(): void
    forEach(visit: (value: string, name: string) => void): void
    entries(): IterableIterator<[string, string]>
    keys(): IterableIterator<string>
    values(): IterableIterator<string>
    [Symbol.iterator](): IterableIterator<[string, string]>
    toString(): string
}

/** What crypto and zlib take for bytes. */
type BytesLike = string | ArrayBuffer | ArrayBufferView

/** The part of Node's that is there; docs/plugin-api.md has the list. */
declare module 'crypto' {
    type KeyLike = BytesLike | KeyObject
    type Callback<T> = (error: Error | null, result: T) => void
    type KeyInput = KeyLike | { key: KeyLike | object; format?: 'pem' | 'der' | 'jwk'; type?: 'pkcs1' | 'pkcs8' | 'sec1' | 'spki' }
    type SignInput = KeyLike | {
        key: KeyLike | object
        format?: 'pem' | 'der' | 'jwk'
        type?: 'pkcs1' | 'pkcs8' | 'sec1' | 'spki'
        padding?: number
        saltLength?: number
        dsaEncoding?: 'der' | 'ieee-p1363'
    }

    export class Hash {
        update(data: string | ArrayBufferView, encoding?: string): this
        digest(): Buffer
        digest(encoding: string): string
        copy(): Hash
    }
    export class Hmac {
        update(data: string | ArrayBufferView, encoding?: string): this
        digest(): Buffer
        digest(encoding: string): string
    }
    export function createHash(algorithm: string): Hash
    export function createHmac(algorithm: string, key: KeyLike): Hmac
    export function hash(algorithm: string, data: string | ArrayBufferView, encoding?: string): string
    export function getHashes(): string[]

    export function randomBytes(size: number): Buffer
    export function randomBytes(size: number, callback: Callback<Buffer>): void
    export function randomFillSync<T extends ArrayBuffer | ArrayBufferView>(buffer: T, offset?: number, size?: number): T
    export function randomUUID(options?: object): string
    export function randomInt(max: number): number
    export function randomInt(min: number, max: number): number
    export function timingSafeEqual(left: ArrayBuffer | ArrayBufferView, right: ArrayBuffer | ArrayBufferView): boolean

    export function pbkdf2Sync(password: BytesLike, salt: BytesLike, iterations: number, keylen: number, digest: string): Buffer
    export function pbkdf2(password: BytesLike, salt: BytesLike, iterations: number, keylen: number, digest: string, callback: Callback<Buffer>): void
    export function hkdfSync(digest: string, key: KeyLike, salt: BytesLike, info: BytesLike, keylen: number): ArrayBuffer
    export function scryptSync(password: BytesLike, salt: BytesLike, keylen: number, options?: { N?: number; r?: number; p?: number; maxmem?: number }): Buffer

    export class KeyObject {
        readonly type: 'secret' | 'public' | 'private'
        readonly symmetricKeySize?: number
        readonly asymmetricKeyType?: 'rsa' | 'ec' | 'ed25519'
        readonly asymmetricKeyDetails?: { modulusLength?: number; publicExponent?: bigint; namedCurve?: string }
        equals(other: KeyObject): boolean
        export(options: { format: 'pem'; type: string }): string
        export(options: { format: 'jwk' }): Record<string, string>
        export(options?: { format?: 'der'; type?: string }): Buffer
    }
    export function createSecretKey(key: BytesLike, encoding?: string): KeyObject
    export function createPrivateKey(key: KeyInput): KeyObject
    export function createPublicKey(key: KeyInput): KeyObject

    export class Sign {
        update(data: string | ArrayBufferView, encoding?: string): this
        sign(key: SignInput): Buffer
        sign(key: SignInput, encoding: string): string
    }
    export class Verify {
        update(data: string | ArrayBufferView, encoding?: string): this
        verify(key: SignInput, signature: BytesLike, encoding?: string): boolean
    }
    export function createSign(algorithm: string): Sign
    export function createVerify(algorithm: string): Verify
    export function sign(algorithm: string | null | undefined, data: BytesLike, key: SignInput): Buffer
    export function verify(algorithm: string | null | undefined, data: BytesLike, key: SignInput, signature: BytesLike): boolean
    export function publicEncrypt(key: KeyInput | { key: KeyLike; padding?: number; oaepHash?: string }, buffer: BytesLike): Buffer
    export function privateDecrypt(key: KeyInput | { key: KeyLike; padding?: number; oaepHash?: string }, buffer: BytesLike): Buffer

    interface Stage {
        update(data: ArrayBufferView): Buffer
        update(data: string, inputEncoding?: string): Buffer
        update(data: string | ArrayBufferView, inputEncoding: string | undefined, outputEncoding: string): string
        final(): Buffer
        final(encoding: string): string
        setAutoPadding(pads?: boolean): this
        setAAD(data: BytesLike): this
    }
    export interface Cipheriv extends Stage {
        getAuthTag(): Buffer
    }
    export interface Decipheriv extends Stage {
        setAuthTag(tag: BytesLike, encoding?: string): this
    }
    export function createCipheriv(algorithm: string, key: KeyLike, iv: BytesLike | null, options?: { authTagLength?: number }): Cipheriv
    export function createDecipheriv(algorithm: string, key: KeyLike, iv: BytesLike | null, options?: { authTagLength?: number }): Decipheriv
    export function getCiphers(): string[]

    export const constants: Record<string, number>
    const whole: typeof import('crypto')
    export default whole
}

/** Compression. Each has a form with a callback, which is called in a job of its own. */
declare module 'zlib' {
    export interface Options {
        level?: number
        windowBits?: number
        dictionary?: ArrayBuffer | ArrayBufferView
        chunkSize?: number
        finishFlush?: number
        maxOutputLength?: number
        /** Brotli's, by the numbers in `constants`. */
        params?: Record<number, number | boolean>
    }
    type Callback = (error: Error | null, result: Buffer) => void
    interface Calling {
        (data: BytesLike, callback: Callback): void
        (data: BytesLike, options: Options, callback: Callback): void
    }
    type Sync = (data: BytesLike, options?: Options) => Buffer
    export const gzip: Calling, gunzip: Calling, unzip: Calling
    export const deflate: Calling, inflate: Calling, deflateRaw: Calling, inflateRaw: Calling
    export const brotliCompress: Calling, brotliDecompress: Calling
    export const gzipSync: Sync, gunzipSync: Sync, unzipSync: Sync
    export const deflateSync: Sync, inflateSync: Sync, deflateRawSync: Sync, inflateRawSync: Sync
    export const brotliCompressSync: Sync, brotliDecompressSync: Sync
    export const constants: Record<string, number>
    const whole: typeof import('zlib')
    export default whole
}

declare module 'jsonwebtoken' {
    type Key = BytesLike | object
    export type Payload = Record<string, any>
    export interface SignOptions {
        algorithm?: string
        expiresIn?: string | number
        notBefore?: string | number
        audience?: string | string[]
        issuer?: string
        subject?: string
        jwtid?: string
        keyid?: string
        header?: Record<string, unknown>
        encoding?: string
        noTimestamp?: boolean
        mutatePayload?: boolean
        allowInsecureKeySizes?: boolean
        allowInvalidAsymmetricKeyTypes?: boolean
    }
    export interface VerifyOptions {
        algorithms?: string[]
        audience?: string | RegExp | (string | RegExp)[]
        issuer?: string | string[]
        subject?: string
        jwtid?: string
        nonce?: string
        clockTimestamp?: number
        clockTolerance?: number
        maxAge?: string | number
        ignoreExpiration?: boolean
        ignoreNotBefore?: boolean
        complete?: boolean
        allowInvalidAsymmetricKeyTypes?: boolean
    }
    export class JsonWebTokenError extends Error {
        inner?: Error
    }
    export class TokenExpiredError extends JsonWebTokenError {
        expiredAt: Date
    }
    export class NotBeforeError extends JsonWebTokenError {
        date: Date
    }
    export function sign(payload: string | Buffer | object, key: Key, options?: SignOptions): string
    export function verify(token: string, key: Key, options?: VerifyOptions): any
    export function decode(token: string, options?: { complete?: boolean; json?: boolean }): any
    const whole: typeof import('jsonwebtoken')
    export default whole
}

declare const crypto: {
    randomUUID(): string
    getRandomValues<T extends ArrayBufferView>(array: T): T
    readonly subtle: {
        digest(algorithm: string | { name: string }, data: ArrayBuffer | ArrayBufferView): Promise<ArrayBuffer>
        importKey(format: 'raw' | 'pkcs8' | 'spki' | 'jwk', data: any, algorithm: any, extractable: boolean, usages: string[]): Promise<CryptoKey>
        exportKey(format: 'raw' | 'pkcs8' | 'spki' | 'jwk', key: CryptoKey): Promise<any>
        sign(algorithm: any, key: CryptoKey, data: ArrayBuffer | ArrayBufferView): Promise<ArrayBuffer>
        verify(algorithm: any, key: CryptoKey, signature: ArrayBuffer | ArrayBufferView, data: ArrayBuffer | ArrayBufferView): Promise<boolean>
    }
}

interface CryptoKey {
    readonly type: 'secret' | 'public' | 'private'
    readonly extractable: boolean
    readonly algorithm: Record<string, any>
    readonly usages: string[]
}
