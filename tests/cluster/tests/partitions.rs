//! Events in partitioned tables.

use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

/// Partitions whose columns stand in different places.
fn events(cluster: &Cluster) -> Client {
    let mut client = cluster.create_database("events");
    client.add_body(
        "assign",
        "if (event.event === 'no') return null;
         Object.assign(event, event.properties.assign); event.properties.seen = true; return event",
    );
    client.run(
        "CREATE TABLE events (id int, at date, event text, properties jsonb) PARTITION BY RANGE (at);
         CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
         CREATE TABLE events_2025
             (gone int, properties jsonb, event text, gone_too text, at date, id int);
         ALTER TABLE events_2025 DROP COLUMN gone, DROP COLUMN gone_too;
         ALTER TABLE events ATTACH PARTITION events_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    );
    client
}

fn stored(client: &mut Client) -> Vec<String> {
    client.column(
        "SELECT concat_ws(' ', tableoid::regclass, id, at, event, properties ->> 'seen')
           FROM events ORDER BY id",
    )
}

#[test]
fn every_partition_of_an_attached_table_runs_plugins() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        r#"SELECT posthog_plugins.attach('events');
           INSERT INTO events VALUES
               (1, '2024-02-02', 'a', '{}'), (2, '2025-02-02', 'b', '{"assign": {"event": "c"}}'),
               (3, '2025-02-02', 'no', '{}');
           INSERT INTO events_2025 VALUES ('{}', 'direct', '2025-03-03', 4);
           CREATE TABLE events_later PARTITION OF events DEFAULT;
           INSERT INTO events VALUES (5, '2030-01-01', 'later', '{}')"#,
    );
    assert_eq!(
        stored(&mut client),
        [
            "events_2024 1 2024-02-02 a true",
            "events_2025 2 2025-02-02 c true",
            "events_2025 4 2025-03-03 direct true",
            "events_later 5 2030-01-01 later true",
        ]
    );
    // One that leaves takes no trigger along.
    client.run(
        "ALTER TABLE events DETACH PARTITION events_2025;
         INSERT INTO events_2025 VALUES ('{}', 'alone', '2025-03-03', 6)",
    );
    let alone = "SELECT properties::text FROM events_2025 WHERE id = 6";
    assert_eq!(client.value::<String>(alone), "{}");
    client.run(
        "SELECT posthog_plugins.detach('events');
         INSERT INTO events VALUES (7, '2024-02-02', 'detached', '{}')",
    );
    assert_eq!(stored(&mut client).last().unwrap(), "events_2024 7 2024-02-02 detached");
}

#[test]
fn the_event_column_is_found_in_every_partition_also_after_it_is_renamed() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run("SELECT posthog_plugins.attach('events', 'properties')");
    for column in ["properties", "data"] {
        if column == "data" {
            client.run("ALTER TABLE events RENAME properties TO data");
        }
        client.run(&format!(
            "TRUNCATE events;
             INSERT INTO events (at, {column}) VALUES
                 ('2024-02-02', '{{\"properties\": {{}}}}'), ('2025-02-02', '{{\"properties\": {{}}}}')"
        ));
        let seen = client
            .column::<String>(&format!("SELECT {column} #>> '{{properties,seen}}' FROM events"));
        assert_eq!(seen, ["true", "true"], "{column}");
    }
}

#[test]
fn a_plugin_may_not_move_a_row_to_another_partition() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run("SELECT posthog_plugins.attach('events')");
    client.run(
        r#"INSERT INTO events VALUES (1, '2024-02-02', 'a', '{"assign": {"at": "2024-12-31"}}')"#,
    );
    for (table, from, to) in [
        ("events", "2024-02-02", "2025-02-02"),
        ("events", "2025-02-02", "2024-02-02"),
        // No partition at all.
        ("events", "2024-02-02", "2030-02-02"),
        ("events_2025", "2025-02-02", "2024-02-02"),
    ] {
        let error = client.refused(&format!(
            r#"INSERT INTO {table} (id, at, properties) VALUES (2, '{from}', '{{"assign": {{"at": "{to}"}}}}')"#
        ));
        assert_eq!(*error.code(), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(
            error.message(),
            "plugin \"assign\" changed column \"at\", which moves the row to another partition"
        );
        let partition = format!("\"events_{}\"", &from[..4]);
        assert!(error.detail().unwrap().contains(&partition), "{error:?}");
        assert!(error.hint().unwrap().contains("process_event"), "{error:?}");
    }
    assert_eq!(stored(&mut client), ["events_2024 1 2024-12-31 a true"]);
    // What the hint says.
    client.run(
        r#"SELECT posthog_plugins.detach('events');
           INSERT INTO events
           SELECT stored.*
             FROM (VALUES (2, date '2024-02-02', 'a', '{"assign": {"at": "2025-02-02"}}'::jsonb),
                          (3, '2024-02-02', 'no', '{}')) AS incoming (id, at, event, properties),
                  process_event(to_jsonb(incoming)) AS processed,
                  jsonb_populate_record(NULL::events, processed) AS stored
            WHERE processed IS NOT NULL"#,
    );
    assert_eq!(stored(&mut client)[1..], ["events_2025 2 2025-02-02 a true"]);
}

