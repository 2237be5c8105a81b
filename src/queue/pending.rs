//! What the running transaction enqueues: held back for a while, so that many single rows become few
//! writes, and written in the savepoint that it belongs to, with which it goes when that is rolled
//! back.

use std::cell::RefCell;

use delivery::Bundle;
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::{append, state};
use crate::error::Result;
use crate::event::Event;
use crate::{cause, worker};

/// What is held of a savepoint. A hundred ordinary events: more make writing no faster.
const MOST_BYTES: usize = 256 << 10;

/// What a bundle takes besides its events.
const BUNDLE_BYTES: usize = 128;

/// Events that are enqueued within this time, in microseconds, have one time.
const AT_ONCE: pg_sys::TimestampTz = 100_000;

/// Events, one after the other, that are appended together.
pub struct Bundled {
    pub team_id: Option<i32>,
    /// How many captures have led to them.
    pub hops: u8,
    /// The first one's among the events of the transaction.
    pub number: i64,
    pub events: Bundle,
    /// When the first was enqueued, and the last.
    since: pg_sys::TimestampTz,
    pub until: pg_sys::TimestampTz,
}

impl Bundled {
    /// For an event that is enqueued now.
    fn new(team_id: Option<i32>, number: i64) -> Self {
        // SAFETY: reads a clock.
        let now = unsafe { pg_sys::GetCurrentTimestamp() };
        let (hops, events) = (cause::depth(), Bundle::default());
        Bundled { team_id, hops, number, events, since: now, until: now }
    }

    /// Whether those come next, and there is room for so many bytes of them.
    fn takes(&self, next: &Bundled, bytes: usize) -> bool {
        self.number + self.events.len() as i64 == next.number
            && (self.team_id, self.hops) == (next.team_id, next.hops)
            && next.until - self.since <= AT_ONCE
            && self.events.has_room(bytes)
    }
}

/// The events of one savepoint.
struct Level {
    id: pg_sys::SubTransactionId,
    bundles: Vec<Bundled>,
    bytes: usize,
}

impl Level {
    /// Adds an event, for which a bundle is ready.
    fn add(&mut self, bundle: Bundled, payload: &[u8]) {
        self.open(bundle, payload.len()).events.push(payload);
        self.bytes += payload.len();
    }

    /// Adds those of a savepoint that is over.
    fn append(&mut self, mut bundle: Bundled) {
        let events = std::mem::take(&mut bundle.events);
        let bytes = events.bytes();
        self.open(bundle, bytes).events.append(events);
        self.bytes += bytes;
    }

    /// Where the next events go, if not into the bundle that is ready for them.
    fn open(&mut self, next: Bundled, bytes: usize) -> &mut Bundled {
        let bundle = match self.bundles.pop_if(|last| last.takes(&next, bytes)) {
            Some(last) => Bundled { until: next.until, ..last },
            None => {
                self.bytes += BUNDLE_BYTES;
                next
            }
        };
        self.bundles.push_mut(bundle)
    }
}

#[derive(Default)]
struct Pending {
    /// The innermost last.
    levels: Vec<Level>,
    /// How many events the transaction has enqueued, rolled back or not.
    enqueued: i64,
    half: usize,
}

thread_local! {
    static PENDING: RefCell<Pending> = RefCell::default();
}

/// Takes an event, which is stored with the transaction.
pub fn add(event: &Event<'_>, team_id: Option<i32>) -> Result<()> {
    let state = state::get()?;
    let level = level();
    let payload = event.payload();
    worker::wake_at_commit();
    PENDING.with_borrow_mut(|pending| {
        pending.half = state.half;
        pending.enqueued += 1;
        let bundle = Bundled::new(team_id, pending.enqueued);
        if pending.levels.last().is_none_or(|last| last.id != level) {
            pending.levels.push(Level { id: level, bundles: Vec::new(), bytes: 0 });
        }
        if let Some(last) = pending.levels.last_mut() {
            last.add(bundle, payload);
        }
    });
    Ok(())
}

/// Writes what is held if it has become much.
pub fn relieve() {
    let level = level();
    let is_much = PENDING.with_borrow(|pending| {
        pending.levels.last().is_some_and(|last| last.id == level && last.bytes > MOST_BYTES)
    });
    if is_much {
        write_last();
    }
}

/// Writes the innermost level, in which the transaction is.
fn write_last() {
    // Not borrowed meanwhile: an error that ends the session would come back here.
    let taken = PENDING.with_borrow_mut(|pending| {
        let bundles = pending.levels.pop()?.bundles;
        Some((pending.half, bundles))
    });
    if let Some((half, bundles)) = taken {
        append::append(half, bundles);
    }
}

fn level() -> pg_sys::SubTransactionId {
    // SAFETY: a transaction is running.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

impl Pending {
    /// A savepoint was rolled back, and all that were opened inside.
    fn roll_back(&mut self, to: pg_sys::SubTransactionId) {
        self.levels.retain(|level| level.id < to);
    }

    /// What a savepoint has enqueued is now its parent's.
    fn release(&mut self, from: pg_sys::SubTransactionId, to: pg_sys::SubTransactionId) {
        let Some(last) = self.levels.pop_if(|last| last.id == from) else { return };
        match self.levels.last_mut().filter(|level| level.id == to) {
            Some(parent) => last.bundles.into_iter().for_each(|bundle| parent.append(bundle)),
            None => self.levels.push(Level { id: to, ..last }),
        }
    }
}

/// Listens to the ends of transactions and savepoints.
pub fn register() {
    // SAFETY: callbacks for the life of the process, without arguments.
    unsafe {
        pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(at_savepoint_end), std::ptr::null_mut());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _arg: *mut core::ffi::c_void,
) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE => {
            // All savepoints are over.
            while PENDING.with_borrow(|pending| !pending.levels.is_empty()) {
                write_last();
            }
        }
        XACT_EVENT_COMMIT | XACT_EVENT_PREPARE | XACT_EVENT_ABORT => drop(PENDING.take()),
        _ => {}
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_savepoint_end(
    event: pg_sys::SubXactEvent::Type,
    own: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _arg: *mut core::ffi::c_void,
) {
    use pg_sys::SubXactEvent::*;
    PENDING.with_borrow_mut(|pending| match event {
        SUBXACT_EVENT_ABORT_SUB => pending.roll_back(own),
        SUBXACT_EVENT_COMMIT_SUB => pending.release(own, parent),
        _ => {}
    });
}
