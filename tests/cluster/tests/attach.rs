//! Attaching tables and detaching them: who may, what is refused, and what the trigger survives.

use std::process::Command;

use cluster::{Cluster, Environment, Session};
use postgres::Client;
use postgres::error::SqlState;

const TRIGGERS: &str = "SELECT count(*) FROM pg_trigger WHERE tgname = '_posthog_plugins_process'";

fn events(cluster: &Cluster) -> Client {
    let mut client = cluster.create_database("events");
    client.add_body("mark", "event.seen = 'yes'; return event");
    client.run("CREATE TABLE events (event text, seen text, data jsonb)");
    client
}

/// Whether a row that is inserted now is seen by the plugin.
fn is_seen(client: &mut Client, table: &str) -> bool {
    let insert = format!("INSERT INTO {table} (event) VALUES ('a') RETURNING seen IS NOT NULL");
    client.value(&insert)
}

#[test]
fn attach_and_detach_undo_each_other() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    for _ in 0..2 {
        assert!(!is_seen(&mut client, "events"));
        client.run("SELECT posthog_plugins.attach('events')");
        assert!(is_seen(&mut client, "events"));
        client.run("SELECT posthog_plugins.detach('events')");
        assert_eq!(client.value::<i64>(TRIGGERS), 0);
    }
    client.run("BEGIN; SELECT posthog_plugins.attach('events'); ROLLBACK");
    assert!(!is_seen(&mut client, "events"));
}

#[test]
fn what_cannot_be_attached_is_refused_with_a_reason() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE VIEW v AS SELECT * FROM events; CREATE MATERIALIZED VIEW m AS SELECT * FROM events;
         CREATE SEQUENCE s; CREATE INDEX i ON events (event); CREATE TYPE pair AS (a int);
         ALTER TABLE events ADD g jsonb GENERATED ALWAYS AS (data) STORED, ADD gone jsonb;
         ALTER TABLE events DROP gone",
    );
    for (arguments, code, message) in [
        ("'nowhere'", SqlState::UNDEFINED_TABLE, "relation \"nowhere\" does not exist"),
        ("NULL", SqlState::UNDEFINED_TABLE, "no table is given"),
        ("1", SqlState::UNDEFINED_TABLE, "there is no table with OID 1"),
        ("'v'", SqlState::WRONG_OBJECT_TYPE, "\"v\" is a view"),
        ("'m'", SqlState::WRONG_OBJECT_TYPE, "\"m\" is a materialized view"),
        ("'s'", SqlState::WRONG_OBJECT_TYPE, "\"s\" is a sequence"),
        ("'i'", SqlState::WRONG_OBJECT_TYPE, "\"i\" is an index"),
        ("'pair'", SqlState::WRONG_OBJECT_TYPE, "\"pair\" is a composite type"),
        (
            "'pg_class'",
            SqlState::INSUFFICIENT_PRIVILEGE,
            "permission denied: \"pg_class\" is a system catalog",
        ),
        ("'events', 'none'", SqlState::UNDEFINED_COLUMN, "table \"events\" has no column \"none\""),
        ("'events', 'gone'", SqlState::UNDEFINED_COLUMN, "table \"events\" has no column \"gone\""),
        ("'events', 'ctid'", SqlState::UNDEFINED_COLUMN, "table \"events\" has no column \"ctid\""),
        (
            "'events', 'event'",
            SqlState::DATATYPE_MISMATCH,
            "column \"event\" of table \"events\" is not of type jsonb",
        ),
        (
            "'events', 'g'",
            SqlState::INVALID_COLUMN_REFERENCE,
            "column \"g\" of table \"events\" is generated",
        ),
    ] {
        let error = client.refused(&format!("SELECT posthog_plugins.attach({arguments})"));
        assert_eq!((error.code(), error.message()), (&code, message), "{arguments}");
    }
    client.run("SELECT posthog_plugins.attach('events')");
    for again in ["'events'", "'events', 'data'"] {
        let error = client.refused(&format!("SELECT posthog_plugins.attach({again})"));
        assert_eq!(*error.code(), SqlState::DUPLICATE_OBJECT, "{again}");
        assert!(error.hint().unwrap().contains("detach"), "{error:?}");
    }
    client.run("SELECT posthog_plugins.detach('events')");
    let error = client.refused("SELECT posthog_plugins.detach('events')");
    assert_eq!(*error.code(), SqlState::UNDEFINED_OBJECT);
    client.run("SELECT posthog_plugins.detach(NULL)");
}

