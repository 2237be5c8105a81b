//! The databases of the server, for a process that is connected to none of them: PostgreSQL's catalog
//! of what they share is all it can read, and not with SQL.

use pgrx::pg_sys;
use pgrx::pg_sys::Oid;

/// A database that was half dropped, as PostgreSQL marks it.
const INVALID: i32 = -2;

/// Those that can be connected to. Not templates: who copies one should not have to wait.
pub fn open() -> Vec<Oid> {
    in_transaction(|| {
        let mut databases = Vec::new();
        // SAFETY: a transaction is running. A row is read before the next one is fetched.
        unsafe {
            let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, lock);
            let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
            loop {
                let row = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
                if row.is_null() {
                    break;
                }
                let row = pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_database>();
                if (*row).datallowconn && !(*row).datistemplate && (*row).datconnlimit != INVALID {
                    databases.push((*row).oid);
                }
            }
            pg_sys::heap_endscan(scan);
            pg_sys::table_close(relation, lock);
        }
        databases
    })
}

/// Whether who connects would have to wait for somebody who drops, renames, moves or copies it.
pub fn is_locked(database: Oid) -> bool {
    in_transaction(|| {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: 0,
            locktag_field2: pg_sys::DatabaseRelationId.to_u32(),
            locktag_field3: database.to_u32(),
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        };
        // The lock that is taken on the way in; this one is gone with the transaction.
        let mode = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
        // SAFETY: a transaction is running, and nothing is waited for.
        let taken = unsafe { pg_sys::LockAcquire(&tag, mode, false, true) };
        taken == pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    })
}

/// An error ends the process, which is started again.
fn in_transaction<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: outside of any transaction.
    unsafe {
        pg_sys::StartTransactionCommand();
        let result = work();
        pg_sys::CommitTransactionCommand();
        result
    }
}
