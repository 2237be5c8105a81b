//! A PostgreSQL server of one's own for a test: [`Cluster`] starts it, connects to it, restarts it
//! and removes it. The helpers of this crate panic when something fails: in a test that is the
//! report.

pub mod catalog;
mod cluster;
pub mod columns;
pub mod counter;
mod environment;
pub mod keeper;
pub mod markdown;
pub mod mmdb;
pub mod process;
pub mod receiver;
pub mod releases;
pub mod sample;
mod session;
mod wait;
pub mod workers;

pub use cluster::{Cluster, Shutdown};
pub use environment::{Environment, repository, run};
pub use session::Session;
pub use wait::wait_until;
