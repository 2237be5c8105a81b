//! `fetch` against hosts that answer, refuse, are slow, or never answer.

#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use common::{after, program, to_jsonb};
use engine::{
    Answer, Engine, FailureKind, Host, Limits, LogLine, Outcome, Program, Redirect, Request,
    Response,
};

/// Answers a request as its path says: `/slow` after 50 ms, `/never` never, `/fails` with a failure;
/// any other with itself, the last one first.
#[derive(Default)]
struct Network {
    sent: RefCell<Vec<Request>>,
    waiting: RefCell<VecDeque<(u64, Request)>>,
    cancelled: RefCell<Vec<u64>>,
    stop: Cell<bool>,
    lines: RefCell<Vec<String>>,
}

impl Host for Network {
    fn interrupted(&self) -> bool {
        self.stop.get()
    }

    fn log(&self, line: LogLine<'_>) {
        self.lines.borrow_mut().push(line.message.to_owned());
    }

    fn send(&self, _program: i32, request: Request) -> Result<u64, String> {
        if request.url.contains("/refused") {
            return Err("no".to_owned());
        }
        let number = self.sent.borrow().len() as u64;
        self.sent.borrow_mut().push(request.clone());
        self.waiting.borrow_mut().push_back((number, request));
        Ok(number)
    }

    fn next_answer(&self, until: Option<Instant>) -> Option<Answer> {
        let mut waiting = self.waiting.borrow_mut();
        let ready = waiting.iter().rposition(|(_, request)| !request.url.contains("/never"));
        let Some((request, sent)) = ready.and_then(|ready| waiting.remove(ready)) else {
            if waiting.is_empty() {
                return None;
            }
            if waiting.iter().any(|(_, request)| request.url.contains("/interrupted")) {
                self.stop.set(true);
                return None;
            }
            thread::sleep(until.unwrap().saturating_duration_since(Instant::now()));
            return None;
        };
        if sent.url.contains("/slow") {
            thread::sleep(Duration::from_millis(50));
        }
        if sent.url.contains("/fails") {
            return Some(Answer { request, result: Err("the line is down".to_owned()) });
        }
        let status = if sent.url.contains("/missing") { 404 } else { 200 };
        let response = Response {
            status,
            status_text: "So".to_owned(),
            headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
            body: if sent.body.is_empty() { sent.url.clone().into_bytes() } else { sent.body },
            url: sent.url,
            redirected: false,
        };
        Some(Answer { request, result: Ok(response) })
    }

    fn cancel(&self, request: u64) {
        self.waiting.borrow_mut().retain(|(number, _)| *number != request);
        self.cancelled.borrow_mut().push(request);
    }
}

fn run_with(limits: Limits, program: Program, event: &str) -> (Outcome, Rc<Network>, Engine) {
    let host = Rc::new(Network::default());
    let mut engine = Engine::new(host.clone());
    engine.set_limits(limits);
    let outcome = engine.process_event(&Rc::new(program), &to_jsonb(event));
    (outcome, host, engine)
}

/// Runs the body of an async `processEvent`.
fn run(body: &str) -> (Outcome, Rc<Network>) {
    let script = format!("async function processEvent(event) {{ {body}; return event }}");
    let (outcome, host, _) = run_with(Limits::default(), program(1, &script), "{}");
    (outcome, host)
}

/// What the body left in `event.seen`.
fn seen(body: &str) -> serde_json::Value {
    let (outcome, _) = run(body);
    assert_eq!(outcome.failure, None, "{body}");
    after(&outcome, "{}").unwrap()["seen"].clone()
}

#[test]
fn an_answer_arrives_as_a_response() {
    let body = "const r = await fetch('https://a.b/c?d#e');
        event.seen = [r.status, r.ok, r.statusText, r.url, r.type, r.redirected,
                      r.headers.get('content-type'), await r.text(), r.bodyUsed]";
    let expected = serde_json::json!([
        200,
        true,
        "So",
        "https://a.b/c?d",
        "basic",
        false,
        "text/plain",
        "https://a.b/c?d",
        true
    ]);
    assert_eq!(seen(body), expected);
    assert_eq!(
        seen("const r = await fetch('https://a.b/missing'); event.seen = [r.ok, r.status]"),
        serde_json::json!([false, 404])
    );
}

