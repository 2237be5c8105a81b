//! Laws that hold for every document, every number and every run of bytes.

#![allow(clippy::unwrap_used)] // in helpers, where clippy does not see a test

mod common;

use common::{normal, numeric_payload, parse, parts, payload, write};
use jsonb::{Document, Number, Object, Ref, Writer};
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use serde_json::Value;

fn number(payload: &[u8]) -> Number<'_> {
    match Document::new(payload).unwrap().root() {
        Ref::Number(number) => number,
        other => panic!("{other:?} is not a number"),
    }
}

fn finite() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite())
}

/// The numbers of real documents: integers, and decimals of few places.
fn everyday() -> impl Strategy<Value = f64> {
    (any::<i64>(), 0..60u32, 0..9)
        .prop_map(|(mantissa, shift, places)| (mantissa >> shift) as f64 / 10f64.powi(places))
}

fn text() -> impl Strategy<Value = String> {
    // Short keys from few letters repeat and tie in length; the others bring all of Unicode.
    prop_oneof!["[abc]{0,3}", vec(any::<char>(), 0..12).prop_map(String::from_iter)]
        .prop_map(|text| text.replace('\0', ""))
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        finite().prop_map(Value::from),
        everyday().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 200, 80, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..80).prop_map(Value::from),
            hash_map(text(), inner, 0..80).prop_map(|pairs| Value::Object(
                Value::from_iter(pairs).as_object().unwrap().clone()
            )),
        ]
    })
}

/// A numeric of up to 40 digits of base 10 000, with zeros stripped as the server does.
fn long_numeric() -> impl Strategy<Value = Vec<u8>> {
    let digit = prop_oneof![Just(0i16), 0..10_000i16];
    (any::<bool>(), -90..90i16, 0..4i32, vec(digit, 0..40)).prop_map(
        |(negative, weight, cut, mut digits)| {
            let places = (digits.len() as i32 - 1 - i32::from(weight)) * 4;
            let dscale = (places - cut).max(0);
            if let (Some(last), 1..) = (digits.last_mut(), places) {
                *last -= *last % 10i16.pow((places - dscale) as u32);
            }
            let sign = if negative { 0x4000 } else { 0 };
            numeric_payload(&[sign | dscale as u16, weight as u16], &digits)
        },
    )
}

