//! Background workers as tests see them: PostgreSQL's own view, from any database.

use postgres::Client;

use crate::{Cluster, Session, wait_until};

/// A server with the library preloaded.
#[must_use]
pub fn preloaded(settings: &[(&str, &str)]) -> Cluster {
    let preload = ("shared_preload_libraries", "'posthog_plugins'");
    Cluster::start_with(&[&[preload], settings].concat())
}

/// The processes that work for a database.
#[must_use]
pub fn workers_of(client: &mut Client, database: &str) -> Vec<i32> {
    client.column(&format!(
        "SELECT pid FROM pg_stat_activity
          WHERE backend_type = 'posthog_plugins worker' AND datname = '{database}' ORDER BY pid"
    ))
}

/// Waits until one worker, and one only, has taken up its work in the session's database.
#[track_caller]
pub fn worker_is_up(client: &mut Client) -> i32 {
    let mut found = Vec::new();
    wait_until("the worker is up", || {
        found = client.column("SELECT pid FROM posthog_plugins.workers");
        found.len() == 1
    });
    found[0]
}

/// Waits until nobody works for a database.
#[track_caller]
pub fn nobody_works(client: &mut Client, database: &str) {
    wait_until("nobody works", || workers_of(client, database).is_empty());
}
