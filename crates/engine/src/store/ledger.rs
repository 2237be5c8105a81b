//! What one transaction has read and changed: its keys, what they were before each savepoint, and
//! what is left for later. Pure: the host tells of savepoints, hands in what is stored, and writes
//! down what is taken out.

use std::collections::HashMap;

use super::{Action, Entry, Key, Pending, Refusal, Reply, Slot};
use crate::host::Task;

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

struct Left {
    level: Level,
    program: i32,
    task: Task,
}

/// What has to be written.
#[derive(Default)]
pub struct Changed {
    pub keys: Vec<ChangedKey>,
    /// With the programs that left them.
    pub tasks: Vec<(i32, Task)>,
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
    pub fn leave(&mut self, program: i32, task: Task, level: Level) -> Result<(), Refusal> {
        self.check(task_bytes(&task))?;
        self.bytes += task_bytes(&task);
        self.tasks.push(Left { level, program, task });
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
            tasks: tasks.into_iter().map(|left| (left.program, left.task)).collect(),
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Owner;

    fn key(number: usize) -> Key {
        Key { owner: Owner::Config(1), name: format!("key {number}") }
    }

    fn set(bytes: usize) -> Action {
        Action::Set { value: "x".repeat(bytes), seconds: None }
    }

    /// The sum that `bytes` is kept to be.
    fn counted(ledger: &Ledger) -> usize {
        let slots = ledger.slots.iter().filter(|(_, held)| held.is_changed());
        slots.map(|(key, held)| weight(key, &held.slot)).sum::<usize>()
            + ledger.tasks.iter().map(|left| task_bytes(&left.task)).sum::<usize>()
            + ledger.undo.iter().map(|undo| undo.bytes).sum::<usize>()
    }

    #[test]
    fn what_is_refused_has_not_happened() {
        let mut ledger = Ledger::default();
        let refused = (0..).find_map(|number| {
            ledger.perform(key(number), set(1 << 20), Ledger::TOP, 0).err().map(|why| (number, why))
        });
        let (number, refusal) = refused.unwrap();
        assert_eq!((number, refusal.code), (19, TOO_MUCH));
        for _ in 0..100 {
            ledger.perform(key(number), set(1 << 20), Ledger::TOP, 0).unwrap_err();
        }
        assert!(counted(&ledger) <= MOST_BYTES);
        assert_eq!(ledger.take().keys.len(), number);
    }

    #[test]
    fn what_was_only_read_is_forgotten_when_it_is_much() {
        let mut ledger = Ledger::default();
        for number in 0..100 {
            ledger.adopt(&key(number), Some(Entry::text("x".repeat(1 << 20))), 1);
        }
        assert!(ledger.slots.len() < 7, "{} keys", ledger.slots.len());
        ledger.perform(key(0), set(1), Ledger::TOP, 0).unwrap();
        for number in 1..100 {
            ledger.adopt(&key(number), Some(Entry::text("x".repeat(1 << 20))), 1);
        }
        assert_eq!(ledger.take().keys.len(), 1);
    }

    #[test]
    fn a_chain_of_savepoints_in_one_remembers_a_key_once() {
        let mut ledger = Ledger::default();
        let outer = 2;
        for inner in 3..1000 {
            ledger.perform(key(0), set(1 << 10), inner, 0).unwrap();
            ledger.release(inner, outer);
        }
        assert_eq!(ledger.undo.len(), 1);
        ledger.roll_back(outer);
        assert!(ledger.is_clean());
        assert_eq!(ledger.bytes, 0);
    }

    /// What a transaction does, with the savepoints it is in as a stack.
    #[derive(Debug, Clone)]
    enum Step {
        Do(usize, Action),
        Leave,
        Savepoint,
        RollBack,
        Release,
    }

    fn step() -> impl Strategy<Value = Step> {
        let list = || Action::Push(vec!["a".to_owned(), "b".to_owned()]);
        let action = prop_oneof![
            (0..9usize).prop_map(set),
            Just(Action::Delete),
            Just(Action::Increment(1.0)),
            Just(Action::Begin(5.0)),
            Just(list()),
            Just(Action::Pop(1.0)),
            Just(Action::Remove(0.0, "a".to_owned())),
            Just(Action::Expire(9.0)),
        ];
        prop_oneof![
            6 => (0..4usize, action).prop_map(|(number, action)| Step::Do(number, action)),
            1 => Just(Step::Leave),
            2 => Just(Step::Savepoint),
            1 => Just(Step::RollBack),
            1 => Just(Step::Release),
        ]
    }

    /// Keys and what they hold, which a savepoint copies.
    type Model = (HashMap<usize, Slot>, usize);

    proptest! {
        #[test]
        fn a_savepoint_puts_back_exactly_what_was_there(
            steps in proptest::collection::vec(step(), 0..60)
        ) {
            let mut ledger = Ledger::default();
            let mut model = Model::default();
            let mut savepoints: Vec<(Level, Model)> = Vec::new();
            let mut last = Ledger::TOP;
            for step in steps {
                let level = savepoints.last().map_or(Ledger::TOP, |(level, _)| *level);
                match step {
                    Step::Do(number, action) => {
                        if !ledger.is_enough_for(&key(number), &action) {
                            ledger.adopt(&key(number), None, 0);
                        }
                        let slot = model.0.entry(number).or_default();
                        let expected = slot.perform(action.clone(), 0);
                        prop_assert_eq!(ledger.perform(key(number), action, level, 0), expected);
                    }
                    Step::Leave => {
                        ledger.leave(1, Task::Event(model.1.to_string()), level).unwrap();
                        model.1 += 1;
                    }
                    Step::Savepoint => {
                        last += 1;
                        savepoints.push((last, model.clone()));
                    }
                    Step::RollBack => {
                        let Some((level, before)) = savepoints.pop() else { continue };
                        ledger.roll_back(level);
                        model = before;
                    }
                    Step::Release => {
                        let Some((level, _)) = savepoints.pop() else { continue };
                        let parent = savepoints.last().map_or(Ledger::TOP, |(level, _)| *level);
                        ledger.release(level, parent);
                    }
                }
                prop_assert_eq!(ledger.bytes, counted(&ledger));
            }
            while let Some((level, _)) = savepoints.pop() {
                let parent = savepoints.last().map_or(Ledger::TOP, |(level, _)| *level);
                ledger.release(level, parent);
            }
            prop_assert!(ledger.undo.is_empty());
            let Changed { keys, tasks } = ledger.take();
            prop_assert_eq!(tasks.len(), model.1);
            model.0.retain(|_, slot| slot.pending != Pending::Nothing);
            prop_assert_eq!(keys.len(), model.0.len());
            for (number, slot) in model.0 {
                let found = keys.iter().find(|changed| changed.key == key(number));
                prop_assert_eq!(found.map(|found| found.slot.changes()), Some(slot.changes()));
            }
        }
    }
}
