//! `eval` and `Function`: code that a plugin makes while it runs.

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, Result, Value};

use super::script::{self, Compiled};
use crate::allocator::Meter;

pub(super) fn install(ctx: &Ctx<'_>, meter: &Rc<Meter>) -> Result<()> {
    let host = Object::new(ctx.clone())?;
    host.set("make", Function::new(ctx.clone(), maker(meter.clone()))?)?;
    host.set("run", Function::new(ctx.clone(), runner(meter.clone()))?)?;
    let install: Function<'_> = script::run(ctx, include_str!("dynamic_code.js"))?;
    install.call((host,))
}

/// Makes a function of its parts. Each is compiled alone as well, as the standard asks, so that a
/// comment that begins in one cannot end in the other. A part that closes what is around it gets the
/// rest run at once: under the limits of everything else, as only the compiler is without them.
fn maker<'js>(meter: Rc<Meter>) -> impl Fn(Ctx<'js>, String, String, String) -> Result<Value<'js>> {
    move |ctx, kind, parameters, body| {
        compile(&ctx, &meter, &format!("({kind} anonymous({parameters}\n) {{\n}})"))?;
        compile(&ctx, &meter, &format!("({kind} anonymous() {{\n{body}\n}})"))?;
        let text = format!("({kind} anonymous({parameters}\n) {{\n{body}\n}})");
        script::execute(&ctx, compile(&ctx, &meter, &text)?)
    }
}

/// Runs a script in the global scope.
fn runner<'js>(meter: Rc<Meter>) -> impl Fn(Ctx<'js>, String) -> Result<Value<'js>> {
    move |ctx, code| script::execute(&ctx, compile(&ctx, &meter, &code)?)
}

fn compile<'js>(ctx: &Ctx<'js>, meter: &Meter, code: &str) -> Result<Compiled<'js>> {
    meter.while_building(|| script::compile(ctx, code, "eval"))
}
