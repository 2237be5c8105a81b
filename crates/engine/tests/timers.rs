//! Timers: they ring in order while the call's promise is pending, and hold nothing up after it.

#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::time::{Duration, Instant};

use common::{Bench, after, program};
use engine::{FailureKind, Limits, Outcome};

fn run_for(call: Duration, body: &str) -> Outcome {
    let script = format!("async function processEvent(event) {{ {body}; return event }}");
    Bench::with_limits(Limits { call, ..Limits::default() }).run(&program(1, &script), "{}")
}

/// What the body left in `event.seen`.
fn seen(body: &str) -> serde_json::Value {
    let outcome = run_for(Duration::from_secs(20), body);
    assert_eq!(outcome.failure, None, "{body}");
    after(&outcome, "{}").unwrap()["seen"].clone()
}

const SLEEP: &str = "const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));";

#[test]
fn an_awaited_timer_lets_time_pass() {
    let begin = Instant::now();
    let body =
        format!("{SLEEP} const t = Date.now(); await sleep(60); event.seen = Date.now() - t");
    assert!(seen(&body).as_f64().unwrap() >= 59.0);
    assert!(begin.elapsed() >= Duration::from_millis(60));
}

#[test]
fn timers_ring_by_time_and_then_in_the_order_they_were_set() {
    let body = format!(
        "{SLEEP} const order = [];
         setTimeout(() => order.push('30'), 30); setTimeout(() => order.push('10'), 10);
         setTimeout(() => order.push('1'), 1); setTimeout(() => order.push('0'), 0);
         setTimeout(() => order.push('NaN'), NaN); setTimeout(() => order.push('huge'), 2 ** 31);
         setImmediate(() => order.push('immediate')); queueMicrotask(() => order.push('micro'));
         await sleep(60); event.seen = order"
    );
    let expected = serde_json::json!(["micro", "immediate", "1", "0", "NaN", "huge", "10", "30"]);
    assert_eq!(seen(&body), expected);
}

#[test]
fn a_timer_passes_its_parameters_and_itself() {
    let body = "event.seen = await new Promise((resolve) => {
        const timer = setTimeout(function (a, b) { resolve([a, b, this === timer]) }, 1, 'x', 2)
    })";
    assert_eq!(seen(body), serde_json::json!(["x", 2, true]));
}

#[test]
fn timers_set_by_timers_ring_as_well() {
    let body = format!(
        "{SLEEP} const order = [];
         setTimeout(() => {{ order.push(1); setTimeout(() => order.push(3), 5); Promise.resolve().then(() => order.push(2)) }}, 1);
         await sleep(40); event.seen = order"
    );
    assert_eq!(seen(&body), serde_json::json!([1, 2, 3]));
}

#[test]
fn an_interval_repeats_until_it_is_cleared() {
    let body = "let n = 0; await new Promise((resolve) => {
            const interval = setInterval(() => { if (++n === 3) { clearInterval(interval); resolve() } }, 2)
        });
        await new Promise((resolve) => setTimeout(resolve, 20)); event.seen = n";
    assert_eq!(seen(body), 3);
    // By its number too, and from within.
    let body = "let n = 0; const interval = setInterval(() => { n++; clearTimeout(+interval) }, 2);
        await new Promise((resolve) => setTimeout(resolve, 20)); event.seen = n";
    assert_eq!(seen(body), 1);
}

#[test]
fn a_cleared_timer_never_rings() {
    for clear in [
        "clearTimeout(setTimeout(ring, 1))",
        "clearInterval(setTimeout(ring, 1))",
        "clearTimeout(+setTimeout(ring, 1))",
        "clearTimeout(`${setTimeout(ring, 1)}`)",
        "setTimeout(ring, 1).close()",
        "clearImmediate(setImmediate(ring))",
    ] {
        let body = format!(
            "{SLEEP} event.seen = 'silent'; const ring = () => {{ event.seen = 'rang' }};
             {clear}; await sleep(10)"
        );
        assert_eq!(seen(&body), "silent", "{clear}");
    }
    for nonsense in ["", "undefined", "null", "{}", "'x'", "99999"] {
        assert_eq!(seen(&format!("clearTimeout({nonsense}); event.seen = 1")), 1);
    }
}

#[test]
fn a_timer_can_be_refreshed() {
    let body = format!(
        "{SLEEP} let n = 0; const timer = setTimeout(() => n++, 5); await sleep(20);
         timer.refresh(); await sleep(20); event.seen = [n, timer.hasRef(), timer.unref().hasRef()]"
    );
    assert_eq!(seen(&body), serde_json::json!([2, true, false]));
}

