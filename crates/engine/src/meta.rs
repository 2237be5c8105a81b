//! `meta`: the last argument of every function a plugin exports. One object for a realm's life, so
//! what a plugin adds to it stays; the settings in it are frozen.

use rquickjs::function::This;
use rquickjs::{Ctx, Function, Object, Result, TypedArray, Value};

use crate::globals;
use crate::program::Program;

pub(crate) fn build<'js>(ctx: &Ctx<'js>, program: &Program) -> Result<Object<'js>> {
    let meta = Object::new(ctx.clone())?;
    let config: Value<'js> = ctx.json_parse(program.config.as_str())?;
    meta.set("config", freeze(ctx, config)?)?;
    let attachments = Object::new(ctx.clone())?;
    for attachment in &program.attachments {
        let file = Object::new(ctx.clone())?;
        file.set("content_type", attachment.content_type.as_str())?;
        file.set("file_name", attachment.file_name.as_str())?;
        let contents = TypedArray::<u8>::new(ctx.clone(), attachment.contents.as_slice())?;
        file.set("contents", buffer(ctx, contents)?)?;
        attachments.set(attachment.key.as_str(), file)?;
    }
    meta.set("attachments", freeze(ctx, attachments.into_value())?)?;
    meta.set("global", Object::new(ctx.clone())?)?;
    Ok(meta)
}

/// Freezes a value of ours and everything in it.
fn freeze<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Value<'js>> {
    let deep_freeze: Function<'js> = globals::run(ctx, include_str!("meta/freeze.js"))?;
    deep_freeze.call((value,))
}

/// Bytes as a `Buffer`.
fn buffer<'js>(ctx: &Ctx<'js>, bytes: TypedArray<'js, u8>) -> Result<Value<'js>> {
    let class: Object<'js> = ctx.globals().get("Buffer")?;
    let from: Function<'js> = class.get("from")?;
    from.call((This(class), bytes))
}
