//! A view is like the ordinary object that `JSON.parse` would make: for everything that JavaScript
//! can do with one, and for what goes back.

#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

mod common;

use std::rc::Rc;
use std::time::{Duration, Instant};

use common::apart::Apart;
use common::{Bench, after, program, to_json, to_jsonb};
use engine::{FailureKind, Given, Limits, Outcome, Verdict};
use serde_json::json;

/// How the plugin comes by what it then calls `e`. All but the first are views.
const WAYS: [(&str, &str); 5] = [
    ("an ordinary object", "JSON.parse(TEXT)"),
    ("a view", "event"),
    ("a view that was read", "(read(event), event)"),
    (
        "a view that the engine took over",
        "(event[Symbol.for('x')] = 1, delete event[Symbol.for('x')], event)",
    ),
    ("a view of an earlier call", "kept"),
];

/// How the event lies in memory.
#[derive(Debug, Clone, Copy)]
enum Form {
    Whole,
    Apart,
}

/// Says all there is to say of a value.
const DESCRIBE: &str = r#"
    const read = value => {
        if (value && typeof value === 'object') for (const key of Reflect.ownKeys(value)) read(value[key])
    }
    const describe = value => {
        const names = new Map()
        const show = value => {
            if (value === null || typeof value !== 'object') {
                return typeof value === 'string' ? JSON.stringify(value)
                    : Object.is(value, -0) ? '-0' : String(value)
            }
            if (names.has(value)) return '#' + names.get(value)
            names.set(value, names.size)
            const prototype = Object.getPrototypeOf(value)
            let text = Array.isArray(value) ? '[' : '{'
            if (prototype === null) text += 'null'
            else if (prototype !== Object.prototype && prototype !== Array.prototype) {
                text += prototype.constructor?.name ?? 'other'
            }
            if (!Object.isExtensible(value)) text += '!'
            if (text === '{RegExp' || value instanceof Error) return text + String(value)
            for (const key of Reflect.ownKeys(value)) {
                const { value: member, get, set, writable, enumerable, configurable } =
                    Object.getOwnPropertyDescriptor(value, key)
                const flags = (writable ? 'w' : '') + (enumerable ? 'e' : '') + (configurable ? 'c' : '')
                const shown = get || set ? `${get && 'get'}/${set && 'set'}` : show(member)
                text += ` ${String(key)}${flags === 'wec' ? '' : '~' + flags}: ${shown},`
            }
            return text + (Array.isArray(value) ? ']' : '}')
        }
        return show(value)
    }"#;

/// In the order of jsonb's keys, as `JSON.parse` has to see them.
fn event() -> String {
    let event = json!({
        "event": "a name",
        "uuid": "0190f3c1-7a3e-7c5e-b8d1-4f5a6b7c8d9e",
        "team_id": 2,
        "timestamp": null,
        "$set": { "email": "a@example.com" },
        "properties": {
            "text": "some text", "n": 1.5, "zero": 0, "flag": true, "nothing": null, "é": "latin",
            "☃": "snow", "𝒳": "astral", "": "empty key", "10": "ten", "2": "two", "01": "padded",
            "-1": "negative", "4294967295": "no index", "4294967294": "an index", "__proto__": "own",
            "constructor": "own", "toString": "own", "hasOwnProperty": "own", "toJSON": 5,
            "list": ["one", 2, { "name": "three" }, null, "ü☃"], "numbers": [3, 1, 2, 0.5],
            "objects": [{ "id": 1, "kind": "a" }, { "id": 2, "kind": "b" }, { "id": 3, "kind": "a" }],
            "matrix": [[{ "x": 1 }, [true, false]], []],
            "empty": {}, "nested": { "deeper": { "deepest": "value", "2": 1 }, "list": [] },
        },
    });
    to_json(&to_jsonb(&event.to_string())).to_string()
}

struct Seen {
    lines: Vec<String>,
    outcome: Outcome,
    after: Option<Vec<u8>>,
}

