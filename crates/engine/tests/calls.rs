//! What PostHog promises to a plugin: which functions are found, how they are called, and what
//! becomes of the event.

mod common;

use std::time::Duration;

use common::{Bench, after, program};
use engine::{Attachment, FailureKind, Limits, Program, Verdict};
use serde_json::json;

const EVENT: &str = r#"{"event": "x", "team_id": 2, "properties": {"n": 1}}"#;

fn greeted(script: &str) -> Option<serde_json::Value> {
    Bench::new().process(script, EVENT).map(|event| event["properties"]["hello"].clone())
}

#[test]
fn functions_are_found_where_posthog_looks() {
    let function = "event => { event.properties.hello = 'world'; return event }";
    for script in [
        format!("exports.processEvent = {function}"),
        format!("exports = {{ processEvent: {function} }}"),
        format!("module.exports.processEvent = {function}"),
        format!("module.exports = {{ processEvent: {function} }}"),
        format!("exports.default = {{ processEvent: {function} }}"),
        format!("var processEvent = {function}"),
        "function processEvent(event) { event.properties.hello = 'world'; return event }".into(),
        format!("exports.processEvent = 0; module.exports.processEvent = {function}"),
        format!("exports.processEventBatch = async ([event]) => [({function})(event)]"),
    ] {
        assert_eq!(greeted(&script), Some(json!("world")), "{script}");
    }
}

#[test]
fn functions_are_not_found_where_posthog_does_not_look() {
    let function = "event => { event.properties.hello = 'world'; return event }";
    for script in [
        format!("const processEvent = {function}"),
        format!("let processEvent = {function}"),
        "class processEvent {}".into(),
        // One export hides the plain functions.
        format!("var processEvent = {function}; exports.other = 1"),
        format!("exports.default = {function}"),
    ] {
        let outcome = Bench::new().run(&program(1, &script), EVENT);
        assert!(!outcome.ran, "{script}");
        assert_eq!(outcome.verdict, Verdict::Unchanged);
    }
}

#[test]
fn process_event_goes_before_its_batch_form() {
    let script = "exports.processEvent = e => (e.properties.hello = 'one', e);
                  exports.processEventBatch = es => es.map(e => (e.properties.hello = 'batch', e))";
    assert_eq!(greeted(script), Some(json!("one")));
}

#[test]
fn functions_are_called_without_this_and_with_meta_last() {
    let script = "exports.processEvent = function (...args) {
        args[0].properties.hello = [this === globalThis, args.length, 'config' in args[1]];
        return args[0]
    }";
    assert_eq!(greeted(script), Some(json!([true, 2, true])));
}

#[test]
fn setup_runs_once_before_the_first_event_and_shares_meta() {
    let script = "
        let calls = 0
        exports.setupPlugin = async ({ global }) => { await null; global.setups = ++calls }
        exports.processEvent = (event, meta) => {
            meta.seen = (meta.seen || 0) + 1
            event.properties.hello = [meta.global.setups, meta.seen]
            return event
        }";
    let mut bench = Bench::new();
    for count in 1..4 {
        let event = bench.process(script, EVENT).unwrap();
        assert_eq!(event["properties"]["hello"], json!([1, count]));
    }
}

#[test]
fn teardown_runs_where_setup_ran() {
    let script = "
        exports.teardownPlugin = ({ global }) => console.log('bye', global.seen)
        exports.processEvent = (event, { global }) => { global.seen = 1; return event }";
    let mut bench = Bench::new();
    assert_eq!(bench.engine.tear_down(1), None);
    bench.process(script, EVENT);
    assert!(bench.engine.has_realm(1));
    assert_eq!(bench.engine.tear_down(1), None);
    assert!(!bench.engine.has_realm(1));
    assert_eq!(bench.lines(), ["LOG bye 1"]);
}

#[test]
fn falsy_results_discard() {
    for result in ["undefined", "null", "false", "0", "NaN", "''", "0n", "Promise.resolve()"] {
        let script = format!("exports.processEvent = () => {result}");
        assert_eq!(Bench::new().process(&script, EVENT), None, "{result}");
    }
}

