//! Every way to store a row, through an attached table.

use std::io::Write;

use cluster::process::memory_of;
use cluster::{Cluster, Session};
use postgres::error::SqlState;
use postgres::{Client, SimpleQueryMessage};

/// Marks an event, and drops those called `no`.
const MARK: &str = "if (event.event === 'no') return null; event.event += '!'; return event";

fn events(cluster: &Cluster) -> Client {
    let mut client = cluster.create_database("events");
    client.add_body("mark", MARK);
    client.run(
        "CREATE TABLE events (id int PRIMARY KEY, event text, n int DEFAULT 0);
         SELECT posthog_plugins.attach('events')",
    );
    client
}

fn stored(client: &mut Client) -> Vec<String> {
    client.column("SELECT concat(id, event) FROM events ORDER BY id")
}

#[test]
fn the_count_of_rows_and_returning_tell_the_truth() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    let inserted = client.execute("INSERT INTO events VALUES (1, 'a')", &[]).unwrap();
    assert_eq!(inserted, 1);
    let inserted = client.execute("INSERT INTO events VALUES (2, 'no')", &[]).unwrap();
    assert_eq!(inserted, 0);
    let returned = client.column::<String>(
        "INSERT INTO events VALUES (3, 'b'), (4, 'no'), (5, 'c') RETURNING concat(id, event)",
    );
    assert_eq!(returned, ["3b!", "5c!"]);
    let selected = client
        .execute(
            "INSERT INTO events SELECT n, CASE n % 2 WHEN 0 THEN 'even' ELSE 'no' END
               FROM generate_series(11, 20) AS n",
            &[],
        )
        .unwrap();
    assert_eq!(selected, 5);
    assert_eq!(stored(&mut client)[..4], ["1a!", "3b!", "5c!", "12even!"]);
}

#[test]
fn copy_stores_what_the_plugins_leave() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    let mut copy = client.copy_in("COPY events (id, event) FROM STDIN").unwrap();
    for id in 1..=3000 {
        let event = if id % 3 == 0 { "no" } else { "a" };
        writeln!(copy, "{id}\t{event}").unwrap();
    }
    assert_eq!(copy.finish().unwrap(), 2000);
    assert_eq!(stored(&mut client)[..2], ["1a!", "2a!"]);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM events WHERE event = 'a!'"), 2000);
    let out = cluster.psql("events", "COPY (SELECT event FROM events WHERE id = 1) TO STDOUT");
    assert_eq!(out, "a!\n");
}

#[test]
fn on_conflict_sees_the_row_after_the_plugins() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run("CREATE UNIQUE INDEX ON events (event); INSERT INTO events VALUES (1, 'a')");
    let nothing = "INSERT INTO events VALUES (2, 'a') ON CONFLICT (event) DO NOTHING";
    assert_eq!(client.execute(nothing, &[]).unwrap(), 0, "a! is there");
    let update = "INSERT INTO events AS e VALUES (3, 'a'), (4, 'no'), (5, 'b')
        ON CONFLICT (event) DO UPDATE SET n = e.n + 1, id = EXCLUDED.id, event = EXCLUDED.event || '?'";
    assert_eq!(client.execute(update, &[]).unwrap(), 2);
    let rows = client.column::<String>("SELECT events::text FROM events ORDER BY id");
    assert_eq!(rows, ["(3,a!?,1)", "(5,b!,0)"]);
    // What a plugin drops meets no conflict.
    let dropped = "INSERT INTO events VALUES (3, 'no') ON CONFLICT (id) DO UPDATE SET n = 100";
    assert_eq!(client.execute(dropped, &[]).unwrap(), 0);
    assert_eq!(client.value::<i32>("SELECT max(n) FROM events"), 1);
}

#[test]
fn prepared_statements_and_functions_insert_events() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    let insert = client.prepare("INSERT INTO events VALUES ($1, $2)").unwrap();
    for id in 1..=10 {
        let event = if id == 5 { "no" } else { "a" };
        let inserted = client.execute(&insert, &[&id, &event]).unwrap();
        assert_eq!(inserted, u64::from(id != 5));
    }
    client.run(
        "DO $$
         DECLARE
             found_event text;
         BEGIN
             INSERT INTO events VALUES (20, 'a') RETURNING event INTO found_event;
             ASSERT FOUND AND found_event = 'a!';
             INSERT INTO events VALUES (21, 'no') RETURNING event INTO found_event;
             ASSERT NOT FOUND AND found_event IS NULL;
             BEGIN
                 INSERT INTO events VALUES (20, 'again');
             EXCEPTION WHEN unique_violation THEN
                 INSERT INTO events VALUES (22, 'other');
             END;
         END
         $$",
    );
    assert_eq!(stored(&mut client)[9..], ["20a!", "22other!"]);
}

#[test]
fn savepoints_take_events_back() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.add_body("fits", "if (event.event === 'bad!') event.n = 'x'; return event");
    client.run("BEGIN; INSERT INTO events VALUES (1, 'a'); SAVEPOINT s; INSERT INTO events VALUES (2, 'b')");
    let misfit = client.refusal("INSERT INTO events VALUES (3, 'bad')");
    assert_eq!(misfit, SqlState::INVALID_TEXT_REPRESENTATION);
    client.run("ROLLBACK TO s; INSERT INTO events VALUES (4, 'c'); COMMIT");
    assert_eq!(stored(&mut client), ["1a!", "4c!"]);
}

#[test]
fn common_table_expressions_insert_events() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run("CREATE TABLE copies (event text)");
    client.run(
        "WITH stored AS (INSERT INTO events VALUES (1, 'a'), (2, 'no'), (3, 'b') RETURNING event)
         INSERT INTO copies SELECT event FROM stored",
    );
    let copies = client.column::<String>("SELECT event FROM copies ORDER BY event");
    assert_eq!(copies, ["a!", "b!"]);
}

