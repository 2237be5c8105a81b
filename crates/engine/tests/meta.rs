//! What `meta` and `posthog` ask of the host, and what comes back of it.
#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

mod common;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use common::{after, program, to_jsonb};
use engine::store::{Operation, Place, Refusal, Reply, Slot};
use engine::{Cause, Engine, Host, LogLine, Metric, MetricKind, Program, Task};

#[derive(Default)]
struct Keeper {
    slots: RefCell<HashMap<(bool, String), Slot>>,
    tasks: RefCell<Vec<Task>>,
    lines: RefCell<Vec<String>>,
}

impl Host for Keeper {
    fn interrupted(&self) -> bool {
        false
    }

    fn log(&self, line: LogLine<'_>) {
        self.lines.borrow_mut().push(line.message.to_owned());
    }

    fn store(&self, _program: &Program, operation: Operation) -> Result<Reply, Refusal> {
        let key = (operation.place == Place::Cache, operation.key);
        self.slots.borrow_mut().entry(key).or_default().perform(operation.action, 0)
    }

    fn leave(&self, _program: &Program, task: Task, _: Cause) -> Result<(), Refusal> {
        self.tasks.borrow_mut().push(task);
        Ok(())
    }

    fn measure(&self, _program: &Program, metric: &Metric, value: f64) {
        self.lines.borrow_mut().push(format!("{} {value}", metric.name));
    }