#[test]
fn results_that_are_no_event_fail_and_keep_what_was_done() {
    for result in ["1", "'text'", "true", "[event]", "() => event", "Symbol()", "new Date()"] {
        let script =
            format!("exports.processEvent = event => {{ event.seen = 1; return {result} }}");
        let outcome = Bench::new().run(&program(1, &script), EVENT);
        let failure = outcome.failure.clone().expect(result);
        assert_eq!(failure.kind, FailureKind::BadResult, "{result}");
        assert_eq!(after(&outcome, EVENT).unwrap()["seen"], json!(1), "{result}");
    }
}

#[test]
fn a_throw_keeps_the_changes_made_before_it() {
    for body in ["throw new TypeError('no')", "return Promise.reject(new TypeError('no'))"] {
        let script = format!("exports.processEvent = event => {{ event.seen = 1; {body} }}");
        let outcome = Bench::new().run(&program(1, &script), EVENT);
        let failure = outcome.failure.clone().expect(body);
        assert_eq!(failure.kind, FailureKind::Threw);
        assert_eq!(failure.message, "TypeError: no");
        assert!(failure.stack.expect("a stack").contains("plugin-1/index.js:1"), "{body}");
        assert_eq!(after(&outcome, EVENT).unwrap()["seen"], json!(1));
    }
}

#[test]
fn anything_can_be_thrown() {
    for (thrown, message) in [
        ("'text'", "text"),
        ("undefined", "undefined"),
        ("null", "null"),
        ("{ a: 1 }", r#"{"a":1}"#),
        ("Symbol('s')", "Symbol(s)"),
        ("new RetryError('later')", "RetryError: later"),
        ("{ toString() { throw 1 } }", "an error that cannot be shown"),
        ("Object.assign(new Error('x'), { name: 'Mine' })", "Mine: x"),
    ] {
        let script = format!("exports.processEvent = () => {{ throw {thrown} }}");
        let failure = Bench::new().run(&program(1, &script), EVENT).failure.expect(thrown);
        assert_eq!(failure.message, message, "{thrown}");
    }
}

#[test]
fn the_team_is_put_back() {
    for change in ["event.team_id = 3", "delete event.team_id", "event = { event: 'new' }"] {
        let script =
            format!("exports.processEvent = event => {{ {change}; event.seen = 1; return event }}");
        let outcome = Bench::new().run(&program(1, &script), EVENT);
        assert_eq!(outcome.failure.clone().expect(change).kind, FailureKind::TeamChanged);
        let event = after(&outcome, EVENT).unwrap();
        assert_eq!((&event["team_id"], &event["seen"]), (&json!(2), &json!(1)), "{change}");
    }
}

#[test]
fn an_unhandled_rejection_is_a_failure_of_its_call() {
    let script =
        "exports.processEvent = event => { Promise.reject(new Error('floating')); return event }";
    let mut bench = Bench::new();
    let failure = bench.run(&program(1, script), EVENT).failure.unwrap();
    assert_eq!(failure.kind, FailureKind::UnhandledRejection);
    assert_eq!(failure.message, "Error: floating");
    let caught = "exports.processEvent = async event => {
        const late = Promise.reject(new Error('caught')); await null; await late.catch(() => {}); return event }";
    assert_eq!(bench.run(&program(2, caught), EVENT).failure, None);
}

#[test]
fn a_floating_rejection_in_setup_is_told_and_does_no_harm() {
    let script = "
        exports.setupPlugin = async () => { Promise.reject(new Error('floating')) }
        exports.processEvent = event => event";
    let mut bench = Bench::new();
    assert_eq!(bench.run(&program(1, script), EVENT).failure, None);
    assert_eq!(bench.lines(), ["ERROR unhandled rejection: Error: floating"]);
}

#[test]
fn stacks_show_the_authors_frames_only() {
    let script = "exports.processEvent = () => new URL('no url')";
    let failure = Bench::new().run(&program(1, script), EVENT).failure.unwrap();
    assert_eq!(failure.stack.unwrap(), "at <anonymous> (plugin-1/index.js:1:34)");
}

