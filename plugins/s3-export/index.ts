// Puts stored events as files into a bucket of S3, or of a server that speaks as S3 does.
// Words: a batch is what one call exports; it becomes one object, whose name is its key.

import { createHash, createHmac } from 'crypto'
import { brotliCompressSync, constants, gzipSync } from 'zlib'

import type { PluginMeta, PluginSettings, ProcessedPluginEvent } from '@posthog/plugin-scaffold'

/** What is named as in the public plugin means the same. */
type Input = {
    config: {
        awsAccessKey?: string
        awsSecretAccessKey?: string
        awsSessionToken?: string
        awsRegion?: string
        s3BucketName?: string
        s3BucketEndpoint?: string
        s3ForcePathStyle?: string
        prefix?: string
        key?: string
        uploadFormat?: string
        compression?: string
        eventsToIgnore?: string
        sse?: string
        sseKmsKeyId?: string
    }
    global: {
        bucket: string
        /** Of the bucket, without a slash at its end. */
        address: string
        credentials: Credentials
        keyTemplate: string
        isArray: boolean
        compression: Compression
        ignored: Set<string>
        headers: Record<string, string>
    }
}

interface Credentials {
    accessKey: string
    secretKey: string
    region: string
}

interface Compression {
    extension: string
    contentType: string | null
    compress: (text: string) => Buffer
}

const COMPRESSIONS = new Map<string, Compression>([
    ['no compression', { extension: '', contentType: null, compress: (text) => Buffer.from(text) }],
    ['gzip', { extension: '.gz', contentType: 'application/gzip', compress: (text) => gzipSync(text) }],
    ['brotli', { extension: '.br', contentType: 'application/octet-stream', compress: brotli }],
])

/**
 * 4 MB of events: with the default, 11, a hundred times as long, for a fifth less; from 5 on, 40 MB more of
 * memory for nothing. A wider window than 256 kB costs memory too.
 */
function brotli(text: string): Buffer {
    const params = { [constants.BROTLI_PARAM_QUALITY!]: 4, [constants.BROTLI_PARAM_LGWIN!]: 18 }
    return brotliCompressSync(text, { params })
}

/** S3's own. */
const LONGEST_KEY = 1024

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const text = (key: keyof Input['config'], otherwise = '') => (config[key] ?? '').trim() || otherwise
    const needed = (key: keyof Input['config']) => {
        const value = text(key)
        if (value === '') {
            throw new Error(`${key}: give one`)
        }
        return value
    }
    const endpoint = text('s3BucketEndpoint')
    if (endpoint === '' && text('awsRegion') === '') {
        throw new Error('awsRegion: give the region of the bucket, or an s3BucketEndpoint')
    }
    // Servers of one's own want a region in the signature too, and this one as a rule.
    const region = text('awsRegion', 'us-east-1')
    global.bucket = needed('s3BucketName')
    global.credentials = { accessKey: needed('awsAccessKey'), secretKey: needed('awsSecretAccessKey'), region }
    global.address = addressOf(global.bucket, region, endpoint, text('s3ForcePathStyle') === 'true')
    global.isArray = oneOf('uploadFormat', text('uploadFormat', 'jsonl'), ['jsonl', 'json']) === 'json'
    const compression = oneOf('compression', text('compression', 'gzip'), [...COMPRESSIONS.keys()])
    global.compression = COMPRESSIONS.get(compression)!
    global.keyTemplate = checkedKey((config.prefix ?? '') + text('key', '{date}/{time}-{id}.{extension}'))
    global.ignored = new Set(names(text('eventsToIgnore')))
    global.headers = encryptionHeaders(text('sse', 'disabled'), text('sseKmsKeyId'))
    if (text('awsSessionToken') !== '') {
        global.headers['x-amz-security-token'] = text('awsSessionToken')
    }
}

export function getSettings(): PluginSettings {
    return { handlesLargeBatches: true }
}

export async function exportEvents(events: ProcessedPluginEvent[], { global }: PluginMeta<Input>): Promise<void> {
    const batch = events.filter((event) => !global.ignored.has(event.event))
    if (batch.length === 0) {
        return
    }
    const documents = batch.map((event) => JSON.stringify(event))
    const text = global.isArray ? `[${documents.join(',')}]` : documents.join('\n') + '\n'
    const { compress, contentType, extension } = global.compression
    const key = fillKey(global.keyTemplate, {
        time: middleOf(batch),
        id: createHash('sha256').update(text).digest('hex').slice(0, ID_LENGTH),
        extension: (global.isArray ? 'json' : 'jsonl') + extension,
    })
    const plainType = global.isArray ? 'application/json' : 'application/x-ndjson'
    await put(global, key, contentType ?? plainType, compress(text))
    console.log(`${batch.length} event${batch.length === 1 ? '' : 's'} in s3://${global.bucket}/${key}`)
}

