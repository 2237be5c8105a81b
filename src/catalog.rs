//! The tables as Rust. All SPI of the chain is here, run as the extension's owner.

pub mod configs;
pub mod levels;
pub mod links;
pub mod log;
mod owner;
pub mod plugins;
pub mod roles;
pub mod teams;

pub use owner::{as_owner, caller_name};
