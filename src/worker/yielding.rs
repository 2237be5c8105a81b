//! Being in nobody's way. DROP DATABASE, ALTER DATABASE ... RENAME or SET TABLESPACE, and CREATE
//! DATABASE ... TEMPLATE want a database that nobody is connected to. PostgreSQL sends SIGTERM to
//! autovacuum workers that are, and waits some seconds for them to go, with the database locked
//! against those who come. A worker passes for one of them while it has no transaction open.
//!
//! Not during a transaction: CREATE INDEX CONCURRENTLY does not wait for the snapshots of autovacuum
//! workers, and to be sent away in the middle of something would be a failure.

use pgrx::pg_sys;

/// Its place among PostgreSQL's own locks, in all versions.
const PROC_ARRAY_LOCK: usize = 4;

/// From here on the process can be sent away.
pub fn begin() {
    set(true);
}

pub fn end() {
    set(false);
}

fn set(yielding: bool) {
    // SAFETY: the process has its entry among all processes' for as long as it runs. Its flags, and
    // their copy in the list that is searched, are changed under the lock, as VACUUM does it.
    unsafe {
        let lock = &raw mut (*pg_sys::MainLWLockArray.add(PROC_ARRAY_LOCK)).lock;
        pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
        #[cfg(not(feature = "pg13"))]
        {
            let process = pg_sys::MyProc;
            (*process).statusFlags = with((*process).statusFlags, yielding);
            let copies = (*pg_sys::ProcGlobal).statusFlags;
            *copies.add((*process).pgxactoff as usize) = (*process).statusFlags;
        }
        #[cfg(feature = "pg13")]
        {
            let process = pg_sys::MyPgXact;
            (*process).vacuumFlags = with((*process).vacuumFlags, yielding);
        }
        pg_sys::LWLockRelease(lock);
    }
}

fn with(flags: u8, yielding: bool) -> u8 {
    let flag = pg_sys::PROC_IS_AUTOVACUUM as u8;
    if yielding { flags | flag } else { flags & !flag }
}