/// Runs a snippet on what one of the ways leads to. `after` is what happens to the result.
fn run(snippet: &str, way: &str, form: Form, after: &str, event: &str) -> Seen {
    let script = format!(
        "{DESCRIBE}
        const TEXT = {};
        let kept
        exports.processEvent = event => {{
            if ({:?} && !kept) return kept = event
            const e = {way}
            const snippet = e => {{ {snippet} }}
            {after}
        }}",
        json!(event),
        way == "kept",
    );
    let mut bench =
        Bench::with_limits(Limits { call: Duration::from_secs(60), ..Limits::default() });
    let program = Rc::new(program(1, &script));
    let whole = to_jsonb(event);
    let apart = Apart::new(&whole);
    let mut run = || {
        let given = match form {
            Form::Whole => Given::Whole(&whole),
            Form::Apart => Given::Fields(&apart),
        };
        bench.engine.process_event_from(&program, given, Instant::now())
    };
    if way == "kept" {
        run();
    }
    let outcome = run();
    let after = match &outcome.verdict {
        Verdict::Unchanged => Some(whole.clone()),
        Verdict::Changed(bytes) => Some(bytes.clone()),
        Verdict::Patched(patch) => Some(apart.patched(patch)),
        Verdict::Discarded => None,
    };
    Seen { lines: bench.lines(), outcome, after }
}

/// The snippet on an ordinary object, and on all kinds of views.
fn runs(snippet: &str, after: &str, event: &str) -> ((String, Seen), Vec<(String, Seen)>) {
    let [plain, views @ ..] = WAYS;
    let run = |(name, way): (&str, &str), form| {
        (format!("{name}, {form:?}"), run(snippet, way, form, after, event))
    };
    let views =
        views.iter().flat_map(|view| [Form::Whole, Form::Apart].map(|form| run(*view, form)));
    (run(plain, Form::Whole), views.collect())
}

