//! What is refused: documents that the format or the limits do not allow, events out of place,
//! and payloads that are not jsonb.

#![allow(clippy::unwrap_used)] // in helpers, where clippy does not see a test

mod common;

use common::{numeric_payload, parse};
use jsonb::{Document, Error, Limits, Ref, Result, Writer};

fn write(events: impl FnOnce(&mut Writer) -> Result<()>) -> Result<Vec<u8>> {
    write_within(Limits::default(), events)
}

fn write_within(limits: Limits, events: impl FnOnce(&mut Writer) -> Result<()>) -> Result<Vec<u8>> {
    let mut writer = Writer::with_limits(limits);
    events(&mut writer)?;
    writer.finish().map(<[u8]>::to_vec)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
fn an_event_out_of_place_is_an_error() {
    let misplaced = |events: fn(&mut Writer) -> Result<()>| {
        assert!(matches!(write(events), Err(Error::Misplaced(_))));
    };
    misplaced(|_| Ok(()));
    misplaced(|w| w.end());
    misplaced(|w| w.key("a"));
    misplaced(|w| w.begin_array());
    misplaced(|w| w.null().and_then(|()| w.null()));
    misplaced(|w| w.begin_array().and_then(|()| w.key("a")));
    misplaced(|w| w.begin_object().and_then(|()| w.null()));
    misplaced(|w| w.begin_object().and_then(|()| w.begin_object()));
    misplaced(|w| w.begin_object().and_then(|()| w.key("a")).and_then(|()| w.key("b")));
    misplaced(|w| w.begin_object().and_then(|()| w.key("a")).and_then(|()| w.end()));
}

#[test]
fn a_cleared_writer_has_forgotten_its_error() {
    let mut writer = Writer::new();
    writer.begin_object().unwrap();
    writer.key("a").unwrap();
    writer.end().unwrap_err();
    writer.clear();
    writer.bool(true).unwrap();
    assert_eq!(parse(writer.finish().unwrap()).unwrap(), true);
}

#[test]
fn a_failed_event_fails_the_document_even_if_ignored() {
    let mut writer = Writer::new();
    writer.begin_object().unwrap();
    writer.key("a").unwrap();
    let failure = writer.string("\0").unwrap_err();
    assert_eq!(writer.null(), Err(failure));
    assert_eq!(writer.end(), Err(failure));
    assert_eq!(writer.finish(), Err(failure));
}

#[test]
fn a_nul_is_refused_in_strings_and_keys() {
    assert_eq!(write(|w| w.string("a\0b")), Err(Error::NulInString));
    assert_eq!(write(|w| w.begin_object().and_then(|()| w.key("\0"))), Err(Error::NulInString));
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(write(|w| w.number_f64(value)), Err(Error::NotFinite));
    }
}

#[test]
fn each_limit_admits_what_it_says_and_no_more() {
    let nest = |depth| {
        write_within(Limits { depth: 3, ..Limits::default() }, |w| {
            (0..depth).try_for_each(|_| w.begin_array())?;
            (0..depth).try_for_each(|_| w.end())
        })
    };
    assert!(nest(3).is_ok());
    assert_eq!(nest(4), Err(Error::TooDeep { limit: 3 }));

    let array = |length| {
        write_within(Limits { elements: 3, ..Limits::default() }, |w| {
            w.begin_array()?;
            (0..length).try_for_each(|_| w.null())?;
            w.end()
        })
    };
    assert!(array(3).is_ok());
    assert_eq!(array(4), Err(Error::TooManyElements { limit: 3 }));

    let object = |length: usize| {
        write_within(Limits { pairs: 3, ..Limits::default() }, |w| {
            w.begin_object()?;
            (0..length).try_for_each(|index| w.key(&index.to_string()).and_then(|()| w.null()))?;
            w.end()
        })
    };
    assert!(object(3).is_ok());
    assert_eq!(object(4), Err(Error::TooManyPairs { limit: 3 }));

    let limits = Limits { string: 3, ..Limits::default() };
    assert!(write_within(limits, |w| w.string("abc")).is_ok());
    let too_long = Err(Error::StringTooLong { length: 4, limit: 3 });
    assert_eq!(write_within(limits, |w| w.string("abcd")), too_long);
    assert_eq!(write_within(limits, |w| w.begin_object().and_then(|()| w.key("abcd"))), too_long);
}

