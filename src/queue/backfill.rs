//! What a worker does with a backfill: it reads rows as the role that asked for it, and after delivering
//! them with no transaction open, records what became of each. What is not recorded is read again.

use std::time::Duration;

use super::consumer::{Consumer, Outcome, Queued, sort};
use crate::catalog::backfills::{self, Backfill, Place, Progress, Rows};
use crate::catalog::{as_owner, attempt_in_time, filters, undelivered};
use crate::error::Result;

/// What a read may take: the worker has other consumers to serve.
const LONGEST_READ: Duration = Duration::from_secs(10);

pub enum Reading {
    Rows {
        events: Vec<Queued>,
        refused: Vec<(Queued, String)>,
        /// How many were looked at.
        rows: usize,
        place: Option<Place>,
        is_end: bool,
    },
    /// It cannot be read now.
    Later,
    /// It cannot be read, which has been written down.
    Over,
}

/// Reads about so many rows that come after a place.
pub fn read(
    backfill: &Backfill,
    consumer: &Consumer,
    after: Option<&Place>,
    most: usize,
) -> Result<Reading> {
    let found = attempt_in_time(LONGEST_READ, || backfill.read(consumer, after, most));
    let Rows { mut events, count, place, is_end } = match found {
        Ok(rows) => rows,
        Err(refused) if refused.may_pass() && !refused.is_overdue => return Ok(Reading::Later),
        Err(refused) => {
            let mut error = refused.message;
            if refused.is_overdue {
                error = format!("reading the table takes too long, it may need an index: {error}");
            }
            as_owner(|client| backfills::fail(client, backfill.id, &error))?;
            return Ok(Reading::Over);
        }
    };
    let mut refused = Vec::new();
    if let Some(condition) = &consumer.filter.condition {
        let sifted = filters::sift(events, condition, consumer.filter_role);
        (events, refused) = (sifted.wanted, sifted.refused);
    }
    Ok(Reading::Rows { events, refused, rows: count, place, is_end })
}

/// Writes down what became of events, and how far that leads. Whether the backfill is still there.
pub fn record(
    backfill: &Backfill,
    consumer: &Consumer,
    place: Option<&Place>,
    rows: usize,
    is_end: bool,
    outcomes: &[(Queued, Outcome)],
) -> Result<bool> {
    let sorted = sort(consumer, outcomes);
    let progress = Progress {
        place,
        rows: rows as i64,
        delivered: sorted.deliveries.delivered.len() as i64,
        failed: sorted.deliveries.failed,
        is_end,
    };
    as_owner(|client| -> Result<_> {
        undelivered::note(client, backfill.config_id, &sorted.attempts)?;
        Ok(backfills::record(client, backfill.id, &progress)?)
    })
}
