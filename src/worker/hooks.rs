//! Hearing of databases and extensions that are created, changed and dropped, in the sessions that do
//! it. PostgreSQL tells an access hook, after it has checked the rights of whoever asked; the launcher
//! and the workers are told when that has been committed.

use std::cell::{Cell, RefCell};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pgrx::pg_sys;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use super::wait::nap;
use super::{board, wake};

/// As long as PostgreSQL itself waits for a database to become free.
const PATIENCE: Duration = Duration::from_secs(5);

/// A process that was told to go takes some milliseconds.
const PAUSE: Duration = Duration::from_millis(10);

static PREVIOUS: OnceLock<pg_sys::object_access_hook_type> = OnceLock::new();

thread_local! {
    /// Databases that are not what they were, once the transaction has committed.
    static CHANGED: RefCell<Vec<Oid>> = RefCell::default();
    /// An extension of this database is new or of another version.
    static EXTENDED: Cell<bool> = const { Cell::new(false) };
}

pub fn register() {
    // SAFETY: called once in a process, when the library is loaded. A hook for the life of the
    // process, which calls the one before it; a callback without an argument.
    unsafe {
        if PREVIOUS.set(pg_sys::object_access_hook).is_ok() {
            pg_sys::object_access_hook = Some(on_access);
            pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut());
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_access(
    access: pg_sys::ObjectAccessType::Type,
    class: Oid,
    object: Oid,
    part: i32,
    argument: *mut core::ffi::c_void,
) {
    use pg_sys::ObjectAccessType::{OAT_DROP, OAT_POST_ALTER, OAT_POST_CREATE};
    if let Some(Some(previous)) = PREVIOUS.get() {
        // SAFETY: called as PostgreSQL calls it. An ERROR in it is raised again from here.
        unsafe {
            pg_sys::submodules::ffi::pg_guard_ffi_boundary(|| {
                previous(access, class, object, part, argument);
            });
        }
    }
    let is_change = access == OAT_POST_CREATE || access == OAT_POST_ALTER;
    if class == pg_sys::DatabaseRelationId {
        if access == OAT_DROP {
            send_away(object);
        } else if is_change {
            CHANGED.with_borrow_mut(|changed| changed.push(object));
        }
    } else if class == pg_sys::ExtensionRelationId {
        if is_change {
            EXTENDED.set(true);
        } else if access == OAT_DROP && object == extension() {
            // SAFETY: set when the session was connected.
            CHANGED.with_borrow_mut(|changed| changed.push(unsafe { pg_sys::MyDatabaseId }));
        }
    }
}

/// This extension in this database.
fn extension() -> Oid {
    // SAFETY: a look-up in a running transaction.
    unsafe { pg_sys::get_extension_oid(c"posthog_plugins".as_ptr(), true) }
}

/// Has the workers of a database go before DROP DATABASE looks who is connected: WITH (FORCE) refuses
/// an owner who is not superuser where a superuser is. The database is locked by then, so none come
/// back.
fn send_away(database: Oid) {
    let Some(board) = board::board() else { return };
    let patience = Instant::now() + PATIENCE;
    for pid in board.workers(database) {
        terminate(pid);
    }
    while !board.workers(database).is_empty() && Instant::now() < patience {
        nap(PAUSE);
    }
}

/// Has a worker go.
pub fn terminate(pid: i32) {
    // SAFETY: plain call. A process that has just gone is not found: its number is not given away
    // again before many others are.
    unsafe { libc::kill(pid, libc::SIGTERM) };
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _arg: *mut core::ffi::c_void,
) {
    use pg_sys::XactEvent::*;
    match event {
        // While the catalog can be asked; after the commit nothing may fail.
        XACT_EVENT_PRE_COMMIT if EXTENDED.take() && extension() != Oid::INVALID => {
            // SAFETY: set when the session was connected.
            CHANGED.with_borrow_mut(|changed| changed.push(unsafe { pg_sys::MyDatabaseId }));
        }
        XACT_EVENT_COMMIT => tell(&CHANGED.take()),
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => {
            EXTENDED.set(false);
            CHANGED.take();
        }
        _ => {}
    }
}

fn tell(changed: &[Oid]) {
    if let Some(board) = board::board() {
        changed.iter().for_each(|database| board.tell(*database));
    }
    // SAFETY: set when the session was connected.
    let here = unsafe { pg_sys::MyDatabaseId };
    if changed.contains(&here) {
        wake::wake();
    }
}