#[test]
fn the_size_limit_counts_headers_entries_and_padding() {
    // Header, two entries, one byte of text, three of padding, a number of eight.
    let exact = 4 + 2 * 4 + 1 + 3 + 8;
    let document = |size| {
        write_within(Limits { size, ..Limits::default() }, |w| {
            w.begin_array()?;
            w.string("a")?;
            w.number_i64(1)?;
            w.end()
        })
    };
    assert_eq!(document(exact).unwrap().len(), exact);
    assert_eq!(document(exact - 1), Err(Error::TooLarge { limit: exact - 1 }));

    let strings = |size| {
        write_within(Limits { size, ..Limits::default() }, |w| {
            w.begin_array()?;
            w.begin_array()?;
            w.end()?;
            w.string("abc")?;
            w.end()
        })
    };
    assert_eq!(strings(19).unwrap().len(), 4 + 2 * 4 + 4 + 3);
    assert_eq!(strings(18), Err(Error::TooLarge { limit: 18 }));
    let scalar = |size| write_within(Limits { size, ..Limits::default() }, |w| w.string("abc"));
    assert_eq!(scalar(11).unwrap().len(), 4 + 4 + 3);
    assert_eq!(scalar(10), Err(Error::TooLarge { limit: 10 }));
}

#[test]
fn a_limit_beyond_the_format_is_lowered_to_it() {
    let boundless = Limits { string: usize::MAX, size: usize::MAX, ..Limits::default() };
    let longest = "a".repeat(0x0fff_ffff);
    let limit = 0x0fff_ffff;
    assert_eq!(write_within(boundless, |w| w.string(&longest)), Err(Error::TooLarge { limit }));
    let longer = longest + "a";
    assert_eq!(
        write_within(boundless, |w| w.string(&longer)),
        Err(Error::StringTooLong { length: limit + 1, limit })
    );
}

#[test]
fn bytes_that_are_not_jsonb_are_malformed() {
    let malformed: &[&[u32]] = &[
        &[],
        &[0],                                                  // neither array nor object
        &[0x6000_0000],                                        // both
        &[0x4000_0001],                                        // an entry less than its count
        &[0x4fff_ffff],                                        // the same, by far
        &[0x2000_0001, 0],                                     // a key without a value
        &[0x5000_0000],                                        // a scalar that is not there
        &[0x5000_0002, 0, 0],                                  // two of them
        &[0x5000_0001, 1],                                     // data beyond the end
        &[0x5000_0001, 0x6000_0000],                           // an unknown type
        &[0x5000_0001, 0xd000_0004, 1 << 30],                  // a scalar that is an array
        &[0x4000_0001, 0xd000_0008, 0x5000_0001, 0x4000_0000], // a root scalar that is not the root
        &[0x4000_0002, 0x0000_0004, 0x8000_0001, 0],           // an end before the beginning
        &[0x2000_0001, 0x4000_0000, 0x4000_0000],              // a key that is null
    ];
    for payload in malformed {
        assert!(matches!(parse(&words(payload)), Err(Error::Malformed(_))), "{payload:x?}");
    }
}

#[test]
fn numerics_that_jsonb_cannot_hold_are_malformed() {
    let special = [0xc000, 0xd000, 0xf000]; // NaN and the infinities
    for header in special {
        assert!(matches!(parse(&numeric_payload(&[header], &[])), Err(Error::Malformed(_))));
    }
    for payload in [
        numeric_payload(&[], &[]),
        numeric_payload(&[0], &[]),            // a long header cut short
        numeric_payload(&[0x8000], &[10_000]), // digits outside base 10 000
        numeric_payload(&[0x8000], &[-1]),
    ] {
        assert!(matches!(parse(&payload), Err(Error::Malformed(_))));
    }
}

#[test]
fn the_widest_numeric_is_read_without_panic() {
    for weight in [i16::MIN, -1, i16::MAX] {
        let payload = numeric_payload(&[0x3fff, weight as u16], &[1, 9999]);
        let Ok(Ref::Number(number)) = Document::new(&payload).map(|d| d.root()) else { panic!() };
        assert_eq!(number.to_f64(), number.to_string().parse::<f64>().unwrap());
        assert_eq!(number.to_i64(), None);
    }
}

#[test]
fn a_string_in_another_encoding_is_told_apart_from_damage() {
    let latin1 = [words(&[0x5000_0001, 0x8000_0001]), vec![0xe9]].concat();
    assert_eq!(parse(&latin1), Err(Error::NotUtf8));
}
