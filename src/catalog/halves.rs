//! The two halves of the queue: to which one events go, with which dictionary, and what of one is needed.

use std::ffi::CStr;
use std::rc::Rc;

use delivery::{Dictionary, Span};
use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiResult};

use super::dictionaries::Dictionaries;
use super::transaction::Transaction;
use super::{consumers, plans, queue};
use crate::error::{Error, Result};

/// The row of queue_state.
#[derive(Debug, Clone)]
pub struct State {
    /// Which half events go to.
    pub half: usize,
    /// What they are compressed with.
    pub dictionary: Option<Rc<Dictionary>>,
}

pub fn state(client: &SpiClient<'_>) -> Result<State> {
    let query = "
        SELECT s.half::integer, d.id, d.bytes
          FROM posthog_plugins.queue_state AS s
          LEFT JOIN posthog_plugins.queue_dictionary AS d ON d.id = s.dictionary AND d.half = s.half";
    let row = plans::select(client, query, &[])?.next().ok_or(Error::NotThere)?;
    let half: i32 = row.get(1)?.unwrap_or_default();
    let bytes = row.get::<Vec<u8>>(3)?.filter(|bytes| !bytes.is_empty());
    let dictionary = row.get::<i32>(2)?.zip(bytes);
    let dictionary = dictionary.map(|(id, bytes)| Dictionary { id: id.cast_unsigned(), bytes });
    Ok(State { half: usize::from(half == 1), dictionary: dictionary.map(Rc::new) })
}

/// As the tables have it.
fn number(half: usize) -> i32 {
    i32::from(half == 1)
}

fn name(half: usize) -> &'static str {
    if half == 0 { "posthog_plugins.event_queue_0" } else { "posthog_plugins.event_queue_1" }
}

/// Whether a half has no rows, not even of transactions that were rolled back.
pub fn is_empty(client: &SpiClient<'_>, half: usize) -> SpiResult<bool> {
    let query = "SELECT pg_catalog.pg_relation_size($1::regclass) = 0";
    Ok(client.select(query, Some(1), &[name(half).into()])?.first().get_one()? == Some(true))
}

/// What a half takes on disk, without its index.
pub fn bytes(client: &SpiClient<'_>, half: usize) -> SpiResult<u64> {
    let query = "SELECT pg_catalog.pg_table_size($1::regclass)";
    let bytes = client.select(query, Some(1), &[name(half).into()])?.first().get_one::<i64>()?;
    Ok(bytes.unwrap_or_default().unsigned_abs())
}

/// Whether what is in a half has been there for long, which is worth emptying it though it is small.
pub fn is_old(client: &SpiClient<'_>, half: usize) -> SpiResult<bool> {
    let query = format!(
        "SELECT enqueued_at < pg_catalog.now() - '1 hour'::interval FROM {}
          ORDER BY xid, number LIMIT 1",
        name(half)
    );
    let row = queue::in_order(|| client.select(query.as_str(), Some(1), &[]))?.next();
    Ok(row.map(|row| row.get(1)).transpose()?.flatten().unwrap_or_default())
}

/// Makes a half this transaction's alone, if nobody is using it.
pub fn lock(half: usize) -> bool {
    let table = if half == 0 { c"event_queue_0" } else { c"event_queue_1" };
    lock_table(table, pg_sys::AccessExclusiveLock)
}

/// Keeps others from changing the state until the transaction ends, if nobody is about to.
pub fn lock_state() -> bool {
    lock_table(c"queue_state", pg_sys::ShareUpdateExclusiveLock)
}

fn lock_table(table: &CStr, mode: u32) -> bool {
    // SAFETY: look-ups of constant names, and a lock that is taken only if it is free.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"posthog_plugins".as_ptr(), true);
        let table = pg_sys::get_relname_relid(table.as_ptr(), schema);
        pg_sys::ConditionalLockRelationOid(table, mode as i32)
    }
}

/// Whether a half has anything that a consumer has not recorded as done.
pub fn is_needed(client: &SpiClient<'_>, half: usize) -> Result<bool> {
    let query = format!("SELECT FROM {} WHERE xid >= $1 AND xid <= $2 LIMIT 1", name(half));
    for consumer in consumers::all(client)? {
        for Span { first, last, .. } in consumer.cursor.rest() {
            let arguments = [Transaction(first).into(), Transaction(last).into()];
            if !queue::in_order(|| plans::select(client, &query, &arguments))?.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Empties a half that is locked.
pub fn empty(client: &mut SpiClient<'_>, half: usize) -> SpiResult<()> {
    client.update(format!("TRUNCATE {}", name(half)).as_str(), None, &[])?;
    let statement = "DELETE FROM posthog_plugins.queue_dictionary WHERE half = $1";
    client.update(statement, None, &[number(half).into()]).map(drop)
}

/// Has events go to a half of that size, and be compressed with a dictionary, unless that is empty.
pub fn switch(
    client: &mut SpiClient<'_>,
    half: usize,
    size: u64,
    dictionary: &[u8],
) -> SpiResult<()> {
    let statement = "
        WITH learned AS (
            INSERT INTO posthog_plugins.queue_dictionary (half, size, bytes) VALUES ($1, $2, $3)
            RETURNING id)
        UPDATE posthog_plugins.queue_state SET half = $1, dictionary = (SELECT id FROM learned)";
    let arguments = [number(half).into(), size.cast_signed().into(), dictionary.into()];
    client.update(statement, None, &arguments).map(drop)
}

/// How large the half that events go to was when its dictionary was made; 0 if it has none.
pub fn learned_at(client: &SpiClient<'_>) -> SpiResult<u64> {
    let query = "SELECT d.size
                   FROM posthog_plugins.queue_state AS s
                   JOIN posthog_plugins.queue_dictionary AS d ON d.id = s.dictionary";
    let row = client.select(query, Some(1), &[])?.next();
    let size = row.map(|row| row.get::<i64>(1)).transpose()?.flatten();
    Ok(size.unwrap_or_default().cast_unsigned())
}

/// What the last events of a half are mostly like.
pub fn learn(client: &SpiClient<'_>, half: usize) -> Result<Vec<u8>> {
    let query = format!(
        "SELECT bundle FROM (SELECT bundle FROM {} ORDER BY xid DESC, number DESC LIMIT 64) AS newest
          WHERE pg_catalog.length(bundle) <= 8192",
        name(half)
    );
    let mut dictionaries = Dictionaries::new(client);
    let mut events = Vec::new();
    for row in queue::in_order(|| plans::select(client, &query, &[]))? {
        let stored = row.get::<&[u8]>(1)?.unwrap_or_default();
        // Those after it in the row are compressed with it.
        let bundle = dictionaries.unpack(stored)?;
        let first = bundle.as_ref().and_then(|bundle| bundle.payloads().next());
        events.extend(
            first.map(|event| event.iter().copied().take(Dictionary::MOST_BYTES).collect()),
        );
    }
    Ok(Dictionary::choose(&events))
}
