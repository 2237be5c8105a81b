//! A worker in a server that did not preload the library: it is started and stopped by a call, keeps
//! the tables small, and is in nobody's way.

use std::thread;
use std::time::{Duration, Instant};

use cluster::process::sleeps_of;
use cluster::workers::{nobody_works, worker_is_up, workers_of};
use cluster::{Cluster, Session, Shutdown, wait_until};
use postgres::Client;
use postgres::error::SqlState;

const START: &str = "SELECT posthog_plugins.start_worker()";
const STOP: &str = "SELECT posthog_plugins.stop_worker()";

/// More than any of it takes, and less than PostgreSQL waits for a database to become free.
const AT_ONCE: Duration = Duration::from_secs(3);

#[track_caller]
fn at_once(what: &str, work: impl FnOnce()) {
    let begin = Instant::now();
    work();
    assert!(begin.elapsed() < AT_ONCE, "{what} took {:?}", begin.elapsed());
}

#[track_caller]
fn is_idle(client: &mut Client) {
    let state = "SELECT string_agg(state, '') FROM posthog_plugins.workers";
    wait_until("the worker is idle", || {
        client.value::<Option<String>>(state).as_deref() == Some("idle")
    });
}

/// A line of the log, so many minutes old.
fn old_lines(client: &mut Client, count: u32, minutes: u32) {
    client.run(&format!(
        "INSERT INTO posthog_plugins.plugin_log (logged_at, config_id, source, level, message)
         SELECT now() - interval '{minutes} minutes', 1, 'CONSOLE', 'LOG', 'old'
           FROM generate_series(1, {count})"
    ));
}

fn lines(client: &mut Client) -> i64 {
    client.value("SELECT count(*) FROM posthog_plugins.plugin_log")
}

#[test]
fn a_worker_is_started_and_stopped_by_a_call() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("calls");
    assert_eq!(workers_of(&mut client, "calls"), [0; 0]);
    let pid: i32 = client.value(START);
    is_idle(&mut client);
    assert_eq!(workers_of(&mut client, "calls"), [pid]);
    // There is one already.
    assert_eq!(client.value::<i32>(START), pid);
    assert_eq!(workers_of(&mut client, "calls"), [pid]);
    assert_eq!(client.value::<i32>(STOP), 1);
    nobody_works(&mut client, "calls");
    assert_eq!(client.value::<i32>(STOP), 0);
    // Of another database.
    let mut other = cluster.create_database("other");
    let there: i32 = other.value(START);
    let here: i32 = client.value(START);
    is_idle(&mut other);
    assert_eq!(other.value::<i32>(STOP), 1);
    assert_eq!(workers_of(&mut client, "calls"), [here]);
    assert_ne!(here, there);
    let log = cluster.log();
    assert!(!log.contains("FATAL") && !log.contains("exit code"), "{log}");
}

#[test]
fn as_many_workers_can_run_as_the_setting_says() {
    let cluster = Cluster::start_with(&[("posthog_plugins.workers", "2")]);
    let mut client = cluster.create_database("two");
    let first: i32 = client.value(START);
    let second: i32 = client.value(START);
    assert_ne!(first, second);
    assert_eq!(client.value::<i32>(START), first);
    let numbers: Vec<i32> = client.column("SELECT number FROM posthog_plugins.workers");
    assert_eq!(numbers, [1, 2]);
    // The place of one that has gone is free.
    client.run(&format!("SELECT pg_terminate_backend({first}, 5000)"));
    assert_ne!(client.value::<i32>(START), first);
    assert_eq!(client.value::<i32>(STOP), 2);
}

