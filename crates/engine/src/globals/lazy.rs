//! Globals that are made when they are first read: most plugins use one or two of them, and a realm
//! has to start in microseconds.

use std::mem::MaybeUninit;

use rquickjs::object::{Accessor, Property};
use rquickjs::{Ctx, Error, Object, Result, Value, qjs};

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

/// Defines globals that belong together: `make` builds an object of them all when the first is read.
pub(crate) fn define_lazy_together<'js>(
    ctx: &Ctx<'js>,
    names: &'static [&'static str],
    make: impl for<'a> Fn(&Ctx<'a>) -> Result<Object<'a>> + Clone + 'js,
) -> Result<()> {
    for name in names {
        let make = make.clone();
        define_lazy(ctx, name, move |ctx| {
            let made = make(ctx)?;
            for other in names.iter().filter(|other| *other != name) {
                // What the plugin put in its place stays.
                if is_accessor(ctx, other)? {
                    settle(ctx, other, made.get(*other)?)?;
                }
            }
            made.get(*name)
        })?;
    }
    Ok(())
}

/// Whether reading the global runs code.
fn is_accessor(ctx: &Ctx<'_>, name: &str) -> Result<bool> {
    let global = ctx.globals();
    let raw = ctx.as_raw().as_ptr();
    let mut found = MaybeUninit::<qjs::JSPropertyDescriptor>::uninit();
    // SAFETY: the atom is freed after its only use; the descriptor is written, with references that
    // are then ours, exactly when the answer is 1.
    unsafe {
        let atom = qjs::JS_NewAtomLen(raw, name.as_ptr().cast(), name.len() as _);
        let answer =
            qjs::JS_GetOwnProperty(raw, found.as_mut_ptr(), global.as_value().as_raw(), atom);
        qjs::JS_FreeAtom(raw, atom);
        match answer {
            1 => {
                let found = found.assume_init();
                for reference in [found.value, found.getter, found.setter] {
                    qjs::JS_FreeValue(raw, reference);
                }
                Ok(found.flags & qjs::JS_PROP_GETSET as i32 != 0)
            }
            0 => Ok(false),
            _ => Err(Error::Exception),
        }
    }
}

/// Puts an ordinary property in the accessor's place.
fn settle<'js>(ctx: &Ctx<'js>, name: &str, value: Value<'js>) -> Result<()> {
    ctx.globals().prop(name, Property::from(value).writable().configurable())
}
