//! What the view `stats` tells: every call is counted once, whoever made it and however its
//! transaction ended, and nobody waits for that.

use std::thread;

use cluster::{Cluster, Session, Shutdown, wait_until};
use postgres::Client;
use postgres::error::SqlState;

const KEEPS: &str = r#"{"event": "keep"}"#;

/// A plugin that does with an event what its name says.
fn obedient(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.add_body(
        "obedient",
        "if (event.event === 'fail') throw new Error(`failed on ${event.id}`)
         if (event.event === 'drop') return null
         if (event.event === 'change') event.seen = true
         return event",
    );
    client
}

fn send(client: &mut Client, what: &str, count: u32) {
    client.run(&format!(
        r#"SELECT process_event(jsonb_build_object('event', '{what}', 'id', n))
             FROM generate_series(1, {count}) AS n"#
    ));
}

/// Events, changed, dropped and failed.
fn counts(client: &mut Client) -> (i64, i64, i64, i64) {
    let row = client
        .query_one(
            "SELECT events, changed, dropped, failed FROM posthog_plugins.stats
              WHERE plugin = 'obedient'",
            &[],
        )
        .unwrap();
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

fn events(client: &mut Client) -> i64 {
    counts(client).0
}

fn rows(client: &mut Client) -> i64 {
    client.value("SELECT count(*) FROM posthog_plugins.plugin_stat")
}

#[test]
fn every_call_is_counted_by_what_became_of_the_event() {
    let cluster = Cluster::start();
    let mut client = obedient(&cluster, "counted");
    assert_eq!(counts(&mut client), (0, 0, 0, 0));
    assert!(client.value::<bool>("SELECT since IS NULL FROM posthog_plugins.stats"));
    for (what, count) in [("keep", 1), ("change", 20), ("drop", 300), ("fail", 4000)] {
        send(&mut client, what, count);
    }
    assert_eq!(counts(&mut client), (4321, 20, 300, 4000));
    let row = client
        .query_one(
            "SELECT last_error, last_error_at BETWEEN since AND clock_timestamp(),
                    total_time > 0 AND max_time <= total_time AND mean_time <= max_time
                        AND abs(mean_time * events - total_time) < 0.001
               FROM posthog_plugins.stats",
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "Error: failed on 4000");
    assert!(row.get::<_, bool>(1) && row.get::<_, bool>(2), "{row:?}");
}

#[test]
fn times_are_those_of_the_call_in_milliseconds() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("times");
    client.add_body(
        "slow",
        "const end = Date.now() + 30; while (Date.now() < end); throw new Error('slow')",
    );
    client.add_body("quick", "return event");
    client.process(KEEPS);
    client.process(KEEPS);
    let times: Vec<f64> = client.column(
        "SELECT unnest(ARRAY[total_time, mean_time, max_time]) FROM posthog_plugins.stats
          WHERE plugin = 'slow'",
    );
    assert!(times[0] >= 58.0 && times[1] >= 29.0 && times[2] >= 29.0, "{times:?}");
    // Nor is the time of one the time of another.
    let quick: f64 =
        client.value("SELECT min_time FROM (SELECT total_time AS min_time FROM posthog_plugins.stats WHERE plugin = 'quick') AS q");
    assert!(quick < times[0] / 2.0, "{quick} of {times:?}");
}

