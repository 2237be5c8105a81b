//! Which events a consumer wants: writing consumer_filter, and evaluating conditions in SQL with the
//! rights of the role that set them.

use std::time::{Duration, Instant};

use delivery::Filter;
use pgrx::JsonB;
use pgrx::pg_sys;
use pgrx::spi::SpiResult;
use serde_json::Value;

use super::configs::{Target, existing_or_new_id};
use super::plugins::{current, lock};
use super::queue::Queued;
use super::{as_owner, as_role, attempt_as, attempt_in_time};
use crate::error::{Error, Result};
use crate::json::Json;

/// Stores the filter of a config; without one it gets everything.
pub fn set(target: Target<'_>, given: Option<Value>) -> Result<()> {
    let refuse = |problem| Error::BadFilter { plugin: target.plugin.to_owned(), problem };
    let filter = given.as_ref().map(Filter::parse).transpose().map_err(refuse)?;
    let mut role = None;
    if let Some(condition) = filter.as_ref().and_then(|filter| filter.condition.as_deref()) {
        // SAFETY: the current role exists.
        let caller = unsafe { pg_sys::GetUserId() };
        // What PostgreSQL refuses now would fail on every event later.
        let prepared = attempt_as(caller, |client| {
            evaluation(condition, |query| client.prepare(query, &TYPES).map(drop))
        });
        prepared.map_err(refuse)?;
        role = Some(caller);
    }
    as_owner(|client| -> Result<_> {
        lock(client)?;
        current(client, target.plugin)?;
        let id = existing_or_new_id(client, target)?;
        let delete = "DELETE FROM posthog_plugins.consumer_filter WHERE config_id = $1";
        client.update(delete, None, &[id.into()])?;
        if let Some(given) = given {
            client.update(
                "INSERT INTO posthog_plugins.consumer_filter (config_id, filter, role)
                 VALUES ($1, $2, $3)",
                None,
                &[id.into(), JsonB(given).into(), role.into()],
            )?;
        }
        Ok(())
    })
}

const TYPES: [pg_sys::PgOid; 1] = [pg_sys::PgOid::BuiltIn(pg_sys::PgBuiltInOids::JSONBARRAYOID)];

/// The query that tells which events of a list fit.
fn evaluation<R>(condition: &str, run: impl FnOnce(&str) -> R) -> R {
    // On a line of its own: it may end with a comment.
    run(&format!(
        "SELECT e.number
           FROM pg_catalog.unnest($1) WITH ORDINALITY AS e (event, number)
          WHERE (
{condition}
          )"
    ))
}

/// What a condition may take for all that is read at once. All other consumers wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

const TOO_LONG: &str = "it took too long";

/// What a condition makes of events.
pub struct Sifted {
    pub wanted: Vec<Queued>,
    /// Those on which it failed, and how.
    pub refused: Vec<(Queued, String)>,
}

/// Sifts events by a condition. What has been wanted once is not asked about again.
pub fn sift(events: Vec<Queued>, condition: &str, role: Option<pg_sys::Oid>) -> Sifted {
    let (new, mut wanted): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|event| event.retry().is_none());
    let mut refused = Vec::new();
    match fitting(&new, condition, role, PATIENCE) {
        Ok(fits) => {
            let fitting = new.into_iter().zip(fits).filter(|(_, fits)| *fits);
            wanted.extend(fitting.map(|(event, _)| event));
        }
        // One of them. Which, tells each by itself.
        Err(_) => {
            let until = Instant::now() + PATIENCE;
            for event in new {
                let left = until.saturating_duration_since(Instant::now());
                match fitting(std::slice::from_ref(&event), condition, role, left) {
                    Ok(fits) if fits.first() == Some(&true) => wanted.push(event),
                    Ok(_) => {}
                    Err(error) => refused.push((event, format!("the filter failed: {error}"))),
                }
            }
        }
    }
    Sifted { wanted, refused }
}

fn fitting(
    events: &[Queued],
    condition: &str,
    role: Option<pg_sys::Oid>,
    time: Duration,
) -> std::result::Result<Vec<bool>, String> {
    // SAFETY: NULL for a role that is no more.
    let exists = |role: &pg_sys::Oid| !unsafe { pg_sys::GetUserNameFromId(*role, true) }.is_null();
    let role = role.filter(exists).ok_or("the role that set it is gone")?;
    let given: Vec<Json> = events.iter().map(|event| event.event.clone()).collect();
    let mut fits = vec![false; events.len()];
    if time.is_zero() {
        return Err(TOO_LONG.to_owned());
    }
    let evaluated = attempt_in_time(time, || {
        as_role(role, |client| -> SpiResult<()> {
            let found = evaluation(condition, |query| client.select(query, None, &[given.into()]))?;
            for row in found {
                let number = row.get::<i64>(1)?.and_then(|number| usize::try_from(number - 1).ok());
                if let Some(fits) = number.and_then(|number| fits.get_mut(number)) {
                    *fits = true;
                }
            }
            Ok(())
        })
        .map_err(Error::from)
    });
    evaluated.map_err(|refused| match refused.is_overdue {
        true => TOO_LONG.to_owned(),
        false => refused.message,
    })?;
    Ok(fits)
}
