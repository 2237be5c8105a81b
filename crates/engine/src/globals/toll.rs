//! A toll on native work. QuickJS asks whether to stop once in 10,000 branches of bytecode; a loop
//! whose every turn is milliseconds of native work would run for minutes after its time was up.

use std::cell::Cell;
use std::rc::Rc;

use rquickjs::{Ctx, Error, Exception, JsLifetime, Result};

use crate::watch::Watch;

/// Bytes of work between two questions: well below a millisecond of it, and so much that the
/// question itself costs nothing.
const BYTES_PER_QUESTION: usize = 64 << 10;

/// What the native functions of a runtime owe.
struct Toll {
    watch: Rc<Watch>,
    owed: Cell<usize>,
}

// SAFETY: there is no JavaScript value in it.
unsafe impl<'js> JsLifetime<'js> for Toll {
    type Changed<'to> = Toll;
}

/// Makes the runtime's native functions ask that watch.
pub(super) fn install(ctx: &Ctx<'_>, watch: &Rc<Watch>) -> Result<()> {
    if ctx.userdata::<Toll>().is_none() {
        let toll = Toll { watch: watch.clone(), owed: Cell::new(0) };
        ctx.store_userdata(toll).map_err(|_| Error::Unknown)?;
    }
    Ok(())
}

/// Pays for work on that many bytes; fails when the call has to stop. Code that catches this gets
/// nothing more done, and soon meets the interrupt that it cannot catch.
pub(crate) fn pay(ctx: &Ctx<'_>, bytes: usize) -> Result<()> {
    let Some(toll) = ctx.userdata::<Toll>() else { return Ok(()) };
    let owed = toll.owed.get().saturating_add(bytes);
    if owed < BYTES_PER_QUESTION {
        toll.owed.set(owed);
        return Ok(());
    }
    if toll.watch.must_stop() {
        return Err(Exception::throw_internal(ctx, "interrupted"));
    }
    toll.owed.set(0);
    Ok(())
}
