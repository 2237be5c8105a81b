//! Reading the queue.

use std::ffi::CStr;

use delivery::{Cursor, Filter, Place, Snapshot, Span};
use jsonb::Document;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiHeapTupleData, SpiResult};
use serde_json::Value;

use super::consumers::Consumer;
use super::dictionaries::Dictionaries;
use super::transaction::{Seen, Transaction};
use super::{as_owner, plans, with_settings};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::json::Json;

/// An event for a consumer.
pub struct Queued {
    pub origin: Origin,
    pub enqueued_at: TimestampWithTimeZone,
    pub event: Json,
    /// How many captures have led to it.
    pub hops: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Queue(Place),
    /// It has failed before.
    Retry {
        id: i64,
        attempts: u32,
    },
    /// A stored row that is given once more.
    Backfill,
}

impl Queued {
    /// Where it is in the queue.
    pub fn place(&self) -> Option<Place> {
        match self.origin {
            Origin::Queue(place) => Some(place),
            Origin::Retry { .. } | Origin::Backfill => None,
        }
    }

    /// Under which number it is among those that have failed before.
    pub fn retry(&self) -> Option<i64> {
        match self.origin {
            Origin::Retry { id, .. } => Some(id),
            Origin::Queue(_) | Origin::Backfill => None,
        }
    }

    /// How often it was tried.
    pub fn attempts(&self) -> u32 {
        match self.origin {
            Origin::Queue(_) | Origin::Backfill => 0,
            Origin::Retry { attempts, .. } => attempts,
        }
    }
}

/// How much is read at a time. There is always room for the first event, however large.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub events: usize,
    pub bytes: usize,
}

impl Room {
    pub fn half(self) -> Self {
        Room { events: self.events.div_ceil(2), bytes: self.bytes.div_ceil(2) }
    }

    pub fn is_left(self) -> bool {
        self.events > 0 && self.bytes > 0
    }

    pub fn take(&mut self, event: &Queued) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(event.event.0.len());
    }
}

