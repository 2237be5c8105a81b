//! What gets into the queue: stored events as they were stored, each once, and nothing else.

use std::io::Write;

use cluster::{Cluster, Session, Shutdown};
use postgres::Client;
use postgres::error::SqlState;

/// Marks an event, and drops those called `no`; takes stored ones as well.
const MARKS_AND_CONSUMES: &str = "
    export function processEvent(event) {
        if (event.event === 'no') return null
        event.event += '!'
        return event
    }
    export function onEvent() {}";

const CONSUMES: &str = "export function onEvent() {}";

/// What is in the queue, in its order.
const QUEUED: &str = "
    CREATE VIEW queued AS
    SELECT q.xid, q.number - q.events + e.place AS number, q.team_id, e.event
      FROM (SELECT * FROM posthog_plugins.event_queue_0
             UNION ALL SELECT * FROM posthog_plugins.event_queue_1) AS q
     CROSS JOIN LATERAL posthog_plugins._unbundled(q.bundle) WITH ORDINALITY AS e (event, place)
     ORDER BY 1, 2";

fn database(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.add_plugin("consumer", MARKS_AND_CONSUMES);
    client.run(QUEUED);
    client
}

/// Runs statements one by one: those of one message would be one transaction.
fn each(client: &mut Client, statements: &str) {
    statements.split(";\n").for_each(|statement| client.run(statement));
}

fn queued(client: &mut Client) -> Vec<String> {
    client.column("SELECT concat(event ->> 'id', event ->> 'event') FROM queued")
}

fn depth(client: &mut Client) -> i64 {
    client.value("SELECT depth FROM posthog_plugins.consumers")
}

#[test]
fn stored_rows_are_enqueued_as_they_were_stored() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "stored");
    client.run(
        "CREATE TABLE fields (id int PRIMARY KEY, event text, team_id int, properties jsonb,
                              sum int GENERATED ALWAYS AS (id + 1) STORED);
         CREATE TABLE columns (id int, data jsonb);
         SELECT posthog_plugins.attach('fields'), posthog_plugins.attach('columns', 'data');
         INSERT INTO fields VALUES (1, 'a', 2, '{\"b\": 1}'), (2, 'no', 2, '{}'), (3, 'c', NULL, NULL);
         INSERT INTO columns VALUES (4, '{\"event\": \"d\", \"id\": 4, \"n\": 1.50}'), (5, NULL)",
    );
    let events: Vec<String> = client.column("SELECT concat(team_id, event) FROM queued");
    assert_eq!(
        events,
        [
            r#"2{"id": 1, "event": "a!", "team_id": 2, "properties": {"b": 1}}"#,
            r#"{"id": 3, "event": "c!", "team_id": null, "properties": null}"#,
            r#"{"n": 1.50, "id": 4, "event": "d!"}"#,
        ]
    );
    assert_eq!(depth(&mut client), 3);
}

#[test]
fn every_way_of_storing_enqueues_what_it_stores() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "ways");
    client.run(
        "CREATE TABLE events (id int PRIMARY KEY, event text);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events VALUES (1, 'a');
         INSERT INTO events VALUES (1, 'b'), (2, 'c') ON CONFLICT DO NOTHING;
         INSERT INTO events VALUES (2, 'd'), (3, 'e') ON CONFLICT (id) DO UPDATE SET event = 'f';
         UPDATE events SET event = 'g' WHERE id = 1;
         WITH stored AS (INSERT INTO events VALUES (4, 'h') RETURNING id) SELECT FROM stored;
         CREATE TABLE staging AS SELECT 5 AS id, 'i' AS event UNION ALL SELECT 6, 'no';
         SELECT * FROM posthog_plugins.ingest('events', 'staging')",
    );
    let mut copy = client.copy_in("COPY events FROM STDIN").unwrap();
    writeln!(copy, "7\tj\n8\tno\n9\tk").unwrap();
    copy.finish().unwrap();
    assert_eq!(queued(&mut client), ["1a!", "2c!", "3e!", "4h!", "5i!", "7j!", "9k!"]);
}

