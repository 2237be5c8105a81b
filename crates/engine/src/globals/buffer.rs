//! `Buffer`: Node's class is `buffer.js`; what has to be fast or has to see the bits is here.

mod codec;

use std::cmp::Ordering;

use memchr::memmem;
use rquickjs::function::Func;
use rquickjs::{ArrayBuffer, Ctx, Exception, Function, Object, Result, String as JsString};
use rquickjs::{TypedArray, Value};

use super::bytes::{string_of_utf16, with_bytes, with_bytes_mut, with_utf8, with_utf16};
use super::run;
use codec::{Encoding, NAMES, Text};

type Bytes<'js> = TypedArray<'js, u8>;

pub(super) fn build<'js>(ctx: &Ctx<'js>) -> Result<Value<'js>> {
    let tools = Object::new(ctx.clone())?;
    let encodings = Object::new(ctx.clone())?;
    for (name, encoding) in NAMES {
        encodings.set(name, encoding as u8)?;
    }
    tools.set("encodings", encodings)?;
    tools.set("encode", Func::from(encode))?;
    tools.set("encodeInto", Func::from(encode_into))?;
    tools.set("utf8Length", Func::from(|text: JsString<'js>| with_utf8(text, str::len)))?;
    tools.set("decode", Func::from(decode))?;
    tools.set("compare", Func::from(compare))?;
    tools.set("find", Func::from(find))?;
    tools.set("swap", Func::from(swap))?;
    let numbers: Function<'js> = run(ctx, include_str!("buffer/numbers.js"))?;
    let errors: Value<'js> = run(ctx, include_str!("node_errors.js"))?;
    let factory: Function<'js> = run(ctx, include_str!("buffer.js"))?;
    factory.call((tools, errors, numbers))
}

/// The encoding whose number `encodings` gave to the script.
fn encoding(ctx: &Ctx<'_>, number: u8) -> Result<Encoding> {
    NAMES
        .iter()
        .map(|(_, encoding)| *encoding)
        .find(|encoding| *encoding as u8 == number)
        .ok_or_else(|| Exception::throw_type(ctx, "no such encoding"))
}

fn encode<'js>(ctx: Ctx<'js>, text: JsString<'js>, number: u8) -> Result<ArrayBuffer<'js>> {
    match encoding(&ctx, number)? {
        Encoding::Utf8 => with_utf8(text, |text| ArrayBuffer::new_copy(ctx, text))?,
        other => {
            let bytes = with_utf16(&text, |units| other.bytes(units))?;
            ArrayBuffer::new_copy(ctx, bytes)
        }
    }
}

/// Writes as many whole characters as fit from `start` on, at most `most` bytes; tells how many
/// bytes those are.
fn encode_into<'js>(
    ctx: Ctx<'js>,
    target: Bytes<'js>,
    text: JsString<'js>,
    number: u8,
    start: usize,
    most: usize,
) -> Result<usize> {
    let encoding = encoding(&ctx, number)?;
    let bytes = match encoding {
        Encoding::Utf8 => with_utf8(text, |text| text.as_bytes().to_vec())?,
        other => with_utf16(&text, |units| other.bytes(units))?,
    };
    with_bytes_mut(&target, |target| {
        let room = target.get_mut(start..).unwrap_or_default();
        let written = encoding.whole(&bytes, most.min(room.len()));
        for (place, byte) in room.iter_mut().zip(bytes.get(..written).unwrap_or_default()) {
            *place = *byte;
        }
        written
    })
}

fn decode<'js>(
    ctx: Ctx<'js>,
    bytes: Bytes<'js>,
    number: u8,
    start: usize,
    end: usize,
) -> Result<Value<'js>> {
    let encoding = encoding(&ctx, number)?;
    with_bytes(&bytes, |bytes| match encoding.text(bytes.get(start..end).unwrap_or_default()) {
        Text::Utf8(text) => Ok(JsString::from_str(ctx, &text)?.into_value()),
        Text::Utf16(units) => string_of_utf16(&ctx, &units),
    })?
}

fn compare<'js>(left: Bytes<'js>, right: Bytes<'js>) -> Result<i32> {
    with_bytes(&left, |left| {
        with_bytes(&right, |right| match left.cmp(right) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        })
    })?
}

/// Where `needle` is found first from `at` on, or last from `at` backwards; -1 if nowhere. Linear
/// in the length of both, whatever they hold.
fn find<'js>(haystack: Bytes<'js>, needle: Bytes<'js>, at: usize, backwards: bool) -> Result<i64> {
    let place = with_bytes(&haystack, |haystack| {
        with_bytes(&needle, |needle| {
            if backwards {
                let end = at.saturating_add(needle.len()).min(haystack.len());
                memmem::rfind(haystack.get(..end)?, needle)
            } else {
                memmem::find(haystack.get(at..)?, needle).map(|place| place + at)
            }
        })
    })??;
    Ok(place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1))
}

/// Turns every group of `size` bytes around.
fn swap(bytes: Bytes<'_>, size: usize) -> Result<()> {
    with_bytes_mut(&bytes, |bytes| bytes.chunks_exact_mut(size.max(1)).for_each(<[u8]>::reverse))
}