#[test]
fn every_kind_of_body_can_be_read() {
    let body = |read: &str| {
        format!(
            "const send = (body) => fetch('https://a.b', {{ method: 'POST', body }});
             const r = await send('[1,\"ü\"]'); {read}"
        )
    };
    assert_eq!(seen(&body("event.seen = await r.json()")), serde_json::json!([1, "ü"]));
    assert_eq!(seen(&body("event.seen = (await r.buffer()).toString('hex')")), "5b312c22c3bc225d");
    assert_eq!(seen(&body("event.seen = (await r.arrayBuffer()).byteLength")), 8);
    assert_eq!(seen(&body("event.seen = (await r.bytes()).length")), 8);
    assert_eq!(seen(&body("const c = r.clone(); await c.text(); event.seen = r.bodyUsed")), false);
    assert_eq!(
        seen(&body("await r.text(); try { await r.text() } catch (e) { event.seen = e.name }")),
        "TypeError"
    );
}

#[test]
fn a_body_that_is_no_json_tells_where_it_came_from() {
    let wrong =
        |body: &str| seen(&format!("try {{ {body} }} catch (e) {{ event.seen = String(e) }}"));
    let fetched = wrong("await (await fetch('https://a.b/c')).json()");
    let message = fetched.as_str().unwrap();
    assert!(
        message.starts_with("FetchError: invalid json response body at https://a.b/c reason: "),
        "{message}"
    );
    let made = wrong("await new Response('<html>').json()");
    assert!(made.as_str().unwrap().starts_with("SyntaxError: "), "{made}");
}

#[test]
fn a_request_reaches_the_host_as_it_was_meant() {
    let (outcome, host) =
        run("await fetch('https://a.b/x#y', { method: 'post', redirect: 'manual',
        body: new URLSearchParams({ q: 'ü' }), headers: { Authorization: 'Bearer z' } });
        await fetch(new Request('https://a.b', { method: 'PUT', body: new Uint8Array([1, 2]) }))");
    assert_eq!(outcome.failure, None);
    let sent = host.sent.borrow();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        sent[0],
        Request {
            method: "POST".to_owned(),
            url: "https://a.b/x".to_owned(),
            headers: vec![
                header("authorization", "Bearer z"),
                header("content-type", "application/x-www-form-urlencoded;charset=UTF-8"),
            ],
            body: b"q=%C3%BC".to_vec(),
            redirect: Redirect::Manual,
        }
    );
    assert_eq!((sent[1].method.as_str(), &*sent[1].body), ("PUT", &[1, 2][..]));
}

#[test]
fn answers_come_in_any_order_and_all_at_once() {
    let body = "const order = [];
        await Promise.all(['a', 'b', 'c'].map(async (name) => {
            const text = await (await fetch('https://h/' + name)).text();
            order.push(text.slice(-1));
        }));
        event.seen = order.join('')";
    assert_eq!(seen(body), "cba");
}

#[test]
fn a_call_waits_for_requests_that_nobody_awaits() {
    let (outcome, host) = run("fetch('https://a.b/slow').then(() => console.log('done'))");
    assert_eq!(outcome.failure, None);
    assert_eq!(*host.lines.borrow(), ["done"]);
}

#[test]
fn what_is_refused_or_fails_rejects_with_a_fetch_error() {
    for (path, reason) in [("refused", "no"), ("fails", "the line is down")] {
        let body = format!(
            "try {{ await fetch('https://a.b/{path}') }} catch (e) {{
                const {{ FetchError }} = require('node-fetch');
                event.seen = [e.name, e.message, e.type, e instanceof TypeError,
                              e instanceof FetchError]
            }}"
        );
        let message = format!("request to https://a.b/{path} failed, reason: {reason}");
        assert_eq!(seen(&body), serde_json::json!(["FetchError", message, "system", true, true]));
    }
    let (outcome, _) = run("await fetch('https://a.b/refused')");
    let failure = outcome.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Threw);
    assert!(failure.message.starts_with("FetchError: request to https://a.b/refused"));
    let stack = failure.stack.unwrap();
    assert!(stack.starts_with("at processEvent (plugin-1/index.js:1:"), "{stack}");
}