#[test]
fn many_rows_of_one_statement_are_enqueued_once_each_and_in_order() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "many");
    // More than is held back, and more than a page.
    client.run(
        "CREATE TABLE events (id int, event text, properties jsonb);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events
         SELECT n, 'e', jsonb_build_object('text', repeat('x', n % 3000 * 5))
           FROM generate_series(1, 5000) AS n",
    );
    assert!(client.value::<bool>(
        "SELECT array_agg((event ->> 'id')::int ORDER BY number)
                = array(SELECT generate_series(1, 5000))
            AND count(DISTINCT xid) = 1 AND bool_and(length(event #>> '{properties,text}')
                                                     = (event ->> 'id')::int % 3000 * 5)
           FROM queued"
    ));
}

#[test]
fn what_is_rolled_back_is_not_enqueued() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "rollback");
    each(
        &mut client,
        "CREATE TABLE events (id int PRIMARY KEY, event text);
         SELECT posthog_plugins.attach('events');
         BEGIN; INSERT INTO events VALUES (1, 'a'); ROLLBACK;
         BEGIN; INSERT INTO events VALUES (2, 'b');
         SAVEPOINT one; INSERT INTO events VALUES (3, 'c');
         SAVEPOINT two; INSERT INTO events VALUES (4, 'd');
         ROLLBACK TO two; INSERT INTO events VALUES (5, 'e');
         RELEASE one; INSERT INTO events VALUES (6, 'f');
         SAVEPOINT three; INSERT INTO events VALUES (7, 'g'); ROLLBACK TO three; COMMIT;
         DO $$ BEGIN
             INSERT INTO events VALUES (8, 'h'); BEGIN
                 INSERT INTO events VALUES (9, 'i'), (8, 'j'); EXCEPTION WHEN unique_violation THEN
                 INSERT INTO events VALUES (10, 'k'); END; END $$;
         BEGIN; INSERT INTO events VALUES (11, 'l');
         SAVEPOINT much; INSERT INTO events SELECT n, repeat('x', 1000) FROM generate_series(100, 1000) AS n;
         ROLLBACK TO much; COMMIT",
    );
    assert_eq!(queued(&mut client), ["2b!", "3c!", "5e!", "6f!", "8h!", "10k!", "11l!"]);
    // More than is held back, in a savepoint.
    client.run(
        "BEGIN; INSERT INTO events VALUES (12, 'm');
         SAVEPOINT much; INSERT INTO events SELECT n, repeat('x', 1000) FROM generate_series(100, 1000) AS n;
         RELEASE much; INSERT INTO events VALUES (13, 'n'); COMMIT",
    );
    assert_eq!(depth(&mut client), 7 + 903);
    assert!(client.value::<bool>("SELECT count(DISTINCT (xid, number)) = count(*) FROM queued"));
}

#[test]
fn a_prepared_transaction_is_enqueued_when_it_commits() {
    let cluster = Cluster::start_with(&[("max_prepared_transactions", "2")]);
    let mut client = database(&cluster, "prepared");
    each(
        &mut client,
        "CREATE TABLE events (event text);
         SELECT posthog_plugins.attach('events');
         BEGIN; INSERT INTO events VALUES ('a'); PREPARE TRANSACTION 'a';
         BEGIN; INSERT INTO events VALUES ('b'); PREPARE TRANSACTION 'b'",
    );
    assert_eq!(depth(&mut client), 0);
    client.run("COMMIT PREPARED 'a'");
    client.run("ROLLBACK PREPARED 'b'");
    assert_eq!(queued(&mut client), ["a!"]);
}

#[test]
fn partitions_enqueue_whatever_way_a_row_comes() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "partitions");
    client.run(
        "CREATE TABLE events (id int, event text) PARTITION BY LIST (id);
         CREATE TABLE one PARTITION OF events FOR VALUES IN (1);
         SELECT posthog_plugins.attach('events');
         -- Another order of columns, and one that is gone.
         CREATE TABLE two (gone int, event text, id int);
         ALTER TABLE two DROP COLUMN gone;
         ALTER TABLE events ATTACH PARTITION two FOR VALUES IN (2);
         INSERT INTO events VALUES (1, 'a'), (2, 'b'), (1, 'no');
         INSERT INTO two VALUES ('c', 2)",
    );
    assert_eq!(queued(&mut client), ["1a!", "2b!", "2c!"]);
    client.run(
        "SELECT posthog_plugins.detach('events');
         SELECT posthog_plugins.attach('two');
         INSERT INTO events VALUES (1, 'd'), (2, 'e')",
    );
    assert_eq!(queued(&mut client)[3..], ["2e!"]);
}

