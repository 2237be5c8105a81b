//! What the tests share: sessions in a database of their own, and what a worker does as SQL functions.

// A panic here is the report of a test.
#![allow(clippy::unwrap_used)]

use pgrx::prelude::*;

#[pg_schema]
pub mod tests {
    use std::time::Duration;

    use pgrx::prelude::*;

    use crate::catalog::{as_owner, consumers};
    use crate::queue::consumer::{self, Consumer, Outcome, Queued, Retry, Room};
    use crate::queue::{claim, rotation};

    fn claimed(config_id: i32) -> Option<Consumer> {
        claim::claim(config_id).then(|| consumer::find(config_id).unwrap()).flatten()
    }

    /// A text for each `n` that takes as much room as it is long.
    pub const CHANCE: &str =
        "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 30 + 0 * n))";

    fn room(events: i32) -> Room {
        Room { events: events as usize, bytes: 1 << 20 }
    }

    /// Reads a batch, and records the same of each event: it is delivered, failed, to be tried again,
    /// or forgotten. Returns the events by their names.
    #[pg_extern]
    fn take(config_id: i32, most: i32, outcome: &str) -> Vec<String> {
        let consumer = claimed(config_id).expect("nobody else has it");
        let batch = consumer::next_batch(&consumer, &consumer.cursor, room(most), &[]).unwrap();
        let name = |event: &Queued| match event.event.root() {
            Ok(jsonb::Ref::Object(event)) => match event.get("event") {
                Ok(Some(jsonb::Ref::String(name))) => name.to_owned(),
                _ => String::new(),
            },
            _ => String::new(),
        };
        let names = batch.events.iter().map(name).collect();
        let mut outcomes = Vec::new();
        for event in batch.events {
            outcomes.push((
                event,
                match outcome {
                    "delivered" => Outcome::Delivered,
                    "fails" => Outcome::Failed { error: "no".to_owned(), retry: Retry::Never },
                    "later" => Outcome::Failed { error: "later".to_owned(), retry: Retry::Later },
                    "after" => {
                        let retry = Retry::After(Duration::from_secs(86_400));
                        Outcome::Failed { error: "after".to_owned(), retry }
                    }
                    _ => return names,
                },
            ));
        }
        for (event, error) in batch.refused {
            outcomes.push((event, Outcome::Failed { error, retry: Retry::Never }));
        }
        assert!(consumer::record(&consumer, &batch.cursor, &outcomes).unwrap());
        names
    }

    /// Records a batch of a consumer that was put back since it was read.
    #[pg_extern]
    fn record_too_late(config_id: i32) -> bool {
        let consumer = claimed(config_id).expect("nobody else has it");
        let batch = consumer::next_batch(&consumer, &consumer.cursor, room(10), &[]).unwrap();
        Spi::run("SELECT posthog_plugins.start_from('one', now() - '1 day'::interval)").unwrap();
        consumer::record(&consumer, &batch.cursor, &[]).unwrap()
    }

    /// Whether this session gets the consumer.
    #[pg_extern]
    fn claim(config_id: i32) -> bool {
        claim::claim(config_id)
    }

    #[pg_extern]
    fn release(config_id: i32) {
        claim::release(config_id);
    }

    #[pg_extern]
    fn consumers() -> Vec<i32> {
        consumer::follow().unwrap();
        let consumers = as_owner(|client| consumers::all(client)).unwrap();
        consumers.into_iter().map(|consumer| consumer.config_id).collect()
    }

    #[pg_extern]
    fn rotate() -> String {
        format!("{:?}", rotation::rotate().unwrap())
    }

    /// A database with a table `events`, and sessions in it.
    pub struct Sessions {
        name: &'static str,
        open: Vec<&'static str>,
    }

    impl Sessions {
        pub fn new(name: &'static str) -> Self {
            Spi::run("CREATE EXTENSION IF NOT EXISTS dblink").unwrap();
            let mut sessions = Sessions { name, open: Vec::new() };
            sessions.open("postgres", "admin");
            sessions.run("admin", &format!("DROP DATABASE IF EXISTS {name}"));
            sessions.run("admin", &format!("CREATE DATABASE {name}"));
            for session in ["a", "b", "c"] {
                sessions.open(name, session);
            }
            sessions.run("a", "CREATE EXTENSION posthog_plugins");
            sessions.run(
                "a",
                "CREATE TABLE events (event text, team_id int, properties jsonb);
                 DO $$ BEGIN
                     PERFORM posthog_plugins.attach('events');
                     PERFORM posthog_plugins.install('export function onEvent() {}', '{}', 'one');
                     PERFORM posthog_plugins.enable('one');
                 END $$",
            );
            sessions
        }

        fn open(&mut self, database: &str, session: &'static str) {
            Spi::run_with_args(
                "SELECT dblink_connect($1, format(
                     'host=%s port=%s user=%s dbname=%s', current_setting('unix_socket_directories'),
                     current_setting('port'), current_user, $2))",
                &[session.into(), database.into()],
            )
            .unwrap();
            self.open.push(session);
        }

        pub fn run(&self, session: &str, sql: &str) {
            Spi::run_with_args("SELECT dblink_exec($1, $2)", &[session.into(), sql.into()])
                .unwrap();
        }

        /// The one text of a query.
        pub fn value(&self, session: &str, sql: &str) -> String {
            let found = Spi::get_one_with_args::<String>(
                "SELECT value FROM dblink($1, $2) AS found (value text)",
                &[session.into(), sql.into()],
            );
            found.unwrap().unwrap_or_default()
        }

        pub fn insert(&self, session: &str, event: &str) {
            self.run(session, &format!("INSERT INTO events VALUES ('{event}')"));
        }

        /// Stores an event that is like all others of its kind but for the name.
        pub fn insert_alike(&self, session: &str, event: &str) {
            let alike = format!("INSERT INTO events SELECT '{event}', 1, properties FROM alike");
            self.run(session, &alike);
        }

        /// Stores enough of them to learn from.
        pub fn insert_many_alike(&self) {
            let alike = format!(
                "CREATE TABLE alike AS
                 SELECT jsonb_build_object('text', {CHANCE}) AS properties FROM generate_series(1, 1) AS n"
            );
            self.run("a", &alike);
            (0..80).for_each(|_| self.insert_alike("a", "many"));
        }

        pub fn rotate(&self) -> String {
            self.value("c", "SELECT tests.rotate()")
        }

        /// The names of what the consumer gets.
        pub fn take(&self, session: &str, most: i32, outcome: &str) -> String {
            self.take_as(session, 1, most, outcome)
        }

        pub fn take_as(&self, session: &str, config_id: i32, most: i32, outcome: &str) -> String {
            let call = format!("tests.take({config_id}, {most}, '{outcome}')");
            self.value(session, &format!("SELECT array_to_string({call}, ',')"))
        }
    }

    impl Drop for Sessions {
        fn drop(&mut self) {
            if std::thread::panicking() {
                return;
            }
            for session in self.open.drain(..).skip(1) {
                Spi::run_with_args("SELECT dblink_disconnect($1)", &[session.into()]).unwrap();
            }
            self.run("admin", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
            Spi::run("SELECT dblink_disconnect('admin')").unwrap();
        }
    }
}
