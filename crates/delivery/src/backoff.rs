//! When something that failed is tried again.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// How often anything is tried, the first time included.
    pub attempts: u32,
    /// Before the second attempt. Doubles with each one.
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// How long to wait after so many attempts; `None` after the last one. `luck`, from 0 to 1, spreads
    /// what failed together over the second half of the time.
    pub fn after(&self, attempts: u32, luck: f64) -> Option<Duration> {
        if attempts >= self.attempts {
            return None;
        }
        // More doublings than any limit is long.
        let doublings = attempts.saturating_sub(1).min(31);
        let delay = self.first.saturating_mul(1 << doublings).min(self.longest);
        Some(delay.mul_f64(0.5 + luck.clamp(0.0, 1.0) / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { attempts: 5, first: Duration::from_secs(5), longest: Duration::from_secs(30) };

    #[test]
    fn delays_double_up_to_the_longest() {
        let delays: Vec<_> = (1..=5).map(|attempts| BACKOFF.after(attempts, 1.0)).collect();
        let seconds = [Some(5), Some(10), Some(20), Some(30), None];
        assert_eq!(delays, seconds.map(|delay| delay.map(Duration::from_secs)));
    }

    #[test]
    fn delays_are_spread_over_the_second_half() {
        for luck in [0.0, 0.3, 1.0, 7.0] {
            let delay = BACKOFF.after(2, luck).unwrap_or_default();
            assert!((5..=10).contains(&delay.as_secs()), "{delay:?}");
        }
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let patient = Backoff { attempts: u32::MAX, ..BACKOFF };
        assert_eq!(patient.after(u32::MAX - 1, 1.0), Some(BACKOFF.longest));
    }
}