/// Runs `work` as the owner on what is committed by now, even if the statement's own snapshot is
/// older.
pub fn newest<R>(work: impl FnOnce(&mut SpiClient<'_>) -> R) -> R {
    // SAFETY: a transaction is running; the snapshot is popped again unless an error ends it.
    unsafe {
        let one_snapshot = pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32;
        pg_sys::PushActiveSnapshot(if one_snapshot {
            pg_sys::GetTransactionSnapshot()
        } else {
            pg_sys::GetLatestSnapshot()
        });
        let result = as_owner(work);
        pg_sys::PopActiveSnapshot();
        result
    }
}

/// Which transactions are over. The running one is not, whatever it has done.
pub fn now(client: &SpiClient<'_>) -> Result<Snapshot> {
    let rows = plans::select(client, "SELECT pg_catalog.pg_current_snapshot()::text", &[])?;
    let text = rows.first().get_one::<String>()?.unwrap_or_default();
    let snapshot: Snapshot = text.parse().map_err(|_| Error::NotASnapshot)?;
    // SAFETY: the running transaction's, 0 if it has none.
    let own = unsafe { pg_sys::GetTopFullTransactionIdIfAny() }.value;
    Ok(if own == 0 { snapshot } else { snapshot.with_running(own) })
}

const READ: &str = "
    SELECT q.xid, q.number, q.team_id, q.enqueued_at, q.hops, q.bundle
      FROM (SELECT a.xid, a.number, a.team_id, a.enqueued_at, a.hops, a.bundle
              FROM posthog_plugins.event_queue_0 AS a
             UNION ALL
            SELECT b.xid, b.number, b.team_id, b.enqueued_at, b.hops, b.bundle
              FROM posthog_plugins.event_queue_1 AS b) AS q
     WHERE q.xid >= $1 AND q.xid <= $2 AND (q.xid, q.number) > ($3, $4)
       AND pg_catalog.pg_visible_in_snapshot(q.xid, $5)
     ORDER BY q.xid, q.number";

/// Rows that are fetched at once. Half as many have all that is read at a time, if it was stored in bulk.
const FETCHED: i64 = 32;

/// Bytes that are looked through at a time, whatever is wanted of them: rows are kept until the end, and
/// meanwhile others wait.
const MOST_LOOKED_AT: usize = 16 << 20;

/// What a row takes besides its events.
const ROW_BYTES: usize = 128;

/// Reads what of a batch the consumer has not got, as far as there is room. Returns where that leaves it.
pub fn read(
    client: &SpiClient<'_>,
    consumer: &Consumer,
    cursor: &Cursor,
    room: Room,
) -> Result<(Vec<Queued>, Cursor)> {
    let Some(batch) = &cursor.batch else { return Ok((Vec::new(), cursor.clone())) };
    let mut reading = Reading {
        wanted: Wanted::new(consumer),
        dictionaries: Dictionaries::new(client),
        room,
        looked_at: 0,
        seen: None,
        events: Vec::new(),
    };
    for Span { first, last, after } in cursor.spans() {
        if reading.is_over() {
            break;
        }
        // Before its first event.
        let before = Place { transaction: first - 1, number: i64::MAX };
        let after = after.unwrap_or(before);
        let arguments: [DatumWithOid<'_>; 5] = [
            Transaction(first).into(),
            Transaction(last).into(),
            Transaction(after.transaction).into(),
            after.number.into(),
            Seen(&batch.until).into(),
        ];
        in_order(|| -> Result<()> {
            let mut rows = plans::cursor(client, READ, &arguments)?;
            loop {
                let fetched = rows.fetch(FETCHED)?;
                if fetched.is_empty() {
                    return Ok(());
                }
                for row in fetched {
                    if reading.is_over() {
                        return Ok(());
                    }
                    reading.take(row, after)?;
                }
            }
        })?;
    }
    let cursor = match reading.seen {
        Some(last) if reading.is_over() => cursor.after(last),
        None if reading.is_over() => cursor.clone(),
        _ => cursor.past_batch(),
    };
    Ok((reading.events, cursor))
}

struct Reading<'c, 'd> {
    wanted: Wanted<'c>,
    dictionaries: Dictionaries<'c, 'd>,
    room: Room,
    looked_at: usize,
    /// The last event that was looked at.
    seen: Option<Place>,
    events: Vec<Queued>,
}

impl Reading<'_, '_> {
    /// Whether that is enough for now.
    fn is_over(&self) -> bool {
        !self.room.is_left() || self.looked_at >= MOST_LOOKED_AT
    }

    /// Takes what comes after a place out of a row of the queue, as far as there is room.
    fn take(&mut self, row: SpiHeapTupleData<'_>, after: Place) -> Result<()> {
        let (transaction, last) = (row.get::<Transaction>(1)?, row.get::<i64>(2)?);
        let (Some(Transaction(transaction)), Some(last)) = (transaction, last) else {
            return Ok(());
        };
        let last = Place { transaction, number: last };
        self.looked_at += ROW_BYTES;
        let (team, enqueued_at, hops) = (row.get(3)?, row.get(4)?, hops(row.get(5)?));
        let enqueued_at = enqueued_at.filter(|time| self.wanted.has_rows_of(team, *time));
        let Some(enqueued_at) = enqueued_at else {
            self.seen = Some(last);
            return Ok(());
        };
        let stored = row.get::<&[u8]>(6)?.unwrap_or_default();
        let bundle = self.dictionaries.unpack(stored)?.ok_or(Error::Damaged(last))?;
        self.looked_at += stored.len() + bundle.bytes();
        let first = last.number - bundle.len() as i64 + 1;
        for (number, payload) in (first..).zip(bundle.payloads()) {
            let place = Place { transaction, number };
            if place <= after {
                continue;
            }
            if !self.room.is_left() {
                break;
            }
            self.seen = Some(place);
            if self.wanted.has(place, payload) {
                let event = Json(payload.to_vec());
                let queued = Queued { origin: Origin::Queue(place), enqueued_at, event, hops };
                self.room.take(&queued);
                self.events.push(queued);
            }
        }
        Ok(())
    }
}

/// What of the queue is for a consumer, but for its filter's condition.
struct Wanted<'c> {
    consumer: &'c Consumer,
    properties: Option<Json>,
}

impl<'c> Wanted<'c> {
    fn new(consumer: &'c Consumer) -> Self {
        let properties = consumer.filter.properties.clone();
        let properties =
            properties.and_then(|map| Json::parse(&Value::Object(map).to_string()).ok());
        Wanted { consumer, properties }
    }

    fn has_rows_of(&self, team: Option<i32>, enqueued_at: TimestampWithTimeZone) -> bool {
        let Consumer { team_id, starts_at, .. } = self.consumer;
        (team_id.is_none() || *team_id == team)
            && starts_at.is_none_or(|starts_at| enqueued_at >= starts_at)
    }

