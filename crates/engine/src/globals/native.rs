//! Rust values that JavaScript holds, without being able to look into them: a hash under way, a key,
//! a stream. The native memory behind them counts as the plugins'.

use rquickjs::class::{JsClass, Readable, Trace, Tracer};
use rquickjs::function::Constructor;
use rquickjs::{Class, Ctx, JsLifetime, Object, Result};
use std::cell::RefCell;

use super::hold;
use crate::allocator::Held;

/// A value and the memory that is counted for it.
pub(crate) struct Native<T> {
    value: RefCell<T>,
    _memory: Held,
}

/// What JavaScript holds.
pub(crate) type Handle<'js, T> = Class<'js, Native<T>>;

impl<T: 'static> Native<T> {
    /// Wraps what `make` makes, if there is room for it.
    pub(crate) fn make<'js>(
        ctx: &Ctx<'js>,
        bytes: usize,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Handle<'js, T>> {
        let memory = hold(ctx, bytes)?;
        Class::instance(ctx.clone(), Native { value: RefCell::new(make()?), _memory: memory })
    }

    /// The value, which is nobody else's: no JavaScript runs while native code uses one.
    pub(crate) fn value(&self) -> &RefCell<T> {
        &self.value
    }
}

impl<'js, T> Trace<'js> for Native<T> {
    fn trace<'a>(&self, _: Tracer<'a, 'js>) {}
}

// SAFETY: there is no JavaScript value in it.
unsafe impl<'js, T: 'static> JsLifetime<'js> for Native<T> {
    type Changed<'to> = Native<T>;
}

impl<'js, T: 'static> JsClass<'js> for Native<T> {
    const NAME: &'static str = "Native";

    type Mutable = Readable;

    /// Realms would share one.
    fn prototype(_: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        Ok(None)
    }

    fn constructor(_: &Ctx<'js>) -> Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}
