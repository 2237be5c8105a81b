//! What plugins keep and leave for later, as the running transaction sees it. What a plugin reads is
//! read from the tables once; what it changes is written when the transaction commits, in bulk, as
//! nobody else could see it before. A thousand increments become one row, and an error while writing
//! never comes up inside JavaScript.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use engine::store::{Action, Entry, Operation, Pending, Place, Refusal, Reply, Slot};
use engine::{Program, Task};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::catalog::kept::{self, Key, Owner, now};
use crate::catalog::{as_owner, tasks};
use crate::error::Error;

/// Bytes that are held before they are written ahead of the commit.
const MOST_BYTES: usize = 4 << 20;

/// Inside a savepoint nothing is written, as its end would take what was changed before it as well.
const MOST_BYTES_HELD_BACK: usize = 16 << 20;

/// Keys that are remembered only for being read again.
const MOST_CLEAN: usize = 1000;

/// Rows of a key that a reader may meet before the next writer folds them.
const MANY_ROWS: usize = 8;

/// One in so many writers looks whether a key that nobody reads has many.
const LOOKED_AT_ONCE_IN: u64 = 16;

/// PostgreSQL's TopSubTransactionId: outside of every savepoint.
const TOP_LEVEL: pg_sys::SubTransactionId = 1;

const READ_ONLY: &str = "25006"; // read_only_sql_transaction
const TOO_MUCH: &str = "53400"; // configuration_limit_exceeded

#[derive(Default)]
struct Store {
    slots: HashMap<Key, Held>,
    tasks: Vec<(pg_sys::SubTransactionId, i32, Task)>,
    /// What savepoints have changed, to be put back when they are rolled back.
    undo: Vec<Undo>,
    /// About how many bytes are waiting to be written.
    bytes: usize,
    /// What was visible when the slots were read.
    seen: Option<Seen>,
    generation: u64,
    /// How many keys were read since those that are only read were last forgotten.
    clean: usize,
    /// The transaction has written some of it.
    written_ahead: bool,
}

/// A key in use.
#[derive(Default)]
struct Held {
    slot: Slot,
    /// The savepoint in which it was last remembered in `undo`.
    level: pg_sys::SubTransactionId,
    /// How many it was read from.
    rows: usize,
    /// When it was read, in changes of what is visible; 0 is never.
    generation: u64,
}

struct Undo {
    level: pg_sys::SubTransactionId,
    key: Key,
    level_before: pg_sys::SubTransactionId,
    /// `None`: nothing was to be written of it.
    before: Option<Slot>,
}

/// Tells two snapshots of a session apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    command: pg_sys::CommandId,
    /// Of a snapshot: with the same end, others can only have become fewer.
    end: pg_sys::TransactionId,
    running: (u32, i32),
}

thread_local! {
    static STORE: RefCell<Store> = RefCell::default();
}

/// Does something to what a program keeps. Called while JavaScript is on the stack: an error of
/// PostgreSQL's unwinds to the caller, who has to keep it from there.
pub fn perform(program: &Program, operation: Operation) -> Result<Reply, Refusal> {
    let Operation { place, key, action } = operation;
    let key = Key { owner: owner(program, place), name: key };
    if !action.only_reads() {
        check_writable()?;
    }
    let is_blind = matches!(action, Action::Set { .. } | Action::Delete);
    let seen = Seen::now();
    let is_known = STORE.with_borrow_mut(|store| {
        store.notice(seen);
        is_blind || store.is_current(&key)
    });
    if !is_known {
        // Not borrowed meanwhile: an error that ends the session would come back here.
        let (state, rows) = read(&key);
        STORE.with_borrow_mut(|store| store.adopt(&key, state, rows));
    }
    STORE.with_borrow_mut(|store| store.perform(key, action))
}

/// Keeps something for later.
pub fn leave(program: &Program, task: Task) -> Result<(), Refusal> {
    check_writable()?;
    STORE.with_borrow_mut(|store| {
        store.take(task_bytes(&task))?;
        store.tasks.push((level(), program.id, task));
        Ok(())
    })
}

/// About how much memory it takes.
fn task_bytes(task: &Task) -> usize {
    size_of::<Task>()
        + match task {
            Task::Job { name, payload, .. } => name.len() + payload.len(),
            Task::Event(event) => event.len(),
        }
}

