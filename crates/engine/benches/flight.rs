//! What a stored event costs that is handed to a plugin, in µs and events a second, and what a call holds
//! while it waits: `cargo bench -p engine --bench flight`. Words after `--` select lines. `--list` names
//! them; `--run LINE TIMES` is for a profiler.

#![allow(clippy::unwrap_used)] // A panic here is the report of a benchmark.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use engine::{Answer, Call, Flight, Host, Limits, LogLine, Program, Request, Response};

/// The median of so many rounds is what is printed.
const ROUNDS: usize = 21;

/// How many calls a worker may have under way for a plugin, to within a factor of a few.
const AT_ONCE: usize = 100;

const LONG: Duration = Duration::from_secs(600);

/// Answers every request with the next question for answers.
#[derive(Default)]
struct Loopback {
    sent: Cell<u64>,
    ready: RefCell<VecDeque<u64>>,
    silent: Cell<bool>,
}

impl Host for Loopback {
    fn interrupted(&self) -> bool {
        false
    }

    fn log(&self, line: LogLine<'_>) {
        panic!("{}", line.message);
    }

    fn send(&self, _: i32, _: Request) -> Result<u64, String> {
        self.sent.set(self.sent.get() + 1);
        self.ready.borrow_mut().push_back(self.sent.get());
        Ok(self.sent.get())
    }

    fn next_answer(&self, _: Option<Instant>) -> Option<Answer> {
        if self.silent.get() {
            return None;
        }
        let request = self.ready.borrow_mut().pop_front()?;
        let response = Response {
            status: 200,
            status_text: "OK".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: b"{}".to_vec(),
            url: "https://example.com/".into(),
            redirected: false,
        };
        Some(Answer { request, result: Ok(response) })
    }
}

/// How an event reaches the plugin.
#[derive(Clone, Copy)]
enum Way {
    OnEvent,
    /// In batches of that many.
    ExportEvents(usize),
    ComposeWebhook,
}

struct Case {
    name: &'static str,
    way: Way,
    script: &'static str,
    autocapture: bool,
}

const fn case(name: &'static str, way: Way, script: &'static str) -> Case {
    Case { name, way, script, autocapture: false }
}

const CASES: [Case; 10] = [
    case("onEvent, nothing", Way::OnEvent, "exports.onEvent = () => {}"),
    case("onEvent, async", Way::OnEvent, "exports.onEvent = async () => {}"),
    case(
        "onEvent, one await",
        Way::OnEvent,
        "exports.onEvent = async (event) => { await null; return event.uuid }",
    ),
    case(
        "onEvent, read two",
        Way::OnEvent,
        "exports.onEvent = (event) => { if (event.properties.p07 === event.event) throw 1 }",
    ),
    case(
        "onEvent, to JSON",
        Way::OnEvent,
        "exports.onEvent = (event) => { JSON.stringify(event) }",
    ),
    Case {
        autocapture: true,
        ..case("onEvent, nothing, of autocapture", Way::OnEvent, "exports.onEvent = () => {}")
    },
    case(
        "onEvent, one fetch",
        Way::OnEvent,
        "exports.onEvent = async (event) => {
            const response = await fetch('https://example.com/', {
                method: 'POST', headers: { 'content-type': 'application/json' },
                body: JSON.stringify({ uuid: event.uuid, event: event.event }),
            })
            if (!response.ok) throw new RetryError()
        }",
    ),
    case("exportEvents, nothing", Way::ExportEvents(100), "exports.exportEvents = async () => {}"),
    case(
        "exportEvents, to JSON, one fetch",
        Way::ExportEvents(100),
        "exports.exportEvents = async (events) => {
            await fetch('https://example.com/', { method: 'POST', body: JSON.stringify(events) })
        }",
    ),
    case(
        "composeWebhook",
        Way::ComposeWebhook,
        "exports.composeWebhook = (event) => ({ url: 'https://example.com/', body: event.uuid })",
    ),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--run", name, times] => {
            let case = CASES.iter().find(|case| case.name == name).expect("a case");
            Runner::new(case).run(times.parse().expect("a number of events"));
        }
        ["--list", ..] => CASES.iter().for_each(|case| println!("{}", case.name)),
        _ => {
            let words: Vec<&String> =
                arguments.iter().filter(|word| !word.starts_with('-')).collect();
            let wanted = |case: &&Case| {
                words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str()))
            };
            CASES.iter().filter(wanted).for_each(report);
            if words.is_empty() {
                report_memory();
            }
        }
    }
}