#[test]
fn a_worker_that_cannot_start_is_refused_with_the_reason() {
    let cluster = Cluster::start_with(&[("posthog_plugins.workers", "0")]);
    let mut client = cluster.create_database("none");
    let refused = client.refused(START);
    assert_eq!(refused.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert!(refused.hint().is_some_and(|hint| hint.contains("workers = 1")), "{refused:?}");
    // PostgreSQL's own worker for replication takes one.
    cluster.configure(&[("posthog_plugins.workers", "1"), ("max_worker_processes", "1")]);
    cluster.restart(Shutdown::Fast);
    let mut client = cluster.connect("none");
    let refused = client.refused(START);
    assert_eq!(refused.code(), &SqlState::CONFIGURATION_LIMIT_EXCEEDED);
    assert!(refused.hint().is_some_and(|hint| hint.contains("max_worker")), "{refused:?}");
}

#[test]
fn a_standby_refuses_to_start_a_worker() {
    let primary = Cluster::start();
    drop(primary.create_database("app"));
    let standby = primary.standby();
    let code = standby.connect("app").refusal(START);
    assert_eq!(code, SqlState::READ_ONLY_SQL_TRANSACTION);
}

#[test]
fn a_worker_removes_what_is_past_its_time() {
    let cluster = Cluster::start_with(&[("posthog_plugins.log_retention", "'1h'")]);
    let mut client = cluster.create_database("old");
    // More than it removes at a time.
    old_lines(&mut client, 2500, 61);
    old_lines(&mut client, 10, 59);
    client.run(START);
    wait_until("old lines are gone", || lines(&mut client) == 10);
    // A setting that is reloaded is heeded.
    cluster.configure(&[("posthog_plugins.log_retention", "'1min'")]);
    client.run("SELECT pg_reload_conf()");
    wait_until("all lines are gone", || lines(&mut client) == 0);
}

#[test]
fn a_worker_folds_what_sessions_have_counted() {
    let cluster = Cluster::start_with(&[("posthog_plugins.stats_interval", "0")]);
    let mut client = cluster.create_database("counts");
    client.add_body("counted", "return event");
    client.run(
        "INSERT INTO posthog_plugins.plugin_stat (config_id, since, events)
         SELECT 1, now(), 1 FROM generate_series(1, 700)",
    );
    client.run(START);
    let rows = "SELECT count(*) FROM posthog_plugins.plugin_stat";
    wait_until("the rows are folded", || client.value::<i64>(rows) == 1);
    assert_eq!(client.value::<i64>("SELECT events FROM posthog_plugins.stats"), 700);
}

#[test]
fn an_idle_worker_sleeps() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("idle");
    let pid: i32 = client.value(START);
    is_idle(&mut client);
    // Whatever it has begun with is over by then.
    thread::sleep(Duration::from_secs(2));
    let before = sleeps_of(pid);
    thread::sleep(Duration::from_secs(3));
    // PostgreSQL may have something to tell all its processes.
    assert!(sleeps_of(pid) <= before + 1, "it woke {} times", sleeps_of(pid) - before);
}

#[test]
fn pg_stat_activity_shows_what_a_worker_does() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("shown");
    // Somebody who keeps it from going on.
    let mut holder = cluster.connect("shown");
    holder.run("BEGIN; LOCK posthog_plugins.plugin_log");
    client.run(START);
    let shown = "SELECT concat_ws(', ', application_name, state, query) FROM pg_stat_activity
                  WHERE backend_type = 'posthog_plugins worker'";
    let waiting = "posthog_plugins worker 1, active, removing what is past its retention";
    wait_until("it waits for the table", || client.value::<String>(shown) == waiting);
    let activity: String = client.value("SELECT activity FROM posthog_plugins.workers");
    assert_eq!(activity, "removing what is past its retention");
    holder.run("COMMIT");
    let state = "SELECT state || coalesce(activity, '') FROM posthog_plugins.workers";
    wait_until("it is idle", || client.value::<String>(state) == "idle");
}

#[test]
fn a_failure_ends_neither_the_worker_nor_what_is_to_be_done() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("failing");
    client.run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RAISE ''no line goes''; END';
         CREATE TRIGGER refuse BEFORE DELETE ON posthog_plugins.plugin_log
             FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    old_lines(&mut client, 1, 60 * 24 * 30);
    let pid: i32 = client.value(START);
    wait_until("it has failed", || cluster.log().contains("no line goes"));
    assert!(cluster.log().contains("failed while removing what is past"), "{}", cluster.log());
    client.run("DROP TRIGGER refuse ON posthog_plugins.plugin_log");
    // It would try again by itself, in a minute.
    wait_until("the line is gone", || {
        client.run("SELECT pg_reload_conf()");
        lines(&mut client) == 0
    });
    assert_eq!(workers_of(&mut client, "failing"), [pid]);
}

#[test]
fn whoever_cancels_a_worker_ends_what_it_does_and_no_more() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("cancelled");
    let pid: i32 = client.value(START);
    let cancel = format!("SELECT pg_cancel_backend({pid})");
    client.run(&cancel);
    let mut holder = cluster.connect("cancelled");
    holder.run("BEGIN; LOCK posthog_plugins.plugin_stat");
    client.run("SELECT pg_reload_conf()");
    let state = "SELECT state FROM posthog_plugins.workers";
    wait_until("it waits for the table", || {
        client.run("SELECT pg_reload_conf()");
        client.value::<String>(state) == "active"
    });
    client.run(&cancel);
    is_idle(&mut client);
    assert_eq!(workers_of(&mut client, "cancelled"), [pid]);
}

