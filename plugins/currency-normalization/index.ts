// Writes amounts of all currencies in one, by exchange rates that are fetched once a day.

import type { CacheExtension, PluginEvent, PluginMeta } from '@posthog/plugin-scaffold'

type Input = {
    config: {
        openExchangeRatesApiKey?: string
        normalizedCurrency?: string
        amountProperty?: string
        currencyProperty?: string
        normalizedAmountProperty?: string
        normalizedCurrencyProperty?: string
        url?: string
        refreshHours?: string
        digits?: string
    }
    global: {
        target: string
        amount: string
        currency: string
        normalizedAmount: string
        normalizedCurrency: string
        url: string
        cacheKey: string
        refreshMilliseconds: number
        scale: number
        rates: Rates | null
        /** After a failed request; without it every event would wait for the next to fail. */
        retryAt: number
    }
}

/** How much of each currency one unit of the base is. */
interface Rates {
    fetchedAt: number
    perUnit: Record<string, number>
}

const HOUR = 3_600_000
const RETRY_AFTER = 60_000
const REQUEST_TIMEOUT = 5_000

/** Rates so old would be wrong rather than late. */
const MAX_AGE = 30 * 24 * HOUR

export function setupPlugin({ config, global }: PluginMeta<Input>): void {
    const text = (key: keyof Input['config'], otherwise = '') => (config[key] ?? '').trim() || otherwise
    const url = text('url', 'https://openexchangerates.org/api/latest.json?app_id={key}')
    const apiKey = text('openExchangeRatesApiKey')
    if (url.includes('{key}') && apiKey === '') {
        throw new Error('openExchangeRatesApiKey: give the key that the url has a place for')
    }
    if (!/^https?:\/\/./.test(url)) {
        throw new Error(`url: expected an address that begins with https://, found "${url}"`)
    }
    global.target = text('normalizedCurrency').toUpperCase()
    if (!/^[A-Z]{3,5}$/.test(global.target)) {
        throw new Error(`normalizedCurrency: expected a code such as EUR, found "${config.normalizedCurrency ?? ''}"`)
    }
    global.amount = text('amountProperty', 'amount')
    global.currency = text('currencyProperty', 'currency')
    global.normalizedAmount = text('normalizedAmountProperty', 'normalized_amount')
    global.normalizedCurrency = text('normalizedCurrencyProperty', 'normalized_currency')
    global.url = url.replaceAll('{key}', () => encodeURIComponent(apiKey))
    // Without the key: what is cached can be read by more people than a secret.
    global.cacheKey = `rates ${url}`
    global.refreshMilliseconds = number('refreshHours', text('refreshHours', '24'), 1, 24 * 7) * HOUR
    global.scale = 10 ** number('digits', text('digits', '4'), 0, 10)
    global.rates = null
    global.retryAt = 0
}

function number(key: string, text: string, least: number, most: number): number {
    const value = Number(text)
    if (!Number.isInteger(value) || value < least || value > most) {
        throw new Error(`${key}: expected a whole number from ${least} to ${most}, found "${text}"`)
    }
    return value
}

export async function processEvent(event: PluginEvent, { cache, global }: PluginMeta<Input>): Promise<PluginEvent> {
    const properties = event.properties
    const amount = parseAmount(properties?.[global.amount])
    const currency: unknown = properties?.[global.currency]
    if (!properties || amount === null || typeof currency !== 'string') {
        return event
    }
    const rates = await currentRates(cache, global)
    const from = rateOf(rates, currency.trim().toUpperCase())
    const to = rateOf(rates, global.target)
    if (from !== null && to !== null) {
        const normalized = (amount / from) * to
        properties[global.normalizedAmount] = Math.round(normalized * global.scale) / global.scale
        properties[global.normalizedCurrency] = global.target
    }
    return event
}

/** Also a number written as text, `12.50`. */
function parseAmount(value: unknown): number | null {
    const isNumber = typeof value === 'number' || (typeof value === 'string' && /^\s*-?\d{1,15}(\.\d{1,15})?\s*$/.test(value))
    return isNumber ? Number(value) : null
}

function rateOf(rates: Rates | null, currency: string): number | null {
    const rate = rates !== null && Object.hasOwn(rates.perUnit, currency) ? rates.perUnit[currency] : null
    return typeof rate === 'number' && rate > 0 ? rate : null
}

/** Those in memory, else those that another session fetched, else new ones; old ones rather than none. */
async function currentRates(cache: CacheExtension, global: Input['global']): Promise<Rates | null> {
    const isFresh = (rates: Rates | null) => rates !== null && Date.now() - rates.fetchedAt < global.refreshMilliseconds
    if (isFresh(global.rates) || Date.now() < global.retryAt) {
        return global.rates
    }
    global.rates = ((await cache.get(global.cacheKey, null)) as Rates | null) ?? global.rates
    if (isFresh(global.rates)) {
        return global.rates
    }
    try {
        global.rates = await fetchRates(global.url)
        await cache.set(global.cacheKey, global.rates, MAX_AGE / 1000)
    } catch (error) {
        global.retryAt = Date.now() + RETRY_AFTER
        if (global.rates !== null && Date.now() - global.rates.fetchedAt > MAX_AGE) {
            global.rates = null
        }
        const consequence = global.rates === null ? 'amounts are not converted' : 'the last rates are used'
        console.error(`no exchange rates, ${consequence}: ${(error as Error).message}`)
    }
    return global.rates
}

async function fetchRates(url: string): Promise<Rates> {
    const response = await fetch(url, { timeout: REQUEST_TIMEOUT })
    if (!response.ok) {
        throw new Error(`status ${response.status}`)
    }
    const answer = await response.json()
    const rates: unknown = answer?.rates
    if (typeof rates !== 'object' || rates === null) {
        throw new Error('the answer has no "rates"')
    }
    const base: unknown = answer.base
    const perUnit = { ...(typeof base === 'string' ? { [base]: 1 } : {}), ...rates }
    return { fetchedAt: Date.now(), perUnit }
}