#[test]
fn what_a_failed_setup_left_behind_runs_in_nobody_elses_call() {
    let mut bench = Bench::new();
    for body in [
        "const again = () => Promise.resolve().then(again); again(); throw new Error('setup')",
        "Promise.resolve().then(() => console.log('late')); throw new Error('setup')",
        "let f; const p = new Promise(r => { f = r }); Object.setPrototypeOf(p, null);
         Object.setPrototypeOf(f, null); queueMicrotask(f); throw new Error('setup')",
    ] {
        for script in [
            format!("{body}; exports.processEvent = e => e"),
            format!("exports.setupPlugin = () => {{ {body} }}; exports.processEvent = e => e"),
        ] {
            let failure = bench.run(&program(1, &script), EVENT).failure.unwrap();
            assert_eq!(failure.message, "Error: setup");
            let other = bench.run(&program(2, "exports.processEvent = async e => e"), EVENT);
            assert_eq!(other.failure, None, "{script}");
            bench.engine.tear_down(1);
        }
    }
    assert_eq!(bench.lines(), [""; 0]);
}

#[test]
fn an_ordinary_failure_between_is_not_in_a_row() {
    let limits = Limits { call: Duration::from_millis(20), ..Limits::default() };
    let mut bench = Bench::with_limits(limits);
    let plugin = program(1, "exports.processEvent = e => { while (e.loop); throw new Error('x') }");
    for _ in 0..4 {
        let kind = bench.run(&plugin, r#"{"loop": true}"#).failure.unwrap().kind;
        assert_eq!(kind, FailureKind::TimedOut);
        assert_eq!(bench.run(&plugin, "{}").failure.unwrap().kind, FailureKind::Threw);
    }
}

#[test]
fn texts_that_are_no_unicode_can_be_logged_and_thrown() {
    let script = r"exports.processEvent = e => {
        console.log('\ud83d', { a: '\u0000' }, '\u0000'); throw new Error('cut \ud83d') }";
    let mut bench = Bench::new();
    let failure = bench.run(&program(1, script), EVENT).failure.unwrap();
    assert_eq!(failure.message, "Error: cut \u{FFFD}");
    assert_eq!(bench.lines(), ["LOG \u{FFFD} {\"a\":\"\\u0000\"} \u{FFFD}"]);
}

#[test]
fn setup_that_fails_is_not_tried_again_at_once() {
    let script = "
        exports.setupPlugin = () => { console.log('setup'); throw new Error('no key') }
        exports.processEvent = event => event";
    let mut bench = Bench::new();
    for _ in 0..3 {
        let outcome = bench.run(&program(1, script), EVENT);
        let failure = outcome.failure.unwrap();
        assert_eq!((failure.kind, &*failure.message), (FailureKind::NotLoaded, "Error: no key"));
    }
    assert_eq!(bench.lines(), ["LOG setup"]);
}

#[test]
fn a_plugin_that_keeps_timing_out_is_suspended() {
    let limits = Limits { call: Duration::from_millis(20), ..Limits::default() };
    let mut bench = Bench::with_limits(limits);
    let endless = program(1, "exports.processEvent = () => { while (true); }");
    let kinds: Vec<_> = (0..5).map(|_| bench.run(&endless, EVENT).failure.unwrap().kind).collect();
    use FailureKind::{Suspended, TimedOut};
    assert_eq!(kinds, [TimedOut, TimedOut, TimedOut, Suspended, Suspended]);
    let other = bench.run(&program(2, "exports.processEvent = e => e"), EVENT);
    assert_eq!(other.failure, None);
}

#[test]
fn the_host_can_stop_a_call_and_the_next_one_works() {
    let mut bench = Bench::new();
    bench.host.polls_left.set(Some(3));
    let endless = program(1, "exports.processEvent = () => { while (true); }");
    assert_eq!(bench.run(&endless, EVENT).failure.unwrap().kind, FailureKind::Interrupted);
    bench.host.polls_left.set(None);
    let event = bench.run(&program(2, "exports.processEvent = e => e"), EVENT);
    assert_eq!(event.failure, None);
}

#[test]
fn realms_share_nothing() {
    let mut bench = Bench::new();
    let hostile = program(
        1,
        "Object.prototype.polluted = 1; Array.prototype.map = null; JSON.stringify = null;
         globalThis.Promise = null; Object.prototype.toJSON = () => 'hijacked';
         globalThis.leak = 1;
         exports.processEvent = async event => event",
    );
    let outcome = bench.run(&hostile, EVENT);
    assert_eq!(outcome.verdict, Verdict::Unchanged, "{:?}", outcome.failure);
    let seen = bench.run(
        &program(
            2,
            "exports.processEvent = event => {
                event.seen = [event.polluted, typeof [].map, typeof leak, JSON.stringify({}), typeof Promise]
                return event }",
        ),
        EVENT,
    );
    assert_eq!(
        after(&seen, EVENT).unwrap()["seen"],
        json!([null, "function", "undefined", "{}", "function"])
    );
}

