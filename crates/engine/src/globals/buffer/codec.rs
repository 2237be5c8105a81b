//! Buffer's encodings, as lenient as Node's.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// How a string stands for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Hex,
    Base64,
    Base64Url,
    Latin1,
    Ascii,
    Utf16,
}

/// Every name that `Buffer` knows, in lower case.
pub(super) const NAMES: [(&str, Encoding); 12] = [
    ("utf8", Encoding::Utf8),
    ("utf-8", Encoding::Utf8),
    ("hex", Encoding::Hex),
    ("base64", Encoding::Base64),
    ("base64url", Encoding::Base64Url),
    ("latin1", Encoding::Latin1),
    ("binary", Encoding::Latin1),
    ("ascii", Encoding::Ascii),
    ("utf16le", Encoding::Utf16),
    ("utf-16le", Encoding::Utf16),
    ("ucs2", Encoding::Utf16),
    ("ucs-2", Encoding::Utf16),
];

/// A string that JavaScript may not be able to get as UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text<'a> {
    Utf8(Cow<'a, str>),
    Utf16(Vec<u16>),
}

impl Encoding {
    /// The bytes that the code units stand for. UTF-8 never comes here: its strings are lent as
    /// such.
    pub(super) fn bytes(self, units: &[u16]) -> Vec<u8> {
        match self {
            Encoding::Utf8 => String::from_utf16_lossy(units).into_bytes(),
            Encoding::Hex => hex_bytes(units),
            Encoding::Base64 | Encoding::Base64Url => base64_bytes(units),
            // Node keeps the low byte of what does not fit.
            Encoding::Latin1 | Encoding::Ascii => units.iter().map(|unit| *unit as u8).collect(),
            Encoding::Utf16 => units.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
        }
    }

    /// The string that stands for the bytes.
    pub(super) fn text(self, bytes: &[u8]) -> Text<'_> {
        Text::Utf8(match self {
            Encoding::Utf8 => String::from_utf8_lossy(bytes),
            Encoding::Hex => hex(bytes).into(),
            Encoding::Base64 => STANDARD.encode(bytes).into(),
            Encoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes).into(),
            Encoding::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Encoding::Ascii => bytes.iter().map(|byte| char::from(byte & 0x7F)).collect(),
            Encoding::Utf16 => {
                let pairs = bytes.chunks_exact(2);
                let unit = |pair: &[u8]| pair.iter().rev().fold(0, |unit, b| unit << 8 | *b as u16);
                return Text::Utf16(pairs.map(unit).collect());
            }
        })
    }

    /// How many of the encoded bytes fit into `room` without cutting a character in two.
    pub(super) fn whole(self, bytes: &[u8], room: usize) -> usize {
        if bytes.len() <= room {
            return bytes.len();
        }
        match self {
            Encoding::Utf8 => {
                let begins = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80);
                (0..=room).rev().find(begins).unwrap_or(0)
            }
            Encoding::Utf16 => room & !1,
            _ => room,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS[usize::from(nibble & 0xF)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// Ends at the first pair that is not hexadecimal.
fn hex_bytes(units: &[u16]) -> Vec<u8> {
    let digit = |unit: u16| char::from_u32(unit.into())?.to_digit(16);
    units
        .chunks_exact(2)
        .map_while(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

/// Takes both alphabets, skips what is in neither, and ends at the padding.
fn base64_bytes(units: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(units.len() / 4 * 3 + 3);
    let mut bits = 0_u32;
    let mut pending = 0;
    for unit in units.iter().take_while(|unit| **unit != u16::from(b'=')) {
        let Some(sextet) = u8::try_from(*unit).ok().and_then(sextet) else { continue };
        bits = bits << 6 | u32::from(sextet);
        pending += 6;
        if pending >= 8 {
            pending -= 8;
            bytes.push((bits >> pending) as u8);
        }
    }
    bytes
}

fn sextet(letter: u8) -> Option<u8> {
    Some(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(text: &Text<'_>) -> Vec<u16> {
        match text {
            Text::Utf8(text) => text.encode_utf16().collect(),
            Text::Utf16(units) => units.clone(),
        }
    }

    proptest! {
        #[test]
        fn bytes_survive_every_encoding_that_can_hold_them(bytes: Vec<u8>) {
            for encoding in
                [Encoding::Hex, Encoding::Base64, Encoding::Base64Url, Encoding::Latin1]
            {
                prop_assert_eq!(&encoding.bytes(&units(&encoding.text(&bytes))), &bytes);
            }
        }

        #[test]
        fn code_units_survive_utf16(text: Vec<u16>) {
            let bytes = Encoding::Utf16.bytes(&text);
            prop_assert_eq!(units(&Encoding::Utf16.text(&bytes)), text);
        }

        #[test]
        fn a_cut_leaves_whole_characters(text: String, room in 0_usize..20) {
            let whole = Encoding::Utf8.whole(text.as_bytes(), room);
            prop_assert!(whole <= room && text.is_char_boundary(whole));
            prop_assert!(text.len() <= whole + 3 || whole + 3 >= room);
        }

        #[test]
        fn no_text_is_too_bad_to_decode(text: Vec<u16>) {
            for (_, encoding) in NAMES {
                prop_assert!(encoding.bytes(&text).len() <= text.len() * 3 + 3);
            }
        }
    }
}
