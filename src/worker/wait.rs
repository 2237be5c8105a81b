//! Waiting until there is something to do, at no cost.

use std::time::{Duration, Instant};

use pgrx::pg_sys;

use crate::network::Network;

/// WaitLatch takes milliseconds up to what an int holds; who waits longer waits again.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// Waits until then, until somebody sets the latch of this process (as every signal does), or until
/// one of the requests under way has ended. Whether the latch was set.
pub fn wait(until: Option<Instant>, network: Option<&Network>) -> bool {
    match network.filter(|network| network.is_busy()) {
        Some(network) => network.wait(until, &is_woken),
        None => wait_for_latch(until),
    }
    take_latch()
}

/// Whether the latch was set; it is not any more.
pub fn take_latch() -> bool {
    let woken = is_woken();
    // SAFETY: every process that is connected to shared memory has a latch.
    unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
    woken
}

/// As [`wait`], for the time that a state is likely to change in.
pub fn nap(time: Duration) {
    wait(Some(Instant::now() + time), None);
    pgrx::check_for_interrupts!();
}

fn wait_for_latch(until: Option<Instant>) {
    let mut events = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH;
    let mut milliseconds = -1;
    if let Some(until) = until {
        events |= pg_sys::WL_TIMEOUT;
        let left = until.saturating_duration_since(Instant::now()).min(LONGEST);
        // Rounded up: who wakes too early would have to wait again.
        milliseconds = left.as_micros().div_ceil(1000) as i64;
    }
    // SAFETY: as above.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, milliseconds, pg_sys::PG_WAIT_EXTENSION);
    }
}

fn is_woken() -> bool {
    // SAFETY: as above; other processes set it, hence volatile.
    unsafe { std::ptr::read_volatile(&raw const (*pg_sys::MyLatch).is_set) != 0 }
}
