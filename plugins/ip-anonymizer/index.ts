// Cuts the part that points to a person off the IP addresses of an event, or removes them.
// Words: a place is an object of the event that may hold addresses: properties, `$set`, `$set_once`.

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Input = {
    config: { mode?: string; ipv4?: string; ipv6?: string; properties?: string }
    global: { names: string[]; removes: boolean; v4Bits: number; v6Bits: number }
}

const V4_BITS = 32
const V6_BITS = 128
const GROUP_BITS = 16
const OCTET_BITS = 8

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    global.names = (config.properties ?? '')
        .split(/[,\n]/)
        .map((name) => name.trim())
        .filter((name) => name !== '')
    global.removes = config.mode === 'remove'
    global.v4Bits = parseBits('ipv4', config.ipv4 || '/24', V4_BITS)
    global.v6Bits = parseBits('ipv6', config.ipv6 || '/48', V6_BITS)
}

function parseBits(key: string, text: string, most: number): number {
    const bits = /^\s*\/?(\d{1,3})\s*$/.exec(text)?.[1]
    if (bits === undefined || Number(bits) > most) {
        throw new Error(`${key}: expected the bits to keep, /0 to /${most}, found "${text}"`)
    }
    return Number(bits)
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent {
    change(event, 'ip', global)
    const properties = event.properties
    const places = [properties, properties?.['$set'], properties?.['$set_once'], event.$set, event.$set_once]
    for (const place of places) {
        if (isObject(place)) {
            for (const name of global.names) {
                change(place, name, global)
            }
        }
    }
    return event
}

function change(place: object, name: string, global: Input['global']): void {
    const object = place as Record<string, unknown>
    if (!Object.hasOwn(object, name)) {
        return
    }
    if (global.removes) {
        delete object[name]
        return
    }
    const before = object[name]
    if (typeof before === 'string') {
        object[name] = anonymize(before, global)
    } else if (Array.isArray(before)) {
        object[name] = before.map((value) => (typeof value === 'string' ? anonymize(value, global) : value))
    }
}

/** Also a list as proxies write it: `client, proxy, proxy`. */
function anonymize(text: string, global: Input['global']): string {
    return text
        .split(',')
        .map((part) => {
            const address = part.trim()
            const result = anonymizeOne(address, global)
            return result === null ? part : part.replace(address, () => result)
        })
        .join(',')
}

/** `[::1]:80` and `1.2.3.4:80` keep their port. Null for what is no address. */
function anonymizeOne(text: string, { v4Bits, v6Bits }: Input['global']): string | null {
    const bracketed = /^\[([^\]]*)\](:\d{1,5})?$/.exec(text)
    if (bracketed !== null) {
        const groups = parseV6(bracketed[1]!)
        return groups && `[${anonymizeV6(groups, v4Bits, v6Bits)}]${bracketed[2] ?? ''}`
    }
    const withPort = /^([\d.]+)(:\d{1,5})?$/.exec(text)
    if (withPort !== null) {
        const octets = parseV4(withPort[1]!)
        return octets && mask(octets, OCTET_BITS, v4Bits).join('.') + (withPort[2] ?? '')
    }
    const groups = parseV6(text)
    return groups && anonymizeV6(groups, v4Bits, v6Bits)
}

/** `::ffff:1.2.3.4` is an IPv4 address in the clothes of IPv6. */
function anonymizeV6(groups: number[], v4Bits: number, v6Bits: number): string {
    const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)
    if (!isMapped) {
        return writeV6(mask(groups, GROUP_BITS, v6Bits))
    }
    const [high = 0, low = 0] = mask(groups.slice(6), GROUP_BITS, v4Bits)
    return `::ffff:${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`
}

/** Keeps the first `bits` of an address given in parts of `width` bits. */
function mask(parts: number[], width: number, bits: number): number[] {
    return parts.map((part, index) => {
        const kept = Math.max(0, Math.min(width, bits - index * width))
        return part & ((2 ** width - 1) << (width - kept))
    })
}

function parseV4(text: string): number[] | null {
    const parts = text.split('.')
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
    if (tail === undefined) {
        return head.length === 8 ? head : null
    }
    const missing = 8 - head.length - tail.length
    return missing < 1 ? null : [...head, ...new Array<number>(missing).fill(0), ...tail]
}

function parseGroups(text: string): number[] | null {
    if (text === '') {
        return []
    }
    const groups: number[] = []
    const parts = text.split(':')
    for (const [index, part] of parts.entries()) {
        const octets = index === parts.length - 1 ? parseV4(part) : null
        if (octets !== null) {
            groups.push((octets[0]! << 8) | octets[1]!, (octets[2]! << 8) | octets[3]!)
        } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
            groups.push(Number.parseInt(part, 16))
        } else {
            return null
        }
    }
    return groups
}

/** As RFC 5952 writes it: the longest run of two or more zeros is left out, the first of equals. */
function writeV6(groups: number[]): string {
    let start = -1
    let length = 1
    for (let from = 0; from < groups.length; from++) {
        let to = from
        while (groups[to] === 0) {
            to++
        }
        if (to - from > length) {
            start = from
            length = to - from
        }
        from = Math.max(from, to)
    }
    const write = (part: number[]) => part.map((group) => group.toString(16)).join(':')
    return start < 0 ? write(groups) : `${write(groups.slice(0, start))}::${write(groups.slice(start + length))}`
}

function isObject(value: unknown): value is object {
    return typeof value === 'object' && value !== null && !Array.isArray(value)
}
