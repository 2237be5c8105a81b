// Reads browser, operating system and device out of the User-Agent header that an event carries.
// Words: a product is a `Name/1.2.3` of the header; the label of a browser is its name in posthog-js.

import type { PluginEvent, PluginMeta, Properties } from '@posthog/plugin-scaffold'

type Input = {
    config: {
        overrideUserAgentDetails?: string
        enableSegmentAnalyticsJs?: string
        names?: string
        keepUserAgent?: string
        debugMode?: string
    }
    global: { sources: string[]; overrides: boolean; readable: boolean; removes: boolean; debugs: boolean }
}

const SOURCES = ['$useragent', '$user-agent', '$user_agent']
const SEGMENT_SOURCE = 'segment_userAgent'
const DETAILS = ['$browser', '$browser_version', '$os', '$device', '$device_type']

/** No browser sends more than some hundred characters; what is longer is not worth the time. */
const MAX_LENGTH = 2000

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const readsSegment = isOn(config.enableSegmentAnalyticsJs)
    global.sources = readsSegment ? [SEGMENT_SOURCE] : SOURCES
    global.overrides = isOn(config.overrideUserAgentDetails)
    global.readable = config.names === 'posthog-js'
    global.removes = !readsSegment && !isOn(config.keepUserAgent)
    global.debugs = isOn(config.debugMode)
}

/** One of these settings was free text in the public plugin. */
function isOn(value: string | undefined): boolean {
    return ['true', 'yes'].includes((value ?? '').trim().toLowerCase())
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent {
    const properties = event.properties
    if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) {
        return event
    }
    const debug = (message: string) => global.debugs && console.warn(`${event.event}: ${message}`)
    const header = global.sources.map((name) => properties[name]).find((value) => typeof value === 'string' && value !== '')
    if (global.removes) {
        for (const name of global.sources) {
            delete properties[name]
        }
    }
    if (header === undefined) {
        debug(`no user agent in ${global.sources.join(', ')}`)
    } else if (!global.overrides && DETAILS.some((name) => Object.hasOwn(properties, name))) {
        debug('has details of the browser already, and overrideUserAgentDetails is off')
    } else {
        describe(properties, header.slice(0, MAX_LENGTH), global.readable)
    }
    return event
}

function describe(properties: Properties, header: string, readable: boolean): void {
    const device = deviceOf(header)
    properties['$device'] = device
    properties['$device_type'] = device === 'iPad' || device === 'Android Tablet' ? 'Tablet' : device ? 'Mobile' : 'Desktop'
    const browser = browserOf(header, readable)
    if (browser === null) {
        return
    }
    properties['$browser'] = readable ? browser.label : browser.name
    properties['$browser_type'] = browser.type
    if (browser.type === 'bot') {
        properties['$browser_version'] = null
        properties['$os'] = null
    } else if (readable) {
        const version = Number.parseFloat(browser.version)
        const [os, osVersion] = readableOs(header)
        properties['$browser_version'] = Number.isNaN(version) ? null : version
        properties['$os'] = os
        if (osVersion !== null) {
            properties['$os_version'] = osVersion
        }
    } else {
        properties['$browser_version'] = threeParts(browser.version)
        properties['$os'] = OPERATING_SYSTEMS.find(([, signs]) => signs.some((sign) => header.includes(sign)))?.[0] ?? null
    }
}

// ---- browsers -------------------------------------------------------------------------------------

interface Browser {
    name: string
    label: string
    version: string
    type: 'browser' | 'bot' | 'bot-device'
}

/** By product, the more particular before what it is built upon: Edge also calls itself Chrome and Safari. */
const PRODUCTS: [product: string, name: string, label: string][] = [
    ['AOLShield', 'aol', 'AOL Shield'],
    ['Edge', 'edge', 'Microsoft Edge'],
    ['EdgiOS', 'edge-ios', 'Microsoft Edge'],
    ['YaBrowser', 'yandexbrowser', 'Yandex'],
    ['KAKAOTALK', 'kakaotalk', 'KakaoTalk'],
    ['SamsungBrowser', 'samsung', 'Samsung Internet'],
    ['Silk', 'silk', 'Amazon Silk'],
    ['MiuiBrowser', 'miui', 'MIUI Browser'],
    ['BeakerBrowser', 'beaker', 'Beaker'],
    ['EdgA', 'edge-chromium', 'Microsoft Edge'],
    ['Edg', 'edge-chromium', 'Microsoft Edge'],
    ['OPR', 'opera', 'Opera'],
    ['Chrome', 'chrome', 'Chrome'],
    ['Chromium', 'chrome', 'Chrome'],
    ['HeadlessChrome', 'chrome', 'Chrome'],
    ['PhantomJS', 'phantomjs', 'PhantomJS'],
    ['CriOS', 'crios', 'Chrome iOS'],
    ['Firefox', 'firefox', 'Firefox'],
    ['FxiOS', 'fxios', 'Firefox iOS'],
    ['Opera Mini', 'opera-mini', 'Opera Mini'],
    ['Opera', 'opera', 'Opera'],
]

