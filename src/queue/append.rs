//! Writing to the queue: rows go into the table and its index without the executor, which took longer
//! than the writing. The table is the extension's own, has no constraint but NOT NULL, no trigger and
//! one index.

use std::cell::Cell;

use delivery::Dictionary;
use pgrx::pg_sys;

use super::state;
use crate::event::to_datum;

const COLUMNS: usize = 7;

/// Of the index: the first and the third.
const KEYS: [usize; 2] = [0, 2];

const TABLES: [&std::ffi::CStr; 2] = [c"event_queue_0", c"event_queue_1"];
const INDEXES: [&std::ffi::CStr; 2] = [c"event_queue_0_by_place", c"event_queue_1_by_place"];

thread_local! {
    /// Tables that were found to be the extension's.
    static OURS: Cell<[pg_sys::Oid; 2]> = const { Cell::new([pg_sys::InvalidOid; 2]) };
}

/// A row of the queue.
pub struct Row {
    /// When its last event was.
    pub enqueued_at: pg_sys::TimestampTz,
    /// The last one's among the events of the transaction.
    pub number: i64,
    pub team_id: Option<i32>,
    /// How many captures have led to them.
    pub hops: u8,
    /// How many there are.
    pub events: usize,
    pub bundle: Vec<u8>,
}

/// Appends rows to a half of the queue, which are made for its dictionary. Nowhere, if the extension has
/// just been dropped.
pub fn append(half: usize, rows: impl FnOnce(Option<&Dictionary>) -> Vec<Row>) {
    // SAFETY: a transaction is running that may write; what is opened and pushed is closed and popped
    // again, or by the transaction's abort after an error.
    unsafe {
        let Some((table, index)) = find(half) else { return };
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let table = pg_sys::table_open(table, pg_sys::RowExclusiveLock as i32);
        let index = pg_sys::index_open(index, pg_sys::RowExclusiveLock as i32);
        let memory = pg_sys::AllocSetContextCreateInternal(
            pg_sys::CurrentMemoryContext,
            c"posthog_plugins queue".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        let before = pg_sys::MemoryContextSwitchTo(memory);
        insert(table, index, &rows(state::dictionary(half).as_deref()));
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::MemoryContextDelete(memory);
        pg_sys::index_close(index, pg_sys::RowExclusiveLock as i32);
        // Whoever empties the table has to see that it is in use until the transaction ends.
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        pg_sys::PopActiveSnapshot();
    }
}

/// # Safety
/// The table is a half of the queue and the index is its own; both are open. What is allocated goes
/// with the current memory context.
unsafe fn insert(table: pg_sys::Relation, index: pg_sys::Relation, rows: &[Row]) {
    // SAFETY: by contract; each row has a value for every column but the team, and each slot holds a row.
    unsafe {
        let transaction = pg_sys::GetTopFullTransactionId().value;
        let descriptor = (*table).rd_att;
        let mut keys = Vec::with_capacity(rows.len());
        let mut slots = Vec::with_capacity(rows.len());
        for row in rows {
            let mut values: [pg_sys::Datum; COLUMNS] = [
                transaction.into(),
                row.enqueued_at.into(),
                row.number.into(),
                row.team_id.unwrap_or_default().into(),
                i16::from(row.hops).into(),
                (row.events as i32).into(),
                to_datum(&row.bundle),
            ];
            let mut nulls = [false, false, false, row.team_id.is_none(), false, false, false];
            let tuple =
                pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            let slot =
                pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsHeapTuple);
            slots.push(pg_sys::ExecStoreHeapTuple(tuple, slot, false));
            keys.push(KEYS.map(|column| values[column]));
        }
        let command = pg_sys::GetCurrentCommandId(true);
        let (first, count) = (slots.as_mut_ptr(), slots.len() as i32);
        pg_sys::heap_multi_insert(table, first, count, command, 0, std::ptr::null_mut());
        let info = pg_sys::BuildIndexInfo(index);
        for (slot, key) in slots.into_iter().zip(&mut keys) {
            let (values, place) = (key.as_mut_ptr(), &raw mut (*slot).tts_tid);
            let mut nulls = [false; KEYS.len()];
            let unique = pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO;
            #[cfg(feature = "pg13")]
            pg_sys::index_insert(index, values, nulls.as_mut_ptr(), place, table, unique, info);
            #[cfg(not(feature = "pg13"))]
            pg_sys::index_insert(
                index,
                values,
                nulls.as_mut_ptr(),
                place,
                table,
                unique,
                false,
                info,
            );
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
    }
}

/// The half and its index, if they are there and the extension's.
fn find(half: usize) -> Option<(pg_sys::Oid, pg_sys::Oid)> {
    let (table, index) = (TABLES.get(half)?, INDEXES.get(half)?);
    // SAFETY: look-ups of constant names in the catalogs.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"posthog_plugins".as_ptr(), true);
        let table = pg_sys::get_relname_relid(table.as_ptr(), schema);
        if table == pg_sys::InvalidOid {
            return None;
        }
        let mut ours = OURS.get();
        if ours.get(half) != Some(&table) {
            let extension = pg_sys::get_extension_oid(c"posthog_plugins".as_ptr(), true);
            let owner = pg_sys::getExtensionOfObject(pg_sys::RelationRelationId, table);
            if extension == pg_sys::InvalidOid || owner != extension {
                return None;
            }
            *ours.get_mut(half)? = table;
            OURS.set(ours);
        }
        Some((table, pg_sys::get_relname_relid(index.as_ptr(), schema)))
    }
}
