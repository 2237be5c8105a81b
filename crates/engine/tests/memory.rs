//! Memory can run out at any allocation: while a realm is made, while a script is compiled, inside
//! the engine's own callbacks. Each time there is an outcome, and with more memory the next engine
//! works.

mod common;

use common::{Bench, program};
use engine::{FailureKind, Limits, Program};

/// Uses much of what a realm offers, so that memory runs out in many places.
const BUSY: &str = r#"
    class Counter { #n = 0; get n() { return this.#n } add() { this.#n++; return this } }
    function* numbers() { for (let i = 0; i < 20; i++) yield i }
    exports.setupPlugin = async ({ global }) => { global.counter = new Counter(); await null }
    exports.processEvent = async (event, { global, config }) => {
        const { properties } = event
        global.counter.add()
        properties.list = [...numbers()].map(n => ({ n, text: `number ${n}` }))
        properties.url = new URL('https://example.com/a?b=c').searchParams.get('b')
        properties.bytes = Buffer.from('text').toString('base64')
        properties.match = 'a1b22c333'.replace(/\d+/g, digits => `<${digits}>`)
        properties.set = [...new Set(['a', 'b', 'a'])].sort().concat(['c'])
        properties.json = JSON.parse(JSON.stringify({ ...properties, date: new Date(0) }))
        console.log('seen', properties)
        await Promise.all([1, 2].map(async n => n))
        properties.made = new Function('a', 'return a + 1')(1) + eval('1 + 1')
        const map = new Map([[{}, 1], ['k', new Date(0)]]), weak = new WeakMap([[map, 1]])
        properties.map = [...map.values()].map(String).concat(weak.has(map))
        properties.typed = Array.from(new Float64Array([3, 1, 2]).sort())
        properties.big = String(2n ** 200n)
        properties.proxy = { ...new Proxy({ a: 1 }, { get: (target, key) => `${key}!` }) }
        const { a = 1, ...others } = structuredClone({ b: [1, { c: 2 }], d: /x+(?<name>y)/g })
        properties.others = [a, others.b, 'xxy'.match(others.d), Object.entries(others)]
        const reader = (async function* () { for (let i = 0; i < 3; i++) yield i })()
        for await (const i of reader) properties[`key ${i}`] = `${i}`.padStart(10, 'ab').split('')
        properties.text = new TextDecoder().decode(new TextEncoder().encode('ü'.normalize('NFD')))
        properties.tagged = String.raw`a${1}b`
        Object.defineProperty(properties, 'getter', { enumerable: true, get: () => [1].flat() })
        try { null.x } catch (error) { properties.error = error.message }
        return event
    }"#;

const EVENT: &str = r#"{"event": "x", "properties": {"n": 1.5, "nested": {"text": "ü"}}}"#;

fn outcome_with(bytes: usize, program: &Program) -> Option<FailureKind> {
    let limits = Limits { memory: bytes, ..Limits::default() };
    let mut bench = Bench::with_limits(limits);
    let first = bench.run(program, EVENT).failure.map(|failure| failure.kind);
    bench.run(program, EVENT);
    bench.engine.tear_down(program.id);
    first
}

/// Does to an event what makes a view ask for memory: reading, adding, handing over, keeping,
/// writing back while its own code runs.
const TOUCHY: &str = r#"
    const kept = []
    exports.processEvent = (event, { global }) => {
        const { properties } = event
        kept.push(properties.nested)
        for (const key in properties) properties[key + '!'] = properties[key]
        for (let i = 0; i < 40; i++) event['k' + i] = { ...properties }
        properties.list.push(properties.list.map(item => ({ ...item, é: 'ü' })))
        Object.freeze(properties.nested)
        try { Object.defineProperty(properties, 'text', { get: () => properties.list, enumerable: true }) } catch {}
        try { event.more = Object.entries(properties).length } catch {}
        properties.late = { toJSON() { delete event.k3; event.k50 = JSON.stringify(properties.list); return kept } }
        return { ...event, properties: { ...properties, copied: true } }
    }"#;

const TOUCHED: &str = r#"{"event": "x", "properties": {"n": 1.5, "10": "ten", "text": "ü☃",
    "nested": {"text": "ü", "deeper": {"a": 1}}, "list": [{"a": 1}, {"b": "x"}, ["c"]]}}"#;

#[test]
fn wherever_memory_runs_out_in_a_view_there_is_an_outcome() {
    let program = program(1, TOUCHY);
    let mut realm = Bench::new();
    assert_eq!(realm.run(&program, TOUCHED).failure, None);
    let needed = realm.engine.memory_used();
    let mut kinds = Vec::new();
    // Only what the call itself takes; the realm is there already.
    for bytes in (needed / 2..needed + 200_000).step_by(311) {
        let mut bench = Bench::with_limits(Limits { memory: needed * 4, ..Limits::default() });
        bench.run(&program, "1");
        bench.engine.set_limits(Limits { memory: bytes, ..Limits::default() });
        let outcome = bench.run(&program, TOUCHED);
        bench.run(&program, TOUCHED);
        kinds.push(outcome.failure.map(|failure| failure.kind));
    }
    assert_eq!(kinds.first(), Some(&Some(FailureKind::OutOfMemory)));
    assert_eq!(kinds.last(), Some(&None));
    let unexpected: Vec<_> =
        kinds.iter().flatten().filter(|kind| **kind != FailureKind::OutOfMemory).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn code_made_at_run_time_is_bounded_not_starved() {
    let mut bench = Bench::new();
    for code in [
        "eval('1'.repeat(300000))",
        "new Function('/*' + 'x'.repeat(300000) + '*/')",
        "(async () => {}).constructor('x'.repeat(300000))",
        "Function.prototype.constructor('x'.repeat(3e5))",
        "Object.getPrototypeOf((async () => {}).constructor)('x'.repeat(3e5))",
    ] {
        let script = format!("exports.processEvent = () => {code}");
        let failure = bench.run(&program(1, &script), EVENT).failure.unwrap();
        bench.engine.tear_down(1);
        assert!(failure.message.starts_with("RangeError: code of"), "{code}: {failure}");
    }
    let script = "exports.processEvent = event => {
        globalThis.g = 2
        class Made extends Function {}
        event.seen = [eval('g + 1'), eval(5), Function('a', 'b', 'return a * b')(2, 3), new Function()(),
            Function('return this')() === globalThis, (() => 1) instanceof Function, Function.name, Function.length,
            (() => {}).constructor === Function, new Made('return 7')(),
            typeof (function* () {}).constructor('yield 1')().next]
        return event }";
    let event = bench.process(script, EVENT).unwrap();
    assert_eq!(
        event["seen"],
        serde_json::json!([3, 5, 6, null, true, true, "Function", 1, true, 7, "function"])
    );
}

#[test]
fn wherever_memory_runs_out_there_is_an_outcome() {
    let program = program(1, BUSY);
    let mut outcomes = Vec::new();
    // A realm alone takes some 200 kB. The steps are odd so that they do not fall into step with
    // the sizes of blocks.
    for bytes in (1_000..1_500_000).step_by(797) {
        outcomes.push(outcome_with(bytes, &program));
    }
    assert_eq!(outcomes.first(), Some(&Some(FailureKind::OutOfMemory)));
    assert_eq!(outcomes.last(), Some(&None), "1.5 MB are enough");
    let unexpected: Vec<_> =
        outcomes.iter().flatten().filter(|kind| **kind != FailureKind::OutOfMemory).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}
