//! `console`: PostHog's five levels, and in `console.js` what consoles have besides.

use std::cell::Cell;
use std::rc::Rc;

use rquickjs::function::Rest;
use rquickjs::{Ctx, Function, Object, Result, Value};

use super::run;
use crate::host::{Host, Level, LogLine};
use crate::machine::Tools;
use crate::program::Program;
use crate::value::{console_text, shorten};
use crate::watch::Watch;

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

/// What makes the global of a program's realm.
pub(super) fn builder(
    program: &Rc<Program>,
    tools: &Tools,
) -> impl for<'a> Fn(&Ctx<'a>) -> Result<Value<'a>> + use<> {
    let voice = Rc::new(Voice {
        program: program.clone(),
        host: tools.host.clone(),
        watch: tools.watch.clone(),
        budget: Budget::default(),
    });
    move |ctx| {
        let console = Object::new(ctx.clone())?;
        for (name, level) in METHODS {
            console.set(name, method(ctx, name, level, voice.clone())?)?;
        }
        let add: Function<'_> = run(ctx, include_str!("console.js"))?;
        add.call((console,))
    }
}

fn method<'js>(
    ctx: &Ctx<'js>,
    name: &str,
    level: Level,
    voice: Rc<Voice>,
) -> Result<Function<'js>> {
    let method = move |ctx: Ctx<'js>, arguments: Rest<Value<'js>>| -> Result<()> {
        voice.say(&ctx, level, &arguments.0)
    };
    Function::new(ctx.clone(), method)?.with_name(name)
}

/// Whose lines they are, and where they go.
struct Voice {
    program: Rc<Program>,
    host: Rc<dyn Host>,
    watch: Rc<Watch>,
    budget: Budget,
}

impl Voice {
    fn say<'js>(&self, ctx: &Ctx<'js>, level: Level, arguments: &[Value<'js>]) -> Result<()> {
        if self.budget.is_spent(self.watch.calls()) {
            return Ok(());
        }
        let line = console_text(ctx, arguments)?;
        let line = shorten(self.program.redact(line), LONGEST_LINE);
        let (level, message) = match self.budget.spend(line.len()) {
            Spent::Fits => (level, line.as_str()),
            Spent::Over => (Level::Warn, "the rest of what this call logged is left out"),
        };
        let Program { id, plugin, .. } = &*self.program;
        self.host.log(LogLine { program: *id, plugin, level, message });
        Ok(())
    }
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
