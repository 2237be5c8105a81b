//! A record gives the bytes that the writer gives for the same object.

#![allow(clippy::unwrap_used)] // in helpers, where clippy does not see a test

use jsonb::{Document, Error, Record, Ref, Writer};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

mod common;

use common::payload;
use serde_json::{Value, json};

fn in_order(mut keys: Vec<String>) -> Vec<String> {
    keys.sort_by(|a, b| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
    keys
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zß☃]{0,40}".prop_map(Value::from),
        vec(any::<i32>(), 0..4).prop_map(Value::from),
        vec("[a-c]", 0..4).prop_map(|keys| json!({"of": keys, "": {}})),
    ]
}

fn write(record: &mut Record, value: &Value) {
    match value {
        Value::Null => record.null(),
        Value::Bool(value) => record.bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => record.number_i64(integer),
            None => record.number_f64(number.as_f64().unwrap()),
        },
        Value::String(text) => record.string(text),
        nested => record.splice(Document::new(&payload(nested)).unwrap().root()),
    }
    .unwrap();
}

proptest! {
    // Up to more keys than a stride of entries has, so that offsets stand among keys and values.
    #[test]
    fn a_record_is_the_writers_bytes(
        keys in btree_set("[a-zé]{0,12}", 0..70),
        rows in vec(vec(value(), 70), 1..3),
    ) {
        let keys = in_order(keys.into_iter().collect());
        let mut record = Record::new(keys.iter().map(String::as_str)).unwrap();
        for row in rows {
            record.begin();
            row.iter().take(keys.len()).for_each(|value| write(&mut record, value));
            let object = keys.iter().cloned().zip(row).collect::<serde_json::Map<_, _>>();
            prop_assert_eq!(record.finish().unwrap(), payload(&object.into()));
        }
    }

    #[test]
    fn a_numeric_is_the_number_it_is(number: i64) {
        let mut writer = Writer::new();
        writer.number_i64(number).unwrap();
        let scalar = writer.take().unwrap();
        let Ref::Number(number) = Document::new(&scalar).unwrap().root() else { panic!() };
        let mut record = Record::new(["n", "of"]).unwrap();
        record.begin();
        record.numeric(&number.as_bytes()[4..]).unwrap();
        record.splice(Ref::Number(number)).unwrap();
        let Ref::Object(object) = Document::new(record.finish().unwrap()).unwrap().root() else { panic!() };
        for key in ["n", "of"] {
            let Ok(Some(Ref::Number(same))) = object.get(key) else { panic!() };
            prop_assert_eq!(same.as_bytes(), number.as_bytes());
        }
    }
}

#[test]
fn keys_come_in_the_order_of_jsonb_and_once() {
    for keys in [["b", "a"], ["aa", "b"], ["a", "a"]] {
        assert!(matches!(Record::new(keys), Err(Error::Misplaced(_))), "{keys:?}");
    }
}

#[test]
fn a_record_tells_its_keys_before_it_has_values() {
    for count in [0, 1, 31, 32, 33, 100] {
        let mut keys: Vec<String> = (0..count).map(|number| format!("key {number}")).collect();
        keys.sort_by_key(|key| (key.len(), key.clone()));
        let mut record = Record::new(keys.iter().map(String::as_str)).unwrap();
        let told: Vec<&str> = record.keys().unwrap().keys().map(Result::unwrap).collect();
        assert_eq!(told, keys);
        record.begin();
        keys.iter().for_each(|_| record.number_i64(1).unwrap());
        let Ref::Object(object) = Document::new(record.finish().unwrap()).unwrap().root() else {
            panic!()
        };
        let of_object = object.key_bytes().map(|(entries, text)| (entries.to_vec(), text.to_vec()));
        assert_eq!(
            of_object,
            record
                .keys()
                .unwrap()
                .key_bytes()
                .map(|(entries, text)| (entries.to_vec(), text.to_vec()))
        );
    }
}

#[test]
fn identical_are_values_of_the_same_bytes() {
    let values = |writer: &mut Writer| {
        writer.null()?;
        writer.bool(true)?;
        writer.bool(false)?;
        writer.string("1")?;
        writer.number_i64(1)?;
        writer.number_f64(1.5)?;
        writer.begin_array()?;
        writer.end()?;
        writer.begin_array()?;
        writer.number_i64(1)?;
        writer.end()?;
        writer.begin_object()?;
        writer.end()
    };
    let mut writer = Writer::new();
    writer.begin_array().unwrap();
    values(&mut writer).unwrap();
    values(&mut writer).unwrap();
    writer.end().unwrap();
    let payload = writer.take().unwrap();
    let Ref::Array(array) = Document::new(&payload).unwrap().root() else { panic!() };
    let all: Vec<Ref<'_>> = array.iter().map(Result::unwrap).collect();
    let kinds = all.len() / 2;
    for (a, one) in all.iter().enumerate() {
        for (b, other) in all.iter().enumerate() {
            assert_eq!(one.is_identical(other), a % kinds == b % kinds, "{one:?} {other:?}");
        }
    }
}

#[test]
fn a_record_has_a_value_for_each_key_and_no_more() {
    let mut record = Record::new(["a", "b"]).unwrap();
    assert!(record.finish().is_err(), "it was not begun");
    record.begin();
    record.null().unwrap();
    assert!(record.finish().is_err());
    record.null().unwrap();
    assert!(record.finish().is_ok());
    assert!(record.null().is_err());
}

#[test]
fn what_jsonb_does_not_hold_is_refused() {
    let mut record = Record::new(["a"]).unwrap();
    record.begin();
    assert_eq!(record.string("a\0"), Err(Error::NulInString));
    assert_eq!(record.number_f64(f64::NAN), Err(Error::NotFinite));
    for special in [0xc000u16, 0xd000, 0xf000] {
        assert_eq!(record.numeric(&special.to_ne_bytes()), Err(Error::NotFinite));
    }
    assert_eq!(Record::new(["\0"]).err(), Some(Error::NulInString));
}

#[test]
fn an_object_of_268435455_bytes_is_written_and_none_larger() {
    // A header, two entries, a key: 13 bytes.
    let text = "x".repeat(0x0fff_ffff - 13);
    let mut record = Record::new(["a"]).unwrap();
    record.begin();
    record.string(&text).unwrap();
    assert_eq!(record.finish().unwrap().len(), 0x0fff_ffff);
    record.begin();
    assert!(matches!(record.string(&(text + "x")), Err(Error::TooLarge { .. })));
}