#[test]
fn only_events_that_meet_a_config_are_counted() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("meeting");
    client.add_body("first", "if (event.event === 'drop') return null; return event");
    client.add_plugin("later", "export function onEvent() {}");
    client.run(
        "SELECT posthog_plugins.install('export function processEvent() {}', '{}', 'team'),
                posthog_plugins.enable('team', team_id => 7)",
    );
    client.process(r#"{"event": "drop", "team_id": 7}"#);
    client.process(r#"{"event": "e", "team_id": 8}"#);
    client.process(r#"{"event": "$snapshot"}"#);
    client.process(r#"{"event": "e", "team_id": 7}"#);
    let counted: Vec<String> = client.column(
        "SELECT concat_ws(' ', plugin, team_id, events, dropped) FROM posthog_plugins.stats",
    );
    assert_eq!(counted, ["first 3 1", "later 0 0", "team 7 1 1"]);
}

#[test]
fn a_workload_of_single_rows_writes_few_counts() {
    let cluster = Cluster::start();
    let mut client = obedient(&cluster, "single");
    client.run("SET posthog_plugins.stats_interval = '1h'");
    for _ in 0..200 {
        client.process(KEEPS);
    }
    assert_eq!(rows(&mut client), 1);
    // The session itself knows all of them.
    assert_eq!(events(&mut client), 200);
    let mut other = cluster.connect("single");
    assert_eq!(events(&mut other), 1);
    // The rest is written when its client leaves.
    drop(client);
    wait_until("the other counts are written", || events(&mut other) == 200);
    assert_eq!(rows(&mut other), 2);
}

#[test]
fn a_session_that_is_ended_by_force_leaves_quietly() {
    let cluster = Cluster::start();
    let mut admin = obedient(&cluster, "forced");
    for end in ["pg_terminate_backend", "pg_cancel_backend"] {
        let mut client = cluster.connect("forced");
        send(&mut client, "keep", 1);
        client.run("BEGIN");
        send(&mut client, "keep", 1);
        let pid = client.pid();
        admin.run(&format!("SELECT {end}({pid})"));
        // In a transaction, and in one that has failed.
        let _ = client.batch_execute("SELECT 1 / 0");
        drop(client);
        wait_until("the session is gone", || {
            admin.value(&format!(
                "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})"
            ))
        });
    }
    // Whoever is in the middle of a transaction counts what it did all the same.
    assert_eq!(events(&mut admin), 3);
    cluster.restart(Shutdown::Fast);
    let log = cluster.log();
    assert!(!log.contains("panicked") && !log.contains("was terminated by signal"), "{log}");
    assert_eq!(events(&mut cluster.connect("forced")), 3);
}

#[test]
fn nobody_waits_for_anothers_counts() {
    let cluster = Cluster::start();
    let mut client = obedient(&cluster, "waiting");
    let mut one = cluster.connect("waiting");
    // A wait would be an error.
    one.run("SET posthog_plugins.stats_interval = 0; SET statement_timeout = '10s'");
    send(&mut one, "keep", 1);
    for hold in [
        "SELECT process_event('{}')",
        // Holds every row.
        "SELECT posthog_plugins.prune()",
        "SELECT posthog_plugins.reset_stats()",
        "SELECT * FROM posthog_plugins.plugin_stat FOR UPDATE",
        // Holds the table.
        "LOCK TABLE posthog_plugins.plugin_stat",
    ] {
        client.run("BEGIN");
        client.run(hold);
        // Enough of them to be folded in between.
        for _ in 0..510 {
            send(&mut one, "keep", 1);
        }
        client.run("ROLLBACK");
    }
    send(&mut one, "keep", 1);
    assert_eq!(events(&mut client), 5 * 510 + 3);
}

#[test]
fn counts_are_folded_and_none_is_lost() {
    let cluster = Cluster::start();
    let mut client = obedient(&cluster, "folded");
    let count = |word: &'static str| {
        let mut session = cluster.connect("folded");
        move || {
            session.run("SET posthog_plugins.stats_interval = 0");
            for _ in 0..1000 {
                send(&mut session, word, 1);
            }
        }
    };
    std::thread::scope(|scope| {
        for word in ["keep", "change", "fail"] {
            scope.spawn(count(word));
        }
    });
    assert_eq!(counts(&mut client), (3000, 1000, 0, 1000));
    let rows = rows(&mut client);
    assert!(rows < 1000, "{rows}");
    let error: String = client.value("SELECT last_error FROM posthog_plugins.stats");
    assert_eq!(error, "Error: failed on 1");
    // What is left of configs that are gone goes at the next chance.
    client.run("INSERT INTO posthog_plugins.plugin_stat (config_id, since) VALUES (99, now())");
    client.run("SELECT posthog_plugins.prune()");
    assert_eq!(counts(&mut client), (3000, 1000, 0, 1000));
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_stat"), 1);
}

#[test]
fn work_of_a_transaction_that_is_rolled_back_is_counted() {
    let cluster = Cluster::start();
    let mut client = obedient(&cluster, "aborted");
    let mut other = cluster.connect("aborted");
    client.run("SET posthog_plugins.stats_interval = 0");
    client.run("BEGIN");
    send(&mut client, "change", 1);
    client.run("SAVEPOINT s");
    send(&mut client, "change", 1);
    client.run("ROLLBACK TO s; ROLLBACK");
    // The other one first: looking is a transaction, too, and writes.
    assert_eq!((events(&mut other), events(&mut client)), (0, 2));
    client.run("SELECT posthog_plugins.configure('obedient', '{}', on_error => 'raise')");
    client.refused(r#"SELECT process_event('{"event": "fail", "id": 1}')"#);
    client.run("SELECT 1");
    assert_eq!(counts(&mut other), (3, 2, 0, 1));
    let error: String = other.value("SELECT last_error FROM posthog_plugins.stats");
    assert_eq!(error, "Error: failed on 1");
}

#[test]
fn a_commit_that_fails_loses_no_counts() {
    let cluster = Cluster::start();
    let mut one = obedient(&cluster, "failing");
    let mut other = cluster.connect("failing");
    one.run("CREATE TABLE numbers (n int); INSERT INTO numbers VALUES (1)");
    other.run("SET posthog_plugins.stats_interval = 0");
    for client in [&mut one, &mut other] {
        client.run("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(n) FROM numbers");
    }
    send(&mut other, "keep", 1);
    for client in [&mut one, &mut other] {
        client.run("INSERT INTO numbers VALUES (2)");
    }
    one.run("COMMIT");
    assert_eq!(other.refusal("COMMIT"), SqlState::T_R_SERIALIZATION_FAILURE);
    assert_eq!(events(&mut one), 0);
    send(&mut other, "keep", 1);
    assert_eq!(events(&mut one), 2);
}

#[test]
fn counts_of_transactions_that_cannot_write_wait_for_one_that_can() {
    let cluster = Cluster::start_with(&[("max_prepared_transactions", "5")]);
    let mut client = obedient(&cluster, "waiting");
    let mut other = cluster.connect("waiting");
    client.run("SET posthog_plugins.stats_interval = 0; BEGIN READ ONLY");
    send(&mut client, "keep", 1);
    assert_eq!(events(&mut client), 1);
    client.run("COMMIT; BEGIN");
    send(&mut client, "keep", 1);
    client.run("PREPARE TRANSACTION 'first'");
    assert_eq!(events(&mut other), 0);
    client.run("ROLLBACK PREPARED 'first'");
    assert_eq!((events(&mut client), events(&mut other)), (2, 2));
}

#[test]
fn a_statistic_that_cannot_be_written_fails_no_transaction() {
    let cluster = Cluster::start();
    let mut client = obedient(&cluster, "full_disk");
    client.run(
        "SET posthog_plugins.stats_interval = 0; CREATE TABLE kept (n int);
         CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql
             AS $$BEGIN RAISE disk_full USING MESSAGE = 'no space'; END$$;
         CREATE TRIGGER full_disk BEFORE INSERT ON posthog_plugins.plugin_stat
             EXECUTE FUNCTION full_disk()",
    );
    for _ in 0..3 {
        client.run("BEGIN; INSERT INTO kept VALUES (1)");
        send(&mut client, "keep", 1);
        client.run("COMMIT");
    }
    assert_eq!(client.value::<i64>("SELECT count(*) FROM kept"), 3);
    assert!(cluster.log().contains("statistics could not be written: no space"));
    client.run("DROP TRIGGER full_disk ON posthog_plugins.plugin_stat");
    assert_eq!(events(&mut cluster.connect("full_disk")), 3);
    // Not even the table is needed.
    client.run("BEGIN");
    send(&mut client, "keep", 1);
    client.run("DROP EXTENSION posthog_plugins; COMMIT; CREATE EXTENSION posthog_plugins");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.stats"), 0);
}

#[test]
fn a_reset_begins_anew() {
    let cluster = Cluster::start();
    let mut client = obedient(&cluster, "reset");
    client.add_body("other", "return event");
    send(&mut client, "fail", 3);
    let mut admin = cluster.connect("reset");
    admin.run("SELECT posthog_plugins.reset_stats('obedient')");
    assert_eq!(counts(&mut client), (0, 0, 0, 0));
    let of_other = "SELECT events FROM posthog_plugins.stats WHERE plugin = 'other'";
    assert_eq!(client.value::<i64>(of_other), 3);
    assert!(client.value::<bool>(
        "SELECT since > (SELECT since FROM posthog_plugins.stats WHERE plugin = 'other')
                    AND last_error IS NULL
           FROM posthog_plugins.stats WHERE plugin = 'obedient'"
    ));
    send(&mut client, "change", 1);
    client.run("SELECT posthog_plugins.reset_stats()");
    assert_eq!(client.value::<i64>(of_other), 0);
    send(&mut client, "change", 1);
    assert_eq!(counts(&mut client), (1, 1, 0, 0));
    let unknown = client.refusal("SELECT posthog_plugins.reset_stats('unknown')");
    assert_eq!(unknown, SqlState::UNDEFINED_OBJECT);
}

#[test]
fn an_uninstalled_plugin_takes_its_counts_along() {
    let cluster = Cluster::start();
    let mut client = obedient(&cluster, "uninstalled");
    send(&mut client, "keep", 1);
    assert_eq!(rows(&mut client), 1);
    client.run("SELECT posthog_plugins.uninstall('obedient')");
    assert_eq!(rows(&mut client), 0);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.stats"), 0);
}

#[test]
fn vacuum_whose_rows_nobody_would_see_writes_no_counts() {
    let cluster = Cluster::start();
    let mut client = obedient(&cluster, "vacuum");
    client.run("CREATE TABLE first (n int); CREATE TABLE second (n int)");
    let mut locks = [cluster.connect("vacuum"), cluster.connect("vacuum")];
    for (lock, table) in locks.iter_mut().zip(["first", "second"]) {
        lock.run(&format!("BEGIN; LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE"));
    }
    let [first, second] = &mut locks;
    let mut watcher = cluster.connect("vacuum");
    client.run("SET posthog_plugins.stats_interval = '1s'");
    // Writes the first; the second is not due yet when VACUUM begins, but is when it is done with a
    // table.
    send(&mut client, "keep", 1);
    send(&mut client, "keep", 1);
    let pid = client.pid();
    let between = thread::scope(|scope| {
        scope.spawn(|| client.run("VACUUM first, second"));
        first.run("SELECT pg_sleep(1.5); COMMIT");
        let waits_for_second = format!(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = {pid} AND NOT granted
                               AND relation = 'second'::regclass)"
        );
        wait_until("the first table is done", || watcher.value(&waits_for_second));
        let counted = rows(&mut watcher);
        second.run("COMMIT");
        counted
    });
    assert_eq!(between, 1);
    // Its last transaction is like any other.
    assert_eq!(rows(&mut watcher), 2);
}

#[test]
fn a_reset_that_is_prepared_and_rolled_back_resets_nothing() {
    let cluster = Cluster::start_with(&[("max_prepared_transactions", "5")]);
    let mut client = obedient(&cluster, "unreset");
    client.run("BEGIN READ ONLY");
    send(&mut client, "keep", 1);
    client.run("COMMIT; BEGIN; SELECT posthog_plugins.reset_stats(); PREPARE TRANSACTION 'reset'");
    client.run("ROLLBACK PREPARED 'reset'");
    send(&mut client, "keep", 1);
    assert_eq!(events(&mut client), 2);
}
