//! The tables as Rust. All SPI of the chain is here, run as the extension's owner.

pub mod configs;
pub mod links;
pub mod log;
mod owner;
pub mod plugins;
mod version;

pub use owner::{as_owner, caller_name};
