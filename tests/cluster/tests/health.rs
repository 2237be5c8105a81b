//! What `health()` finds, and that doing what it says makes the finding go.

use std::fs;

use cluster::{Cluster, Session, Shutdown};
use postgres::Client;
use postgres::error::SqlState;

/// `topic subject status: finding` of all that is not ok.
fn wrong(client: &mut Client) -> Vec<String> {
    client.column(
        "SELECT concat_ws(' ', topic, subject, status) || ': ' || finding
           FROM posthog_plugins.health() WHERE status <> 'ok'",
    )
}

/// Asserts that this is all that is wrong, follows the advice, and asserts that nothing is any more.
#[track_caller]
fn is_cured(client: &mut Client, finding: &str) {
    assert_eq!(wrong(client), [finding]);
    let advice: String =
        client.value("SELECT advice FROM posthog_plugins.health() WHERE status <> 'ok'");
    client.run(&advice);
    assert_eq!(wrong(client), [""; 0], "after {advice}");
}

fn healthy(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.add_body(
        "fragile",
        "if (event.event === 'bad') throw new Error('bad event'); return event",
    );
    client
}

#[test]
fn a_healthy_database_shows_what_is_there() {
    let cluster = Cluster::start();
    let mut client = healthy(&cluster, "healthy");
    // In a session that has not loaded the library yet, too.
    for mut client in [cluster.connect("healthy"), cluster.connect("healthy")] {
        client.run("SET posthog_plugins.error_interval = '1min'");
        let found: Vec<String> = client.column(
            "SELECT concat_ws(' ', topic, subject, status) || ': ' || finding
               FROM posthog_plugins.health()",
        );
        assert_eq!(
            found,
            [
                concat!("server version ok: ", env!("CARGO_PKG_VERSION")),
                "setting posthog_plugins.error_interval ok: set to 1min by: session",
                "plugin fragile ok: version 1 at position 1",
                "storage plugin_error ok: rows are kept for 30d",
                "storage plugin_log ok: rows are kept for 7d",
            ]
        );
    }
    assert_eq!(wrong(&mut client), [""; 0]);
}

#[test]
fn every_finding_that_is_not_ok_has_an_advice_and_only_those() {
    let cluster = Cluster::start();
    let mut client = healthy(&cluster, "advice");
    client.run(
        r#"SELECT process_event('{"event": "bad"}');
           CREATE TABLE events (event text, distinct_id text, properties jsonb);
           SET posthog_plugins.enabled = off; SET statement_timeout = '900ms';
           SET posthog_plugins.error_retention = 0; SET posthog_plugins.memory_limit = '1MB';
           SELECT posthog_plugins.configure('fragile', '{}', n), posthog_plugins.enable('fragile', n)
             FROM generate_series(1, 5) AS n"#,
    );
    let found = wrong(&mut client);
    assert_eq!(
        found,
        [
            "setting posthog_plugins.enabled warning: no plugin runs, every event passes",
            "setting posthog_plugins.error_retention warning: rows are kept for ever",
            "setting posthog_plugins.execution_timeout warning: a call may take 1s, so a plugin \
             that hangs runs into statement_timeout (900ms) and ends the statement, whatever its \
             on_error",
            "setting posthog_plugins.memory_limit warning: 1MB is little for 6 enabled configs",
            "plugin fragile warning: 1 of 1 calls failed, the last one less than an hour ago with: \
             Error: bad event",
            "table public.events warning: looks like a table of events, and has no trigger",
        ]
    );
    assert!(client.value::<bool>(
        "SELECT bool_and((advice IS NULL) = (status = 'ok')) FROM posthog_plugins.health()"
    ));
}

#[test]
fn what_is_wrong_with_the_chain_can_be_cured() {
    let cluster = Cluster::start();
    let mut client = healthy(&cluster, "chain");
    client.run("SELECT posthog_plugins.disable('fragile')");
    is_cured(&mut client, "plugin warning: no plugin is enabled");
    client.run(
        r#"SELECT posthog_plugins.disable('fragile');
           SELECT posthog_plugins.configure('fragile', '{}', 7, 'o''clock');
           SELECT posthog_plugins.enable('fragile', 7, 'o''clock');
           SET posthog_plugins.pause_failure_rate = 100"#,
    );
    client.run(
        r#"SELECT process_event('{"event": "bad", "team_id": 7}') FROM generate_series(1, 10)"#,
    );
    let paused = "plugin fragile, team 7, o'clock error: paused itself: 10 of 10 calls failed within \
                  60 seconds, the last with: Error: bad event";
    assert_eq!(wrong(&mut client), [paused]);
    let advice: String = client.value("SELECT advice FROM posthog_plugins.health() LIMIT 1");
    client.run(&advice);
    assert_eq!(
        wrong(&mut client),
        [
            "plugin fragile, team 7, o'clock warning: 10 of 10 calls failed, the last one less than an \
          hour ago with: Error: bad event"
        ]
    );
    let advice: String = client.value("SELECT advice FROM posthog_plugins.health() LIMIT 1");
    assert!(!client.query(&advice, &[]).unwrap().is_empty(), "{advice}");
    client.run("SELECT posthog_plugins.reset_stats()");
    // A new version asks for more than is there.
    client.run(
        r#"SELECT posthog_plugins.install('export function processEvent() {}',
               '{"config": [{"key": "key", "type": "string", "required": true}]}', 'fragile')"#,
    );
    let missing = wrong(&mut client);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].contains("\"key\""), "{missing:?}");
    is_cured(&mut client, &missing[0]);
}

