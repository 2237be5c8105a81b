//! Differences between documents: what they are, and that they lead from one to the other.

#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use common::{normal, payload, read};
use jsonb::{Document, Step, diff};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The differences, one a line.
fn lines(before: &Value, after: &Value) -> Vec<String> {
    let (before, after) = (payload(before), payload(after));
    let root = |bytes| Document::new(bytes).unwrap().root();
    let show =
        |value: Option<_>| value.map_or(String::new(), |value| read(value).unwrap().to_string());
    diff(root(&before), root(&after))
        .unwrap()
        .iter()
        .map(|change| format!("{}: {} > {}", change.path, show(change.before), show(change.after)))
        .collect()
}

#[test]
fn what_is_equal_has_no_difference() {
    for value in [json!({}), json!([1, "a", null, true]), json!({"a": {"b": [1.5, {}]}}), json!(7)]
    {
        assert_eq!(lines(&value, &value), [""; 0]);
    }
}

#[test]
fn a_difference_is_where_it_is_and_nowhere_above() {
    let before = json!({"a": {"b": 1, "c": [1, 2], "d": {"e": null}}, "gone": [1]});
    let after = json!({"a": {"b": "1", "c": [1, 3], "d": {"e": {}}}, "new": false});
    assert_eq!(
        lines(&before, &after),
        ["a.b: 1 > \"1\"", "a.c[1]: 2 > 3", "a.d.e: null > {}", "gone: [1] > ", "new:  > false"]
    );
}

#[test]
fn arrays_of_different_lengths_differ_as_a_whole() {
    assert_eq!(lines(&json!({"a": [1, 2]}), &json!({"a": [1]})), ["a: [1,2] > [1]"]);
}

#[test]
fn the_root_has_an_empty_path() {
    assert_eq!(lines(&json!(1), &json!([])), [": 1 > []"]);
}

#[test]
fn odd_keys_are_quoted_and_no_two_paths_are_alike() {
    let line = |key: &str| lines(&json!({}), &json!({ key: 1 })).remove(0);
    assert_eq!(line("$set"), "$set:  > 1");
    assert_eq!(line("größe-1"), "größe-1:  > 1");
    assert_eq!(line("a.b"), "[\"a.b\"]:  > 1");
    assert_eq!(line(""), "[\"\"]:  > 1");
    assert_eq!(line("a\"]\\"), "[\"a\\\"]\\\\\"]:  > 1");
    assert_eq!(line("[0]"), "[\"[0]\"]:  > 1");
    let inner = lines(&json!({"a": {}}), &json!({"a": {"b c": 1, "0": 2}}));
    assert_eq!(inner, ["a.0:  > 2", "a[\"b c\"]:  > 1"]);
}

#[test]
fn numbers_are_compared_by_value() {
    // 1, 1.0 and 1.00 as numeric: short header with the scale in it, weight 0, digit 1.
    let one = |scale: u16| common::numeric_payload(&[0x8000 | scale << 7], &[1]);
    let payloads = [one(0), one(1), one(2)];
    for (before, after) in [(0, 1), (1, 2), (2, 0)] {
        let root = |at: usize| Document::new(&payloads[at]).unwrap().root();
        assert!(diff(root(before), root(after)).unwrap().is_empty());
    }
    assert_eq!(lines(&json!(100), &json!(1)), [": 100 > 1"]);
    assert_eq!(lines(&json!(0.5), &json!(-0.5)), [": 0.5 > -0.5"]);
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..3i64).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[ab.]{0,2}", inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Puts `value` where the path leads, or takes away what is there.
fn apply(target: &mut Value, path: &[Step], value: Option<Value>) {
    match (path, target) {
        ([], target) => *target = value.unwrap(),
        ([Step::Key(key)], Value::Object(object)) => {
            match value {
                Some(value) => object.insert(key.clone(), value),
                None => object.remove(key),
            };
        }
        ([Step::Key(key), rest @ ..], Value::Object(object)) => {
            apply(object.get_mut(key).unwrap(), rest, value);
        }
        ([Step::Index(index), rest @ ..], Value::Array(array)) => {
            apply(&mut array[*index], rest, value);
        }
        (path, target) => panic!("{path:?} does not lead into {target}"),
    }
}

proptest! {
    #[test]
    fn applied_to_the_one_they_give_the_other(before in document(), after in document()) {
        let (one, other) = (payload(&before), payload(&after));
        let root = |bytes| Document::new(bytes).unwrap().root();
        let mut changed = before.clone();
        let changes = diff(root(&one), root(&other)).unwrap();
        for change in &changes {
            apply(&mut changed, &change.path.0, change.after.map(|value| read(value).unwrap()));
        }
        prop_assert_eq!(normal(&changed), normal(&after));
        prop_assert_eq!(changes.is_empty(), before == after);
    }
}
