//! The duty of keeping the tables small: what sessions append to the statistics is folded, and what
//! is past its retention is removed.

use std::time::{Duration, Instant};

use super::{Duty, Next, transaction};
use crate::catalog::{as_owner, metrics, retention as old, stats};
use crate::settings;

/// A look costs some hundred microseconds. Sessions wake the worker for every few hundred rows.
const LOOKED_EVERY: Duration = Duration::from_secs(1);

/// Rows get old one by one.
const PRUNED_EVERY: Duration = Duration::from_secs(60);

/// Rows that are removed in a transaction: some milliseconds' worth, in which nobody who wants the
/// table, or the database, for himself has to wait for long.
const PRUNED_AT_ONCE: i64 = 1000;

pub struct Tidying {
    look: Instant,
    prune: Instant,
    /// The newest row of the statistics when they were folded.
    folded: i64,
    retention: Retention,
}

/// Of lines and of failures, in minutes.
type Retention = (Option<i32>, Option<i32>);

impl Tidying {
    pub fn new() -> Self {
        let now = Instant::now();
        Tidying { look: now, prune: now, folded: 0, retention: retention() }
    }

    fn fold(&mut self) -> Option<()> {
        let folded = self.folded;
        let newest = transaction(c"folding statistics", || {
            as_owner(|client| {
                let newest = stats::newest(client)?;
                let Some(first) = stats::unfolded(folded, newest) else { return Ok(folded) };
                stats::fold(client, first)?;
                metrics::fold(client)?;
                Ok(newest)
            })
        })?;
        self.folded = newest;
        Some(())
    }

    /// How many rows it removed, and how long nothing else will be past its time.
    fn prune() -> Option<(i64, Duration)> {
        transaction(c"removing what is past its retention", || {
            as_owner(|client| {
                let left = old::left(client)?;
                if !left.is_zero() {
                    return Ok((0, left));
                }
                Ok((old::prune(client, Some(PRUNED_AT_ONCE))?, PRUNED_EVERY))
            })
        })
    }
}

fn retention() -> Retention {
    (settings::log_retention(), settings::error_retention())
}

impl Duty for Tidying {
    fn work(&mut self, _woken: bool) -> Next {
        let now = Instant::now();
        if now < self.look {
            return Next::Idle { until: Some(self.look) };
        }
        self.look = now + LOOKED_EVERY;
        let failed = Next::Idle { until: Some(now + PRUNED_EVERY) };
        let Some(()) = self.fold() else { return failed };
        let retention = retention();
        if now < self.prune && retention == self.retention {
            return Next::Idle { until: Some(self.prune) };
        }
        self.retention = retention;
        let Some((removed, left)) = Self::prune() else { return failed };
        if removed >= PRUNED_AT_ONCE {
            self.look = now;
            return Next::Again;
        }
        self.prune = now + PRUNED_EVERY;
        Next::Idle { until: now.checked_add(left.max(PRUNED_EVERY)) }
    }
}
