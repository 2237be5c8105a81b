//! `console`: PostHog's five levels, and the usual other names for them.

use std::cell::Cell;
use std::rc::Rc;

use rquickjs::function::Rest;
use rquickjs::{Ctx, Function, Object, Result, Value};

use crate::host::{Level, LogLine};
use crate::machine::Tools;
use crate::program::Program;
use crate::value::{console_text, shorten};

/// PostHog's own limit for a log entry.
const LONGEST_LINE: usize = 50_000;

/// What one call may log. More is not read by anyone, and would be held until the end of the
/// transaction.
const BYTES_PER_CALL: usize = 1 << 20;

const METHODS: [(&str, Level); 6] = [
    ("debug", Level::Debug),
    ("log", Level::Log),
    ("info", Level::Info),
    ("warn", Level::Warn),
    ("error", Level::Error),
    ("trace", Level::Debug),
];

pub(super) fn build<'js>(
    ctx: &Ctx<'js>,
    program: &Rc<Program>,
    tools: &Tools,
) -> Result<Object<'js>> {
    let console = Object::new(ctx.clone())?;
    let budget = Rc::new(Budget::default());
    for (name, level) in METHODS {
        let host = tools.host.clone();
        let watch = tools.watch.clone();
        let program = program.clone();
        let budget = budget.clone();
        let method = move |ctx: Ctx<'js>, arguments: Rest<Value<'js>>| -> Result<()> {
            if budget.is_spent(watch.calls()) {
                return Ok(());
            }
            let line = console_text(&ctx, &arguments.0)?;
            let line = shorten(program.redact(line), LONGEST_LINE);
            let (level, message) = match budget.spend(line.len()) {
                Spent::Fits => (level, line.as_str()),
                Spent::Over => (Level::Warn, "the rest of what this call logged is left out"),
            };
            let Program { id, plugin, .. } = &*program;
            host.log(LogLine { program: *id, plugin, level, message });
            Ok(())
        };
        console.set(name, Function::new(ctx.clone(), method)?.with_name(name)?)?;
    }
    Ok(console)
}

/// The bytes that the running call has logged.
#[derive(Default)]
struct Budget {
    call: Cell<u64>,
    bytes: Cell<usize>,
}

enum Spent {
    Fits,
    Over,
}

impl Budget {
    /// Whether nothing more of the call is logged.
    fn is_spent(&self, call: u64) -> bool {
        if self.call.replace(call) != call {
            self.bytes.set(0);
        }
        self.bytes.get() > BYTES_PER_CALL
    }

    fn spend(&self, bytes: usize) -> Spent {
        // An empty line costs as well.
        self.bytes.set(self.bytes.get().saturating_add(bytes + 64));
        if self.bytes.get() <= BYTES_PER_CALL { Spent::Fits } else { Spent::Over }
    }
}