#[test]
fn events_of_a_transaction_are_in_order_whatever_savepoints_and_teams_they_are_of() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("savepoints");
    client.add_plugin("consumer", CONSUMES);
    client.run(QUEUED);
    // More than is held back at a time is stored in a savepoint, while what came before is held back.
    let store = |first: i32, last: i32| {
        format!(
            "INSERT INTO events
             SELECT n, CASE WHEN n % 100 < 50 THEN n % 2 END, repeat(md5(n::text), 20)
               FROM generate_series({first}, {last}) AS n;"
        )
    };
    client.run(
        "CREATE TABLE events (id int, team_id int, text text);
         SELECT posthog_plugins.attach('events')",
    );
    client.run(
        &[
            "BEGIN;",
            &store(1, 10),
            "SAVEPOINT one;",
            &store(11, 1000),
            "SAVEPOINT two;",
            &store(-9, 0),
            "ROLLBACK TO two;",
            "SAVEPOINT three;",
            &store(1001, 1010),
            "RELEASE one;",
            &store(1011, 1020),
            "COMMIT",
        ]
        .concat(),
    );
    let ids: Vec<i32> = client.column("SELECT (event ->> 'id')::int FROM queued");
    assert_eq!(ids, (1..=1020).collect::<Vec<_>>());
    assert!(client.value::<bool>(
        "SELECT bool_and(team_id IS NOT DISTINCT FROM (event ->> 'team_id')::int) FROM queued"
    ));
    // Those of one team, one after the other, are one row.
    let rows: i64 = client.value("SELECT count(*) FROM posthog_plugins.event_queue_0");
    assert!((500..700).contains(&rows), "{rows}");
    assert_eq!(depth(&mut client), 1020);
}

#[test]
fn many_savepoints_are_not_held_back_until_the_end() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "many_savepoints");
    client.run(
        "CREATE TABLE events (id int, text text);
         SELECT posthog_plugins.attach('events');
         CREATE FUNCTION store(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
         BEGIN
             FOR n IN first .. last LOOP
                 BEGIN
                     INSERT INTO events
                     SELECT n, string_agg(md5(random()::text), '') FROM generate_series(1, 60);
                     IF n % 10 = 0 THEN RAISE division_by_zero; END IF;
                 EXCEPTION WHEN division_by_zero THEN
                 END;
             END LOOP;
         END $$",
    );
    client.run("BEGIN; SELECT store(1, 1000)");
    let written: i64 = client.value("SELECT pg_relation_size('posthog_plugins.event_queue_0')");
    assert!(written > 1 << 20, "{written}");
    client.run("COMMIT");
    let ids: Vec<i32> = client.column("SELECT (event ->> 'id')::int FROM queued");
    assert_eq!(ids, (1..=1000).filter(|n| n % 10 != 0).collect::<Vec<_>>());
}

#[test]
fn nothing_is_enqueued_while_nobody_consumes() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("nobody");
    client.add_body("marks", "event.event += '!'; return event");
    client.run(
        "CREATE TABLE events (event text, team_id int);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events VALUES ('a', 1)",
    );
    client.run(QUEUED);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM queued"), 0);
    // In another session, which is told.
    let mut other = cluster.connect("nobody");
    other.query("SELECT posthog_plugins.install($1, '{}', 'consumer')", &[&CONSUMES]).unwrap();
    other.run("SELECT posthog_plugins.enable('consumer', 2)");
    client.run("INSERT INTO events VALUES ('b', 1), ('c', 2), ('d', NULL)");
    assert_eq!(queued(&mut client), ["c!"]);
    other.run("SELECT posthog_plugins.enable('consumer')");
    client.run("INSERT INTO events VALUES ('e', 1)");
    client.run("SET posthog_plugins.enabled = off; INSERT INTO events VALUES ('f', 1); RESET ALL");
    other.run("SELECT posthog_plugins.disable('consumer'), posthog_plugins.disable('consumer', 2)");
    client.run("INSERT INTO events VALUES ('g', 2)");
    assert_eq!(queued(&mut client), ["c!", "e!"]);
}

#[test]
fn the_column_that_is_the_event_may_be_renamed() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "renamed");
    client.run(
        r#"CREATE TABLE events (id int, data jsonb);
           SELECT posthog_plugins.attach('events', 'data');
           ALTER TABLE events RENAME data TO payload;
           INSERT INTO events VALUES (1, '{"event": "a"}')"#,
    );
    assert_eq!(queued(&mut client), ["a!"]);
}