#[test]
fn proto_keys_are_ordinary_keys() {
    let event = r#"{"event": "x", "__proto__": {"a": 1}, "properties": {"__proto__": 5, "constructor": 6}}"#;
    let mut bench = Bench::new();
    let outcome = bench.run(
        &program(
            1,
            "exports.processEvent = event => { event.a = event.a === undefined; return event }",
        ),
        event,
    );
    let mut expected: serde_json::Value = serde_json::from_str(event).unwrap();
    expected["a"] = json!(true);
    assert_eq!(after(&outcome, event), Some(expected));
}

#[test]
fn config_is_frozen_and_attachments_are_buffers() {
    let program = Program {
        config: r#"{"name": "x", "list": {"a": "b"}}"#.to_owned(),
        attachments: vec![Attachment {
            key: "file".into(),
            file_name: "f.txt".into(),
            content_type: "text/plain".into(),
            contents: "grüß".into(),
        }],
        ..program(
            1,
            "exports.processEvent = (event, { config, attachments }) => {
                config.name = 'changed'; config.list.a = 'changed'; delete config.name
                const { contents, file_name, content_type } = attachments.file
                event.properties.hello = [config, file_name, content_type, contents.toString(), contents.length]
                return event
            }",
        )
    };
    let outcome = Bench::new().run(&program, EVENT);
    assert_eq!(
        after(&outcome, EVENT).unwrap()["properties"]["hello"],
        json!([{"name": "x", "list": {"a": "b"}}, "f.txt", "text/plain", "grüß", 6])
    );
}

#[test]
fn console_lines_look_as_in_posthog() {
    let script = "exports.processEvent = event => {
        console.log(); console.log('a', 1, null, undefined); console.info(new Error('x'))
        console.warn({ a: 1 }); console.error([1, 'b']); console.debug(new Map(), Symbol('s'))
        return event }";
    let mut bench = Bench::new();
    bench.process(script, EVENT);
    assert_eq!(
        bench.lines(),
        [
            "LOG ",
            "LOG a 1 null undefined",
            "INFO Error: x",
            "WARN {\"a\":1}",
            "ERROR [1,\"b\"]",
            "DEBUG [object Map] Symbol(s)",
        ]
    );
}

#[test]
fn secrets_appear_nowhere() {
    let program = Program {
        config: r#"{"key": "s3cret"}"#.to_owned(),
        secrets: vec!["s3cret".to_owned()],
        ..program(
            1,
            "exports.processEvent = (event, { config }) => {
                console.log('key', config.key, config)
                throw new Error('bad key ' + config.key)
            }",
        )
    };
    let mut bench = Bench::new();
    let failure = bench.run(&program, EVENT).failure.unwrap();
    assert_eq!(failure.message, "Error: bad key ********");
    assert!(!format!("{failure:?}{:?}", bench.lines()).contains("s3cret"));
}

#[test]
fn the_usual_other_methods_of_a_console_write_lines() {
    let script = "exports.processEvent = event => {
        console.assert(true, 'a'); console.assert(false, 'b', 1); console.assert(0, { c: 1 })
        console.count(); console.count('d'); console.count(); console.countReset(); console.count()
        console.countReset('e'); console.dir({ f: 1 }); console.dirxml('g', [1]); console.table([{ h: 1 }])
        console.group('i'); console.log('j'); console.groupEnd(); console.groupCollapsed()
        console.time('k'); console.time('k'); console.timeLog('k', 'l'); console.timeEnd('k'); console.timeEnd('k')
        return event }";
    let mut bench = Bench::new();
    bench.process(script, "{}");
    let is_digit = |c: char| c.is_ascii_digit();
    let lines: Vec<String> = bench
        .lines()
        .into_iter()
        .map(|line| if line.contains("ms") { line.replace(is_digit, "0") } else { line })
        .collect();
    let elapsed = lines.iter().position(|line| line.contains("k: ")).unwrap();
    assert_eq!(
        lines[..elapsed],
        [
            "ERROR Assertion failed: b 1",
            r#"ERROR Assertion failed {"c":1}"#,
            "LOG default: 1",
            "LOG d: 1",
            "LOG default: 2",
            "LOG default: 1",
            "WARN there is no count of 'e'",
            r#"LOG {"f":1}"#,
            "LOG g [1]",
            r#"LOG [{"h":1}]"#,
            "LOG i",
            "LOG j",
            "WARN there is a timer 'k' already",
        ]
    );
    assert!(lines[elapsed].ends_with("ms l") && lines[elapsed + 1].ends_with("ms"), "{lines:?}");
    assert_eq!(lines[elapsed + 2..], ["WARN there is no timer 'k'"]);
}

