//! Reading and writing plugin_job: what is to be run once, and when.

use std::time::Duration;

use pgrx::JsonB;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::spi::{SpiClient, SpiHeapTupleData, SpiResult};
use serde_json::{Map, Value};

use super::configs::{Target, existing_state};
use super::plugins::current;
use super::queue::hops;
use super::runs::{self, Outcome, Run};
use super::{as_owner, plans, teams};
use crate::error::{Error, Result};
use crate::json::Json;

/// A job that is due.
#[derive(Debug)]
pub struct Job {
    pub id: i64,
    pub name: String,
    pub payload: Json,
    /// How often it was tried.
    pub attempts: u32,
    /// How many captures have led to it.
    pub hops: u8,
}

/// What became of a job.
#[derive(Debug)]
pub struct Ended {
    pub id: i64,
    pub run: Run,
    /// Until it is tried again; `None` if it is not.
    pub delay: Option<Duration>,
}

/// Jobs with more than that are read one by one: a payload can be as long as any jsonb.
const MOST_BYTES: usize = 4 << 20;

/// The jobs of a config that are due, the longest waiting first, without those under way, as far as
/// there is room.
pub fn due(
    client: &SpiClient<'_>,
    config_id: i32,
    most: usize,
    under_way: &[i64],
) -> SpiResult<Vec<Job>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let arguments = [config_id.into(), under_way.to_vec().into(), most.into()];
    let found = plans::select(
        client,
        "SELECT j.id, j.name, j.payload, j.attempts, j.hops
           FROM posthog_plugins.plugin_job AS j
          WHERE j.config_id = $1 AND j.run_at <= pg_catalog.clock_timestamp()
            AND j.id <> ALL ($2)
          ORDER BY j.run_at, j.id
          LIMIT $3",
        &arguments,
    )?;
    let (mut due, mut bytes) = (Vec::new(), 0);
    for row in found {
        if bytes >= MOST_BYTES {
            break;
        }
        let Some(job) = job(row)? else { continue };
        bytes += job.payload.0.len();
        due.push(job);
    }
    Ok(due)
}

fn job(row: SpiHeapTupleData<'_>) -> SpiResult<Option<Job>> {
    let (Some(id), Some(name), Some(payload)) = (row.get(1)?, row.get(2)?, row.get(3)?) else {
        return Ok(None);
    };
    let attempts = row.get::<i32>(4)?.unwrap_or_default().unsigned_abs();
    let hops = hops(row.get(5)?);
    Ok(Some(Job { id, name, payload, attempts, hops }))
}

/// How long until the next job of a config is due.
pub fn next(
    client: &SpiClient<'_>,
    config_id: i32,
    under_way: &[i64],
) -> SpiResult<Option<Duration>> {
    let arguments = [config_id.into(), under_way.to_vec().into()];
    plans::delay(
        client,
        "SELECT EXTRACT(epoch FROM pg_catalog.min(j.run_at) - pg_catalog.clock_timestamp())::float8
           FROM posthog_plugins.plugin_job AS j
          WHERE j.config_id = $1 AND j.id <> ALL ($2) AND pg_catalog.isfinite(j.run_at)",
        &arguments,
    )
}

/// The enabled configs that have jobs.
pub fn configs(client: &SpiClient<'_>) -> SpiResult<Vec<i32>> {
    let found = plans::select(
        client,
        "SELECT c.id FROM posthog_plugins.plugin_config AS c
          WHERE c.enabled
            AND EXISTS (SELECT FROM posthog_plugins.plugin_job AS j WHERE j.config_id = c.id)",
        &[],
    )?;
    found.filter_map(|row| row.get(1).transpose()).collect()
}

/// Writes down what became of jobs of a config: those that are done with go.
pub fn record(client: &mut SpiClient<'_>, config_id: i32, ended: &[Ended]) -> SpiResult<()> {
    let (again, done): (Vec<&Ended>, Vec<&Ended>) =
        ended.iter().partition(|job| job.run.outcome == Outcome::Retried);
    for Ended { id, run, delay } in again {
        let arguments: [DatumWithOid<'_>; 4] = [
            (*id).into(),
            i32::try_from(run.attempts).unwrap_or(i32::MAX).into(),
            run.error().into(),
            delay.unwrap_or_default().as_secs_f64().into(),
        ];
        plans::update(client, AGAIN, &arguments)?;
    }
    if !done.is_empty() {
        let ids: Vec<i64> = done.iter().map(|job| job.id).collect();
        plans::update(
            client,
            "DELETE FROM posthog_plugins.plugin_job WHERE id = ANY ($1)",
            &[ids.into()],
        )?;
    }
    runs::append(client, config_id, &ended.iter().map(|job| &job.run).collect::<Vec<_>>())
}

const AGAIN: &str = "
    UPDATE posthog_plugins.plugin_job
       SET attempts = $2, error = $3,
           run_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4)
     WHERE id = $1";

/// Has a config run a job at that time, or as soon as it is enabled after that. Returns its id, and
/// whether it is enabled.
pub fn run(
    target: Target<'_>,
    name: &str,
    payload: Map<String, Value>,
    run_at: TimestampWithTimeZone,
) -> Result<(i64, bool)> {
    as_owner(|client| -> Result<_> {
        let (_, manifest) = current(client, target.plugin)?;
        let (config_id, is_enabled) = existing_state(client, target)?;
        let known = known(client, target.plugin)?;
        if !known.iter().any(|job| job == name) && !manifest.public_jobs.contains_key(name) {
            let public = manifest.public_jobs.keys().filter(|job| !known.contains(job));
            let mut known: Vec<String> = known.iter().chain(public).cloned().collect();
            known.sort_unstable();
            let (plugin, job) = (target.plugin.to_owned(), name.to_owned());
            return Err(Error::NoSuchJob { plugin, job, known });
        }
        let payload = manifest
            .payload(name, payload)
            .map_err(|error| Error::Payload { job: name.to_owned(), error })?;
        let id = client
            .update(
                "INSERT INTO posthog_plugins.plugin_job (config_id, name, payload, run_at)
                 VALUES ($1, $2, $3, $4) RETURNING id",
                None,
                &[
                    config_id.into(),
                    name.into(),
                    JsonB(Value::Object(payload)).into(),
                    run_at.into(),
                ],
            )?
            .first()
            .get_one::<i64>()?;
        Ok((id.unwrap_or_default(), is_enabled))
    })
}

/// The jobs that a plugin exports.
fn known(client: &SpiClient<'_>, plugin: &str) -> SpiResult<Vec<String>> {
    let found = client.select(
        "SELECT pg_catalog.jsonb_array_elements_text(v.capabilities -> 'jobs')
           FROM posthog_plugins.plugin_version AS v
          WHERE v.plugin = $1 AND v.is_current",
        None,
        &[plugin.into()],
    )?;
    found.filter_map(|row| row.get(1).transpose()).collect()
}

/// Removes a job that the caller has to do with. Whether it was there.
pub fn cancel(id: i64) -> Result<bool> {
    let limit = teams::limit_of_caller()?;
    let removed = as_owner(|client| -> SpiResult<_> {
        let removed = client.update(
            "DELETE FROM posthog_plugins.plugin_job AS j
              USING posthog_plugins.plugin_config AS c
              WHERE j.id = $1 AND c.id = j.config_id AND ($2 IS NULL OR c.team_id = ANY ($2))",
            None,
            &[id.into(), limit.into()],
        )?;
        Ok(removed.len())
    })?;
    Ok(removed > 0)
}
