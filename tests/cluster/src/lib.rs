//! A PostgreSQL server of one's own for a test: [`Cluster`] starts it, connects to it, restarts it
//! and removes it. The helpers of this crate panic when something fails: in a test that is the
//! report.

mod cluster;
mod environment;
pub mod markdown;
pub mod process;
mod session;
mod wait;

pub use cluster::{Cluster, Shutdown};
pub use environment::{Environment, repository};
pub use session::Session;
pub use wait::wait_until;
