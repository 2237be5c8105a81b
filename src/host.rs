//! PostgreSQL as the engine sees it: it may be interrupted, and it takes log lines.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use engine::{Answer, Host, LogLine, Request};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use crate::journal;
use crate::network::Network;

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
    pub network: Network,
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

    fn send(&self, program: i32, request: Request) -> Result<u64, String> {
        self.network.send(program, request)
    }

    fn next_answer(&self, until: Option<Instant>) -> Option<Answer> {
        self.network.next(until, &|| self.interrupts.are_pending())
    }

    fn cancel(&self, request: u64) {
        self.network.cancel(request);
    }
}
