// Stands behind a plugin's script and takes the place of what it exports: what it finds there is the
// answer. PostHog's search: exports, exports.default, module.exports; the global object only if none of
// them exports anything.
;{
    const isObject = (value) => typeof value === 'object' && value !== null
    const places = [exports, isObject(exports) ? exports.default : undefined, module.exports].filter(isObject)
    if (places.every((place) => Object.keys(place).length === 0)) places.push(globalThis)
    const find = (name) => places.map((place) => place[name]).find(Boolean)
    const isFunction = (name) => typeof find(name) === 'function'
    const members = (name) =>
        Object.assign({}, ...places.map((place) => place[name]).filter(isObject).reverse())
    const methods = [
        'setupPlugin', 'teardownPlugin', 'exportEvents', 'onEvent', 'onAction', 'onSnapshot',
        'processEvent', 'processEventBatch', 'composeWebhook', 'getSettings',
    ].filter(isFunction)
    const names = new Set(places.flatMap((place) => Object.keys(place)))
    const jobs = members('jobs')
    const metrics = members('metrics')
    const found = {
        methods,
        scheduled_tasks: [...names].filter((name) => name.startsWith('runEvery') && isFunction(name)),
        jobs: Object.keys(jobs).filter((name) => typeof jobs[name] === 'function'),
        metrics: Object.fromEntries(
            Object.entries(metrics)
                .filter(([, kind]) => typeof kind === 'string')
                .map(([name, kind]) => [name, kind.toLowerCase()]),
        ),
    }
    module.exports = {}
    exports = { processEvent: () => ({ found }) }
}
