//! The halves of the queue, and what is learned of their events.

// A panic here is the report of a test.
#![allow(clippy::unwrap_used)]

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::queue::tests::sessions::tests::{CHANCE, Sessions};

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
    fn two_workers_do_not_rotate_at_once() {
        let sessions = Sessions::new("queue_two_workers");
        sessions.insert_many_alike();
        sessions.run("b", "BEGIN");
        assert_eq!(sessions.value("b", "SELECT tests.rotate()"), "Learned");
        assert_eq!(sessions.rotate(), "Nothing", "the other one is about to");
        sessions.insert_alike("a", "meanwhile");
        sessions.run("b", "ROLLBACK");
        assert_eq!(sessions.rotate(), "Learned");
        assert!(sessions.take("c", 100, "delivered").ends_with("many,meanwhile"));
    }
}
