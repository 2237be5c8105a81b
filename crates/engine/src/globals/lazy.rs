//! Globals that are made when they are first read: most plugins use one or two of them, and a realm
//! has to start in microseconds.

use rquickjs::object::{Accessor, Property};
use rquickjs::{Ctx, Result, Value};

/// Defines a global whose value `make` builds on first use. Assigning to it before just replaces it.
pub(crate) fn define_lazy<'js>(
    ctx: &Ctx<'js>,
    name: &'static str,
    make: impl for<'a> Fn(&Ctx<'a>) -> Result<Value<'a>> + 'js,
) -> Result<()> {
    let get = move |ctx: Ctx<'js>| {
        let value = make(&ctx)?;
        settle(&ctx, name, value.clone())?;
        Ok::<_, rquickjs::Error>(value)
    };
    let set = move |ctx: Ctx<'js>, value: Value<'js>| settle(&ctx, name, value);
    ctx.globals().prop(name, Accessor::new(get, set).configurable())
}

/// Puts an ordinary property in the accessor's place.
fn settle<'js>(ctx: &Ctx<'js>, name: &str, value: Value<'js>) -> Result<()> {
    ctx.globals().prop(name, Property::from(value).writable().configurable())
}