#[test]
fn events_of_ones_own_are_enqueued_with_the_transaction() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "own");
    each(
        &mut client,
        r#"SELECT posthog_plugins.enqueue(process_event('{"event": "a"}'));
           SELECT posthog_plugins.enqueue(process_event('{"event": "no"}'));
           BEGIN; SELECT posthog_plugins.enqueue('{"event": "b"}'); ROLLBACK;
           SELECT posthog_plugins.enqueue(jsonb_build_object('event', n))
             FROM generate_series(1, 3) AS n"#,
    );
    assert_eq!(queued(&mut client), ["a!", "1", "2", "3"]);
    let array = client.refusal("SELECT posthog_plugins.enqueue('[]')");
    assert_eq!(array, SqlState::INVALID_PARAMETER_VALUE);
    let refusal = client.refusal("BEGIN READ ONLY; SELECT posthog_plugins.enqueue('{}')");
    assert_eq!(refusal, SqlState::READ_ONLY_SQL_TRANSACTION);
}

#[test]
fn whoever_may_insert_enqueues_and_sees_nothing_of_it() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "unprivileged");
    client.run(
        "CREATE ROLE app LOGIN;
         CREATE TABLE events (event text);
         SELECT posthog_plugins.attach('events');
         GRANT INSERT ON events TO app",
    );
    let mut app = cluster.connect_as("app", "unprivileged");
    app.run("INSERT INTO events VALUES ('a')");
    assert_eq!(queued(&mut client), ["a!"]);
    for attempt in [
        "SELECT posthog_plugins.enqueue('{}')",
        "SELECT * FROM posthog_plugins.event_queue_0",
        "SELECT * FROM posthog_plugins.consumers",
        "INSERT INTO posthog_plugins.event_queue_0 VALUES ('3', now(), 1, 1, 0, 1, '')",
    ] {
        assert_eq!(app.refusal(attempt), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
    }
}

#[test]
fn the_trigger_can_be_made_by_hand() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "by_hand");
    client.run(
        "CREATE TABLE events (event text);
         CREATE TRIGGER mine AFTER INSERT ON events REFERENCING NEW TABLE AS stored
             FOR EACH STATEMENT EXECUTE FUNCTION posthog_plugins.enqueue_rows();
         INSERT INTO events VALUES ('a'), ('b');
         CREATE TABLE others (data jsonb);
         CREATE TRIGGER mine AFTER INSERT ON others
             FOR EACH ROW EXECUTE FUNCTION posthog_plugins.enqueue_rows('data');
         INSERT INTO others VALUES ('{\"event\": \"c\"}'), ('[]')",
    );
    assert_eq!(queued(&mut client), ["a", "b", "c"], "plugins have not seen them");
    for timing in ["BEFORE INSERT", "AFTER UPDATE", "AFTER INSERT"] {
        client.run(&format!(
            "DROP TRIGGER mine ON events;
             CREATE TRIGGER mine {timing} ON events
                 EXECUTE FUNCTION posthog_plugins.enqueue_rows()"
        ));
        let refusal =
            client.refusal("INSERT INTO events VALUES ('d'); UPDATE events SET event = 'e'");
        assert_eq!(refusal, SqlState::E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, "{timing}");
    }
    let direct = client.refusal("SELECT posthog_plugins.enqueue_rows()");
    assert_ne!(direct, SqlState::INTERNAL_ERROR);
}

