//! What becomes of a key, in one transaction and in several at a time.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn set(value: &str) -> Action {
    Action::Set { value: value.to_owned(), seconds: None }
}

fn push(elements: &[&str]) -> Action {
    Action::Push(elements.iter().map(|element| element.to_string()).collect())
}

/// The state of what is stored after the changes of slots, one after the other.
fn replay(stored: Option<Entry>, slots: &[Slot]) -> Option<Entry> {
    let mut state = stored;
    slots.iter().flat_map(Slot::changes).for_each(|change| change.apply(&mut state));
    state
}

#[test]
fn increments_of_two_add_up() {
    let (mut one, mut other) = (Slot::default(), Slot::default());
    for slot in [&mut one, &mut other] {
        assert_eq!(slot.perform(Action::CountUp, 0), Ok(Reply::Number(1.0)));
        assert_eq!(slot.perform(Action::CountUp, 0), Ok(Reply::Number(2.0)));
        assert_eq!(slot.changes().len(), 1);
    }
    assert_eq!(replay(None, &[one, other]), Some(Entry::text("4")));
}

#[test]
fn beginning_a_counter_never_begins_it_anew() {
    let (mut one, mut other) = (Slot::default(), Slot::default());
    for slot in [&mut one, &mut other] {
        slot.perform(Action::Begin(10.0), 0).unwrap();
        slot.perform(Action::Increment(1.5), 0).unwrap();
    }
    assert_eq!(replay(None, &[one, other]), Some(Entry::text("13")));
}

#[test]
fn lists_are_those_of_redis() {
    let mut slot = Slot::default();
    assert_eq!(slot.perform(push(&["a", "b"]), 0), Ok(Reply::Number(2.0)));
    assert_eq!(slot.perform(push(&["c"]), 0), Ok(Reply::Number(3.0)));
    let list = |texts: &[&str]| Ok(Reply::List(texts.iter().map(|t| t.to_string()).collect()));
    assert_eq!(slot.perform(Action::Range(0.0, -1.0), 0), list(&["c", "b", "a"]));
    assert_eq!(slot.perform(Action::Range(-2.0, 9.0), 0), list(&["b", "a"]));
    assert_eq!(slot.perform(Action::Range(2.0, 1.0), 0), list(&[]));
    assert_eq!(slot.perform(Action::Pop(1.0), 0), list(&["c"]));
    assert_eq!(slot.perform(Action::Remove(-1.0, "a".to_owned()), 0), Ok(Reply::Number(1.0)));
    assert_eq!(slot.perform(Action::Length, 0), Ok(Reply::Number(1.0)));
    assert_eq!(slot.perform(Action::Pop(9.0), 0), list(&["b"]));
    assert_eq!(slot.perform(Action::Pop(9.0), 0), Ok(Reply::Missing));
    assert_eq!(replay(None, &[slot]), None);
}

#[test]
fn what_two_pop_at_once_both_get_and_the_rest_stays() {
    let stored = replay(
        None,
        &[{
            let mut slot = Slot::default();
            slot.perform(push(&["c", "b", "a"]), 0).unwrap();
            slot
        }],
    );
    let mut slots = [Slot::stored(stored.clone()), Slot::stored(stored.clone())];
    for slot in &mut slots {
        assert_eq!(slot.perform(Action::Pop(1.0), 0), Ok(Reply::List(vec!["a".to_owned()])));
    }
    let left = Slot::stored(replay(stored, &slots)).perform(Action::Length, 0);
    assert_eq!(left, Ok(Reply::Number(2.0)));
}

#[test]
fn a_long_list_is_taken_at_once() {
    let mut slot = Slot::default();
    let elements: Vec<String> = (0..40_000).map(|_| String::new()).collect();
    for part in elements.chunks(MOST_PUSHED) {
        slot.perform(Action::Push(part.to_vec()), 0).unwrap();
    }
    let stored = replay(None, &[slot]);
    let mut slots = [Slot::stored(stored.clone()), Slot::stored(stored.clone())];
    for slot in &mut slots {
        assert_eq!(slot.perform(Action::Pop(50_000.0), 0), Ok(Reply::List(elements.clone())));
        // Among the changes of many others as well.
        assert_eq!(slot.changes().len(), 1);
    }
    assert_eq!(replay(stored, &slots), None);
}

#[test]
fn what_is_taken_from_a_list_that_others_changed_is_taken_once() {
    let letters = |text: &str| text.chars().map(String::from).collect::<VecDeque<_>>();
    let stored = Entry { content: Content::List(letters("abac")), expires_at: None };
    let mut slot = Slot::stored(Some(stored.clone()));
    slot.perform(Action::Pop(3.0), 0).unwrap();
    // Meanwhile somebody pushed an x and an a.
    let state = Entry { content: Content::List(letters("axabac")), expires_at: None };
    let left = Entry { content: Content::List(letters("xac")), expires_at: None };
    assert_eq!(replay(Some(state), &[slot]), Some(left));
}

