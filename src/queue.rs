//! Events on their way to plugins that take them after they are stored. [`pending`] holds what the
//! running transaction stores and writes it in bulk; [`consumer`] is what a worker reads, and where
//! it says what became of it; [`rotation`] empties what nobody needs any more.

mod api;
mod append;
pub mod backfill;
pub mod claim;
pub mod consumer;
mod pending;
pub mod rotation;
mod safety;
mod state;
mod stored;
#[cfg(any(test, feature = "pg_test"))]
mod tests;

pub use pending::{add, relieve};

use crate::backend;
use crate::chain::Audience;
use crate::error::Result;

/// Whose events anybody consumes. From the chain that the session has: no look into a table.
pub fn audience() -> Result<Audience> {
    backend::with(|backend| {
        let consumers = backend.links.iter().filter(|link| link.consumes);
        Ok(Audience::of(consumers.map(|link| link.team_id)))
    })
}

/// Whether events of that team are consumed.
pub fn concerns(team: Option<i32>) -> Result<bool> {
    backend::with(|backend| Ok(backend.links.iter().any(|link| link.consumes && link.meets(team))))
}

/// Listens for changes to what sessions have to know, and for the ends of transactions.
pub fn register() {
    state::register();
    pending::register();
}
