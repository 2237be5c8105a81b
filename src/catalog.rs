//! The tables as Rust. All SPI of the chain is here, run as the extension's owner.

pub mod attached;
mod attempt;
pub mod configs;
pub mod consumers;
pub mod databases;
pub mod filters;
pub mod findings;
pub mod hosts;
pub mod kept;
pub mod levels;
pub mod links;
pub mod log;
pub mod metrics;
pub mod notices;
mod owner;
pub mod pauses;
mod plans;
pub mod plugins;
pub mod queue;
pub mod retention;
pub mod roles;
pub mod staging;
pub mod stats;
pub mod tables;
pub mod tasks;
pub mod teams;
mod transaction;
pub mod trials;
pub mod undelivered;
mod version;
pub mod workers;

pub use attempt::{attempt, attempt_as};
pub use owner::{as_caller, as_owner, as_role, caller_name};
pub use transaction::has_prepared;
pub use version::{Standing, standing};
