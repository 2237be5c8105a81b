//! What `fetch` reaches: HTTP/1.1 over TCP and TLS on one thread, to the hosts of a list and to no
//! other. Knows nothing of JavaScript and PostgreSQL.
//!
//! A [`Client`] drives exchanges, many at a time, while somebody waits in [`Client::next`]. Each has
//! the [`Rules`] of who sent it: they say which sites it may name, and which addresses those may
//! turn out to be.

mod address;
mod body;
mod client;
mod connection;
mod error;
mod exchange;
mod message;
mod names;
mod pool;
mod rules;
mod site;
mod tls;

pub use client::{Client, Limits, Options};
pub use error::Error;
pub use exchange::{Redirect, Request, Response};
pub use names::Names;
pub use rules::{BadEntry, Rules};
pub use site::Site;