/** Called Chrome or Safari by the public plugin; only the names of posthog-js tell them apart. */
const WITHIN_OTHERS: [product: string, label: string][] = [
    ['Instagram', 'Instagram'],
    ['FBAV', 'Facebook Mobile'],
    ['FBSV', 'Facebook Mobile'],
    ['LinkedInApp', 'LinkedIn'],
    ['musical_ly', 'TikTok'],
    ['MicroMessenger', 'WeChat'],
    ['Line', 'Line'],
    ['GSA', 'Google Search App'],
    ['Vivaldi', 'Vivaldi'],
    ['Brave', 'Brave'],
    ['DuckDuckGo', 'DuckDuckGo'],
    ['Ddg', 'DuckDuckGo'],
    ['Whale', 'Whale'],
    ['UCBrowser', 'UC Browser'],
    ['OculusBrowser', 'Oculus Browser'],
    ['PaleMoon', 'Pale Moon'],
    ['Waterfox', 'Waterfox'],
]

/** Crawlers that come as a browser keep its name and are marked as devices of a bot. */
const BOT_DEVICES = ['Googlebot', 'Yammybot', 'Openbot', 'Slurp', 'MSNBot', 'Ask Jeeves/Teoma', 'ia_archiver', 'curl', 'nuhk']

const BOTS = [
    'alexa', 'bot', 'crawler', 'crawling', 'facebookexternalhit', 'feedburner', 'google web preview', 'nagios',
    'postrank', 'pingdom', 'slurp', 'spider', 'yahoo!', 'yandex',
]

function browserOf(header: string, readable: boolean): Browser | null {
    const products = productsOf(header)
    const found = (readable ? withinOther(header, products) : null) ?? byProduct(header, products) ?? byEngine(header, products)
    if (found !== null) {
        const [name, label, version] = found
        return { name, label, version, type: BOT_DEVICES.some((bot) => header.includes(bot)) ? 'bot-device' : 'browser' }
    }
    const lower = header.toLowerCase()
    return BOTS.some((bot) => lower.includes(bot)) ? { name: 'bot', label: 'bot', version: '', type: 'bot' } : null
}

type Found = [name: string, label: string, version: string]

function withinOther(header: string, products: Map<string, string>): Found | null {
    for (const [product, label] of WITHIN_OTHERS) {
        const version = products.get(product)
        if (version !== undefined || header.includes(`[${product}]`)) {
            return [label, label, version ?? '']
        }
    }
    return null
}

function byProduct(header: string, products: Map<string, string>): Found | null {
    for (const [product, name, label] of PRODUCTS) {
        const version = products.get(product)
        if (version === undefined) {
            continue
        }
        if (name === 'chrome' && /\bwv\)/.test(header)) {
            return ['chromium-webview', label, version]
        }
        // From version 10 on, Opera says Opera/9.80 and puts the truth into Version.
        return [name, label, (product.startsWith('Opera') && products.get('Version')) || version]
    }
    return null
}

/** Browsers without a product of their own. */
function byEngine(header: string, products: Map<string, string>): Found | null {
    const version = products.get('Version') ?? ''
    const explorer = after(header, 'MSIE ') ?? (header.includes('Trident/') ? after(header, 'rv:') : null)
    if (explorer !== null) {
        return header.includes('Windows CE') ? ['pie', 'Internet Explorer Mobile', explorer] : ['ie', 'Internet Explorer', explorer]
    }
    if (header.includes('BB10')) {
        return ['bb10', 'BlackBerry', version]
    }
    const android = after(header, 'Android ')
    if (android !== null) {
        return ['android', 'Android Mobile', android]
    }
    if (version !== '' && header.includes('Safari')) {
        return header.includes('Mobile') ? ['ios', 'Mobile Safari', version] : ['safari', 'Safari', version]
    }
    const app = products.get('FBAV') ?? products.get('FBSV')
    if (app !== undefined) {
        return ['facebook', 'Facebook Mobile', app]
    }
    const instagram = products.get('Instagram')
    if (instagram !== undefined) {
        return ['instagram', 'Instagram', instagram]
    }
    const webKit = products.get('AppleWebKit')
    if (webKit !== undefined && (header.includes('Mobile') || header.endsWith('Gecko)'))) {
        return ['ios-webview', 'Mobile Safari', webKit]
    }
    const curl = products.get('curl')
    return curl === undefined ? null : ['curl', 'curl', curl]
}

