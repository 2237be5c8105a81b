//! What SQL calls.

// pgrx takes errors as this type, whose size does not matter in a call that fails. The columns of a
// result it reads where the function is declared, so they are written out there.
#![allow(clippy::result_large_err, clippy::type_complexity)]

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{JsonB, PgRelation};
use serde_json::{Map, Value};

use super::backtest::{Backtest, Finding, Rows};
use super::host::Line;
use super::method::Method;
use super::responses::Responses;
use super::trial::Trial;
use super::{Effect, Run, cases, once};
use crate::catalog::configs::Target;
use crate::catalog::{teams, trials};
use crate::chain::{self, Next};
use crate::error::{self, Error};
use crate::json::Json;

/// What a plugin did with an event, as a row.
type Tested = (String, Option<Json>, Json, Json, Option<String>, Option<String>, f64, f64, i64);

/// Runs an installed plugin on an event and shows what it does. Writes nothing.
#[pg_extern(schema = "posthog_plugins", name = "test")]
#[allow(clippy::too_many_arguments)] // All but two have defaults.
fn try_plugin(
    plugin: &str,
    event: Json,
    config: default!(Option<JsonB>, "NULL"),
    version: default!(Option<i32>, "NULL"),
    team_id: default!(Option<i32>, "NULL"),
    label: default!(&str, "''"),
    responses: default!(Option<JsonB>, "NULL"),
    method: default!(&str, "'processEvent'"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(outcome, String),
            name!(result, Option<Json>),
            name!(changes, Json),
            name!(logs, Json),
            name!(error, Option<String>),
            name!(stack, Option<String>),
            name!(milliseconds, f64),
            name!(setup_milliseconds, f64),
            name!(memory_bytes, i64),
        ),
    >,
    ErrorReport,
> {
    let trial = trial(Target::of_caller(plugin, team_id, label)?, config, version)?;
    Ok(TableIterator::once(tested(trial, responses, method, &event)?))
}

/// The same with a source that is not installed.
#[pg_extern(schema = "posthog_plugins", name = "test_source")]
fn try_source(
    source: &str,
    event: Json,
    manifest: default!(JsonB, "'{}'"),
    config: default!(Option<JsonB>, "NULL"),
    responses: default!(Option<JsonB>, "NULL"),
    method: default!(&str, "'processEvent'"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(outcome, String),
            name!(result, Option<Json>),
            name!(changes, Json),
            name!(logs, Json),
            name!(error, Option<String>),
            name!(stack, Option<String>),
            name!(milliseconds, f64),
            name!(setup_milliseconds, f64),
            name!(memory_bytes, i64),
        ),
    >,
    ErrorReport,
> {
    let config = config.map_or(Ok(Map::new()), |config| settings("", config))?;
    let trial = Trial::source(source, manifest.0, config)?;
    Ok(TableIterator::once(tested(trial, responses, method, &event)?))
}

/// Shows what each plugin of the chain does to an event, in order. Writes nothing.
#[pg_extern(schema = "posthog_plugins")]
fn explain(
    event: Json,
    responses: default!(Option<JsonB>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(position, i32),
            name!(plugin, String),
            name!(label, String),
            name!(outcome, String),
            name!(result, Option<Json>),
            name!(changes, Json),
            name!(logs, Json),
            name!(error, Option<String>),
            name!(stack, Option<String>),
            name!(milliseconds, f64),
            name!(setup_milliseconds, f64),
            name!(memory_bytes, i64),
        ),
    >,
    ErrorReport,
> {
    let fields = chain::open(&event.0)?;
    let (team, is_snapshot) = (chain::team_of(&fields), chain::is_snapshot(&fields));
    teams::check(team)?;
    let responses = responses.map(|responses| responses.0);
    let mut current = event;
    let mut rows = Vec::new();
    for (trial, position) in Trial::chain()?.into_iter().zip(1..) {
        if is_snapshot || !trial.link.meets(team) {
            continue;
        }
        let (plugin, label) = (trial.link.program.plugin.clone(), trial.link.label.clone());
        let responses = Responses::parse(responses.clone())?;
        let run = once(trial, responses, Method::ProcessEvent, &current.0)?;
        let (next, result) = (run.next, run.result.clone());
        let (outcome, after, changes, logs, error, stack, time, setup, memory) = row(run)?;
        rows.push((
            position, plugin, label, outcome, after, changes, logs, error, stack, time, setup,
            memory,
        ));
        match result {
            Some(result) if next == Next::GoOn => current = result,
            _ => break,
        }
    }
    Ok(TableIterator::new(rows))
}

/// Runs the cases that a plugin came with, or others.
#[pg_extern(schema = "posthog_plugins")]
fn run_cases(
    plugin: &str,
    cases: default!(Option<Json>, "NULL"),
    version: default!(Option<i32>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(number, i32),
            name!(name, Option<String>),
            name!(passed, bool),
            name!(problem, Option<String>),
            name!(expected, Option<Json>),
            name!(got, Option<Json>),
            name!(changes, Option<Json>),
        ),
    >,
    ErrorReport,
> {
    let verdicts = cases::run(plugin, version, cases)?;
    Ok(TableIterator::new(verdicts.into_iter().map(|verdict| {
        let passed = verdict.problem.is_none();
        let cases::Verdict { number, name, problem, expected, got, changes } = verdict;
        (number, name, passed, problem, expected, got, changes)
    })))
}

/// Runs a plugin on the last rows of a table, with the caller's rights, and shows those that it would
/// change or drop, or on which it fails. Writes nothing.
#[pg_extern(schema = "posthog_plugins")]
#[allow(clippy::too_many_arguments)] // All but two have defaults.
fn backtest(
    plugin: &str,
    events_table: PgRelation,
    last_rows: default!(i32, "1000"),
    event_column: default!(Option<&str>, "NULL"),
    order_by: default!(Option<&str>, "NULL"),
    config: default!(Option<JsonB>, "NULL"),
    version: default!(Option<i32>, "NULL"),
    team_id: default!(Option<i32>, "NULL"),
    label: default!(&str, "''"),
    responses: default!(Option<JsonB>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(row_key, Option<Json>),
            name!(event, Json),
            name!(outcome, String),
            name!(result, Option<Json>),
            name!(changes, Option<Json>),
            name!(logs, Option<Json>),
            name!(error, Option<String>),
            name!(stack, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let trial = trial(Target::of_caller(plugin, team_id, label)?, config, version)?;
    let responses = Responses::parse(responses.map(|responses| responses.0))?;
    let rows = Rows { table: &events_table, most: last_rows, event_column, order_by };
    let mut backtest = Backtest::begin(&rows, trial, responses)?;
    Ok(TableIterator::new(std::iter::from_fn(move || {
        let found = backtest.next().and_then(|found| found.map(found_row).transpose());
        found.unwrap_or_else(|error| {
            ErrorReport::from(error).report(PgLogLevel::ERROR);
            None
        })
    })))
}

type Found = (
    Option<Json>,
    Json,
    String,
    Option<Json>,
    Option<Json>,
    Option<Json>,
    Option<String>,
    Option<String>,
);

fn found_row(finding: Finding) -> error::Result<Found> {
    let Finding { row_key, event, run } = finding;
    let Some(run) = run else {
        let error = Some(Error::EventIsNotAnObject.to_string());
        let outcome = Effect::Failed.name().to_owned();
        return Ok((row_key, event, outcome, None, None, None, error, None));
    };
    let (outcome, result, changes, logs, error, stack, ..) = row(run)?;
    Ok((row_key, event, outcome, result, Some(changes), Some(logs), error, stack))
}

/// The plugin with the given config, or with the one that is stored.
fn trial(target: Target<'_>, config: Option<JsonB>, version: Option<i32>) -> error::Result<Trial> {
    match config {
        None => Trial::stored(target, version),
        Some(config) => {
            let found = trials::version(target.plugin, version)?;
            let config = settings(target.plugin, config)?;
            Trial::given(target, &found, config, None)
        }
    }
}

fn settings(plugin: &str, config: JsonB) -> error::Result<Map<String, Value>> {
    match config.0 {
        Value::Object(config) => Ok(config),
        _ => Err(Error::ConfigIsNotAnObject(plugin.to_owned())),
    }
}

fn tested(
    trial: Trial,
    responses: Option<JsonB>,
    method: &str,
    event: &Json,
) -> error::Result<Tested> {
    let responses = Responses::parse(responses.map(|responses| responses.0))?;
    row(once(trial, responses, Method::parse(method)?, &event.0)?)
}

fn row(run: Run) -> error::Result<Tested> {
    let Run { effect, result, changes, lines, failure, .. } = run;
    let logs = Line::list(&lines)?;
    let (error, stack) = match failure {
        Some(failure) => (Some(failure.message), failure.stack),
        None => (None, None),
    };
    let (time, setup, memory) = (run.milliseconds, run.setup_milliseconds, run.memory_bytes);
    Ok((effect.name().to_owned(), result, changes, logs, error, stack, time, setup, memory))
}