#[test]
fn whoever_may_insert_needs_no_other_right() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "SELECT posthog_plugins.attach('events');
         CREATE ROLE app LOGIN; GRANT INSERT ON events TO app",
    );
    let mut app = cluster.connect_as("app", "events");
    app.run("INSERT INTO events (event) VALUES ('a')");
    assert_eq!(client.value::<String>("SELECT seen FROM events"), "yes");
    for refused in [
        "SELECT posthog_plugins.detach('events')",
        "SELECT posthog_plugins.attach('events')",
        "DROP TRIGGER _posthog_plugins_process ON events",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SET posthog_plugins.enabled = off",
        "CREATE TEMP TABLE mine (a int);
         CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION posthog_plugins.process_row()",
    ] {
        assert_eq!(app.refusal(refused), SqlState::INSUFFICIENT_PRIVILEGE, "{refused}");
    }
}

#[test]
fn a_role_with_the_grant_attaches_its_own_tables_only() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app;
         GRANT ALL ON events TO app; GRANT USAGE ON SCHEMA posthog_plugins TO app;
         GRANT EXECUTE ON FUNCTION posthog_plugins.attach, posthog_plugins.detach TO app",
    );
    let mut app = cluster.connect_as("app", "events");
    app.run("CREATE TABLE mine (event text, seen text)");
    let error = app.refused("SELECT posthog_plugins.attach('mine')");
    assert!(error.message().contains("process_row"), "{error:?}");
    client.run(
        "GRANT EXECUTE ON FUNCTION posthog_plugins.process_row, posthog_plugins.enqueue_rows TO app",
    );
    app.run("SELECT posthog_plugins.attach('mine')");
    assert!(is_seen(&mut app, "mine"));
    let error = app.refused("SELECT posthog_plugins.attach('events')");
    assert_eq!(*error.code(), SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(error.message(), "must be owner of table \"events\"");
    client.run("SELECT posthog_plugins.attach('events')");
    let error = app.refused("SELECT posthog_plugins.detach('events')");
    assert_eq!(*error.code(), SqlState::INSUFFICIENT_PRIVILEGE);
    app.run("SELECT posthog_plugins.detach('mine')");
    // Through a role that owns it, as everywhere in PostgreSQL.
    client.run("CREATE ROLE owners; GRANT owners TO app; ALTER TABLE events OWNER TO owners");
    app.run("SELECT posthog_plugins.detach('events')");
}

#[test]
fn odd_names_are_no_trouble() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        r#"CREATE SCHEMA "Od""d; DROP"; SET search_path = '';
           CREATE TABLE "Od""d; DROP"."Événements ""x""'\" ("Da ""ta'\ ☃" jsonb);
           CREATE TABLE "Od""d; DROP"."select" ("select" text, "Da ""ta'\ ☃" int);"#,
    );
    client.run(
        r#"SELECT posthog_plugins.attach('"Od""d; DROP"."Événements ""x""''\"', 'Da "ta''\ ☃');
           SELECT posthog_plugins.attach('"Od""d; DROP"."select"');
           INSERT INTO "Od""d; DROP"."Événements ""x""'\" VALUES ('{"event": "a"}');
           INSERT INTO "Od""d; DROP"."select" VALUES ('a', 1)"#,
    );
    let event: String =
        client.value(r#"SELECT "Da ""ta'\ ☃"::text FROM "Od""d; DROP"."Événements ""x""'\""#);
    assert_eq!(event, r#"{"seen": "yes", "event": "a"}"#);
    client.run(
        r#"SELECT posthog_plugins.detach('"Od""d; DROP"."Événements ""x""''\"');
           SELECT posthog_plugins.detach('"Od""d; DROP"."select"')"#,
    );
}

#[test]
fn tables_and_columns_can_be_renamed_and_moved() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    let mut other = cluster.connect("events");
    client.run("SELECT posthog_plugins.attach('events', 'data')");
    let insert = |client: &mut Client, table: &str, column: &str| -> String {
        client.value(&format!(
            "INSERT INTO {table} ({column}) VALUES ('{{}}') RETURNING {column} ->> 'seen'"
        ))
    };
    assert_eq!(insert(&mut other, "events", "data"), "yes");
    client.run("ALTER TABLE events RENAME data TO raw");
    assert_eq!(insert(&mut other, "events", "raw"), "yes");
    client.run("CREATE SCHEMA s; ALTER TABLE events RENAME TO e; ALTER TABLE e SET SCHEMA s");
    assert_eq!(insert(&mut other, "s.e", "raw"), "yes");
    client.run("ALTER TABLE s.e DROP event; ALTER TABLE s.e RENAME seen TO data");
    let error = client.refused("INSERT INTO s.e (raw) VALUES ('{}')");
    assert_eq!(*error.code(), SqlState::AMBIGUOUS_COLUMN, "rather than the wrong one");
    client.run("SELECT posthog_plugins.detach('s.e'); SELECT posthog_plugins.attach('s.e', 'raw')");
    assert_eq!(insert(&mut other, "s.e", "raw"), "yes");
    // PostgreSQL keeps a column that a condition needs, and drops the trigger along on demand.
    let needed = client.refusal("ALTER TABLE s.e DROP raw");
    assert_eq!(needed, SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    client.run("ALTER TABLE s.e DROP raw CASCADE");
    assert_eq!(client.value::<i64>(TRIGGERS), 0);
}

#[test]
fn a_renamed_column_is_the_field_of_its_new_name() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run("SELECT posthog_plugins.attach('events')");
    assert!(is_seen(&mut client, "events"));
    client.run("ALTER TABLE events RENAME seen TO unseen; ALTER TABLE events RENAME event TO seen");
    let row = "INSERT INTO events (seen) VALUES ('a') RETURNING concat_ws(' ', seen, unseen)";
    assert_eq!(client.value::<String>(row), "yes");
}

