//! What a worker does with a consumer that it has claimed: it reads a batch, and after delivering it with
//! no transaction open, records what became of each event. What is not recorded is read again.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::time::Duration;

use delivery::Cursor;
use pgrx::pg_sys;

use super::safety;
use crate::catalog::backfills::{self, Backfill};
use crate::catalog::consumers::Deliveries;
use crate::catalog::queue::newest;
use crate::catalog::undelivered::{self, Attempt};
use crate::catalog::{as_owner, consumers, filters, queue};
use crate::error::Result;
use crate::event::Event;
use crate::settings;

pub use crate::catalog::consumers::Consumer;
pub use crate::catalog::queue::{Queued, Room};

/// What the view of retries says of one that has not been tried.
const BEHIND: &str = "waits for an earlier event with its distinct_id";

/// Bytes of a distinct_id that is its own key: PostgreSQL's indexes take no more than some thousand.
const LONGEST_KEY: usize = 200;

/// Events to be delivered, and where that leaves the consumer.
pub struct Batch {
    pub events: Vec<Queued>,
    /// Events on which the consumer's condition failed, and how.
    pub refused: Vec<(Queued, String)>,
    /// To be recorded with what became of the events.
    pub cursor: Cursor,
    /// There may be more: the next one need not wait to be woken.
    pub is_full: bool,
}

/// What became of an event. Of several functions that were given it, the last of these counts: one
/// that may do well later is tried again, though another has failed for good.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    #[default]
    Delivered,
    /// It is tried after others that wait to be tried again.
    Behind,
    Failed {
        retry: Retry,
        error: String,
    },
}

impl delivery::Outcome for Outcome {}

impl Outcome {
    /// Whether that comes before events that are to be kept in order, if it is not the last attempt.
    pub fn is_to_be_tried_again(&self) -> bool {
        match self {
            Outcome::Delivered => false,
            Outcome::Behind => true,
            Outcome::Failed { retry, .. } => *retry != Retry::Never,
        }
    }
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retry {
    Never,
    /// By the settings; after the last attempt never.
    Later,
    /// After that time, but not beyond the last attempt: somebody has asked for it.
    After(Duration),
}

/// Sees to it that every enabled config that consumes is a consumer. Whoever is missing gets a row:
/// after a restore there is none, and everything in the queue is for it.
pub fn follow() -> Result<()> {
    newest(|client| consumers::follow(client, consumers::Start::Oldest))
}

/// A consumer as the tables have it now, with its cursor as whoever had it last has left it.
pub fn find(config_id: i32) -> Result<Option<Consumer>> {
    newest(|client| consumers::one(client, config_id))
}

/// The backfills that are to go on.
pub fn backfills() -> Result<Vec<Backfill>> {
    newest(|client| backfills::running(client))
}

/// Whether somebody has ended a backfill, or it is gone with its config.
pub fn is_cancelled(id: i64) -> Result<bool> {
    Ok(newest(|client| backfills::is_cancelled(client, id))?)
}

/// Reads what is due, as far as there is room: what failed before and is to be tried again, up to half
/// of it if more is waiting, then what is new from there on. Retries that are under way are not read
/// again. Nothing is written.
pub fn next_batch(
    consumer: &Consumer,
    from: &Cursor,
    mut room: Room,
    under_way: &[i64],
) -> Result<Batch> {
    let (mut events, cursor, is_full) = newest(|client| -> Result<_> {
        let now = queue::now(client)?;
        let (retries, are_more) = undelivered::due(client, consumer, room.half(), under_way)?;
        retries.iter().for_each(|retry| room.take(retry));
        let cursor = from.in_batch(now);
        let (events, cursor) = queue::read(client, consumer, &cursor, room)?;
        let is_full = cursor.batch.is_some();
        let events = retries.into_iter().chain(events).collect::<Vec<_>>();
        // What was stored while an earlier batch was read has woken nobody who sleeps.
        let is_old = from.batch.is_some();
        Ok((events, cursor, is_full || are_more || is_old))
    })?;
    safety::ensure(events.iter().filter_map(Queued::place));
    let mut refused = Vec::new();
    if let Some(condition) = &consumer.filter.condition {
        let sifted = filters::sift(events, condition, consumer.filter_role);
        (events, refused) = (sifted.wanted, sifted.refused);
    }
    Ok(Batch { events, refused, cursor, is_full })
}

/// Writes down what became of events, and how far the consumer has got. False: it has been put
/// elsewhere meanwhile or is gone, and has to be claimed anew; what became of the events is written
/// nevertheless.
pub fn record(
    consumer: &Consumer,
    cursor: &Cursor,
    outcomes: &[(Queued, Outcome)],
) -> Result<bool> {
    let Sorted { deliveries, settled, attempts } = sort(consumer, outcomes);
    Ok(as_owner(|client| {
        undelivered::settle(client, &settled)?;
        undelivered::note(client, consumer.config_id, &attempts)?;
        consumers::record(client, consumer, cursor, &deliveries)
    })?)
}

/// What became of events, by what there is to be written.
pub(super) struct Sorted<'a> {
    pub deliveries: Deliveries,
    /// Retries that are done with.
    settled: Vec<i64>,
    pub attempts: Vec<Attempt<'a>>,
}

