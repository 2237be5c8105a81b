//! What SQL calls to have a plugin's job run, or not.

// pgrx takes errors as this type, whose size does not matter in a call that fails.
#![allow(clippy::result_large_err)]

use pgrx::JsonB;
use pgrx::datum::{TimestampWithTimeZone, clock_timestamp};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Map, Value};

use crate::catalog::configs::Target;
use crate::catalog::jobs;
use crate::error::Error;
use crate::worker;

type Answer<T> = Result<T, ErrorReport>;

/// Has a plugin run one of its jobs with that payload, once the transaction has committed and the time
/// has come. Returns the job's id.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn run_job(
    plugin: &str,
    job: &str,
    payload: default!(Option<JsonB>, "'{}'"),
    run_at: default!(Option<TimestampWithTimeZone>, "pg_catalog.now()"),
    team_id: default!(Option<i32>, "NULL"),
    label: default!(&str, "''"),
) -> Answer<i64> {
    let payload = match payload {
        Some(JsonB(Value::Object(payload))) => payload,
        Some(_) => return Err(Error::PayloadIsNotAnObject.into()),
        None => Map::new(),
    };
    let run_at = run_at.unwrap_or_else(clock_timestamp);
    let target = Target::of_caller(plugin, team_id, label)?;
    let (id, is_enabled) = jobs::run(target, job, payload, run_at)?;
    if is_enabled {
        worker::wake_at_commit();
    } else {
        notice!("plugin \"{plugin}\" is disabled: the job waits until it is enabled");
    }
    Ok(id)
}

/// Removes a job that has not run, or has yet to run again. Returns whether it was there.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn cancel_job(id: i64) -> Answer<bool> {
    Ok(jobs::cancel(id)?)
}
