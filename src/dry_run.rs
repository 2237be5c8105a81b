//! Dry runs: what a plugin would do to an event. Each has an engine of its own, which ends with it:
//! nothing is written, and the session's own realms are not touched.

pub mod api;
mod backtest;
mod cases;
mod delivery;
mod host;
mod method;
mod responses;
mod trial;

use std::rc::Rc;
use std::time::Instant;

use engine::{Engine, Failure, Outcome, Verdict};
use jsonb::{Document, Ref, diff};

use crate::chain::{self, Next};
use crate::error::{Error, Result};
use crate::json::Json;
use crate::settings;
use delivery::Delivery;
use host::{DryHost, Line};
use method::Method;
use responses::Responses;
use trial::Trial;

/// A plugin that is tried, from setup to teardown.
trait Rehearsal {
    /// One event, or whatever else its function is given.
    fn run(&mut self, given: &[u8]) -> Result<Run>;

    /// Tears the plugin down; returns what it said.
    fn end(&mut self) -> Vec<Line>;
}

fn rehearsal(trial: Trial, responses: Responses, method: Method) -> Box<dyn Rehearsal> {
    match method {
        Method::ProcessEvent => Box::new(Bench::new(trial, responses)),
        method => Box::new(Delivery::new(trial, responses, method)),
    }
}

/// One call, from setup to teardown.
fn once(trial: Trial, responses: Responses, method: Method, given: &[u8]) -> Result<Run> {
    let mut rehearsal = rehearsal(trial, responses, method);
    let mut run = rehearsal.run(given)?;
    run.lines.extend(rehearsal.end());
    Ok(run)
}

/// Bytes that a runtime takes which is not the plugin's.
fn empty_runtime(host: &Rc<DryHost>) -> usize {
    let mut engine = Engine::new(host.clone());
    engine.set_limits(settings::limits());
    // Has it make one. Should that fail, so will the plugin.
    let _ = engine.check("", "");
    engine.memory_used()
}

/// What a plugin did with an event.
struct Run {
    effect: Effect,
    next: Next,
    /// The event as it goes on, if it does.
    result: Option<Json>,
    changes: Json,
    lines: Vec<Line>,
    failure: Option<Failure>,
    milliseconds: f64,
    /// Of loading and `setupPlugin`.
    setup_milliseconds: f64,
    memory_bytes: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Unchanged,
    Changed,
    Dropped,
    /// It did well, and had no event to change.
    Done,
    /// It failed, and would be called again.
    Retried,
    Failed,
}

impl Effect {
    /// As the column `outcome` shows it.
    fn name(self) -> &'static str {
        match self {
            Effect::Unchanged => "unchanged",
            Effect::Changed => "changed",
            Effect::Dropped => "dropped",
            Effect::Done => "done",
            Effect::Retried => "retry",
            Effect::Failed => "failed",
        }
    }
}

/// A plugin in an engine of its own.
struct Bench {
    trial: Trial,
    host: Rc<DryHost>,
    engine: Engine,
    /// Bytes that the engine holds without the plugin.
    empty: usize,
    setup_milliseconds: Option<f64>,
}

impl Bench {
    fn new(trial: Trial, responses: Responses) -> Self {
        let host = Rc::new(DryHost::new(trial.link.program.clone(), responses));
        let mut engine = Engine::new(host.clone());
        engine.set_limits(settings::limits());
        let empty = empty_runtime(&host);
        Bench { trial, host, engine, empty, setup_milliseconds: None }
    }

    /// Loads the plugin and sets it up, once.
    fn set_up(&mut self) -> std::result::Result<(), Failure> {
        if self.setup_milliseconds.is_some() {
            return Ok(());
        }
        let begin = Instant::now();
        let set_up = self.engine.set_up(&self.trial.link.program);
        self.host.rethrow();
        self.setup_milliseconds = Some(milliseconds_since(begin));
        set_up
    }

    fn memory_bytes(&self) -> i64 {
        let bytes = self.engine.memory_peak().saturating_sub(self.empty);
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }
}

impl Rehearsal for Bench {
    /// The event has to be an object.
    fn run(&mut self, event: &[u8]) -> Result<Run> {
        chain::open(event)?;
        let set_up = self.set_up();
        let begin = Instant::now();
        let outcome = match set_up {
            Ok(()) => self.engine.process_event(&self.trial.link.program, event),
            Err(failure) => Outcome {
                ran: true,
                deferred: false,
                verdict: Verdict::Unchanged,
                failure: Some(failure),
            },
        };
        let milliseconds = milliseconds_since(begin);
        self.host.rethrow();
        let next = Next::after(&outcome, self.trial.link.on_error);
        let Outcome { verdict, failure, .. } = outcome;
        let dropped = verdict == Verdict::Discarded;
        let after = match verdict {
            Verdict::Changed(after) => after,
            _ => event.to_vec(),
        };
        let goes_on = next == Next::GoOn;
        let changes = if goes_on { changes(event, &after)? } else { Vec::new() };
        Ok(Run {
            effect: match (&failure, dropped, changes.is_empty()) {
                (Some(_), ..) => Effect::Failed,
                (None, true, _) => Effect::Dropped,
                (None, false, true) => Effect::Unchanged,
                (None, false, false) => Effect::Changed,
            },
            next,
            changes: listed(&changes)?,
            result: goes_on.then_some(Json(after)),
            lines: self.host.take_lines(),
            failure: failure.map(|failure| self.trial.locate(failure)),
            milliseconds,
            setup_milliseconds: self.setup_milliseconds.unwrap_or_default(),
            memory_bytes: self.memory_bytes(),
        })
    }

    fn end(&mut self) -> Vec<Line> {
        let failure = self.engine.tear_down(self.trial.link.program.id);
        self.host.rethrow();
        let mut lines = self.host.take_lines();
        if let Some(failure) = failure {
            lines.push(Line::error(format!("teardownPlugin failed: {failure}")));
        }
        lines
    }
}

/// To the microsecond: less is noise.
fn milliseconds_since(begin: Instant) -> f64 {
    (begin.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

struct Difference {
    path: String,
    before: Option<Json>,
    after: Option<Json>,
}

fn changes(before: &[u8], after: &[u8]) -> Result<Vec<Difference>> {
    let json = |value: Option<Ref<'_>>| value.map(Json::of).transpose();
    diff(Document::new(before)?.root(), Document::new(after)?.root())?
        .into_iter()
        .map(|change| {
            let path = change.path.to_string();
            Ok(Difference { path, before: json(change.before)?, after: json(change.after)? })
        })
        .collect()
}

/// `[{"path", "op", "before", "after"}]`
fn listed(changes: &[Difference]) -> Result<Json> {
    let list = Json::written(|out| {
        out.begin_array()?;
        for Difference { path, before, after } in changes {
            out.begin_object()?;
            out.key("path")?;
            out.string(path)?;
            out.key("op")?;
            out.string(match (before, after) {
                (None, _) => "add",
                (_, None) => "remove",
                _ => "change",
            })?;
            for (key, value) in [("before", before), ("after", after)] {
                if let Some(value) = value {
                    out.key(key)?;
                    out.splice(value.root()?)?;
                }
            }
            out.end()?;
        }
        out.end()
    });
    list.map_err(Error::Jsonb)
}
