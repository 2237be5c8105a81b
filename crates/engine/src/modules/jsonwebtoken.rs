//! `jsonwebtoken`: the npm package of that name, made of the module `crypto`.

use rquickjs::{Ctx, Function, Object, Result, Value};

use crate::globals::run;

pub(super) fn build<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let require: Function<'js> = ctx.globals().get("require")?;
    let crypto: Value<'js> = require.call(("crypto",))?;
    let buffer: Value<'js> = ctx.globals().get("Buffer")?;
    let jws: Function<'js> = run(ctx, include_str!("jsonwebtoken/jws.js"))?;
    let jws: Value<'js> = jws.call((crypto.clone(), buffer.clone()))?;
    let factory: Function<'js> = run(ctx, include_str!("jsonwebtoken/jsonwebtoken.js"))?;
    factory.call((crypto, buffer, jws))
}