#[test]
fn what_a_plugin_exports_is_known_from_its_installation() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("capabilities");
    let known = |client: &mut Client, source: &str| -> Option<String> {
        client.query_one("SELECT posthog_plugins.install($1, '{}', 'plugin')", &[&source]).unwrap();
        client
            .query_one(
                "SELECT capabilities::text FROM posthog_plugins.plugin_version WHERE is_current",
                &[],
            )
            .unwrap()
            .get(0)
    };
    let all = known(
        &mut client,
        "export async function onEvent() {} export const exportEvents = () => {}
         export const composeWebhook = 5; export function runEveryMinute() {}
         export const runEveryYear = () => {}; export const runEveryNight = 1
         export const jobs = { later() {}, never: 1 }; export const metrics = { sent: 'SUM', odd: 1 }",
    );
    assert_eq!(
        all.as_deref(),
        Some(
            r#"{"jobs": ["later"], "methods": ["exportEvents", "onEvent"], "metrics": {"sent": "sum"}, "scheduled_tasks": ["runEveryMinute", "runEveryYear"]}"#
        )
    );
    let methods = |client: &mut Client, source: &str| -> String {
        let all = known(client, source).unwrap();
        client.query_one("SELECT ($1::text::jsonb -> 'methods')::text", &[&all]).unwrap().get(0)
    };
    assert_eq!(methods(&mut client, "function onEvent() {}"), r#"["onEvent"]"#);
    assert_eq!(methods(&mut client, "const onEvent = () => {}"), "[]");
    assert_eq!(
        methods(&mut client, "module.exports = { onSnapshot() {} }; function onEvent() {} // end"),
        r#"["onSnapshot"]"#
    );
    assert_eq!(methods(&mut client, "export default { setupPlugin() {} }"), r#"["setupPlugin"]"#);
    assert_eq!(methods(&mut client, "1"), "[]");
    assert_eq!(known(&mut client, "throw new Error('no')"), None);
    assert_eq!(known(&mut client, "export function onEvent() {}; for (;;) {}"), None);
    let told = cluster.psql(
        "capabilities",
        "SELECT posthog_plugins.install('throw new Error(''no'')', '{}', 'plugin')",
    );
    assert!(told.contains(r#"WARNING:  plugin "plugin" does not load: Error: no"#), "{told}");
}

#[test]
fn consumers_come_and_go_with_what_is_enabled() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("consumers");
    let consumers = |client: &mut Client| -> Vec<String> {
        client.column(
            "SELECT concat(plugin, team_id) FROM posthog_plugins.consumers ORDER BY team_id NULLS FIRST",
        )
    };
    client.add_body("marks", "return event");
    client.add_plugin("consumer", CONSUMES);
    client.run("SELECT posthog_plugins.enable('consumer', 1)");
    assert_eq!(consumers(&mut client), ["consumer", "consumer1"]);
    client.run("SELECT posthog_plugins.disable('consumer')");
    assert_eq!(consumers(&mut client), ["consumer1"]);
    client.add_body("consumer", "return event");
    assert_eq!(consumers(&mut client), [""; 0]);
    client.run("SELECT posthog_plugins.rollback('consumer')");
    assert_eq!(consumers(&mut client), ["consumer", "consumer1"]);
    client.run("SELECT posthog_plugins.uninstall('consumer')");
    assert_eq!(consumers(&mut client), [""; 0]);
}

#[test]
fn a_consumer_begins_with_the_transaction_that_enables_it() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "begins");
    each(
        &mut client,
        "CREATE TABLE events (event text);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events VALUES ('a');
         SELECT posthog_plugins.disable('consumer');
         BEGIN; CREATE TABLE has_a_number_now ()",
    );
    // Transactions that began later are over before.
    let mut other = cluster.connect("begins");
    other.run("CREATE TABLE later ()");
    client.run(
        "SELECT posthog_plugins.enable('consumer');
         INSERT INTO events VALUES ('b');
         COMMIT",
    );
    assert_eq!(depth(&mut client), 1);
    client.run("SELECT posthog_plugins.start_from('consumer', now() - '1 hour'::interval)");
    assert_eq!(depth(&mut client), 2);
    client.run("SELECT posthog_plugins.start_from('consumer', now())");
    assert_eq!(depth(&mut client), 0);
    client.run("INSERT INTO events VALUES ('c')");
    assert_eq!(depth(&mut client), 1);
    client.add_body("marks", "return event");
    for plugin in ["marks", "nothing"] {
        let refusal =
            client.refusal(&format!("SELECT posthog_plugins.start_from('{plugin}', now())"));
        assert_ne!(refusal, SqlState::INTERNAL_ERROR);
    }
}

