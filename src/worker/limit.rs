//! A limit of time for what others have written, as statement_timeout is for sessions: their triggers
//! run in the worker, which has more to do.

use std::ffi::c_int;
use std::time::Duration;

use pgrx::pg_sys;

/// Among PostgreSQL's reasons for a time-out, in all versions.
const STATEMENT_TIMEOUT: c_int = 3;

unsafe extern "C-unwind" {
    #[cfg(any(feature = "pg13", feature = "pg14"))]
    fn enable_timeout_after(id: c_int, milliseconds: c_int);
    #[cfg(not(any(feature = "pg13", feature = "pg14")))]
    fn enable_timeout_every(id: c_int, first: pg_sys::TimestampTz, milliseconds: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// Does the work, which ends with an error as of statement_timeout when it takes longer than that; and,
/// from PostgreSQL 15 on, again and again: a function may catch the first one and go on.
pub fn in_time<R>(limit: Duration, work: impl FnOnce() -> R) -> R {
    let milliseconds = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: every process that is connected to a database has registered this one.
    unsafe {
        #[cfg(any(feature = "pg13", feature = "pg14"))]
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            enable_timeout_after(STATEMENT_TIMEOUT, milliseconds);
        });
        #[cfg(not(any(feature = "pg13", feature = "pg14")))]
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            let first = pg_sys::GetCurrentTimestamp() + i64::from(milliseconds) * 1000;
            enable_timeout_every(STATEMENT_TIMEOUT, first, milliseconds);
        });
    }
    let _limited = Limited;
    work()
}

/// Also on the way of an error.
struct Limited;

impl Drop for Limited {
    fn drop(&mut self) {
        // SAFETY: as above. One that came too late for this work is not for what comes next.
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| disable_timeout(STATEMENT_TIMEOUT, false));
            std::ptr::write_volatile(&raw mut pg_sys::QueryCancelPending, 0);
        }
    }
}
