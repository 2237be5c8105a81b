//! The watch over running JavaScript: QuickJS polls it, and it answers whether to stop.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::host::Host;

/// Why running JavaScript was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The call's time was up.
    Deadline,
    /// The host asked for it.
    Host,
}

pub(crate) struct Watch {
    host: Rc<dyn Host>,
    deadline: Cell<Option<Instant>>,
    stopped: Cell<Option<Stop>>,
    calls: Cell<u64>,
}

impl Watch {
    pub(crate) fn new(host: Rc<dyn Host>) -> Rc<Self> {
        Rc::new(Watch {
            host,
            deadline: Cell::new(None),
            stopped: Cell::new(None),
            calls: Cell::new(0),
        })
    }

    /// Between calls nothing is to be stopped.
    pub(crate) fn disarm(&self) {
        self.deadline.set(None);
        self.stopped.set(None);
    }

    /// Starts the time of one call.
    pub(crate) fn arm(&self, begin: Instant, time: Duration) {
        self.rearm(begin, time);
        self.calls.set(self.calls.get() + 1);
    }

    /// Starts the time of one call's next part.
    pub(crate) fn rearm(&self, begin: Instant, time: Duration) {
        self.deadline.set(begin.checked_add(time));
        self.stopped.set(None);
    }

    /// How many calls there were; names the running one.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// Once true it stays true until the next [`arm`](Self::arm): code that catches its way out of
    /// one interrupt runs into the next.
    pub(crate) fn must_stop(&self) -> bool {
        if self.stopped.get().is_some() {
            return true;
        }
        let stop = if self.host.interrupted() {
            Some(Stop::Host)
        } else if self.deadline.get().is_some_and(|deadline| Instant::now() >= deadline) {
            Some(Stop::Deadline)
        } else {
            None
        };
        self.stopped.set(stop);
        stop.is_some()
    }

    /// When the running call has to stop.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.get()
    }

    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.stopped.get()
    }
}
