//! What an event costs on its way through a plugin and back, in µs: `cargo bench -p engine`. Words
//! after `--` select the lines that contain one of them. The lowest round is for busy machines.
//! `--list` names the lines; `--run LINE TIMES` is for `make bench-check`, which counts instructions.

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

/// What people install, with their settings: `bench/plugins` has them.
const REALISTIC: [(&str, &str, &str); 5] = [
    (
        "property-filter",
        include_str!("../../../bench/plugins/property-filter.js"),
        r#"{"properties": "token, $insert_id, $time"}"#,
    ),
    ("url-normalizer", include_str!("../../../bench/plugins/url-normalizer.js"), "{}"),
    ("user-agent", include_str!("../../../bench/plugins/user-agent.js"), "{}"),
    (
        "schema-check",
        include_str!("../../../bench/plugins/schema-check.js"),
        r#"{"required": "$current_url, $lib, p08"}"#,
    ),
    ("hello-world", include_str!("../../../bench/plugins/hello-world.js"), "{}"),
];

/// One line of the table.
struct Case {
    name: String,
    events: Vec<Vec<u8>>,
    plugins: Vec<Rc<Program>>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (size, properties) in [("2 KB", 43), ("20 KB", 400)] {
        let event = event(properties, "p", &[]);
        cases.extend(PLUGINS.map(|(name, function)| Case {
            name: format!("{size}, {name}"),
            events: vec![event.clone()],
            plugins: vec![program(1, function)],
        }));
    }
    let installed: Vec<Rc<Program>> = (0..)
        .zip(REALISTIC)
        .map(|(id, (_, script, config))| {
            Rc::new(Program { script: script.into(), config: config.into(), ..empty(id) })
        })
        .collect();
    for ((name, ..), plugin) in REALISTIC.iter().zip(&installed) {
        let name = format!("2 KB, {name}");
        cases.push(Case {
            name,
            events: vec![event(33, "p", PAGEVIEW)],
            plugins: vec![plugin.clone()],
        });
    }
    let name = "2 KB, chain of five".into();
    cases.push(Case { name, events: vec![event(33, "p", PAGEVIEW)], plugins: installed });
    const IDENTITY: &str = "event => event";
    const SET: &str = "event => { event.properties.added = 1; return event }";
    const MISS: &str = "event => { event.properties.missing; return event }";
    let mixed: Vec<Vec<u8>> = (0..64).map(|set| event(43, &format!("s{set}_p"), &[])).collect();
    for (name, function) in [("identity", IDENTITY), ("set one property", SET), ("read one", MISS)]
    {
        let name = format!("64 key sets, {name}");
        cases.push(Case { name, events: mixed.clone(), plugins: vec![program(1, function)] });
    }
    for (name, function) in [("identity", IDENTITY), ("set one property", SET)] {
        let plugins = (0..10).map(|id| program(id, function)).collect();
        let name = format!("10 plugins, {name}");
        cases.push(Case { name, events: vec![event(43, "p", &[])], plugins });
    }
    cases
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // For a profiler, which counts what this does.
        ["--run", name, times] => {
            let times = times.parse().expect("a number of events");
            let case = cases().into_iter().find(|case| case.name == name);
            Runner::new(&case.expect("a case")).run(times);
        }
        ["--list", ..] => cases().iter().for_each(|case| println!("{}", case.name)),
        _ => {
            let words: Vec<&String> =
                arguments.iter().filter(|word| !word.starts_with('-')).collect();
            let wanted = |case: &Case| {
                words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str()))
            };
            cases().iter().filter(|case| wanted(case)).for_each(report);
        }
    }
}

struct Runner<'a> {
    case: &'a Case,
    engine: Engine,
    next: usize,
}

impl<'a> Runner<'a> {
    fn new(case: &'a Case) -> Self {
        let mut engine = Engine::new(Rc::new(Quiet));
        // A profiler makes all fifty times as slow.
        engine.set_limits(Limits { call: Duration::from_secs(60), ..Limits::default() });
        Runner { case, engine, next: 0 }
    }

    fn run(&mut self, times: usize) -> Duration {
        let begin = Instant::now();
        for _ in 0..times {
            let mut event = std::borrow::Cow::Borrowed(&self.case.events[self.next]);
            self.next = (self.next + 1) % self.case.events.len();
            for plugin in &self.case.plugins {
                let outcome = self.engine.process_event(plugin, &event);
                assert_eq!(outcome.failure, None);
                match outcome.verdict {
                    Verdict::Unchanged => {}
                    Verdict::Changed(bytes) => event = std::borrow::Cow::Owned(bytes),
                    Verdict::Discarded => panic!("discarded"),
                    Verdict::Patched(_) => panic!("the event was whole"),
                }
            }
        }
        begin.elapsed()
    }
}

fn report(case: &Case) {
    let mut runner = Runner::new(case);
    runner.run(case.events.len());
    let once = runner.run(100) / 100;
    let times = (ROUND.as_nanos() / once.as_nanos().max(1)).max(1) as usize;
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| runner.run(times)).collect();
    rounds.sort();
    let [lowest, median] =
        [0, ROUNDS / 2].map(|round| rounds[round].as_secs_f64() / times as f64 * 1e6);
    println!("{:<40} {median:>8.2}   lowest {lowest:>8.2}", case.name);
}

fn program(id: i32, function: &str) -> Rc<Program> {
    Rc::new(Program { script: format!("exports.processEvent = {function}"), ..empty(id) })
}

fn empty(id: i32) -> Program {
    Program {
        id,
        plugin: "benchmark".into(),
        title: "Benchmark".into(),
        team_id: None,
        script_name: "benchmark.js".into(),
        script: String::new(),
        config: "{}".into(),
        secrets: Vec::new(),
        attachments: Vec::new(),
    }
}

/// What the realistic plugins look for.
const PAGEVIEW: &[(&str, &str)] = &[
    ("$lib", "web"),
    ("$time", "1716199200.123"),
    ("$insert_id", "9e3779b97f4a7c15"),
    ("token", "phc_000000000000000000000000000000000000000000"),
    ("$current_url", "https://Example.com/pricing/?utm_source=newsletter&session=17#top"),
    (
        "$raw_user_agent",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
    ),
];

/// An event like PostHog's, with texts, numbers, flags, and a list and an object among them.
fn event(properties: usize, prefix: &str, more: &[(&str, &str)]) -> Vec<u8> {
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
    for (key, value) in more {
        out.key(key).unwrap();
        out.string(value).unwrap();
    }
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
