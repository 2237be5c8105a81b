//! How fast a consumer is: how many events it gets a second, and how long after they were enqueued.

use std::time::Duration;

/// The rate is an average over about that, in seconds.
const RATE_SECONDS: f64 = 60.0;

/// Deliveries of that long ago, in seconds, count a third of those of now.
const LATENCY_SECONDS: f64 = 600.0;

/// The first step holds all that is shorter; each one after that is √2 times as long, up to a month.
const FIRST_STEP: f64 = 0.001;
const STEPS: usize = 64;

/// Figures that fade as time passes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pace {
    /// Events a second.
    pub rate: f64,
    /// How many deliveries took so long, by steps; those after the last one that has any are left out.
    pub latencies: Vec<f64>,
}

impl Pace {
    /// What it is some time later, when these have been delivered.
    pub fn after(mut self, time: Duration, delivered: &[Duration]) -> Self {
        let seconds = time.as_secs_f64();
        self.rate *= (-seconds / RATE_SECONDS).exp();
        self.rate += delivered.len() as f64 / RATE_SECONDS;
        let left = (-seconds / LATENCY_SECONDS).exp();
        self.latencies.iter_mut().for_each(|count| *count *= left);
        for latency in delivered {
            let step = step(latency.as_secs_f64());
            if self.latencies.len() <= step {
                self.latencies.resize(step + 1, 0.0);
            }
            if let Some(count) = self.latencies.get_mut(step) {
                *count += 1.0;
            }
        }
        self
    }
}

/// The latency, in seconds, that a part of the deliveries did not exceed; none without deliveries. It
/// is off by a fifth at most, as far as steps are.
pub fn quantile(latencies: &[f64], part: f64) -> Option<f64> {
    let total: f64 = latencies.iter().sum();
    let mut missing = total * part;
    let last = latencies.iter().rposition(|count| *count > 0.0)?;
    for (step, count) in latencies.iter().enumerate() {
        if missing <= *count && *count > 0.0 || step == last {
            return Some(middle(step));
        }
        missing -= count;
    }
    None
}

fn step(seconds: f64) -> usize {
    let steps = 2.0 * (seconds / FIRST_STEP).log2();
    // Of what is not longer than the first step, the logarithm is below zero, which is step 0.
    (steps.ceil() as usize).min(STEPS - 1)
}

/// What a step stands for.
fn middle(step: usize) -> f64 {
    FIRST_STEP * 2_f64.powf((step as f64 - 0.5) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace(milliseconds: &[u64]) -> Pace {
        let delivered: Vec<_> = milliseconds.iter().copied().map(Duration::from_millis).collect();
        Pace::default().after(Duration::ZERO, &delivered)
    }

    #[test]
    fn the_rate_is_what_comes_in_a_second() {
        let mut pace = Pace::default();
        for _ in 0..600 {
            pace = pace.after(Duration::from_secs(1), &[Duration::ZERO; 50]);
        }
        assert!((49.0..52.0).contains(&pace.rate), "{}", pace.rate);
        assert!(pace.after(Duration::from_secs(300), &[]).rate < 1.0);
    }

    #[test]
    fn without_deliveries_there_is_no_latency() {
        assert_eq!(quantile(&Pace::default().latencies, 0.5), None);
        assert_eq!(quantile(&[0.0, 0.0], 0.5), None);
    }

    #[test]
    fn what_was_long_ago_counts_less() {
        let hour = Duration::from_secs(3600);
        let pace = pace(&[60_000; 100]).after(hour, &[Duration::from_millis(5); 10]);
        assert!(quantile(&pace.latencies, 0.9).unwrap() < 0.01);
    }

    #[test]
    fn the_longest_is_in_the_last_step() {
        let pace = pace(&[u64::MAX]);
        assert_eq!(pace.latencies.len(), STEPS);
    }

    proptest! {
        #[test]
        fn a_quantile_is_that_of_the_latencies_but_for_a_fifth(
            mut milliseconds in prop::collection::vec(1_u64..1_000_000_000, 1..200),
            part in 0.01_f64..1.0,
        ) {
            let found = quantile(&pace(&milliseconds).latencies, part).unwrap() * 1000.0;
            milliseconds.sort_unstable();
            let place = (milliseconds.len() as f64 * part).ceil() as usize;
            let exact = milliseconds[place.max(1) - 1] as f64;
            prop_assert!((found / exact - 1.0).abs() < 0.2, "{found} instead of {exact}");
        }
    }
}
