//! The chain: an event through every enabled config of its team, in order.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use engine::{Failure, Outcome, Verdict};
use jsonb::{Document, Object, Ref};
use source::transpile::SourceMap;

use crate::backend::{Backend, Link};
use crate::catalog::links::OnError;
use crate::catalog::plugins;
use crate::error::{Error, Result};
use crate::journal;
use crate::marks::Marks;
use crate::settings;
use crate::stats::Stopwatch;
use crate::upkeep;

/// What the chain made of an event.
pub enum Processed {
    Unchanged,
    /// jsonb
    Changed(Vec<u8>),
    Discarded,
}

/// Runs the chain on an event given as jsonb.
pub fn process(backend: &mut Backend, event: &[u8]) -> Result<Processed> {
    let fields = open(event)?;
    if backend.links.is_empty() || is_snapshot(&fields) {
        return Ok(Processed::Unchanged);
    }
    let team = team_of(&fields);
    let mut current = Cow::Borrowed(event);
    let mut marks = settings::mark_events().then(Marks::default);
    let mut watch = Stopwatch::start();
    for link in backend.links.clone() {
        if link.team_id.is_some() && link.team_id != team {
            continue;
        }
        let outcome = call(backend, &link, &current, &mut watch);
        if let Some(marks) = &mut marks {
            marks.note(&link.title, &outcome);
        }
        if let Some(failure) = outcome.failure {
            match link.on_error {
                OnError::Pass => report(&link, failure, &current),
                OnError::Drop => {
                    report(&link, failure, &current);
                    return Ok(Processed::Discarded);
                }
                OnError::Raise => {
                    let failure = locate(&link, failure);
                    return Err(Error::PluginFailed {
                        plugin: link.program.plugin.clone(),
                        message: failure.message,
                        stack: failure.stack,
                    });
                }
            }
            // Telling of it took time that is not the next plugin's.
            watch.skip();
        }
        match outcome.verdict {
            Verdict::Unchanged => {}
            Verdict::Changed(changed) => current = Cow::Owned(changed),
            Verdict::Discarded => return Ok(Processed::Discarded),
        }
    }
    if let Some(marked) = marks.and_then(|marks| marks.apply(&current)) {
        current = Cow::Owned(marked);
    }
    Ok(match current {
        Cow::Borrowed(_) => Processed::Unchanged,
        Cow::Owned(changed) => Processed::Changed(changed),
    })
}

/// One plugin's turn: counted, timed, and not taken while the plugin is paused.
fn call(backend: &mut Backend, link: &Link, event: &[u8], watch: &mut Stopwatch) -> Outcome {
    if let Some(failure) = link.breaker.refusal(watch.last()) {
        let outcome = Outcome {
            ran: true,
            deferred: false,
            verdict: Verdict::Unchanged,
            failure: Some(failure),
        };
        link.tally.note(&outcome, Duration::ZERO);
        return outcome;
    }
    let outcome = backend.engine.process_event(&link.program, event);
    link.tally.note(&outcome, watch.lap());
    backend.host.rethrow();
    if let Some(reason) = link.breaker.note(&outcome, watch.last()) {
        upkeep::pause(link.program.id, reason);
    }
    outcome
}

fn open(event: &[u8]) -> Result<Object<'_>> {
    match Document::new(event).map(|event| event.root()) {
        Ok(Ref::Object(fields)) => Ok(fields),
        _ => Err(Error::EventIsNotAnObject),
    }
}

/// Session recordings do not pass plugins, as in PostHog.
fn is_snapshot(event: &Object<'_>) -> bool {
    matches!(event.get("event"), Ok(Some(Ref::String("$snapshot"))))
}

fn team_of(event: &Object<'_>) -> Option<i32> {
    match event.get("team_id") {
        Ok(Some(Ref::Number(team))) => team.to_i64()?.try_into().ok(),
        _ => None,
    }
}

fn report(link: &Rc<Link>, failure: Failure, event: &[u8]) {
    let program = &link.program;
    if journal::is_due(program.id) {
        journal::failure(program.id, &program.plugin, locate(link, failure), Some(event));
    }
}

/// The failure with the positions of its stack in the author's file. Reads the source map, which
/// is worth it for an error that somebody will see.
fn locate(link: &Link, failure: Failure) -> Failure {
    let Some(stack) = failure.stack else { return failure };
    let program = &link.program;
    let map =
        plugins::source_map(&program.plugin, link.version).and_then(|json| SourceMap::parse(&json));
    let stack = match map {
        Some(map) => map.rewrite_stack(&stack, &program.script_name, &program.script_name),
        None => stack,
    };
    Failure { stack: Some(stack), ..failure }
}
