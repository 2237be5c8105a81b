//! `TextEncoder` and `TextDecoder`: the classes are `encoding.js`. The decoder knows UTF-8, UTF-16
//! and windows-1252, which the web also calls latin1 and ascii; the tables of all the others would
//! be larger than the rest of the engine.

use rquickjs::function::Func;
use rquickjs::{Array, ArrayBuffer, Ctx, Function, Object, Result, String as JsString};
use rquickjs::{TypedArray, Value};

use super::bytes::{with_bytes, with_bytes_mut, with_utf8};
use super::run;

pub(super) fn build<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let tools = Object::new(ctx.clone())?;
    tools.set("encode", Func::from(encode))?;
    tools.set("encodeInto", Func::from(encode_into))?;
    tools.set("utf8", Func::from(utf8))?;
    tools.set("utf16", Func::from(utf16))?;
    tools.set("windows1252", Func::from(windows_1252))?;
    let errors: Value<'js> = run(ctx, include_str!("node_errors.js"))?;
    let factory: Function<'js> = run(ctx, include_str!("encoding.js"))?;
    factory.call((tools, errors))
}

pub(super) fn encode<'js>(ctx: Ctx<'js>, text: JsString<'js>) -> Result<ArrayBuffer<'js>> {
    with_utf8(text, |text| ArrayBuffer::new_copy(ctx, text))?
}

/// The code units read and the bytes written.
fn encode_into<'js>(text: JsString<'js>, target: TypedArray<'js, u8>) -> Result<Vec<usize>> {
    with_utf8(text, |text| {
        with_bytes_mut(&target, |target| {
            let end = text.floor_char_boundary(target.len());
            let (whole, _) = text.split_at(end);
            for (place, byte) in target.iter_mut().zip(whole.bytes()) {
                *place = byte;
            }
            vec![whole.encode_utf16().count(), end]
        })
    })?
}

/// Decoded text, and how many bytes at the end still wait for the rest of a character; nothing when
/// `fatal` and the bytes are not UTF-8.
pub(super) fn utf8<'js>(
    ctx: Ctx<'js>,
    bytes: TypedArray<'js, u8>,
    fatal: bool,
    more_comes: bool,
) -> Result<Option<Array<'js>>> {
    with_bytes(&bytes, |bytes| {
        let waiting = if more_comes { unfinished(bytes) } else { 0 };
        let (bytes, _) = bytes.split_at(bytes.len() - waiting);
        let text = match String::from_utf8_lossy(bytes) {
            std::borrow::Cow::Owned(_) if fatal => return Ok(None),
            text => JsString::from_str(ctx.clone(), &text)?,
        };
        result(&ctx, text.into_value(), waiting).map(Some)
    })?
}

/// How many bytes at the end begin a character that more bytes could complete.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.get(bytes.len().saturating_sub(3)..).unwrap_or_default();
    (0..last.len())
        .filter_map(|from| last.get(from..))
        .find(|tail| matches!(std::str::from_utf8(tail), Err(e) if e.valid_up_to() == 0 && e.error_len().is_none()))
        .map_or(0, <[u8]>::len)
}

/// As `utf8`; a lone surrogate is an error too.
fn utf16<'js>(
    ctx: Ctx<'js>,
    bytes: TypedArray<'js, u8>,
    big_endian: bool,
    fatal: bool,
    more_comes: bool,
) -> Result<Option<Array<'js>>> {
    with_bytes(&bytes, |bytes| {
        let order = if big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        let (pairs, odd) = bytes.as_chunks::<2>();
        let mut units: Vec<u16> = pairs.iter().map(|pair| order(*pair)).collect();
        let mut waiting = 0;
        if more_comes {
            waiting = odd.len();
            if matches!(units.last(), Some(0xD800..=0xDBFF)) {
                units.pop();
                waiting += 2;
            }
        } else if !odd.is_empty() {
            units.push(0xD800);
        }
        let mut text = String::with_capacity(units.len());
        for unit in char::decode_utf16(units) {
            match unit {
                Err(_) if fatal => return Ok(None),
                unit => text.push(unit.unwrap_or(char::REPLACEMENT_CHARACTER)),
            }
        }
        result(&ctx, JsString::from_str(ctx.clone(), &text)?.into_value(), waiting).map(Some)
    })?
}

/// Every byte has a meaning, and none waits for another.
fn windows_1252<'js>(ctx: Ctx<'js>, bytes: TypedArray<'js, u8>) -> Result<Array<'js>> {
    let text: String = with_bytes(&bytes, |bytes| {
        let letter = |byte: &u8| match byte {
            0x80..=0x9F => HIGH_CONTROLS[usize::from(byte - 0x80)],
            _ => char::from(*byte),
        };
        bytes.iter().map(letter).collect()
    })?;
    result(&ctx, JsString::from_str(ctx.clone(), &text)?.into_value(), 0)
}

/// What the web reads where latin1 has control characters, by its encoding standard.
const HIGH_CONTROLS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];

fn result<'js>(ctx: &Ctx<'js>, text: Value<'js>, waiting: usize) -> Result<Array<'js>> {
    let result = Array::new(ctx.clone())?;
    result.set(0, text)?;
    result.set(1, waiting)?;
    Ok(result)
}
