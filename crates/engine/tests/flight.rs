//! Calls that run side by side: each ends once, with what is its own, whatever the others do.

#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::sky::{Ended, LONG, Pilot};
use common::{program, to_jsonb};
use engine::{Call, Cause, FailureKind, Limits, Return, Schedule, Ticket};
use proptest::prelude::*;

const SLEEP: &str = "const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));";

fn kinds(ended: &[Ended]) -> BTreeMap<Ticket, Option<FailureKind>> {
    ended.iter().map(|(it, result)| (*it, result.as_ref().err().map(|it| it.kind))).collect()
}

#[test]
fn a_call_that_waits_for_nothing_ends_with_the_next_turn() {
    for body in ["() => {}", "async () => {}", "async () => { await null }", "() => 'x'"] {
        let mut pilot = Pilot::of(&format!("exports.onEvent = {body}"));
        let ticket = pilot.event("{}");
        assert_eq!(pilot.flight.in_flight(), 0, "{body}");
        assert!(pilot.flight.wake_at().unwrap() <= Instant::now());
        assert_eq!(pilot.flight.turn(), [(ticket, Ok(Return::Nothing))]);
        assert_eq!(pilot.flight.turn(), []);
        assert_eq!(pilot.flight.wake_at(), None);
    }
}

#[test]
fn calls_wait_side_by_side_and_end_as_their_answers_come() {
    let mut pilot = Pilot::of(
        "exports.onEvent = async ({ n }) => {
            const text = await (await fetch('https://h/' + n)).text()
            if (!text.endsWith('/' + n)) throw new Error(text)
        }",
    );
    let count = 3000;
    let tickets: Vec<Ticket> =
        (0..count).map(|n| pilot.event(&format!(r#"{{"n": {n}}}"#))).collect();
    assert_eq!(pilot.flight.in_flight(), count);
    assert_eq!(pilot.turn(), []);
    // The last ones first.
    for n in (0..count).rev().step_by(2) {
        pilot.host.answer(n as u64);
    }
    let expected: Vec<Ended> =
        tickets.iter().rev().step_by(2).map(|ticket| (*ticket, Ok(Return::Nothing))).collect();
    assert_eq!(pilot.turn(), expected);
    assert_eq!(pilot.flight.in_flight(), count / 2);
    pilot.host.answer_all();
    assert_eq!(pilot.turn().len(), count / 2);
    assert_eq!(pilot.flight.in_flight(), 0);
}

#[test]
fn an_event_outlives_the_slice_in_which_it_was_handed_over() {
    let mut pilot = Pilot::of(
        "exports.onEvent = async (event) => {
            await fetch('https://h/')
            console.log(event.properties.deep.text, Object.keys(event).length)
        }",
    );
    for n in 0..3 {
        pilot.event(&format!(r#"{{"properties": {{"deep": {{"text": "number {n}"}}}}}}"#));
    }
    pilot.host.answer_all();
    assert_eq!(pilot.turn().len(), 3);
    assert_eq!(pilot.host.lines(), ["LOG number 0 2", "LOG number 1 2", "LOG number 2 2"]);
}

#[test]
fn a_call_ends_when_its_time_is_up_and_the_others_go_on() {
    let mut pilot = Pilot::of(
        "exports.onEvent = async ({ path }) => {
            try { await fetch('https://h' + path) }
            catch (error) { console.log(error.message) }
            try { await fetch('https://h/again') }
            catch (error) { console.log(error.message) }
        }",
    );
    let hanging = pilot
        .flight
        .begin(Call::OnEvent(to_jsonb(r#"{"path": "/never"}"#)), Duration::from_millis(500));
    let patient = pilot.event(r#"{"path": "/"}"#);
    assert_eq!(pilot.flight.turn(), []);
    let ended = pilot.turn();
    let [(ticket, Err(failure))] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!((*ticket, failure.kind, failure.retriable), (hanging, FailureKind::TimedOut, true));
    assert_eq!(failure.message, "TimeoutError: onEvent did not end within 0.5 s");
    // Its request is cancelled; it hears of that, and can begin nothing more.
    assert_eq!(*pilot.host.cancelled.borrow(), [0]);
    assert_eq!(
        pilot.host.lines(),
        [
            "LOG request to https://h/never failed, reason: the time of the call is up",
            "LOG request to https://h/again failed, reason: the time of the call is up",
        ]
    );
    pilot.host.answer_all();
    pilot.turn();
    pilot.host.answer_all();
    assert_eq!(pilot.turn(), [(patient, Ok(Return::Nothing))]);
}

#[test]
fn a_promise_that_nothing_resolves_ends_with_its_time_too() {
    let mut pilot = Pilot::of("exports.onEvent = () => new Promise(() => {})");
    let ticket = pilot.flight.begin(Call::OnEvent(to_jsonb("{}")), Duration::from_millis(20));
    assert!(pilot.flight.wake_at().unwrap() > Instant::now());
    assert_eq!(kinds(&pilot.turn()), BTreeMap::from([(ticket, Some(FailureKind::TimedOut))]));
    // Another call can resolve it.
    let mut pilot = Pilot::of(
        "let all = []
         exports.onEvent = ({ last }) => new Promise((resolve) => {
            all.push(resolve)
            if (last) all.forEach((resolve) => resolve())
         })",
    );
    pilot.event("{}");
    pilot.event("{}");
    assert_eq!(pilot.turn(), []);
    pilot.event(r#"{"last": true}"#);
    assert_eq!(pilot.turn().len(), 3);
}

#[test]
fn what_runs_on_without_waiting_loses_the_runtime_and_its_own_calls_only() {
    let limits = Limits { call: Duration::from_millis(500), ..Limits::default() };
    for body in [
        "for (;;);",
        "await null; for (;;);",
        // Keeps nothing of what it has done, so that it is time that runs out.
        "const again = () => { Promise.resolve().then(again) }; again(); await new Promise(() => {})",
        "for (;;) try { await fetch('x:') } catch {}",
        "setTimeout(() => { for (;;); }, 1); await new Promise(() => {})",
        "await fetch('https://h/answered'); for (;;);",
    ] {
        let script = format!(
            "let begun = 0
             exports.onEvent = async ({{ hangs }}) => {{
                console.log(++begun)
                if (!hangs) return await fetch('https://h/other')
                {body}
             }}"
        );
        let mut pilot = Pilot::with(program(1, &script), limits);
        let other = pilot.event("{}");
        pilot.turn();
        let culprit = pilot.event(r#"{"hangs": true}"#);
        let answered: Vec<u64> = pilot.host.under_way.borrow().keys().skip(1).copied().collect();
        answered.into_iter().for_each(|number| pilot.host.answer(number));
        let ended = pilot.turn();
        let expected = BTreeMap::from([
            (other, Some(FailureKind::Interrupted)),
            (culprit, Some(FailureKind::TimedOut)),
        ]);
        assert_eq!(kinds(&ended), expected, "{body}");
        assert!(ended.iter().all(|(_, result)| result.as_ref().unwrap_err().retriable));
        assert_eq!(*pilot.host.cancelled.borrow(), [0], "{body}");
        assert_eq!((pilot.flight.in_flight(), pilot.flight.wake_at()), (0, None));
        // A new runtime, which has begun nothing yet.
        pilot.event("{}");
        assert_eq!(pilot.said(), "LOG 1", "{body}");
    }
}

#[test]
fn a_call_that_eats_the_memory_takes_its_runtime_along() {
    let limits = Limits { memory: 8 << 20, ..Limits::default() };
    let script = "exports.onEvent = async ({ eats }) => {
        await fetch('https://h/')
        if (eats) { const all = []; for (;;) all.push('x'.repeat(1000) + all.length) }
    }";
    for others in [0, 5] {
        let mut pilot = Pilot::with(program(1, script), limits);
        for _ in 0..others {
            pilot.event("{}");
        }
        let culprit = pilot.event(r#"{"eats": 1}"#);
        pilot.host.answer(others);
        let ended = pilot.turn();
        assert_eq!(ended.len() as u64, others + 1);
        for (ticket, result) in ended {
            let failure = result.unwrap_err();
            if ticket == culprit {
                // That it alone was too much is only known when it was alone.
                assert_eq!(
                    (failure.kind, failure.retriable),
                    (FailureKind::OutOfMemory, others > 0)
                );
            } else {
                assert_eq!((failure.kind, failure.retriable), (FailureKind::Interrupted, true));
                assert!(failure.message.ends_with("the plugin ran out of memory"), "{failure}");
            }
        }
        assert_eq!(pilot.flight.memory_used(), 0);
        assert_eq!(pilot.run(Call::OnEvent(to_jsonb("{}"))), Ok(Return::Nothing));
    }
}

#[test]
fn a_plugin_that_uses_up_its_limits_again_and_again_is_not_called_for_a_while() {
    let limits = Limits { call: Duration::from_millis(200), ..Limits::default() };
    let script = "exports.onEvent = ({ fine }) => { while (!fine); }";
    let mut pilot = Pilot::with(program(1, script), limits);
    let mut kind = |event: &str| {
        pilot.event(event);
        pilot.turn().remove(0).1.err().map(|failure| failure.kind)
    };
    let (bad, fine) = ("{}", r#"{"fine": 1}"#);
    for event in [bad, bad, fine, bad, bad, bad] {
        assert_eq!(kind(event), (event == bad).then_some(FailureKind::TimedOut));
    }
    assert_eq!(kind(fine), Some(FailureKind::Suspended));
}

#[test]
fn a_stack_that_overflows_fails_its_call_and_no_other() {
    let mut pilot = Pilot::of(
        "exports.onEvent = async ({ deep }) => {
            const dig = () => dig() + 1
            if (deep) dig(); else await fetch('https://h/')
        }",
    );
    let other = pilot.event("{}");
    let deep = pilot.event(r#"{"deep": 1}"#);
    let ended = pilot.turn();
    assert_eq!(kinds(&ended), BTreeMap::from([(deep, Some(FailureKind::StackOverflow))]));
    assert!(!ended[0].1.as_ref().unwrap_err().retriable);
    pilot.host.answer_all();
    assert_eq!(pilot.turn(), [(other, Ok(Return::Nothing))]);
}

#[test]
fn only_what_may_do_well_later_is_retriable() {
    let bundled = "class RetryError extends Error {
        get name() { return 'RetryError' } get nameWithAttempts() { return this.name }
    }";
    for (body, retriable) in [
        ("throw new RetryError('later')", true),
        ("throw new (require('@posthog/plugin-scaffold').RetryError)()", true),
        ("throw new (class Busy extends RetryError { name = 'Busy' })('later')", true),
        (&format!("{bundled}; throw new RetryError('later')"), true),
        ("throw new Error('RetryError: never')", false),
        ("throw new TypeError()", false),
        ("throw 'RetryErrors'", false),
        ("throw { get nameWithAttempts() { throw 1 } }", false),
        (
            "const e = new Error('x'); Object.defineProperty(e, 'nameWithAttempts', { get() { throw 1 } }); throw e",
            false,
        ),
        ("throw undefined", false),
    ] {
        for before in ["", "await null;", "await fetch('https://h/');"] {
            let script = format!("exports.onEvent = async () => {{ {before} {body} }}");
            let failure = Pilot::of(&script).run(Call::OnEvent(to_jsonb("{}"))).unwrap_err();
            assert_eq!(
                (failure.kind, failure.retriable),
                (FailureKind::Threw, retriable),
                "{body}"
            );
        }
        let script = format!("exports.onEvent = () => {{ {body} }}");
        let failure = Pilot::of(&script).run(Call::OnEvent(to_jsonb("{}"))).unwrap_err();
        assert_eq!((failure.kind, failure.retriable), (FailureKind::Threw, retriable), "{body}");
    }
}

#[test]
fn the_plugin_is_set_up_once_and_calls_wait_for_it() {
    let mut pilot = Pilot::of(
        "let ready = 'no'
         exports.setupPlugin = async ({ global }) => {
            await fetch('https://h/setup'); ready = 'yes'; global.set = (global.set ?? 0) + 1
         }
         exports.onEvent = ({ n }, { global }) => console.log(n, ready, global.set)",
    );
    let tickets: Vec<Ticket> = (0..3).map(|n| pilot.event(&format!(r#"{{"n": {n}}}"#))).collect();
    assert_eq!(pilot.turn(), []);
    assert_eq!((pilot.flight.in_flight(), pilot.flight.has_room()), (3, false));
    pilot.host.answer_all();
    let ended: Vec<Ticket> = pilot.turn().into_iter().map(|(ticket, _)| ticket).collect();
    assert_eq!(ended, tickets);
    assert_eq!(pilot.host.lines(), ["LOG 0 yes 1", "LOG 1 yes 1", "LOG 2 yes 1"]);
    assert_eq!(pilot.run(Call::OnEvent(to_jsonb(r#"{"n": 3}"#))), Ok(Return::Nothing));
    assert_eq!(pilot.said(), "LOG 3 yes 1");
}

#[test]
fn a_plugin_that_cannot_be_set_up_fails_what_waits_and_is_not_tried_for_a_while() {
    for (script, retriable) in [
        ("syntax error", false),
        ("throw new Error('x')", false),
        ("for (;;);", true),
        ("exports.setupPlugin = () => { throw new RetryError('later') }", true),
        ("exports.setupPlugin = async () => { throw new Error('never') }", false),
        (
            "exports.setupPlugin = async () => { await fetch('https://h/'); throw Error('x') }",
            false,
        ),
        ("exports.setupPlugin = () => new Promise(() => {})", true),
        ("exports.setupPlugin = () => { for (;;); }", true),
        ("exports.setupPlugin = () => { const a = []; for (;;) a.push('x'.repeat(1e5)) }", false),
    ] {
        let limits =
            Limits { call: Duration::from_millis(300), memory: 4 << 20, ..Limits::default() };
        let mut pilot = Pilot::with(program(1, script), limits);
        let begin = |pilot: &mut Pilot| {
            pilot.flight.begin(Call::OnEvent(to_jsonb("{}")), Duration::from_secs(1))
        };
        let first = begin(&mut pilot);
        pilot.host.answer_all();
        let second = begin(&mut pilot);
        let ended = pilot.turn();
        let expected = [first, second].map(|ticket| (ticket, Some(FailureKind::NotLoaded)));
        assert_eq!(kinds(&ended), BTreeMap::from(expected), "{script}");
        for (_, result) in ended {
            assert_eq!(result.unwrap_err().retriable, retriable, "{script}");
        }
        let sent = pilot.host.sent.get();
        begin(&mut pilot);
        assert_eq!(pilot.turn()[0].1.as_ref().unwrap_err().kind, FailureKind::NotLoaded);
        assert_eq!(pilot.host.sent.get(), sent, "{script}");
        assert_eq!(pilot.flight.memory_used(), 0);
    }
}

#[test]
fn timers_ring_during_calls_and_between_them() {
    let mut pilot = Pilot::of(&format!(
        "{SLEEP} let ticks = 0
         const interval = setInterval(() => {{ if (++ticks === 5) clearInterval(interval) }}, 2)
         exports.onEvent = async ({{ ms }}) => {{ await sleep(ms); console.log(ms, ticks) }}"
    ));
    for ms in [30, 10, 20] {
        pilot.event(&format!(r#"{{"ms": {ms}}}"#));
    }
    assert_eq!(pilot.turn().len(), 3);
    assert_eq!(pilot.host.lines().len(), 3);
    assert!(pilot.host.lines()[2].starts_with("LOG 30 5"), "{:?}", pilot.host.lines());
    assert_eq!(pilot.flight.wake_at(), None);
    // What a call leaves behind goes on as well.
    let mut pilot =
        Pilot::of("exports.onEvent = () => { setTimeout(() => console.log('late'), 5) }");
    pilot.event("{}");
    assert_eq!(pilot.flight.turn().len(), 1);
    assert!(pilot.host.lines().is_empty());
    pilot.turn();
    assert_eq!(pilot.said(), "LOG late");
}

#[test]
fn what_is_left_for_later_tells_what_led_to_it() {
    let mut pilot = Pilot::of(&format!(
        "{SLEEP} exports.onEvent = async ({{ n }}, {{ jobs }}) => {{
             posthog.capture('at once')
             await sleep(5)
             await jobs.later(n).runNow()
             await fetch('https://h/')
             setTimeout(() => posthog.capture('after the call'), 5)
         }}"
    ));
    let causes = [(3, Some(7)), (0, None)].map(|(depth, team)| Cause { depth, team });
    for cause in causes {
        let event = Call::OnEvent(to_jsonb("{}"));
        pilot.flight.begin_caused(event, cause, LONG);
    }
    pilot.turn();
    pilot.host.answer_all();
    assert_eq!(pilot.turn().len(), 2);
    let left = pilot.host.left.borrow();
    assert_eq!(left.len(), 6);
    for cause in causes {
        assert_eq!(left.iter().filter(|(_, it)| *it == cause).count(), 3, "{left:?}");
    }
}

#[test]
fn what_always_has_something_to_do_leaves_time_for_others() {
    for body in [
        "const again = () => setImmediate(again); again()",
        "setInterval(() => {}, 0)",
        "for (let i = 0; i < 50; i++) setInterval(() => { for (let n = 0; n < 1e4; n++); }, 1)",
    ] {
        let script = format!(
            "let begun = false
             exports.onEvent = async () => {{
                if (!begun) {{ begun = true; {body} }}
                await fetch('https://h/')
             }}"
        );
        let mut pilot = Pilot::of(&script);
        let ticket = pilot.event("{}");
        for _ in 0..5 {
            let begin = Instant::now();
            pilot.flight.turn();
            assert!(begin.elapsed() < Duration::from_secs(20), "{body}");
        }
        pilot.host.answer_all();
        let ended: Vec<Ended> = (0..20).flat_map(|_| pilot.flight.turn()).collect();
        assert_eq!(ended, [(ticket, Ok(Return::Nothing))], "{body}");
        assert!(pilot.flight.wake_at().is_some());
    }
}

#[test]
fn promises_that_nobody_handles_are_logged_and_fail_no_call() {
    let mut pilot = Pilot::of(
        "exports.onEvent = async () => {
            Promise.reject(new Error('floating'))
            setTimeout(() => { throw new Error('from a timer') }, 1)
            fetch('https://h/').then(() => { throw new Error('from an answer') })
            const late = Promise.reject(new Error('handled')); await null; late.catch(() => {})
        }",
    );
    let ticket = pilot.event("{}");
    pilot.host.answer_all();
    assert_eq!(pilot.turn(), [(ticket, Ok(Return::Nothing))]);
    let mut lines = pilot.host.lines();
    lines.sort();
    let unhandled = |what| format!("ERROR unhandled rejection: Error: {what}");
    assert_eq!(lines, ["floating", "from a timer", "from an answer"].map(unhandled));
}

#[test]
fn what_a_plugin_makes_of_promises_does_not_hold_its_calls_up() {
    for body in [
        "Promise.prototype.then = () => { throw 1 }",
        "Promise.prototype.then = function () { return this }; Promise.resolve = null",
        "globalThis.Promise = null; globalThis.setTimeout = null; globalThis.Date = null",
        "Object.defineProperty = Array.isArray = Object.prototype.toString = null",
        "Object.defineProperty(Promise, Symbol.species, { value: 1, configurable: true })",
    ] {
        let script = format!("{body}; exports.onEvent = async () => {{ await null; await null }}");
        let mut pilot = Pilot::of(&script);
        let ticket = pilot.event(r#"{"properties": {"$elements_chain": "a"}}"#);
        assert_eq!(pilot.turn(), [(ticket, Ok(Return::Nothing))], "{body}");
    }
    // Thenables are waited for.
    let mut pilot = Pilot::of(
        "exports.onEvent = () => ({ then: (_, reject) => { reject(new RetryError('x')) } })",
    );
    pilot.event("{}");
    assert!(pilot.turn()[0].1.as_ref().unwrap_err().retriable);
}

#[test]
fn tearing_down_runs_the_plugins_function_and_ends_the_rest() {
    let script = "
        exports.onEvent = async () => { await fetch('https://h/never') }
        exports.teardownPlugin = async () => { await fetch('https://h/flush'); console.log('flushed') }";
    let mut pilot = Pilot::of(script);
    // Nothing was set up.
    assert_eq!(pilot.flight.tear_down(LONG), None);
    let hanging = pilot.event("{}");
    let teardown = pilot.flight.tear_down(LONG).unwrap();
    assert_eq!(pilot.turn(), []);
    pilot.host.answer(1);
    let expected = BTreeMap::from([(teardown, None), (hanging, Some(FailureKind::Interrupted))]);
    assert_eq!(kinds(&pilot.turn()), expected);
    assert_eq!(pilot.said(), "LOG flushed");
    assert_eq!(*pilot.host.cancelled.borrow(), [0]);
    assert_eq!((pilot.flight.memory_used(), pilot.flight.wake_at()), (0, None));

    let mut pilot = Pilot::of("exports.onEvent = async () => { await fetch('https://h/never') }");
    let hanging = pilot.event("{}");
    assert_eq!(pilot.flight.tear_down(LONG), None);
    assert_eq!(kinds(&pilot.turn()), BTreeMap::from([(hanging, Some(FailureKind::Interrupted))]));

    let mut pilot = Pilot::of(
        "exports.onEvent = () => {}; exports.teardownPlugin = () => { throw new Error('stuck') }",
    );
    pilot.event("{}");
    pilot.turn();
    let teardown = pilot.flight.tear_down(LONG).unwrap();
    let ended = pilot.turn();
    assert_eq!(ended[0].0, teardown);
    assert_eq!(ended[0].1.as_ref().unwrap_err().message, "Error: stuck");
    assert_eq!(pilot.flight.memory_used(), 0);
}

#[test]
fn tearing_down_while_the_plugin_is_set_up_ends_what_waits() {
    let mut pilot = Pilot::of(
        "exports.setupPlugin = () => fetch('https://h/never'); exports.teardownPlugin = () => console.log('no')",
    );
    let waiting = pilot.event("{}");
    assert_eq!(pilot.flight.tear_down(LONG), None);
    assert_eq!(kinds(&pilot.turn()), BTreeMap::from([(waiting, Some(FailureKind::Interrupted))]));
    assert!(pilot.host.lines().is_empty());
    assert_eq!(*pilot.host.cancelled.borrow(), [0]);
}

#[test]
fn an_interrupt_of_the_host_ends_everything_and_is_nobodys_fault() {
    let mut pilot = Pilot::of("exports.onEvent = async () => { await fetch('https://h/') }");
    for _ in 0..3 {
        let tickets = [pilot.event("{}"), pilot.event("{}")];
        pilot.turn();
        pilot.host.stop.set(true);
        pilot.host.answer_all();
        let ended = pilot.turn();
        let expected = tickets.map(|ticket| (ticket, Some(FailureKind::Interrupted)));
        assert_eq!(kinds(&ended), BTreeMap::from(expected));
        pilot.host.stop.set(false);
    }
    assert_eq!(pilot.run(Call::OnEvent(to_jsonb("{}"))), Ok(Return::Nothing));
}

#[test]
fn a_flight_that_is_dropped_cancels_its_requests() {
    let mut pilot = Pilot::of("exports.onEvent = async () => { await fetch('https://h/') }");
    for _ in 0..3 {
        pilot.event("{}");
    }
    drop(pilot.flight);
    let mut cancelled = pilot.host.cancelled.take();
    cancelled.sort_unstable();
    assert_eq!(cancelled, [0, 1, 2]);
}

#[test]
fn there_is_room_until_half_of_the_memory_is_in_use() {
    let limits = Limits { memory: 8 << 20, ..Limits::default() };
    let script = "exports.onEvent = async () => {
        const held = new Uint8Array(1 << 20); await fetch('https://h/'); held[0] = 1
    }";
    let mut pilot = Pilot::with(program(1, script), limits);
    let mut begun = 0;
    while pilot.flight.has_room() && begun < 100 {
        pilot.event("{}");
        begun += 1;
    }
    assert!((2..8).contains(&begun), "{begun}");
    pilot.host.answer_all();
    assert_eq!(pilot.turn().iter().filter(|(_, result)| result.is_ok()).count(), begun);
    assert!(pilot.flight.has_room());
}

#[test]
fn memory_of_calls_that_have_ended_is_given_back() {
    let mut pilot = Pilot::of(
        "exports.onEvent = async (event, { global }) => {
            const cycle = { event }; cycle.cycle = cycle
            await (await fetch('https://h/', { method: 'POST', body: JSON.stringify(event) })).json()
        }",
    );
    let mut used = Vec::new();
    for _ in 0..20 {
        for n in 0..200 {
            pilot.event(&format!(r#"{{"n": {n}, "properties": {{"text": "{:0>1000}"}}}}"#, n));
        }
        pilot.host.answer_all();
        assert_eq!(pilot.turn().iter().filter(|(_, result)| result.is_ok()).count(), 200);
        used.push(pilot.flight.memory_used());
    }
    assert!(used[19] < used[2] * 3, "{used:?}");
}

#[test]
fn functions_of_every_kind_are_called_with_what_is_theirs() {
    let script = r#"
        const log = (name) => (...args) => console.log(name, args.length, JSON.stringify(args.slice(0, -1)),
            'config' in args.at(-1))
        for (const name of ['onSnapshot', 'onAction', 'exportEvents', 'runEveryMinute', 'runEveryHour', 'runEveryDay'])
            exports[name] = log(name)
        exports.jobs = { send: log('send') }
        exports.getSettings = () => ({ handlesLargeBatches: true })"#;
    let mut pilot = Pilot::of(script);
    let event = || to_jsonb(r#"{"event": "x", "elements": [1], "properties": {}}"#);
    let shown = r#"{"event":"x","elements":[1],"properties":{}}"#;
    let mut said = |call: Call| {
        assert_eq!(pilot.run(call), Ok(Return::Nothing));
        pilot.said()
    };
    assert_eq!(said(Call::OnSnapshot(event())), format!("LOG onSnapshot 2 [{shown}] true"));
    let action = to_jsonb(r#"{"id": 1}"#);
    assert_eq!(
        said(Call::OnAction { action, event: event() }),
        format!(r#"LOG onAction 3 [{{"id":1}},{shown}] true"#)
    );
    assert_eq!(
        said(Call::ExportEvents(vec![event(), event()])),
        format!("LOG exportEvents 2 [[{shown},{shown}]] true")
    );
    assert_eq!(said(Call::ExportEvents(Vec::new())), "LOG exportEvents 2 [[]] true");
    for schedule in [Schedule::Minute, Schedule::Hour, Schedule::Day] {
        let expected = format!("LOG {} 1 [] true", schedule.function());
        assert_eq!(said(Call::Scheduled(schedule)), expected);
    }
    // PostHog leaves a payload out that is falsy.
    for (payload, expected) in [
        (r#"{"a": [1]}"#, r#"send 2 [{"a":[1]}] true"#),
        ("[]", "send 2 [[]] true"),
        ("1.5", "send 2 [1.5] true"),
        ("null", "send 1 [] true"),
        ("0", "send 1 [] true"),
        ("\"\"", "send 1 [] true"),
    ] {
        let payload = to_jsonb(payload);
        assert_eq!(said(Call::Job { name: "send".to_owned(), payload }), format!("LOG {expected}"));
    }
    match pilot.run(Call::GetSettings) {
        Ok(Return::Settings(settings)) => assert!(settings.handles_large_batches),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_function_that_is_not_there_is_not_found() {
    let mut pilot = Pilot::of("exports.jobs = { toString: 1 }");
    let payload = to_jsonb("null");
    for (call, message) in [
        (Call::OnEvent(to_jsonb("{}")), "the plugin has no onEvent"),
        (Call::Job { name: "toString".to_owned(), payload }, "the plugin has no job \"toString\""),
        (Call::Scheduled(Schedule::Day), "the plugin has no runEveryDay"),
    ] {
        let failure = pilot.run(call).unwrap_err();
        assert_eq!((failure.kind, failure.retriable), (FailureKind::NotFound, false));
        assert_eq!(failure.message, message);
    }
}

#[test]
fn secrets_are_masked_in_failures() {
    let mut plugin = program(
        1,
        "exports.onEvent = async () => { throw new Error('key hunter22') }
         exports.jobs = { wait: () => { Promise.reject(new Error('hunter22')) } }",
    );
    plugin.secrets = vec!["hunter22".to_owned()];
    let mut pilot = Pilot::with(plugin, Limits::default());
    let failure = pilot.run(Call::OnEvent(to_jsonb("{}"))).unwrap_err();
    assert_eq!(failure.message, "Error: key ********");
    let call = Call::Job { name: "wait".to_owned(), payload: to_jsonb("1") };
    assert_eq!(pilot.run(call), Ok(Return::Nothing));
    assert_eq!(pilot.said(), "ERROR unhandled rejection: Error: ********");
}

#[test]
fn what_one_call_logs_is_limited_while_it_goes_on() {
    let mut pilot = Pilot::of(&format!(
        "{SLEEP} exports.onEvent = async () => {{
            for (let i = 0; i < 40; i++) {{ console.log('x'.repeat(40000)); await sleep(0) }}
         }}"
    ));
    pilot.event("{}");
    pilot.turn();
    let lines = pilot.host.lines();
    assert!(lines.len() < 30, "{}", lines.len());
    assert_eq!(lines.last().unwrap(), "WARN the rest of what this call logged is left out");
}

/// What a call does in the property test: how often it waits, for what, and how it ends.
#[derive(Debug, Clone)]
struct Script {
    steps: Vec<Step>,
    end: u8,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Fetch,
    FailedFetch,
    Sleep(u8),
    Nothing,
}

fn script() -> impl Strategy<Value = Script> {
    let step = prop_oneof![
        3 => Just(Step::Fetch),
        1 => Just(Step::FailedFetch),
        1 => (0u8..4).prop_map(Step::Sleep),
        1 => Just(Step::Nothing),
    ];
    (prop::collection::vec(step, 0..4), 0u8..4).prop_map(|(steps, end)| Script { steps, end })
}

const ACTOR: &str = "
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
    exports.onEvent = async ({ number, steps, end, text }) => {
        let done = 0
        for (const step of steps) {
            if (step === 'fetch') {
                const response = await fetch('https://h/' + number)
                if ((await response.text()) !== 'https://h/' + number) throw new Error('mixed up')
            } else if (step === 'fail') {
                try { await fetch('https://h/fail'); throw new Error('no failure') } catch (e) {
                    if (e.name !== 'FetchError') throw e
                }
            } else if (step === null) await null
            else await sleep(step)
            done++
        }
        if (done !== steps.length || text !== 'text of ' + number) throw new Error('lost')
        if (end === 1) throw new RetryError('number ' + number)
        if (end === 2) throw new Error('number ' + number)
        if (end === 3) return { then(resolve) { resolve(event) } }
    }";

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However the answers come: every call ends once, as its script says.
    #[test]
    fn every_call_ends_once_and_as_it_should(
        scripts in prop::collection::vec(script(), 1..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let mut pilot = Pilot::of(ACTOR);
        let mut expected = BTreeMap::new();
        for (number, Script { steps, end }) in scripts.iter().enumerate() {
            let steps: Vec<serde_json::Value> = steps.iter().map(|step| match step {
                Step::Fetch => "fetch".into(),
                Step::FailedFetch => "fail".into(),
                Step::Sleep(ms) => (*ms).into(),
                Step::Nothing => serde_json::Value::Null,
            }).collect();
            let event = serde_json::json!({
                "number": number, "steps": steps, "end": end % 3, "text": format!("text of {number}"),
            });
            let failure = match end % 3 {
                1 => Some((format!("RetryError: number {number}"), true)),
                2 => Some((format!("Error: number {number}"), false)),
                _ => None,
            };
            expected.insert(pilot.event(&event.to_string()), failure);
        }
        let mut ended = Vec::new();
        let mut order = order.iter();
        for _ in 0..10_000 {
            ended.extend(pilot.turn());
            let under_way: Vec<(u64, bool)> = pilot.host.under_way.borrow().iter()
                .map(|(number, request)| (*number, request.url.ends_with("fail"))).collect();
            if under_way.is_empty() {
                break;
            }
            // A few at a time, in any order.
            let next = order.next().map_or(0, |index| index.index(under_way.len()));
            let (number, fails) = under_way[next];
            if fails { pilot.host.fail(number) } else { pilot.host.answer(number) }
        }
        prop_assert_eq!(pilot.flight.in_flight(), 0);
        prop_assert_eq!(ended.len(), expected.len());
        for (ticket, result) in ended {
            let failure = result.err().map(|failure| (failure.message, failure.retriable));
            prop_assert_eq!(Some(failure), expected.remove(&ticket));
        }
    }
}
