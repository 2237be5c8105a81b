//! Consumers, with other sessions that commit.

// A panic here is the report of a test.
#![allow(clippy::unwrap_used)]

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::queue::tests::sessions::tests::{CHANCE, Sessions};

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