fn assert_lookups_equal_a_scan(object: Object<'_>, foreign: &str) {
    let pairs: Vec<_> = object.iter().collect::<Result<_, _>>().unwrap();
    for (index, (key, value)) in pairs.iter().enumerate() {
        let value = common::read(*value).unwrap();
        let found = object.get(key).unwrap().unwrap();
        assert_eq!(common::read(found).unwrap(), value);
        let (at_index, found) = object.pair(index).unwrap().unwrap();
        assert_eq!((at_index, common::read(found).unwrap()), (*key, value));
        assert_eq!(object.find(key).unwrap(), Ok(index));
    }
    let place = pairs.binary_search_by_key(&(foreign.len(), foreign), |(key, _)| (key.len(), key));
    assert_eq!(object.find(foreign).unwrap(), place);
    assert_eq!(object.get(foreign).unwrap().is_some(), place.is_ok());
    assert!(object.pair(object.len()).unwrap().is_none());
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in document()) {
        prop_assert_eq!(parse(&payload(&value)).unwrap(), normal(&value));
    }

    #[test]
    fn a_used_writer_writes_the_same_bytes(first in document(), second in document()) {
        let mut writer = Writer::new();
        write(&mut writer, &first).unwrap();
        writer.finish().unwrap();
        writer.clear();
        write(&mut writer, &second).unwrap();
        prop_assert_eq!(writer.finish().unwrap(), payload(&second));
    }

    #[test]
    fn a_spliced_part_equals_the_part_written_anew(value in document(), before in "[a-z]{0,5}") {
        let source = payload(&value);
        for part in parts(Document::new(&source).unwrap().root()) {
            let (mut spliced, mut anew) = (Writer::new(), Writer::new());
            for writer in [&mut spliced, &mut anew] {
                writer.begin_array().unwrap();
                writer.string(&before).unwrap();
            }
            spliced.splice(part).unwrap();
            write(&mut anew, &common::read(part).unwrap()).unwrap();
            for writer in [&mut spliced, &mut anew] {
                writer.bool(true).unwrap();
                writer.end().unwrap();
            }
            prop_assert_eq!(spliced.finish().unwrap(), anew.finish().unwrap());
        }
    }

    #[test]
    fn a_spliced_root_is_the_same_payload(value in document()) {
        let source = payload(&value);
        let mut writer = Writer::new();
        writer.splice(Document::new(&source).unwrap().root()).unwrap();
        prop_assert_eq!(writer.finish().unwrap(), source);
    }

    /// Runs of pairs among pairs written one by one, in any order and over each other.
    #[test]
    fn spliced_pairs_equal_pairs_written_anew(
        pairs in hash_map(text(), document(), 0..90),
        runs in vec((0..90usize, 0..90usize, any::<bool>()), 1..6),
    ) {
        let source = payload(&Value::from_iter(pairs));
        let Ref::Object(object) = Document::new(&source).unwrap().root() else { return Ok(()) };
        let (mut spliced, mut anew) = (Writer::new(), Writer::new());
        spliced.begin_object().unwrap();
        anew.begin_object().unwrap();
        for (start, end, with_a_key) in runs {
            let run = start.min(object.len())..end.min(object.len());
            spliced.splice_pairs(object, run.clone()).unwrap();
            for index in run {
                let (key, value) = object.pair(index).unwrap().unwrap();
                prop_assert_eq!(object.key(index).unwrap(), Some(key));
                anew.key(key).unwrap();
                anew.splice(value).unwrap();
            }
            if with_a_key {
                for writer in [&mut spliced, &mut anew] {
                    writer.key("ab").unwrap();
                    writer.bool(true).unwrap();
                }
            }
        }
        for writer in [&mut spliced, &mut anew] {
            writer.end().unwrap();
        }
        prop_assert_eq!(spliced.finish().unwrap(), anew.finish().unwrap());
        prop_assert!(spliced.take().unwrap() == anew.finish().unwrap());
    }

    #[test]
    fn the_depth_is_how_deeply_it_nests(value in document()) {
        fn depth(value: &Value) -> usize {
            match value {
                Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
                Value::Object(pairs) => 1 + pairs.values().map(depth).max().unwrap_or(0),
                _ => 0,
            }
        }
        let source = payload(&value);
        let root = Document::new(&source).unwrap().root();
        for levels in 0..8 {
            prop_assert_eq!(root.is_deeper_than(levels).unwrap(), depth(&value) > levels);
        }
    }

    #[test]
    fn a_lookup_equals_a_scan(pairs in hash_map(text(), any::<i64>(), 0..150), foreign in text()) {
        let source = payload(&Value::from_iter(pairs));
        if let Ref::Object(object) = Document::new(&source).unwrap().root() {
            assert_lookups_equal_a_scan(object, &foreign);
        }
    }

    #[test]
    fn an_element_by_index_equals_the_one_of_a_scan(elements in vec(everyday(), 0..150)) {
        let source = payload(&Value::from_iter(elements));
        let Ref::Array(array) = Document::new(&source).unwrap().root() else { panic!() };
        for (index, element) in array.iter().enumerate() {
            let by_index = common::read(array.get(index).unwrap().unwrap()).unwrap();
            prop_assert_eq!(by_index, common::read(element.unwrap()).unwrap());
        }
        prop_assert!(array.get(array.len()).unwrap().is_none());
    }

    #[test]
    fn the_last_of_equal_keys_wins(pairs in vec(("[ab]{0,2}", any::<i64>()), 0..20)) {
        let mut writer = Writer::new();
        writer.begin_object().unwrap();
        for (key, value) in &pairs {
            writer.key(key).unwrap();
            writer.number_i64(*value).unwrap();
        }
        writer.end().unwrap();
        let model = Value::from_iter(pairs);
        let model = if model == Value::Array(vec![]) { Value::Object(Default::default()) } else { model };
        prop_assert_eq!(parse(writer.finish().unwrap()).unwrap(), model);
    }

    #[test]
    fn an_integer_survives(value: i64) {
        let source = payload(&value.into());
        prop_assert_eq!(number(&source).to_i64(), Some(value));
        prop_assert_eq!(number(&source).to_string(), value.to_string());
    }

    #[test]
    fn a_long_numeric_is_the_float_of_its_text(source in long_numeric()) {
        let number = number(&source);
        prop_assert_eq!(number.to_f64(), number.to_string().parse::<f64>().unwrap());
        prop_assert_eq!(number.to_i64().is_some(), integer(&number.to_string()).is_some());
        prop_assert_eq!(number.to_i64(), integer(&number.to_string()));
    }

    #[test]
    fn random_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn damaged_payloads_do_not_panic(value in document(), damage in vec((any::<usize>(), any::<u8>()), 1..8)) {
        let mut bytes = payload(&value);
        for (place, byte) in damage {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        let _ = parse(&bytes);
        if let Ok(Ref::Object(object)) = Document::new(&bytes).map(|document| document.root()) {
            let _ = object.get("ab");
            for index in 0..object.len().min(100) {
                let _ = object.pair(index);
                let mut writer = Writer::new();
                writer.begin_object().unwrap();
                let _ = writer.splice_pairs(object, index..object.len());
                let _ = writer.end().and_then(|()| writer.finish().map(<[u8]>::to_vec));
            }
            let _ = (object.key_bytes(), object.keys().count(), Ref::Object(object).is_deeper_than(3));
        }
    }

    #[test]
    fn a_truncated_payload_does_not_panic(value in document(), length: usize) {
        let bytes = payload(&value);
        let _ = parse(&bytes[..length % bytes.len()]);
    }
}

/// The integer that a decimal text stands for.
fn integer(text: &str) -> Option<i64> {
    let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().all(|c| c == b'0') { integer.parse().ok() } else { None }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_float_becomes_its_shortest_decimal_and_itself_again(value in prop_oneof![finite(), everyday()]) {
        let source = payload(&value.into());
        let text = number(&source).to_string();
        prop_assert_eq!(number(&source).to_f64(), value);
        prop_assert_eq!(digits(&text), shortest_digits(value), "{}", text);
        prop_assert!(!text.contains('.') || !text.ends_with('0'), "{} shows too many places", text);
    }
}

/// The digits of a decimal text without the zeros around them.
fn digits(text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

/// The digits that ECMAScript prints: as few as give the float again, those nearest to it, and the
/// even one of two that are equally near. Rust's shortest differs in the last of these.
fn shortest_digits(value: f64) -> String {
    let mantissa = |text: String| digits(text.split('e').next().unwrap());
    let shortest = format!("{value:e}");
    let places = mantissa(shortest.clone()).len().saturating_sub(1);
    let nearest = format!("{value:.places$e}");
    mantissa(if nearest.parse() == Ok(value) { nearest } else { shortest })
}
