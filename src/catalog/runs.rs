//! Writing plugin_run: what became of jobs and schedules.

use std::time::Duration;

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::spi::{SpiClient, SpiResult};

use super::plans;
use crate::json::Json;

/// What is kept of an error: a screen of it. Plugins make up their messages.
const LONGEST_ERROR: usize = 4000;

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    pub kind: Kind,
    pub name: String,
    /// What it would take to run it again.
    pub payload: Option<Json>,
    pub started_at: TimestampWithTimeZone,
    pub duration: Duration,
    pub outcome: Outcome,
    pub error: Option<String>,
    /// How often it has been tried.
    pub attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Job,
    Schedule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed,
    /// It has failed, and will be tried again.
    Retried,
    /// It ended with its worker, or with its realm.
    Interrupted,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed => "failed",
            Outcome::Retried => "retried",
            Outcome::Interrupted => "interrupted",
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Job => "job",
            Kind::Schedule => "schedule",
        }
    }
}

impl Run {
    pub fn seconds(&self) -> f64 {
        self.duration.as_secs_f64()
    }

    /// As much of the error as is kept.
    pub fn error(&self) -> Option<String> {
        self.error.as_ref().map(|error| error.chars().take(LONGEST_ERROR).collect())
    }
}

/// Appends runs of a config, if it is still there.
pub fn append(client: &mut SpiClient<'_>, config_id: i32, runs: &[&Run]) -> SpiResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let column = |text: fn(&Run) -> &str| runs.iter().map(|run| text(run)).collect::<Vec<_>>();
    let arguments: [DatumWithOid<'_>; 9] = [
        config_id.into(),
        column(|run| run.kind.name()).into(),
        column(|run| &run.name).into(),
        runs.iter().map(|run| run.payload.clone()).collect::<Vec<_>>().into(),
        runs.iter().map(|run| run.started_at).collect::<Vec<_>>().into(),
        runs.iter().map(|run| run.seconds()).collect::<Vec<_>>().into(),
        column(|run| run.outcome.name()).into(),
        runs.iter().map(|run| run.error()).collect::<Vec<_>>().into(),
        runs.iter()
            .map(|run| i32::try_from(run.attempts).unwrap_or(i32::MAX))
            .collect::<Vec<_>>()
            .into(),
    ];
    plans::update(client, APPEND, &arguments).map(drop)
}

// unnest is unqualified: with several arrays it is syntax, not a function.
const APPEND: &str = "
    INSERT INTO posthog_plugins.plugin_run
        (config_id, kind, name, payload, started_at, duration, outcome, error, attempts)
    SELECT c.id, n.kind, n.name, n.payload, n.started_at,
           pg_catalog.make_interval(secs => n.seconds), n.outcome, n.error, n.attempts
      FROM posthog_plugins.plugin_config AS c,
           unnest($2::text[], $3::text[], $4::jsonb[], $5::timestamptz[], $6::float8[], $7::text[],
                  $8::text[], $9::integer[]) WITH ORDINALITY
               AS n (kind, name, payload, started_at, seconds, outcome, error, attempts, place)
     WHERE c.id = $1
     ORDER BY n.place";
