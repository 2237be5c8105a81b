//! `setTimeout` and its like: the functions are `timers.js`, the time is kept by
//! [`Timers`](crate::timers::Timers).

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, Persistent, Result, Value};

use super::run;
use crate::machine::Tools;
use crate::timers::{Purpose, Timers};

pub(super) const NAMES: &[&str] = &[
    "setTimeout",
    "setInterval",
    "setImmediate",
    "clearTimeout",
    "clearInterval",
    "clearImmediate",
];

/// What makes the globals of a realm.
pub(super) fn builder(
    tools: &Tools,
) -> impl for<'a> Fn(&Ctx<'a>) -> Result<Object<'a>> + Clone + use<> {
    let timers = tools.timers.clone();
    move |ctx| {
        let errors: Value<'_> = run(ctx, include_str!("node_errors.js"))?;
        let factory: Function<'_> = run(ctx, include_str!("timers.js"))?;
        let require: Value<'_> = ctx.globals().get("require")?;
        factory.call((native(ctx, &timers)?, errors, require))
    }
}

fn native<'js>(ctx: &Ctx<'js>, timers: &Rc<Timers>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    let table = timers.clone();
    let set = move |ctx: Ctx<'js>, number: Option<u64>, milliseconds: f64, ring: Function<'js>| {
        table.set(Purpose::Plugin, number, milliseconds, Persistent::save(&ctx, ring))
    };
    native.set("set", Function::new(ctx.clone(), set)?)?;
    let table = timers.clone();
    let clear = move |number: u64| table.clear(number);
    native.set("clear", Function::new(ctx.clone(), clear)?)?;
    Ok(native)
}
