//! PostgreSQL as the engine sees it: it may be interrupted, it takes log lines, and it keeps what
//! plugins store.

use std::cell::{Cell, RefCell};

use engine::store::{Operation, Refusal, Reply};
use engine::{Host, LogLine, Metric, Program, Request, Task};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use crate::{geoip, journal, metrics, store};

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

    /// Does work of PostgreSQL's while JavaScript is on the stack. An error of it stops JavaScript;
    /// after one nothing more is done.
    pub fn shield<T>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
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
}

/// The host of the plugins that run on events.
#[derive(Default)]
pub struct PgHost {
    interrupts: Interrupts,
}

impl PgHost {
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

    fn send(&self, _program: i32, _request: Request) -> Result<u64, String> {
        let refusal = "plugins have no network access while an event is stored; \
                       posthog_plugins.test can answer fetch from its argument responses";
        Err(refusal.to_owned())
    }

    fn store(
        &self,
        program: &Program,
        operation: Operation,
    ) -> Result<Reply, Refusal> {
        self.interrupts.shield(|| store::perform(program, operation))
    }

    fn leave(&self, program: &Program, task: Task) -> Result<(), Refusal> {
        self.interrupts.shield(|| store::leave(program, task))
    }

    fn measure(&self, program: &Program, metric: &Metric, value: f64) {
        metrics::measure(program.id, metric, value);
    }

    fn locate(&self, address: &str) -> Result<Option<String>, Refusal> {
        geoip::locate(address)
    }
}
