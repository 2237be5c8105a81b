// Adds the place of an event's IP address, from the database of places that the server has.

import type { City, PluginEvent, PluginMeta, Properties } from '@posthog/plugin-scaffold'

type Input = {
    config: { setPerson?: string; discardIp?: string; discardLibs?: string }
    global: { setsPerson: boolean; discardsIp: boolean; discardedLibs: Set<string> }
}

type Place = [name: string, value: unknown][]

/** What PostHog sets to null on a person whose new place has none, so that nothing of the old place stays. */
const PERSON_DEFAULTS = [
    'city_name', 'city_confidence', 'subdivision_2_name', 'subdivision_2_code', 'subdivision_1_name',
    'subdivision_1_code', 'country_name', 'country_code', 'continent_name', 'continent_code', 'postal_code', 'latitude',
    'longitude', 'accuracy_radius', 'time_zone',
]

/** Addresses of one's own network are in no database: RFC 1122, 1918, 3927, 4193, 4291, 6598. */
const LOCAL =
    /^(::ffff:)?(0|10|127|169\.254|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\.|^::1?$|^f[cd][\da-f]{2}:|^fe[89ab][\da-f]:/i

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const libs = (config.discardLibs ?? '').split(',').map((lib) => lib.trim().toLowerCase())
    global.setsPerson = config.setPerson !== 'No'
    global.discardsIp = config.discardIp === 'true'
    global.discardedLibs = new Set(libs.filter((lib) => lib !== ''))
}

export async function processEvent(event: PluginEvent, { geoip, global }: PluginMeta<Input>): Promise<PluginEvent> {
    const properties: unknown = event.properties ?? {}
    if (!isObject(properties) || properties['$geoip_disable']) {
        return event
    }
    const lib: unknown = properties['$lib']
    const ip: unknown = properties['$ip'] || event.ip
    const isLeftAlone = typeof lib === 'string' && global.discardedLibs.has(lib.toLowerCase())
    if (typeof ip !== 'string' || isLeftAlone || LOCAL.test(ip.trim())) {
        return event
    }
    const city = await geoip.locate(ip.trim())
    if (city === null) {
        return event
    }
    const place = placeOf(city)
    event.properties = properties
    for (const [name, value] of place) {
        properties[`$geoip_${name}`] = value
    }
    if (global.setsPerson) {
        setPerson(properties, place)
    }
    if (global.discardsIp) {
        delete properties['$ip']
        event.ip = null
    }
    return event
}

function placeOf({ city, country, continent, postal, location, subdivisions }: City): Place {
    const place: Place = [
        ['city_name', city?.names?.en],
        ['city_confidence', city?.confidence],
        ['country_name', country?.names?.en],
        ['country_code', country?.isoCode],
        ['country_confidence', country?.confidence],
        ['continent_name', continent?.names?.en],
        ['continent_code', continent?.code],
        ['postal_code', postal?.code],
        ['postal_code_confidence', postal?.confidence],
        ['latitude', location?.latitude],
        ['longitude', location?.longitude],
        ['accuracy_radius', location?.accuracyRadius],
        ['time_zone', location?.timeZone],
    ]
    for (const [index, subdivision] of (subdivisions ?? []).entries()) {
        place.push(
            [`subdivision_${index + 1}_code`, subdivision.isoCode],
            [`subdivision_${index + 1}_name`, subdivision.names?.en],
            [`subdivision_${index + 1}_confidence`, subdivision.confidence]
        )
    }
    return place.filter(([, value]) => value !== undefined && value !== null)
}

function setPerson(properties: Properties, place: Place): void {
    const set = isObject(properties['$set']) ? properties['$set'] : {}
    const setOnce = isObject(properties['$set_once']) ? properties['$set_once'] : {}
    for (const name of PERSON_DEFAULTS) {
        set[`$geoip_${name}`] ??= null
        setOnce[`$initial_geoip_${name}`] ??= null
    }
    for (const [name, value] of place) {
        set[`$geoip_${name}`] = value
        setOnce[`$initial_geoip_${name}`] = value
    }
    properties['$set'] = set
    properties['$set_once'] = setOnce
}

function isObject(value: unknown): value is Properties {
    return typeof value === 'object' && value !== null && !Array.isArray(value)
}
