//! What an event costs on its way through a plugin and back, in µs: `cargo bench -p engine`. Words
//! after `--` select the lines that contain one of them. The lowest round is for busy machines.

#![allow(clippy::unwrap_used)] // A panic here is the report of a benchmark.

use std::rc::Rc;
use std::time::{Duration, Instant};

use engine::{Engine, Host, Limits, LogLine, Program, Verdict};

/// The median of so many rounds is what is printed.
const ROUNDS: usize = 31;

/// A round is long enough for the clock, short enough that a disturbed one is only one of many.
const ROUND: Duration = Duration::from_millis(4);

struct Quiet;

impl Host for Quiet {
    fn interrupted(&self) -> bool {
        false
    }

    fn log(&self, line: LogLine<'_>) {
        panic!("{}", line.message);
    }
}

/// What each plugin does with an event.
const PLUGINS: [(&str, &str); 10] = [
    ("identity", "event => event"),
    ("set one property", "event => { event.properties.added = 1; return event }"),
    ("overwrite one property", "event => { event.properties.p07 = 'new'; return event }"),
    ("set one, async", "async event => { event.properties.added = 1; return event }"),
    (
        "delete three",
        "event => { const p = event.properties; delete p.p03; delete p.p11; delete p.p30; return event }",
    ),
    ("read two", "event => event.properties.p07 === event.event ? null : event"),
    (
        "read all",
        "event => { const p = event.properties; let n = 0; for (const k of Object.keys(p)) if (p[k]) n++; if (n < 0) return null; return event }",
    ),
    (
        "keys only",
        "event => { if (Object.keys(event.properties).length === 0) return null; return event }",
    ),
    ("spread copy", "event => ({ ...event, properties: { ...event.properties, a: 1 } })"),
    ("through JSON", "event => JSON.parse(JSON.stringify(event))"),
];

fn main() {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |line: &str| words.is_empty() || words.iter().any(|word| line.contains(word));
    for (size, properties) in [("2 KB", 43), ("20 KB", 400)] {
        let event = event(properties, "p");
        println!("{size}: {} bytes, {properties} properties", event.len());
        for (name, function) in PLUGINS {
            let line = format!("{size} {name}");
            if wanted(&line) {
                report(&line, std::slice::from_ref(&event), &[program(1, function)]);
            }
        }
    }
    let mixed: Vec<Vec<u8>> = (0..64).map(|set| event(43, &format!("s{set}_p"))).collect();
    for (name, function) in [
        ("64 key sets, identity", "event => event"),
        ("64 key sets, set one property", "event => { event.properties.added = 1; return event }"),
        ("64 key sets, read one", "event => { event.properties.missing; return event }"),
    ] {
        if wanted(name) {
            report(name, &mixed, &[program(1, function)]);
        }
    }
    let one = [event(43, "p")];
    for (name, function) in [
        ("10 plugins, identity", "event => event"),
        ("10 plugins, set one property", "event => { event.properties.added = 1; return event }"),
    ] {
        if wanted(name) {
            let plugins: Vec<_> = (0..10).map(|id| program(id, function)).collect();
            report(name, &one, &plugins);
        }
    }
}

fn report(line: &str, events: &[Vec<u8>], plugins: &[Rc<Program>]) {
    let mut engine = Engine::new(Rc::new(Quiet));
    // A profiler slows all down; a deadline is read from the clock in any case.
    engine.set_limits(Limits { call: Duration::from_secs(60), ..Limits::default() });
    let mut next = 0;
    let mut run = |times: usize| {
        let begin = Instant::now();
        for _ in 0..times {
            let mut event = std::borrow::Cow::Borrowed(&events[next]);
            next = (next + 1) % events.len();
            for plugin in plugins {
                let outcome = engine.process_event(plugin, &event);
                assert_eq!(outcome.failure, None);
                match outcome.verdict {
                    Verdict::Unchanged => {}
                    Verdict::Changed(bytes) => event = std::borrow::Cow::Owned(bytes),
                    Verdict::Discarded => panic!("discarded"),
                }
            }
        }
        begin.elapsed()
    };
    run(events.len());
    let once = run(100) / 100;
    let times = (ROUND.as_nanos() / once.as_nanos().max(1)).max(1) as usize;
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| run(times)).collect();
    rounds.sort();
    let [lowest, median] =
        [0, ROUNDS / 2].map(|round| rounds[round].as_secs_f64() / times as f64 * 1e6);
    println!("  {line:<40} {median:>8.2}   lowest {lowest:>8.2}");
}

fn program(id: i32, function: &str) -> Rc<Program> {
    Rc::new(Program {
        id,
        plugin: "benchmark".into(),
        script_name: "benchmark.js".into(),
        script: format!("exports.processEvent = {function}"),
        config: "{}".into(),
        secrets: Vec::new(),
        attachments: Vec::new(),
    })
}

/// An event like PostHog's, with texts, numbers, flags, and a list and an object among them.
fn event(properties: usize, prefix: &str) -> Vec<u8> {
    let mut out = jsonb::Writer::new();
    out.begin_object().unwrap();
    for (key, value) in [
        ("event", "$pageview"),
        ("distinct_id", "0190f3c1-7a3e-7c5e-b8d1-4f5a6b7c8d9e"),
        ("timestamp", "2025-01-02T03:04:05.678Z"),
        ("uuid", "0190f3c1-7a3e-7c5e-b8d1-000000000000"),
        ("ip", "203.0.113.7"),
    ] {
        out.key(key).unwrap();
        out.string(value).unwrap();
    }
    out.key("team_id").unwrap();
    out.number_i64(2).unwrap();
    out.key("properties").unwrap();
    out.begin_object().unwrap();
    for index in 0..properties {
        out.key(&format!("{prefix}{index:02}")).unwrap();
        match index {
            5 => {
                out.begin_array().unwrap();
                for element in ["one", "two", "three"] {
                    out.string(element).unwrap();
                }
                out.end().unwrap();
            }
            6 => {
                out.begin_object().unwrap();
                out.key("$browser").unwrap();
                out.string("Chrome").unwrap();
                out.key("$geoip_city_name").unwrap();
                out.null().unwrap();
                out.end().unwrap();
            }
            _ if index % 6 == 1 => out.number_f64(index as f64 * 1.25).unwrap(),
            _ if index % 6 == 2 => out.bool(index % 4 == 0).unwrap(),
            _ => out.string(&format!("value number {index} of the event, as texts go")).unwrap(),
        }
    }
    out.end().unwrap();
    out.end().unwrap();
    out.finish().unwrap().to_vec()
}