function names(list: string): string[] {
    return list.split(',').map((name) => name.trim()).filter((name) => name !== '')
}

function oneOf(key: string, value: string, choices: string[]): string {
    if (!choices.includes(value)) {
        throw new Error(`${key}: expected ${choices.join(', ')}, found "${value}"`)
    }
    return value
}

function encryptionHeaders(sse: string, kmsKeyId: string): Record<string, string> {
    oneOf('sse', sse, ['disabled', 'AES256', 'aws:kms'])
    if (sse === 'disabled') {
        return {}
    }
    const headers: Record<string, string> = { 'x-amz-server-side-encryption': sse }
    if (sse === 'aws:kms' && kmsKeyId !== '') {
        headers['x-amz-server-side-encryption-aws-kms-key-id'] = kmsKeyId
    }
    return headers
}

// ---- the address ----------------------------------------------------------------------------------

function addressOf(bucket: string, region: string, endpoint: string, forcePathStyle: boolean): string {
    if (!/^[\w.-]{3,255}$/.test(bucket)) {
        throw new Error(`s3BucketName: "${bucket}" cannot be the name of a bucket`)
    }
    const isChina = region.startsWith('cn-')
    const base = parseEndpoint(endpoint || `https://s3.${region}.amazonaws.com${isChina ? '.cn' : ''}`)
    const path = base.pathname.replace(/\/+$/, '')
    return forcePathStyle || !canBeHost(bucket, base)
        ? `${base.origin}${path}/${bucket}`
        : `${base.protocol}//${bucket}.${base.host}${path}`
}

function parseEndpoint(text: string): URL {
    try {
        const url = new URL(text)
        if (/^https?:$/.test(url.protocol) && url.search === '' && url.hash === '' && url.username === '') {
            return url
        }
    } catch {
        // Said below.
    }
    throw new Error(`s3BucketEndpoint: expected an address such as https://s3.example.com, found "${text}"`)
}

/** An address of numbers has no names below it, and a certificate for all buckets none with dots. */
function canBeHost(bucket: string, { hostname, protocol }: URL): boolean {
    const isNumeric = hostname.startsWith('[') || /^[\d.]+$/.test(hostname)
    const isName = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)
    return !isNumeric && hostname !== 'localhost' && isName && !(protocol === 'https:' && bucket.includes('.'))
}

// ---- the key --------------------------------------------------------------------------------------

/** 64 bits, beside the time: what is not the same batch has another. */
const ID_LENGTH = 16

const PLACEHOLDERS = ['date', 'time', 'year', 'month', 'day', 'hour', 'minute', 'id', 'extension']

function checkedKey(template: string): string {
    for (const [placeholder, name] of template.matchAll(/\{([^{}]*)\}/g)) {
        if (!PLACEHOLDERS.includes(name!)) {
            throw new Error(`key: ${placeholder} is no placeholder; there are {${PLACEHOLDERS.join('}, {')}}`)
        }
    }
    if (!template.includes('{id}')) {
        throw new Error('key: without {id} one batch would overwrite another')
    }
    // The URL standard takes such a segment for a step to another address, encoded or not.
    if (template.split('/').some((segment) => segment === '.' || segment === '..')) {
        throw new Error('key: "." and ".." cannot stand between slashes')
    }
    // All values have a fixed length.
    const sample = fillKey(template, { time: new Date(), id: 'i'.repeat(ID_LENGTH), extension: 'jsonl.gz' })
    if (Buffer.byteLength(sample) > LONGEST_KEY) {
        throw new Error(`key: longer than the ${LONGEST_KEY} bytes that S3 allows`)
    }
    return template
}

function fillKey(template: string, { time, id, extension }: { time: Date; id: string; extension: string }): string {
    const iso = time.toISOString()
    const [date, clock] = iso.split('T') as [string, string]
    const [day, month, year] = [date.slice(-2), date.slice(-5, -3), date.slice(0, -6)]
    const [hour, minute] = [clock.slice(0, 2), clock.slice(3, 5)]
    // As the public plugin writes it: 20260131-235959.999Z.
    const instant = iso.replace(/[-:]/g, '').replace('T', '-')
    const values = { date, time: instant, year, month, day, hour, minute, id, extension }
    return template.replace(/\{(\w+)\}/g, (_, name: keyof typeof values) => values[name])
}

