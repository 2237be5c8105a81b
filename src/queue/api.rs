//! What SQL calls about the queue.

// pgrx takes errors as this type, whose size does not matter in a call that fails.
#![allow(clippy::result_large_err)]

use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::catalog::configs::Target;
use crate::catalog::undelivered::{self, Chosen};
use crate::catalog::{as_owner, consumers, filters, queue, teams};
use crate::chain::Audience;
use crate::error::Error;
use crate::event::Event;
use crate::json::Json;
use crate::{backend, settings, worker};

type Answer<T> = Result<T, ErrorReport>;

/// Gives an event that was stored without attach to the plugins that take stored events, when the
/// transaction commits. NULL, which is what process_event makes of a discarded one, is nothing.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn enqueue(event: Json) -> Answer<()> {
    // SAFETY: they raise an error or do nothing.
    unsafe {
        let command = c"enqueueing an event";
        pg_sys::PreventCommandDuringRecovery(command.as_ptr());
        pg_sys::PreventCommandIfReadOnly(command.as_ptr());
        pg_sys::PreventCommandIfParallelMode(command.as_ptr());
    }
    let event = Event::of_payload(&event.0);
    if !event.is_object() {
        return Err(Error::EventIsNotAnObject.into());
    }
    if !settings::enabled() {
        return Ok(());
    }
    backend::accept_messages();
    let team = event.team();
    let is_wanted = match super::audience()? {
        Audience::Nobody => false,
        Audience::Teams => super::concerns(team)?,
        Audience::Everybody => true,
    };
    if is_wanted {
        super::add(&event, team)?;
        super::relieve();
    }
    Ok(())
}

/// Behind the view `consumers`: how many events wait for each, and since when. Whoever is limited to
/// teams sees theirs.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn _waiting() -> Result<
    TableIterator<
        'static,
        (name!(config_id, i32), name!(events, i64), name!(oldest, Option<TimestampWithTimeZone>)),
    >,
    ErrorReport,
> {
    let is_limited = teams::is_caller_limited()?;
    let consumers = as_owner(|client| consumers::all(client))?;
    let mut rows = Vec::new();
    for consumer in consumers {
        if is_limited && teams::check(consumer.team_id).is_err() {
            continue;
        }
        let waiting = as_owner(|client| queue::waiting(client, &consumer));
        let (events, oldest) = waiting.map_err(Error::from)?;
        rows.push((consumer.config_id, events, oldest));
    }
    Ok(TableIterator::new(rows))
}

/// The events of a row of the queue, for whoever wants to see what waits.
#[pg_extern(schema = "posthog_plugins", stable, strict, requires = [api::posthog_plugins])]
fn _unbundled(bundle: &[u8]) -> Result<SetOfIterator<'static, Json>, ErrorReport> {
    Ok(SetOfIterator::new(as_owner(|client| queue::unbundled(client, bundle))?))
}

/// Behind the view `consumers`: the latency, in seconds, that a part of the deliveries did not exceed.
#[pg_extern(schema = "posthog_plugins", immutable, parallel_safe, requires = [api::posthog_plugins])]
fn _latency(latencies: Vec<f64>, part: f64) -> Option<f64> {
    delivery::quantile(&latencies, part)
}

/// Has events that a consumer failed on tried again now: those that fit all that is given. Returns how
/// many.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
#[allow(clippy::too_many_arguments)]
fn retry(
    plugin: default!(Option<&str>, "NULL"),
    id: default!(Option<i64>, "NULL"),
    error: default!(Option<&str>, "NULL"),
    failed_after: default!(Option<TimestampWithTimeZone>, "NULL"),
    failed_before: default!(Option<TimestampWithTimeZone>, "NULL"),
    team_id: default!(Option<i32>, "NULL"),
    label: default!(Option<&str>, "NULL"),
) -> Answer<i64> {
    let chosen = Chosen { plugin, id, error, failed_after, failed_before, team_id, label };
    let retried = undelivered::try_again(&chosen)?;
    if retried > 0 {
        worker::wake_at_commit();
    }
    Ok(retried)
}

/// Removes events that a consumer failed on: those that fit all that is given. Returns how many.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
#[allow(clippy::too_many_arguments)]
fn discard(
    plugin: default!(Option<&str>, "NULL"),
    id: default!(Option<i64>, "NULL"),
    error: default!(Option<&str>, "NULL"),
    failed_after: default!(Option<TimestampWithTimeZone>, "NULL"),
    failed_before: default!(Option<TimestampWithTimeZone>, "NULL"),
    team_id: default!(Option<i32>, "NULL"),
    label: default!(Option<&str>, "NULL"),
) -> Answer<i64> {
    let chosen = Chosen { plugin, id, error, failed_after, failed_before, team_id, label };
    Ok(undelivered::discard(&chosen)?)
}

/// Has a consumer get what was enqueued from that time on, again or for the first time, as far as the
/// queue still has it.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn start_from(
    plugin: &str,
    time: TimestampWithTimeZone,
    team_id: default!(Option<i32>, "NULL"),
    label: default!(&str, "''"),
) -> Answer<()> {
    consumers::start_from(Target::of_caller(plugin, team_id, label)?, time)?;
    worker::wake_at_commit();
    Ok(())
}

/// Limits which stored events a plugin is given; NULL lifts the limits.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn set_filter(
    plugin: &str,
    filter: Option<JsonB>,
    team_id: default!(Option<i32>, "NULL"),
    label: default!(&str, "''"),
) -> Answer<()> {
    let target = Target::of_caller(plugin, team_id, label)?;
    filters::set(target, filter.map(|filter| filter.0))?;
    worker::wake_at_commit();
    Ok(())
}
