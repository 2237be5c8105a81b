//! `util`: its functions are the scripts in `util/`. What a value is inside, which no script can
//! find out, is asked of QuickJS here.

use rquickjs::function::Func;
use rquickjs::promise::PromiseState;
use rquickjs::{Array, Ctx, Function, Object, Result, Value, qjs};

use crate::globals::run;

pub(super) fn build<'js>(ctx: &Ctx<'js>, _: &Function<'js>) -> Result<Object<'js>> {
    let errors = super::errors(ctx)?;
    let types = types(ctx)?;
    let layout: Value<'js> = run(ctx, include_str!("util/layout.js"))?;
    let inspect: Function<'js> = run(ctx, include_str!("util/inspect.js"))?;
    let inspect: Value<'js> = inspect.call((native(ctx)?, types.clone(), layout))?;
    let format: Function<'js> = run(ctx, include_str!("util/format.js"))?;
    let format: Value<'js> = format.call((inspect.clone(), errors.clone()))?;
    let make: Function<'js> = run(ctx, include_str!("util/util.js"))?;
    make.call((errors, types, inspect, format, compare(ctx)?))
}

/// How values are compared in depth.
pub(super) fn compare<'js>(ctx: &Ctx<'js>) -> Result<Value<'js>> {
    let make: Function<'js> = run(ctx, include_str!("util/compare.js"))?;
    make.call((types(ctx)?,))
}

fn types<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let make: Function<'js> = run(ctx, include_str!("util/types.js"))?;
    make.call((native(ctx)?,))
}

fn native<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    native.set("isProxy", Func::from(is_proxy))?;
    native.set("isAsyncFunction", Func::from(is_async_function))?;
    native.set("promise", Func::from(promise))?;
    Ok(native)
}

fn is_proxy(value: Value<'_>) -> bool {
    // SAFETY: a class check.
    unsafe { qjs::JS_IsProxy(value.as_raw()) }
}

fn is_async_function(value: Value<'_>) -> bool {
    // SAFETY: a class check.
    unsafe { qjs::JS_IsAsyncFunction(value.as_raw()) }
}

/// Whether the promise is pending, and what it was settled with; nothing for other values.
fn promise<'js>(ctx: Ctx<'js>, value: Value<'js>) -> Result<Option<Array<'js>>> {
    let Some(promise) = value.as_promise() else { return Ok(None) };
    let told = Array::new(ctx.clone())?;
    let state = match promise.state() {
        PromiseState::Pending => "pending",
        PromiseState::Resolved => "fulfilled",
        PromiseState::Rejected => "rejected",
    };
    told.set(0, state)?;
    // SAFETY: QuickJS gives an owned value, undefined while the promise is pending.
    let result = unsafe {
        let raw = ctx.as_raw().as_ptr();
        Value::from_raw(ctx.clone(), qjs::JS_PromiseResult(raw, value.as_raw()))
    };
    told.set(1, result)?;
    Ok(Some(told))
}
