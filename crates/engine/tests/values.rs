//! The way of values into JavaScript and back: what a plugin does not touch comes back as it was.

#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

mod common;

use common::{Bench, after, program, to_jsonb};
use engine::Verdict;
use proptest::prelude::*;
use serde_json::{Value, json};

fn json_value() -> impl Strategy<Value = Value> {
    let text = "[a-zA-Zäß☃𝒳\u{1}\u{7f}\"\\\\/ ]{0,12}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map("[a-z_é\"0-9]{0,6}", inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Also numbers that no double holds: the integers go up to 2⁶³.
    #[test]
    fn what_is_not_touched_comes_back_byte_for_byte(value in json_value()) {
        let event = json!({ "event": "x", "properties": value }).to_string();
        let mut bench = Bench::new();
        let outcome = bench.run(&program(1, "exports.processEvent = async e => ({ ...e })"), &event);
        prop_assert_eq!(outcome.failure, None);
        prop_assert_eq!(outcome.verdict, Verdict::Unchanged);
    }

    #[test]
    fn what_json_says_is_what_a_plugin_sees(value in json_value()) {
        let event = json!({ "properties": value }).to_string();
        let mut bench = Bench::new();
        let script = "exports.processEvent = e => { e.text = JSON.stringify(e.properties); return e }";
        let after = bench.process(script, &event).unwrap();
        let text = after["text"].as_str().unwrap();
        let seen: Value = serde_json::from_str(text).unwrap();
        prop_assert_eq!(to_jsonb(&json!({ "v": doubles(seen) }).to_string()),
                        to_jsonb(&json!({ "v": doubles(value) }).to_string()));
    }
}

/// Numbers as JavaScript has them.
fn doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            if number.fract() == 0.0 && number.abs() < 9e15 {
                Value::from(number as i64)
            } else {
                Value::from(number)
            }
        }
        Value::Array(values) => values.into_iter().map(doubles).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(key, value)| (key, doubles(value))).collect())
        }
        other => other,
    }
}

#[test]
fn what_jsonb_cannot_hold_follows_the_documented_rules() {
    for (expression, expected) in [
        ("NaN", json!(null)),
        ("-Infinity", json!(null)),
        ("-0", json!(0)),
        ("1e21", json!(1e21)),
        ("new Date(0)", json!("1970-01-01T00:00:00.000Z")),
        ("new Date(NaN)", json!(null)),
        ("new Map([[1, 2]])", json!({})),
        ("new Number(3)", json!(3)),
        ("new String('s')", json!("s")),
        ("new Boolean(false)", json!(false)),
        ("[undefined, () => 1, Symbol()]", json!([null, null, null])),
        ("({ u: undefined, f() {}, s: Symbol(), k: 1 })", json!({"k": 1})),
        ("({ toJSON: key => 'as ' + key })", json!("as v")),
        ("({ [Symbol('x')]: 1 })", json!({})),
        ("Object.create({ inherited: 1 })", json!({})),
        ("'a\\u0000b'", json!("a\u{FFFD}b")),
        ("'\\ud800x\\udc00'", json!("\u{FFFD}x\u{FFFD}")),
        ("'\\ud83d\\ude00'", json!("😀")),
        ("({ 'k\\u0000': 1 })", json!({"k\u{FFFD}": 1})),
        ("new Uint8Array([1, 2])", json!({"0": 1, "1": 2})),
        ("new Proxy([1, 2], {})", json!([1, 2])),
        ("[1, , 3]", json!([1, null, 3])),
        ("/x/g", json!({})),
        ("new Error('x')", json!({})),
    ] {
        let mut bench = Bench::new();
        let script = format!("exports.processEvent = e => {{ e.v = {expression}; return e }}");
        let event = bench.process(&script, "{}").unwrap();
        assert_eq!(event["v"], expected, "{expression}");
    }
}

#[test]
fn what_has_no_rule_fails() {
    for (expression, message) in [
        ("10n", "TypeError: a BigInt cannot be stored as JSON"),
        ("e", "TypeError: the event contains itself"),
    ] {
        let mut bench = Bench::new();
        let script = format!("exports.processEvent = e => {{ e.v = {expression}; return e }}");
        let outcome = bench.run(&program(1, &script), r#"{"event": "x"}"#);
        assert_eq!(outcome.failure.clone().unwrap().message, message);
        assert_eq!(after(&outcome, r#"{"event": "x"}"#), Some(json!({"event": "x"})));
    }
}

#[test]
fn the_same_object_can_stand_in_two_places() {
    let script = "exports.processEvent = e => { e.a = e.b = { c: 1 }; return e }";
    let event = Bench::new().process(script, "{}").unwrap();
    assert_eq!(event, json!({"a": {"c": 1}, "b": {"c": 1}}));
}
