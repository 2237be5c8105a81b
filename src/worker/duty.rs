//! What a worker does.

use std::time::Instant;

use crate::network::Network;

/// One kind of work. A worker asks its duties in turn, whenever it is awake.
pub trait Duty {
    /// Does some of what there is to do. `woken` is whether somebody may have changed the database since
    /// it was last asked. Called outside of any transaction: it opens its own with
    /// [`super::transaction()`], and holds none while it waits for something outside.
    fn work(&mut self, woken: bool) -> Next;

    /// How many calls of plugins are under way.
    fn calls(&self) -> usize {
        0
    }

    /// Where it has requests under way, for the worker to wake up when one is answered.
    fn network(&self) -> Option<&Network> {
        None
    }
}

/// When a duty wants to be asked again. Besides, it is asked whenever the worker is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: there is more to do.
    Again,
    /// Then, or when the worker is woken.
    Idle { until: Option<Instant> },
}

impl Next {
    pub const IDLE: Next = Next::Idle { until: None };

    /// The sooner of two.
    pub fn or(self, other: Next) -> Next {
        match (self, other) {
            (Next::Again, _) | (_, Next::Again) => Next::Again,
            (Next::Idle { until: one }, Next::Idle { until: other }) => {
                Next::Idle { until: one.into_iter().chain(other).min() }
            }
        }
    }
}
