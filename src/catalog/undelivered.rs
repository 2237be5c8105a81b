//! Events that a consumer failed on: those that wait for another attempt, and dead letters.

use std::time::Duration;

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone, clock_timestamp};
use pgrx::spi::{SpiClient, SpiHeapTupleData, SpiResult};

use super::consumers::Consumer;
use super::queue::{Origin, Queued, Room, hops};
use super::{as_owner, plans, teams};
use crate::error::{Error, Result};
use crate::settings;

/// What is kept of an error: a screen of it. Plugins make up their messages.
const LONGEST_ERROR: usize = 4000;

/// That an event could not be delivered.
pub struct Attempt<'a> {
    pub event: &'a Queued,
    pub error: &'a str,
    /// How many those are by now.
    pub attempts: u32,
    /// Until the next one; `None` makes it a dead letter.
    pub delay: Option<Duration>,
    /// Those with the same one are tried one after the other.
    pub distinct_id: Option<String>,
}

/// What a consumer is to be given again by now, as far as there is room, and whether there may be more:
/// the longest waiting first, or in order, of events with the same distinct_id one or, for a batch, all
/// that are due.
pub fn due(
    client: &SpiClient<'_>,
    consumer: &Consumer,
    mut room: Room,
    under_way: &[i64],
) -> SpiResult<(Vec<Queued>, bool)> {
    let arguments = [
        consumer.config_id.into(),
        under_way.to_vec().into(),
        i64::try_from(room.events).unwrap_or(i64::MAX).into(),
        consumer.gets_only_batches().into(),
        // One moment for all: what is due in the middle of this is not to be left behind by others.
        clock_timestamp().into(),
    ];
    let place = if consumer.filter.ordered { "u.id" } else { "u.next_attempt_at" };
    let found = plans::select(client, &format!("{DUE} ORDER BY {place} LIMIT $3"), &arguments)?;
    let mut events = Vec::new();
    for row in found {
        if !room.is_left() {
            break;
        }
        let Some(event) = retry(row)? else { continue };
        room.take(&event);
        events.push(event);
    }
    Ok((events, !room.is_left()))
}

const DUE: &str = "
    SELECT u.id, u.attempts, u.enqueued_at, u.event, u.hops
      FROM posthog_plugins.undelivered_event AS u
     WHERE u.config_id = $1 AND u.next_attempt_at <= $5
       AND u.id <> ALL ($2)
       AND (u.distinct_id IS NULL OR NOT EXISTS (
            SELECT FROM posthog_plugins.undelivered_event AS before
             WHERE before.config_id = u.config_id AND before.distinct_id = u.distinct_id
               AND before.id < u.id AND before.next_attempt_at IS NOT NULL
               AND (NOT $4 OR before.next_attempt_at > $5 OR before.id = ANY ($2))))";

fn retry(row: SpiHeapTupleData<'_>) -> SpiResult<Option<Queued>> {
    let (Some(id), Some(enqueued_at), Some(event)) = (row.get(1)?, row.get(3)?, row.get(4)?) else {
        return Ok(None);
    };
    let attempts = row.get::<i32>(2)?.unwrap_or_default().unsigned_abs();
    let hops = hops(row.get(5)?);
    Ok(Some(Queued { origin: Origin::Retry { id, attempts }, enqueued_at, event, hops }))
}

/// How long until the next retry of a consumer is due.
pub fn next(
    client: &SpiClient<'_>,
    config_id: i32,
    under_way: &[i64],
) -> SpiResult<Option<Duration>> {
    let arguments = [config_id.into(), under_way.to_vec().into()];
    plans::delay(
        client,
        "SELECT EXTRACT(epoch FROM pg_catalog.min(u.next_attempt_at)
                                   - pg_catalog.clock_timestamp())::float8
           FROM posthog_plugins.undelivered_event AS u
          WHERE u.config_id = $1 AND u.next_attempt_at IS NOT NULL AND u.id <> ALL ($2)
            AND (u.distinct_id IS NULL OR NOT EXISTS (
                 SELECT FROM posthog_plugins.undelivered_event AS before
                  WHERE before.config_id = u.config_id AND before.distinct_id = u.distinct_id
                    AND before.id < u.id AND before.next_attempt_at IS NOT NULL))",
        &arguments,
    )
}

/// Of which of these distinct_ids a consumer that gets events in order has some to try again.
pub fn waiting(
    client: &SpiClient<'_>,
    config_id: i32,
    distinct_ids: Vec<String>,
) -> SpiResult<Vec<String>> {
    let found = plans::select(
        client,
        "SELECT DISTINCT u.distinct_id
           FROM posthog_plugins.undelivered_event AS u
          WHERE u.config_id = $1 AND u.distinct_id = ANY ($2) AND u.next_attempt_at IS NOT NULL",
        &[config_id.into(), distinct_ids.into()],
    )?;
    found.filter_map(|row| row.get(1).transpose()).collect()
}

/// Removes what was delivered after all.
pub fn settle(client: &mut SpiClient<'_>, ids: &[i64]) -> SpiResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let statement = "DELETE FROM posthog_plugins.undelivered_event WHERE id = ANY ($1)";
    plans::update(client, statement, &[ids.to_vec().into()]).map(drop)
}