/// Whose the keys of a program are.
pub fn owner(program: &Program, place: Place) -> Owner {
    match place {
        Place::Storage => Owner::Config(program.id),
        Place::Cache => {
            Owner::Plugin { plugin: program.plugin.as_str().into(), team_id: program.team_id }
        }
    }
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

fn level() -> pg_sys::SubTransactionId {
    // SAFETY: a transaction is running.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

impl Store {
    /// What was read under another snapshot is read again when it is used.
    fn notice(&mut self, seen: Seen) {
        if self.seen.replace(seen) != Some(seen) {
            self.generation += 1;
        }
        if self.clean > MOST_CLEAN {
            self.clean = 0;
            self.slots.retain(|_, held| held.slot.pending != Pending::Nothing);
        }
    }

    /// Whether what a key holds is known.
    fn is_current(&self, key: &Key) -> bool {
        self.slots.get(key).is_some_and(|held| {
            matches!(held.slot.pending, Pending::All { .. }) || held.generation == self.generation
        })
    }

    /// Takes in what others have written of a key, under what the transaction has changed.
    fn adopt(&mut self, key: &Key, mut state: Option<Entry>, rows: usize) {
        let held = self.slots.entry(key.clone()).or_default();
        for change in held.slot.changes() {
            change.apply(&mut state);
        }
        self.clean += usize::from(held.slot.pending == Pending::Nothing);
        held.slot.state = state;
        held.rows = rows;
        held.generation = self.generation;
    }

    fn perform(&mut self, key: Key, action: Action) -> Result<Reply, Refusal> {
        if action.only_reads() {
            let held = self.slots.entry(key).or_default();
            return held.slot.perform(action, now());
        }
        self.remember(&key);
        let held = self.slots.entry(key).or_default();
        let (before, was_clean) = (held.slot.bytes(), held.slot.pending == Pending::Nothing);
        let reply = held.slot.perform(action, now())?;
        let more =
            if was_clean { held.slot.bytes() } else { held.slot.bytes().saturating_sub(before) };
        self.take(more)?;
        Ok(reply)
    }

    /// Counts bytes; more than there is room for inside a savepoint are refused.
    fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        if self.bytes + bytes > MOST_BYTES_HELD_BACK + MOST_BYTES {
            let message = "the transaction stores too much inside a savepoint";
            return Err(Refusal::new(TOO_MUCH, message));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Remembers what a savepoint's end may have to put back.
    fn remember(&mut self, key: &Key) {
        let level = level();
        if level == TOP_LEVEL {
            return;
        }
        let held = self.slots.entry(key.clone()).or_default();
        if held.level == level {
            return;
        }
        let level_before = std::mem::replace(&mut held.level, level);
        let is_dirty = held.slot.pending != Pending::Nothing;
        let before = is_dirty.then(|| held.slot.clone());
        self.undo.push(Undo { level, key: key.clone(), level_before, before });
    }

    /// A savepoint was rolled back, and all that were opened inside.
    fn roll_back(&mut self, to: pg_sys::SubTransactionId) {
        while let Some(undo) = self.undo.pop_if(|undo| undo.level >= to) {
            let undone = self.slots.remove(&undo.key).map_or(0, |held| held.slot.bytes());
            let kept = undo.before.as_ref().map_or(0, Slot::bytes);
            self.bytes = self.bytes.saturating_sub(undone.saturating_sub(kept));
            if let Some(slot) = undo.before {
                let held = Held { slot, level: undo.level_before, ..Held::default() };
                self.slots.insert(undo.key, held);
            }
        }
        for (.., task) in self.tasks.extract_if(.., |(level, ..)| *level >= to) {
            self.bytes = self.bytes.saturating_sub(task_bytes(&task));
        }
        // What was read may be gone as well.
        self.seen = None;
    }

    /// What a savepoint has changed is now its parent's.
    fn release(&mut self, from: pg_sys::SubTransactionId, to: pg_sys::SubTransactionId) {
        for undo in self.undo.iter_mut().filter(|undo| undo.level == from) {
            undo.level = to;
            if let Some(held) = self.slots.get_mut(&undo.key) {
                held.level = to;
            }
        }
        if to == TOP_LEVEL {
            self.undo.clear();
        }
        for (level, ..) in self.tasks.iter_mut().filter(|(level, ..)| *level == from) {
            *level = to;
        }
    }
}

impl Seen {
    fn now() -> Self {
        // SAFETY: a transaction is running, and a snapshot can be taken in it; the one that is
        // returned is read at once.
        unsafe {
            let command = pg_sys::GetCurrentCommandId(false);
            if has_one_snapshot() {
                return Seen { command, end: pg_sys::InvalidTransactionId, running: (0, 0) };
            }
            let snapshot = pg_sys::GetLatestSnapshot();
            let running = ((*snapshot).xcnt, (*snapshot).subxcnt);
            Seen { command, end: (*snapshot).xmax, running }
        }
    }
}

/// Whether the transaction sees nothing new.
fn has_one_snapshot() -> bool {
    // SAFETY: the running transaction's.
    unsafe {
        pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 || pg_sys::IsInParallelMode()
    }
}

/// What the tables have of a key.
pub fn read(key: &Key) -> (Option<Entry>, usize) {
    // SAFETY: a transaction is running; the snapshot is popped again unless an error ends it.
    let found = unsafe {
        pg_sys::PushActiveSnapshot(if has_one_snapshot() {
            pg_sys::GetTransactionSnapshot()
        } else {
            pg_sys::GetLatestSnapshot()
        });
        let found = as_owner(|client| kept::read(client, key));
        pg_sys::PopActiveSnapshot();
        found
    };
    found.unwrap_or_else(|error| {
        ErrorReport::from(Error::from(error)).report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    })
}

/// Writes what is waiting if it has become much. Not to be called while JavaScript is on the stack.
pub fn relieve() {
    let is_much = STORE.with_borrow(|store| store.bytes > MOST_BYTES);
    if is_much && level() == TOP_LEVEL {
        flush();
        STORE.with_borrow_mut(|store| store.written_ahead = true);
    }
}

/// Writes everything. An error ends the transaction: what a plugin was told to be stored is stored,
/// or none of it has happened.
fn flush() {
    let (slots, left, written_ahead) = STORE.with_borrow_mut(|store| {
        store.bytes = 0;
        store.seen = None;
        store.undo.clear();
        let slots = std::mem::take(&mut store.slots);
        (slots, std::mem::take(&mut store.tasks), store.written_ahead)
    });
    let dirty: Vec<(Key, Held)> =
        slots.into_iter().filter(|(_, held)| held.slot.pending != Pending::Nothing).collect();
    if dirty.is_empty() && left.is_empty() || !is_there() {
        return;
    }
    // Rows of a transaction that is not over are no part of a base: two would be made. And under a
    // snapshot from before somebody else's removals, what they removed would be an error.
    let may_remove = !has_one_snapshot();
    let tasks: Vec<(i32, Task)> = left.into_iter().map(|(_, id, task)| (id, task)).collect();
    let written = as_owner(|client| {
        if may_remove {
            let replaced: Vec<&Key> = dirty
                .iter()
                .filter(|(_, held)| matches!(held.slot.pending, Pending::All { .. }))
                .map(|(key, _)| key)
                .collect();
            kept::supersede(client, &replaced)?;
        }
        if may_remove && !written_ahead {
            for (key, held) in &dirty {
                let is_relative = matches!(held.slot.pending, Pending::Changes(_));
                let has_many = held.rows >= MANY_ROWS;
                if is_relative && (has_many || is_drawn()) {
                    kept::fold(client, key, kept::FEW)?;
                }
            }
        }
        let changes = dirty
            .iter()
            .flat_map(|(key, held)| held.slot.changes().into_iter().map(move |c| (key, c)));
        kept::append(client, changes.collect())?;
        tasks::append(client, &tasks)
    });
    if let Err(error) = written {
        ErrorReport::from(Error::from(error)).report(PgLogLevel::ERROR);
    }
}

/// Whether there is still somewhere to write to.
fn is_there() -> bool {
    // SAFETY: look-ups of constant names.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"posthog_plugins".as_ptr(), true);
        pg_sys::get_relname_relid(c"plugin_storage".as_ptr(), schema) != pg_sys::InvalidOid
    }
}

fn is_drawn() -> bool {
    RandomState::new().hash_one(()).is_multiple_of(LOOKED_AT_ONCE_IN)
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
    let is_clean = STORE.with_borrow(|store| {
        store.tasks.is_empty()
            && store.slots.values().all(|held| held.slot.pending == Pending::Nothing)
    });
    if is_clean {
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
        SUBXACT_EVENT_ABORT_SUB => store.roll_back(own),
        SUBXACT_EVENT_COMMIT_SUB => store.release(own, parent),
        _ => {}
    });
}
