//! Waiting for a state instead of for a time.

use std::thread;
use std::time::{Duration, Instant};

/// Generous, as only a failing test waits this long, and a busy machine must not fail one.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Returns as soon as the condition holds; panics with `what` when it does not come to hold.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        thread::sleep(PAUSE);
    }
}
