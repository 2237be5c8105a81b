//! Modules that plugins bring from PostHog, against hosts with a clock and a network.

#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{Bench, after, program, to_jsonb};
use engine::{
    Answer, Engine, FailureKind, Host, Limits, LogLine, Outcome, Program, Request, Response,
};

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

#[test]
fn a_module_has_one_identity_under_both_names() {
    for name in ["events", "stream", "util", "path", "timers/promises", "buffer", "url"] {
        let body = format!("event.seen = require('{name}') === require('node:{name}')");
        assert_eq!(seen(&body), true, "{name}");
    }
    for name in ["node:node-fetch", "node:@posthog/plugin-contrib", "node:fs", "fs", "lodash"] {
        let body = format!("try {{ require('{name}') }} catch (e) {{ event.seen = e.message }}");
        assert!(seen(&body).as_str().unwrap().starts_with("there is no module"), "{name}");
        assert!(!engine::KNOWN_MODULES.contains(&name));
    }
}

const BUFFER: &str = "const flushed = [];
    const buffer = require('@posthog/plugin-contrib').createBuffer({
        limit: 10, timeoutSeconds: 0.02, onFlush: (objects, points) => { flushed.push([...objects, points]) },
    });";

#[test]
fn a_buffer_flushes_before_it_would_be_over_its_limit() {
    let body = format!(
        "{BUFFER} buffer.add('a', 4); buffer.add('b', 6); buffer.add('c', 1); buffer.add('d', 11);
         event.seen = flushed"
    );
    let expected = serde_json::json!([["a", "b", 10], ["c", 1], ["d", 11]]);
    assert_eq!(seen(&body), expected);
    // Objects count one point each.
    let body = format!("{BUFFER} for (let i = 0; i < 11; i++) buffer.add(i); event.seen = flushed");
    assert_eq!(seen(&body), serde_json::json!([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]));
}

#[test]
fn a_buffer_flushes_when_its_time_is_up() {
    let body = format!(
        "{BUFFER} buffer.add('a'); await new Promise((r) => setTimeout(r, 60)); event.seen = flushed"
    );
    assert_eq!(seen(&body), serde_json::json!([["a", 1]]));
    let body = format!("{BUFFER} buffer.add('a'); await buffer.flush(); event.seen = flushed");
    assert_eq!(seen(&body), serde_json::json!([["a", 1]]));
}