#[test]
fn attached_tables_and_the_extension_can_be_dropped() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run("SELECT posthog_plugins.attach('events')");
    let refused = client.refused("DROP EXTENSION posthog_plugins");
    assert_eq!(*refused.code(), SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    assert!(refused.detail().unwrap().contains("on table events"), "{refused:?}");
    client.run("DROP EXTENSION posthog_plugins CASCADE");
    assert_eq!(client.value::<i64>(TRIGGERS), 0);
    assert!(!is_seen(&mut client, "events"));
    client.run("CREATE EXTENSION posthog_plugins");
    client.add_body("mark", "event.seen = 'yes'; return event");
    client.run("SELECT posthog_plugins.attach('events')");
    assert!(is_seen(&mut client, "events"));
    client.run("DROP TABLE events; DROP EXTENSION posthog_plugins");
}

#[test]
fn hostile_objects_of_the_caller_are_not_used() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE SCHEMA trap;
         CREATE FUNCTION trap.spring() RETURNS bool LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'trapped'; END $$;
         CREATE FUNCTION trap.equals(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT trap.spring()';
         CREATE FUNCTION trap.equals(name, name) RETURNS bool LANGUAGE sql AS 'SELECT trap.spring()';
         CREATE FUNCTION trap.equals(\"char\", \"char\") RETURNS bool LANGUAGE sql AS 'SELECT trap.spring()';
         CREATE OPERATOR trap.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap.equals);
         CREATE OPERATOR trap.= (LEFTARG = name, RIGHTARG = name, FUNCTION = trap.equals);
         CREATE OPERATOR trap.<> (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap.equals);
         CREATE OPERATOR trap.<> (LEFTARG = \"char\", RIGHTARG = \"char\", FUNCTION = trap.equals);
         CREATE TABLE trap.pg_trigger (tgname name); CREATE TABLE trap.pg_class (relname name);
         CREATE TEMP TABLE pg_class (relname name);
         SET search_path = trap, pg_temp, pg_catalog, public",
    );
    let path = "trap, pg_temp, pg_catalog, public";
    for call in ["attach('events', 'data')", "detach('events')", "attach('events')"] {
        client.run(&format!("SELECT posthog_plugins.{call}"));
        assert_eq!(client.value::<String>("SHOW search_path"), path);
    }
    client.run("INSERT INTO events VALUES ('a')");
    assert_eq!(client.value::<String>("SELECT seen FROM events"), "yes");
    assert!(client.batch_execute("SELECT 1::oid = 2::oid").is_err(), "the trap works");
}

#[test]
fn a_dump_brings_attached_tables_back_without_running_plugins() {
    let cluster = Cluster::start();
    let mut client = events(&cluster);
    client.run(
        "CREATE TABLE raw (data jsonb); INSERT INTO raw VALUES ('{\"event\": \"before\"}');
         INSERT INTO events VALUES ('before');
         SELECT posthog_plugins.attach('events'), posthog_plugins.attach('raw', 'data');
         ALTER TABLE raw RENAME data TO body",
    );
    client.run("CREATE DATABASE copy");
    let dump = client_program(&cluster, "pg_dump", &["events"]);
    assert!(!cluster.psql("copy", &dump).contains("ERROR"));
    let mut copy = cluster.connect("copy");
    let rows = "SELECT events::text FROM events UNION ALL SELECT body::text FROM raw";
    assert_eq!(copy.column::<String>(rows), ["(before,,)", "{\"event\": \"before\"}"]);
    assert!(is_seen(&mut copy, "events"));
    let body = "INSERT INTO raw VALUES ('{}') RETURNING body ->> 'seen'";
    assert_eq!(copy.value::<String>(body), "yes");
    // Data alone, into tables that are attached already.
    copy.run("TRUNCATE events");
    let data = client_program(
        &cluster,
        "pg_dump",
        &["--data-only", "--disable-triggers", "--table=events", "events"],
    );
    assert!(!cluster.psql("copy", &data).contains("ERROR"));
    assert_eq!(copy.column::<String>("SELECT events::text FROM events"), ["(before,,)"]);
}

/// The output of one of PostgreSQL's client programs.
fn client_program(cluster: &Cluster, name: &str, arguments: &[&str]) -> String {
    let output = Command::new(Environment::read().bin.join(name))
        .arg("--host")
        .arg(cluster.socket_directory())
        .arg("--username=postgres")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
