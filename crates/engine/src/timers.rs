//! The timers of the running call, in the order in which they ring. They ring until the call's
//! promise is settled; what is left then is dropped, so that an interval keeps no call alive.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rquickjs::{Function, Persistent};

use crate::machine::{Course, Of};

pub(crate) type Callback = Persistent<Function<'static>>;

/// Whose timer it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `setTimeout` and its like.
    Plugin,
    /// The time limit of a request, which holds for as long as the request waits.
    Limit,
}

pub(crate) struct Timers {
    course: Rc<Cell<Course>>,
    /// By when they ring, and those of one moment by when they were set.
    waiting: RefCell<BTreeMap<(Instant, u64), Timer>>,
    times: RefCell<HashMap<u64, Instant>>,
    last: Cell<u64>,
    /// Whether plugins' timers still ring.
    open: Cell<bool>,
}

struct Timer {
    purpose: Purpose,
    ring: Callback,
    course: Course,
}

impl Timers {
    pub(crate) fn new(course: Rc<Cell<Course>>) -> Self {
        Timers {
            course,
            waiting: RefCell::default(),
            times: RefCell::default(),
            last: Cell::default(),
            open: Cell::default(),
        }
    }

    /// A call begins.
    pub(crate) fn open(&self) {
        self.open.set(true);
    }

    /// The call's promise is settled: plugins' timers ring no more.
    pub(crate) fn close(&self) {
        self.open.set(false);
        if self.waiting.borrow().is_empty() {
            return; // As after nearly every call.
        }
        let (dropped, kept) = self
            .waiting
            .take()
            .into_iter()
            .partition(|(_, timer)| timer.purpose == Purpose::Plugin);
        self.waiting.replace(kept);
        let dropped: BTreeMap<(Instant, u64), Timer> = dropped;
        for (_, number) in dropped.keys() {
            self.times.borrow_mut().remove(number);
        }
    }

    /// Sets a timer, anew if it has a number already.
    pub(crate) fn set(
        &self,
        purpose: Purpose,
        number: Option<u64>,
        milliseconds: f64,
        ring: Callback,
    ) -> u64 {
        let number = number.unwrap_or_else(|| {
            self.last.set(self.last.get() + 1);
            self.last.get()
        });
        self.clear(number);
        if purpose == Purpose::Limit || self.open.get() {
            // One that is beyond what a clock can say never rings.
            let delay = Duration::try_from_secs_f64(milliseconds / 1000.0).ok();
            if let Some(at) = delay.and_then(|delay| Instant::now().checked_add(delay)) {
                self.times.borrow_mut().insert(number, at);
                // What rings later may be shared by calls that have time left.
                let course = match self.course.get() {
                    course if course.of == Of::Over => course.of(Of::Any),
                    course => course,
                };
                let timer = Timer { purpose, ring, course };
                self.waiting.borrow_mut().insert((at, number), timer);
            }
        }
        number
    }

    pub(crate) fn clear(&self, number: u64) {
        let at = self.times.borrow_mut().remove(&number);
        let timer = at.and_then(|at| self.waiting.borrow_mut().remove(&(at, number)));
        // May be the last reference, with whatever ends along with it.
        drop(timer);
    }

    /// Forgets all of them.
    pub(crate) fn abandon(&self) {
        if !self.waiting.borrow().is_empty() {
            self.times.take();
            drop(self.waiting.take());
        }
    }

    /// Whether a plugin may be waiting for one.
    pub(crate) fn are_waited_for(&self) -> bool {
        self.open.get() && !self.waiting.borrow().is_empty()
    }

    /// When the next one rings.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.borrow().keys().next().map(|(at, _)| *at)
    }

    /// Takes the next one if it is time by `now`, and says in whose course it was set.
    pub(crate) fn due(&self, now: Instant) -> Option<(Callback, Course)> {
        if self.next()? > now {
            return None;
        }
        let ((_, number), timer) = self.waiting.borrow_mut().pop_first()?;
        self.times.borrow_mut().remove(&number);
        Some((timer.ring, timer.course))
    }
}