#[test]
fn a_buffer_that_is_late_flushes_with_the_next_object_of_a_later_call() {
    let mut bench = Bench::new();
    let script = format!(
        "{BUFFER} async function processEvent(event) {{
             if (event.wait) await new Promise((r) => setTimeout(r, event.wait));
             buffer.add(event.wait); event.seen = flushed; return event
         }}"
    );
    assert_eq!(bench.process(&script, r#"{"wait": 0}"#).unwrap()["seen"], serde_json::json!([]));
    let later = bench.process(&script, r#"{"wait": 60}"#).unwrap();
    assert_eq!(later["seen"], serde_json::json!([[0, 1]]));
}

#[test]
fn an_on_flush_that_fails_is_reported() {
    let body = "const { createBuffer } = require('@posthog/plugin-contrib');
        const buffer = createBuffer({ limit: 1, onFlush: async () => { throw new Error('full') } });
        buffer.add('a', 2)";
    let failure = run_for(Duration::from_secs(5), body).failure.unwrap();
    assert_eq!((failure.kind, &*failure.message), (FailureKind::UnhandledRejection, "Error: full"));
}

const POOL: &str = "let made = 0; const ended = [];
    const factory = { create: async () => ({ id: ++made }), destroy: async (r) => { ended.push(r.id) } };
    const { createPool } = require('generic-pool');";

#[test]
fn a_pool_lends_what_it_made_again() {
    let body = format!(
        "{POOL} const pool = createPool(factory, {{ max: 2 }});
         const a = await pool.acquire(); const b = await pool.acquire();
         const third = pool.acquire(); const waiting = pool.pending;
         await pool.release(a); const c = await third;
         event.seen = [a.id, b.id, c === a, waiting, pool.size, pool.borrowed, pool.available, pool.max]"
    );
    assert_eq!(seen(&body), serde_json::json!([1, 2, true, 1, 2, 2, 0, 2]));
}

#[test]
fn a_pool_drains_and_clears() {
    let body = format!(
        "{POOL} const pool = createPool(factory, {{ max: 2, min: 1 }});
         const used = await pool.use(async (r) => r.id);
         const a = await pool.acquire(); setTimeout(() => pool.release(a), 5);
         await pool.drain(); await pool.clear();
         let refused; try {{ await pool.acquire() }} catch (e) {{ refused = e.message }}
         event.seen = [used, ended, refused, pool.size]"
    );
    let refused = "pool is draining and cannot accept work";
    assert_eq!(seen(&body), serde_json::json!([1, [1], refused, 0]));
}

#[test]
fn a_pool_gives_up_after_its_time() {
    let body = format!(
        "{POOL} const pool = createPool(factory, {{ max: 1, acquireTimeoutMillis: 10 }});
         const a = await pool.acquire(); let late;
         try {{ await pool.acquire() }} catch (e) {{ late = e.name }}
         await pool.release(a); event.seen = [late, (await pool.acquire()) === a]"
    );
    assert_eq!(seen(&body), serde_json::json!(["TimeoutError", true]));
    let body = "const { createPool } = require('generic-pool');
        const pool = createPool({ create() { throw 1 }, destroy() {} }, { acquireTimeoutMillis: 10 });
        try { await pool.acquire() } catch (e) { event.seen = e.name }";
    assert_eq!(seen(body), "TimeoutError");
}

#[test]
fn a_pool_tests_what_it_lends_and_tells_of_failures() {
    let body = format!(
        "{POOL} factory.validate = async (r) => r.id > 1; const told = [];
         const pool = createPool(factory, {{ max: 1, testOnBorrow: true }});
         const a = await pool.acquire(); await pool.destroy(a);
         let tries = 0; factory.create = async () => {{ if (++tries < 3) throw new Error('no'); return {{ id: 7 }} }};
         pool.on('factoryCreateError', (e) => told.push(e.message));
         event.seen = [a.id, ended, (await pool.acquire()).id, told]"
    );
    assert_eq!(seen(&body), serde_json::json!([2, [1, 2], 7, ["no", "no"]]));
}

/// Answers every request with an empty list.
#[derive(Default)]
struct Network {
    sent: RefCell<Vec<Request>>,
    next: Cell<Option<u64>>,
}

impl Host for Network {
    fn interrupted(&self) -> bool {
        false
    }

    fn log(&self, _: LogLine<'_>) {}

    fn send(&self, _program: i32, request: Request) -> Result<u64, String> {
        self.sent.borrow_mut().push(request);
        self.next.set(Some(1));
        Ok(1)
    }

    fn next_answer(&self, _: Option<std::time::Instant>) -> Option<Answer> {
        let response = Response {
            status: 200,
            status_text: String::new(),
            headers: Vec::new(),
            body: b"[]".to_vec(),
            url: String::new(),
            redirected: false,
        };
        self.next.take().map(|request| Answer { request, result: Ok(response) })
    }
}

/// The request that the call makes, or the error that it fails with.
fn api(call: &str, team_id: Option<i32>) -> Result<Request, String> {
    let script = format!(
        "async function processEvent(event) {{
             try {{ event.ok = (await {call}).ok }} catch (e) {{ event.error = e.message }}
             return event
         }}"
    );
    let network = Rc::new(Network::default());
    let mut engine = Engine::new(network.clone());
    let program = Program { team_id, ..program(1, &script) };
    let outcome = engine.process_event(&Rc::new(program), &to_jsonb("{}"));
    assert_eq!(outcome.failure, None, "{call}");
    match after(&outcome, "{}").unwrap()["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(network.sent.borrow()[0].clone()),
    }
}

#[test]
fn the_api_is_asked_with_the_keys_of_the_plugin() {
    let keys = "projectApiKey: 'phc', personalApiKey: 'phx'";
    let get = format!(
        "posthog.api.get('/api/projects/@current/persons?email=a', {{ {keys}, data: {{ limit: 2 }} }})"
    );
    let request = api(&get, Some(7)).unwrap();
    assert_eq!(request.method, "GET");
    assert_eq!(
        request.url,
        "https://app.posthog.com/api/projects/7/persons?email=a&limit=2&token=phc"
    );
    assert!(request.headers.contains(&("authorization".to_owned(), "Bearer phx".to_owned())));
    assert!(request.body.is_empty());
    for method in ["post", "put", "patch"] {
        let call = format!(
            "posthog.api.{method}('x/', {{ {keys}, host: 'http://h/', data: {{ a: 1 }}, headers: {{ 'X-A': 'b' }} }})"
        );
        let request = api(&call, None).unwrap();
        assert_eq!(request.method, method.to_uppercase());
        assert_eq!(request.url, "http://h/x/?token=phc");
        assert_eq!(request.body, br#"{"a":1}"#);
        let json = ("content-type".to_owned(), "application/json".to_owned());
        assert!(request.headers.contains(&json));
        assert!(request.headers.contains(&("x-a".to_owned(), "b".to_owned())));
    }
    let request =
        api(&format!("posthog.api.delete('x', {{ {keys}, data: {{ a: 1 }} }})"), None).unwrap();
    assert!(request.body.is_empty());
}

#[test]
fn the_api_says_what_it_lacks() {
    let error = api("posthog.api.get('/x')", Some(1)).unwrap_err();
    assert!(error.contains("projectApiKey and personalApiKey"), "{error}");
    let error = api("posthog.api.get('/x', { projectApiKey: 'a' })", Some(1)).unwrap_err();
    assert!(error.contains("vice-versa"), "{error}");
    let keys = "{ projectApiKey: 'a', personalApiKey: 'b' }";
    let error = api(&format!("posthog.api.get('/@current', {keys})"), None).unwrap_err();
    assert!(error.contains("all teams"), "{error}");
}

#[test]
fn a_form_is_sent_with_its_boundary() {
    let call = "fetch('https://a.b', { method: 'POST', body: (() => {
        const f = new FormData(); f.append('a', '1'); f.append('f', new Blob(['xyz']), 'n.txt'); return f
    })() })";
    let request = api(call, None).unwrap();
    let body = String::from_utf8(request.body).unwrap();
    let (_, boundary) = request
        .headers
        .iter()
        .find(|(name, _)| name == "content-type")
        .and_then(|(_, value)| value.split_once("boundary="))
        .unwrap();
    assert!(body.starts_with(&format!("--{boundary}\r\n")) && body.contains("filename=\"n.txt\""));
    assert!(body.ends_with(&format!("--{boundary}--\r\n")), "{body}");
}

