//! What is visible to a plugin that reads: under READ COMMITTED the newest commits, as to a statement
//! that begins now.

use engine::store::{Entry, Key};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::catalog::{as_owner, kept};
use crate::error::Error;

/// Tells two snapshots of a session apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    command: pg_sys::CommandId,
    /// Of a snapshot: with the same end, others can only have become fewer.
    end: pg_sys::TransactionId,
    running: (u32, i32),
}

impl Seen {
    pub fn now() -> Self {
        // SAFETY: a transaction is running, and a snapshot can be taken in it; the one that is
        // returned is read at once.
        unsafe {
            let command = pg_sys::GetCurrentCommandId(false);
            if is_fixed() {
                return Seen { command, end: pg_sys::InvalidTransactionId, running: (0, 0) };
            }
            let snapshot = pg_sys::GetLatestSnapshot();
            let running = ((*snapshot).xcnt, (*snapshot).subxcnt);
            Seen { command, end: (*snapshot).xmax, running }
        }
    }
}

/// Whether the transaction sees nothing new of others.
pub fn is_fixed() -> bool {
    // SAFETY: the running transaction's.
    unsafe {
        pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 || pg_sys::IsInParallelMode()
    }
}

/// What the tables have of a key, and in how many rows.
pub fn read(key: &Key) -> (Option<Entry>, usize) {
    // SAFETY: a transaction is running; the snapshot is popped again unless an error ends it.
    let found = unsafe {
        pg_sys::PushActiveSnapshot(if is_fixed() {
            pg_sys::GetTransactionSnapshot()
        } else {
            pg_sys::GetLatestSnapshot()
        });
        let found = as_owner(|client| kept::read(client, key));
        pg_sys::PopActiveSnapshot();
        found
    };
    found.unwrap_or_else(|error| {
        ErrorReport::from(Error::from(error)).report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    })
}
