//! Texts on their way through a cipher.

use ::crypto::{Cipher, Direction, Shape};
use rquickjs::function::Func;
use rquickjs::{Array, ArrayBuffer, Ctx, Object, Result};

use super::Bytes;
use super::errors::thrown;
use crate::globals::native::{Handle, Native};
use crate::globals::{hold, with_bytes, with_parts};

pub(super) fn add(native: &Object<'_>) -> Result<()> {
    native.set("cipherNames", Func::from(names))?;
    native.set("cipherShape", Func::from(shape))?;
    native.set("cipher", Func::from(cipher))?;
    native.set("cipherUpdate", Func::from(update))?;
    native.set("cipherFinish", Func::from(finish))?;
    native.set("setPadding", Func::from(set_padding))?;
    native.set("authenticate", Func::from(authenticate))?;
    native.set("expectTag", Func::from(expect_tag))?;
    native.set("tag", Func::from(tag))
}

fn names<'js>(ctx: Ctx<'js>) -> Result<Array<'js>> {
    let names = Array::new(ctx)?;
    for (index, name) in Cipher::names().enumerate() {
        names.set(index, name)?;
    }
    Ok(names)
}

/// Nothing when there is no such cipher.
fn shape<'js>(ctx: Ctx<'js>, name: String) -> Result<Option<Object<'js>>> {
    let Some(Shape { name, mode, key_bytes, iv_bytes }) = Cipher::shape(&name) else {
        return Ok(None);
    };
    let shape = Object::new(ctx)?;
    shape.set("name", name)?;
    shape.set("mode", mode)?;
    shape.set("keyLength", key_bytes)?;
    shape.set("ivLength", iv_bytes)?;
    Ok(Some(shape))
}

fn cipher<'js>(
    ctx: Ctx<'js>,
    name: String,
    key: Bytes<'js>,
    iv: Bytes<'js>,
    encrypts: bool,
) -> Result<Handle<'js, Cipher>> {
    let direction = if encrypts { Direction::Encrypt } else { Direction::Decrypt };
    Native::make(&ctx, Cipher::NATIVE_BYTES, || {
        with_bytes(&key, |key| with_bytes(&iv, |iv| Cipher::new(&name, key, iv, direction)))??
            .map_err(|error| thrown(&ctx, &error))
    })
}

fn update<'js>(
    ctx: Ctx<'js>,
    cipher: Handle<'js, Cipher>,
    text: Bytes<'js>,
) -> Result<ArrayBuffer<'js>> {
    let _memory = hold(&ctx, text.len())?;
    let mut result = Vec::with_capacity(text.len());
    let cipher = cipher.borrow();
    let mut cipher = cipher.value().borrow_mut();
    with_parts(&text, |part| cipher.update(part, &mut result))?
        .map_err(|error| thrown(&ctx, &error))?;
    ArrayBuffer::new_copy(ctx, result)
}

fn finish<'js>(ctx: Ctx<'js>, cipher: Handle<'js, Cipher>) -> Result<ArrayBuffer<'js>> {
    let result = cipher.borrow().value().borrow_mut().finish();
    ArrayBuffer::new_copy(ctx.clone(), result.map_err(|error| thrown(&ctx, &error))?)
}

fn set_padding<'js>(ctx: Ctx<'js>, cipher: Handle<'js, Cipher>, pads: bool) -> Result<()> {
    let set = cipher.borrow().value().borrow_mut().set_padding(pads);
    set.map_err(|error| thrown(&ctx, &error))
}

fn authenticate<'js>(ctx: Ctx<'js>, cipher: Handle<'js, Cipher>, data: Bytes<'js>) -> Result<()> {
    let cipher = cipher.borrow();
    let mut cipher = cipher.value().borrow_mut();
    with_parts(&data, |part| cipher.authenticate(part))?.map_err(|error| thrown(&ctx, &error))
}

fn expect_tag<'js>(ctx: Ctx<'js>, cipher: Handle<'js, Cipher>, tag: Bytes<'js>) -> Result<()> {
    let cipher = cipher.borrow();
    let set = with_bytes(&tag, |tag| cipher.value().borrow_mut().expect_tag(tag))?;
    set.map_err(|error| thrown(&ctx, &error))
}

fn tag<'js>(ctx: Ctx<'js>, cipher: Handle<'js, Cipher>, len: usize) -> Result<ArrayBuffer<'js>> {
    let tag = cipher.borrow().value().borrow().tag(len);
    ArrayBuffer::new_copy(ctx.clone(), tag.map_err(|error| thrown(&ctx, &error))?)
}
