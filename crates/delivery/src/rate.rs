//! How many events a consumer may be given at a time.

use std::time::{Duration, Instant};

/// Lets through so many in a second, and at most those of one second at once.
#[derive(Debug, Clone)]
pub struct Rate {
    per_second: f64,
    available: f64,
    counted: Instant,
}

impl Rate {
    pub fn new(per_second: f64, now: Instant) -> Self {
        Rate { per_second, available: per_second.max(1.0), counted: now }
    }

    pub fn per_second(&self) -> f64 {
        self.per_second
    }

    /// How many may pass now.
    pub fn available(&mut self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.counted = now;
        // Less than one a second still lets one through in time.
        let most = self.per_second.max(1.0);
        self.available = (self.available + passed * self.per_second).min(most);
        self.available as usize
    }

    /// So many have passed.
    pub fn take(&mut self, events: usize) {
        self.available -= events as f64;
    }

    /// When the next one may.
    pub fn next(&self) -> Instant {
        let missing = (1.0 - self.available).max(0.0);
        self.counted + Duration::try_from_secs_f64(missing / self.per_second).unwrap_or(LONG)
    }
}

/// What is limited to less than one in so long is looked at again.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_pass_as_are_allowed() {
        let begin = Instant::now();
        let mut rate = Rate::new(10.0, begin);
        let mut passed = 0;
        for tenth in 0..100 {
            let available = rate.available(begin + Duration::from_millis(100 * tenth));
            rate.take(available);
            passed += available;
        }
        assert!((108..=110).contains(&passed), "{passed}");
    }

    #[test]
    fn a_pause_does_not_save_up_more_than_a_second() {
        let begin = Instant::now();
        let mut rate = Rate::new(10.0, begin);
        assert_eq!(rate.available(begin + Duration::from_secs(1000)), 10);
    }

    #[test]
    fn less_than_one_a_second_comes_in_time() {
        let begin = Instant::now();
        let mut rate = Rate::new(0.1, begin);
        assert_eq!(rate.available(begin), 1);
        rate.take(1);
        assert_eq!(rate.available(begin + Duration::from_secs(5)), 0);
        assert!(rate.next() > begin + Duration::from_secs(9));
        assert_eq!(rate.available(begin + Duration::from_secs(11)), 1);
    }
}