#[test]
fn what_is_wrong_with_tables_can_be_cured() {
    let cluster = Cluster::start();
    let mut client = healthy(&cluster, "tables");
    client.run(
        "CREATE TABLE events (event text, distinct_id text, properties jsonb, day int)
             PARTITION BY LIST (day);
         CREATE TABLE \"Odd one\" PARTITION OF events FOR VALUES IN (1);
         CREATE TABLE another PARTITION OF events FOR VALUES IN (2);
         CREATE FUNCTION run_plugins() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             NEW.properties := process_event(NEW.properties);
             RETURN NEW;
         END $$;
         CREATE TRIGGER run_plugins BEFORE INSERT ON events
             FOR EACH ROW EXECUTE FUNCTION run_plugins()",
    );
    assert_eq!(wrong(&mut client), [""; 0]);
    let tables: Vec<String> =
        client.column("SELECT finding FROM posthog_plugins.health() WHERE topic = 'table'");
    assert_eq!(tables, ["trigger run_plugins passes its events through the plugins"]);
    for (how, finding) in [
        ("DISABLE", "is disabled: events are stored without passing plugins"),
        (
            "ENABLE REPLICA",
            "fires for replicated rows only: events are stored without passing plugins",
        ),
    ] {
        client.run(&format!("ALTER TABLE \"Odd one\" {how} TRIGGER run_plugins"));
        is_cured(
            &mut client,
            &format!("table public.\"Odd one\" error: trigger run_plugins {finding}"),
        );
    }
}

#[test]
fn what_is_wrong_with_settings_and_storage_can_be_cured() {
    let cluster = Cluster::start();
    let mut client = healthy(&cluster, "settings");
    client.run("SET posthog_plugins.enabled = off");
    is_cured(
        &mut client,
        "setting posthog_plugins.enabled warning: no plugin runs, every event passes",
    );
    client.run("SET statement_timeout = '500ms'");
    is_cured(
        &mut client,
        "setting posthog_plugins.execution_timeout warning: a call may take 1s, so a plugin that \
         hangs runs into statement_timeout (500ms) and ends the statement, whatever its on_error",
    );
    for table in ["plugin_log", "plugin_error"] {
        client.run(
            "INSERT INTO posthog_plugins.plugin_log (logged_at, config_id, source, level, message)
             VALUES ('2000-01-01', 1, 'CONSOLE', 'LOG', 'old');
             INSERT INTO posthog_plugins.plugin_error (failed_at, config_id, kind, message, failures)
             VALUES ('2000-01-01', 1, 'threw', 'old', 1)",
        );
        client.run(&format!("DELETE FROM posthog_plugins.{table}"));
        let other = if table == "plugin_log" { "error" } else { "log" };
        is_cured(
            &mut client,
            &format!(
                "storage plugin_{other} warning: rows are kept beyond \
                 posthog_plugins.{other}_retention"
            ),
        );
    }
    client.run("ALTER DATABASE settings SET posthog_plugins.log_retention = 0");
    let mut client = cluster.connect("settings");
    let advice: String =
        client.value("SELECT advice FROM posthog_plugins.health() WHERE status = 'warning'");
    assert_eq!(advice, "ALTER DATABASE settings RESET posthog_plugins.log_retention");
    client.run(&advice);
    assert_eq!(wrong(&mut cluster.connect("settings")), [""; 0]);
}

#[test]
fn a_library_and_a_schema_that_do_not_fit_are_found() {
    let cluster = Cluster::start();
    let mut client = healthy(&cluster, "versions");
    client.run(
        "SET allow_system_table_mods = on;
         UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'posthog_plugins'",
    );
    assert_eq!(
        wrong(&mut client),
        [concat!(
            "server version error: this database has the SQL of 0.0.1, this session the library of ",
            env!("CARGO_PKG_VERSION")
        )]
    );
}

#[test]
fn a_standby_says_that_it_is_one() {
    let cluster = Cluster::start();
    let mut client = healthy(&cluster, "standby");
    client.process(r#"{"event": "e"}"#);
    drop(client);
    fs::write(cluster.socket_directory().join("data/standby.signal"), "").unwrap();
    cluster.restart(Shutdown::Fast);
    let mut client = cluster.connect("standby");
    client.process(r#"{"event": "e"}"#);
    assert_eq!(
        wrong(&mut client),
        [
            "server recovery warning: a standby: events pass the plugins; logs go to the server's log, \
          failures and counts nowhere"
        ]
    );
    // The session itself counts on.
    assert_eq!(client.value::<i64>("SELECT events FROM posthog_plugins.stats"), 2);
}

#[test]
fn whoever_is_granted_it_sees_all_of_it() {
    let cluster = Cluster::start();
    let mut client = healthy(&cluster, "granted");
    client.run("CREATE ROLE operator LOGIN; GRANT USAGE ON SCHEMA posthog_plugins TO operator");
    let mut operator = cluster.connect_as("operator", "granted");
    let refusal = operator.refusal("SELECT * FROM posthog_plugins.health()");
    assert_eq!(refusal, SqlState::INSUFFICIENT_PRIVILEGE);
    client.run(
        "GRANT EXECUTE ON FUNCTION posthog_plugins.health, posthog_plugins._counted TO operator;
         GRANT SELECT ON posthog_plugins.stats TO operator",
    );
    assert_eq!(wrong(&mut operator), [""; 0]);
    assert_eq!(operator.value::<i64>("SELECT count(*) FROM posthog_plugins.stats"), 1);
}
