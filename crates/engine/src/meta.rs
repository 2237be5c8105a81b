//! `meta`: the last argument of every function a plugin exports. One object for a realm's life, so
//! what a plugin adds to it stays; the settings in it are frozen. What it can do is made when it is
//! first read, each part by a script of `meta/` that is given what it needs of the host.

mod metrics;
mod native;

use std::rc::Rc;

use rquickjs::function::This;
use rquickjs::object::{Accessor, Property};
use rquickjs::{Ctx, Function, Object, Result, TypedArray, Value};

use crate::globals;
use crate::machine::Tools;
use crate::program::Program;
use crate::store::Place;
pub(crate) use metrics::Metrics;
pub(crate) use native::leave;

pub(crate) fn build<'js>(
    ctx: &Ctx<'js>,
    program: &Rc<Program>,
    tools: &Tools,
    metrics: &Rc<Metrics>,
) -> Result<Object<'js>> {
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
    add_parts(&meta, program, tools, metrics)?;
    Ok(meta)
}

/// What reaches beyond the realm.
fn add_parts<'js>(
    meta: &Object<'js>,
    program: &Rc<Program>,
    tools: &Tools,
    metrics: &Rc<Metrics>,
) -> Result<()> {
    let (host, owner) = (tools.host.clone(), program.clone());
    define_lazy(meta, "cache", move |ctx| {
        let operate = native::operate(ctx, &host, &owner, Place::Cache)?;
        part(ctx, include_str!("meta/cache.js"), (operate, failures(ctx)?))
    })?;
    let (host, owner) = (tools.host.clone(), program.clone());
    define_lazy(meta, "storage", move |ctx| {
        let operate = native::operate(ctx, &host, &owner, Place::Storage)?;
        part(ctx, include_str!("meta/storage.js"), (operate,))
    })?;
    let (host, owner) = (tools.host.clone(), program.clone());
    define_lazy(meta, "utils", move |ctx| {
        let operate = native::operate(ctx, &host, &owner, Place::Storage)?;
        part(ctx, include_str!("meta/utils.js"), (operate,))
    })?;
    let (host, owner, course) = (tools.host.clone(), program.clone(), tools.course.clone());
    define_lazy(meta, "jobs", move |ctx| {
        let enqueue = native::enqueue(ctx, &host, &owner, &course)?;
        globals::run::<Function<'_>>(ctx, include_str!("meta/jobs.js"))?.call((enqueue,))
    })?;
    let (host, owner, metrics) = (tools.host.clone(), program.clone(), metrics.clone());
    define_lazy(meta, "metrics", move |ctx| metrics.build(ctx, &host, &owner, failures(ctx)?))?;
    let host = tools.host.clone();
    define_lazy(meta, "geoip", move |ctx| {
        let locate = native::locate(ctx, &host)?;
        part(ctx, include_str!("meta/geoip.js"), (locate,))
    })?;
    define_lazy(meta, "logger", |ctx| {
        let console: Value<'_> = ctx.globals().get("console")?;
        part(ctx, include_str!("meta/logger.js"), (console,))
    })
}

/// Defines a member that is made when it is first read.
fn define_lazy<'js>(
    meta: &Object<'js>,
    name: &'static str,
    make: impl for<'a> Fn(&Ctx<'a>) -> Result<Value<'a>> + 'js,
) -> Result<()> {
    let settle = move |meta: &Object<'js>, value: Value<'js>| {
        meta.prop(name, Property::from(value).writable().configurable().enumerable())
    };
    let get = move |ctx: Ctx<'js>, This(meta): This<Object<'js>>| {
        let value = make(&ctx)?;
        settle(&meta, value.clone())?;
        Ok::<_, rquickjs::Error>(value)
    };
    let set = move |This(meta): This<Object<'js>>, value: Value<'js>| settle(&meta, value);
    meta.prop(name, Accessor::new(get, set).configurable().enumerable())
}

/// What one of our scripts makes of its arguments, frozen.
fn part<'js, A>(ctx: &Ctx<'js>, script: &'static str, arguments: A) -> Result<Value<'js>>
where
    A: rquickjs::function::IntoArgs<'js>,
{
    let make: Function<'js> = globals::run(ctx, script)?;
    freeze(ctx, make.call(arguments)?)
}

fn failures<'js>(ctx: &Ctx<'js>) -> Result<Value<'js>> {
    globals::run(ctx, include_str!("meta/failures.js"))
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
