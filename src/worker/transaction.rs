//! The transactions of a worker. One that fails ends neither the worker nor what it has under way.

use std::ffi::CStr;
use std::panic::AssertUnwindSafe;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;

use super::ending::{self, Ending};
use super::{hold, yielding};
use crate::error::Result;

/// Does the work in a transaction of its own, and shows in `pg_stat_activity` what that is. `None`
/// when it failed: the server's log has why, and nothing is changed.
pub fn transaction<R>(activity: &CStr, work: impl FnOnce() -> Result<R>) -> Option<R> {
    yielding::end();
    // SAFETY: outside of any transaction; the one that is begun here is ended on both ways.
    let done = unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, activity.as_ptr());
        let done = PgTryBuilder::new(AssertUnwindSafe(|| {
            pg_sys::StartTransactionCommand();
            hold_extension();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            let done = work().map_err(Undone::Refused)?;
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
            Ok(done)
        }))
        .catch_others(|error| Err(Undone::Caught(Box::new(error))))
        .execute();
        if done.is_err() {
            pg_sys::AbortCurrentTransaction();
        }
        done
    };
    yielding::begin();
    if !hold::keep() {
        ending::leave(Ending::Failed);
    }
    done.map_err(|undone| undone.report(activity)).ok()
}

/// Whoever drops the extension locks it first, and then its tables in an order of his own: were he to
/// begin while a transaction has some of them, and wants others, neither could go on.
///
/// # Safety
/// A transaction is running.
unsafe fn hold_extension() {
    // SAFETY: by contract; the lock goes with the transaction.
    unsafe {
        let extension = pg_sys::get_extension_oid(c"posthog_plugins".as_ptr(), true);
        if extension != pg_sys::InvalidOid {
            let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            pg_sys::LockDatabaseObject(pg_sys::ExtensionRelationId, extension, 0, lock);
        }
    }
}

enum Undone {
    Refused(crate::error::Error),
    Caught(Box<CaughtError>),
}

impl Undone {
    /// As a warning: the worker goes on.
    fn report(self, activity: &CStr) {
        let (code, message, detail) = match self {
            Undone::Refused(error) => {
                let detail = error.detail();
                (error.code(), error.to_string(), detail)
            }
            Undone::Caught(error) => {
                let (CaughtError::PostgresError(report)
                | CaughtError::ErrorReport(report)
                | CaughtError::RustPanic { ereport: report, .. }) = &*error;
                let detail = report.detail().map(str::to_owned);
                (report.sql_error_code(), report.message().to_owned(), detail)
            }
        };
        let message =
            format!("posthog_plugins failed while {}: {message}", activity.to_string_lossy());
        let mut report = ErrorReport::new(code, message, function_name!());
        if let Some(detail) = detail {
            report = report.set_detail(detail);
        }
        report.report(PgLogLevel::WARNING);
    }
}
