//! PostgreSQL as the engine sees it: it may be interrupted, it takes log lines, and it keeps what
//! plugins store.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use engine::store::{Operation, Refusal, Reply};
use engine::{Answer, Cause, Host, LogLine, Metric, Program, Request, Task};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use crate::network::Network;
use crate::{cause, geoip, journal, metrics, store};

/// What may end running JavaScript from outside. An error of PostgreSQL's that comes up while
/// JavaScript is on the stack waits here until that has unwound.
#[derive(Default)]
pub struct Interrupts {
    pending: Cell<bool>,
    error: RefCell<Option<CaughtError>>,
}

impl Interrupts {
    /// Whether JavaScript has to stop.
    pub fn are_pending(&self) -> bool {
        if self.pending.get() {
            return true;
        }
        // SAFETY: a flag that signal handlers set, hence volatile.
        if unsafe { std::ptr::read_volatile(&raw const pg_sys::InterruptPending) } == 0 {
            return false;
        }
        // Not only cancel and terminate are pending here, but also what every backend has to answer
        // to, such as barriers and recovery conflicts. An ERROR becomes a value; a FATAL ends the
        // process from here.
        let caught = PgTryBuilder::new(|| {
            // SAFETY: may be called wherever interrupts are not held off, and answers for itself.
            unsafe { pg_sys::ProcessInterrupts() };
            None
        })
        .catch_others(Some)
        .execute();
        self.pending.set(caught.is_some());
        self.error.replace(caught);
        self.pending.get()
    }

    /// Waits until then, or until JavaScript has to stop. Whatever interrupts a backend sets its
    /// latch: signals as well as time-outs.
    pub fn sleep(&self, until: Instant) {
        while !self.are_pending() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let caught = PgTryBuilder::new(|| {
                nap(left);
                None
            })
            .catch_others(Some)
            .execute();
            if caught.is_some() {
                self.pending.set(true);
                self.error.replace(caught);
            }
        }
    }

    /// Does work of PostgreSQL's while JavaScript is on the stack. An error of it stops JavaScript;
    /// after one nothing more is done.
    pub fn shield<T>(&self, work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
        let stopped = || Err(Refusal::new("57014", "interrupted"));
        if self.pending.get() {
            return stopped();
        }
        // SAFETY: the context of whoever called, which outlives the call.
        let context = unsafe { pg_sys::CurrentMemoryContext };
        let done = PgTryBuilder::new(std::panic::AssertUnwindSafe(|| Ok(work())))
            .catch_others(|error| Err(Box::new(error)))
            .execute();
        done.unwrap_or_else(|error| {
            // SAFETY: as above; an error may leave another one behind.
            unsafe { pg_sys::MemoryContextSwitchTo(context) };
            self.error.replace(Some(*error));
            self.pending.set(true);
            stopped()
        })
    }

    /// Goes on with the error that stopped JavaScript, if one did.
    pub fn rethrow(&self) {
        self.pending.set(false);
        if let Some(error) = self.error.take() {
            error.rethrow();
        }
    }

    /// The same where no statement waits for JavaScript: whoever has it cancelled wants nothing more.
    pub fn rethrow_unless_cancelled(&self) {
        self.pending.set(false);
        let Some(error) = self.error.take() else { return };
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = &error;
        if report.sql_error_code() != PgSqlErrorCode::ERRCODE_QUERY_CANCELED {
            error.rethrow();
        }
        ereport!(
            PgLogLevel::WARNING,
            PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
            "posthog_plugins ended what a plugin was doing: it is cancelled"
        );
    }
}

/// Waits for the backend's latch, and no longer than that.
fn nap(longest: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // Rounded up: a wait of nothing would be repeated until the time has come.
    let milliseconds = longest.as_millis().saturating_add(1);
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX).min(LONGEST_NAP);
    // SAFETY: every backend has a latch, from before it runs its first statement until it ends.
    unsafe {
        let latch = pg_sys::MyLatch;
        pg_sys::WaitLatch(latch, events as i32, milliseconds, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(latch);
    }
}

/// WaitLatch takes milliseconds up to what an int holds; longer waits go on after it.
const LONGEST_NAP: i64 = i32::MAX as i64;

/// The host of the plugins that run on events.
#[derive(Default)]
pub struct PgHost {
    interrupts: Interrupts,
    pub network: Network,
    /// The team of the event that a plugin is running on.
    pub team: Cell<Option<i32>>,
}

impl PgHost {
    /// As [`Interrupts::shield`].
    pub fn shield<T>(&self, work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.interrupts.shield(work)
    }

    /// As [`Interrupts::rethrow`].
    pub fn rethrow(&self) {
        self.interrupts.rethrow();
    }
}

impl Host for PgHost {
    fn interrupted(&self) -> bool {
        self.interrupts.are_pending()
    }

    fn log(&self, line: LogLine<'_>) {
        journal::console(line);
    }

    fn sleep(&self, until: Instant) {
        self.interrupts.sleep(until);
    }

    fn send(&self, program: i32, request: Request) -> Result<u64, String> {
        self.network.send(program, request)
    }

    fn next_answer(&self, until: Option<Instant>) -> Option<Answer> {
        self.network.next(until, &|| self.interrupts.are_pending())
    }

    fn cancel(&self, request: u64) {
        self.network.cancel(request);
    }

    fn store(&self, program: &Program, operation: Operation) -> Result<Reply, Refusal> {
        self.interrupts.shield(|| store::perform(program, operation))
    }

    fn leave(&self, program: &Program, task: Task, _: Cause) -> Result<(), Refusal> {
        let cause = Cause { depth: cause::depth(), team: self.team.get() };
        self.interrupts.shield(|| store::leave(program, task, cause))
    }

    fn measure(&self, program: &Program, metric: &Metric, value: f64) {
        metrics::measure(program.id, metric, value);
    }

    fn locate(&self, address: &str) -> Result<Option<String>, Refusal> {
        geoip::locate(address)
    }
}
