//! The circuit breaker of a config: when too many of its calls fail, none is made for a while; then
//! one call decides whether it goes on.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use engine::{Failure, FailureKind, Outcome};

use crate::catalog::links::StoredPause;
use crate::settings;

/// The window moves on by a tenth of its length at a time.
const SLOTS: usize = 10;

/// One failure of one call is not a rate.
const FEWEST_CALLS: u32 = 10;

/// A config's recent calls in this session, and its pause.
pub struct Breaker {
    born: Instant,
    slots: RefCell<[Slot; SLOTS]>,
    pause: RefCell<Option<Pause>>,
    /// A pause is over, and the call that decides is being made.
    trying: Cell<bool>,
}

/// Calls of a tenth of the window.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// Which tenth since the breaker was made.
    number: u64,
    calls: u32,
    failures: u32,
}

pub struct Pause {
    pub until: Instant,
    pub reason: String,
}

impl Pause {
    pub fn from_stored(stored: StoredPause) -> Option<Self> {
        let length = Duration::try_from_secs_f64(stored.seconds).ok()?;
        Some(Pause { until: Instant::now().checked_add(length)?, reason: stored.reason })
    }
}

impl Breaker {
    pub fn new() -> Self {
        Breaker {
            born: Instant::now(),
            slots: RefCell::default(),
            pause: RefCell::default(),
            trying: Cell::new(false),
        }
    }

    /// What a call fails with without being made, while the config is paused.
    pub fn refusal(&self, now: Instant) -> Option<Failure> {
        let pause = self.pause.borrow();
        let pause = pause.as_ref()?;
        if now >= pause.until {
            self.trying.set(true);
            return None;
        }
        let message = format!("paused: {}", pause.reason);
        Some(Failure { kind: FailureKind::Suspended, message, stack: None, retriable: true })
    }

    /// Counts a call that was made. Returns the reason for the pause that begins with it.
    pub fn note(&self, outcome: &Outcome, now: Instant) -> Option<String> {
        let trying = self.trying.take();
        let Some(rate) = settings::pause_failure_rate() else {
            if trying {
                self.resume();
            }
            return None;
        };
        if !outcome.ran {
            return None;
        }
        let reason = match &outcome.failure {
            Some(failure) if failure.kind == FailureKind::Interrupted => return None,
            Some(failure) if trying => Some(format!("it still fails: {failure}")),
            Some(failure) => self.count(now, true).and_then(|(calls, failures)| {
                let seconds = settings::pause_window().as_secs();
                let too_many = calls >= FEWEST_CALLS
                    && u64::from(failures) * 100 >= u64::from(rate) * u64::from(calls);
                too_many.then(|| {
                    format!(
                        "{failures} of {calls} calls failed within {seconds} seconds, the last \
                         with: {failure}"
                    )
                })
            }),
            None => {
                if trying {
                    self.resume();
                }
                self.count(now, false);
                None
            }
        };
        if let Some(reason) = &reason {
            self.slots.take();
            let until = now + settings::pause_duration();
            self.pause.replace(Some(Pause { until, reason: reason.clone() }));
        }
        reason
    }

    /// Takes over what all sessions know of: another session's pause, or that there is none any more.
    pub fn adopt(&self, stored: Option<Pause>) {
        if let Some(pause) = stored {
            self.pause.replace(Some(pause));
        } else if self.pause.borrow().as_ref().is_some_and(|pause| pause.until > Instant::now()) {
            self.resume();
        }
    }

    /// Begins anew.
    pub fn resume(&self) {
        if self.pause.borrow().is_some() {
            self.pause.take();
            self.slots.take();
        }
    }

    /// How many calls of the window there are, and how many of them failed, when this one did.
    fn count(&self, now: Instant, failed: bool) -> Option<(u32, u32)> {
        let width = settings::pause_window().as_millis() as u64 / SLOTS as u64;
        let age = now.saturating_duration_since(self.born).as_millis() as u64;
        let number = age / width.max(1);
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(number as usize % SLOTS)?;
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot.calls += 1;
        slot.failures += u32::from(failed);
        if !failed {
            return None;
        }
        let recent = slots.iter().filter(|slot| {
            (number.saturating_sub(SLOTS as u64 - 1)..=number).contains(&slot.number)
        });
        Some(
            recent.fold((0, 0), |(calls, failures), slot| {
                (calls + slot.calls, failures + slot.failures)
            }),
        )
    }
}
