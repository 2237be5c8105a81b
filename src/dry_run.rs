//! Dry runs: what a plugin would do to an event. Each has an engine of its own, which ends with it:
//! nothing is written, and the session's own realms are not touched.

pub mod api;
mod backtest;
mod capabilities;
mod cases;
mod host;
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
use host::{DryHost, Line};
use responses::Responses;
use trial::Trial;

pub use capabilities::capabilities;

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
    Failed,
}

impl Effect {
    /// As the column `outcome` shows it.
    fn name(self) -> &'static str {
        match self {
            Effect::Unchanged => "unchanged",
            Effect::Changed => "changed",
            Effect::Dropped => "dropped",
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
        // Has it make its runtime, which is not the plugin's. Should that fail, so will the plugin.
        let _ = engine.check("", "");
        let empty = engine.memory_used();
        Bench { trial, host, engine, empty, setup_milliseconds: None }
    }

    /// One event, from setup to teardown.
    fn once(trial: Trial, responses: Responses, event: &[u8]) -> Result<Run> {
        let mut bench = Bench::new(trial, responses);
        let mut run = bench.run(event)?;
        run.lines.extend(bench.end());
        Ok(run)
    }

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
            Verdict::Unchanged | Verdict::Discarded => event.to_vec(),
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

    /// Tears the plugin down; returns what it said.
    fn end(mut self) -> Vec<Line> {
        let failure = self.engine.tear_down(self.trial.link.program.id);
        self.host.rethrow();
        let mut lines = self.host.take_lines();
        if let Some(failure) = failure {
            lines.push(Line::error(format!("teardownPlugin failed: {failure}")));
        }
        lines
    }

    fn memory_bytes(&self) -> i64 {
        let bytes = self.engine.memory_peak().saturating_sub(self.empty);
        i64::try_from(bytes).unwrap_or(i64::MAX)
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
