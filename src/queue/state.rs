//! What a session that enqueues has to know: which half of the queue events go to, and what they are
//! like. Read once, and again when PostgreSQL's invalidation messages say that it has changed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use delivery::Dictionary;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::catalog::halves::{self, State};
use crate::catalog::queue::newest;
use crate::error::Result;

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
    /// The table that it is read from, and the halves: with one that is emptied, its dictionaries are
    /// gone.
    static WATCHED: Cell<[pg_sys::Oid; 3]> = const { Cell::new([pg_sys::InvalidOid; 3]) };
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// Which half events go to.
pub fn half() -> Result<usize> {
    if let Some(half) = STATE.with_borrow(|state| state.as_ref().map(|state| state.half)) {
        return Ok(half);
    }
    let changes = CHANGES.get();
    // SAFETY: look-ups of constant names. Each time: the extension may have been created again.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"posthog_plugins".as_ptr(), true);
        let tables = [c"queue_state", c"event_queue_0", c"event_queue_1"];
        WATCHED.set(tables.map(|name| pg_sys::get_relname_relid(name.as_ptr(), schema)));
    }
    let state = newest(|client| halves::state(client))?;
    let half = state.half;
    // SAFETY: the running transaction's. What it sees may be older than the last message.
    let sees_the_newest = unsafe { pg_sys::XactIsoLevel } < pg_sys::XACT_REPEATABLE_READ as i32;
    if sees_the_newest && changes == CHANGES.get() {
        STATE.set(Some(state));
    }
    Ok(half)
}

/// What to compress with what goes to a half. To be called by who has locked the half, which is then not
/// emptied before the transaction ends, nor loses this. None if the session has heard of a change
/// since it read the state.
pub fn dictionary(of: usize) -> Option<Rc<Dictionary>> {
    STATE.with_borrow(|state| {
        let State { dictionary, .. } = state.as_ref().filter(|state| state.half == of)?;
        dictionary.clone()
    })
}

pub fn register() {
    // SAFETY: a callback for the life of the process, without an argument.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0));
    }
}

/// `relation` is invalid when PostgreSQL lost track and everything may have changed.
#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    if relation == pg_sys::InvalidOid || WATCHED.get().contains(&relation) {
        CHANGES.set(CHANGES.get().wrapping_add(1));
        STATE.take();
    }
}
