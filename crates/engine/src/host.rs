//! What the engine asks of whoever embeds it.

use std::fmt;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::http::{Answer, Request};
use crate::program::Program;
use crate::store::{Operation, Refusal, Reply};

/// The embedding process. Called while JavaScript is on the stack: an implementation must not
/// unwind and must not start JavaScript of its own.
pub trait Host {
    /// Whether running JavaScript has to stop now. Asked every few thousand steps.
    fn interrupted(&self) -> bool;

    /// A line that a plugin wrote with `console`.
    fn log(&self, line: LogLine<'_>);

    /// Begins a request of the realm of that program, and numbers it; or says why not, which the
    /// plugin is told.
    fn send(&self, program: i32, request: Request) -> Result<u64, String> {
        let _ = (program, request);
        Err("there is no network".to_owned())
    }

    /// Waits for a request to end. `None` when none has `until` then, when JavaScript has to stop,
    /// or when none is under way.
    fn next_answer(&self, until: Option<Instant>) -> Option<Answer> {
        let _ = until;
        None
    }

    /// Lets time pass: until then, or until JavaScript has to stop.
    fn sleep(&self, until: Instant) {
        while !self.interrupted() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(LONGEST_NAP));
        }
    }

    /// Nobody waits for that request any more.
    fn cancel(&self, request: u64) {
        let _ = request;
    }

    /// Does something to what the program keeps.
    fn store(&self, program: &Program, operation: Operation) -> Result<Reply, Refusal> {
        let _ = (program, operation);
        Err(nowhere())
    }

    /// Takes something for later, with what led to the call in whose course it is left.
    fn leave(&self, program: &Program, task: Task, cause: Cause) -> Result<(), Refusal> {
        let _ = (program, task, cause);
        Err(nowhere())
    }

    /// A value of one of the program's metrics.
    fn measure(&self, program: &Program, metric: &Metric, value: f64) {
        let _ = (program, metric, value);
    }

    /// What is known of an address, as JSON; `None` if nothing is.
    fn locate(&self, address: &str) -> Result<Option<String>, Refusal> {
        let _ = address;
        Err(nowhere())
    }
}

/// A host through which nothing is reached; only its interrupts are those of another.
pub(crate) struct Bystander(pub(crate) Rc<dyn Host>);

impl Host for Bystander {
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }

    fn sleep(&self, until: Instant) {
        self.0.sleep(until);
    }

    fn log(&self, _: LogLine<'_>) {}
}

fn nowhere() -> Refusal {
    Refusal::new("0A000", "this is not available here")
}

/// What a plugin leaves for later. Texts are JSON that jsonb can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    Job {
        name: String,
        payload: String,
        /// Microseconds since 1970.
        run_at: i64,
    },
    /// An event without `team_id` and `uuid`.
    Event(String),
}

/// What led to a call. The engine hands on what it was told: what a host knows by itself, as of the
/// events that it gives to [`Engine`](crate::Engine), it adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cause {
    /// How many captures led to the event that the call is about: 0 if no plugin captured it.
    pub depth: u8,
    /// The event's team.
    pub team: Option<i32>,
}

/// A metric that a plugin declares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Metric {
    pub name: String,
    pub kind: MetricKind,
}

/// How two values of a metric become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    Sum,
    Max,
    Min,
}

/// Sums beyond would come to infinity in PostgreSQL some day, which is an error there, for whoever
/// looks at anybody's metrics.
const LARGEST_MEASURED: f64 = 1e290;

impl MetricKind {
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Sum => "sum",
            MetricKind::Max => "max",
            MetricKind::Min => "min",
        }
    }

    /// What joins with any value to that value.
    pub fn nothing(self) -> f64 {
        match self {
            MetricKind::Sum => 0.0,
            MetricKind::Max => f64::NEG_INFINITY,
            MetricKind::Min => f64::INFINITY,
        }
    }

    /// Two values as one.
    pub fn join(self, one: f64, other: f64) -> f64 {
        let joined = match self {
            MetricKind::Sum => one + other,
            MetricKind::Max => one.max(other),
            MetricKind::Min => one.min(other),
        };
        joined.clamp(-LARGEST_MEASURED, LARGEST_MEASURED)
    }
}

/// How late a host that can only be asked notices an interrupt.
const LONGEST_NAP: Duration = Duration::from_millis(10);

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
