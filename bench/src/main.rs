//! Measures the extension beside its peers in one run, and writes docs/performance.md with its
//! picture. `scripts/bench` sets the environment; `--quick` takes fewer rounds, and words like `inserts`
//! select what to measure, for a look.
//!
//! A noisy machine moves everything at once, so the subjects of a comparison take turns, round by
//! round, and what is compared are the ratios within a round.

#![recursion_limit = "256"] // an event is one long json!

mod backlog;
mod calls;
mod chart;
mod deliveries;
mod events;
mod growth;
mod inserts;
mod machine;
mod node;
mod report;
mod rounds;
mod server;
mod soak;
mod start;

use std::fs;
use std::time::Duration;

use cluster::repository;

use crate::report::Report;
use crate::rounds::Effort;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| -> Option<f64> {
        arguments.get(place).map(|it| it.parse().expect("a number"))
    };
    match arguments.first().map(String::as_str) {
        Some("backlog") => {
            let still = Duration::from_secs_f64(number(2).unwrap_or_default());
            backlog::run(number(1).unwrap_or(10e6) as u64, still);
        }
        Some("soak") => soak::run(number(1).unwrap_or(10.0)),
        _ => measure(&arguments),
    }
}

fn measure(arguments: &[String]) {
    let (flags, words): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with("--"));
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| *word == name);
    let quick = flags.iter().any(|flag| *flag == "--quick");
    let effort = if quick { Effort::quick() } else { Effort::full() };
    let cluster = server::start();
    server::make_template(&cluster, effort);
    let mut report = Report::default();
    report.machine(&machine::describe(&cluster));

    let calls = wanted("calls").then(|| calls::measure(&cluster, effort));
    if let Some(calls) = &calls {
        report.calls(calls);
    }
    if wanted("inserts") {
        report.inserts(&inserts::measure(&cluster, effort));
    }
    if wanted("deliveries") {
        report.deliveries(&deliveries::measure(&cluster, effort));
    }
    if wanted("start") {
        report.start(&start::measure(&cluster, effort));
    }
    if wanted("growth") {
        report.growth(&growth::measure(&cluster, effort));
    }

    let docs = repository().join("docs");
    match calls {
        Some(calls) if words.is_empty() && !quick => {
            let picture = chart::draw(&calls);
            fs::write(docs.join("performance.svg"), picture).expect("the picture is written");
            fs::write(docs.join("performance.md"), report.finish()).expect("the report is written");
            println!("docs/performance.md is written");
        }
        _ => println!("{}", report.finish()),
    }
}
