//! What each config has done: counted in memory while events pass, without an allocation or a look
//! at a table, and read from there by whoever writes it down.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use engine::{FailureKind, Outcome, Verdict};
use pgrx::datum::TimestampWithTimeZone;

/// The calls of one config that this session has not written yet.
#[derive(Default)]
pub struct Tally {
    events: Cell<i64>,
    changed: Cell<i64>,
    dropped: Cell<i64>,
    failed: Cell<i64>,
    nanoseconds: Cell<i64>,
    longest: Cell<i64>,
    since: Cell<Option<TimestampWithTimeZone>>,
    last_error: RefCell<Option<(TimestampWithTimeZone, String)>>,
}

/// A tally as it is written down.
pub struct Count {
    pub config_id: i32,
    pub since: TimestampWithTimeZone,
    pub events: i64,
    pub changed: i64,
    pub dropped: i64,
    pub failed: i64,
    pub nanoseconds: i64,
    pub longest: i64,
    pub last_error: Option<(TimestampWithTimeZone, String)>,
}

thread_local! {
    static TALLIES: RefCell<HashMap<i32, Rc<Tally>>> = RefCell::default();
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// The tally of a config, the same one for as long as the session lasts.
pub fn of(config_id: i32) -> Rc<Tally> {
    TALLIES.with_borrow_mut(|tallies| tallies.entry(config_id).or_default().clone())
}

/// Whether anything was counted since the last [`clear`].
pub fn is_any() -> bool {
    COUNTED.get()
}

/// What was counted since the last [`clear`].
pub fn counted() -> Vec<Count> {
    TALLIES.with_borrow(|tallies| {
        tallies.iter().filter_map(|(config_id, tally)| tally.count(*config_id)).collect()
    })
}

/// What was counted is written, or not wanted.
pub fn clear() {
    COUNTED.set(false);
    TALLIES.with_borrow_mut(|tallies| {
        // Tallies of configs that have left the chain.
        tallies.retain(|_, tally| Rc::strong_count(tally) > 1);
        tallies.values().for_each(|tally| tally.clear());
    });
}

/// What was counted for one config is not wanted.
pub fn clear_one(config_id: i32) {
    TALLIES.with_borrow(|tallies| {
        if let Some(tally) = tallies.get(&config_id) {
            tally.clear();
        }
    });
}

impl Tally {
    /// Counts a call. A plugin without a `processEvent` was not called.
    pub fn note(&self, outcome: &Outcome, time: Duration) {
        if !outcome.ran {
            return;
        }
        if self.since.get().is_none() {
            self.since.set(Some(pgrx::datum::clock_timestamp()));
            COUNTED.set(true);
        }
        // 2^63 nanoseconds are 292 years.
        let nanoseconds = time.as_nanos() as i64;
        let add = |counter: &Cell<i64>, amount| counter.set(counter.get() + amount);
        add(&self.events, 1);
        add(&self.nanoseconds, nanoseconds);
        self.longest.set(self.longest.get().max(nanoseconds));
        match &outcome.failure {
            // PostgreSQL ended the call. It took its time, and is nobody's fault.
            Some(failure) if failure.kind == FailureKind::Interrupted => {}
            Some(failure) => {
                add(&self.failed, 1);
                // That it is paused would hide why.
                if failure.kind != FailureKind::Suspended {
                    let error = (pgrx::datum::clock_timestamp(), failure.message.clone());
                    self.last_error.replace(Some(error));
                }
            }
            None => match outcome.verdict {
                Verdict::Unchanged => {}
                Verdict::Changed(_) | Verdict::Patched(_) => add(&self.changed, 1),
                Verdict::Discarded => add(&self.dropped, 1),
            },
        }
    }

    fn count(&self, config_id: i32) -> Option<Count> {
        Some(Count {
            config_id,
            since: self.since.get()?,
            events: self.events.get(),
            changed: self.changed.get(),
            dropped: self.dropped.get(),
            failed: self.failed.get(),
            nanoseconds: self.nanoseconds.get(),
            longest: self.longest.get(),
            last_error: self.last_error.borrow().clone(),
        })
    }

    fn clear(&self) {
        self.since.set(None);
        for counter in [
            &self.events,
            &self.changed,
            &self.dropped,
            &self.failed,
            &self.nanoseconds,
            &self.longest,
        ] {
            counter.set(0);
        }
        self.last_error.replace(None);
    }
}

/// Times one call after the other with one look at the clock between two of them, as each look
/// costs some 30 nanoseconds.
pub struct Stopwatch {
    last: Instant,
}

impl Stopwatch {
    pub fn start() -> Self {
        Stopwatch { last: Instant::now() }
    }

    /// When the last lap ended.
    pub fn last(&self) -> Instant {
        self.last
    }

    /// The time since the last lap.
    pub fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.last, now)
    }

    /// What was done since the last lap is nobody's.
    pub fn skip(&mut self) {
        self.last = Instant::now();
    }
}
