//! What the engine asks of whoever embeds it.

use std::fmt;

/// The embedding process. Called while JavaScript is on the stack: an implementation must not
/// unwind and must not start JavaScript of its own.
pub trait Host {
    /// Whether running JavaScript has to stop now. Asked every few thousand steps.
    fn interrupted(&self) -> bool;

    /// A line that a plugin wrote with `console`.
    fn log(&self, line: LogLine<'_>);
}

/// One line of a plugin's console.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// [`Program::id`](crate::Program::id) of the realm that wrote it.
    pub program: i32,
    /// [`Program::plugin`](crate::Program::plugin) of that realm.
    pub plugin: &'a str,
    pub level: Level,
    pub message: &'a str,
}

/// PostHog's five levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug,
    Log,
    Info,
    Warn,
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Level::Debug => "DEBUG",
            Level::Log => "LOG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        })
    }
}
