//! PostgreSQL as the engine sees it: it may be interrupted, and it takes log lines.

use std::cell::{Cell, RefCell};

use engine::{Host, LogLine};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use crate::journal;

/// An error of PostgreSQL's that came up while JavaScript was on the stack. It waits until that has
/// unwound.
#[derive(Default)]
pub struct PgHost {
    interrupted: Cell<bool>,
    error: RefCell<Option<CaughtError>>,
}

impl PgHost {
    /// Goes on with the error that stopped JavaScript, if one did.
    pub fn rethrow(&self) {
        self.interrupted.set(false);
        if let Some(error) = self.error.take() {
            error.rethrow();
        }
    }
}

impl Host for PgHost {
    fn interrupted(&self) -> bool {
        if self.interrupted.get() {
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
        self.interrupted.set(caught.is_some());
        self.error.replace(caught);
        self.interrupted.get()
    }

    fn log(&self, line: LogLine<'_>) {
        journal::console(line);
    }
}
