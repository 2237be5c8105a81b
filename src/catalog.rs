//! The tables as Rust. All SPI of the chain is here, run as the extension's owner.

pub mod attached;
pub mod configs;
pub mod links;
pub mod log;
mod owner;
pub mod plugins;
pub mod tables;
pub mod trials;

pub use owner::{as_caller, as_owner, caller_name};
