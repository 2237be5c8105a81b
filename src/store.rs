//! What plugins keep and leave for later, as the running transaction sees it. What a plugin reads is
//! read from the tables once; what it changes is written when the transaction commits, in bulk, as
//! nobody else could see it before. A thousand increments become one row, and an error while writing
//! never comes up inside JavaScript.

mod snapshot;
mod write;

use std::cell::RefCell;

use engine::store::{Key, Ledger, Level, Operation, Refusal, Reply};
use engine::{Cause, Program, Task};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::catalog::kept::now;
use crate::{cause, settings};
use snapshot::Seen;
pub use snapshot::read;

/// Bytes that are held before they are written ahead of the commit.
const MOST_BYTES: usize = 4 << 20;

const READ_ONLY: &str = "25006"; // read_only_sql_transaction

#[derive(Default)]
struct Store {
    ledger: Ledger,
    /// What was visible when the ledger was last told of it.
    seen: Option<Seen>,
    /// The transaction has written some of it.
    written_ahead: bool,
}

thread_local! {
    static STORE: RefCell<Store> = RefCell::default();
}

/// Does something to what a program keeps. Called while JavaScript is on the stack: an error of
/// PostgreSQL's unwinds to the caller, who has to keep it from there.
pub fn perform(program: &Program, operation: Operation) -> Result<Reply, Refusal> {
    let Operation { place, key, action } = operation;
    let key = Key::of(program, place, key);
    if !action.only_reads() {
        check_writable()?;
    }
    let seen = Seen::now();
    let is_enough = STORE.with_borrow_mut(|store| {
        // What was read under another snapshot is read again when it is used.
        if store.seen.replace(seen) != Some(seen) {
            store.ledger.look_again();
        }
        store.ledger.is_enough_for(&key, &action)
    });
    if !is_enough {
        // Not borrowed meanwhile: an error that ends the session would come back here.
        let (state, rows) = read(&key);
        STORE.with_borrow_mut(|store| store.ledger.adopt(&key, state, rows));
    }
    let level = level();
    STORE.with_borrow_mut(|store| store.ledger.perform(key, action, level, now()))
}

/// Keeps something for later.
pub fn leave(program: &Program, task: Task, cause: Cause) -> Result<(), Refusal> {
    check_writable()?;
    if let Task::Event(event) = &task
        && cause.depth >= settings::capture_depth()
    {
        cause::refuse(program, event, cause.depth);
        return Ok(());
    }
    let level = level();
    STORE.with_borrow_mut(|store| store.ledger.leave(program.id, task, cause, level))
}

fn check_writable() -> Result<(), Refusal> {
    // SAFETY: flags and functions of the running transaction.
    let why = unsafe {
        if pg_sys::RecoveryInProgress() {
            "a standby"
        } else if pg_sys::XactReadOnly {
            "a read-only transaction"
        } else if pg_sys::IsInParallelMode() {
            "a parallel query"
        } else {
            return Ok(());
        }
    };
    Err(Refusal::new(READ_ONLY, format!("plugins can store nothing in {why}")))
}

fn level() -> Level {
    // SAFETY: a transaction is running.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

/// Writes what is waiting if it has become much. Not to be called while JavaScript is on the stack.
/// Inside a savepoint nothing is written, as its end would take what was changed before it as well.
pub fn relieve() {
    let is_much = STORE.with_borrow(|store| store.ledger.bytes() > MOST_BYTES);
    if is_much && level() == Ledger::TOP && check_writable().is_ok() {
        flush();
        STORE.with_borrow_mut(|store| store.written_ahead = true);
    }
}

fn flush() {
    let (changed, is_first) =
        STORE.with_borrow_mut(|store| (store.ledger.take(), !store.written_ahead));
    write::write(changed, is_first);
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
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE => before_end(),
        XACT_EVENT_COMMIT
        | XACT_EVENT_PREPARE
        | XACT_EVENT_ABORT
        | XACT_EVENT_PARALLEL_COMMIT
        | XACT_EVENT_PARALLEL_ABORT => STORE.with_borrow_mut(|store| *store = Store::default()),
        _ => {}
    }
}

fn before_end() {
    if STORE.with_borrow(|store| store.ledger.is_clean()) {
        return;
    }
    // SAFETY: a transaction is running, and has no active snapshot any more. That it was made
    // read-only after something was stored does not undo that; an error restores the flag with the
    // rest of the transaction's state.
    unsafe {
        let read_only = pg_sys::XactReadOnly;
        pg_sys::XactReadOnly = false;
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        flush();
        pg_sys::PopActiveSnapshot();
        pg_sys::XactReadOnly = read_only;
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
    STORE.with_borrow_mut(|store| match event {
        SUBXACT_EVENT_ABORT_SUB => store.ledger.roll_back(own),
        SUBXACT_EVENT_COMMIT_SUB => store.ledger.release(own, parent),
        _ => {}
    });
}