#[test]
fn prepared_transactions_keep_events_and_logs() {
    let cluster = Cluster::start_with(&[("max_prepared_transactions", "5")]);
    let mut client = events(&cluster);
    client.add_body("talk", "console.log(event.event); return event");
    client.run("BEGIN; INSERT INTO events VALUES (1, 'a'), (2, 'no'); PREPARE TRANSACTION 'one'");
    client.run("BEGIN; INSERT INTO events VALUES (3, 'b'); PREPARE TRANSACTION 'two'");
    client.run("COMMIT PREPARED 'one'");
    client.run("ROLLBACK PREPARED 'two'");
    assert_eq!(stored(&mut client), ["1a!"]);
    assert_eq!(client.column::<String>("SELECT message FROM posthog_plugins.logs"), ["a!"]);
}

#[test]
fn update_and_merge_meet_plugins_only_where_they_insert() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run("INSERT INTO events VALUES (1, 'a'); UPDATE events SET event = 'b'");
    assert_eq!(stored(&mut client), ["1b"]);
    if client.value::<i32>("SELECT current_setting('server_version_num')::int") < 150_000 {
        return;
    }
    client.run(
        "MERGE INTO events AS e USING (VALUES (1, 'c'), (2, 'd'), (3, 'no')) AS s (id, event) ON e.id = s.id
         WHEN MATCHED THEN UPDATE SET event = s.event
         WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.event)",
    );
    assert_eq!(stored(&mut client), ["1c", "2d!"]);
}

#[test]
fn views_lead_to_the_attached_table() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE VIEW simple AS SELECT id, event FROM events;
         INSERT INTO simple VALUES (1, 'a'), (2, 'no');
         CREATE VIEW doubled AS SELECT id, event || event AS event FROM events;
         CREATE FUNCTION store() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO events VALUES (NEW.id, NEW.event); RETURN NEW; END $$;
         CREATE TRIGGER store INSTEAD OF INSERT ON doubled FOR EACH ROW EXECUTE FUNCTION store();
         INSERT INTO doubled VALUES (3, 'b'), (4, 'no')",
    );
    assert_eq!(stored(&mut client), ["1a!", "3b!"]);
    let error = client.refused("SELECT posthog_plugins.attach('simple')");
    assert_eq!(*error.code(), SqlState::WRONG_OBJECT_TYPE);
    assert_eq!(error.message(), "\"simple\" is a view");
}

#[test]
fn foreign_tables_can_be_attached() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(&format!(
        "CREATE EXTENSION postgres_fdw;
         CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{}', dbname 'other', batch_size '10');
         CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (user 'postgres');
         CREATE FOREIGN TABLE far (id int, event text, data jsonb) SERVER other;
         SELECT posthog_plugins.attach('far')",
        cluster.socket_directory().display()
    ));
    client.run("CREATE DATABASE other");
    cluster.connect("other").run("CREATE TABLE far (id int, event text, data jsonb)");
    let inserted = client
        .execute("INSERT INTO far VALUES (1, 'a', '{}'), (2, 'no', NULL), (3, 'b', NULL)", &[])
        .unwrap();
    assert_eq!(inserted, 2);
    let far = cluster.connect("other").column::<String>("SELECT far::text FROM far");
    assert_eq!(far, ["(1,a!,{})", "(3,b!,)"]);
    client.run("SELECT posthog_plugins.detach('far'); INSERT INTO far VALUES (4, 'c')");
}

#[test]
fn temporary_and_unlogged_tables_can_be_attached() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE TEMP TABLE mine (event text); CREATE UNLOGGED TABLE quick (event text);
         SELECT posthog_plugins.attach('mine'), posthog_plugins.attach('quick');
         INSERT INTO mine VALUES ('a'); INSERT INTO quick VALUES ('b')",
    );
    let found =
        client.column::<String>("SELECT event FROM mine UNION SELECT event FROM quick ORDER BY 1");
    assert_eq!(found, ["a!", "b!"]);
}

#[test]
fn a_table_that_a_trigger_inserts_into_can_be_attached_too() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE TABLE audit (event text); SELECT posthog_plugins.attach('audit');
         CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO audit VALUES (NEW.event); RETURN NEW; END $$;
         CREATE TRIGGER audit BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION audit();
         INSERT INTO events VALUES (1, 'a'), (2, 'b')",
    );
    assert_eq!(client.column::<String>("SELECT event FROM audit"), ["a!!", "b!!"]);
}

#[test]
fn an_insert_of_nothing_answers_so() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    let answer = client.simple_query("INSERT INTO events VALUES (1, 'no'), (2, 'no')").unwrap();
    let counts: Vec<_> = answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(count) => Some(*count),
            _ => None,
        })
        .collect();
    assert_eq!(counts, [0]);
}

#[test]
fn a_long_load_takes_no_more_memory_than_a_short_one() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client
        .add_body("touch", "event.tags.push(1); event.event += '!'; event.more = 1; return event");
    client.run(
        "CREATE TABLE events (event text, tags int[], properties jsonb);
         SELECT posthog_plugins.attach('events')",
    );
    let load = |rows: i32| {
        format!(
            "INSERT INTO events SELECT 'e', '{{1, 2}}', jsonb_build_object('long', repeat('x', 1000))
               FROM generate_series(1, {rows})"
        )
    };
    client.run(&load(1000));
    let pid = client.pid();
    let before = memory_of(pid);
    client.run(&load(10_000));
    let grown = memory_of(pid).saturating_sub(before);
    // Of 10,000 events of a kilobyte, each leaking itself would take 10 MB.
    assert!(grown < 4096, "{grown} kB");
}
