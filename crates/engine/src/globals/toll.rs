//! A toll on native work. QuickJS asks whether to stop once in 10,000 branches of bytecode; a loop
//! whose every turn is milliseconds of native work would run for minutes after its time was up.

use std::cell::Cell;
use std::rc::Rc;

use rquickjs::{Ctx, Exception, Result};

use crate::watch::Watch;

/// Bytes of work between two questions: well below a millisecond of it, and so much that the
/// question itself costs nothing.
const BYTES_PER_QUESTION: usize = 64 << 10;

/// What the native functions of one global owe.
#[derive(Clone)]
pub(super) struct Toll {
    watch: Rc<Watch>,
    owed: Rc<Cell<usize>>,
}

impl Toll {
    pub(super) fn new(watch: &Rc<Watch>) -> Self {
        Toll { watch: watch.clone(), owed: Rc::default() }
    }

    /// Pays for work on that many bytes; fails when the call has to stop. Code that catches this
    /// gets nothing more done, and soon meets the interrupt that it cannot catch.
    pub(super) fn pay(&self, ctx: &Ctx<'_>, bytes: usize) -> Result<()> {
        let owed = self.owed.get().saturating_add(bytes);
        if owed < BYTES_PER_QUESTION {
            self.owed.set(owed);
            return Ok(());
        }
        if self.watch.must_stop() {
            return Err(Exception::throw_internal(ctx, "interrupted"));
        }
        self.owed.set(0);
        Ok(())
    }
}
