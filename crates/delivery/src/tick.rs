//! Whether a task that runs at regular times is to run now. Each of the times is a tick; which ones there
//! are is a matter of clocks and calendars, and somebody else's.

/// Microseconds, since whenever.
pub type Time = i64;

const SECOND: Time = 1_000_000;

/// What comes later than that is missed. A busy worker is seconds late, and so is one that was started
/// again; a server that was away for the night does not begin its day with what the night was for.
const LATEST: Time = 30 * SECOND;

/// A clock that is put back by more than that was wrong before. Its ticks would not come for as long.
const WRONG_BY: Time = 24 * 60 * 60 * SECOND;

/// What the clock and the calendar say of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Up to here, ticks are done with.
    pub last: Time,
    pub now: Time,
    /// The tick of the minute, the hour or the day that it is. Where a clock that is put back makes it
    /// midnight twice, that can be the second one, which has yet to come.
    pub current: Time,
    pub following: Time,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    NotYet,
    /// The task has its time, before which it missed so many.
    Now {
        missed: i64,
    },
    /// It missed so many.
    TooLate {
        missed: i64,
    },
}

impl Tick {
    pub fn due(&self) -> Due {
        let is_done = self.current <= self.last && self.last - self.current <= WRONG_BY;
        if is_done || self.current > self.now {
            return Due::NotYet;
        }
        let before = self.ticks_before();
        match self.now - self.current <= LATEST {
            true => Due::Now { missed: before },
            false => Due::TooLate { missed: before + 1 },
        }
    }

    /// When to look again.
    pub fn next(&self) -> Time {
        if self.current > self.now { self.current } else { self.following }
    }

    /// About how many came since the last one and before this one: not all days are equally long.
    fn ticks_before(&self) -> i64 {
        let (passed, period) = (self.current - self.last, (self.following - self.current).max(1));
        // A tick that is less than half a period after the last one is none of them.
        ((passed + period / 2) / period - 1).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Time = 60 * SECOND;

    fn tick(last: Time, now: Time) -> Tick {
        let current = now.div_euclid(MINUTE) * MINUTE;
        Tick { last, now, current, following: current + MINUTE }
    }

    #[test]
    fn a_tick_is_due_once() {
        let on_time = tick(0, MINUTE);
        assert_eq!(on_time.due(), Due::Now { missed: 0 });
        assert_eq!(on_time.next(), 2 * MINUTE);
        assert_eq!(tick(MINUTE, MINUTE).due(), Due::NotYet);
        assert_eq!(tick(MINUTE, 2 * MINUTE - 1).due(), Due::NotYet);
        assert_eq!(tick(MINUTE, 2 * MINUTE).due(), Due::Now { missed: 0 });
    }

    #[test]
    fn a_task_that_is_enabled_within_a_minute_waits_for_the_next() {
        let enabled = 20 * SECOND;
        assert_eq!(tick(enabled, enabled + 1).due(), Due::NotYet);
        assert_eq!(tick(enabled, MINUTE).due(), Due::Now { missed: 0 });
    }

    #[test]
    fn what_was_missed_is_counted_and_not_made_up() {
        assert_eq!(tick(0, 5 * MINUTE).due(), Due::Now { missed: 4 });
        assert_eq!(tick(0, 5 * MINUTE + LATEST).due(), Due::Now { missed: 4 });
        assert_eq!(tick(0, 5 * MINUTE + LATEST + 1).due(), Due::TooLate { missed: 5 });
    }

    #[test]
    fn a_clock_that_is_put_back_repeats_nothing_unless_it_was_wrong_by_far() {
        let last = 10_000 * MINUTE;
        assert_eq!(tick(last, last - 10 * MINUTE).due(), Due::NotYet);
        assert_eq!(tick(last, last - WRONG_BY).due(), Due::NotYet);
        assert_eq!(tick(last, last - WRONG_BY - MINUTE).due(), Due::Now { missed: 0 });
    }

    #[test]
    fn a_midnight_that_comes_twice_is_due_the_second_time() {
        let (last, now) = (0, 1440 * MINUTE);
        let first = Tick { last, now, current: now + 60 * MINUTE, following: now + 1500 * MINUTE };
        assert_eq!((first.due(), first.next()), (Due::NotYet, first.current));
        let second = Tick { now: first.current, ..first };
        assert_eq!((second.due(), second.next()), (Due::Now { missed: 0 }, first.following));
    }

    #[test]
    fn whenever_one_looks_no_tick_is_due_twice_and_none_is_lost() {
        // A worker that looks at odd times, for up to some minutes not at all.
        let (mut last, mut now, mut state) = (0, 0, 1_u64);
        let (mut run, mut missed) = (0, 0);
        for _ in 0..10_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now += (state >> 33) as Time % (4 * MINUTE);
            let tick = tick(last, now);
            match tick.due() {
                Due::NotYet => continue,
                Due::Now { missed: before } => (run, missed) = (run + 1, missed + before),
                Due::TooLate { missed: before } => missed += before,
            }
            assert!(tick.current > last && tick.current <= now && tick.next() > now);
            last = tick.current;
        }
        assert_eq!(run + missed, last / MINUTE);
    }
}
