//! Waking the workers of a database from any of its sessions: with or without the library
//! preloaded, at once, and without anything that could fail.

use std::cell::Cell;
use std::ops::Range;

use pgrx::pg_sys;
use pgrx::prelude::*;

thread_local! {
    static AT_COMMIT: Cell<bool> = const { Cell::new(false) };
    /// The transaction has committed, and is being tidied up after.
    static AFTER_COMMIT: Cell<bool> = const { Cell::new(false) };
    static BACKGROUND: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// Wakes the workers of this database. For what has been committed: who wakes finds it.
///
/// It sets the latches of all background workers that are connected to the database, other
/// extensions' too, which look for work and find none. There are max_worker_processes of them at most.
pub fn wake() {
    // SAFETY: processes' entries are in shared memory for as long as the server runs. What is read of
    // one may be about to change: then its latch is set for nothing, or the process has just begun,
    // and will look for work after that.
    unsafe {
        let database = pg_sys::MyDatabaseId;
        let all = (*pg_sys::ProcGlobal).allProcs;
        for place in background() {
            let process = all.add(place);
            let pid = std::ptr::read_volatile(&raw const (*process).pid);
            let its_database = std::ptr::read_volatile(&raw const (*process).databaseId);
            if pid != 0 && its_database == database {
                pg_sys::SetLatch(&raw mut (*process).procLatch);
            }
        }
    }
}

/// Wakes them when this transaction has committed, and not otherwise.
pub fn wake_at_commit() {
    AT_COMMIT.set(true);
}

/// Where the entries of background workers are among those of all processes: one after the other, in
/// the same place for as long as the server runs.
fn background() -> Range<usize> {
    if let Some((first, end)) = BACKGROUND.get() {
        return first..end;
    }
    // SAFETY: the number of entries and the list that each one goes back to are set before the first
    // process starts.
    let (first, end) = unsafe {
        let shared = pg_sys::ProcGlobal;
        let list = &raw const (*shared).bgworkerFreeProcs;
        let is_one = |place: &usize| {
            std::ptr::addr_eq((*(*shared).allProcs.add(*place)).procgloballist, list)
        };
        let mut places = (0..(*shared).allProcCount as usize).filter(is_one);
        let first = places.next();
        first.map_or((0, 0), |first| (first, places.next_back().unwrap_or(first) + 1))
    };
    BACKGROUND.set(Some((first, end)));
    first..end
}

/// Listens to the ends of transactions.
pub fn register() {
    // SAFETY: callbacks for the life of the process, without arguments.
    unsafe {
        pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut());
        pg_sys::RegisterResourceReleaseCallback(Some(at_release), std::ptr::null_mut());
    }
}

/// The last thing of a commit that one hears of. Others have been told by then what it has changed;
/// they have not yet when transactions' ends are announced.
#[pg_guard]
unsafe extern "C-unwind" fn at_release(
    phase: pg_sys::ResourceReleasePhase::Type,
    is_commit: bool,
    is_top_level: bool,
    _arg: *mut core::ffi::c_void,
) {
    let is_last = phase == pg_sys::ResourceReleasePhase::RESOURCE_RELEASE_AFTER_LOCKS;
    if is_last && is_commit && is_top_level && AFTER_COMMIT.take() {
        wake();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _arg: *mut core::ffi::c_void,
) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_COMMIT => AFTER_COMMIT.set(AT_COMMIT.take()),
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => AT_COMMIT.set(false),
        _ => {}
    }
}