struct Runner {
    way: Way,
    event: Vec<u8>,
    flight: Flight,
    host: Rc<Loopback>,
}

impl Runner {
    fn new(case: &Case) -> Self {
        let host = Rc::new(Loopback::default());
        // A profiler makes all fifty times as slow.
        let limits = Limits { call: LONG, ..Limits::default() };
        let flight = Flight::new(host.clone(), Rc::new(program(case.script)), limits);
        Runner { way: case.way, event: event(case.autocapture), flight, host }
    }

    /// The event is copied for each call, as a worker copies what it reads.
    fn begin(&mut self) {
        let event = || self.event.clone();
        let call = match self.way {
            Way::OnEvent => Call::OnEvent(event()),
            Way::ExportEvents(events) => Call::ExportEvents((0..events).map(|_| event()).collect()),
            Way::ComposeWebhook => Call::ComposeWebhook(event()),
        };
        self.flight.begin(call, LONG);
    }

    fn events_per_call(&self) -> usize {
        if let Way::ExportEvents(events) = self.way { events } else { 1 }
    }

    fn run(&mut self, events: usize) -> Duration {
        let begin = Instant::now();
        let mut calls = events.div_ceil(self.events_per_call());
        while calls > 0 {
            let now = calls.min(AT_ONCE);
            (0..now).for_each(|_| self.begin());
            let mut ended = 0;
            while ended < now {
                for (_, result) in self.flight.turn() {
                    result.unwrap();
                    ended += 1;
                }
            }
            calls -= now;
        }
        begin.elapsed()
    }
}

fn report(case: &Case) {
    let mut runner = Runner::new(case);
    let events = AT_ONCE * runner.events_per_call().min(10);
    runner.run(events);
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| runner.run(events)).collect();
    rounds.sort();
    let [lowest, median] = [0, ROUNDS / 2].map(|it| rounds[it].as_secs_f64() / events as f64 * 1e6);
    let a_second = 1e6 / median;
    println!("{:<40} {median:>8.2}   lowest {lowest:>8.2}   {a_second:>9.0}/s", case.name);
}

/// What calls hold that wait for an answer, with and without their event.
fn report_memory() {
    let calls = 5000;
    for (name, script) in [
        (
            "waiting for a promise, without the event",
            "const waiting = []
             exports.onEvent = async () => { await new Promise((resolve) => waiting.push(resolve)) }",
        ),
        (
            "waiting for a fetch, with the event",
            "exports.onEvent = async (event) => { await fetch('https://example.com/'); event.uuid }",
        ),
    ] {
        let mut runner = Runner::new(&case("", Way::OnEvent, script));
        runner.host.silent.set(true);
        (0..10).for_each(|_| runner.begin());
        let before = runner.flight.memory_used();
        (0..calls).for_each(|_| runner.begin());
        let held = (runner.flight.memory_used() - before) / calls;
        println!("{name:<45} {held:>5} bytes of the runtime's a call");
    }
}

fn program(script: &str) -> Program {
    Program {
        id: 1,
        plugin: "benchmark".into(),
        title: "Benchmark".into(),
        team_id: None,
        script_name: "benchmark.js".into(),
        script: script.into(),
        config: "{}".into(),
        secrets: Vec::new(),
        attachments: Vec::new(),
    }
}

/// 2 KB, 43 properties.
fn event(autocapture: bool) -> Vec<u8> {
    let mut out = jsonb::Writer::new();
    out.begin_object().unwrap();
    for (key, value) in [
        ("event", "$pageview"),
        ("distinct_id", "0190f3c1-7a3e-7c5e-b8d1-4f5a6b7c8d9e"),
        ("timestamp", "2025-01-02T03:04:05.678Z"),
        ("uuid", "0190f3c1-7a3e-7c5e-b8d1-000000000000"),
    ] {
        out.key(key).unwrap();
        out.string(value).unwrap();
    }
    out.key("properties").unwrap();
    out.begin_object().unwrap();
    if autocapture {
        out.key("$elements_chain").unwrap();
        out.string("button.btn:attr_id=\"buy\"nth-child=\"2\"text=\"Buy\";div.page;body").unwrap();
    }
    for index in 0..43 {
        out.key(&format!("p{index:02}")).unwrap();
        match index % 6 {
            1 => out.number_f64(f64::from(index) * 1.25).unwrap(),
            2 => out.bool(index % 4 == 0).unwrap(),
            _ => out.string(&format!("value number {index} of the event, as texts go")).unwrap(),
        }
    }
    out.end().unwrap();
    out.end().unwrap();
    out.finish().unwrap().to_vec()
}
