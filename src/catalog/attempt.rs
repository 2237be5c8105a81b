//! Writing that may fail without ending the transaction it is part of.

use std::ffi::c_int;
use std::time::Duration;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiResult};

use super::{as_owner, as_role};

/// Does the work as the owner, all of it, or nothing and says why not.
pub fn attempt(work: impl FnOnce(&mut SpiClient<'_>) -> SpiResult<()>) -> Result<(), String> {
    in_savepoint(|| as_owner(work)).map_err(Undone::reason)
}

/// The same as a role.
pub fn attempt_as<R>(
    role: pg_sys::Oid,
    work: impl FnOnce(&mut SpiClient<'_>) -> SpiResult<R>,
) -> Result<R, String> {
    in_savepoint(|| as_role(role, work)).map_err(Undone::reason)
}

unsafe extern "C-unwind" {
    /// Has the statement cancelled after so many milliseconds.
    fn enable_timeout_after(timeout: c_int, milliseconds: c_int);
    /// Whether that has yet to happen.
    fn get_timeout_active(timeout: c_int) -> bool;
    fn disable_timeout(timeout: c_int, keep_indicator: bool);
}

/// The place of statement_timeout among PostgreSQL's timeouts, in all versions. Nothing but a session
/// uses it otherwise.
const STATEMENT_TIMEOUT: c_int = 3;

/// The same in a worker, where it may take so long, whatever it does.
pub fn attempt_within<R>(
    time: Duration,
    role: pg_sys::Oid,
    work: impl FnOnce(&mut SpiClient<'_>) -> SpiResult<R>,
) -> Result<R, String> {
    const TOO_LONG: &str = "it took too long";
    let milliseconds = c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX);
    if milliseconds == 0 {
        return Err(TOO_LONG.to_owned());
    }
    // SAFETY: timeouts were set up when the process was connected, as signals' handlers were; this one
    // is over before anything else can use it.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| enable_timeout_after(STATEMENT_TIMEOUT, milliseconds))
    };
    let done = in_savepoint(|| as_role(role, work));
    // SAFETY: as above. A flag that signals' handlers set, hence volatile.
    let is_over = unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            let is_over = !get_timeout_active(STATEMENT_TIMEOUT);
            disable_timeout(STATEMENT_TIMEOUT, false);
            if is_over {
                // It may have come too late for what it was meant for.
                std::ptr::write_volatile(&raw mut pg_sys::QueryCancelPending, 0);
            }
            is_over
        })
    };
    done.map_err(|undone| match is_over && undone.is_cancellation() {
        true => TOO_LONG.to_owned(),
        false => undone.reason(),
    })
}

fn in_savepoint<R>(work: impl FnOnce() -> SpiResult<R>) -> Result<R, Undone> {
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
        done
    }
}

enum Undone {
    Spi(pgrx::spi::Error),
    Postgres(Box<CaughtError>),
}

impl Undone {
    fn is_cancellation(&self) -> bool {
        let Undone::Postgres(error) = self else { return false };
        report_of(error).sql_error_code() == PgSqlErrorCode::ERRCODE_QUERY_CANCELED
    }

    /// Why; but a cancelled statement is to end, not to go on without its log.
    fn reason(self) -> String {
        let is_cancellation = self.is_cancellation();
        match self {
            Undone::Spi(error) => error.to_string(),
            Undone::Postgres(error) if is_cancellation => error.rethrow(),
            Undone::Postgres(error) => report_of(&error).message().to_owned(),
        }
    }
}

fn report_of(error: &CaughtError) -> &ErrorReportWithLevel {
    match error {
        CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. } => report,
    }
}
