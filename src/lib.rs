//! PostHog plugins inside PostgreSQL.
//!
//! The way of an event: [`api`] takes it from SQL, or [`trigger`] from a row; [`chain`] passes it
//! from plugin to plugin, the `engine` crate runs each plugin's JavaScript on it, [`network`] is what
//! they reach, [`journal`] keeps what they log, and [`stats`] what they did; [`dry_run`] shows what
//! would become of an event. What the plugins are stands in tables, which [`catalog`] reads and
//! writes; the `source` crate turns what an author wrote into what is stored there, the `net` crate
//! speaks HTTP.

mod api;
mod backend;
mod breaker;
mod capturing;
mod catalog;
mod cause;
mod chain;
mod dispatch;
mod dry_run;
mod error;
mod event;
mod geoip;
mod host;
mod install;
mod journal;
mod json;
mod library;
mod marks;
mod metrics;
mod network;
mod operator;
mod queue;
mod roles;
mod settings;
mod stats;
mod store;
mod tasks;
#[cfg(any(test, feature = "pg_test"))]
mod tests;
mod trigger;
mod upkeep;
mod worker;

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/schema.sql", name = "schema", requires = [api::posthog_plugins]);
extension_sql_file!("../sql/stats.sql", name = "stats", requires = ["schema"]);
extension_sql_file!("../sql/kept.sql", name = "kept", requires = ["stats"]);
extension_sql_file!(
    "../sql/invalidation.sql",
    name = "invalidation",
    requires = ["stats", api::posthog_plugins::_chain_changed]
);
extension_sql_file!("../sql/roles.sql", name = "roles", requires = ["schema"]);
extension_sql_file!(
    "../sql/views.sql",
    name = "views",
    requires = ["stats", "roles", api::posthog_plugins::_library, operator::_counted]
);
extension_sql_file!(
    "../sql/kept_views.sql",
    name = "kept_views",
    requires = ["views", "kept", operator::_kept]
);
extension_sql_file!("../sql/tasks.sql", name = "tasks", requires = ["kept"]);
extension_sql_file!("../sql/tasks_views.sql", name = "tasks_views", requires = ["views", "tasks"]);
extension_sql_file!("../sql/captured.sql", name = "captured", requires = ["views", "kept"]);
extension_sql_file!(
    "../sql/health.sql",
    name = "health",
    requires = ["queue_views", "tasks_views", "captured", "worker", operator::_incomplete]
);
extension_sql_file!(
    "../sql/queue.sql",
    name = "queue",
    requires = ["invalidation", api::posthog_plugins::_chain_changed]
);
extension_sql_file!(
    "../sql/queue_views.sql",
    name = "queue_views",
    requires = ["views", "queue", queue::api::_waiting, queue::api::_latency]
);
extension_sql_file!("../sql/backfill.sql", name = "backfill", requires = ["views", "queue"]);
extension_sql_file!("../sql/worker.sql", name = "worker", requires = [worker::api::_workers]);
extension_sql_file!("../sql/attach.sql", name = "attach", requires = [api::posthog_plugins]);
extension_sql_file!("../sql/rights.sql", name = "rights", finalize);

#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    journal::register();
    // After the journal: PostgreSQL calls the last one first, and what a failing write takes with it
    // is then still in the journal.
    store::register();
    queue::register();
    backend::register();
    trigger::register();
    worker::register();
}

#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
