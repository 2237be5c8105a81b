//! What a program can do, found by running its script and nothing else of it.

#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::rc::Rc;
use std::time::Duration;

use common::{Bench, program};
use engine::{Capabilities, FailureKind, Limits};
use serde_json::json;

fn found(script: &str) -> Capabilities {
    let bench = Bench::new();
    let found = bench.engine.inspect(&Rc::new(program(1, script))).unwrap();
    assert_eq!((bench.engine.has_realm(1), bench.engine.memory_used()), (false, 0));
    assert!(bench.lines().is_empty());
    found
}

#[test]
fn capabilities_are_in_posthogs_shape() {
    let script = "console.log('quiet')
        exports.processEvent = (e) => e
        exports.onEvent = () => {}
        exports.random = () => {}
        exports.setupPlugin = () => { throw new Error('not called') }
        exports.runEveryMinute = () => {}
        exports.runEveryBlueMoon = () => {}
        exports.runEveryHour = 'not a function'
        exports.jobs = { b: () => {}, a: async () => {}, c: 1 }
        exports.metrics = { seen: 'SUM', most: 'max', other: 1 }";
    let expected = json!({
        "methods": ["setupPlugin", "onEvent", "processEvent"],
        "jobs": ["a", "b"],
        "scheduled_tasks": ["runEveryBlueMoon", "runEveryMinute"],
        "metrics": {"most": "max", "seen": "sum"},
    });
    let found = found(script);
    assert_eq!(serde_json::to_value(&found).unwrap(), expected);
    assert_eq!(serde_json::from_value::<Capabilities>(expected).unwrap(), found);
    assert!(found.consumes_events() && found.has("onEvent") && !found.has("random"));
    assert_eq!(serde_json::from_value::<Capabilities>(json!({})).unwrap(), Capabilities::default());
}

#[test]
fn all_places_are_searched_as_posthog_does() {
    let methods = |script| found(script).methods;
    let all =
        "exports.getSettings = exports.composeWebhook = exports.onSnapshot = exports.onAction =
        exports.exportEvents = exports.teardownPlugin = () => {}";
    let order = [
        "teardownPlugin",
        "exportEvents",
        "onAction",
        "onSnapshot",
        "composeWebhook",
        "getSettings",
    ];
    assert_eq!(methods(all), order);
    assert_eq!(methods("function onEvent() {}"), ["onEvent"]);
    assert_eq!(methods("function onEvent() {}; exports.x = 1"), [""; 0]);
    assert_eq!(methods("exports.processEventBatch = (e) => e"), ["processEvent"]);
    assert_eq!(
        methods("module.exports = { onEvent() {} }; exports.default = { onSnapshot() {} }"),
        ["onEvent", "onSnapshot"]
    );
    let merged = found(
        "exports.jobs = { a() {} }; module.exports = { jobs: { a() {}, b() {} }, runEveryDay() {} }",
    );
    assert_eq!(
        (merged.jobs, merged.scheduled_tasks),
        (vec!["a".into(), "b".into()], vec!["runEveryDay".into()])
    );
    assert_eq!(found("var jobs = { a() {} }; function runEveryDay() {}").jobs, ["a"]);
    assert!(!found("").consumes_events());
}

#[test]
fn there_is_an_end_to_how_much_is_found() {
    let many = found(
        "exports.jobs = {}; for (let i = 0; i < 5000; i++) exports.jobs['j' + i] = () => {}
        exports.jobs['x'.repeat(5000)] = () => {}",
    );
    assert_eq!(many.jobs.len(), 1000);
    assert!(many.jobs.iter().all(|name| name.len() < 10));
}

#[test]
fn a_script_is_inspected_under_limits_and_reaches_nothing() {
    let mut bench = Bench::new();
    let limits = Limits { call: Duration::from_millis(300), memory: 2 << 20, ..Limits::default() };
    bench.engine.set_limits(limits);
    let kind = |script: &str| bench.engine.inspect(&Rc::new(program(1, script))).unwrap_err().kind;
    assert_eq!(kind("for (;;);"), FailureKind::TimedOut);
    assert_eq!(
        kind("const a = []; for (;;) a.push('x'.repeat(1e5) + a.length)"),
        FailureKind::OutOfMemory
    );
    assert_eq!(kind("syntax error"), FailureKind::NotLoaded);
    assert_eq!(kind("throw new Error('x')"), FailureKind::NotLoaded);
    assert_eq!(kind("exports.metrics = { a: 'average' }"), FailureKind::NotLoaded);
    assert_eq!(kind("exports = new Proxy({}, { get() { for (;;); } })"), FailureKind::TimedOut);
    let reaching = "posthog.capture('x').catch(() => {}); fetch('https://h').catch(() => {})
        setTimeout(() => { for (;;); }, 0); exports.onEvent = () => {}";
    assert_eq!(found(reaching).methods, ["onEvent"]);
    // A program that runs meanwhile does not notice.
    assert!(
        bench
            .process("let n = 0; exports.processEvent = (e) => ({ ...e, n: ++n })", "{}")
            .is_some()
    );
    bench.engine.inspect(&Rc::new(program(1, "exports.processEvent = () => null"))).unwrap();
    let again = bench.process("let n = 0; exports.processEvent = (e) => ({ ...e, n: ++n })", "{}");
    assert_eq!(again.unwrap()["n"], 2);
}
