// Looks up the IP address of an event in a MaxMind database (MMDB) that is attached to the plugin.
// Words: the tree leads from the bits of an address to a record; records are in the data section.

import type { PluginAttachment, PluginEvent, PluginMeta, Properties } from '@posthog/plugin-scaffold'

type Field = [property: string, path: string[]]

type Input = {
    config: { fields?: string; language?: string; setPerson?: string; discardIp?: string; discardLibs?: string }
    attachments: { database?: PluginAttachment }
    global: {
        database: Database
        fields: Field[]
        language: string
        setsPerson: boolean
        discardsIp: boolean
        discardedLibs: Set<string>
        /** What was found for the latest addresses. */
        found: Map<string, Found>
    }
}

type Found = [name: string, value: unknown][]

/** Events of one person come one after the other. */
const MAX_FOUND = 500

/** What PostHog sets to null on a person whose new place has none, so that nothing of the old place stays. */
const PERSON_DEFAULTS = [
    'city_name', 'city_confidence', 'subdivision_2_name', 'subdivision_2_code', 'subdivision_1_name',
    'subdivision_1_code', 'country_name', 'country_code', 'continent_name', 'continent_code', 'postal_code', 'latitude',
    'longitude', 'accuracy_radius', 'time_zone',
]

export function setupPlugin({ config, attachments, global }: PluginMeta<Input>): void {
    const file = attachments.database
    if (file === undefined) {
        throw new Error('database: attach a MaxMind database, a file that ends in .mmdb')
    }
    global.database = new Database(file.contents)
    global.language = (config.language ?? '').trim() || 'en'
    global.fields = parseFields(config.fields ?? '')
    global.setsPerson = config.setPerson !== 'No'
    global.discardsIp = config.discardIp === 'true'
    const libs = (config.discardLibs ?? '').split(',').map((lib) => lib.trim().toLowerCase())
    global.discardedLibs = new Set(libs.filter((lib) => lib !== ''))
    global.found = new Map()
}

