//! A limit of time for what others have written, as statement_timeout is for sessions: their triggers
//! run in the worker, which has more to do.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgrx::pg_sys;

/// Beyond PostgreSQL's own reasons for a time-out, in all versions: it looks for the next that is free.
const ANY_FREE: c_int = c_int::MAX;

unsafe extern "C-unwind" {
    fn RegisterTimeout(id: c_int, handler: extern "C-unwind" fn()) -> c_int;
    #[cfg(any(feature = "pg13", feature = "pg14"))]
    fn enable_timeout_after(id: c_int, milliseconds: c_int);
    #[cfg(not(any(feature = "pg13", feature = "pg14")))]
    fn enable_timeout_every(id: c_int, first: pg_sys::TimestampTz, milliseconds: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// A time that work may take.
pub struct TimeLimit {
    longest: Duration,
    is_exceeded: Cell<bool>,
}

impl TimeLimit {
    pub fn new(longest: Duration) -> TimeLimit {
        TimeLimit { longest, is_exceeded: Cell::new(false) }
    }

    /// Does the work, which ends with an error as if cancelled when it takes longer; and, from PostgreSQL 15
    /// on, again and again: a function may catch the first one and go on.
    pub fn hold<R>(&self, work: impl FnOnce() -> R) -> R {
        let _running = Running { reason: begin(self.longest), is_exceeded: &self.is_exceeded };
        work()
    }

    /// Whether the work was told to end.
    pub fn is_exceeded(&self) -> bool {
        self.is_exceeded.get()
    }
}

/// Set by the handler, which is all that can tell this time-out from somebody's cancelling.
static IS_EXCEEDED: AtomicBool = AtomicBool::new(false);

/// Called in a handler of SIGALRM, which has set the latch.
extern "C-unwind" fn exceeded() {
    IS_EXCEEDED.store(true, Ordering::Relaxed);
    // SAFETY: flags for signal handlers to set.
    unsafe {
        std::ptr::write_volatile(&raw mut pg_sys::QueryCancelPending, 1);
        std::ptr::write_volatile(&raw mut pg_sys::InterruptPending, 1);
    }
}

/// Begins a time-out, of the reason that it returns.
fn begin(longest: Duration) -> c_int {
    static REASON: OnceLock<c_int> = OnceLock::new();
    let milliseconds = c_int::try_from(longest.as_millis()).unwrap_or(c_int::MAX).max(1);
    IS_EXCEEDED.store(false, Ordering::Relaxed);
    // SAFETY: a process that is connected to a database can have time-outs, some of its own, too.
    unsafe {
        let reason = *REASON.get_or_init(|| {
            pg_sys::ffi::pg_guard_ffi_boundary(|| RegisterTimeout(ANY_FREE, exceeded))
        });
        #[cfg(any(feature = "pg13", feature = "pg14"))]
        pg_sys::ffi::pg_guard_ffi_boundary(|| enable_timeout_after(reason, milliseconds));
        #[cfg(not(any(feature = "pg13", feature = "pg14")))]
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            let first = pg_sys::GetCurrentTimestamp() + i64::from(milliseconds) * 1000;
            enable_timeout_every(reason, first, milliseconds);
        });
        reason
    }
}

struct Running<'limit> {
    reason: c_int,
    is_exceeded: &'limit Cell<bool>,
}

impl Drop for Running<'_> {
    /// Also on the way of an error.
    fn drop(&mut self) {
        // SAFETY: registered.
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| disable_timeout(self.reason, false));
        }
        if IS_EXCEEDED.load(Ordering::Relaxed) {
            self.is_exceeded.set(true);
            // SAFETY: a flag. What came too late for this work is not for what comes next.
            unsafe { std::ptr::write_volatile(&raw mut pg_sys::QueryCancelPending, 0) };
        }
    }
}
