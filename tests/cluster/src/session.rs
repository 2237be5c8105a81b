//! What tests say again and again to a session: install this plugin, send that event, what is the
//! code of the error. Methods of [`Client`], so that they mix with its own.

use postgres::Client;
use postgres::error::{DbError, SqlState};
use postgres::types::FromSqlOwned;

pub trait Session {
    /// The one value of a query that has one row.
    fn value<T: FromSqlOwned>(&mut self, sql: &str) -> T;

    /// The first column of a query.
    fn column<T: FromSqlOwned>(&mut self, sql: &str) -> Vec<T>;

    /// Runs statements that have to succeed.
    fn run(&mut self, sql: &str);

    /// Runs statements of which one has to fail, and returns how.
    fn refused(&mut self, sql: &str) -> DbError;

    /// The same when only the code is of interest.
    fn refusal(&mut self, sql: &str) -> SqlState {
        self.refused(sql).code().clone()
    }

    /// Installs a plugin from its source, and appends it to the chain.
    fn add_plugin(&mut self, name: &str, source: &str);

    /// Installs a source that is only the body of `processEvent(event, meta)`.
    fn add_body(&mut self, name: &str, body: &str) {
        self.add_plugin(name, &format!("export function processEvent(event, meta) {{ {body} }}"));
    }

    /// Sends an event, and returns what became of it in jsonb's own spelling.
    fn process(&mut self, event: &str) -> Option<String>;

    /// The process that serves the session.
    fn pid(&mut self) -> i32 {
        self.value("SELECT pg_backend_pid()")
    }
}

impl Session for Client {
    fn value<T: FromSqlOwned>(&mut self, sql: &str) -> T {
        self.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    fn column<T: FromSqlOwned>(&mut self, sql: &str) -> Vec<T> {
        let rows = self.query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn run(&mut self, sql: &str) {
        self.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    fn refused(&mut self, sql: &str) -> DbError {
        let Err(error) = self.batch_execute(sql) else { panic!("this succeeded: {sql}") };
        error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}")).clone()
    }

    fn add_plugin(&mut self, name: &str, source: &str) {
        self.query("SELECT posthog_plugins.install($1, '{}', $2)", &[&source, &name])
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        self.query("SELECT posthog_plugins.enable($1)", &[&name])
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }

    fn process(&mut self, event: &str) -> Option<String> {
        self.query_one("SELECT process_event($1::text::jsonb)::text", &[&event])
            .unwrap_or_else(|error| panic!("{event}: {error:?}"))
            .get(0)
    }
}
