//! Hashes and HMACs under way.

use ::crypto::{Digest, Hash, Hmac};
use rquickjs::function::Func;
use rquickjs::{Array, ArrayBuffer, Ctx, Object, Result, String as JsString};

use super::errors::thrown;
use super::{Bytes, digest_named};
use crate::globals::native::{Handle, Native};
use crate::globals::{in_parts, with_bytes, with_parts, with_utf8};

pub(super) enum Running {
    Hash(Hash),
    Hmac(Hmac),
}

impl Running {
    fn update(&mut self, part: &[u8]) -> ::crypto::Result<()> {
        match self {
            Running::Hash(hash) => hash.update(part),
            Running::Hmac(hmac) => hmac.update(part),
        }
    }

    fn finish(&mut self) -> ::crypto::Result<Vec<u8>> {
        match self {
            Running::Hash(hash) => hash.finish(),
            Running::Hmac(hmac) => hmac.finish(),
        }
    }
}

pub(super) fn add(native: &Object<'_>) -> Result<()> {
    native.set("hashNames", Func::from(hash_names))?;
    native.set("hashSize", Func::from(hash_size))?;
    native.set("hash", Func::from(hash))?;
    native.set("hmac", Func::from(hmac))?;
    native.set("copy", Func::from(copy))?;
    native.set("update", Func::from(update))?;
    native.set("updateText", Func::from(update_text))?;
    native.set("digest", Func::from(digest))
}

fn hash_names<'js>(ctx: Ctx<'js>) -> Result<Array<'js>> {
    let names = Array::new(ctx)?;
    for (index, name) in Digest::names().enumerate() {
        names.set(index, name)?;
    }
    Ok(names)
}

/// Bytes of a result; 0 when there is no such hash.
fn hash_size(name: String) -> usize {
    Digest::named(&name).map_or(0, Digest::size)
}

/// Nothing when there is no such hash.
fn hash<'js>(ctx: Ctx<'js>, name: String) -> Result<Option<Handle<'js, Running>>> {
    let Some(digest) = Digest::named(&name) else { return Ok(None) };
    Native::make(&ctx, Hash::NATIVE_BYTES, || {
        Hash::new(digest).map(Running::Hash).map_err(|error| thrown(&ctx, &error))
    })
    .map(Some)
}

fn hmac<'js>(ctx: Ctx<'js>, name: String, key: Bytes<'js>) -> Result<Handle<'js, Running>> {
    let digest = digest_named(&ctx, &name)?;
    Native::make(&ctx, Hmac::NATIVE_BYTES, || {
        with_bytes(&key, |key| Hmac::new(digest, key))?
            .map(Running::Hmac)
            .map_err(|error| thrown(&ctx, &error))
    })
}

/// A hash that goes on from where the other is.
fn copy<'js>(ctx: Ctx<'js>, from: Handle<'js, Running>) -> Result<Option<Handle<'js, Running>>> {
    let from = from.borrow();
    let Running::Hash(hash) = &*from.value().borrow() else { return Ok(None) };
    Native::make(&ctx, Hash::NATIVE_BYTES, || {
        hash.try_clone().map(Running::Hash).map_err(|error| thrown(&ctx, &error))
    })
    .map(Some)
}

fn update<'js>(ctx: Ctx<'js>, running: Handle<'js, Running>, bytes: Bytes<'js>) -> Result<()> {
    let running = running.borrow();
    let mut running = running.value().borrow_mut();
    with_parts(&bytes, |part| running.update(part))?.map_err(|error| thrown(&ctx, &error))
}

fn update_text<'js>(
    ctx: Ctx<'js>,
    running: Handle<'js, Running>,
    text: JsString<'js>,
) -> Result<()> {
    let running = running.borrow();
    let mut running = running.value().borrow_mut();
    with_utf8(text, |text| in_parts(&ctx, text.as_bytes(), |part| running.update(part)))??
        .map_err(|error| thrown(&ctx, &error))
}

fn digest<'js>(ctx: Ctx<'js>, running: Handle<'js, Running>) -> Result<ArrayBuffer<'js>> {
    let result = running.borrow().value().borrow_mut().finish();
    ArrayBuffer::new_copy(ctx.clone(), result.map_err(|error| thrown(&ctx, &error))?)
}