fn snippets() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("views/snippets.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn javascript_sees_no_difference() {
    let after = "let said
        try { said = describe(snippet(e)) } catch (error) { said = 'threw ' + error }
        console.log(said)
        try { said = describe(e) } catch (error) { said = 'threw ' + error }
        console.log(said)
        return event";
    let event = event();
    let mut different = Vec::new();
    for snippet in snippets() {
        let (plain, views) = runs(snippet, after, &event);
        assert!(plain.1.lines.len() >= 2, "{snippet}: {:?}", plain.1.outcome.failure);
        for (name, view) in views {
            if view.lines != plain.1.lines {
                different.push(format!(
                    "{snippet}\n  {}: {:#?}\n  {name}: {:#?} {:?}",
                    plain.0, plain.1.lines, view.lines, view.outcome.failure
                ));
            }
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

#[test]
fn the_same_goes_back() {
    let event = event();
    let mut different = Vec::new();
    for snippet in snippets() {
        for after in [
            "try { snippet(e) } catch {} return e",
            "let said; try { said = snippet(e) } catch {} return { event: 'made', said }",
        ] {
            let (plain, views) = runs(snippet, after, &event);
            for (name, view) in views {
                let failures = [&plain.1, &view].map(|seen| {
                    seen.outcome.failure.as_ref().map(|failure| (failure.kind, &failure.message))
                });
                // What a failed plugin did to the event it was given is not what it did to a copy.
                let same = failures[0] == failures[1]
                    && (failures[0].is_some() || view.after == plain.1.after);
                if !same {
                    let shown =
                        |seen: &Seen| seen.after.as_deref().map(to_json).map(|it| it.to_string());
                    different.push(format!(
                        "{snippet}\n  {}: {:?} {:?}\n  {name}: {:?} {:?}",
                        plain.0,
                        failures[0],
                        shown(&plain.1),
                        failures[1],
                        shown(&view)
                    ));
                }
            }
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

/// The one difference that is left: in a closed view, the descriptor of such a property shows a
/// getter, which does nothing.
#[test]
fn a_setter_alone_reads_as_undefined_also_in_a_closed_view() {
    let script = "exports.processEvent = e => {
        Object.preventExtensions(e)
        Object.defineProperty(e, 'event', { set(to) { this.uuid = to } })
        e.event = 5
        return { seen: [e.event === undefined, e.uuid] }
    }";
    let event = Bench::new().process(script, r#"{"event": "x", "uuid": "y"}"#).unwrap();
    assert_eq!(event, json!({"seen": [true, 5]}));
}

/// QuickJS's own objects give `undefined` here; ECMAScript and views leave the property out.
#[test]
fn a_property_that_goes_while_it_is_copied_is_left_out() {
    let script = "exports.processEvent = e => {
        Object.defineProperty(e, 'event', { get() { delete this.properties; return 'got' }, enumerable: true })
        return { keys: Object.keys({ ...e }).sort() }
    }";
    let event = Bench::new().process(script, r#"{"event": "x", "properties": "y"}"#).unwrap();
    assert_eq!(event, json!({"keys": ["event"]}));
}

/// `{"a": [{"a": [… 1]}]}`, of so many objects and as many arrays.
fn nested(pairs: usize) -> Vec<u8> {
    let mut out = jsonb::Writer::new();
    for _ in 0..pairs {
        out.begin_object().unwrap();
        out.key("a").unwrap();
        out.begin_array().unwrap();
    }
    out.number_i64(1).unwrap();
    (0..2 * pairs).for_each(|_| out.end().unwrap());
    out.finish().unwrap().to_vec()
}

#[test]
fn what_is_not_touched_may_nest_deeply_and_what_is_may_not() {
    let depth = Limits::default().depth;
    let mut bench = Bench::new();
    let mut run = |pairs, body: &str| {
        let plugin = program(1, &format!("exports.processEvent = e => {{ {body} }}"));
        let outcome = bench.engine.process_event(&plugin.into(), &nested(pairs));
        bench.engine.tear_down(1);
        outcome
    };
    for pairs in [depth / 2, depth / 2 + 1, 2 * depth] {
        let untouched = run(pairs, "return e");
        assert_eq!((untouched.verdict, untouched.failure), (Verdict::Unchanged, None));
        for (body, kind) in [
            ("e.b = 2; return e", FailureKind::BadResult),
            ("return { ...e, b: 1 }", FailureKind::BadResult),
            ("e.a[0].b = 1; return e", FailureKind::BadResult),
            ("return JSON.parse(JSON.stringify(e))", FailureKind::Threw),
        ] {
            let failure = run(pairs, body).failure.map(|failure| failure.kind);
            assert_eq!(failure, (pairs > depth / 2).then_some(kind), "{body} of {pairs}");
        }
    }
    let outcome = run(depth / 2, "return { moved: e }");
    assert_eq!(outcome.failure.map(|failure| failure.kind), Some(FailureKind::BadResult));
}

#[test]
fn many_keys_take_as_long_as_they_are_many() {
    let begin = Instant::now();
    let mut bench =
        Bench::with_limits(Limits { call: Duration::from_secs(20), ..Limits::default() });
    for body in [
        "for (let i = 0; i < 100000; i++) e.properties['k' + i] = i; return e",
        "for (let i = 0; i < 100000; i++) e.properties[i * 7] = i; return e",
        "for (let i = 0; i < 100000; i++) { e.properties['k' + i] = i; delete e.properties['k' + i] } return e",
        "const o = e.properties; for (let i = 0; i < 100000; i++) { o.k = { o, i }; o['n' + i % 40] = o.k } o.k = 1; for (const k of Object.keys(o)) if (k[0] === 'n') delete o[k]; return e",
    ] {
        let outcome = bench.run(
            &program(1, &format!("exports.processEvent = e => {{ {body} }}")),
            r#"{"properties": {"n": 1}}"#,
        );
        assert_eq!(outcome.failure, None, "{body}");
        bench.engine.tear_down(1);
    }
    let many: serde_json::Map<_, _> = (0..50_000).map(|i| (i.to_string(), i.into())).collect();
    let event = json!({ "properties": many }).to_string();
    for body in [
        "let n = 0; for (const k in e.properties) n += e.properties[k]; return { n }",
        "for (const k in e.properties) delete e.properties[k]; return e",
        "for (const k in e.properties) e.properties[k] = 1; return e",
        "e.properties = { ...e.properties, more: 1 }; return e",
        "Object.freeze(e.properties); return e",
    ] {
        let outcome =
            bench.run(&program(1, &format!("exports.processEvent = e => {{ {body} }}")), &event);
        assert_eq!(outcome.failure, None, "{body}");
        bench.engine.tear_down(1);
    }
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[test]
fn a_kept_event_stays_what_it_was_and_counts() {
    let script = "let kept = []
        exports.processEvent = e => {
            kept.push(e.properties)
            if (kept.length < 20) return e
            return { texts: kept.map(p => p.text), again: kept[3].nested }
        }";
    let mut bench = Bench::new();
    let plugin = program(1, script);
    for number in 0..19 {
        let event =
            format!(r#"{{"properties": {{"text": "t{number}", "nested": {{"n": {number}}}}}}}"#);
        assert_eq!(bench.run(&plugin, &event).verdict, Verdict::Unchanged);
    }
    let event = after(&bench.run(&plugin, r#"{"properties": {"text": "last"}}"#), "{}").unwrap();
    let mut texts: Vec<_> = (0..19).map(|number| format!("t{number}")).collect();
    texts.push("last".into());
    assert_eq!(event, json!({ "texts": texts, "again": {"n": 3} }));

    let hoarder =
        program(2, "const all = []; exports.processEvent = e => { all.push(e); return e }");
    let event = json!({ "text": "x".repeat(1 << 20) }).to_string();
    let failures = (0..100).filter_map(|_| bench.run(&hoarder, &event).failure);
    assert_eq!(failures.map(|failure| failure.kind).next(), Some(FailureKind::OutOfMemory));
}

#[test]
fn digits_survive_wherever_a_part_is_moved() {
    let mut bench = Bench::new();
    let event = with_a_long_number();
    for (body, place) in [
        ("e.c = 1; return e", "m"),
        ("return { moved: e.m }", "moved"),
        ("e.moved = e.m; delete e.m; return e", "moved"),
        ("e.m.n; Object.freeze(e.m); e.c = 1; return e", "m"),
        ("return { ...e, m: { ...e.m, c: 1 } }", "m"),
        ("e.m = { c: 1, ...e.m }; return e", "m"),
    ] {
        let plugin = program(1, &format!("exports.processEvent = e => {{ {body} }}"));
        let outcome = bench.engine.process_event(&plugin.into(), &event);
        bench.engine.tear_down(1);
        let Verdict::Changed(bytes) = outcome.verdict else { panic!("{body}: {outcome:?}") };
        let jsonb::Ref::Object(root) = jsonb::Document::new(&bytes).unwrap().root() else {
            panic!()
        };
        let Some(jsonb::Ref::Object(moved)) = root.get(place).unwrap() else { panic!("{body}") };
        let Some(jsonb::Ref::Number(number)) = moved.get("n").unwrap() else { panic!("{body}") };
        assert_eq!(number.to_string(), "12345678901234567890.50", "{body}");
    }
}

/// `{"m": {"n": 12345678901234567890.50}}`: more digits than a double has, which no writer makes.
fn with_a_long_number() -> Vec<u8> {
    // A short numeric header: two decimal places, a weight of 10000^4.
    let header = 0x8000u16 | 2 << 7 | 4;
    let words = [header, 1234, 5678, 9012, 3456, 7890, 5000];
    let size = 4 + 2 * words.len() as u32;
    let varlena = if cfg!(target_endian = "little") { size << 2 } else { size };
    let scalar: Vec<u8> = [0x5000_0001, 0x9000_0000 | size, varlena]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .chain(words.into_iter().flat_map(u16::to_ne_bytes))
        .collect();
    let number = jsonb::Document::new(&scalar).unwrap().root();
    let mut out = jsonb::Writer::new();
    out.begin_object().unwrap();
    out.key("m").unwrap();
    out.begin_object().unwrap();
    out.key("n").unwrap();
    out.splice(number).unwrap();
    out.end().unwrap();
    out.end().unwrap();
    out.finish().unwrap().to_vec()
}

#[test]
fn damaged_events_end_in_errors() {
    let whole = to_jsonb(&event());
    let touch = "const read = v => { if (v && typeof v === 'object') for (const k of Object.keys(v)) read(v[k]) }
        exports.processEvent = e => { try { read(e) } catch {} e.more = 1; delete e.uuid; return { ...e, p: { ...e.properties } } }";
    let plugin = std::rc::Rc::new(program(1, touch));
    let mut bench = Bench::new();
    let mut seed = 1u64;
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let place = (seed >> 33) as usize % bytes.len();
            bytes[place] ^= 1 << (seed >> 60 & 7);
        }
        seed = seed.rotate_left(7);
        if seed.is_multiple_of(4) {
            bytes.truncate((seed >> 20) as usize % bytes.len());
        }
        bench.engine.process_event(&plugin, &bytes);
    }
    assert_eq!(bench.run(&program(2, "exports.processEvent = e => e"), &event()).failure, None);
}
