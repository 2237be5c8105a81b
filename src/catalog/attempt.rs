//! Writing that may fail without ending the transaction it is part of.

use std::time::Duration;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiResult};

use super::{as_owner, as_role};
use crate::error::Error;
use crate::worker::TimeLimit;

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

/// Why something was not done.
#[derive(Debug)]
pub struct Refused {
    pub code: PgSqlErrorCode,
    pub message: String,
    /// It took longer than it may.
    pub is_overdue: bool,
}

impl Refused {
    /// Whether an error is of the moment: of other transactions, of resources, of locks, of the operator's or
    /// the system's.
    pub fn may_pass(&self) -> bool {
        use PgSqlErrorCode as Code;
        /// What an SQLSTATE has of its class: two characters of six bits.
        const CLASS: i32 = 0xFFF;
        let classes = [
            Code::ERRCODE_CONNECTION_EXCEPTION,
            Code::ERRCODE_TRANSACTION_ROLLBACK,
            Code::ERRCODE_INSUFFICIENT_RESOURCES,
            Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Code::ERRCODE_OPERATOR_INTERVENTION,
            Code::ERRCODE_SYSTEM_ERROR,
        ];
        classes.into_iter().any(|class| class as i32 & CLASS == self.code as i32 & CLASS)
    }
}

/// Does work that is somebody else's to some part, all of it or nothing, in that time at most. What takes
/// longer is undone like all that fails.
pub fn attempt_in_time<R>(
    limit: Duration,
    work: impl FnOnce() -> Result<R, Error>,
) -> Result<R, Refused> {
    let time = TimeLimit::new(limit);
    let done = in_savepoint(|| time.hold(work));
    done.map_err(|undone| undone.refused(Some(limit).filter(|_| time.is_exceeded())))
}

fn in_savepoint<R, E>(work: impl FnOnce() -> Result<R, E>) -> Result<R, Undone<E>> {
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
            done.map_err(Undone::Refused)
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

enum Undone<E> {
    Refused(E),
    Postgres(Box<CaughtError>),
}

impl Undone<pgrx::spi::Error> {
    fn reason(self) -> String {
        match self {
            Undone::Refused(error) => error.to_string(),
            Undone::Postgres(error) => caught(error, None).message,
        }
    }
}

impl Undone<Error> {
    fn refused(self, exceeded: Option<Duration>) -> Refused {
        match self {
            Undone::Refused(error) => {
                Refused { code: error.code(), message: error.to_string(), is_overdue: false }
            }
            Undone::Postgres(error) => caught(error, exceeded),
        }
    }
}

/// Why; but a cancelled statement is to end, not to go on without its log.
fn caught(error: Box<CaughtError>, exceeded: Option<Duration>) -> Refused {
    let (code, mut message) = {
        let report = match &*error {
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic { ereport: report, .. } => report,
        };
        (report.sql_error_code(), report.message().to_owned())
    };
    if code == PgSqlErrorCode::ERRCODE_QUERY_CANCELED {
        match exceeded {
            Some(limit) => message = format!("it took longer than {} s", limit.as_secs()),
            None => error.rethrow(),
        }
    }
    Refused { code, message, is_overdue: exceeded.is_some() }
}