#[test]
fn dead_letters_are_tried_again_or_discarded() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "letters");
    client.run(
        r#"SELECT posthog_plugins.enable('consumer', 2);
           INSERT INTO posthog_plugins.undelivered_event
               (config_id, attempts, next_attempt_at, failed_at, error, enqueued_at, event)
           SELECT c.id, 10, CASE n WHEN 5 THEN now() + '1 hour'::interval END,
                  '2026-01-01'::timestamptz + n * '1 day'::interval,
                  'Error: status ' || 500 + n % 2, now(), jsonb_build_object('event', n)
             FROM posthog_plugins.plugin_config AS c, generate_series(1, 5) AS n
            ORDER BY c.id, n"#,
    );
    let count = |client: &mut Client, call: &str| -> i64 {
        client.value(&format!("SELECT posthog_plugins.{call}"))
    };
    let dead = "SELECT count(*) FROM posthog_plugins.dead_letters";
    assert_eq!(client.value::<i64>(dead), 8);
    assert_eq!(count(&mut client, "retry('consumer', team_id => 2, error => '501')"), 3);
    assert_eq!(count(&mut client, "retry(error => '%')"), 0);
    assert_eq!(count(&mut client, "retry(id => 2)"), 1);
    assert_eq!(client.value::<i64>(dead), 5);
    let due = "SELECT count(*) FROM posthog_plugins.retries WHERE next_attempt_at <= now() AND attempts = 0";
    assert_eq!(client.value::<i64>(due), 4);
    assert_eq!(count(&mut client, "discard(failed_before => '2026-01-03')"), 2);
    assert_eq!(count(&mut client, "discard('nothing')"), 0);
    assert_eq!(
        client.refusal("SELECT posthog_plugins.discard()"),
        SqlState::INVALID_PARAMETER_VALUE
    );
    client.run(
        "CREATE ROLE of_two LOGIN;
         SELECT posthog_plugins.grant_role('of_two', 'editor');
         SELECT posthog_plugins.limit_to_teams('of_two', '{2}')",
    );
    let left = client.value::<i64>("SELECT count(*) FROM posthog_plugins.undelivered_event");
    let mut of_two = cluster.connect_as("of_two", "letters");
    let seen = "SELECT count(*) FROM (SELECT id FROM posthog_plugins.dead_letters
                                      UNION ALL SELECT id FROM posthog_plugins.retries) AS all_";
    assert_eq!(of_two.value::<i64>(seen), 4);
    assert_eq!(count(&mut of_two, "discard(failed_after => '2020-01-01')"), 4);
    assert_eq!(count(&mut of_two, "discard('consumer')"), 0);
    assert_eq!(
        client.value::<i64>("SELECT count(*) FROM posthog_plugins.undelivered_event"),
        left - 4
    );
}

#[test]
fn dead_letters_have_a_retention() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "retention");
    client.run(
        "INSERT INTO posthog_plugins.undelivered_event
             (config_id, attempts, next_attempt_at, failed_at, error, enqueued_at, event)
         SELECT 1, 1, retry, failed, 'no', now(), '{}'
           FROM (VALUES (NULL, now()), (NULL, now() - '31 days'::interval),
                        (now(), now() - '31 days'::interval)) AS row_ (retry, failed)",
    );
    let count = "SELECT count(*) FROM posthog_plugins.undelivered_event";
    client.run("SET posthog_plugins.dead_letter_retention = 0; SELECT posthog_plugins.prune()");
    assert_eq!(client.value::<i64>(count), 3);
    client.run("RESET posthog_plugins.dead_letter_retention; SELECT posthog_plugins.prune()");
    assert_eq!(client.value::<i64>(count), 2);
}

