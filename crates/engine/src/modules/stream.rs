//! `stream`: Node's streams. Each script is a function that adds its classes to the parts, out of
//! those before it.

use rquickjs::{Ctx, Function, Object, Result, Value};

use crate::globals::run;

const SCRIPTS: [&str; 5] = [
    include_str!("stream/base.js"),
    include_str!("stream/readable.js"),
    include_str!("stream/writable.js"),
    include_str!("stream/duplex.js"),
    include_str!("stream/pipeline.js"),
];

pub(super) fn build<'js>(ctx: &Ctx<'js>, require: &Function<'js>) -> Result<Object<'js>> {
    let parts = Object::new(ctx.clone())?;
    parts.set("require", require.clone())?;
    parts.set("errors", super::errors(ctx)?)?;
    parts.set("EventEmitter", require.call::<_, Value<'js>>(("events",))?)?;
    for script in SCRIPTS {
        let add: Function<'js> = run(ctx, script)?;
        add.call::<_, ()>((parts.clone(),))?;
    }
    parts.get("Stream")
}
