//! What one transaction has read and changed: its keys, what they were before each savepoint, and
//! what is left for later. Pure: the host tells of savepoints, hands in what is stored, and writes
//! down what is taken out.

use std::collections::HashMap;

use super::{Action, Entry, Key, Pending, Refusal, Reply, Slot};
use crate::host::{Cause, Task};

/// A savepoint: those opened later have a higher number, and [`Ledger::TOP`] is outside of all.
pub type Level = u32;

/// What may wait to be written. The host makes room between events; within one, and inside a
/// savepoint, whose end would take along what was written before it, there is no more.
const MOST_BYTES: usize = 20 << 20;

/// What is remembered only for being read again.
const MOST_BYTES_READ: usize = 4 << 20;

const TOO_MUCH: &str = "53400"; // configuration_limit_exceeded

#[derive(Default)]
pub struct Ledger {
    slots: HashMap<Key, Held>,
    /// In the order of their levels.
    tasks: Vec<Left>,
    /// What savepoints have changed, in the order of their levels.
    undo: Vec<Undo>,
    /// About how many bytes are waiting to be written, and to be put back.
    bytes: usize,
    /// The same of keys that were only read.
    bytes_read: usize,
    /// How often others' changes may have become visible.
    generation: u64,
}

/// A key in use.
#[derive(Default)]
struct Held {
    slot: Slot,
    /// Counted among the bytes that wait; 0 for what was only read.
    bytes: usize,
    /// The savepoint in which it was last remembered in `undo`.
    level: Level,
    /// Of how many rows it was read.
    rows: usize,
    /// When it was read; 0 is never.
    generation: u64,
}

struct Undo {
    level: Level,
    key: Key,
    level_before: Level,
    /// `None`: nothing was to be written of it.
    before: Option<Slot>,
    bytes: usize,
}

/// What a program has left for later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    level: Level,
    pub program: i32,
    pub task: Task,
    pub cause: Cause,
}

/// What has to be written.
#[derive(Default)]
pub struct Changed {
    pub keys: Vec<ChangedKey>,
    /// In order.
    pub tasks: Vec<Left>,
}

pub struct ChangedKey {
    pub key: Key,
    pub slot: Slot,
    /// How many rows the host said there were; 0 if it was not asked.
    pub rows: usize,
}

impl Ledger {
    /// Outside of every savepoint.
    pub const TOP: Level = 1;

    pub fn is_clean(&self) -> bool {
        self.tasks.is_empty() && self.slots.values().all(|held| !held.is_changed())
    }

    /// About how many bytes are waiting to be written.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Others' changes may be visible now: what was read is asked for again.
    pub fn look_again(&mut self) {
        self.generation += 1;
    }

    /// Whether the action can be done without knowing more of what is stored.
    pub fn is_enough_for(&self, key: &Key, action: &Action) -> bool {
        action.is_blind()
            || self.slots.get(key).is_some_and(|held| {
                let is_all_ours = matches!(held.slot.pending, Pending::All { .. });
                is_all_ours || held.generation == self.generation + 1
            })
    }

    /// Takes in what is stored of a key, in so many rows, under what the transaction has changed.
    pub fn adopt(&mut self, key: &Key, mut state: Option<Entry>, rows: usize) {
        if self.bytes_read > MOST_BYTES_READ {
            self.bytes_read = 0;
            self.slots.retain(|_, held| held.is_changed());
        }
        let held = self.slots.entry(key.clone()).or_default();
        for change in held.slot.changes() {
            change.apply(&mut state);
        }
        held.slot.state = state;
        held.rows = rows;
        held.generation = self.generation + 1;
        if held.is_changed() {
            self.bytes -= held.bytes;
            held.bytes = weight(key, &held.slot);
            self.bytes += held.bytes;
        } else {
            self.bytes_read += weight(key, &held.slot);
        }
    }

    pub fn perform(
        &mut self,
        key: Key,
        action: Action,
        level: Level,
        now: i64,
    ) -> Result<Reply, Refusal> {
        if action.only_reads() {
            return self.slots.entry(key).or_default().slot.perform(action, now);
        }
        self.check_room(&key, &action, level)?;
        self.remember(&key, level);
        let held = self.slots.entry(key.clone()).or_default();
        let reply = held.slot.perform(action, now);
        self.bytes -= held.bytes;
        held.bytes = if held.is_changed() { weight(&key, &held.slot) } else { 0 };
        self.bytes += held.bytes;
        reply
    }

