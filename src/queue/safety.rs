//! A transaction that does not wait for the disk (`synchronous_commit = off`) is committed for everybody
//! a moment before a crash can no longer undo it. Nobody outside is told of its events in that moment.

use delivery::Place;
use pgrx::pg_sys;

/// Returns when no crash undoes the transactions that stored these events. For others than those of the
/// last moment it costs a look into memory for each transaction.
pub fn ensure(places: impl Iterator<Item = Place>) {
    let mut transactions: Vec<u64> = places.map(|place| place.transaction).collect();
    transactions.dedup();
    let known = oldest_known();
    // SAFETY: a transaction is running, and not in recovery. PostgreSQL knows what became of these.
    unsafe {
        let recent = transactions.into_iter().filter(|transaction| *transaction >= known);
        let written = recent
            .map(|transaction| pg_sys::TransactionIdGetCommitLSN((transaction as u32).into()))
            .max();
        if let Some(written) = written {
            pg_sys::XLogFlush(written);
        }
    }
}

/// What became of older transactions is forgotten, and long safe.
fn oldest_known() -> u64 {
    // SAFETY: a variable in shared memory that holds a number; the next transaction is never older.
    unsafe {
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        let variables = pg_sys::TransamVariables;
        #[cfg(not(any(feature = "pg17", feature = "pg18")))]
        let variables = pg_sys::ShmemVariableCache;
        let next = pg_sys::ReadNextFullTransactionId().value;
        let oldest = u32::from(std::ptr::read_volatile(&raw const (*variables).oldestClogXid));
        next.saturating_sub((next as u32).wrapping_sub(oldest).into())
    }
}
