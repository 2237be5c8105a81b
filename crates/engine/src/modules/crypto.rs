//! `crypto`: what plugins use of Node's. The parts are scripts, each loaded when something of it is
//! first read.

use rquickjs::function::Func;
use rquickjs::{Ctx, Exception, Function, Object, Result, Value};

use crate::globals::{crypto, run};

pub(super) fn build<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let errors: Value<'js> = run(ctx, include_str!("../globals/node_errors.js"))?;
    let buffer: Value<'js> = ctx.globals().get("Buffer")?;
    let common: Function<'js> = run(ctx, include_str!("crypto/common.js"))?;
    let common: Object<'js> = common.call((crypto::tools(ctx)?, errors, buffer))?;
    let factory: Function<'js> = run(ctx, include_str!("crypto/module.js"))?;
    factory.call((Func::from(part), common, Object::new(ctx.clone())?))
}

/// The function that makes a part.
fn part<'js>(ctx: Ctx<'js>, name: String) -> Result<Function<'js>> {
    let script = match name.as_str() {
        "ciphers" => include_str!("crypto/ciphers.js"),
        "derive" => include_str!("crypto/derive.js"),
        "hashes" => include_str!("crypto/hashes.js"),
        "keys" => include_str!("crypto/keys.js"),
        "random" => include_str!("crypto/random.js"),
        "signatures" => include_str!("crypto/signatures.js"),
        _ => return Err(Exception::throw_type(&ctx, "no such part")),
    };
    run(&ctx, script)
}
