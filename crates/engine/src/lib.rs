//! JavaScript for plugins: one runtime, a realm per config, hard limits, and the way of an event
//! into JavaScript and back. Knows QuickJS and jsonb; knows nothing of PostgreSQL, which it meets
//! only as a [`Host`].

mod allocator;
mod call;
mod capabilities;
mod engine;
mod exports;
mod failure;
mod fields;
mod flight;
mod globals;
mod host;
mod http;
mod limits;
mod machine;
mod meta;
mod modules;
mod pauses;
mod program;
mod realm;
pub mod store;
mod timers;
mod value;
mod waiting;
mod watch;
mod world;

pub use capabilities::Capabilities;
pub use engine::{Engine, Outcome, Verdict};
pub use failure::{Failure, FailureKind};
pub use fields::{Fields, Given, Patch};
pub use flight::{Call, Flight, Return, Schedule, Settings, Ticket};
pub use host::{Cause, Host, Level, LogLine, Metric, MetricKind, Task};
pub use http::{Answer, Redirect, Request, Response};
pub use limits::Limits;
pub use modules::KNOWN_MODULES;
pub use program::{Attachment, Program};
