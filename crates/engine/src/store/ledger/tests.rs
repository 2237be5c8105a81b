//! Savepoints, against a model that copies everything; and what is held at most.

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
                    let task = Task::Event(model.1.to_string());
                    ledger.leave(1, task, Cause::default(), level).unwrap();
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