function parseFields(text: string): Field[] {
    let fields: unknown
    try {
        fields = text.trim() === '' ? {} : JSON.parse(text)
    } catch (error) {
        throw new Error(`fields: no JSON: ${(error as Error).message}`)
    }
    if (!isObject(fields)) {
        throw new Error('fields: expected an object of properties to paths in a record')
    }
    return Object.entries(fields).map(([property, path]) => {
        if (typeof path !== 'string' || path === '') {
            throw new Error(`fields: expected a path for "${property}", such as "traits.isp"`)
        }
        return [property, path.split('.')]
    })
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent {
    const properties: unknown = event.properties ?? {}
    if (!isObject(properties) || properties['$geoip_disable']) {
        return event
    }
    const lib: unknown = properties['$lib']
    const ip: unknown = properties['$ip'] || event.ip
    if (typeof ip !== 'string' || (typeof lib === 'string' && global.discardedLibs.has(lib.toLowerCase()))) {
        return event
    }
    const found = lookUp(ip.trim(), global)
    if (found.length === 0) {
        return event
    }
    event.properties = properties
    for (const [name, value] of found) {
        properties[name] = value
    }
    if (global.setsPerson) {
        setPerson(properties, found)
    }
    if (global.discardsIp) {
        delete properties['$ip']
        event.ip = null
    }
    return event
}

function setPerson(properties: Properties, found: Found): void {
    const set = isObject(properties['$set']) ? properties['$set'] : {}
    const setOnce = isObject(properties['$set_once']) ? properties['$set_once'] : {}
    const isPlace = found.some(([name]) => name.startsWith('$geoip_'))
    for (const name of isPlace ? PERSON_DEFAULTS : []) {
        set[`$geoip_${name}`] ??= null
        setOnce[`$initial_geoip_${name}`] ??= null
    }
    for (const [name, value] of found) {
        set[name] = value
        setOnce[initial(name)] = value
    }
    properties['$set'] = set
    properties['$set_once'] = setOnce
}

function initial(name: string): string {
    return name.startsWith('$') ? `$initial_${name.slice(1)}` : `initial_${name}`
}

function lookUp(ip: string, { database, found, fields, language }: Input['global']): Found {
    const known = found.get(ip)
    if (known !== undefined) {
        return known
    }
    const record = database.get(ip)
    const place = isObject(record) ? placeOf(record, language) : []
    const chosen = fields.map(([property, path]): [string, unknown] => [property, valueAt(record, path)])
    const result = [...place, ...chosen].filter(([name, value]) => value !== undefined && name !== '__proto__')
    if (found.size >= MAX_FOUND) {
        found.clear()
    }
    found.set(ip, result)
    return result
}

/** The properties of PostHog's GeoIP, as far as the database knows them. */
function placeOf(record: Properties, language: string): Found {
    const { city, country, continent, postal, location, subdivisions } = record
    const name = (part: any) => part?.names?.[language] ?? part?.names?.en
    const place: [string, unknown][] = [
        ['city_name', name(city)],
        ['city_confidence', city?.confidence],
        ['country_name', name(country)],
        ['country_code', country?.iso_code],
        ['country_confidence', country?.confidence],
        ['continent_name', name(continent)],
        ['continent_code', continent?.code],
        ['postal_code', postal?.code],
        ['postal_code_confidence', postal?.confidence],
        ['latitude', location?.latitude],
        ['longitude', location?.longitude],
        ['accuracy_radius', location?.accuracy_radius],
        ['time_zone', location?.time_zone],
    ]
    for (const [index, subdivision] of Array.isArray(subdivisions) ? subdivisions.entries() : []) {
        place.push(
            [`subdivision_${index + 1}_code`, subdivision?.iso_code],
            [`subdivision_${index + 1}_name`, name(subdivision)],
            [`subdivision_${index + 1}_confidence`, subdivision?.confidence]
        )
    }
    return place.map(([key, value]) => [`$geoip_${key}`, value])
}

function valueAt(record: unknown, path: string[]): unknown {
    let value = record
    for (const key of path) {
        value = (isObject(value) || Array.isArray(value)) && Object.hasOwn(value, key) ? (value as Properties)[key] : undefined
    }
    return value
}

function isObject(value: unknown): value is Properties {
    return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// ---- the database: MaxMind DB file format, version 2 ------------------------------------------------

const MARKER = [0xab, 0xcd, 0xef, ...Array.from('MaxMind.com', (character) => character.charCodeAt(0))]

/** The description of a database is in its last 128 KiB. */
const MAX_METADATA = 128 * 1024

/** Zeros between the tree and the data section. */
const GAP = 16

/** Real records have some hundred values in 5 levels; a damaged file may refer to itself. */
const MAX_DEPTH = 32
const MAX_VALUES = 10_000

class Database {
    private readonly nodeCount: number
    private readonly recordBits: number
    private readonly hasV6: boolean
    private readonly dataStart: number
    private readonly firstV4Node: number

    constructor(private readonly bytes: Uint8Array) {
        const metadata = this.readMetadata()
        const [nodes, bits, version] = ['node_count', 'record_size', 'ip_version'].map((key) => metadata[key])
        if (typeof nodes !== 'number' || ![24, 28, 32].includes(bits) || (version !== 4 && version !== 6)) {
            throw new Error('database: the description of the database is incomplete')
        }
        this.nodeCount = nodes
        this.recordBits = bits
        this.hasV6 = version === 6
        this.dataStart = (nodes * bits) / 4 + GAP
        if (this.dataStart > bytes.length) {
            throw new Error('database: the file is cut off')
        }
        this.firstV4Node = this.hasV6 ? this.walk(new Array<number>(12).fill(0), 0) : 0
    }

    /** Undefined for an address that is none, or not in the database. */
    get(ip: string): unknown {
        const v4 = parseV4(ip)
        const v6 = v4 === null ? parseV6(ip) : null
        if (v4 === null && (v6 === null || !this.hasV6)) {
            return undefined
        }
        const node = v4 !== null ? this.walk(v4, this.firstV4Node) : this.walk(v6!, 0)
        if (node <= this.nodeCount) {
            return undefined
        }
        return new Decoder(this.bytes, this.dataStart).read(this.dataStart + node - this.nodeCount - GAP)
    }

    /** The record where the bits lead: a node, the number of nodes for nothing, or beyond it a place of data. */
    private walk(address: number[], from: number): number {
        let node = from
        for (let bit = 0; bit < address.length * 8 && node < this.nodeCount; bit++) {
            node = this.record(node, (address[bit >> 3]! >> (7 - (bit & 7))) & 1)
        }
        return node
    }

    private record(node: number, side: number): number {
        const { bytes, recordBits } = this
        const at = (node * recordBits) / 4
        const byte = (index: number) => bytes[at + index]!
        if (recordBits === 24) {
            const first = side * 3
            return (byte(first) << 16) | (byte(first + 1) << 8) | byte(first + 2)
        }
        if (recordBits === 32) {
            const first = side * 4
            return byte(first) * 2 ** 24 + ((byte(first + 1) << 16) | (byte(first + 2) << 8) | byte(first + 3))
        }
        // Of 28 bits, the byte in the middle has the highest four of both.
        return side === 0
            ? ((byte(3) >> 4) << 24) | (byte(0) << 16) | (byte(1) << 8) | byte(2)
            : ((byte(3) & 15) << 24) | (byte(4) << 16) | (byte(5) << 8) | byte(6)
    }

    private readMetadata(): Properties {
        const { bytes } = this
        const least = Math.max(0, bytes.length - MAX_METADATA)
        for (let at = bytes.length - MARKER.length; at >= least; at--) {
            if (MARKER.every((byte, index) => bytes[at + index] === byte)) {
                const start = at + MARKER.length
                const metadata = new Decoder(bytes, start).read(start)
                return isObject(metadata) ? metadata : {}
            }
        }
        throw new Error('database: this is no MaxMind database')
    }
}

/** Reads one value of the data section, with all that is in it. */
class Decoder {
    private at = 0
    private left = MAX_VALUES

    constructor(
        private readonly bytes: Uint8Array,
        private readonly start: number
    ) {}

    read(at: number): unknown {
        this.at = at
        return this.value(0)
    }

    private value(depth: number): unknown {
        if (depth > MAX_DEPTH || this.left-- <= 0) {
            throw new Error('the database is damaged: a record has no end')
        }
        const control = this.byte()
        const type = control >> 5 || this.byte() + 7
        if (type === 1) {
            return this.behindPointer(control, depth)
        }
        const size = this.size(control & 31)
        switch (type) {
            case 2:
                return Buffer.from(this.take(size)).toString('utf8')
            case 3:
                return this.view(8).getFloat64(0)
            case 4:
                return Buffer.from(this.take(size)).toString('base64')
            case 5:
            case 6:
            case 9:
            case 10:
                return this.unsigned(size)
            case 7:
                return this.map(size, depth)
            case 8:
                return size === 4 ? this.unsigned(size) | 0 : this.unsigned(size)
            case 11:
                return this.list(size, depth)
            case 14:
                return size === 1
            case 15:
                return this.view(4).getFloat32(0)
            default:
                throw new Error(`the database is damaged: it has a value of type ${type}`)
        }
    }

    private map(size: number, depth: number): Properties {
        const map: Properties = {}
        for (let index = 0; index < size; index++) {
            const key = String(this.value(depth + 1))
            const value = this.value(depth + 1)
            if (key !== '__proto__') {
                map[key] = value
            }
        }
        return map
    }

    private list(size: number, depth: number): unknown[] {
        const list: unknown[] = []
        for (let index = 0; index < size; index++) {
            list.push(this.value(depth + 1))
        }
        return list
    }

    /** A value may stand elsewhere; what follows the pointer comes next. */
    private behindPointer(control: number, depth: number): unknown {
        const length = ((control >> 3) & 3) + 1
        const high = length === 4 ? 0 : control & 7
        const base = [0, 2048, 526_336, 0][length - 1]!
        const target = high * 2 ** (8 * length) + this.unsigned(length) + base
        const next = this.at
        this.at = this.start + target
        const value = this.value(depth + 1)
        this.at = next
        return value
    }

    private size(bits: number): number {
        switch (bits) {
            case 29:
                return 29 + this.unsigned(1)
            case 30:
                return 285 + this.unsigned(2)
            case 31:
                return 65_821 + this.unsigned(3)
            default:
                return bits
        }
    }

    /** Beyond 2⁵³ digits are lost; no database of places has such numbers. */
    private unsigned(size: number): number {
        return this.take(size).reduce((value, byte) => value * 256 + byte, 0)
    }

    private view(size: number): DataView {
        const part = this.take(size)
        return new DataView(part.buffer, part.byteOffset, part.byteLength)
    }

    private byte(): number {
        return this.take(1)[0]!
    }

    private take(size: number): Uint8Array {
        const from = this.at
        this.at += size
        if (this.at > this.bytes.length) {
            throw new Error('the database is damaged: a record leads beyond its end')
        }
        return this.bytes.subarray(from, this.at)
    }
}

// ---- addresses ------------------------------------------------------------------------------------

function parseV4(text: string): number[] | null {
    const parts = text.replace(/^::ffff:/i, '').split('.')
    const isAddress = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)
    return isAddress ? parts.map(Number) : null
}

function parseV6(text: string): number[] | null {
    // The longest form has 45 characters; a zone such as %eth0 says nothing outside its machine.
    const address = text.split('%', 1)[0]!
    if (address.length > 45 || !address.includes(':')) {
        return null
    }
    const halves = address.split('::')
    const [head, tail] = halves.map(parseGroups)
    if (!head || halves.length > 2 || tail === null) {
        return null
    }
    const missing = 16 - head.length - (tail?.length ?? 0)
    const isWhole = tail === undefined ? missing === 0 : missing >= 2
    return isWhole ? [...head, ...new Array<number>(missing).fill(0), ...(tail ?? [])] : null
}

function parseGroups(text: string): number[] | null {
    const bytes: number[] = []
    for (const part of text === '' ? [] : text.split(':')) {
        if (!/^[0-9a-f]{1,4}$/i.test(part)) {
            return null
        }
        const group = Number.parseInt(part, 16)
        bytes.push(group >> 8, group & 0xff)
    }
    return bytes
}
