//! What a worker does with a consumer: it claims it, reads a batch, and after delivering it with no
//! transaction open, records what became of each event. What is not recorded is read again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use delivery::Cursor;

use super::{claim, safety};
use crate::catalog::queue::newest;
use crate::catalog::undelivered::{self, Attempt};
use crate::catalog::{as_owner, consumers, filters, queue};
use crate::error::Result;
use crate::settings;

pub use crate::catalog::consumers::Consumer;
pub use crate::catalog::queue::{Origin, Queued, Room};

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
    Failed {
        retry: Retry,
        error: String,
    },
}

impl delivery::Outcome for Outcome {}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retry {
    Never,
    /// By the settings; after the last attempt never.
    Later,
    /// After that time, but not beyond the last attempt: somebody has asked for it.
    After(Duration),
}

/// The enabled configs that consume, in the order of the chain. Whoever is missing gets a row first:
/// after a restore there is none, and everything in the queue is for it.
pub fn consumers() -> Result<Vec<Consumer>> {
    newest(|client| {
        consumers::follow(client, consumers::Start::Oldest)?;
        consumers::all(client)
    })
}

/// Makes the consumer this session's, unless another worker has it. With its cursor as that one left
/// it.
pub fn claim(config_id: i32) -> Result<Option<Consumer>> {
    if !claim::claim(config_id) {
        return Ok(None);
    }
    let found = newest(|client| consumers::one(client, config_id))?;
    if found.is_none() {
        claim::release(config_id);
    }
    Ok(found)
}

/// A consumer that is this session's already, as the tables have it now.
pub fn find(config_id: i32) -> Result<Option<Consumer>> {
    newest(|client| consumers::one(client, config_id))
}

/// Leaves the consumer to others.
pub fn release(config_id: i32) {
    claim::release(config_id);
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
        let (retries, are_more) =
            undelivered::due(client, consumer.config_id, room.half(), under_way)?;
        retries.iter().for_each(|retry| room.take(retry));
        let cursor = from.in_batch(now);
        let (events, is_full) = queue::read(client, consumer, &cursor, room)?;
        let cursor = match events.last().and_then(Queued::place).filter(|_| is_full) {
            Some(last) => cursor.after(last),
            None if is_full => from.clone(),
            None => cursor.past_batch(),
        };
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
    let backoff = settings::retries();
    let mut attempts = Vec::new();
    for (event, outcome) in outcomes {
        let Outcome::Failed { error, retry } = outcome else { continue };
        let tried = event.attempts() + 1;
        let delay = match retry {
            Retry::Never => None,
            Retry::Later => backoff.after(tried, luck()),
            Retry::After(time) => backoff.after(tried, luck()).map(|delay| delay.max(*time)),
        };
        attempts.push(Attempt { event, error, attempts: tried, delay });
    }
    let delivered = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Delivered));
    let (mut count, mut settled) = (0, Vec::new());
    for (event, _) in delivered {
        count += 1;
        if let Origin::Retry { id, .. } = event.origin {
            settled.push(id);
        }
    }
    Ok(as_owner(|client| {
        undelivered::settle(client, &settled)?;
        undelivered::note(client, consumer.config_id, &attempts)?;
        consumers::record(client, consumer, cursor, count, attempts.len() as i64)
    })?)
}

/// When the next retry of a consumer is due, if there is one that is not under way.
pub fn next_retry(config_id: i32, under_way: &[i64]) -> Result<Option<Duration>> {
    Ok(newest(|client| undelivered::next(client, config_id, under_way))?)
}

fn luck() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}
