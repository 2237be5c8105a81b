//! The locks by which a worker holds its seat and its configs. They are in the space of advisory locks,
//! of which pg_advisory_unlock_all lets go: also of these, when something calls it that others have
//! written and that runs in a worker. They are taken again then.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys;

thread_local! {
    static HELD: RefCell<Vec<pg_sys::LOCKTAG>> = const { RefCell::new(Vec::new()) };
    static IN_DOUBT: Cell<bool> = const { Cell::new(false) };
}

/// Takes a lock for the session, unless somebody else has it.
pub fn take(tag: pg_sys::LOCKTAG) -> bool {
    if acquire(&tag) == pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL {
        return false;
    }
    HELD.with_borrow_mut(|held| held.push(tag));
    true
}

pub fn let_go(tag: &pg_sys::LOCKTAG) {
    HELD.with_borrow_mut(|held| held.retain(|other| key(other) != key(tag)));
    release(tag);
}

/// Something of others' is about to run.
pub fn doubt() {
    IN_DOUBT.set(true);
}

/// Takes again what was lost meanwhile. False: somebody else has some of it by now.
pub fn keep() -> bool {
    !IN_DOUBT.take() || HELD.with_borrow(|held| held.iter().all(keep_one))
}

fn keep_one(tag: &pg_sys::LOCKTAG) -> bool {
    use pg_sys::LockAcquireResult::{LOCKACQUIRE_NOT_AVAIL, LOCKACQUIRE_OK};
    match acquire(tag) {
        LOCKACQUIRE_NOT_AVAIL => false,
        LOCKACQUIRE_OK => true,
        // It is held once more now.
        _ => {
            release(tag);
            true
        }
    }
}

fn acquire(tag: &pg_sys::LOCKTAG) -> pg_sys::LockAcquireResult::Type {
    // SAFETY: a well-formed tag. A lock of the session's needs no transaction, and is not waited for.
    unsafe { pg_sys::LockAcquire(tag, pg_sys::ExclusiveLock as i32, true, true) }
}

fn release(tag: &pg_sys::LOCKTAG) {
    // SAFETY: as above. What is not held is a warning.
    unsafe { pg_sys::LockRelease(tag, pg_sys::ExclusiveLock as i32, true) };
}

fn key(tag: &pg_sys::LOCKTAG) -> (u32, u32, u32, u16) {
    (tag.locktag_field1, tag.locktag_field2, tag.locktag_field3, tag.locktag_field4)
}
