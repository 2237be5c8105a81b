//! `eval` and `Function`: code that a plugin makes while it runs.

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, Result, Value};

use super::script;
use crate::allocator::Meter;

pub(super) fn install(ctx: &Ctx<'_>, meter: &Rc<Meter>) -> Result<()> {
    let host = Object::new(ctx.clone())?;
    host.set("compile", Function::new(ctx.clone(), compiler(meter.clone()))?)?;
    host.set("run", Function::new(ctx.clone(), runner(meter.clone()))?)?;
    let install: Function<'_> = script::run(ctx, include_str!("dynamic_code.js"))?;
    install.call((host,))
}

/// `construct(constructor, parts, newTarget)`, which compiles and runs nothing.
fn compiler<'js>(
    meter: Rc<Meter>,
) -> impl Fn(Function<'js>, Value<'js>, Value<'js>, Value<'js>) -> Result<Value<'js>> {
    move |construct, constructor, parts, new_target| {
        meter.while_building(|| construct.call((constructor, parts, new_target)))
    }
}

/// Compiles and runs a script in the global scope.
fn runner<'js>(meter: Rc<Meter>) -> impl Fn(Ctx<'js>, String) -> Result<Value<'js>> {
    move |ctx, code| {
        let compiled = meter.while_building(|| script::compile(&ctx, &code, "eval"))?;
        script::execute(&ctx, compiled)
    }
}
