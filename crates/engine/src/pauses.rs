//! Configs that are not called for a while: they could not be loaded, or used up a limit several
//! times in a row. Otherwise a broken plugin would hold up every event for the whole time limit.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::failure::{Failure, FailureKind};

/// How often in a row a config may run into a limit: once may be the machine, twice a bad event.
const STRIKES: u32 = 3;

/// PostHog's first wait before it sets a plugin up again; doubled each time.
const FIRST: Duration = Duration::from_secs(5);

/// Long enough to cost nothing, short enough that what was broken outside heals by itself.
const LONGEST: Duration = Duration::from_secs(300);

#[derive(Default)]
pub(crate) struct Pauses(HashMap<i32, Record>);

/// A config's recent failures.
#[derive(Default)]
struct Record {
    strikes: u32,
    pause: Option<Pause>,
}

struct Pause {
    length: Duration,
    until: Option<Instant>,
    failure: Failure,
}

impl Pauses {
    /// What the config fails with while it is not called.
    pub(crate) fn running(&self, id: i32) -> Option<&Failure> {
        let pause = self.0.get(&id)?.pause.as_ref()?;
        let over = pause.until.is_some_and(|until| Instant::now() >= until);
        (!over).then_some(&pause.failure)
    }

    /// The config was called and did well, or is not what it was.
    pub(crate) fn forget(&mut self, id: i32) {
        self.0.remove(&id);
    }

    /// Counts a call that ran into a limit.
    pub(crate) fn strike(&mut self, id: i32, failure: &Failure) {
        let record = self.0.entry(id).or_default();
        record.strikes += 1;
        if record.strikes >= STRIKES {
            let message = format!(
                "not called for a while, because {} calls failed: {failure}",
                record.strikes
            );
            record.pause(Failure::new(FailureKind::Suspended, message));
        }
    }

    /// The config could not be loaded.
    pub(crate) fn begin(&mut self, id: i32, failure: &Failure) {
        self.0.entry(id).or_default().pause(failure.clone());
    }
}

impl Record {
    fn pause(&mut self, failure: Failure) {
        let length = self.pause.as_ref().map_or(FIRST, |last| (last.length * 2).min(LONGEST));
        let until = Instant::now().checked_add(length);
        self.pause = Some(Pause { length, until, failure });
    }
}