/// Writes down what failed, of configs that are still there.
pub fn note(client: &mut SpiClient<'_>, config_id: i32, attempts: &[Attempt<'_>]) -> SpiResult<()> {
    for Attempt { event, error, attempts, delay, distinct_id } in attempts {
        let error: String = error.chars().take(LONGEST_ERROR).collect();
        let attempts = i32::try_from(*attempts).unwrap_or(i32::MAX);
        let delay = delay.map(|delay| delay.as_secs_f64());
        let (statement, arguments): (&str, Vec<DatumWithOid<'_>>) = match event.origin {
            Origin::Retry { id, .. } => {
                (AGAIN, vec![id.into(), attempts.into(), delay.into(), error.into()])
            }
            Origin::Queue(_) | Origin::Backfill => (
                FIRST,
                vec![
                    config_id.into(),
                    attempts.into(),
                    delay.into(),
                    error.into(),
                    event.enqueued_at.into(),
                    event.event.clone().into(),
                    distinct_id.clone().into(),
                    i16::from(event.hops).into(),
                ],
            ),
        };
        plans::update(client, statement, &arguments)?;
    }
    Ok(())
}

const FIRST: &str = "
    INSERT INTO posthog_plugins.undelivered_event
        (config_id, attempts, next_attempt_at, error, enqueued_at, event, distinct_id, hops)
    SELECT c.id, $2, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3), $4, $5, $6,
           $7, $8
      FROM posthog_plugins.plugin_config AS c
     WHERE c.id = $1";

const AGAIN: &str = "
    UPDATE posthog_plugins.undelivered_event
       SET attempts = $2, error = $4, failed_at = pg_catalog.now(),
           next_attempt_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3)
     WHERE id = $1";

/// Removes dead letters past their time, the oldest first and at most `most`. Returns how many.
pub fn prune(client: &mut SpiClient<'_>, most: Option<i64>) -> SpiResult<i64> {
    let Some(minutes) = settings::dead_letter_retention() else { return Ok(0) };
    let removed = client.update(
        "DELETE FROM posthog_plugins.undelivered_event
          WHERE id IN (
              SELECT id FROM posthog_plugins.undelivered_event
               WHERE next_attempt_at IS NULL
                 AND failed_at < pg_catalog.now() - pg_catalog.make_interval(mins => $1)
               ORDER BY failed_at
               LIMIT $2
                 FOR UPDATE SKIP LOCKED)",
        None,
        &[minutes.into(), most.into()],
    )?;
    Ok(removed.len() as i64)
}

/// Which failed events are meant: those that fit all that is given.
#[derive(Default)]
pub struct Chosen<'a> {
    pub plugin: Option<&'a str>,
    pub id: Option<i64>,
    /// A part of the error's text.
    pub error: Option<&'a str>,
    pub failed_after: Option<TimestampWithTimeZone>,
    pub failed_before: Option<TimestampWithTimeZone>,
    pub team_id: Option<i32>,
    pub label: Option<&'a str>,
}

impl Chosen<'_> {
    /// Whether anything is given.
    fn is_any(&self) -> bool {
        self.plugin.is_some()
            || self.id.is_some()
            || self.error.is_some()
            || self.failed_after.is_some()
            || self.failed_before.is_some()
            || self.team_id.is_some()
            || self.label.is_some()
    }

    /// Does that to those of them that the caller has to do with. Returns how many those are.
    fn each(&self, statement: &str) -> Result<i64> {
        let limit = teams::limit_of_caller()?;
        let statement = format!("{statement} {CHOSEN}");
        let done = as_owner(|client| -> SpiResult<_> {
            let arguments = [
                self.plugin.into(),
                self.id.into(),
                self.error.into(),
                self.failed_after.into(),
                self.failed_before.into(),
                self.team_id.into(),
                self.label.into(),
                limit.into(),
            ];
            Ok(client.update(statement.as_str(), None, &arguments)?.len())
        })?;
        Ok(done as i64)
    }
}

const CHOSEN: &str = "
     WHERE u.id IN (
         SELECT one.id
           FROM posthog_plugins.undelivered_event AS one
           JOIN posthog_plugins.plugin_config AS c ON c.id = one.config_id
          WHERE ($1 IS NULL OR c.plugin = $1)
            AND ($2 IS NULL OR one.id = $2)
            AND ($3 IS NULL OR pg_catalog.strpos(one.error, $3) > 0)
            AND ($4 IS NULL OR one.failed_at >= $4)
            AND ($5 IS NULL OR one.failed_at < $5)
            AND ($6 IS NULL OR c.team_id = $6)
            AND ($7 IS NULL OR c.label = $7)
            AND ($8 IS NULL OR c.team_id = ANY ($8)))";

/// Has them tried again now, as if for the first time.
pub fn try_again(chosen: &Chosen<'_>) -> Result<i64> {
    chosen.each(
        "UPDATE posthog_plugins.undelivered_event AS u
            SET next_attempt_at = pg_catalog.now(), attempts = 0",
    )
}

/// Removes them. Not all at once: that has to be said in so many words.
pub fn discard(chosen: &Chosen<'_>) -> Result<i64> {
    if !chosen.is_any() {
        return Err(Error::NothingChosen);
    }
    chosen.each("DELETE FROM posthog_plugins.undelivered_event AS u")
}
