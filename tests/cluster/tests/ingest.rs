//! Bulk loads from a staging table.

use cluster::{Cluster, Session};
use postgres::Client;

/// Marks an event, drops those called `no`, and moves those that say so to another day.
const MARK: &str = "
    if (event.event === 'no') return null
    event.event += '!'
    if (event.properties?.day) event.day = event.properties.day
    return event";

fn events(cluster: &Cluster) -> Client {
    let mut client = cluster.create_database("events");
    client.add_body("mark", MARK);
    client.run(
        "CREATE TABLE events (gone int, id int GENERATED ALWAYS AS IDENTITY, event text NOT NULL,
                              day date DEFAULT '2025-03-01', n bigint DEFAULT 7, code varchar(8),
                              length int GENERATED ALWAYS AS (length(event)) STORED, properties jsonb);
         ALTER TABLE events DROP COLUMN gone;
         SELECT posthog_plugins.attach('events');
         CREATE TABLE staging (event text, properties jsonb);
         INSERT INTO staging VALUES ('a', '{}'), ('no', '{}'), ('b', '{\"day\": \"2024-02-02\"}')",
    );
    client
}

const INGEST: &str =
    "SELECT concat_ws(' ', stored, discarded) FROM posthog_plugins.ingest('events', 'staging')";

#[test]
fn staged_rows_pass_the_plugins_once() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    assert_eq!(client.value::<String>(INGEST), "2 1");
    let rows =
        client.column::<String>("SELECT concat_ws('|', id, event, day, n, length) FROM events");
    assert_eq!(rows, ["1|a!|2025-03-01|7|2", "2|b!|2024-02-02|7|2"]);
    let turns = "SELECT events FROM posthog_plugins.stats WHERE plugin = 'mark'";
    assert_eq!(client.value::<i64>(turns), 3);
    // The next insert is an ordinary one.
    client.run("INSERT INTO events (event) VALUES ('no'), ('c')");
    assert_eq!(client.value::<String>("SELECT event FROM events WHERE id > 2"), "c!");
}

#[test]
fn an_event_column_is_ingested_and_null_passes() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        r#"CREATE TABLE raw (data jsonb); SELECT posthog_plugins.attach('raw', 'data');
           CREATE TABLE raw_staging (LIKE raw);
           INSERT INTO raw_staging VALUES ('{"event": "a"}'), (NULL), ('{"event": "no"}')"#,
    );
    client.run("SELECT posthog_plugins.ingest('raw', 'raw_staging')");
    let stored = client.column::<String>("SELECT coalesce(data ->> 'event', 'NULL') FROM raw");
    assert_eq!(stored, ["a!", "NULL"]);
}

#[test]
fn other_triggers_fire_and_what_they_insert_is_processed() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE TABLE seen (event text);
         CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 INSERT INTO seen VALUES (NEW.event);
                 IF NEW.event = 'a!' THEN
                     INSERT INTO events (event) VALUES ('no'), ('nested');
                 END IF;
                 RETURN NEW;
             END $$;
         CREATE TRIGGER follow AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION follow();
         CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER skip BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.event = 'b!')
             EXECUTE FUNCTION skip()",
    );
    assert_eq!(client.value::<String>(INGEST), "1 1", "another trigger's drop is not stored");
    assert_eq!(client.column::<String>("SELECT event FROM seen ORDER BY 1"), ["a!", "nested!"]);
}

#[test]
fn a_plugin_may_move_a_staged_row_to_another_partition() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE TABLE days (day date NOT NULL, event text, properties jsonb) PARTITION BY RANGE (day);
         CREATE TABLE days_24 PARTITION OF days FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
         CREATE TABLE days_25 (event text, properties jsonb, day date NOT NULL);
         ALTER TABLE days ATTACH PARTITION days_25 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
         SELECT posthog_plugins.attach('days');
         CREATE VIEW staged AS SELECT date '2025-01-01' AS day, event, properties FROM staging;
         SELECT posthog_plugins.ingest('days', 'staged')",
    );
    let rows =
        client.column::<String>("SELECT concat(tableoid::regclass, event) FROM days ORDER BY 1");
    assert_eq!(rows, ["days_24b!", "days_25a!"]);
}

#[test]
fn who_may_not_insert_or_select_may_not_ingest() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE ROLE app; GRANT USAGE ON SCHEMA posthog_plugins TO app;
         GRANT EXECUTE ON FUNCTION posthog_plugins.ingest TO app; SET ROLE app",
    );
    assert_eq!(client.refusal(INGEST).code(), "42501");
    client.run("RESET ROLE; GRANT INSERT ON events TO app; SET ROLE app");
    let error = client.refused(INGEST);
    assert_eq!(error.code().code(), "42501");
    assert_eq!(error.message(), "permission denied for table staging");
    client.run("RESET ROLE; GRANT SELECT ON staging TO app; SET ROLE app");
    assert_eq!(client.value::<String>(INGEST), "2 1");
    client.run("RESET ROLE; ALTER TABLE events ENABLE ROW LEVEL SECURITY; SET ROLE app");
    assert_eq!(client.refusal(INGEST).code(), "42501", "row security holds");
}

#[test]
fn what_cannot_be_ingested_is_refused_and_nothing_is_stored() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE TABLE loose (event text); CREATE TABLE more (event text, extra int);
         CREATE TABLE longer (event text, code varchar(9));
         CREATE TABLE nothing (event text, n bigint); INSERT INTO nothing VALUES ('a', NULL);
         ALTER TABLE events ADD CHECK (n IS NOT NULL);
         CREATE TABLE twice (event text); SELECT posthog_plugins.attach('twice');
         CREATE TRIGGER again BEFORE INSERT ON twice FOR EACH ROW
             EXECUTE FUNCTION posthog_plugins.process_row();
         CREATE TABLE partly (event text);
         CREATE TRIGGER partly BEFORE INSERT ON partly FOR EACH ROW WHEN (NEW.event <> 'x')
             EXECUTE FUNCTION posthog_plugins.process_row()",
    );
    for (table, staging, code) in [
        ("loose", "loose", "42704"),
        ("events", "more", "42703"),
        ("events", "longer", "42804"),
        ("events", "nothing", "23514"),
        ("twice", "loose", "55000"),
        ("partly", "loose", "55000"),
    ] {
        let ingest = format!("SELECT posthog_plugins.ingest('{table}', '{staging}')");
        assert_eq!(client.refusal(&ingest).code(), code, "{table} {staging}");
    }
    client.run("ALTER TABLE events DISABLE TRIGGER _posthog_plugins_process");
    assert_eq!(client.refusal(INGEST).code(), "42704", "its trigger is disabled");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM events"), 0);
    // An error in the midst of storing leaves nothing behind that would let events by.
    client.run("ALTER TABLE events ENABLE TRIGGER _posthog_plugins_process; INSERT INTO events (event) VALUES ('a')");
    assert_eq!(client.value::<String>("SELECT event FROM events"), "a!");
}

#[test]
fn a_load_larger_than_work_mem_is_complete() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "SET work_mem = '64kB';
         INSERT INTO staging SELECT 'x' || n, jsonb_build_object('n', n) FROM generate_series(1, 5000) AS n",
    );
    assert_eq!(client.value::<String>(INGEST), "5002 1");
    let same = "SELECT count(*) FROM events WHERE event = 'x' || (properties ->> 'n') || '!'";
    assert_eq!(client.value::<i64>(same), 5000);
}