/**
 * When the event in the middle happened. A batch that comes again gets the same key so, and replaces its
 * object; the first or last would let one client with a wrong clock decide.
 */
function middleOf(batch: ProcessedPluginEvent[]): Date {
    const times = batch.map((event) => Date.parse(event.timestamp)).filter((time) => !Number.isNaN(time))
    times.sort((left, right) => left - right)
    return new Date(times[times.length >> 1] ?? Date.now())
}

// ---- the request ----------------------------------------------------------------------------------

async function put(global: Input['global'], key: string, contentType: string, body: Buffer): Promise<void> {
    const url = new URL(`${global.address}/${key.split('/').map(encode).join('/')}`)
    const payloadHash = createHash('sha256').update(body).digest('hex')
    const headers: Record<string, string> = {
        ...global.headers,
        'content-type': contentType,
        'x-amz-content-sha256': payloadHash,
        'x-amz-date': new Date().toISOString().replace(/[-:]|\.\d+/g, ''),
    }
    headers.authorization = authorization('PUT', url, headers, payloadHash, global.credentials)
    let response: Response
    try {
        response = await fetch(url, { method: 'PUT', headers, body, redirect: 'manual' })
    } catch (error) {
        throw new RetryError((error as Error).message)
    }
    if (!response.ok) {
        throw await failure(response, global)
    }
}

/** As RFC 3986, which encodeURIComponent leaves in five characters. */
function encode(segment: string): string {
    const percent = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
    return encodeURIComponent(segment).replace(/[!'()*]/g, percent)
}

/** The header of AWS Signature Version 4: all of `headers` are signed, and the host. */
function authorization(
    method: string,
    url: URL,
    headers: Record<string, string>,
    payloadHash: string,
    { accessKey, secretKey, region }: Credentials,
): string {
    const signed = Object.entries({ ...headers, host: url.host }).sort(([left], [right]) => (left < right ? -1 : 1))
    const names = signed.map(([name]) => name).join(';')
    const lines = signed.map(([name, value]) => `${name}:${value.trim().replace(/ +/g, ' ')}\n`).join('')
    const canonical = [method, url.pathname, '', lines, names, payloadHash].join('\n')

    const time = headers['x-amz-date']!
    const scope = [time.slice(0, 8), region, 's3', 'aws4_request']
    const digest = createHash('sha256').update(canonical).digest('hex')
    const toSign = ['AWS4-HMAC-SHA256', time, scope.join('/'), digest].join('\n')

    let key = Buffer.from(`AWS4${secretKey}`)
    for (const part of [...scope, toSign]) {
        key = createHmac('sha256', key).update(part).digest()
    }
    const credential = `${accessKey}/${scope.join('/')}`
    return `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${key.toString('hex')}`
}

// ---- failures -------------------------------------------------------------------------------------

/** What passes by itself, beside the errors of the server. */
const PASSING_STATUSES = [307, 408, 429]
const PASSING_CODES = ['RequestTimeout', 'OperationAborted', 'SlowDown', 'RequestTimeTooSkewed']

const ADVICE = new Map([
    ['AccessDenied', 'the key needs the right s3:PutObject there'],
    ['SignatureDoesNotMatch', 'awsSecretAccessKey does not belong to awsAccessKey, or a proxy changes requests'],
    ['InvalidAccessKeyId', 'awsAccessKey is wrong, or awsSessionToken is missing'],
    ['ExpiredToken', 'awsSessionToken has expired; for an export that goes on, use a key that does not'],
    ['RequestTimeTooSkewed', 'the clock of this server is wrong'],
])

async function failure(response: Response, { bucket, credentials }: Input['global']): Promise<Error> {
    const { status, headers } = response
    const answer = await response.text().catch(() => '')
    const element = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(answer)?.[1] ?? ''
    const code = element('Code') || `status ${status}`
    const region = headers.get('x-amz-bucket-region') || element('Region')
    const isElsewhere = region !== '' && region !== credentials.region && status >= 300 && status < 500
    const advice = isElsewhere
        ? `the bucket is in ${region}, put that into awsRegion instead of ${credentials.region}`
        : ADVICE.get(code)
    // S3 says the rest in XML; others, and proxies, as they like.
    const reason = element('Message') || answer.replace(/\s+/g, ' ').trim().slice(0, 300)
    const message = [`bucket ${bucket}: ${code}`, reason].filter((part) => part).join(': ') + (advice ? ` (${advice})` : '')
    const passes = status >= 500 || PASSING_STATUSES.includes(status) || PASSING_CODES.includes(code)
    return passes ? new RetryError(message) : new Error(message)
}
