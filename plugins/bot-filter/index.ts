// Discards or labels the events of robots, known by user agent or IP address.
// Words: a word of a user agent is a run of letters and digits, in small letters.

import type { PluginEvent, PluginMeta, Properties } from '@posthog/plugin-scaffold'

type Input = {
    config: {
        action?: string
        userAgents?: string
        keepUserAgents?: string
        ipRanges?: string
        keepIpRanges?: string
        withoutUserAgent?: string
        userAgentProperties?: string
    }
    global: {
        labels: boolean
        bots: string[]
        kept: string[]
        botRanges: Range[]
        keptRanges: Range[]
        isBotWithout: boolean
        properties: string[]
    }
}

/** Such a word, or a word that ends so, is a robot: Googlebot, AhrefsBot, GPTBot, Baiduspider. */
const ENDINGS = ['bot', 'crawler', 'spider', 'scraper', 'fetcher', 'archiver', 'validator', 'checker']

/** Phones of this maker would end so. */
const NO_BOTS = new Set(['cubot'])

/** Robots whose names end otherwise, and programs that fetch pages. */
const BOT_WORDS = new Set([
    // Search, previews, archives
    'bots', 'crawl', 'slurp', 'mediapartners', 'bingpreview', 'yeti', 'sogou', 'teoma', 'facebookexternalhit',
    'facebookcatalog', 'whatsapp', 'skypeuripreview', 'vkshare', 'embedly', 'flipboardproxy', 'googleother',
    'anthropic', 'screaming', 'sitebulb', 'netcraft', 'censys', 'feedburner',
    // Watchers of sites
    'pingdom', 'statuscake', 'gtmetrix', 'lighthouse', 'pagespeed', 'newrelicpinger', 'datadogsynthetics',
    'synthetics', 'site24x7', 'nagios', 'zabbix', 'prerender', 'catchpoint', 'checkly',
    // Browsers without a window
    'headlesschrome', 'phantomjs', 'slimerjs', 'puppeteer', 'playwright', 'selenium', 'webdriver', 'cypress',
    'htmlunit',
    // Programs
    'curl', 'wget', 'python', 'aiohttp', 'httpx', 'scrapy', 'mechanize', 'libwww', 'lwp', 'okhttp', 'axios',
    'undici', 'guzzlehttp', 'postmanruntime', 'insomnia', 'httpie', 'restsharp', 'winhttp', 'nutch', 'httpclient',
    'heritrix', 'masscan', 'nmap', 'nikto', 'zgrab',
])

/** No browser sends more than some hundred characters. */
const MAX_LENGTH = 2000

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    global.labels = config.action === 'label'
    global.bots = entries(config.userAgents).map((text) => text.toLowerCase())
    global.kept = entries(config.keepUserAgents).map((text) => text.toLowerCase())
    global.botRanges = entries(config.ipRanges).map((text) => parseRange('ipRanges', text))
    global.keptRanges = entries(config.keepIpRanges).map((text) => parseRange('keepIpRanges', text))
    global.isBotWithout = config.withoutUserAgent === 'bot'
    global.properties = entries(config.userAgentProperties)
    if (global.properties.length === 0) {
        throw new Error('userAgentProperties: name at least one property')
    }
}

function entries(list: string | undefined): string[] {
    return (list ?? '')
        .split(/[,\n]/)
        .map((entry) => entry.trim())
        .filter((entry) => entry !== '')
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent | null {
    const bot = botOf(event, global)
    if (bot === null) {
        return event
    }
    if (!global.labels) {
        return null
    }
    if (event.properties) {
        event.properties['$is_bot'] = true
        event.properties['$bot_name'] = bot
    }
    return event
}

/** What gave it away; null for what seems to be a person. */
function botOf({ ip, properties }: PluginEvent, global: Input['global']): string | null {
    if (global.botRanges.length > 0 || global.keptRanges.length > 0) {
        const address = parseAddress(properties?.['$ip'] ?? ip)
        if (address !== null && global.keptRanges.some((range) => contains(range, address))) {
            return null
        }
        const range = address && global.botRanges.find((range) => contains(range, address))
        if (range) {
            return range.text
        }
    }
    const agent = userAgentOf(properties, global.properties)
    if (agent === null) {
        return global.isBotWithout ? 'no user agent' : null
    }
    if (global.kept.some((text) => agent.includes(text))) {
        return null
    }
    return global.bots.find((text) => agent.includes(text)) ?? knownBot(agent)
}

function userAgentOf(properties: Properties | undefined, names: string[]): string | null {
    for (const name of names) {
        const value: unknown = properties?.[name]
        if (typeof value === 'string' && value.trim() !== '') {
            return value.slice(0, MAX_LENGTH).toLowerCase()
        }
    }
    return null
}

function knownBot(agent: string): string | null {
    for (const word of agent.split(/[^a-z0-9]+/)) {
        if (BOT_WORDS.has(word) || (ENDINGS.some((ending) => word.endsWith(ending)) && !NO_BOTS.has(word))) {
            return word
        }
    }
    return null
}

// ---- addresses ------------------------------------------------------------------------------------

interface Range {
    text: string
    /** An address as 16 bytes; IPv4 is mapped into IPv6, as `::ffff:1.2.3.4`. */
    bytes: number[]
    bits: number
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

function parseRange(key: string, text: string): Range {
    const [address = '', length] = text.split('/', 2)
    const bytes = parseAddress(address)
    const most = address.includes(':') ? 128 : 32
    const bits = length === undefined ? most : /^\d{1,3}$/.test(length) ? Number(length) : -1
    if (bytes === null || bits < 0 || bits > most || text.split('/').length > 2) {
        throw new Error(`${key}: expected addresses or ranges such as 192.0.2.0/24 or 2001:db8::/32, found "${text}"`)
    }
    return { text, bytes, bits: bits + 128 - most }
}

function contains({ bytes, bits }: Range, address: number[]): boolean {
    const whole = bits >> 3
    for (let index = 0; index < whole; index++) {
        if (bytes[index] !== address[index]) {
            return false
        }
    }
    const rest = bits & 7
    return rest === 0 || (bytes[whole]! ^ address[whole]!) >> (8 - rest) === 0
}

function parseAddress(value: unknown): number[] | null {
    // The longest form of an address has 45 characters.
    if (typeof value !== 'string' || value.length > 45) {
        return null
    }
    const text = value.trim()
    const octets = parseV4(text)
    return octets ? [...MAPPED, ...octets] : parseV6(text)
}

function parseV4(text: string): number[] | null {
    const parts = text.split('.')
    const isAddress = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)
    return isAddress ? parts.map(Number) : null
}

function parseV6(text: string): number[] | null {
    const halves = text.split('::')
    const [head, tail] = halves.map(parseGroups)
    if (!text.includes(':') || halves.length > 2 || !head || tail === null) {
        return null
    }
    const missing = 16 - head.length - (tail?.length ?? 0)
    const isWhole = tail === undefined ? missing === 0 : missing >= 2
    return isWhole ? [...head, ...new Array<number>(missing).fill(0), ...(tail ?? [])] : null
}

function parseGroups(text: string): number[] | null {
    const bytes: number[] = []
    for (const part of text === '' ? [] : text.split(':')) {
        const octets = part.includes('.') && text.endsWith(part) ? parseV4(part) : null
        if (octets !== null) {
            bytes.push(...octets)
        } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
            const group = Number.parseInt(part, 16)
            bytes.push(group >> 8, group & 0xff)
        } else {
            return null
        }
    }
    return bytes
}
