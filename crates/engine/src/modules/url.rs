//! `url`: the web's classes, and Node's older functions beside them.

use rquickjs::function::Func;
use rquickjs::{Ctx, Function, Object, Result, String as JsString, Value};
use url::quirks;

use crate::globals::{read_form, run, with_utf8};

pub(super) fn build<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let tools = Object::new(ctx.clone())?;
    tools.set(
        "toASCII",
        Func::from(|name: JsString<'js>| with_utf8(name, quirks::domain_to_ascii)),
    )?;
    tools.set(
        "toUnicode",
        Func::from(|name: JsString<'js>| with_utf8(name, quirks::domain_to_unicode)),
    )?;
    tools.set("readForm", Func::from(read_form))?;
    let module = super::globals_as_module(ctx, &["URL", "URLSearchParams"])?;
    let errors: Value<'js> = run(ctx, include_str!("../globals/node_errors.js"))?;
    let resolve: Function<'js> = run(ctx, include_str!("url/resolve.js"))?;
    let factory: Function<'js> = run(ctx, include_str!("url/legacy.js"))?;
    factory.call((module, tools, errors, resolve))
}