pub(super) fn sort<'a>(consumer: &Consumer, outcomes: &'a [(Queued, Outcome)]) -> Sorted<'a> {
    let backoff = settings::retries();
    // The same for all: what failed together may be one batch again.
    let luck = luck();
    // SAFETY: reads a clock.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let (mut delivered, mut settled, mut attempts, mut failed) = (vec![], vec![], vec![], 0);
    for (event, outcome) in outcomes {
        let (error, tried, delay) = match outcome {
            Outcome::Delivered => {
                let waited = now.saturating_sub(event.enqueued_at.into());
                delivered.push(Duration::from_micros(waited.max(0).unsigned_abs()));
                settled.extend(event.retry());
                continue;
            }
            Outcome::Behind => (BEHIND, event.attempts(), Some(Duration::ZERO)),
            Outcome::Failed { error, retry } => {
                failed += 1;
                let tried = event.attempts() + 1;
                let delay = backoff.after(tried, luck);
                let delay = match retry {
                    Retry::Never => None,
                    Retry::Later => delay,
                    Retry::After(time) => delay.map(|delay| delay.max(*time)),
                };
                (error.as_str(), tried, delay)
            }
        };
        let distinct_id = distinct_id(consumer, event);
        attempts.push(Attempt { event, error, attempts: tried, delay, distinct_id });
    }
    Sorted { deliveries: Deliveries { delivered, failed }, settled, attempts }
}

/// What keeps an event in its order: for consumers that get them so, if it has one.
pub fn distinct_id(consumer: &Consumer, event: &Queued) -> Option<String> {
    if !consumer.filter.ordered {
        return None;
    }
    Event::of_payload(&event.event.0).distinct_id().map(key_of)
}

/// Of which of these distinct_ids some events wait to be tried again.
pub fn waiting(consumer: &Consumer, distinct_ids: Vec<String>) -> Result<Vec<String>> {
    Ok(newest(|client| undelivered::waiting(client, consumer.config_id, distinct_ids))?)
}

/// When the next retry of a consumer is due, if there is one that is not under way.
pub fn next_retry(config_id: i32, under_way: &[i64]) -> Result<Option<Duration>> {
    Ok(newest(|client| undelivered::next(client, config_id, under_way))?)
}

/// A key that identifies a distinct_id: itself, or the beginning of a long one and a number for all of
/// it. Should two have the same, they are in one order.
fn key_of(distinct_id: String) -> String {
    if distinct_id.len() <= LONGEST_KEY {
        return distinct_id;
    }
    let beginning =
        distinct_id.get(..distinct_id.floor_char_boundary(LONGEST_KEY)).unwrap_or_default();
    let mut all = DefaultHasher::new();
    all.write(distinct_id.as_bytes());
    format!("{beginning}... {:016x}", all.finish())
}

/// Some number from 0 to 1.
pub fn luck() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}
