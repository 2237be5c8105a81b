//! What the running transaction enqueues: held back for a while, so that many single rows become few
//! writes, and written in the savepoint that it belongs to, with which it goes when that is rolled
//! back.

use std::cell::{Cell, RefCell};

use delivery::{Bundle, Dictionary, Packed, Room};
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::append::{self, Row};
use super::state;
use crate::error::Result;
use crate::event::Event;
use crate::{cause, worker};

/// What is held of a savepoint. A hundred ordinary events: more make writing no faster.
const MOST_BYTES: usize = 256 << 10;

/// What a run takes besides its events.
const RUN_BYTES: usize = 128;

/// Events that are enqueued within this time, in microseconds, have one time.
const AT_ONCE: pg_sys::TimestampTz = 10_000;

/// Events, one after the other, that are appended together.
struct Run {
    team_id: Option<i32>,
    /// How many captures have led to them.
    hops: u8,
    /// The first one's number among the events of the transaction.
    first: i64,
    events: Bundle,
    /// When the first was enqueued, and the last.
    since: pg_sys::TimestampTz,
    until: pg_sys::TimestampTz,
}

impl Run {
    /// Whether those come next, and there is room for so many bytes of them.
    fn takes(&self, next: &Run, bytes: usize) -> bool {
        self.first + self.events.len() as i64 == next.first
            && (self.team_id, self.hops) == (next.team_id, next.hops)
            && next.until - self.since <= AT_ONCE
            && self.events.has_room(bytes, ROOM.get())
    }
}

/// The events of one savepoint.
struct Level {
    id: pg_sys::SubTransactionId,
    runs: Vec<Run>,
    bytes: usize,
}

impl Level {
    /// Adds an event, to the last run or to one that begins with it.
    fn add(&mut self, run: Run, payload: &[u8]) {
        let run = self.open(run, payload.len());
        let before = run.events.bytes();
        run.events.push(payload);
        self.bytes += run.events.bytes() - before;
    }

    /// Adds those of a savepoint that is over.
    fn append(&mut self, mut run: Run) {
        let events = std::mem::take(&mut run.events);
        self.bytes += events.bytes();
        self.open(run, events.bytes()).events.append(events);
    }

    fn open(&mut self, next: Run, bytes: usize) -> &mut Run {
        let run = match self.runs.pop_if(|last| last.takes(&next, bytes)) {
            Some(last) => Run { until: next.until, ..last },
            None => {
                self.bytes += RUN_BYTES;
                next
            }
        };
        self.runs.push_mut(run)
    }
}

#[derive(Default)]
struct Pending {
    /// The innermost last.
    levels: Vec<Level>,
    /// How many events the transaction has enqueued, rolled back or not.
    enqueued: i64,
    /// Where all of them go.
    half: Option<usize>,
}

thread_local! {
    static PENDING: RefCell<Pending> = RefCell::default();
    /// Of a run: what this session stores is like what it has stored.
    static ROOM: Cell<Room> = const { Cell::new(Room::FIRST) };
}

/// Takes an event, which is stored with the transaction.
pub fn add(event: &Event<'_>, team_id: Option<i32>) -> Result<()> {
    let half = match PENDING.with_borrow(|pending| pending.half) {
        Some(half) => half,
        None => state::half()?,
    };
    let level = level();
    // SAFETY: reads a clock.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let (payload, hops) = (event.payload(), cause::depth());
    worker::wake_at_commit();
    PENDING.with_borrow_mut(|pending| {
        pending.half = Some(half);
        pending.enqueued += 1;
        if pending.levels.last().is_none_or(|last| last.id != level) {
            pending.levels.push(Level { id: level, runs: Vec::new(), bytes: 0 });
        }
        let (first, events) = (pending.enqueued, Bundle::default());
        let run = Run { team_id, hops, first, events, since: now, until: now };
        if let Some(last) = pending.levels.last_mut() {
            last.add(run, payload);
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
        let runs = pending.levels.pop()?.runs;
        Some((pending.half?, runs))
    });
    if let Some((half, runs)) = taken {
        append::append(half, |dictionary| pack(runs, dictionary));
    }
}

/// The rows that runs become.
fn pack(runs: Vec<Run>, dictionary: Option<&Dictionary>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(runs.len());
    for Run { team_id, hops, first, events, until, .. } in runs {
        let (is_alone, bytes) = (events.len() == 1, events.bytes());
        let packed = events.pack(dictionary);
        if !is_alone {
            ROOM.set(Room::after(bytes, &packed));
        }
        let mut number = first - 1;
        for Packed { events, bytes } in packed {
            number += events as i64;
            rows.push(Row { enqueued_at: until, number, team_id, hops, events, bundle: bytes });
        }
    }
    rows
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

    /// Whether a savepoint and its parent have much together.
    fn is_much(&self, own: pg_sys::SubTransactionId, parent: pg_sys::SubTransactionId) -> bool {
        let is_either = |level: &&Level| level.id == own || level.id == parent;
        self.levels.last().is_some_and(|last| last.id == own)
            && self.levels.iter().filter(is_either).map(|level| level.bytes).sum::<usize>()
                > MOST_BYTES
    }

    /// What a savepoint has enqueued is now its parent's.
    fn release(&mut self, from: pg_sys::SubTransactionId, to: pg_sys::SubTransactionId) {
        let Some(last) = self.levels.pop_if(|last| last.id == from) else { return };
        match self.levels.last_mut().filter(|level| level.id == to) {
            Some(parent) => last.runs.into_iter().for_each(|run| parent.append(run)),
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
    // So that many small savepoints do not become a large transaction in memory.
    if event == SUBXACT_EVENT_PRE_COMMIT_SUB
        && PENDING.with_borrow(|pending| pending.is_much(own, parent))
    {
        write_last();
    }
    PENDING.with_borrow_mut(|pending| match event {
        SUBXACT_EVENT_ABORT_SUB => pending.roll_back(own),
        SUBXACT_EVENT_COMMIT_SUB => pending.release(own, parent),
        _ => {}
    });
}
