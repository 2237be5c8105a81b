//! Payloads as PostgreSQL 15 stored them, read from the pages of a table with pageinspect. A line
//! of `golden.tsv` is the server's text of a value and the bytes of its payload.

#![cfg(target_endian = "little")] // as was the machine of that server
#![allow(clippy::unwrap_used)] // in helpers, where clippy does not see a test

mod common;

use jsonb::{Document, Number, Ref, Result, Writer};

struct Golden {
    text: &'static str,
    payload: Vec<u8>,
}

fn goldens() -> Vec<Golden> {
    let line = |line: &'static str| {
        let (text, hex) = line.split_once('\t').unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        Golden { text, payload: (0..hex.len()).step_by(2).map(byte).collect() }
    };
    include_str!("golden.tsv").lines().map(line).collect()
}

/// How often each way of writing a number was taken, lest a test compare nothing.
#[derive(Debug, Default)]
struct Taken {
    integers: usize,
    floats: usize,
}

/// Writes all of a value anew, objects with their keys from last to first. A number is spliced
/// only where no `i64` and no `f64` has its text: `1.50`, `1e1000`.
fn rewrite(writer: &mut Writer, value: Ref<'_>, taken: &mut Taken) -> Result<()> {
    match value {
        Ref::Number(number) => rewrite_number(writer, number, taken),
        Ref::Array(array) => {
            writer.begin_array()?;
            for element in array.iter() {
                rewrite(writer, element?, taken)?;
            }
            writer.end()
        }
        Ref::Object(object) => {
            writer.begin_object()?;
            for (key, value) in object.iter().collect::<Result<Vec<_>>>()?.into_iter().rev() {
                writer.key(key)?;
                rewrite(writer, value, taken)?;
            }
            writer.end()
        }
        Ref::Null => writer.null(),
        Ref::Bool(value) => writer.bool(value),
        Ref::String(value) => writer.string(value),
    }
}

fn rewrite_number(writer: &mut Writer, number: Number<'_>, taken: &mut Taken) -> Result<()> {
    let text = number.to_string();
    if number.to_f64().to_string() == text {
        taken.floats += 1;
        writer.number_f64(number.to_f64())
    } else if number.to_i64().is_some_and(|integer| integer.to_string() == text) {
        taken.integers += 1;
        writer.number_i64(number.to_i64().unwrap())
    } else {
        writer.splice(Ref::Number(number))
    }
}

#[test]
fn the_servers_payload_reads_as_its_text() {
    for Golden { text, payload } in goldens() {
        let expected = serde_json::from_str(text).map(|value| common::normal(&value));
        match expected {
            Ok(expected) => {
                let read = common::normal(&common::parse(&payload).unwrap());
                assert_eq!(read, expected, "{text}");
            }
            // The model has no number beyond the range of f64.
            Err(error) => assert!(error.to_string().contains("out of range"), "{text}: {error}"),
        }
    }
}

#[test]
fn a_number_shows_the_servers_text() {
    let mut numbers = 0;
    for Golden { text, payload } in goldens() {
        if let Ref::Number(number) = Document::new(&payload).unwrap().root() {
            assert_eq!(number.to_string(), text);
            assert_eq!(number.to_f64(), text.parse::<f64>().unwrap(), "{text}");
            numbers += 1;
        }
    }
    assert!(numbers > 40, "only {numbers} numbers");
}

#[test]
fn a_document_written_anew_has_the_servers_bytes() {
    let mut writer = Writer::new();
    let mut taken = Taken::default();
    for Golden { text, payload } in goldens() {
        writer.clear();
        rewrite(&mut writer, Document::new(&payload).unwrap().root(), &mut taken).unwrap();
        assert_eq!(writer.finish().unwrap(), payload, "{text}");
    }
    assert!(taken.floats > 200 && taken.integers > 2, "{taken:?}");
}

#[test]
fn an_integer_has_the_servers_bytes_by_either_way() {
    let mut integers = 0;
    for Golden { text, payload } in goldens() {
        let Ok(integer) = text.parse::<i64>() else { continue };
        let mut writer = Writer::new();
        writer.number_i64(integer).unwrap();
        assert_eq!(writer.finish().unwrap(), payload, "{text}");
        integers += 1;
    }
    assert!(integers > 10, "only {integers} integers");
}