#[test]
fn what_has_expired_begins_anew_and_what_was_added_before_went_with_it() {
    let mut slot = Slot::default();
    slot.perform(Action::Set { value: "5".to_owned(), seconds: Some(1.0) }, 0).unwrap();
    let stored = replay(None, &[slot]);
    let mut early = Slot::stored(stored.clone());
    assert_eq!(early.perform(Action::CountUp, 999_999), Ok(Reply::Number(6.0)));
    let state = replay(stored, &[early]);
    assert!(state.as_ref().is_some_and(|entry| entry.is_over(1_000_000)), "{state:?}");
    let mut late = Slot::stored(state);
    assert_eq!(late.perform(Action::CountUp, 1_000_000), Ok(Reply::Number(1.0)));
}

#[test]
fn a_key_of_the_other_kind_is_refused_and_keeps_what_it_holds() {
    let mut slot = Slot::default();
    slot.perform(set("text"), 0).unwrap();
    for action in [push(&["a"]), Action::Pop(1.0), Action::Length, Action::Range(0.0, 1.0)] {
        assert_eq!(slot.perform(action, 0).unwrap_err().code, WRONG_KIND);
    }
    for action in [Action::CountUp, Action::Increment(1.0)] {
        assert_eq!(slot.perform(action, 0).unwrap_err().code, NOT_A_NUMBER);
    }
    assert_eq!(slot.perform(Action::Get, 0), Ok(Reply::Text("text".to_owned())));
}

#[test]
fn sizes_are_limited() {
    let mut slot = Slot::default();
    let long = "x".repeat(LARGEST_VALUE + 1);
    assert_eq!(slot.perform(set(&long), 0).unwrap_err().code, TOO_LARGE);
    assert_eq!(slot.perform(push(&[&long]), 0).unwrap_err().code, TOO_LARGE);
    assert_eq!(slot.perform(push(&["a"; 1001]), 0).unwrap_err().code, TOO_LARGE);
    assert_eq!(slot.perform(Action::Get, 0), Ok(Reply::Missing));
}

#[test]
fn a_queue_that_becomes_empty_leaves_nothing_to_write() {
    let mut slot = Slot::default();
    for _ in 0..10 {
        slot.perform(push(&["a", "b"]), 0).unwrap();
        slot.perform(Action::Pop(1.0), 0).unwrap();
        slot.perform(Action::Pop(5.0), 0).unwrap();
        assert_eq!(slot.pending, Pending::Nothing);
    }
    // What somebody else had there is taken.
    let list = replay(
        None,
        &[{
            let mut slot = Slot::default();
            slot.perform(push(&["z"]), 0).unwrap();
            slot
        }],
    );
    let mut slot = Slot::stored(list.clone());
    slot.perform(push(&["a"]), 0).unwrap();
    slot.perform(Action::Pop(2.0), 0).unwrap();
    assert_eq!(replay(list, &[slot]), None);
}

#[test]
fn counting_with_an_expiry_each_time_is_two_changes() {
    let mut slot = Slot::default();
    for second in 0..100 {
        slot.perform(Action::CountUp, second * 1_000_000).unwrap();
        slot.perform(Action::Expire(10.0), second * 1_000_000).unwrap();
    }
    assert_eq!(slot.changes().len(), 2);
    let expected = Entry { expires_at: Some(109_000_000), ..Entry::text("100") };
    assert_eq!(replay(None, &[slot.clone()]), Some(expected));
    // Ten seconds later it begins anew.
    slot.perform(Action::CountUp, 109_000_000).unwrap();
    assert_eq!(slot.changes().len(), 3);
    assert_eq!(replay(None, &[slot]), Some(Entry::text("1")));
}

#[test]
fn a_queue_in_one_transaction_does_not_grow() {
    let mut slot = Slot::default();
    slot.perform(push(&["first"]), 0).unwrap();
    for number in 0..1000 {
        slot.perform(push(&[&number.to_string()]), 0).unwrap();
        slot.perform(Action::Pop(1.0), 0).unwrap();
    }
    assert_eq!(slot.changes().len(), 1);
}

proptest! {
    #[test]
    fn what_is_written_comes_to_what_the_plugin_saw(
        stored in proptest::option::of(entry()),
        steps in proptest::collection::vec((action(), 0..3i64), 0..40),
    ) {
        let mut slot = Slot::stored(stored.clone());
        let mut now = 0;
        for (action, seconds) in steps {
            now += seconds * 1_000_000;
            let _ = slot.perform(action, now);
            let there = |state: Option<Entry>| state.filter(|entry| !entry.is_over(now));
            let written = replay(stored.clone(), &[slot.clone()]);
            prop_assert_eq!(there(written), there(slot.state.clone()));
        }
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    let content = prop_oneof![
        Just(Content::Text("5".to_owned())),
        Just(Content::Text("text".to_owned())),
        Just(Content::List(["a", "b", "a"].map(str::to_owned).into())),
    ];
    (content, proptest::option::of(Just(4_000_000)))
        .prop_map(|(content, expires_at)| Entry { content, expires_at })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        1 => Just(set("7")),
        1 => Just(Action::Set { value: "8".to_owned(), seconds: Some(3.0) }),
        1 => Just(Action::Delete),
        3 => Just(Action::CountUp),
        2 => Just(Action::Begin(2.0)),
        3 => (0..5u8).prop_map(|seconds| Action::Expire(seconds.into())),
        4 => Just(push(&["a", "c"])),
        3 => (0..4u8).prop_map(|count| Action::Pop(count.into())),
        2 => (-1..2i8).prop_map(|count| Action::Remove(count.into(), "a".to_owned())),
    ]
}