    fn locate(&self, address: &str) -> Result<Option<String>, Refusal> {
        Ok((address == "::1").then(|| r#"{"city":null}"#.to_owned()))
    }
}

/// What a body of `processEvent(event, meta)` makes of `{}`, and what the host has of it.
fn run(body: &str) -> (serde_json::Value, Rc<Keeper>) {
    let host = Rc::new(Keeper::default());
    let mut engine = Engine::new(host.clone());
    let script =
        format!("exports.processEvent = async (event, meta) => {{ {body}; return event }}");
    let outcome = engine.process_event(&Rc::new(program(1, &script)), &to_jsonb("{}"));
    assert_eq!(outcome.failure, None, "{body}");
    (after(&outcome, "{}").unwrap(), host)
}

#[test]
fn every_method_returns_a_promise_and_never_throws() {
    let (event, _) = run("
        const { cache, storage, geoip, jobs, utils } = meta
        const calls = [() => cache.get(Symbol()), () => cache.lpush('a', 1), () => cache.lrange('a'),
                       () => cache.set('a', 1, -1), () => storage.get(Symbol()), () => storage.set('\\0', 1),
                       () => utils.cursor.init('a', 'b'), () => geoip.locate(Symbol()),
                       () => jobs.a().runIn(1, 'x'), () => jobs.a().runAt('x'), () => posthog.capture()]
        event.all = 0
        for (const call of calls) {
            const promise = call()
            event.all += promise instanceof Promise && await promise.then(() => 0, () => 1)
        }
        event.calls = calls.length");
    assert_eq!(event["all"], event["calls"]);
}

#[test]
fn the_parts_are_frozen_and_the_same_each_time() {
    let (event, _) = run("
        meta.cache.get = 5; meta.utils.cursor.init = 5
        event.same = meta.cache === meta.cache && typeof meta.cache.get === 'function'
            && typeof meta.utils.cursor.init === 'function'
        event.keys = Object.keys(meta)");
    assert_eq!(event["same"], true);
    assert_eq!(
        event["keys"],
        serde_json::json!([
            "config",
            "attachments",
            "global",
            "cache",
            "storage",
            "utils",
            "jobs",
            "metrics",
            "geoip",
            "logger"
        ])
    );
}

#[test]
fn storage_and_cache_are_apart() {
    let (event, _) = run("
        await meta.cache.set('k', 1); await meta.storage.set('k', { a: 2 })
        event.cache = await meta.cache.get('k'); event.storage = await meta.storage.get('k')
        await meta.storage.set('k'); event.gone = await meta.storage.get('k', 'default')");
    assert_eq!(event, serde_json::json!({"cache": 1, "storage": {"a": 2}, "gone": "default"}));
}

#[test]
fn meta_can_be_written_as_json_and_awaited() {
    let (event, host) = run("await meta.jobs; await meta.metrics;
        const { config, metrics, jobs, geoip } = meta;
        event.seen = JSON.stringify({ config, metrics, jobs, geoip })");
    assert_eq!(event["seen"], r#"{"config":{},"metrics":{},"jobs":{},"geoip":{}}"#);
    assert!(host.tasks.borrow().is_empty());
}

#[test]
fn jobs_and_events_are_left_as_json() {
    let (_, host) = run("
        await meta.jobs.later({ at: 1 }).runAt(5)
        await posthog.capture('seen', { timestamp: 't', $lib_version: 1 })");
    assert_eq!(
        host.tasks.take(),
        [
            Task::Job { name: "later".into(), payload: r#"{"at":1}"#.into(), run_at: 5000 },
            Task::Event(
                r#"{"event":"seen","distinct_id":"Plugin 1","ip":null,"site_url":null,"timestamp":"t","now":"t","sent_at":"t","properties":{"$lib":"posthog-plugin-server","$lib_version":1,"distinct_id":"Plugin 1"}}"#
                    .into()
            ),
        ]
    );
}

/// PostgreSQL would only say so when the transaction ends, which would not take place.
#[test]
fn what_is_no_json_for_postgresql_is_refused_or_mended_at_once() {
    let (event, host) = run(r#"
        const raw = JSON.rawJSON
        JSON.stringify = () => 'no JSON'; JSON = undefined
        const rejection = (promise) => promise.then(() => null, (error) => error.code)
        await meta.jobs.later({ at: 1 }).runAt(5)
        await meta.jobs.nothing().runAt(5)
        await posthog.capture('seen')
        event.codes = []
        for (const number of ['1e999', '-1e400', '1'.repeat(100)]) {
            event.codes.push(await rejection(posthog.capture('x', { number: raw(number) })))
            event.codes.push(await rejection(meta.jobs.x(raw(number)).runNow()))
        }
        await meta.jobs.text(raw('"\\uD800\\u0000"')).runAt(5)"#);
    assert_eq!(event["codes"], serde_json::json!(vec!["54000"; 6]));
    let payloads: Vec<String> = host
        .tasks
        .take()
        .into_iter()
        .map(|task| match task {
            Task::Job { payload, .. } => payload,
            Task::Event(event) => event.split(',').next().unwrap().to_owned(),
        })
        .collect();
    assert_eq!(payloads, [r#"{"at":1}"#, "null", r#"{"event":"seen""#, "\"\u{FFFD}\u{FFFD}\""]);
}

#[test]
fn a_value_that_a_text_cannot_hold_is_refused() {
    let (event, _) = run(r#"
        const raw = { jsonSerialize: false }
        event.code = await meta.cache.set('k', 'a\0b', 0, raw).catch((error) => error.code)
        await meta.cache.set('k', 'a\0b'); event.value = await meta.cache.get('k')
        await meta.cache.lpush('l', ['a\0b']); event.list = await meta.cache.lrange('l', 0, -1)"#);
    assert_eq!(
        event,
        serde_json::json!({"code": "22021", "value": "a\u{FFFD}b", "list": ["a\u{FFFD}b"]})
    );
}

#[test]
fn sums_stay_what_postgresql_can_add_up() {
    let huge = MetricKind::Sum.join(f64::MAX, f64::MAX);
    assert!((huge * 1e15).is_finite());
    assert_eq!(MetricKind::Max.join(MetricKind::Max.nothing(), -5.0), -5.0);
    assert_eq!(MetricKind::Min.join(MetricKind::Min.nothing(), 5.0), 5.0);
}

#[test]
fn places_are_found_and_the_logger_logs() {
    let (event, host) = run("
        event.found = await meta.geoip.locate('::1'); event.unknown = await meta.geoip.locate('x')
        meta.logger.warn('careful')");
    assert_eq!(event, serde_json::json!({"found": {"city": null}, "unknown": null}));
    assert_eq!(host.lines.take(), ["careful"]);
}
