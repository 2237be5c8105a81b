//! The chain: an event through every enabled config of its team, in order.

mod passing;

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use engine::{Failure, Given, Outcome, Program, Verdict};
use jsonb::{Document, Object, Ref};
use source::transpile::SourceMap;

use crate::backend::{Backend, Link};
use crate::catalog::links::OnError;
use crate::catalog::plugins;
use crate::error::{Error, Result};
use crate::event::{self, Event};
use crate::journal;
use crate::marks::Marks;
use crate::settings;
use crate::stats::Stopwatch;
use crate::upkeep;

pub use passing::{Passing, Whole};

/// What the chain made of an event.
pub enum Processed {
    Unchanged,
    /// jsonb
    Changed(Vec<u8>),
    Discarded,
}

/// Whose events the chain may do something to.
pub enum Audience {
    Nobody,
    /// Of some teams.
    Teams,
    Everybody,
}

impl Audience {
    /// Of links for those teams.
    pub fn of(mut teams: impl Iterator<Item = Option<i32>>) -> Self {
        match teams.next() {
            None => Audience::Nobody,
            Some(first) if first.is_none() || teams.any(|team| team.is_none()) => {
                Audience::Everybody
            }
            Some(_) => Audience::Teams,
        }
    }
}

pub fn audience(backend: &Backend) -> Audience {
    let links = backend.links.iter().filter(|link| takes_turns(link));
    Audience::of(links.map(|link| link.team_id))
}

/// Whether the chain may do something to events of that team.
pub fn concerns(backend: &Backend, team: Option<i32>) -> bool {
    backend.links.iter().any(|link| takes_turns(link) && link.meets(team))
}

/// Whether the link would be missed. One without a `processEvent` leaves nothing but marks.
fn takes_turns(link: &Link) -> bool {
    link.skipped.get().is_none() || settings::mark_events()
}

/// Runs the chain on an event, which is not looked into for a chain that does not concern it.
pub fn process(backend: &mut Backend, event: &Event<'_>) -> Result<Processed> {
    let mut whole = match enter(backend, event)? {
        Some(whole) => whole,
        None => return Ok(Processed::Unchanged),
    };
    if pass(backend, &mut whole)? == Passed::Discarded {
        return Ok(Processed::Discarded);
    }
    Ok(match whole.payload {
        Cow::Borrowed(_) => Processed::Unchanged,
        Cow::Owned(changed) => Processed::Changed(changed),
    })
}

/// The event for a chain that concerns it.
pub fn enter<'e>(backend: &Backend, event: &Event<'e>) -> Result<Option<Whole<'e>>> {
    if !event.is_object() {
        return Err(Error::EventIsNotAnObject);
    }
    let is_concerned = match audience(backend) {
        Audience::Nobody => false,
        Audience::Teams => concerns(backend, event.team()),
        Audience::Everybody => true,
    };
    is_concerned.then(|| Whole::new(event.payload())).transpose()
}

/// What became of an event that passed the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    Through,
    Discarded,
}

/// Runs the chain on an event that it concerns.
pub fn pass(backend: &mut Backend, event: &mut impl Passing) -> Result<Passed> {
    if event.is_snapshot()? {
        return Ok(Passed::Through);
    }
    let team = event.team();
    event.check()?;
    let mut marks = settings::mark_events().then(Marks::default);
    let mut watch = Stopwatch::start();
    for link in backend.links.clone() {
        if !link.meets(team) {
            continue;
        }
        backend.host.team.set(team);
        let outcome = call(backend, &link, event.given(), &mut watch);
        backend.host.team.set(None);
        event.check()?;
        if let Some(marks) = &mut marks {
            marks.note(&link.title, &outcome);
        }
        let next = Next::after(&outcome, link.on_error);
        if let Some(failure) = outcome.failure {
            if next == Next::Raise {
                return Err(raised(&link, failure));
            }
            report(&link, failure, event)?;
            // Telling of it took time that is not the next plugin's.
            watch.skip();
        }
        if next == Next::Discard {
            return Ok(Passed::Discarded);
        }
        event.change(link, outcome.verdict)?;
    }
    if let Some(marks) = marks {
        event.mark(&marks)?;
    }
    Ok(Passed::Through)
}

/// What the chain does after a plugin's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The event goes on as the plugin's verdict has it.
    GoOn,
    Discard,
    /// The statement fails.
    Raise,
}

impl Next {
    pub fn after(outcome: &Outcome, on_error: OnError) -> Self {
        match (&outcome.failure, on_error, &outcome.verdict) {
            (Some(_), OnError::Raise, _) => Next::Raise,
            (Some(_), OnError::Drop, _) | (_, _, Verdict::Discarded) => Next::Discard,
            _ => Next::GoOn,
        }
    }
}

/// One plugin's turn: counted, timed, and not taken while the plugin is paused.
fn call(backend: &mut Backend, link: &Link, event: Given<'_>, watch: &mut Stopwatch) -> Outcome {
    if let Some(skipped) = link.skipped.get() {
        return skipped.clone();
    }
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
    let outcome = backend.engine.process_event_from(&link.program, event, watch.last());
    if !outcome.ran {
        link.skipped.get_or_init(|| outcome.clone());
    }
    link.tally.note(&outcome, watch.lap());
    backend.host.rethrow();
    match link.breaker.note(&outcome, watch.last()) {
        Some(reason) => upkeep::pause(link.program.id, reason),
        None if outcome.failure.is_none() => upkeep::forget(link.program.id),
        None => {}
    }
    outcome
}

/// The fields of an event given as jsonb.
pub fn open(event: &[u8]) -> Result<Object<'_>> {
    match Document::new(event).map(|event| event.root()) {
        Ok(Ref::Object(fields)) => Ok(fields),
        _ => Err(Error::EventIsNotAnObject),
    }
}

/// Session recordings do not pass plugins, as in PostHog.
pub fn is_snapshot(event: &Object<'_>) -> bool {
    matches!(event.get("event"), Ok(Some(Ref::String(SNAPSHOT))))
}

pub const SNAPSHOT: &str = "$snapshot";

pub fn team_of(event: &Object<'_>) -> Option<i32> {
    event::team_of(event).unwrap_or_default()
}

fn report(link: &Rc<Link>, failure: Failure, event: &impl Passing) -> Result<()> {
    let program = &link.program;
    if journal::is_due(program.id) {
        let event = event.payload()?;
        journal::failure(program.id, &program.plugin, locate(link, failure), Some(&event));
    }
    Ok(())
}

fn raised(link: &Link, failure: Failure) -> Error {
    let Failure { message, stack, .. } = locate(link, failure);
    Error::PluginFailed { plugin: link.program.plugin.clone(), message, stack }
}

/// The failure with the positions of its stack in the author's file. Reads the source map, which
/// is worth it for an error that somebody will see.
pub fn locate(link: &Link, failure: Failure) -> Failure {
    if failure.stack.is_none() {
        return failure;
    }
    let map = plugins::source_map(&link.program.plugin, link.version);
    locate_by(map.as_deref().unwrap_or_default(), &link.program, failure)
}

/// The same with a source map that is at hand.
pub fn locate_by(map: &str, program: &Program, failure: Failure) -> Failure {
    let Failure { stack: Some(stack), .. } = &failure else { return failure };
    let Some(map) = SourceMap::parse(map) else { return failure };
    let stack = map.rewrite_stack(stack, &program.script_name, &program.script_name);
    Failure { stack: Some(stack), ..failure }
}
