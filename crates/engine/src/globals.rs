//! What a realm's global object holds beyond ECMAScript's own: one file for each.

mod buffer;
mod bytes;
mod console;
pub(crate) mod crypto;
mod dynamic_code;
mod encoding;
mod fetch;
mod guards;
mod intl;
mod lazy;
pub(crate) mod native;
mod posthog;
mod rejections;
pub(crate) mod script;
mod timers;
pub(crate) mod toll;
mod url;

use std::rc::Rc;

use rquickjs::object::Property;
use rquickjs::{Ctx, IntoJs, Result};

use crate::machine::Tools;
use crate::modules;
use crate::program::Program;

pub(crate) use bytes::{in_parts, with_bytes, with_bytes_mut, with_parts, with_utf8};
pub(crate) use fetch::Requests;
use lazy::{define_lazy, define_lazy_together};
pub(crate) use rejections::Rejections;
pub(crate) use script::{hold, run};
pub(crate) use toll::pay;
pub(crate) use url::read_form;

/// Prepares a new realm. Runs before any of the plugin's code, so that what it captures of the
/// intrinsics is still the engine's own.
pub(crate) fn install(ctx: &Ctx<'_>, program: &Rc<Program>, tools: &Tools) -> Result<()> {
    script::install(ctx, &tools.meter)?;
    guards::install(ctx)?;
    dynamic_code::install(ctx, &tools.meter)?;
    toll::install(ctx, &tools.watch)?;
    intl::install(ctx)?;
    let global = ctx.globals();
    for alias in ["global", "GLOBAL", "root"] {
        define(ctx, alias, global.clone())?;
    }
    define(ctx, "require", modules::require(ctx)?)?;
    define_lazy(ctx, "console", console::builder(program, tools))?;
    define_lazy(ctx, "RetryError", |ctx| run(ctx, include_str!("globals/retry_error.js")))?;
    define_lazy(ctx, "Buffer", buffer::build)?;
    define_lazy_together(ctx, &["URL", "URLSearchParams"], url::build)?;
    define_lazy_together(ctx, &["TextEncoder", "TextDecoder"], encoding::build)?;
    define_lazy_together(ctx, &["crypto", "CryptoKey"], crypto::build)?;
    define_lazy_together(ctx, fetch::NAMES, fetch::builder(program, tools))?;
    define_lazy_together(ctx, timers::NAMES, timers::builder(tools))?;
    define_lazy(ctx, "posthog", posthog::builder(program, tools))?;
    define_lazy(ctx, "structuredClone", |ctx| {
        run(ctx, include_str!("globals/structured_clone.js"))
    })?;
    // Shared memory needs a second thread to make sense, and its bytes escape the meter. Finalizers
    // run when memory is collected, which can be in another plugin's call.
    for name in ["SharedArrayBuffer", "Atomics", "FinalizationRegistry"] {
        global.remove(name)?;
    }
    Ok(())
}

/// Defines a global as ECMAScript defines its own: writable, configurable, not enumerable.
fn define<'js>(ctx: &Ctx<'js>, name: &str, value: impl IntoJs<'js>) -> Result<()> {
    ctx.globals().prop(name, Property::from(value.into_js(ctx)?).writable().configurable())
}