#[test]
fn what_modules_do_can_be_stopped_and_is_counted() {
    for body in [
        "const { PassThrough } = require('stream'); const p = new PassThrough(); for (;;) p.write('x'.repeat(1000))",
        "const { Readable } = require('stream'); for await (const x of new Readable({ read() { this.push('x') } }));",
        "const E = require('events'); const e = new E(); for (;;) e.on('x', () => {})",
        "const { inspect } = require('util'); let o = {}; for (let i = 0; i < 30; i++) o = { a: o, b: o }; for (;;) inspect(o, { depth: null })",
        "const { inspect } = require('util'); for (;;) inspect(Array(1e6).fill(1), { maxArrayLength: null })",
        "const { isDeepStrictEqual: d } = require('util'); const s = () => new Set(Array.from({ length: 1e4 }, (_, i) => ({ i }))); d(s(), s()); for (;;);",
        "require('querystring').parse('a=1&'.repeat(1e7), '&', '=', { maxKeys: 0 }); for (;;);",
        "require('path').normalize('a/'.repeat(1e7)); for (;;);",
        "const f = new FormData(); for (;;) { f.append('a', 'x'.repeat(1e5)); new Response(f) }",
        "const b = []; for (;;) b.push(new Blob(['x'.repeat(1e6)]))",
        "for (;;) await new Response('--x\\r\\n'.repeat(1e5), { headers: { 'content-type': 'multipart/form-data; boundary=x' } }).formData().catch(() => {})",
        "const { createPool } = require('generic-pool'); await createPool({ create() { throw 1 }, destroy() {} }, { min: 1 }).acquire()",
    ] {
        let outcome = run_for(Duration::from_millis(400), body);
        let kind = outcome.failure.unwrap().kind;
        let ended = matches!(
            kind,
            FailureKind::TimedOut | FailureKind::OutOfMemory | FailureKind::StackOverflow
        );
        assert!(ended, "{body}: {kind:?}");
    }
}