/** The version after each `Name/` or, as some apps write it, `Name `; one pass, the first of a name counts. */
function productsOf(header: string): Map<string, string> {
    const products = new Map<string, string>()
    for (const [, name, version] of header.matchAll(/(?<![A-Za-z_])(Opera Mini|Instagram|KAKAOTALK|[A-Za-z_]+)[/ ](\d[\d._]*)/g)) {
        if (!products.has(name!)) {
            products.set(name!, version!)
        }
    }
    return products
}

/** The version right after a mark of the header. */
function after(header: string, mark: string): string | null {
    const at = header.indexOf(mark)
    return at < 0 ? null : (/^[\d._]+/.exec(header.slice(at + mark.length, at + mark.length + 20))?.[0] ?? null)
}

/** `14.0` is `14.0.0`, as the public plugin has it; no version stays empty. */
function threeParts(version: string): string {
    const parts = version.split(/[._]/).filter((part) => part !== '')
    return parts.length === 0 ? '' : [...parts, '0', '0'].slice(0, 3).join('.')
}

// ---- operating systems and devices ----------------------------------------------------------------

/** Phones come first: an iPad says Mac OS X too, an Android says Linux. */
const OPERATING_SYSTEMS: [name: string, signs: string[]][] = [
    ['iOS', ['iPhone', 'iPod', 'iPad']],
    ['Android OS', ['Android']],
    ['BlackBerry OS', ['BlackBerry', 'BB10']],
    ['Windows Mobile', ['IEMobile']],
    ['Amazon OS', ['Kindle']],
    ['Windows 3.11', ['Win16']],
    ['Windows 95', ['Windows 95', 'Win95', 'Windows_95']],
    ['Windows 98', ['Windows 98', 'Win98']],
    ['Windows 2000', ['Windows NT 5.0', 'Windows 2000']],
    ['Windows XP', ['Windows NT 5.1', 'Windows XP']],
    ['Windows Server 2003', ['Windows NT 5.2']],
    ['Windows Vista', ['Windows NT 6.0']],
    ['Windows 7', ['Windows NT 6.1']],
    ['Windows 8', ['Windows NT 6.2']],
    ['Windows 8.1', ['Windows NT 6.3']],
    ['Windows 10', ['Windows NT 10.0']],
    ['Windows ME', ['Windows ME']],
    ['Windows CE', ['Windows CE', 'WinCE', 'Microsoft Pocket Internet Explorer']],
    ['Open BSD', ['OpenBSD']],
    ['Sun OS', ['SunOS']],
    ['Chrome OS', ['CrOS']],
    ['Linux', ['Linux', 'X11']],
    ['Mac OS', ['Mac_PowerPC', 'Macintosh']],
    ['QNX', ['QNX']],
    ['BeOS', ['BeOS']],
    ['OS/2', ['OS/2']],
]

function readableOs(header: string): [name: string | null, version: string | null] {
    const dotted = (mark: string) => after(header, mark)?.replaceAll('_', '.').replace(/\.$/, '') ?? null
    if (/iP(hone|od|ad)/.test(header)) {
        return ['iOS', dotted(' OS ')]
    }
    if (header.includes('Android')) {
        return ['Android', dotted('Android ')]
    }
    if (/BlackBerry|BB10|PlayBook/.test(header)) {
        return ['BlackBerry', null]
    }
    if (header.includes('Windows Phone')) {
        return ['Windows Phone', dotted('Windows Phone ')]
    }
    if (header.includes('Windows')) {
        const name = OPERATING_SYSTEMS.find(([, signs]) => signs.some((sign) => header.includes(sign)))?.[0]
        return ['Windows', name?.startsWith('Windows ') ? name.slice('Windows '.length) : null]
    }
    if (header.includes('Mac OS X') || header.includes('Macintosh')) {
        return ['Mac OS X', dotted('Mac OS X ')]
    }
    if (header.includes('CrOS')) {
        return ['Chrome OS', null]
    }
    return [/Linux|X11/.test(header) ? 'Linux' : null, null]
}

function deviceOf(header: string): string {
    if (/Windows Phone|WPDesktop/i.test(header)) {
        return 'Windows Phone'
    }
    const apple = /iPad|iPod|iPhone/.exec(header)?.[0]
    if (apple !== undefined) {
        return apple === 'iPod' ? 'iPod Touch' : apple
    }
    if (/BlackBerry|PlayBook|BB10/i.test(header)) {
        return 'BlackBerry'
    }
    return header.includes('Android') ? (header.includes('Mobile') ? 'Android' : 'Android Tablet') : ''
}
