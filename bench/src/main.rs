//! Measures the extension beside its peers in one run, and writes docs/performance.md with its
//! picture. `scripts/bench` sets the environment; `--quick` takes fewer rounds, for a look.
//!
//! A noisy machine moves everything at once, so the subjects of a comparison take turns, round by
//! round, and what is compared are the ratios within a round.

#![recursion_limit = "256"] // an event is one long json!

mod calls;
mod chart;
mod events;
mod growth;
mod inserts;
mod machine;
mod node;
mod report;
mod rounds;
mod server;
mod start;

use std::fs;

use cluster::repository;

use crate::report::Report;
use crate::rounds::Effort;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let effort = if quick { Effort::quick() } else { Effort::full() };
    let cluster = server::start();
    let mut report = Report::default();
    report.machine(&machine::describe(&cluster));

    let calls = calls::measure(&cluster, effort);
    report.calls(&calls);
    report.inserts(&inserts::measure(&cluster, effort));
    report.start(&start::measure(&cluster, effort));
    report.growth(&growth::measure(&cluster, effort));

    let docs = repository().join("docs");
    if quick {
        println!("{}", report.finish());
    } else {
        fs::write(docs.join("performance.svg"), chart::draw(&calls))
            .expect("the picture is written");
        fs::write(docs.join("performance.md"), report.finish()).expect("the report is written");
        println!("docs/performance.md is written");
    }
}
