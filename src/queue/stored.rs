//! What SQL calls about backfills.

// pgrx takes errors as this type, whose size does not matter in a call that fails.
#![allow(clippy::result_large_err)]

use std::ffi::CStr;

use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::catalog::backfills::{self, Wanted};
use crate::catalog::configs::Target;
use crate::error::Error;
use crate::{trigger, worker};

type Answer<T> = Result<T, ErrorReport>;

/// Has the stored rows of a table be given to a consumer. In sql/backfill.sql, for types that have none in
/// Rust.
#[pg_extern(schema = "posthog_plugins", sql = false)]
#[allow(clippy::too_many_arguments)]
fn backfill(
    plugin: Option<&str>,
    table: Option<pg_sys::Oid>,
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    events_per_second: Option<f64>,
    team_id: Option<i32>,
    label: Option<&str>,
    time_column: Option<&CStr>,
) -> Answer<i64> {
    let plugin = plugin.ok_or(Error::NoName)?;
    let relation = table.ok_or(Error::NoTable)?;
    let time_column = time_column
        .map(|name| name.to_str().map(str::to_owned).map_err(|_| Error::NotUtf8))
        .transpose()?;
    let id = backfills::begin(Wanted {
        target: Target::of_caller(plugin, team_id, label.unwrap_or_default())?,
        relation,
        attached: trigger::form(relation)?,
        time_column,
        from,
        to,
        events_per_second,
    })?;
    worker::wake_at_commit();
    Ok(id)
}

/// Has a backfill read no more, until it is resumed.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn pause_backfill(id: i64) -> Answer<()> {
    change(id, &["running"], "paused")
}

/// Has a backfill go on that was paused, or could not go on.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn resume_backfill(id: i64) -> Answer<()> {
    change(id, &["paused", "failed"], "running")
}

/// Ends a backfill before it is done.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn cancel_backfill(id: i64) -> Answer<()> {
    change(id, &["running", "paused", "failed"], "cancelled")
}

fn change(id: i64, from: &[&str], to: &str) -> Answer<()> {
    backfills::change(id, from, to)?;
    worker::wake_at_commit();
    Ok(())
}
