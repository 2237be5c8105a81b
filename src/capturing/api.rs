//! What SQL calls about captured events.

// pgrx takes errors as this type, whose size does not matter in a call that fails.
#![allow(clippy::result_large_err)]

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::catalog::captured::{self, Chosen};
use crate::worker;

type Answer<T> = Result<T, ErrorReport>;

/// Says which attached table gets what plugins capture. In sql/captured.sql, for a type that has none in
/// Rust.
#[pg_extern(schema = "posthog_plugins", sql = false)]
fn capture_into(events_table: Option<pg_sys::Oid>, team_id: Option<i32>) -> Answer<()> {
    captured::capture_into(events_table, team_id)?;
    worker::wake_at_commit();
    Ok(())
}

/// Has captured events inserted now that could not be: those that fit all that is given. Returns how
/// many.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn retry_captured(
    plugin: default!(Option<&str>, "NULL"),
    id: default!(Option<i64>, "NULL"),
    error: default!(Option<&str>, "NULL"),
) -> Answer<i64> {
    let retried = captured::try_again(&Chosen { plugin, id, error })?;
    if retried > 0 {
        worker::wake_at_commit();
    }
    Ok(retried)
}

/// Removes captured events that are not inserted yet: those that fit all that is given. Returns how many.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn discard_captured(
    plugin: default!(Option<&str>, "NULL"),
    id: default!(Option<i64>, "NULL"),
    error: default!(Option<&str>, "NULL"),
) -> Answer<i64> {
    Ok(captured::discard(&Chosen { plugin, id, error })?)
}
