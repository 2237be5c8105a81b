//! Consumers, with other sessions that commit: in a database of their own, through dblink.

// A panic here is the report of a test.
#![allow(clippy::unwrap_used)]

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use std::time::Duration;

    use pgrx::prelude::*;

    use crate::catalog::{as_owner, consumers};
    use crate::queue::consumer::{self, Consumer, Outcome, Queued, Retry, Room};
    use crate::queue::{claim, rotation};

    fn claimed(config_id: i32) -> Option<Consumer> {
        claim::claim(config_id).then(|| consumer::find(config_id).unwrap()).flatten()
    }

    /// A text for each `n` that takes as much room as it is long.
    const CHANCE: &str =
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
    struct Sessions {
        name: &'static str,
        open: Vec<&'static str>,
    }

    impl Sessions {
        fn new(name: &'static str) -> Self {
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

        fn run(&self, session: &str, sql: &str) {
            Spi::run_with_args("SELECT dblink_exec($1, $2)", &[session.into(), sql.into()])
                .unwrap();
        }

        /// The one text of a query.
        fn value(&self, session: &str, sql: &str) -> String {
            let found = Spi::get_one_with_args::<String>(
                "SELECT value FROM dblink($1, $2) AS found (value text)",
                &[session.into(), sql.into()],
            );
            found.unwrap().unwrap_or_default()
        }

        fn insert(&self, session: &str, event: &str) {
            self.run(session, &format!("INSERT INTO events VALUES ('{event}')"));
        }

        /// Stores an event that is like all others of its kind but for the name.
        fn insert_alike(&self, session: &str, event: &str) {
            let alike = format!("INSERT INTO events SELECT '{event}', 1, properties FROM alike");
            self.run(session, &alike);
        }

        /// Stores enough of them to learn from.
        fn insert_many_alike(&self) {
            let alike = format!(
                "CREATE TABLE alike AS
                 SELECT jsonb_build_object('text', {CHANCE}) AS properties FROM generate_series(1, 1) AS n"
            );
            self.run("a", &alike);
            (0..80).for_each(|_| self.insert_alike("a", "many"));
        }

        fn rotate(&self) -> String {
            self.value("c", "SELECT tests.rotate()")
        }

        /// The names of what the consumer gets.
        fn take(&self, session: &str, most: i32, outcome: &str) -> String {
            self.take_as(session, 1, most, outcome)
        }

        fn take_as(&self, session: &str, config_id: i32, most: i32, outcome: &str) -> String {
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

    #[pg_test]
    fn transactions_that_overlap_are_delivered_once_each() {
        let sessions = Sessions::new("queue_overlap");
        sessions.run("b", "BEGIN");
        sessions.insert("b", "b1");
        sessions.insert("a", "a1");
        assert_eq!(sessions.take("c", 100, "delivered"), "a1");
        assert_eq!(sessions.take("c", 100, "delivered"), "");
        sessions.insert("a", "a2");
        sessions.insert("b", "b2");
        assert_eq!(sessions.take("c", 100, "delivered"), "a2");
        sessions.run("b", "COMMIT");
        sessions.insert("a", "a3");
        assert_eq!(sessions.take("c", 100, "delivered"), "b1,b2,a3");
        assert_eq!(sessions.take("c", 100, "delivered"), "");
    }

    #[pg_test]
    fn a_batch_is_read_in_pieces_while_others_commit() {
        let sessions = Sessions::new("queue_pieces");
        sessions.run("b", "BEGIN");
        sessions.insert("b", "b1");
        sessions.run("a", "INSERT INTO events SELECT 'a' || n FROM generate_series(1, 5) AS n");
        assert_eq!(sessions.take("c", 2, "delivered"), "a1,a2");
        sessions.run("b", "COMMIT");
        sessions.insert("a", "a6");
        // What is not recorded comes again.
        assert_eq!(sessions.take("c", 2, "forgotten"), "a3,a4");
        assert_eq!(sessions.take("c", 2, "delivered"), "a3,a4");
        assert_eq!(sessions.take("c", 2, "delivered"), "a5");
        assert_eq!(sessions.take("c", 2, "delivered"), "b1,a6");
        assert_eq!(sessions.take("c", 2, "delivered"), "");
    }

    #[pg_test]
    fn large_events_are_read_few_at_a_time() {
        let sessions = Sessions::new("queue_large");
        // Of 400 kB each; there is room for one megabyte.
        sessions.run(
            "a",
            "INSERT INTO events
             SELECT 'a' || n, NULL, jsonb_build_object('text', repeat('x', 400000))
               FROM generate_series(1, 5) AS n",
        );
        // Larger than that room.
        sessions.run(
            "a",
            "INSERT INTO events VALUES ('b', NULL, jsonb_build_object('text', repeat('x', 2000000)))",
        );
        assert_eq!(sessions.take("c", 100, "delivered"), "a1,a2,a3");
        assert_eq!(sessions.take("c", 100, "later"), "a4,a5,b");
        sessions.run(
            "a",
            "UPDATE posthog_plugins.undelivered_event SET next_attempt_at = now() - interval '1s'
              + make_interval(secs => id / 1000.0)",
        );
        sessions.insert("a", "c");
        // Retries have half of the room; one that is larger leaves nothing of it.
        assert_eq!(sessions.take("c", 100, "delivered"), "a4,a5");
        assert_eq!(sessions.take("c", 100, "delivered"), "b");
        assert_eq!(sessions.take("c", 100, "delivered"), "c");
        assert_eq!(sessions.take("c", 100, "delivered"), "");
    }

    #[pg_test]
    fn what_failed_is_tried_again_until_it_is_a_dead_letter() {
        let sessions = Sessions::new("queue_retries");
        let state = "SELECT string_agg(concat_ws(' ', event ->> 'event', attempts, error,
                                                 next_attempt_at > now()), ',' ORDER BY id)
                       FROM posthog_plugins.undelivered_event";
        let due = "UPDATE posthog_plugins.undelivered_event SET next_attempt_at = now()
                    WHERE next_attempt_at IS NOT NULL";
        sessions.run("c", "SET posthog_plugins.retry_attempts = 3");
        sessions.insert("a", "a1");
        assert_eq!(sessions.take("c", 10, "later"), "a1");
        assert_eq!(sessions.value("a", state), "a1 1 later t");
        assert_eq!(sessions.take("c", 10, "delivered"), "", "is not due");
        sessions.run("a", due);
        sessions.insert("a", "a2");
        assert_eq!(sessions.take("c", 10, "later"), "a1,a2");
        assert_eq!(sessions.value("a", state), "a1 2 later t,a2 1 later t");
        sessions.run("a", due);
        assert_eq!(sessions.take("c", 10, "after"), "a1,a2");
        assert_eq!(sessions.value("a", state), "a1 3 after,a2 2 after t");
        sessions.run("a", due);
        assert_eq!(sessions.take("c", 10, "delivered"), "a2");
        assert_eq!(sessions.value("a", state), "a1 3 after");
        sessions.insert("a", "a3");
        assert_eq!(sessions.take("c", 10, "fails"), "a3");
        assert_eq!(sessions.value("a", state), "a1 3 after,a3 1 no");
        assert_eq!(
            sessions.value("a", "SELECT posthog_plugins.retry(error => 'after')::text"),
            "1"
        );
        assert_eq!(sessions.take("c", 10, "delivered"), "a1");
        let counts = "SELECT concat_ws(' ', delivered, failed, retries, dead_letters, rate > 0)
                        FROM posthog_plugins.consumers";
        assert_eq!(sessions.value("a", counts), "2 6 0 1 t");
    }

    #[pg_test]
    fn a_consumer_has_one_worker() {
        let sessions = Sessions::new("queue_claims");
        assert_eq!(sessions.value("a", "SELECT tests.claim(1)::text"), "true");
        assert_eq!(sessions.value("b", "SELECT tests.claim(1)::text"), "false");
        assert_eq!(sessions.value("a", "SELECT tests.release(1)::text"), "");
        assert_eq!(sessions.value("b", "SELECT tests.claim(1)::text"), "true");
    }

    #[pg_test]
    fn the_queue_is_emptied_when_nobody_needs_it() {
        let sessions = Sessions::new("queue_rotation");
        let rotate = |session: &str| loop {
            let step = sessions.value(session, "SELECT tests.rotate()");
            if step != "Learned" {
                break step;
            }
        };
        let count = "SELECT concat_ws(' ', (SELECT COALESCE(sum(events), 0) FROM posthog_plugins.event_queue_0),
                                           (SELECT COALESCE(sum(events), 0) FROM posthog_plugins.event_queue_1))";
        let fill = |prefix: &str| {
            sessions.run(
                "a",
                &format!(
                    "INSERT INTO events SELECT '{prefix}' || {CHANCE} FROM generate_series(1, 100) AS n"
                ),
            );
        };
        sessions.run("c", "SET posthog_plugins.queue_size = '64kB'");
        sessions.insert("a", "small");
        assert_eq!(rotate("c"), "Nothing");
        fill("one");
        assert_eq!(rotate("c"), "Switched");
        fill("two");
        assert_eq!(sessions.value("a", count), "101 100");
        assert_eq!(rotate("c"), "Nothing", "nothing is delivered");
        sessions.take("c", 50, "delivered");
        assert_eq!(rotate("c"), "Nothing", "not all is delivered");
        while !sessions.take("c", 50, "delivered").is_empty() {}
        // A transaction that has written more than it holds back, and may yet commit.
        sessions.run("b", "BEGIN");
        sessions.run(
            "b",
            "INSERT INTO events SELECT 'late', 1, jsonb_build_object('text', repeat('x', 2000))
               FROM generate_series(1, 200)",
        );
        assert_eq!(rotate("c"), "Emptied");
        assert_eq!(sessions.value("a", count), "0 100");
        assert_eq!(rotate("c"), "Switched");
        assert_eq!(rotate("c"), "Nothing", "somebody is in the way");
        sessions.run("b", "COMMIT");
        assert_eq!(rotate("c"), "Nothing", "what was in the way is to be delivered");
        assert_eq!(sessions.take("c", 1000, "delivered").matches("late").count(), 200);
        assert_eq!(rotate("c"), "Emptied");
        assert_eq!(sessions.value("a", count), "0 0");
        // One that holds its events back writes them where they went when it began.
        sessions.run("b", "BEGIN");
        sessions.insert("b", "held");
        fill("more");
        assert_eq!(rotate("c"), "Switched");
        sessions.take("c", 1000, "delivered");
        assert_eq!(rotate("c"), "Emptied");
        sessions.run("b", "COMMIT");
        assert_eq!(sessions.value("a", count), "1 0");
        assert_eq!(rotate("c"), "Nothing");
        assert_eq!(sessions.take("c", 50, "delivered"), "held");
        assert_eq!(rotate("c"), "Emptied");
        fill("three");
        assert_eq!(sessions.take("c", 1000, "forgotten").matches("three").count(), 100);
    }

    #[pg_test]
    fn events_take_as_much_as_is_new_in_them() {
        let sessions = Sessions::new("queue_dictionary");
        let stored = || {
            let query = "SELECT length(bundle)::text
                           FROM (TABLE posthog_plugins.event_queue_0
                                  UNION ALL TABLE posthog_plugins.event_queue_1) AS q
                          ORDER BY q.xid DESC LIMIT 1";
            sessions.value("a", query).parse::<usize>().unwrap()
        };
        let dictionaries = || {
            let query = "SELECT concat_ws(' ', count(*), string_agg(half::text, ' '))
                           FROM posthog_plugins.queue_dictionary";
            sessions.value("a", query)
        };
        sessions.insert("a", "first");
        assert_eq!(sessions.rotate(), "Nothing", "one event is too few to learn from");
        sessions.insert_many_alike();
        assert!(stored() > 900, "{}", stored());

        // One that was stored before there was a dictionary, and will be compressed with it.
        sessions.run("b", "BEGIN");
        sessions.insert_alike("b", "before");
        assert_eq!(sessions.rotate(), "Learned");
        assert_eq!(sessions.rotate(), "Nothing");
        assert_eq!(dictionaries(), "1 0");
        sessions.run("b", "COMMIT");
        sessions.insert_alike("a", "short");
        assert!(stored() < 150, "{}", stored());

        // One whose dictionary will be gone when it is compressed.
        sessions.run("b", "BEGIN");
        sessions.insert_alike("b", "late");
        sessions.run("c", "SET posthog_plugins.queue_size = '64kB'");
        assert_eq!(sessions.rotate(), "Switched");
        assert_eq!(dictionaries(), "2 0 1");
        sessions.insert_alike("a", "other half");
        assert!(stored() < 150, "{}", stored());
        let delivered = sessions.take("c", 1000, "delivered");
        assert!(delivered.starts_with("first,many,many"), "{delivered}");
        assert!(delivered.ends_with("many,before,short,other half"), "{delivered}");
        assert_eq!(sessions.rotate(), "Emptied");
        assert_eq!(dictionaries(), "1 1");
        sessions.run("b", "COMMIT");
        assert_eq!(sessions.take("c", 1000, "delivered"), "late");

        // One whose snapshot still shows a dictionary that is gone.
        sessions.run("b", "BEGIN ISOLATION LEVEL REPEATABLE READ");
        sessions.insert_alike("b", "old");
        assert_eq!(sessions.rotate(), "Emptied", "of the late one");
        let noise = format!("INSERT INTO events SELECT {CHANCE} FROM generate_series(1, 80) AS n");
        sessions.run("a", &noise);
        assert_eq!(sessions.rotate(), "Switched");
        sessions.take("c", 1000, "delivered");
        assert_eq!(sessions.rotate(), "Emptied");
        sessions.insert_alike("b", "older");
        sessions.run("b", "COMMIT");
        assert_eq!(sessions.take("c", 1000, "delivered"), "old,older");
    }

    #[pg_test]
    fn a_half_that_grows_learns_anew() {
        let sessions = Sessions::new("queue_learning");
        sessions.insert_many_alike();
        assert_eq!(sessions.rotate(), "Learned");
        let others = "CREATE TABLE others AS
                      SELECT jsonb_object_agg(md5(n::text), n) AS properties FROM generate_series(1, 30) AS n";
        sessions.run("a", others);
        let others = "DO $$ BEGIN
                          FOR n IN 1..1000 LOOP
                              INSERT INTO events SELECT 'other', n % 2, properties FROM others;
                          END LOOP;
                      END $$";
        sessions.run("a", others);
        assert_eq!(sessions.rotate(), "Learned");
        assert_eq!(sessions.rotate(), "Nothing");
        sessions.insert_alike("a", "last");
        let names: String = (0..3).map(|_| sessions.take("c", 2000, "delivered") + ",").collect();
        assert_eq!(names.matches("many").count(), 80);
        assert_eq!(names.matches("other").count(), 1000);
        assert!(names.ends_with("other,last,,"), "{names}");
    }

    #[pg_test]
    fn a_session_that_nobody_has_told_uses_no_dictionary_that_is_gone() {
        let sessions = Sessions::new("queue_untold");
        sessions.insert_many_alike();
        sessions.run("a", "ALTER TABLE posthog_plugins.queue_state DISABLE TRIGGER ALL");
        assert_eq!(sessions.rotate(), "Learned");
        sessions.insert_alike("b", "with the dictionary");
        sessions.run("c", "SET posthog_plugins.queue_size = '64kB'");
        assert_eq!(sessions.rotate(), "Switched");
        sessions.take("c", 1000, "delivered");
        assert_eq!(sessions.rotate(), "Emptied");
        sessions.insert_alike("b", "without");
        assert_eq!(sessions.take("c", 1000, "delivered"), "without");
    }

    #[pg_test(error = "stored events are damaged")]
    fn an_event_whose_dictionary_is_gone_is_no_other() {
        Spi::run("SELECT posthog_plugins._unbundled('\\x0207000000040000004061626364')").unwrap();
    }

    #[pg_test]
    fn a_stopped_consumer_keeps_the_queue_and_one_that_is_gone_does_not() {
        let sessions = Sessions::new("queue_stopped");
        sessions.run("c", "SET posthog_plugins.queue_size = '64kB'");
        sessions.run("a", "DO $$ BEGIN PERFORM posthog_plugins.enable('one', 1); END $$");
        sessions.run(
            "a",
            &format!("INSERT INTO events SELECT {CHANCE}, 1 FROM generate_series(1, 100) AS n"),
        );
        assert_eq!(sessions.take("c", 1000, "delivered").split(',').count(), 100);
        assert_eq!(sessions.value("c", "SELECT tests.rotate()"), "Switched");
        assert_eq!(sessions.value("c", "SELECT tests.rotate()"), "Nothing");
        sessions.run("a", "DO $$ BEGIN PERFORM posthog_plugins.disable('one', 1); END $$");
        assert_eq!(sessions.value("c", "SELECT tests.rotate()"), "Emptied");
    }

    #[pg_test]
    fn a_consumer_gets_what_it_wants() {
        let sessions = Sessions::new("queue_filters");
        let set = |filter: &str| {
            sessions.run(
                "a",
                &format!(
                    "DO $$ BEGIN PERFORM posthog_plugins.set_filter('one', '{filter}'); END $$"
                ),
            );
        };
        let fill = || {
            sessions.run(
                "a",
                r#"INSERT INTO events VALUES
                ('a', 1, '{"plan": "pro", "n": 1}'), ('b', 1, '{"plan": "free", "n": 0}'),
                ('c', 2, '{"plan": "pro"}'), ('d', 2, NULL)"#,
            );
        };
        fill();
        set(r#"{"events": ["a", "d", "x"]}"#);
        assert_eq!(sessions.take("c", 10, "delivered"), "a,d");
        fill();
        set(r#"{"properties": {"plan": "pro"}}"#);
        assert_eq!(sessions.take("c", 1, "delivered"), "a");
        assert_eq!(sessions.take("c", 1, "delivered"), "c");
        assert_eq!(sessions.take("c", 1, "delivered"), "");
        fill();
        set(r#"{"where": "(event ->> ''team_id'')::int = 2"}"#);
        assert_eq!(sessions.take("c", 10, "delivered"), "c,d");
        fill();
        // An error on one event is that event's failure.
        set(r#"{"where": "10 / (event -> ''properties'' ->> ''n'')::int > 5"}"#);
        assert_eq!(sessions.take("c", 10, "delivered"), "a");
        let letters = "SELECT string_agg(concat_ws(' ', event ->> 'event', error), ',')
                         FROM posthog_plugins.dead_letters";
        assert_eq!(sessions.value("a", letters), "b the filter failed: division by zero");
        set(r#"{"sample": 0.25}"#);
        sessions.run("a", "INSERT INTO events SELECT 's' FROM generate_series(1, 1000)");
        let sampled = sessions.take("c", 1000, "delivered").split(',').count();
        assert!((150..350).contains(&sampled), "{sampled}");
    }

    #[pg_test]
    fn what_was_stored_together_is_taken_in_parts() {
        let sessions = Sessions::new("queue_parts");
        sessions.run("a", "DO $$ BEGIN PERFORM posthog_plugins.enable('one', 1); END $$");
        sessions.run(
            "a",
            "INSERT INTO events SELECT 'e' || n, 1 + n / 4 FROM generate_series(1, 7) AS n",
        );
        let rows = "SELECT string_agg(events::text, ' ' ORDER BY number)
                      FROM posthog_plugins.event_queue_0";
        assert_eq!(sessions.value("a", rows), "3 4");
        let depth = "SELECT string_agg(depth::text, ' ' ORDER BY config_id)
                       FROM posthog_plugins.consumers";
        assert_eq!(sessions.value("a", depth), "7 3");
        assert_eq!(sessions.take_as("c", 2, 2, "delivered"), "e1,e2");
        assert_eq!(sessions.take("c", 5, "delivered"), "e1,e2,e3,e4,e5");
        assert_eq!(sessions.value("a", depth), "2 1");
        assert_eq!(sessions.take_as("c", 2, 2, "delivered"), "e3");
        assert_eq!(sessions.take("c", 5, "delivered"), "e6,e7");
        assert_eq!(sessions.value("a", depth), "0 0");
    }

    #[pg_test]
    fn what_nobody_wants_is_looked_through_in_pieces() {
        let sessions = Sessions::new("queue_scan");
        let set = r#"posthog_plugins.set_filter('one', '{"events": ["rare"]}')"#;
        sessions.run("a", &format!("DO $$ BEGIN PERFORM {set}; END $$"));
        sessions.run(
            "a",
            &format!("INSERT INTO events SELECT {CHANCE} FROM generate_series(1, 20000) AS n"),
        );
        sessions.insert("a", "rare");
        let wait = "SELECT depth::text FROM posthog_plugins.consumers";
        assert_eq!(sessions.take("c", 10, "delivered"), "");
        let left: i64 = sessions.value("a", wait).parse().unwrap();
        assert!((1000..20000).contains(&left), "{left}");
        let taken: Vec<_> = (0..3).map(|_| sessions.take("c", 10, "delivered")).collect();
        assert_eq!(taken.concat(), "rare");
        assert_eq!(sessions.value("a", wait), "0");
    }

    #[pg_test]
    fn a_filters_condition_has_the_rights_of_who_set_it() {
        let sessions = Sessions::new("queue_rights");
        sessions.run(
            "a",
            "CREATE TABLE secret (text text); INSERT INTO secret VALUES ('a');
             DROP ROLE IF EXISTS queue_editor; CREATE ROLE queue_editor;
             GRANT USAGE ON SCHEMA public TO queue_editor;
             DO $$ BEGIN PERFORM posthog_plugins.grant_role('queue_editor', 'editor'); END $$;
             GRANT SELECT ON secret TO queue_editor;
             SET ROLE queue_editor;
             DO $$ BEGIN PERFORM posthog_plugins.set_filter('one',
                 '{\"where\": \"EXISTS (SELECT FROM public.secret)\"}'); END $$;
             RESET ROLE",
        );
        sessions.insert("a", "a1");
        assert_eq!(sessions.take("c", 10, "delivered"), "a1");
        sessions.run("a", "REVOKE ALL ON secret FROM queue_editor");
        sessions.insert("a", "a2");
        assert_eq!(sessions.take("c", 10, "delivered"), "");
        let error = "SELECT error FROM posthog_plugins.dead_letters";
        assert_eq!(
            sessions.value("a", error),
            "the filter failed: permission denied for table secret"
        );
        sessions
            .run("a", "DO $$ BEGIN PERFORM posthog_plugins.revoke_role('queue_editor'); END $$");
        sessions.run("a", "DROP OWNED BY queue_editor; DROP ROLE queue_editor");
        sessions.insert("a", "a3");
        assert_eq!(sessions.take("c", 10, "delivered"), "");
        let error = "SELECT error FROM posthog_plugins.dead_letters LIMIT 1";
        assert_eq!(sessions.value("a", error), "the filter failed: the role that set it is gone");
    }

    #[pg_test]
    fn a_restored_consumer_gets_what_came_after_the_restore() {
        let sessions = Sessions::new("queue_restored");
        // As a dump leaves it: the config, and not the consumer.
        sessions.run("a", "DELETE FROM posthog_plugins.queue_consumer");
        sessions.insert("a", "a1");
        assert_eq!(sessions.value("c", "SELECT tests.consumers()::text"), "{1}");
        assert_eq!(sessions.take("c", 10, "delivered"), "a1");
    }

    #[pg_test]
    fn what_was_read_before_a_consumer_was_put_elsewhere_is_not_recorded() {
        let sessions = Sessions::new("queue_moved");
        sessions.insert("a", "a1");
        assert_eq!(sessions.take("c", 10, "delivered"), "a1");
        assert_eq!(sessions.value("c", "SELECT tests.record_too_late(1)::text"), "false");
        assert_eq!(sessions.take("c", 10, "delivered"), "a1");
        assert_eq!(sessions.take("c", 10, "delivered"), "");
    }
}