#[test]
fn what_is_no_function_is_refused() {
    for wrong in ["setTimeout()", "setInterval('x')", "setImmediate({})"] {
        let body = format!("try {{ {wrong} }} catch (e) {{ event.seen = e.code }}");
        assert_eq!(seen(&body), "ERR_INVALID_ARG_TYPE", "{wrong}");
    }
}

#[test]
fn what_is_left_when_the_promise_is_settled_is_dropped() {
    let begin = Instant::now();
    let mut bench = Bench::new();
    let script = "let rang = 0
        async function setupPlugin() { setInterval(() => rang++, 1); setTimeout(() => rang++, 30) }
        async function processEvent(event) {
            event.rang = rang
            setInterval(() => rang++, 1); setTimeout(() => rang++, 60000)
            Promise.resolve().then(() => setTimeout(() => rang++, 0))
            await new Promise((resolve) => setTimeout(resolve, event.wait))
            return event
        }";
    assert_eq!(bench.process(script, r#"{"wait": 0}"#).unwrap()["rang"], 0);
    let before = bench.process(script, r#"{"wait": 20}"#).unwrap()["rang"].as_i64().unwrap();
    // Those of the first call are gone: only its own rang.
    let after = bench.process(script, r#"{"wait": 0}"#).unwrap()["rang"].as_i64().unwrap();
    assert!(before <= 4 && after > before, "{before} {after}");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_call_without_a_promise_waits_for_no_timer() {
    let script =
        "function processEvent(event) { setTimeout(() => { event.late = true }, 0); return event }";
    assert_eq!(Bench::new().process(script, "{}").unwrap(), serde_json::json!({}));
}

#[test]
fn a_promise_that_only_an_interval_keeps_pending_runs_out_of_time() {
    let body = "setInterval(() => {}, 5); await new Promise(() => {})";
    let outcome = run_for(Duration::from_millis(100), body);
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::TimedOut);
    let outcome = run_for(Duration::from_millis(100), "await new Promise(() => {})");
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::NeverSettles);
}

#[test]
fn a_sleep_ends_with_the_time_of_the_call() {
    let begin = Instant::now();
    let body = format!("{SLEEP} try {{ await sleep(60000) }} finally {{ event.seen = 1 }}");
    let outcome = run_for(Duration::from_millis(50), &body);
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::TimedOut);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_interrupt_ends_a_sleep() {
    let limits = Limits { call: Duration::from_secs(60), ..Limits::default() };
    let mut bench = Bench::with_limits(limits);
    bench.host.polls_left.set(Some(200));
    let begin = Instant::now();
    let script = "async function processEvent() { await new Promise((r) => setTimeout(r, 60000)) }";
    let outcome = bench.run(&program(1, script), "{}");
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::Interrupted);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_callback_that_throws_is_reported_and_the_call_goes_on() {
    let body = format!(
        "{SLEEP} setTimeout(() => {{ throw new Error('late') }}, 1); await sleep(10); event.seen = 1"
    );
    let outcome = run_for(Duration::from_secs(10), &body);
    assert_eq!(after(&outcome, "{}").unwrap()["seen"], 1);
    let failure = outcome.failure.unwrap();
    assert_eq!((failure.kind, &*failure.message), (FailureKind::UnhandledRejection, "Error: late"));
}

#[test]
fn timers_without_end_can_be_stopped() {
    for body in [
        "const again = () => setImmediate(again); again(); await new Promise(() => {})",
        "for (;;) setTimeout(() => {}, 1e6)",
        "for (;;) setTimeout(() => {}, 0)",
        "const t = setInterval(() => {}, 1); for (;;) t.refresh()",
        "setTimeout(() => { for (;;); }, 1); await new Promise(() => {})",
        "for (;;) +setTimeout(() => {}, 1e6)",
    ] {
        let outcome = run_for(Duration::from_millis(300), body);
        let kind = outcome.failure.unwrap().kind;
        let ended = matches!(kind, FailureKind::TimedOut | FailureKind::OutOfMemory);
        assert!(ended, "{body}: {kind:?}");
    }
}

#[test]
fn a_time_limit_of_a_signal_rings_while_the_call_waits() {
    let body = "event.seen = await new Promise((resolve) => {
        AbortSignal.timeout(5).addEventListener('abort', () => resolve('aborted'))
    })";
    assert_eq!(seen(body), "aborted");
}
