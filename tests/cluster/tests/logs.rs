//! What plugins write to their console: every line arrives, in the table or in the server's log,
//! and none gets in the way of the transaction it is about.

use cluster::process::memory_of;
use cluster::{Cluster, Session, wait_until};
use postgres::Client;

const EVENT: &str = r#"{"event": "e"}"#;

/// A plugin that logs the event's name.
fn talkative(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.add_body("talkative", "console.log(event.event); event.seen = true; return event");
    client
}

/// Sends an event, which has to come back.
#[track_caller]
fn say(client: &mut Client, word: &str) {
    let event = client.process(&format!(r#"{{"event": "{word}"}}"#));
    assert_eq!(event, Some(format!(r#"{{"seen": true, "event": "{word}"}}"#)));
}

fn stored(client: &mut Client) -> Vec<String> {
    client.column("SELECT message FROM posthog_plugins.plugin_log ORDER BY id")
}

#[test]
fn lines_are_written_when_the_transaction_commits() {
    let cluster = Cluster::start();
    let mut client = talkative(&cluster, "commits");
    let mut other = cluster.connect("commits");
    client.run("BEGIN");
    say(&mut client, "one");
    say(&mut client, "two");
    assert_eq!(stored(&mut client), [""; 0]);
    client.run("COMMIT");
    assert_eq!(stored(&mut other), ["one", "two"]);
    // In one statement: one transaction wrote all of them.
    assert_eq!(
        other.value::<i64>("SELECT count(DISTINCT xmin::text) FROM posthog_plugins.plugin_log"),
        1
    );
    assert!(other.value::<bool>(
        "SELECT bool_and(logged_at <= clock_timestamp() AND source = 'CONSOLE' AND level = 'LOG')
           FROM posthog_plugins.logs"
    ));
}

#[test]
fn lines_of_a_transaction_that_is_rolled_back_are_in_the_servers_log() {
    let cluster = Cluster::start();
    let mut client = talkative(&cluster, "rolled_back");
    client.run("BEGIN");
    say(&mut client, "vanished-by-command");
    client.run("ROLLBACK; BEGIN");
    say(&mut client, "vanished-by-error");
    client.refused("SELECT 1 / 0");
    client.run("COMMIT");
    assert_eq!(stored(&mut client), [""; 0]);
    for word in ["vanished-by-command", "vanished-by-error"] {
        wait_until("the line is in the server's log", || cluster.log().contains(word));
    }
    say(&mut client, "later");
    assert_eq!(stored(&mut client), ["later"]);
}

#[test]
fn lines_of_a_savepoint_that_is_rolled_back_are_kept() {
    let cluster = Cluster::start();
    let mut client = talkative(&cluster, "savepoints");
    client.run("BEGIN");
    say(&mut client, "before");
    client.run("SAVEPOINT s");
    say(&mut client, "inside");
    client.refused("SELECT 1 / 0");
    client.run("ROLLBACK TO s");
    say(&mut client, "after");
    client.run("COMMIT");
    assert_eq!(stored(&mut client), ["before", "inside", "after"]);
}

#[test]
fn many_lines_of_a_savepoint_that_is_rolled_back_are_not_lost() {
    const LINES: usize = 2500;
    let cluster = Cluster::start();
    let mut client = talkative(&cluster, "many");
    client.run("BEGIN; SAVEPOINT s");
    client.run(&format!(
        r#"SELECT process_event('{{"event": "a-line-to-keep"}}') FROM generate_series(1, {LINES})"#
    ));
    client.run("ROLLBACK TO s; COMMIT");
    let stored = stored(&mut client).len();
    wait_until("each line is in the table or in the server's log", || {
        stored + cluster.log().matches("a-line-to-keep").count() >= LINES
    });
}

#[test]
fn read_only_transactions_process_events_and_log_to_the_server() {
    let cluster = Cluster::start();
    let mut client = talkative(&cluster, "read_only");
    client.run("BEGIN READ ONLY");
    say(&mut client, "in-a-read-only-transaction");
    client.run("COMMIT; SET default_transaction_read_only = on");
    say(&mut client, "by-default-read-only");
    client.run("RESET default_transaction_read_only");
    assert_eq!(stored(&mut client), [""; 0]);
    for word in ["in-a-read-only-transaction", "by-default-read-only"] {
        wait_until("the line is in the server's log", || cluster.log().contains(word));
    }
    // A fresh session reads the chain in its read-only transaction.
    let mut fresh = cluster.connect("read_only");
    fresh.run("SET default_transaction_read_only = on");
    say(&mut fresh, "first");
}

#[test]
fn a_prepared_transaction_brings_its_lines() {
    let cluster = Cluster::start_with(&[("max_prepared_transactions", "5")]);
    let mut client = talkative(&cluster, "two_phases");
    client.run("BEGIN");
    say(&mut client, "one");
    client.run("PREPARE TRANSACTION 'first'");
    assert_eq!(stored(&mut client), [""; 0]);
    say(&mut client, "two");
    client.run("COMMIT PREPARED 'first'");
    assert_eq!(stored(&mut client), ["one", "two"]);
    client.run("BEGIN");
    say(&mut client, "three");
    client.run("PREPARE TRANSACTION 'second'");
    client.run("ROLLBACK PREPARED 'second'");
    assert_eq!(stored(&mut client), ["one", "two"]);
}

#[test]
fn the_extension_can_be_dropped_by_a_transaction_that_has_logged() {
    let cluster = Cluster::start();
    let mut client = talkative(&cluster, "dropped");
    client.run("BEGIN");
    say(&mut client, "last-words");
    client.run("CREATE TABLE kept (n int); DROP EXTENSION posthog_plugins; COMMIT");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM kept"), 0);
    wait_until("the line is in the server's log", || cluster.log().contains("last-words"));
}

#[test]
fn a_log_that_cannot_be_written_fails_no_transaction() {
    let cluster = Cluster::start();
    let mut client = talkative(&cluster, "full_disk");
    client.run(
        "CREATE TABLE kept (n int);
         CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql
             AS $$BEGIN RAISE disk_full USING MESSAGE = 'no space'; END$$;
         CREATE TRIGGER full_disk BEFORE INSERT ON posthog_plugins.plugin_log
             EXECUTE FUNCTION full_disk()",
    );
    client.run("BEGIN; INSERT INTO kept VALUES (1)");
    say(&mut client, "the-disk-is-full");
    client.run("COMMIT");
    client.run("INSERT INTO kept VALUES (2)");
    client.run(&format!(
        "INSERT INTO kept SELECT 3 FROM generate_series(1, 3000) WHERE process_event('{EVENT}') IS NOT NULL"
    ));
    assert_eq!(client.value::<i64>("SELECT count(*) FROM kept"), 3002);
    assert_eq!(stored(&mut client), [""; 0]);
    wait_until("the line is in the server's log", || cluster.log().contains("the-disk-is-full"));
    client.run(
        "DROP TRIGGER full_disk ON posthog_plugins.plugin_log;
         ALTER TABLE posthog_plugins.plugin_log ADD CONSTRAINT terse CHECK (message <> 'wordy')",
    );
    say(&mut client, "wordy");
    say(&mut client, "plain");
    assert_eq!(stored(&mut client), ["plain"]);
}

#[test]
fn a_statement_that_logs_without_end_keeps_its_memory() {
    let cluster = Cluster::start();
    let mut client = talkative(&cluster, "memory");
    let many = |count: u32| {
        format!("SELECT count(process_event('{EVENT}')) FROM generate_series(1, {count})")
    };
    client.value::<i64>(&many(10_000));
    let pid = client.pid();
    let before = memory_of(pid);
    assert_eq!(client.value::<i64>(&many(100_000)), 100_000);
    let after = memory_of(pid);
    println!("{before} kB, and {after} kB after 100,000 lines");
    // 100,000 lines held until the end would be more than 10 MB.
    assert!(after < before + 8 * 1024, "{before} kB became {after} kB");
    let lines: i64 = client.value("SELECT count(*) FROM posthog_plugins.plugin_log");
    assert_eq!(lines, 110_000);
}
