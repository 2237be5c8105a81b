//! What runs beside the sessions. In a server that preloads the library, one launcher keeps workers
//! for each database that has the extension; elsewhere a worker is started by a call. A worker does
//! what its duties say, one after the other, and sleeps until there is something to do again.
//!
//! [`launcher`] and [`process`] are the two kinds of processes, [`board`] is the shared memory where
//! they meet, [`hooks`] hear of databases and extensions that come and go. For whoever leaves work to
//! a worker: [`Duty`], [`transaction()`] and [`wake`].

mod api;
mod board;
mod duty;
mod ending;
pub mod hold;
mod hooks;
mod launcher;
mod limit;
mod process;
mod seat;
mod signals;
mod tidying;
mod transaction;
mod wait;
mod wake;
mod yielding;

use pgrx::pg_sys;

pub use duty::{Duty, Next};
pub use limit::TimeLimit;
pub use transaction::transaction;
pub use wake::{wake, wake_at_commit};

/// The name of the library, where PostgreSQL looks for what a process begins with.
const LIBRARY: &str = "posthog_plugins";

/// Called when the library is loaded: by the postmaster that preloads it, or by a session.
pub fn register() {
    hooks::register();
    wake::register();
    // SAFETY: flags that are set before libraries are loaded.
    let is_preloaded = unsafe {
        // pg_upgrade wants nobody to touch the databases.
        pg_sys::process_shared_preload_libraries_in_progress && !pg_sys::IsBinaryUpgrade
    };
    if is_preloaded {
        board::request();
        launcher::register();
    }
}

/// Whether a worker of a launcher's looks after this database, so that sessions need not.
pub fn is_here() -> bool {
    // SAFETY: set when the session was connected.
    let database = unsafe { pg_sys::MyDatabaseId };
    board::board().is_some_and(|board| !board.workers(database).is_empty())
}