    fn has(&self, place: Place, payload: &[u8]) -> bool {
        let Filter { events, sample, .. } = &self.consumer.filter;
        let event = Event::of_payload(payload);
        sample.is_none_or(|part| place.luck() < part)
            && events.as_ref().is_none_or(|names| event.is_one_of(names))
            && self
                .properties
                .as_ref()
                .is_none_or(|properties| event.has_properties(properties).unwrap_or_default())
    }
}

/// The events of a row of the queue, for somebody to look at.
pub fn unbundled(client: &SpiClient<'_>, stored: &[u8]) -> Result<Vec<Json>> {
    let bundle = Dictionaries::new(client).unpack(stored)?.ok_or(delivery::Damaged)?;
    let checked = |payload: &[u8]| {
        Document::new(payload)?.root().check()?;
        Ok(Json(payload.to_vec()))
    };
    bundle.payloads().map(checked).collect()
}

/// As the tables have it.
pub fn hops(stored: Option<i16>) -> u8 {
    u8::try_from(stored.unwrap_or_default()).unwrap_or(u8::MAX)
}

const COUNT: &str = "
    SELECT pg_catalog.sum(CASE WHEN q.xid = $4 AND pg_catalog.pg_visible_in_snapshot(q.xid, $3)
                               THEN LEAST(q.events, q.number - $5) ELSE q.events END)::bigint,
           pg_catalog.min(q.enqueued_at)
      FROM (SELECT a.xid, a.number, a.team_id, a.enqueued_at, a.events
              FROM posthog_plugins.event_queue_0 AS a
             UNION ALL
            SELECT b.xid, b.number, b.team_id, b.enqueued_at, b.events
              FROM posthog_plugins.event_queue_1 AS b) AS q
     WHERE q.xid >= $1 AND q.xid <= $2
       AND NOT COALESCE(pg_catalog.pg_visible_in_snapshot(q.xid, $3)
                        AND (q.xid, q.number) <= ($4, $5), false)
       AND ($6 IS NULL OR q.team_id = $6)
       AND ($7 IS NULL OR q.enqueued_at >= $7)";

/// How many events wait for a consumer, and since when, whether it wants them or not.
pub fn waiting(
    client: &SpiClient<'_>,
    consumer: &Consumer,
) -> SpiResult<(i64, Option<TimestampWithTimeZone>)> {
    let batch = consumer.cursor.batch.as_ref();
    let after = batch.and_then(|batch| batch.after);
    let (mut events, mut oldest) = (0, None);
    for Span { first, last, .. } in consumer.cursor.rest() {
        let arguments = [
            Transaction(first).into(),
            Transaction(last).into(),
            batch.map(|batch| Seen(&batch.until)).into(),
            after.map(|place| Transaction(place.transaction)).into(),
            after.map(|place| place.number).into(),
            consumer.team_id.into(),
            consumer.starts_at.into(),
        ];
        let found = in_order(|| plans::select(client, COUNT, &arguments))?.first();
        events += found.get::<i64>(1)?.unwrap_or_default();
        let since = found.get::<TimestampWithTimeZone>(2)?;
        oldest = [oldest, since].into_iter().flatten().min();
    }
    Ok((events, oldest))
}

/// Plans what `work` runs so that the index gives the order. The tables have no statistics: a plan
/// that sorts would sort all there is for every piece, and one that seems expensive would be compiled
/// for seconds.
pub fn in_order<R>(work: impl FnOnce() -> R) -> R {
    const OFF: &CStr = c"off";
    let settings = [
        (c"enable_seqscan", OFF),
        (c"enable_bitmapscan", OFF),
        (c"enable_sort", OFF),
        (c"jit", OFF),
    ];
    with_settings(&settings, work)
}

/// The first transaction that enqueued anything at that time or later.
pub fn first_since(client: &SpiClient<'_>, time: TimestampWithTimeZone) -> SpiResult<Option<u64>> {
    let found = client.select(
        "SELECT q.xid
           FROM (SELECT a.xid, a.enqueued_at FROM posthog_plugins.event_queue_0 AS a
                  UNION ALL
                 SELECT b.xid, b.enqueued_at FROM posthog_plugins.event_queue_1 AS b) AS q
          WHERE q.enqueued_at >= $1
          ORDER BY q.xid",
        Some(1),
        &[time.into()],
    )?;
    let row = found.into_iter().next();
    let transaction = row.map(|row| row.get::<Transaction>(1)).transpose()?.flatten();
    Ok(transaction.map(|Transaction(transaction)| transaction))
}
