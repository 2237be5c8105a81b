// Breaks the time of an event into properties: year, month, day, hour, minute, day of the week.
// Words: a wall time is what a clock on the wall of the chosen zone showed.

import type { PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

/** Milliseconds since 1970, shifted so that UTC reads as the wall time. */
type ToWallTime = (instant: number) => number

type Input = {
    config: { timezone?: string; prefix?: string; extended?: string }
    global: { toWallTime: ToWallTime; prefix: string; isExtended: boolean }
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** Seconds since 1970 stay below it until the year 5138; milliseconds are above since March 1973. */
const FIRST_MILLISECONDS = 1e11

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    global.toWallTime = wallTimeOf((config.timezone ?? '').trim() || 'UTC')
    global.prefix = config.prefix ?? ''
    global.isExtended = config.extended === 'Yes'
}

export function processEvent(event: PluginEvent, { global }: PluginMeta<Input>): PluginEvent {
    const properties = event.properties
    const instant = parse(event.timestamp) ?? parse(event.sent_at) ?? parse(event.now)
    if (!properties || Array.isArray(properties) || instant === null) {
        return event
    }
    const wall = new Date(global.toWallTime(instant))
    const month = wall.getUTCMonth()
    const weekday = wall.getUTCDay()
    const set = (name: string, value: unknown) => {
        properties[global.prefix + name] = value
    }
    set('day_of_the_week', DAYS[weekday])
    set('day', wall.getUTCDate())
    set('month', month + 1)
    set('year', wall.getUTCFullYear())
    set('hour', wall.getUTCHours())
    set('minute', wall.getUTCMinutes())
    if (global.isExtended) {
        set('quarter', Math.floor(month / 3) + 1)
        set('week', isoWeek(wall))
        set('is_weekend', weekday === 0 || weekday === 6)
    }
    return event
}

/** ISO 8601, with or without a zone (then UTC), or a number of seconds or milliseconds. */
function parse(value: unknown): number | null {
    const isNumber = typeof value === 'number' || (typeof value === 'string' && /^\s*\d+(\.\d+)?\s*$/.test(value))
    if (isNumber) {
        const number = Number(value)
        return checked(number < FIRST_MILLISECONDS ? number * 1000 : number)
    }
    if (typeof value !== 'string') {
        return null
    }
    // PostgreSQL's own form of a timestamptz, `2026-01-31 10:00:00+01`, is no ISO 8601.
    const iso = value.trim().replace(/^(\d{4}-\d{2}-\d{2}) (?=\d)/, '$1T').replace(/([T ].*[+-]\d{2})$/, '$1:00')
    const hasZone = /(Z|[+-]\d{2}:?\d{2})$/i.test(iso)
    return checked(Date.parse(/T\d/.test(iso) && !hasZone ? `${iso}Z` : iso))
}

/** Before the year 1 and after 9999 no event has happened. */
function checked(instant: number): number | null {
    return instant >= -62135596800000 && instant < 253402300800000 ? instant : null
}

/** The week belongs to the year that its Thursday is in. */
function isoWeek(wall: Date): number {
    const thursday = new Date(wall.getTime() + (4 - (wall.getUTCDay() || 7)) * DAY)
    const january1 = Date.UTC(thursday.getUTCFullYear(), 0, 1)
    return Math.floor((thursday.getTime() - january1) / (7 * DAY)) + 1
}

// ---- zones ----------------------------------------------------------------------------------------

function wallTimeOf(zone: string): ToWallTime {
    if (/^(utc|gmt|z)$/i.test(zone)) {
        return (instant) => instant
    }
    const fixed = /^(?:utc|gmt)?([+-])(\d{1,2})(?::?([0-5]\d))?$/i.exec(zone)
    if (fixed !== null && Number(fixed[2]) <= 14) {
        const minutes = Number(fixed[2]) * 60 + Number(fixed[3] ?? 0)
        const offset = (fixed[1] === '-' ? -minutes : minutes) * MINUTE
        return (instant) => instant + offset
    }
    return namedZone(zone)
}

function namedZone(zone: string): ToWallTime {
    if (typeof Intl === 'undefined') {
        throw new Error(`timezone: names of zones need Intl, give UTC or an offset such as +02:00 instead of "${zone}"`)
    }
    let format: Intl.DateTimeFormat
    try {
        format = new Intl.DateTimeFormat('en-US', {
            timeZone: zone,
            hourCycle: 'h23',
            year: 'numeric',
            month: '2-digit',
            day: '2-digit',
            hour: '2-digit',
            minute: '2-digit',
        })
    } catch {
        throw new Error(`timezone: expected UTC, an offset such as +02:00 or a name such as Europe/Berlin, found "${zone}"`)
    }
    return (instant) => {
        const parts = new Map(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]))
        const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0
        return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'))
    }
}
