//! Bytes and text at the border: what JavaScript holds is lent to a closure that cannot run
//! JavaScript, and what Rust made becomes memory that the realm's meter counts.

use std::borrow::Cow;
use std::{slice, str};

use rquickjs::{Ctx, Error, Exception, Result, String as JsString, TypedArray, Value, qjs};

use super::toll;

/// Lends the bytes of an array. `read` must not come back to JavaScript, which could free them.
pub(crate) fn with_bytes<T>(
    array: &TypedArray<'_, u8>,
    read: impl FnOnce(&[u8]) -> T,
) -> Result<T> {
    let bytes = array.as_raw().ok_or_else(|| detached(array))?;
    toll::pay(array.as_object().ctx(), bytes.len())?;
    // SAFETY: QuickJS keeps the block while no JavaScript runs, and `read` runs none.
    Ok(read(unsafe { bytes.as_ref() }))
}

/// Lends the bytes of an array for writing. `write` must not come back to JavaScript.
pub(crate) fn with_bytes_mut<T>(
    array: &TypedArray<'_, u8>,
    write: impl FnOnce(&mut [u8]) -> T,
) -> Result<T> {
    let mut bytes = array.as_raw().ok_or_else(|| detached(array))?;
    toll::pay(array.as_object().ctx(), bytes.len())?;
    // SAFETY: as in `with_bytes`; nothing else in Rust looks at the block meanwhile.
    Ok(write(unsafe { bytes.as_mut() }))
}

/// Lends the bytes of an array in parts, with a question to the watch before each. `read` must not
/// come back to JavaScript.
pub(crate) fn with_parts<E>(
    array: &TypedArray<'_, u8>,
    read: impl FnMut(&[u8]) -> Part<E>,
) -> Result<Part<E>> {
    let bytes = array.as_raw().ok_or_else(|| detached(array))?;
    // SAFETY: as in `with_bytes`; when the watch wants an end, the bytes are not looked at again.
    in_parts(array.as_object().ctx(), unsafe { bytes.as_ref() }, read)
}

type Part<E> = std::result::Result<(), E>;

/// Goes through the bytes in parts of a fraction of a millisecond's work.
pub(crate) fn in_parts<E>(
    ctx: &Ctx<'_>,
    bytes: &[u8],
    mut read: impl FnMut(&[u8]) -> Part<E>,
) -> Result<Part<E>> {
    for part in bytes.chunks(toll::BYTES_PER_QUESTION) {
        toll::pay(ctx, part.len())?;
        if let Err(error) = read(part) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

fn detached(array: &TypedArray<'_, u8>) -> Error {
    Exception::throw_type(array.as_object().ctx(), "the buffer is detached")
}

/// Lends a string as UTF-8, each lone surrogate as U+FFFD.
pub(crate) fn with_utf8<T>(text: JsString<'_>, read: impl FnOnce(&str) -> T) -> Result<T> {
    let ctx = text.as_value().ctx().clone();
    let text = text.to_cstring()?;
    toll::pay(&ctx, text.len())?;
    // SAFETY: QuickJS keeps `len` bytes there while `text` lives.
    let bytes = unsafe { slice::from_raw_parts(text.as_ptr().cast::<u8>(), text.len()) };
    Ok(match str::from_utf8(bytes) {
        Ok(text) => read(text),
        Err(_) => read(&without_surrogates(bytes)),
    })
}

/// QuickJS writes a lone surrogate as the three bytes that UTF-8 reserves for it; U+FFFD has three
/// as well.
fn without_surrogates(bytes: &[u8]) -> Cow<'_, str> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() {
        if let Some([first @ 0xED, second @ 0xA0..=0xBF, third]) = bytes.get_mut(at..at + 3) {
            (*first, *second, *third) = (0xEF, 0xBF, 0xBD);
        }
    }
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Lends a string as the code units it consists of.
pub(super) fn with_utf16<T>(text: &JsString<'_>, read: impl FnOnce(&[u16]) -> T) -> Result<T> {
    let ctx = text.as_value().ctx();
    let raw = ctx.as_raw().as_ptr();
    let mut len = 0;
    // SAFETY: QuickJS keeps `len` units at the address it gives until they are freed below; `read`
    // gets no more than it can see of them, and a panic in it only leaks.
    unsafe {
        let units = qjs::JS_ToCStringLenUTF16(raw, &mut len, text.as_value().as_raw());
        if units.is_null() {
            return Err(Error::Exception);
        }
        let paid = toll::pay(ctx, len as usize);
        let result = paid.map(|()| read(slice::from_raw_parts(units, len as usize)));
        qjs::JS_FreeCStringUTF16(raw, units);
        result
    }
}

/// A string of any code units, lone surrogates included.
pub(super) fn string_of_utf16<'js>(ctx: &Ctx<'js>, units: &[u16]) -> Result<Value<'js>> {
    // QuickJS would keep two bytes for each unit even of ASCII.
    if let Ok(text) = String::from_utf16(units) {
        return Ok(JsString::from_str(ctx.clone(), &text)?.into_value());
    }
    // SAFETY: QuickJS copies the units; the new value is owned by the Value, or is the exception.
    unsafe {
        let raw = qjs::JS_NewStringUTF16(ctx.as_raw().as_ptr(), units.as_ptr(), units.len() as _);
        if qjs::JS_IsException(raw) {
            return Err(Error::Exception);
        }
        Ok(Value::from_raw(ctx.clone(), raw))
    }
}