    /// Keeps something of a program for later.
    pub fn leave(
        &mut self,
        program: i32,
        task: Task,
        cause: Cause,
        level: Level,
    ) -> Result<(), Refusal> {
        self.check(task_bytes(&task))?;
        self.bytes += task_bytes(&task);
        self.tasks.push(Left { level, program, task, cause });
        Ok(())
    }

    /// Before anything is done: what is refused has not happened.
    fn check_room(&self, key: &Key, action: &Action, level: Level) -> Result<(), Refusal> {
        let (mut more, held) = (action.bytes(), self.slots.get(key));
        match held {
            Some(held) if held.is_changed() => {
                let copies = is_to_be_remembered(held.level, level);
                more += if copies { held.bytes } else { 0 };
            }
            held => {
                more += held.map_or(0, |held| held.slot.bytes()) + weight(key, &Slot::default())
            }
        }
        self.check(more)
    }

    fn check(&self, more: usize) -> Result<(), Refusal> {
        if self.bytes + more <= MOST_BYTES {
            return Ok(());
        }
        let message = "plugins store too much in one event, or inside a savepoint";
        Err(Refusal::new(TOO_MUCH, message))
    }

    /// Remembers what a savepoint's end may have to put back.
    fn remember(&mut self, key: &Key, level: Level) {
        let held = self.slots.entry(key.clone()).or_default();
        if !is_to_be_remembered(held.level, level) {
            return;
        }
        let level_before = std::mem::replace(&mut held.level, level);
        let before = held.is_changed().then(|| held.slot.clone());
        let bytes = weight(key, before.as_ref().unwrap_or(&Slot::default()));
        self.bytes += bytes;
        self.undo.push(Undo { level, key: key.clone(), level_before, before, bytes });
    }

    /// A savepoint was rolled back, with all that were opened inside.
    pub fn roll_back(&mut self, to: Level) {
        while let Some(undo) = self.undo.pop_if(|undo| undo.level >= to) {
            let undone = self.slots.remove(&undo.key).map_or(0, |held| held.bytes);
            self.bytes -= undo.bytes + undone;
            if let Some(slot) = undo.before {
                let bytes = weight(&undo.key, &slot);
                let held = Held { slot, bytes, level: undo.level_before, ..Held::default() };
                self.bytes += bytes;
                self.slots.insert(undo.key, held);
            }
        }
        while let Some(left) = self.tasks.pop_if(|left| left.level >= to) {
            self.bytes -= task_bytes(&left.task);
        }
        // What was read may be gone as well.
        self.look_again();
    }

    /// What a savepoint has changed is now its parent's.
    pub fn release(&mut self, from: Level, to: Level) {
        let first = self.undo.iter().rposition(|undo| undo.level < from).map_or(0, |at| at + 1);
        for mut undo in self.undo.split_off(first) {
            if let Some(held) = self.slots.get_mut(&undo.key) {
                held.level = to;
            }
            // The parent's own memory of the key is the older one.
            if to == Self::TOP || undo.level_before == to {
                self.bytes -= undo.bytes;
            } else {
                undo.level = to;
                self.undo.push(undo);
            }
        }
        for left in self.tasks.iter_mut().rev().take_while(|left| left.level == from) {
            left.level = to;
        }
    }

    /// Takes out what has to be written, and forgets the rest.
    pub fn take(&mut self) -> Changed {
        let Ledger { slots, tasks, .. } = std::mem::take(self);
        Changed {
            keys: slots
                .into_iter()
                .filter(|(_, held)| held.is_changed())
                .map(|(key, held)| ChangedKey { key, slot: held.slot, rows: held.rows })
                .collect(),
            tasks,
        }
    }
}

impl Held {
    fn is_changed(&self) -> bool {
        self.slot.pending != Pending::Nothing
    }
}

/// Whether a change at that level is the first in its savepoint.
fn is_to_be_remembered(remembered: Level, level: Level) -> bool {
    level != Ledger::TOP && level != remembered
}

fn weight(key: &Key, slot: &Slot) -> usize {
    size_of::<(Key, Held)>() + key.name.len() + slot.bytes()
}

fn task_bytes(task: &Task) -> usize {
    size_of::<Left>()
        + match task {
            Task::Job { name, payload, .. } => name.len() + payload.len(),
            Task::Event(event) => event.len(),
        }
}

#[cfg(test)]
mod tests;
