//! What can go wrong in a plugin, told so that its author can act on it.

use std::fmt;

use rquickjs::{Ctx, Value};

use crate::allocator::Meter;
use crate::program::Program;
use crate::value::{shorten, text_of_error, text_of_string};
use crate::watch::{Stop, Watch};

/// Longest message and stack that are kept: enough for any honest error, too short to fill a log.
const LONGEST_TEXT: usize = 8 * 1024;

/// The same before secrets are masked: a cut inside of one would hide it from the mask.
const LONGEST_RAW_TEXT: usize = 8 * LONGEST_TEXT;

/// One failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// `Name: message`, as JavaScript prints an error.
    pub message: String,
    /// In positions of the script that ran.
    pub stack: Option<String>,
    /// Whether the same call may do well later: the plugin says so with a `RetryError`, or the failure
    /// is not of its making.
    pub retriable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The plugin threw, or its promise was rejected.
    Threw,
    /// A promise that nobody awaited was rejected.
    UnhandledRejection,
    /// `setupPlugin`, or the script itself, failed.
    NotLoaded,
    /// The call's time was up.
    TimedOut,
    /// The promise can never settle: nothing is left that could settle it.
    NeverSettles,
    OutOfMemory,
    StackOverflow,
    /// The host stopped the call, or it ended along with the runtime that another one used up.
    Interrupted,
    /// The result cannot be an event.
    BadResult,
    /// The plugin changed `team_id`, which was put back.
    TeamChanged,
    /// The plugin has no such function.
    NotFound,
    /// What the plugin asked for could not be done.
    Undelivered,
    /// The config is not called for a while after it used up its limits several times.
    Suspended,
}

impl FailureKind {
    /// The plugin used up what it may use.
    pub(crate) fn is_a_limit(self) -> bool {
        matches!(
            self,
            FailureKind::TimedOut | FailureKind::OutOfMemory | FailureKind::StackOverflow
        )
    }

    /// After these the runtime is not to be trusted any more.
    pub(crate) fn ends_the_runtime(self) -> bool {
        self.is_a_limit() || self == FailureKind::Interrupted
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl Failure {
    /// What an embedder failed at with what the plugin has returned.
    pub fn of_delivery(message: String) -> Self {
        Failure::new(FailureKind::Undelivered, message)
    }

    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        use FailureKind::{Interrupted, Suspended, TimedOut};
        let retriable = matches!(kind, Interrupted | Suspended | TimedOut);
        Failure { kind, message: message.into(), stack: None, retriable }
    }

    /// The same failure as it can be shown: without the program's secrets, and not endless.
    pub(crate) fn redacted(self, program: &Program) -> Self {
        Failure {
            kind: self.kind,
            message: shorten(program.redact(self.message), LONGEST_TEXT),
            stack: self.stack.map(|stack| shorten(program.redact_stack(&stack), LONGEST_TEXT)),
            retriable: self.retriable,
        }
    }

    /// The failure of a script or of `setupPlugin`: it keeps the kinds that end the runtime, all else
    /// is one kind.
    pub(crate) fn while_loading(self, program: &Program) -> Self {
        let kind = if self.kind.ends_the_runtime() { self.kind } else { FailureKind::NotLoaded };
        Failure { kind, ..self }.redacted(program)
    }

    /// Takes the exception that is pending in `ctx` and says what it was.
    ///
    /// The limits are asked first: after one of them struck, the exception itself is only debris.
    pub(crate) fn pending(ctx: &Ctx<'_>, watch: &Watch, meter: &Meter) -> Self {
        let thrown = ctx.catch();
        if let Some(stopped) = Failure::stopped(watch) {
            return Failure { stack: stack_of(&thrown), ..stopped };
        }
        // Whatever is thrown after a refusal is a consequence of it.
        if meter.refused() {
            return Failure::out_of_memory();
        }
        Failure::of_thrown(ctx, &thrown)
    }

    /// What was thrown, if no limit struck but that of the stack.
    pub(crate) fn of_thrown<'js>(ctx: &Ctx<'js>, thrown: &Value<'js>) -> Self {
        let failure = Failure::of_reason(ctx, FailureKind::Threw, thrown);
        let kind = if failure.message == "RangeError: Maximum call stack size exceeded" {
            FailureKind::StackOverflow
        } else {
            FailureKind::Threw
        };
        Failure { kind, ..failure }
    }

    pub(crate) fn out_of_memory() -> Self {
        Failure::new(FailureKind::OutOfMemory, "the plugin ran out of memory")
    }

    /// The failure of a call that had to stop, if it had to.
    pub(crate) fn stopped(watch: &Watch) -> Option<Self> {
        Some(match watch.stopped()? {
            Stop::Host => Failure::new(FailureKind::Interrupted, "interrupted"),
            Stop::Deadline => Failure::new(FailureKind::TimedOut, "the call ran out of time"),
        })
    }

    /// The failure that a rejected promise carries.
    pub(crate) fn of_reason<'js>(ctx: &Ctx<'js>, kind: FailureKind, reason: &Value<'js>) -> Self {
        let message = describe(ctx, reason);
        let retriable = asks_for_a_retry(&message, reason);
        Failure { kind, message, stack: stack_of(reason), retriable }
    }
}

/// Whether the plugin threw PostHog's `RetryError`: ours, a subclass, or the copy that a bundler put
/// into the plugin. All have this getter or the name.
fn asks_for_a_retry(message: &str, thrown: &Value<'_>) -> bool {
    if message == "RetryError" || message.starts_with("RetryError: ") {
        return true;
    }
    let Some(error) = thrown.as_object().filter(|_| thrown.is_error()) else { return false };
    error.get("nameWithAttempts").map_or_else(
        |_| {
            thrown.ctx().catch();
            false
        },
        |found: Value<'_>| found.is_string(),
    )
}

/// `Name: message` for errors, `String(value)` for whatever else was thrown. Runs the plugin's own
/// code where that is an accessor or a `toString`; if it throws, its error is dropped.
fn describe<'js>(ctx: &Ctx<'js>, thrown: &Value<'js>) -> String {
    shorten(text_of_error(ctx, thrown), LONGEST_RAW_TEXT)
}

fn stack_of(thrown: &Value<'_>) -> Option<String> {
    let stack: rquickjs::Result<Value<'_>> = thrown.as_object()?.get("stack");
    let Ok(stack) = stack else {
        thrown.ctx().catch();
        return None;
    };
    let stack = text_of_string(stack.ctx(), &stack)?;
    // Frames of the engine's own scripts tell an author nothing.
    let ours = |frame: &&str| !frame.is_empty() && !frame.contains("(posthog_plugins:");
    let stack: Vec<&str> = stack.lines().map(str::trim).filter(ours).collect();
    (!stack.is_empty()).then(|| shorten(stack.join("\n"), LONGEST_RAW_TEXT))
}
