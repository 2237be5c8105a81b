//! Writing that may fail without ending the transaction it is part of.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiResult};

use super::{as_owner, as_role};

/// Does the work as the owner, all of it, or nothing and says why not.
pub fn attempt(work: impl FnOnce(&mut SpiClient<'_>) -> SpiResult<()>) -> Result<(), String> {
    in_savepoint(|| as_owner(work))
}

/// The same as a role.
pub fn attempt_as<R>(
    role: pg_sys::Oid,
    work: impl FnOnce(&mut SpiClient<'_>) -> SpiResult<R>,
) -> Result<R, String> {
    in_savepoint(|| as_role(role, work))
}

fn in_savepoint<R>(work: impl FnOnce() -> SpiResult<R>) -> Result<R, String> {
    // SAFETY: a transaction is running; the subtransaction is ended on both ways, and the memory
    // context and resource owner that it replaced are put back.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let resources = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        // Before a commit there is no active snapshot.
        let done = PgTryBuilder::new(std::panic::AssertUnwindSafe(|| {
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            let done = work();
            pg_sys::PopActiveSnapshot();
            done.map_err(Undone::Spi)
        }))
        .catch_others(|error| Err(Undone::Postgres(Box::new(error))))
        .execute();
        if done.is_ok() {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = resources;
        done.map_err(Undone::reason)
    }
}

enum Undone {
    Spi(pgrx::spi::Error),
    Postgres(Box<CaughtError>),
}

impl Undone {
    /// Why; but a cancelled statement is to end, not to go on without its log.
    fn reason(self) -> String {
        let error = match self {
            Undone::Spi(error) => return error.to_string(),
            Undone::Postgres(error) => error,
        };
        let report = match &*error {
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic { ereport: report, .. } => report,
        };
        if report.sql_error_code() == PgSqlErrorCode::ERRCODE_QUERY_CANCELED {
            error.rethrow();
        }
        report.message().to_owned()
    }
}
