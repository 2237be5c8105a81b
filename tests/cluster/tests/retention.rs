//! Lines and failures past their time are removed by those who write new ones, a few at a time and
//! without waiting, or all at once by `prune()`.

use cluster::{Cluster, Session};
use postgres::Client;

const EVENT: &str = r#"{"event": "e"}"#;

/// A plugin that logs and fails, and 1,500 lines and failures from eight and forty days ago.
fn old_database(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.add_body("loud", "console.log('now'); throw new Error('now')");
    client.run(
        "INSERT INTO posthog_plugins.plugin_log (logged_at, config_id, source, level, message)
         SELECT now() - interval '8 days', 1, 'CONSOLE', 'LOG', 'old' FROM generate_series(1, 1500);
         INSERT INTO posthog_plugins.plugin_error (failed_at, config_id, kind, message, failures)
         SELECT now() - interval '40 days', 1, 'threw', 'old', 1 FROM generate_series(1, 1500)",
    );
    client
}

/// How many old lines and failures there are.
fn old(client: &mut Client) -> (i64, i64) {
    let row = client
        .query_one(
            "SELECT (SELECT count(*) FROM posthog_plugins.plugin_log WHERE message = 'old'),
                    (SELECT count(*) FROM posthog_plugins.plugin_error WHERE message = 'old')",
            &[],
        )
        .unwrap();
    (row.get(0), row.get(1))
}

#[test]
fn whoever_writes_removes_some_of_what_is_past_its_time() {
    let cluster = Cluster::start();
    let mut client = old_database(&cluster, "a_few");
    cluster.connect("a_few").process(EVENT);
    // A thousand, and two for each of the two lines that it wrote.
    assert_eq!(old(&mut client), (496, 496));
    let mut session = cluster.connect("a_few");
    session.process(EVENT);
    assert_eq!(old(&mut client), (0, 0));
    // Once a minute is often enough.
    client.run("UPDATE posthog_plugins.plugin_log SET logged_at = '2000-01-01', message = 'old'");
    session.process(EVENT);
    assert_eq!(old(&mut client).0, 4);
    let kept: i64 = client.value("SELECT count(*) FROM posthog_plugins.plugin_error");
    assert_eq!(kept, 2);
}

#[test]
fn what_is_kept_for_ever_is_kept() {
    let cluster = Cluster::start();
    let mut client = old_database(&cluster, "ever");
    client
        .run("SET posthog_plugins.log_retention = 0; SET posthog_plugins.error_retention = '41d'");
    client.process(EVENT);
    assert_eq!(client.value::<i64>("SELECT posthog_plugins.prune()"), 0);
    assert_eq!(old(&mut client), (1500, 1500));
    client.run("SET posthog_plugins.log_retention = '9d'; SET posthog_plugins.error_retention = 0");
    assert_eq!(client.value::<i64>("SELECT posthog_plugins.prune()"), 0);
    assert_eq!(old(&mut client), (1500, 1500));
}

#[test]
fn prune_removes_all_that_is_past_its_time() {
    let cluster = Cluster::start();
    let mut client = old_database(&cluster, "at_once");
    client.run("SET posthog_plugins.log_retention = '1min'");
    client.process(EVENT);
    assert_eq!(client.value::<i64>("SELECT posthog_plugins.prune()"), 2 * 496);
    assert_eq!(old(&mut client), (0, 0));
    assert_eq!(client.value::<i64>("SELECT posthog_plugins.prune()"), 0);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.logs"), 2);
    // What is rolled back has not been.
    client.run(
        "UPDATE posthog_plugins.plugin_log SET logged_at = '2000-01-01';
         BEGIN; SELECT posthog_plugins.prune(); ROLLBACK",
    );
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.logs"), 2);
}

#[test]
fn removing_waits_for_nobody() {
    let cluster = Cluster::start();
    let mut client = old_database(&cluster, "waiting");
    client.run(
        "BEGIN; SELECT FROM posthog_plugins.plugin_log WHERE id <= 1400 FOR UPDATE;
         SELECT FROM posthog_plugins.plugin_error WHERE id <= 1400 FOR UPDATE",
    );
    let mut session = cluster.connect("waiting");
    session.run("SET statement_timeout = '10s'");
    session.process(EVENT);
    assert_eq!(old(&mut client), (1400, 1400));
    client.run("COMMIT");
}

#[test]
fn a_transaction_with_an_old_snapshot_leaves_it_to_others() {
    let cluster = Cluster::start();
    let mut client = old_database(&cluster, "snapshot");
    client.run("BEGIN ISOLATION LEVEL REPEATABLE READ");
    client.process(EVENT);
    let mut other = cluster.connect("snapshot");
    other.process(EVENT);
    client.run("COMMIT");
    assert_eq!(old(&mut other), (496, 496));
    // Also to itself.
    assert!(client.value::<bool>("SELECT true"));
    assert_eq!(old(&mut other), (0, 0));
    let log = cluster.log();
    assert!(!log.contains("could not be written"), "{log}");
}