#[test]
fn a_wrong_request_rejects_and_never_throws() {
    for request in ["'/relative'", "'ftp://a.b'", "'https://a.b', { body: 'x' }", "", "Symbol()"] {
        let body = format!(
            "let p; try {{ p = fetch({request}) }} catch {{ event.seen = 'threw' }}
             if (p) try {{ await p }} catch (e) {{ event.seen = e.name }}"
        );
        assert_eq!(seen(&body), "TypeError", "{request}");
    }
}

#[test]
fn an_error_does_not_show_a_secret_of_the_address() {
    let script = "async function processEvent(event) {
        try { await fetch('https://a.b/refused?key=hunter22') } catch (e) { event.seen = e.message }
        return event
    }";
    let program = Program { secrets: vec!["hunter22".to_owned()], ..program(1, script) };
    let (outcome, ..) = run_with(Limits::default(), program, "{}");
    let message = after(&outcome, "{}").unwrap()["seen"].to_string();
    assert!(message.contains("key=********") && !message.contains("hunter22"), "{message}");
}

#[test]
fn an_aborted_request_is_cancelled_and_rejects_with_the_reason() {
    let body = "const c = new AbortController();
        const p = fetch('https://a.b/never', { signal: c.signal });
        c.abort();
        try { await p } catch (e) {
            event.seen = [e.name, e instanceof require('node-fetch').AbortError]
        }";
    let (outcome, host) = run(body);
    let after = after(&outcome, "{}").unwrap();
    assert_eq!(after["seen"], serde_json::json!(["AbortError", true]));
    assert_eq!(*host.cancelled.borrow(), [0]);
    let body = "try { await fetch('https://a.b', { signal: AbortSignal.abort('why') }) }
        catch (e) { event.seen = e }";
    let (outcome, host) = run(body);
    assert_eq!(common::after(&outcome, "{}").unwrap()["seen"], "why");
    assert!(host.sent.borrow().is_empty());
}

#[test]
fn an_abort_in_another_answer_is_seen() {
    let body = "const c = new AbortController();
        const never = fetch('https://a.b/never', { signal: c.signal }).catch((e) => e.name);
        fetch('https://a.b/slow').then(() => c.abort());
        event.seen = await never";
    assert_eq!(seen(body), "AbortError");
}

#[test]
fn time_limits_of_requests_hold() {
    let begin = Instant::now();
    let body = "try { await fetch('https://a.b/never', { signal: AbortSignal.timeout(20) }) }
        catch (e) { event.seen = e.name }";
    assert_eq!(seen(body), "TimeoutError");
    let body = "try { await fetch('https://a.b/never', { timeout: 20 }) }
        catch (e) { event.seen = [e.type, e.name] }";
    assert_eq!(seen(body), serde_json::json!(["request-timeout", "FetchError"]));
    // One that is not needed any more holds nothing up.
    assert_eq!(seen("event.seen = (await fetch('https://a.b', { timeout: 5000 })).status"), 200);
    assert!(begin.elapsed() < Duration::from_millis(900));
}

#[test]
fn a_request_without_an_end_ends_with_the_call() {
    let limits = Limits { call: Duration::from_millis(50), ..Limits::default() };
    let script = "async function processEvent(event) { await fetch('https://a.b/never') }";
    let (outcome, host, mut engine) = run_with(limits, program(1, script), "{}");
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::TimedOut);
    assert_eq!(*host.cancelled.borrow(), [0]);
    // And leaves nothing for the next call.
    let good =
        program(2, "async function processEvent(e) { await fetch('https://a.b'); return e }");
    assert_eq!(engine.process_event(&Rc::new(good), &to_jsonb("{}")).failure, None);
}

#[test]
fn an_interrupt_ends_the_waiting() {
    let (outcome, host) = run("await fetch('https://a.b/never/interrupted')");
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::Interrupted);
    assert_eq!(*host.cancelled.borrow(), [0]);
}

#[test]
fn a_failed_setup_leaves_no_request_behind() {
    let script = "async function setupPlugin() { fetch('https://a.b/never'); throw new Error('x') }
        function processEvent(event) { return event }";
    let (outcome, host, _) = run_with(Limits::default(), program(1, script), "{}");
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::NotLoaded);
    assert_eq!(*host.cancelled.borrow(), [0]);
}