#[test]
fn console_output_of_one_call_is_bounded() {
    let script = "exports.processEvent = event => {
        for (let i = 0; i < 1000; i++) console.log('x'.repeat(10000)); return event }";
    let mut bench = Bench::new();
    bench.process(script, EVENT);
    let lines = bench.lines();
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!(bytes < 2 << 20, "{bytes}");
    assert_eq!(lines.last().unwrap(), "WARN the rest of what this call logged is left out");
    bench.process(script, EVENT);
    assert_eq!(bench.lines().len(), 2 * lines.len(), "each call has its own budget");
}

#[test]
fn memory_is_flat_over_many_events_and_realms() {
    let mut bench = Bench::new();
    let script = "exports.processEvent = async event => {
        event.properties = { ...event.properties, list: [1, { a: event.event }] }; return event }";
    // The least of ten rounds: what is left when the garbage of the realms has been collected.
    let least = |bench: &mut Bench| {
        let rounds = (0..10).map(|_| {
            (0..200).for_each(|_| drop(bench.process(script, EVENT)));
            bench.engine.tear_down(1);
            bench.engine.memory_used()
        });
        rounds.min().unwrap_or(0)
    };
    let first = least(&mut bench);
    for _ in 0..5 {
        least(&mut bench);
    }
    let last = least(&mut bench);
    assert!(last <= first + first / 50, "{first} bytes, then {last}");
}

#[test]
fn limits_apply_to_live_realms_at_once() {
    let mut bench = Bench::new();
    let grow = "exports.processEvent = event => { globalThis.kept = 'x'.repeat(8e6).split(''); return event }";
    let first = bench.run(&program(1, "exports.processEvent = e => e"), EVENT);
    assert_eq!(first.failure, None);
    bench.engine.set_limits(Limits { memory: 4 << 20, ..Limits::default() });
    let failure = bench.run(&program(1, grow), EVENT);
    assert_eq!(failure.failure, None, "the realm is the one that was loaded before");
    let failure = bench.run(&program(2, grow), EVENT).failure.unwrap();
    assert_eq!(failure.kind, FailureKind::OutOfMemory);
}

#[test]
fn a_script_that_fails_to_load_says_where() {
    let outcome = Bench::new().run(&program(1, "\n\nnull.x"), EVENT);
    let failure = outcome.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::NotLoaded);
    assert!(failure.stack.unwrap().contains("plugin-1/index.js:3"));
    let mut bench = Bench::new();
    let refused = bench.engine.check("/(/", "x/index.ts").unwrap_err();
    assert!(refused.message.starts_with("SyntaxError"), "{}", refused.message);
    assert_eq!(bench.engine.check("function f() { while (true); }", "x/index.ts"), Ok(()));
}

#[test]
fn a_big_int_that_has_a_form_in_json_is_written_in_it() {
    let mut bench = Bench::new();
    let script = "BigInt.prototype.toJSON = function () { return String(this) }
         function processEvent(event) { event.n = 12n; event.list = [2n ** 70n]; return event }";
    assert_eq!(
        bench.process(script, "{}"),
        Some(serde_json::json!({"n": "12", "list": ["1180591620717411303424"]}))
    );
}

#[test]
fn a_rejection_nobody_handles_is_told_whatever_comes_after_it() {
    let mut bench = Bench::new();
    let script = "async function processEvent(event) {
            Promise.reject(new Error('lost'))
            for (let i = 0; i < 100; i++) await (async () => { throw i })().catch(() => {})
            return event
        }";
    let outcome = bench.run(&program(1, script), "{}");
    let failure = outcome.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::UnhandledRejection);
    assert!(failure.message.contains("lost"), "{failure:?}");
}