#[test]
fn a_worker_keeps_nobody_from_having_the_database_for_himself() {
    let cluster = Cluster::start_with(&[("allow_in_place_tablespaces", "on")]);
    let mut admin = cluster.connect("postgres");
    admin.run("CREATE TABLESPACE other LOCATION ''");
    drop(cluster.create_database("wanted"));
    for (what, database) in [
        ("CREATE DATABASE copy TEMPLATE wanted", "wanted"),
        ("ALTER DATABASE wanted SET TABLESPACE other", "wanted"),
        ("ALTER DATABASE wanted RENAME TO renamed", "renamed"),
        ("DROP DATABASE renamed", ""),
    ] {
        let before = if database.is_empty() { "renamed" } else { "wanted" };
        cluster.connect(before).run(START);
        at_once(what, || admin.run(what));
    }
    assert!(!cluster.log().contains("being accessed"), "{}", cluster.log());
}

#[test]
fn a_worker_is_gone_with_the_extension() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("without");
    client.run(START);
    is_idle(&mut client);
    at_once("DROP EXTENSION", || client.run("DROP EXTENSION posthog_plugins"));
    nobody_works(&mut client, "without");
    // Not while it is being made.
    let code = client
        .refusal("BEGIN; CREATE EXTENSION posthog_plugins; SELECT posthog_plugins.start_worker()");
    assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    client.run("ROLLBACK; CREATE EXTENSION posthog_plugins");
    client.run(START);
    worker_is_up(&mut client);
}

#[test]
fn a_database_that_is_read_only_by_default_is_kept_small_all_the_same() {
    let cluster = Cluster::start_with(&[("posthog_plugins.log_retention", "'1h'")]);
    let mut client = cluster.create_database("settings");
    old_lines(&mut client, 3, 61);
    client.run(
        "CREATE ROLE nobody;
         ALTER DATABASE settings SET default_transaction_read_only = on;
         ALTER DATABASE settings SET default_transaction_isolation = 'serializable';
         ALTER DATABASE settings SET search_path = public;
         ALTER DATABASE settings SET role = nobody",
    );
    client.run(START);
    wait_until("old lines are gone", || lines(&mut client) == 0);
}

#[test]
fn an_admin_starts_and_stops_what_a_viewer_sees() {
    let cluster = Cluster::start();
    let mut owner = cluster.create_database("levels");
    for level in ["viewer", "editor", "admin"] {
        owner.run(&format!(
            "CREATE ROLE {level} LOGIN; SELECT posthog_plugins.grant_role('{level}', '{level}')"
        ));
    }
    let mut admin = cluster.connect_as("admin", "levels");
    let pid: i32 = admin.value(START);
    let mut viewer = cluster.connect_as("viewer", "levels");
    let state = "SELECT state FROM posthog_plugins.workers";
    wait_until("a viewer sees it idle", || viewer.value::<String>(state) == "idle");
    assert_eq!(viewer.value::<i32>("SELECT pid FROM posthog_plugins.workers"), pid);
    for call in [START, STOP] {
        assert_eq!(viewer.refusal(call), SqlState::INSUFFICIENT_PRIVILEGE);
        let mut editor = cluster.connect_as("editor", "levels");
        assert_eq!(editor.refusal(call), SqlState::INSUFFICIENT_PRIVILEGE);
    }
    assert_eq!(admin.value::<i32>(STOP), 1);
}

#[test]
fn a_role_without_rights_does_nothing_to_a_worker() {
    let cluster = Cluster::start_with(&[("posthog_plugins.log_retention", "'1h'")]);
    let mut owner = cluster.create_database("strangers");
    owner.run("CREATE ROLE stranger LOGIN");
    let mut stranger = cluster.connect_as("stranger", "strangers");
    // Every advisory lock that SQL can name with the numbers of the first seats.
    let key = i32::from_be_bytes(*b"phog");
    stranger.run(&format!(
        "SELECT pg_advisory_lock({key}, n), pg_advisory_lock(({key}::bigint << 32) + n)
           FROM generate_series(0, 16) AS n"
    ));
    old_lines(&mut owner, 1, 61);
    let pid: i32 = owner.value(START);
    wait_until("the worker works", || lines(&mut owner) == 0);
    for attempt in [
        "SELECT posthog_plugins.start_worker()",
        "SELECT posthog_plugins.stop_worker()",
        "SELECT * FROM posthog_plugins.workers",
        "SELECT posthog_plugins_worker()",
        &format!("SELECT pg_terminate_backend({pid})"),
        &format!("SELECT pg_cancel_backend({pid})"),
    ] {
        assert!(stranger.batch_execute(attempt).is_err(), "{attempt}");
    }
    let hidden: Vec<Option<String>> = stranger.column(&format!(
        "SELECT query FROM pg_stat_activity WHERE pid = {pid} AND state IS NOT NULL"
    ));
    assert_eq!(hidden, [None; 0]);
    assert_eq!(workers_of(&mut owner, "strangers"), [pid]);
}
