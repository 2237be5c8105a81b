//! What the operator calls: what was counted, what is paused, what is too old.

// pgrx takes errors as this type, whose size does not matter in a call that fails.
#![allow(clippy::result_large_err)]

use engine::store::{Owner, Place};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::catalog::configs::{self, Target};
use crate::catalog::kept;
use crate::catalog::teams::{self, Limit};
use crate::catalog::{as_owner, findings, metrics, pauses, retention, stats as stored};
use crate::error::Error;
use crate::{backend, stats, upkeep};

type Answer<T> = Result<T, ErrorReport>;

/// Ends the pause of a config that paused itself. Returns whether it was paused.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn resume(
    plugin: &str,
    team_id: default!(Option<i32>, "NULL"),
    label: default!(&str, "''"),
) -> Answer<bool> {
    let (config_id, was_stored) = pauses::resume(Target::of_caller(plugin, team_id, label)?)?;
    let was_pausing = upkeep::is_pausing(config_id);
    upkeep::forget(config_id);
    // A pause that only this session knew of leaves no trace in a table.
    backend::read_again();
    Ok(was_stored || was_pausing)
}

/// Counts from zero again, for one plugin or for all.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn reset_stats(plugin: default!(Option<&str>, "NULL")) -> Answer<()> {
    teams::check(None)?;
    upkeep::reset(stored::reset(plugin)?);
    Ok(())
}

/// Removes lines, failures and dead letters past their retention, all of them. Returns how many those were.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn prune() -> Answer<i64> {
    teams::check(None)?;
    let removed = as_owner(|client| {
        stored::fold(client, 0)?;
        metrics::fold(client)?;
        kept::remove_orphans(client)?;
        kept::fold_all(client)?;
        retention::prune(client, None)
    });
    Ok(removed.map_err(Error::from)?)
}

/// Behind the view `stats`: what this session has counted and not written yet. It is about events of
/// all teams; whoever is limited to some sees it once it is written.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
#[allow(clippy::type_complexity)]
fn _counted() -> Result<
    TableIterator<
        'static,
        (
            name!(config_id, i32),
            name!(since, TimestampWithTimeZone),
            name!(events, i64),
            name!(changed, i64),
            name!(dropped, i64),
            name!(failed, i64),
            name!(nanoseconds, i64),
            name!(longest, i64),
            name!(last_error_at, Option<TimestampWithTimeZone>),
            name!(last_error, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let counted = if teams::is_caller_limited()? { Vec::new() } else { stats::counted() };
    Ok(TableIterator::new(counted.into_iter().map(|count| {
        let (at, error) = count.last_error.unzip();
        (
            count.config_id,
            count.since,
            count.events,
            count.changed,
            count.dropped,
            count.failed,
            count.nanoseconds,
            count.longest,
            at,
            error,
        )
    })))
}

/// Tells what is there and what is wrong, the worst first; each finding that is not ok says what to do.
#[pg_extern(stable, schema = "posthog_plugins", requires = [api::posthog_plugins])]
#[allow(clippy::type_complexity)]
fn health() -> Result<
    TableIterator<
        'static,
        (
            name!(topic, String),
            name!(subject, Option<String>),
            name!(status, String),
            name!(finding, String),
            name!(advice, Option<String>),
        ),
    >,
    ErrorReport,
> {
    teams::check(None)?;
    Ok(TableIterator::new(findings::all(env!("CARGO_PKG_VERSION"))?))
}

/// For `health`: enabled configs that lack something.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn _incomplete() -> Result<
    TableIterator<'static, (name!(config_id, i32), name!(problem, String))>,
    // Spelt out: pgrx does not see through Answer here.
    ErrorReport,
> {
    Ok(TableIterator::new(configs::incomplete()?))
}

/// Behind the views `storage` and `cache`: every key of either that holds something. Whoever is limited
/// to teams sees theirs.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
#[allow(clippy::type_complexity)]
fn _kept(
    in_cache: bool,
) -> Result<
    TableIterator<
        'static,
        (
            name!(config_id, Option<i32>),
            name!(plugin, Option<String>),
            name!(team_id, Option<i32>),
            name!(key, String),
            name!(value, String),
            name!(expires_at, Option<TimestampWithTimeZone>),
            name!(changed_at, TimestampWithTimeZone),
        ),
    >,
    ErrorReport,
> {
    let place = if in_cache { Place::Cache } else { Place::Storage };
    let limit = Limit::of_caller()?;
    let kept = as_owner(|client| {
        let teams = configs::teams_by_id(client)?;
        kept::all(client, place, |owner| {
            limit.admits(match owner {
                Owner::Config(id) => teams.get(id).copied().flatten(),
                Owner::Plugin { team_id, .. } => *team_id,
            })
        })
    });
    let rows = kept.map_err(Error::from)?.into_iter().map(|kept| {
        let kept::Kept { key, value, expires_at, changed_at } = kept;
        let (config_id, plugin, team_id) = match key.owner {
            Owner::Config(id) => (Some(id), None, None),
            Owner::Plugin { plugin, team_id } => (None, Some(plugin.to_string()), team_id),
        };
        let time = |seconds: f64| pgrx::datum::to_timestamp(seconds);
        let expires_at = expires_at.map(time);
        (config_id, plugin, team_id, key.name, value, expires_at, time(changed_at))
    });
    Ok(TableIterator::new(rows))
}