#[test]
fn a_dump_has_the_filters_and_not_what_is_on_its_way() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "original");
    each(
        &mut client,
        "CREATE TABLE events (event text);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events VALUES ('a');
         SELECT posthog_plugins.set_filter('consumer', '{\"where\": \"true\"}');
         INSERT INTO posthog_plugins.undelivered_event
             (config_id, attempts, error, enqueued_at, event) VALUES (1, 1, 'no', now(), '{}');
         CREATE DATABASE copy",
    );
    let dump = cluster.client("pg_dump", "postgres").arg("original").output().unwrap();
    assert!(dump.status.success());
    let dump = String::from_utf8(dump.stdout).unwrap();
    assert!(!cluster.psql("copy", &dump).contains("ERROR"));
    let mut copy = cluster.connect("copy");
    let filters = "SELECT concat(filter, role) FROM posthog_plugins.consumer_filter";
    assert_eq!(copy.column::<String>(filters), [r#"{"where": "true"}postgres"#]);
    let rest = "SELECT (SELECT count(*) FROM queued)
                     + (SELECT count(*) FROM posthog_plugins.undelivered_event)
                     + (SELECT count(*) FROM posthog_plugins.queue_consumer)";
    assert_eq!(copy.value::<i64>(rest), 0);
    copy.run("INSERT INTO events VALUES ('b')");
    assert_eq!(queued(&mut copy), ["b!"]);
}

#[test]
fn filters_are_checked_when_they_are_set() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "filters");
    for (filter, problem) in [
        ("{\"event\": [\"a\"]}", "there is no \"event\""),
        ("{\"sample\": 2}", "\"sample\" must be between 0 and 1"),
        ("[]", "it must be an object"),
        ("{\"where\": \"event ->>\"}", "syntax error at or near \")\""),
        ("{\"where\": \"evnt IS NULL\"}", "column \"evnt\" does not exist"),
        ("{\"where\": \"1\"}", "argument of WHERE must be type boolean, not type integer"),
    ] {
        let set = format!("SELECT posthog_plugins.set_filter('consumer', '{filter}')");
        let error = client.refused(&set);
        assert_eq!(*error.code(), SqlState::INVALID_PARAMETER_VALUE, "{filter}");
        let message = format!("the filter of plugin \"consumer\" is not valid: {problem}");
        assert_eq!(error.message(), message);
    }
    client
        .run(r#"SELECT posthog_plugins.set_filter('consumer', '{"where": "event ? ''a'' -- a"}')"#);
    let stored = "SELECT concat(f.filter, f.role) FROM posthog_plugins.consumer_filter AS f";
    assert_eq!(client.value::<String>(stored), r#"{"where": "event ? 'a' -- a"}postgres"#);
    client.run("SELECT posthog_plugins.set_filter('consumer', NULL)");
    assert_eq!(client.column::<String>(stored), [""; 0]);
}

#[test]
fn health_tells_of_what_waits_what_failed_and_what_is_not_enqueued() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "health");
    client.run(
        "CREATE TABLE events (event text);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events VALUES ('a')",
    );
    let findings = |client: &mut Client| -> Vec<String> {
        client.column(
            "SELECT concat_ws(' ', status, finding) FROM posthog_plugins.health()
              WHERE topic = 'consumer' OR finding LIKE '%enqueued%'",
        )
    };
    assert_eq!(findings(&mut client), ["ok 1 events wait"]);
    client.run(
        "INSERT INTO posthog_plugins.undelivered_event
             (config_id, attempts, error, enqueued_at, event) VALUES (1, 1, 'no', now(), '{}')",
    );
    assert_eq!(
        findings(&mut client),
        ["warning 1 events could not be delivered, the last one: no"]
    );
    client.run(
        "UPDATE posthog_plugins.event_queue_0 SET enqueued_at = enqueued_at - '2 hours'::interval;
         ALTER TABLE events DISABLE TRIGGER _posthog_plugins_enqueue",
    );
    let found = findings(&mut client);
    assert!(found[0].starts_with("warning 1 events wait, the oldest for 02:00:"), "{found:?}");
    assert_eq!(
        found[1..],
        ["warning what is stored is not enqueued for the plugins that take stored events"]
    );
}

#[test]
fn a_crash_loses_nothing_that_was_committed() {
    let cluster = Cluster::start_with(&[("fsync", "on"), ("synchronous_commit", "on")]);
    let mut client = database(&cluster, "crash");
    each(
        &mut client,
        "CREATE TABLE events (event text);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events SELECT 'a' FROM generate_series(1, 1000);
         BEGIN; INSERT INTO events SELECT 'b' FROM generate_series(1, 5000)",
    );
    cluster.restart(Shutdown::Immediate);
    let mut client = cluster.connect("crash");
    assert_eq!(depth(&mut client), 1000);
    client.run("INSERT INTO events VALUES ('c')");
    assert_eq!(depth(&mut client), 1001);
}

#[test]
fn dropping_the_extension_after_storing_is_no_error() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "dropped");
    each(
        &mut client,
        "CREATE TABLE events (event text);
         SELECT posthog_plugins.attach('events');
         BEGIN; INSERT INTO events VALUES ('a'); DROP EXTENSION posthog_plugins CASCADE; COMMIT;
         INSERT INTO events VALUES ('b');
         CREATE EXTENSION posthog_plugins",
    );
    client.add_plugin("consumer", CONSUMES);
    client.run("SELECT posthog_plugins.attach('events'); INSERT INTO events VALUES ('c')");
    assert_eq!(depth(&mut client), 1);
}
