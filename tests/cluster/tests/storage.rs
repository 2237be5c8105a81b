//! What plugins keep in `meta.storage` belongs to the transaction that stored it, and to a config;
//! nobody waits for anybody.

use cluster::keeper::{database, install, member, operate};
use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

#[test]
fn values_are_those_of_posthog() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "values");
    let mut storage = |method, arguments| operate(&mut client, "storage", method, arguments);
    assert_eq!(storage("get", r#"["missing", 5]"#).as_deref(), Some("5"));
    assert_eq!(storage("get", r#"["missing"]"#), None);
    storage("set", r#""[\"key\", {\"a\": [1, \"ü\\u0000\"]}]""#);
    assert_eq!(storage("get", r#"["key", 5]"#).as_deref(), Some(r#"{"a": [1, "ü�"]}"#));
    storage("set", r#"["key", null]"#);
    assert_eq!(storage("get", r#"["key", 5]"#).as_deref(), Some("null"));
    storage("del", r#"["key"]"#);
    assert_eq!(storage("get", r#"["key", 5]"#).as_deref(), Some("5"));
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_storage"), 0);
    let mut cursor = |method, arguments| operate(&mut client, "cursor", method, arguments);
    cursor("init", r#"["at", 10]"#);
    cursor("init", r#"["at", 99]"#);
    assert_eq!(cursor("increment", r#"["at"]"#).as_deref(), Some("11"));
    assert_eq!(cursor("increment", r#"["at", 0.5]"#).as_deref(), Some("11.5"));
    assert_eq!(operate(&mut client, "storage", "get", r#"["at"]"#).as_deref(), Some("11.5"));
    let long = format!(r#"["{}", 1]"#, "k".repeat(201));
    let code = member(&mut client, "storage", "set", &long, "code");
    assert_eq!(code.as_deref(), Some("\"54000\""));
    let shown: Vec<String> = client.column("SELECT key || value FROM posthog_plugins.storage");
    assert_eq!(shown, ["at11.5"]);
}

#[test]
fn what_is_rolled_back_was_not_stored() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "back");
    let set = |client: &mut Client, value: &str| {
        operate(client, "storage", "set", &format!(r#"["key", {value}]"#));
    };
    let get = |client: &mut Client| operate(client, "storage", "get", r#"["key", "none"]"#);
    client.run("BEGIN");
    set(&mut client, "1");
    assert_eq!(get(&mut client).as_deref(), Some("1"));
    client.run("ROLLBACK");
    assert_eq!(get(&mut client).as_deref(), Some("\"none\""));
    client.run("BEGIN; SAVEPOINT a");
    set(&mut client, "2");
    client.run("SAVEPOINT b");
    set(&mut client, "3");
    operate(&mut client, "cursor", "increment", r#"["other"]"#);
    client.run("ROLLBACK TO b");
    assert_eq!(get(&mut client).as_deref(), Some("2"));
    client.run("SAVEPOINT c");
    set(&mut client, "4");
    client.run("RELEASE c; RELEASE a");
    assert_eq!(get(&mut client).as_deref(), Some("4"));
    client.run("SAVEPOINT d");
    set(&mut client, "5");
    client.run("ROLLBACK TO d; COMMIT");
    assert_eq!(get(&mut client).as_deref(), Some("4"));
    let keys: Vec<String> = client.column("SELECT key FROM posthog_plugins.storage");
    assert_eq!(keys, ["key"]);
}

#[test]
fn a_read_only_transaction_reads_and_refuses() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "read_only");
    operate(&mut client, "storage", "set", r#"["key", 1]"#);
    client.run("BEGIN READ ONLY");
    assert_eq!(operate(&mut client, "storage", "get", r#"["key"]"#).as_deref(), Some("1"));
    let code = member(&mut client, "storage", "set", r#"["key", 2]"#, "code");
    assert_eq!(code.as_deref(), Some("\"25006\""));
    client.run("COMMIT; BEGIN");
    operate(&mut client, "storage", "set", r#"["key", 3]"#);
    client.run("SET TRANSACTION READ ONLY; COMMIT");
    assert_eq!(operate(&mut client, "storage", "get", r#"["key"]"#).as_deref(), Some("3"));
}

#[test]
fn two_sessions_in_opposite_order_do_not_wait() {
    let cluster = Cluster::start();
    let mut one = database(&cluster, "opposite");
    let mut other = cluster.connect("opposite");
    for key in ["a", "b"] {
        operate(&mut one, "storage", "set", &format!(r#"["{key}", 0]"#));
    }
    for client in [&mut one, &mut other] {
        client.run("SET lock_timeout = '1ms'; BEGIN");
    }
    for (key, second) in [("a", "b"), ("b", "a")] {
        operate(&mut one, "storage", "set", &format!(r#"["{key}", 1]"#));
        operate(&mut other, "storage", "set", &format!(r#"["{second}", 2]"#));
    }
    one.run("COMMIT");
    other.run("COMMIT");
    assert_eq!(operate(&mut one, "storage", "get", r#"["a"]"#).as_deref(), Some("2"));
    assert_eq!(operate(&mut one, "storage", "get", r#"["b"]"#).as_deref(), Some("2"));
}

#[test]
fn repeatable_read_sees_its_snapshot_and_loses_nothing() {
    let cluster = Cluster::start();
    let mut one = database(&cluster, "snapshot");
    let mut other = cluster.connect("snapshot");
    for _ in 0..20 {
        operate(&mut one, "cursor", "increment", r#"["count"]"#);
    }
    one.run("BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(operate(&mut one, "storage", "get", r#"["count"]"#).as_deref(), Some("20"));
    for _ in 0..20 {
        operate(&mut other, "cursor", "increment", r#"["count"]"#);
    }
    assert_eq!(operate(&mut one, "storage", "get", r#"["count"]"#).as_deref(), Some("20"));
    let counted = operate(&mut one, "cursor", "increment", r#"["count"]"#);
    assert_eq!(counted.as_deref(), Some("21"));
    one.run("COMMIT");
    assert_eq!(operate(&mut one, "storage", "get", r#"["count"]"#).as_deref(), Some("41"));
    let rows: i64 = one.value("SELECT count(*) FROM posthog_plugins.plugin_storage");
    assert!(rows < 20, "{rows} rows");
}

#[test]
fn a_prepared_transaction_stores_when_it_commits() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "prepared");
    if client.value::<String>("SHOW max_prepared_transactions") == "0" {
        client.run("ALTER SYSTEM SET max_prepared_transactions = 2");
        drop(client);
        cluster.restart(cluster::Shutdown::Fast);
        client = cluster.connect("prepared");
    }
    client.run("BEGIN");
    operate(&mut client, "storage", "set", r#"["key", 1]"#);
    client.run("PREPARE TRANSACTION 'stored'");
    assert_eq!(operate(&mut client, "storage", "get", r#"["key", 0]"#).as_deref(), Some("0"));
    client.run("COMMIT PREPARED 'stored'");
    assert_eq!(operate(&mut client, "storage", "get", r#"["key", 0]"#).as_deref(), Some("1"));
}

#[test]
fn many_keys_in_one_transaction_are_written_before_it_ends() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("many");
    client.add_body(
        "many",
        "return meta.storage.set(event.event, 'x'.repeat(1000)).then(() => event)",
    );
    let count = "SELECT count(*) FROM posthog_plugins.plugin_storage";
    client.run(
        "BEGIN;
         DO $$ BEGIN FOR i IN 1..10000 LOOP
             PERFORM process_event(jsonb_build_object('event', 'key ' || i));
         END LOOP; END $$",
    );
    assert!(client.value::<i64>(count) > 4000);
    client.run("COMMIT");
    assert_eq!(client.value::<i64>(count), 10_000);
    // Inside a savepoint there is a limit.
    client.run(
        "BEGIN; SAVEPOINT a;
         DO $$ BEGIN FOR i IN 1..30000 LOOP
             PERFORM process_event(jsonb_build_object('event', 'more ' || i));
         END LOOP; END $$",
    );
    client.run("ROLLBACK");
    assert_eq!(client.value::<i64>(count), 10_000);
}

#[test]
fn storage_goes_with_the_plugin() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "uninstalled");
    operate(&mut client, "storage", "set", r#"["key", 1]"#);
    operate(&mut client, "cache", "set", r#"["key", 1]"#);
    client.run("SELECT posthog_plugins.uninstall('keeper')");
    for table in ["plugin_storage", "plugin_cache"] {
        let count = format!("SELECT count(*) FROM posthog_plugins.{table}");
        assert_eq!(client.value::<i64>(&count), 0);
    }
}

#[test]
fn dropping_the_extension_drops_what_was_to_be_stored() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "dropped");
    client.run("BEGIN");
    operate(&mut client, "storage", "set", r#"["key", 1]"#);
    client.run("DROP EXTENSION posthog_plugins CASCADE; COMMIT; CREATE EXTENSION posthog_plugins");
    install(&mut client);
    assert_eq!(operate(&mut client, "storage", "get", r#"["key", 0]"#).as_deref(), Some("0"));
}

#[test]
fn who_may_do_nothing_stores_through_plugins_and_reads_no_table() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "stranger");
    client.run("CREATE ROLE stranger LOGIN");
    let mut stranger = cluster.connect_as("stranger", "stranger");
    operate(&mut stranger, "storage", "set", r#"["key", 1]"#);
    assert_eq!(operate(&mut client, "storage", "get", r#"["key"]"#).as_deref(), Some("1"));
    for name in ["plugin_storage", "storage", "cache", "jobs", "metrics", "captured_event"] {
        let code = stranger.refusal(&format!("SELECT FROM posthog_plugins.{name}"));
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{name}");
    }
}

#[test]
fn who_is_limited_to_teams_sees_nothing_of_others_not_even_by_a_function() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "limited");
    client.run(
        "CREATE ROLE adam LOGIN;
         SELECT posthog_plugins.grant_role('adam', 'admin'), posthog_plugins.limit_to_teams('adam', '{7}');
         SELECT posthog_plugins.disable('keeper'), posthog_plugins.enable('keeper', 7, 'seven'),
                posthog_plugins.enable('keeper', 8, 'eight')",
    );
    for team in [7, 8] {
        for place in ["storage", "cache"] {
            client.run(&format!(
                r#"SELECT process_event('{{"event": "e", "team_id": {team}, "properties":
                     {{"place": "{place}", "method": "set", "args": ["of {team}", {team}]}}}}')"#
            ));
        }
    }
    let mut adam = cluster.connect_as("adam", "limited");
    // A function that costs nothing is called as early as PostgreSQL can.
    adam.run(
        "CREATE TEMP TABLE caught (what text);
         CREATE FUNCTION pg_temp.look(text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql
             AS $$BEGIN INSERT INTO caught VALUES ($1); RETURN true; END$$;
         SET enable_hashjoin = off; SET enable_mergejoin = off",
    );
    for (view, columns) in
        [("storage", &["label", "key", "value"][..]), ("cache", &["key", "value"])]
    {
        let keys: Vec<String> = adam.column(&format!("SELECT key FROM posthog_plugins.{view}"));
        assert_eq!(keys, ["of 7"], "{view}");
        for column in columns {
            adam.run(&format!("SELECT FROM posthog_plugins.{view} WHERE pg_temp.look({column})"));
        }
    }
    let caught: Vec<String> = adam.column("SELECT DISTINCT what FROM caught ORDER BY 1");
    assert_eq!(caught, ["7", "of 7", "seven"]);
}

#[test]
fn a_dry_run_reads_what_is_stored_and_writes_nothing() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("dry");
    client.add_body(
        "counter",
        "return meta.utils.cursor.increment('n').then(async (n) => {
             event.n = n; event.again = await meta.storage.get('n');
             await posthog.capture('seen', { n }); return event })",
    );
    client.process(r#"{"event": "e"}"#);
    for _ in 0..2 {
        let row = client
            .query_one(
                r#"SELECT result::text, logs::text
                     FROM posthog_plugins.test('counter', '{"event": "e"}')"#,
                &[],
            )
            .unwrap();
        let (result, logs): (String, String) = (row.get(0), row.get(1));
        assert!(result.contains(r#""n": 2"#) && result.contains(r#""again": 2"#), "{result}");
        assert!(logs.contains("captured"), "{logs}");
    }
    assert_eq!(client.value::<String>("SELECT value FROM posthog_plugins.storage"), "1");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.captured_event"), 1);
}
