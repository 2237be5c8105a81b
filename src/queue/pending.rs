//! What the running transaction enqueues: held back for a while, so that many single rows become few
//! writes, and written in the savepoint that it belongs to, with which it goes when that is rolled
//! back.

use std::cell::RefCell;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::{append, state};
use crate::error::Result;
use crate::event::Event;
use crate::{cause, worker};

/// What is held of a savepoint. A hundred ordinary events: more make writing no faster.
const MOST_BYTES: usize = 256 << 10;

/// What an event takes besides itself.
const ROW_BYTES: usize = 64;

/// An event that is to be appended.
pub struct Row {
    pub enqueued_at: pg_sys::TimestampTz,
    pub team_id: Option<i32>,
    /// A varlena.
    pub event: Vec<u8>,
    /// How many captures have led to it.
    pub hops: u8,
}

/// The events of one savepoint.
struct Level {
    id: pg_sys::SubTransactionId,
    rows: Vec<Row>,
    bytes: usize,
}

#[derive(Default)]
struct Pending {
    /// The innermost last.
    levels: Vec<Level>,
    /// How many the transaction has written, rolled back or not.
    written: i64,
    half: usize,
}

thread_local! {
    static PENDING: RefCell<Pending> = RefCell::default();
}

/// Takes an event, which is stored with the transaction.
pub fn add(event: &Event<'_>, team_id: Option<i32>) -> Result<()> {
    let state = state::get()?;
    let level = level();
    // SAFETY: reads a clock.
    let enqueued_at = unsafe { pg_sys::GetCurrentTimestamp() };
    let row = Row { enqueued_at, team_id, event: event.varlena(), hops: cause::depth() };
    worker::wake_at_commit();
    PENDING.with_borrow_mut(|pending| {
        pending.half = state.half;
        if pending.levels.last().is_none_or(|last| last.id != level) {
            pending.levels.push(Level { id: level, rows: Vec::new(), bytes: 0 });
        }
        if let Some(last) = pending.levels.last_mut() {
            last.bytes += ROW_BYTES + row.event.len();
            last.rows.push(row);
        }
    });
    Ok(())
}

/// Writes what is held if it has become much.
pub fn relieve() {
    let level = level();
    let is_much = PENDING.with_borrow(|pending| {
        pending.levels.last().is_some_and(|last| last.id == level && last.bytes > MOST_BYTES)
    });
    if is_much {
        write_last();
    }
}

/// Writes the innermost level, in which the transaction is.
fn write_last() {
    // Not borrowed meanwhile: an error that ends the session would come back here.
    let taken = PENDING.with_borrow_mut(|pending| {
        let rows = pending.levels.pop()?.rows;
        let written = pending.written;
        pending.written += rows.len() as i64;
        Some((pending.half, written, rows))
    });
    if let Some((half, written, rows)) = taken {
        append::append(half, written, rows);
    }
}

fn level() -> pg_sys::SubTransactionId {
    // SAFETY: a transaction is running.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

impl Pending {
    /// A savepoint was rolled back, and all that were opened inside.
    fn roll_back(&mut self, to: pg_sys::SubTransactionId) {
        self.levels.retain(|level| level.id < to);
    }

    /// What a savepoint has enqueued is now its parent's.
    fn release(&mut self, from: pg_sys::SubTransactionId, to: pg_sys::SubTransactionId) {
        let Some(mut last) = self.levels.pop_if(|last| last.id == from) else { return };
        match self.levels.last_mut().filter(|level| level.id == to) {
            Some(parent) => {
                parent.rows.append(&mut last.rows);
                parent.bytes += last.bytes;
            }
            None => self.levels.push(Level { id: to, ..last }),
        }
    }
}

/// Listens to the ends of transactions and savepoints.
pub fn register() {
    // SAFETY: callbacks for the life of the process, without arguments.
    unsafe {
        pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(at_savepoint_end), std::ptr::null_mut());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _arg: *mut core::ffi::c_void,
) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE => {
            // All savepoints are over.
            while PENDING.with_borrow(|pending| !pending.levels.is_empty()) {
                write_last();
            }
        }
        XACT_EVENT_COMMIT | XACT_EVENT_PREPARE | XACT_EVENT_ABORT => drop(PENDING.take()),
        _ => {}
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_savepoint_end(
    event: pg_sys::SubXactEvent::Type,
    own: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _arg: *mut core::ffi::c_void,
) {
    use pg_sys::SubXactEvent::*;
    PENDING.with_borrow_mut(|pending| match event {
        SUBXACT_EVENT_ABORT_SUB => pending.roll_back(own),
        SUBXACT_EVENT_COMMIT_SUB => pending.release(own, parent),
        _ => {}
    });
}