#[test]
fn bodies_count_as_the_plugins_memory() {
    let limits = Limits { memory: 8 << 20, ..Limits::default() };
    let script = "async function processEvent(event) {
        const body = 'x'.repeat(1e6); const kept = [];
        for (;;) kept.push(await fetch('https://a.b', { method: 'POST', body }))
    }";
    let (outcome, _, engine) = run_with(limits, program(1, script), "{}");
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::OutOfMemory);
    assert!(engine.memory_peak() > 4 << 20, "{}", engine.memory_peak());
}

#[test]
fn node_fetch_is_fetch() {
    let body = "const f = require('node-fetch');
        event.seen = [f === fetch, f.default === fetch, f.Headers === Headers,
                      f.Request === Request, f.Response === Response, Object.keys(f),
                      (await f('https://a.b')).status, f.isRedirect(302), f.isRedirect(200)]";
    let expected = serde_json::json!([true, true, true, true, true, [], 200, true, false]);
    assert_eq!(seen(body), expected);
}

#[test]
fn a_host_without_a_network_refuses() {
    let mut bench = common::Bench::new();
    let script = "async function processEvent(event) {
        try { await fetch('https://a.b') } catch (e) { event.seen = e.message } return event
    }";
    let after = bench.process(script, "{}").unwrap();
    assert_eq!(after["seen"], "request to https://a.b/ failed, reason: there is no network");
}

#[test]
fn an_abort_listener_that_throws_is_reported() {
    let (outcome, _) = run("const c = new AbortController();
        c.signal.addEventListener('abort', () => { throw new Error('heard') }); c.abort()");
    let failure = outcome.failure.unwrap();
    assert_eq!(
        (failure.kind, &*failure.message),
        (FailureKind::UnhandledRejection, "Error: heard")
    );
}

#[test]
fn globals_that_a_plugin_broke_break_only_its_own_use_of_them() {
    let body = "globalThis.TextDecoder = globalThis.URL = globalThis.TextEncoder = undefined;
        event.seen = await (await fetch('https://a.b/ü', { method: 'POST', body: 'ä' })).text()";
    assert_eq!(seen(body), "ä");
}

#[test]
fn hosts_are_told_nothing_that_the_classes_would_have_refused() {
    for trick in [
        "const r = new Request('http://x'); Object.defineProperty(r, 'url', { value: 'file:///etc/passwd' }); await fetch(r)",
        "Headers.prototype[Symbol.iterator] = function* () { yield ['a', 'b\\r\\nEvil: 1'] }; await fetch('http://x')",
        "Headers.prototype[Symbol.iterator] = function* () { yield ['a b', 'c'] }; await fetch('http://x')",
        "Object.defineProperty(Request.prototype, 'method', { get: () => 'GET / HTTP/1.1\\r\\n' }); await fetch('http://x')",
    ] {
        let network = Rc::new(Network::default());
        let mut engine = Engine::new(network.clone());
        let script = format!(
            "async function processEvent(event) {{ try {{ {trick} }} catch (e) {{ event.error = e.name }} return event }}"
        );
        let outcome = engine.process_event(&Rc::new(program(1, &script)), &to_jsonb("{}"));
        assert_eq!(outcome.failure, None, "{trick}");
        let after = after(&outcome, "{}").unwrap();
        assert!(after["error"].is_string(), "{trick}: {after}");
        assert_eq!(*network.sent.borrow(), [], "{trick}");
    }
}

#[test]
fn what_is_sent_at_once_is_limited() {
    let network = Rc::new(Network::default());
    let mut engine = Engine::new(network.clone());
    let script = "async function processEvent(event) {
            const body = new Uint8Array(5 << 20)
            const sent = []
            for (let i = 0; i < 10; i++) sent.push(fetch('http://x/', { method: 'POST', body }))
            const settled = await Promise.allSettled(sent)
            event.refused = settled.filter((one) => one.status === 'rejected').length
            return event
        }";
    let outcome = engine.process_event(&Rc::new(program(1, script)), &to_jsonb("{}"));
    assert_eq!(outcome.failure, None);
    assert_eq!(after(&outcome, "{}").unwrap()["refused"], 7);
    // And what has ended makes room again.
    let outcome = engine.process_event(&Rc::new(program(1, script)), &to_jsonb("{}"));
    assert_eq!(after(&outcome, "{}").unwrap()["refused"], 7);
}