#[test]
fn list_hash_and_nested_partitions_are_watched_too() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("assign", "Object.assign(event, event.properties); return event");
    client.run(
        "CREATE TABLE events (kind text, day date, id int, properties jsonb) PARTITION BY LIST (kind);
         CREATE TABLE web PARTITION OF events FOR VALUES IN ('web', NULL) PARTITION BY RANGE (day);
         CREATE TABLE web_old PARTITION OF web FOR VALUES FROM (MINVALUE) TO ('2024-01-01') PARTITION BY HASH (id);
         CREATE TABLE web_old_0 PARTITION OF web_old FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE web_old_1 PARTITION OF web_old FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         CREATE TABLE web_new PARTITION OF web DEFAULT;
         CREATE TABLE rest PARTITION OF events DEFAULT;
         SELECT posthog_plugins.attach('events')",
    );
    let insert = |change: &str, kind: &str, day: &str| {
        format!("INSERT INTO events VALUES ('{kind}', '{day}', 1, '{change}')")
    };
    for (change, kind, day) in [
        (r#"{"kind": "app"}"#, "web", "2023-01-01"),
        (r#"{"kind": "web"}"#, "app", "2023-01-01"),
        (r#"{"day": "2025-01-01"}"#, "web", "2023-01-01"),
        (r#"{"day": "2023-01-01"}"#, "web", "2025-01-01"),
    ] {
        let error = client.refused(&insert(change, kind, day));
        assert_eq!(*error.code(), SqlState::FEATURE_NOT_SUPPORTED, "{change}: {error:?}");
        assert!(error.message().contains("plugin \"assign\""), "{error:?}");
    }
    for (change, kind, day) in [
        (r#"{"kind": null}"#, "web", "2023-01-01"),
        (r#"{"kind": "other"}"#, "app", "2023-01-01"),
        (r#"{"day": "2022-01-01"}"#, "web", "2023-01-01"),
    ] {
        client.run(&insert(change, kind, day));
    }
    // Of two halves, some number is in the other one.
    let moved = (1..=10).filter(|id| {
        let change = format!(r#"{{"id": {id}}}"#);
        match client.batch_execute(&insert(&change, "web", "2023-01-01")) {
            Ok(()) => false,
            Err(error) => {
                assert_eq!(error.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED), "{error:?}");
                assert!(error.as_db_error().unwrap().message().contains("column \"id\""));
                true
            }
        }
    });
    assert!((1..=9).contains(&moved.count()));
}

#[test]
fn a_partition_is_attached_once() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run("SELECT posthog_plugins.attach('events_2024')");
    let error = client.refused("SELECT posthog_plugins.attach('events')");
    assert_eq!(*error.code(), SqlState::DUPLICATE_OBJECT);
    assert!(error.detail().unwrap().contains("\"events_2024\""), "{error:?}");
    client.run(
        "SELECT posthog_plugins.detach('events_2024'); SELECT posthog_plugins.attach('events')",
    );
    assert_eq!(
        client.refusal("SELECT posthog_plugins.attach('events_2024')"),
        SqlState::DUPLICATE_OBJECT
    );
    let error = client.refused("SELECT posthog_plugins.detach('events_2024')");
    assert_eq!(*error.code(), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert_eq!(error.hint(), Some("Detach \"events\"."));
}

#[test]
fn an_update_may_move_a_row() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        r#"INSERT INTO events VALUES (1, '2024-02-02', 'a', '{"assign": {"at": "2025-02-02"}}');
           CREATE TRIGGER process BEFORE UPDATE ON events FOR EACH ROW
               EXECUTE FUNCTION posthog_plugins.process_row();
           UPDATE events SET event = 'b'"#,
    );
    assert_eq!(stored(&mut client), ["events_2025 1 2025-02-02 b true"]);
}
