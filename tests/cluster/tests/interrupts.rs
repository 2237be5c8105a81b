//! Endless plugins: whatever they do, PostgreSQL's own ways to end a statement end them, at once
//! and with PostgreSQL's own error, and the session goes on.

use std::thread;
use std::time::{Duration, Instant};

use cluster::process::{signals_of, ticks_of};
use cluster::{Cluster, Session, Shutdown, wait_until};
use postgres::error::SqlState;
use postgres::{Client, Error};

/// One of them for each place where JavaScript can run and each way it can be kept running.
const ENDLESS: [(&str, &str); 15] = [
    ("loop", "export function processEvent(event) { while (true); }"),
    (
        "catching-loop",
        "export function processEvent(event) { while (true) { try { while (true); } catch {} } }",
    ),
    (
        "generator",
        "export function processEvent(event) {
             for (const x of (function* () { while (true) yield 1 })());
         }",
    ),
    (
        "promises",
        "const again = () => { Promise.resolve().then(again) }
         export function processEvent(event) { again(); return event }",
    ),
    ("await", "export async function processEvent(event) { while (true) await null }"),
    ("regex", "export function processEvent(event) { /(a+)+b/.test('a'.repeat(5000)) }"),
    ("native-loop", "export function processEvent(event) { new Array(4e9).indexOf(1) }"),
    (
        "native-parser",
        "const text = JSON.stringify(Array(40000).fill(1234))
         export function processEvent(event) { while (true) JSON.parse(text) }",
    ),
    ("top-level", "while (true);"),
    (
        "setup",
        "export function setupPlugin() { while (true); }
         export function processEvent(event) { return event }",
    ),
    (
        "async-setup",
        "export async function setupPlugin() { while (true) await null }
         export function processEvent(event) { return event }",
    ),
    (
        "getter",
        "export function processEvent(event) {
             return Object.defineProperty(event, 'x', { enumerable: true, get() { while (true); } })
         }",
    ),
    (
        "to-json",
        "export function processEvent(event) {
             event.x = { toJSON() { while (true); } }
             return event
         }",
    ),
    (
        "proxy",
        "export function processEvent(event) {
             return new Proxy(event, { ownKeys() { while (true); } })
         }",
    ),
    ("logging", "export function processEvent(event) { while (true) console.log('again') }"),
];

/// A time-out of the statement that ends each of them.
const STATEMENT_TIMEOUT: Duration = Duration::from_millis(200);
/// How late the end may be. Microseconds on an idle machine, but this one may have other work.
const LATE: Duration = Duration::from_secs(2);

/// Each endless plugin runs for the events of its own team, counted from 1, and a good one for all
/// others. Nothing but PostgreSQL ends them: the extension's own limit is far away.
fn endless_cluster() -> Cluster {
    let cluster = Cluster::start_with(&[
        ("posthog_plugins.execution_timeout", "'10min'"),
        ("log_line_prefix", "'%p %e '"),
    ]);
    let mut admin = cluster.create_database("endless");
    // Installing runs a script to see what it exports.
    admin.run("CREATE ROLE app LOGIN; SET posthog_plugins.execution_timeout = '200ms'");
    for (team, (name, source)) in (1..).zip(ENDLESS) {
        admin
            .query("SELECT posthog_plugins.install($1, '{}', $2)", &[&source, &name])
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        admin.query("SELECT posthog_plugins.enable($1, $2)", &[&name, &team]).unwrap();
    }
    admin.run(
        "SELECT posthog_plugins.install(
             'export function processEvent(event) { event.seen = true; return event }', '{}', 'good');
         SELECT posthog_plugins.enable('good', 0)",
    );
    cluster
}

fn endless_call(team: usize) -> String {
    format!(r#"SELECT process_event('{{"event": "e", "team_id": {team}}}')"#)
}

fn names() -> impl Iterator<Item = (usize, &'static str)> {
    (1..).zip(ENDLESS.iter().map(|(name, _)| *name))
}

#[track_caller]
fn goes_on(client: &mut Client, after: &str) {
    let event = client.process(r#"{"event": "e", "team_id": 0}"#);
    assert_eq!(
        event.as_deref(),
        Some(r#"{"seen": true, "event": "e", "team_id": 0}"#),
        "the event after {after}"
    );
}

/// Runs the call in the session and `end` as soon as it is at work; returns the error that it ended
/// with, and the time from `end` until then.
fn ended_by(client: &mut Client, call: &str, end: impl FnOnce(i32)) -> (Error, Duration) {
    let pid = client.pid();
    let before = ticks_of(pid);
    thread::scope(|scope| {
        let running = scope.spawn(move || {
            let error = client.batch_execute(call).expect_err("an endless plugin has ended");
            (error, Instant::now())
        });
        // It is inside JavaScript by then: loading the plugin takes less than a tick.
        wait_until("the plugin is at work", || ticks_of(pid) >= before + 5);
        let begin = Instant::now();
        end(pid);
        let (error, at) = running.join().unwrap();
        (error, at.saturating_duration_since(begin))
    })
}

/// The session got PostgreSQL's own error for it. The client may see nothing but the end of the
/// connection, so the server's log is asked.
#[track_caller]
fn was_shut_down(cluster: &Cluster, pid: i32, error: &Error, name: &str) {
    let code = error.code();
    assert!(error.is_closed() || code == Some(&SqlState::ADMIN_SHUTDOWN), "{name}: {error:?}");
    let entry = format!("{pid} 57P01 FATAL");
    wait_until("the server tells of the end", || cluster.log().contains(&entry));
}

#[test]
fn a_statement_timeout_ends_every_endless_plugin() {
    let cluster = endless_cluster();
    // As in a session in which nothing has run yet, and then in one that has survived the others.
    let mut survivor = cluster.connect("endless");
    for (team, name) in names() {
        let mut fresh = cluster.connect("endless");
        for client in [&mut fresh, &mut survivor] {
            client.run(&format!("SET statement_timeout = {}", STATEMENT_TIMEOUT.as_millis()));
            let begin = Instant::now();
            assert_eq!(client.refusal(&endless_call(team)), SqlState::QUERY_CANCELED, "{name}");
            let late = begin.elapsed().saturating_sub(STATEMENT_TIMEOUT);
            println!("{name}: late by {late:?}");
            assert!(late < LATE, "{name} ended {late:?} late");
            client.run("RESET statement_timeout");
            goes_on(client, name);
        }
    }
}

#[test]
fn pg_cancel_backend_ends_every_endless_plugin() {
    let cluster = endless_cluster();
    let mut admin = cluster.connect("endless");
    let mut client = cluster.connect("endless");
    for (team, name) in names() {
        let (error, late) = ended_by(&mut client, &endless_call(team), |pid| {
            admin.run(&format!("SELECT pg_cancel_backend({pid})"));
        });
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{name}");
        assert!(late < LATE, "{name} ended {late:?} late");
        goes_on(&mut client, name);
    }
}

#[test]
fn pg_terminate_backend_ends_every_endless_plugin_with_its_connection() {
    let cluster = endless_cluster();
    let mut admin = cluster.connect("endless");
    let started: String = admin.value("SELECT pg_postmaster_start_time()::text");
    for (team, name) in names() {
        let mut client = cluster.connect_as("app", "endless");
        let pid = client.pid();
        let (error, late) = ended_by(&mut client, &endless_call(team), |pid| {
            admin.run(&format!("SELECT pg_terminate_backend({pid})"));
        });
        was_shut_down(&cluster, pid, &error, name);
        assert!(late < LATE, "{name} ended {late:?} late");
        assert!(client.batch_execute("SELECT 1").is_err(), "{name}: the connection lives on");
    }
    goes_on(&mut cluster.connect("endless"), "the terminated ones");
    assert_eq!(admin.value::<String>("SELECT pg_postmaster_start_time()::text"), started);
    assert!(!cluster.log().contains("terminated by signal"));
    wait_until("the sessions are gone", || {
        admin.value::<i64>("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") == 0
    });
}

#[test]
fn a_fast_shutdown_ends_all_endless_plugins_at_once() {
    let cluster = endless_cluster();
    thread::scope(|scope| {
        let mut pids = Vec::new();
        for (team, name) in names() {
            let mut client = cluster.connect_as("app", "endless");
            let pid = client.pid();
            pids.push(pid);
            let cluster = &cluster;
            scope.spawn(move || {
                let error = client.batch_execute(&endless_call(team)).unwrap_err();
                was_shut_down(cluster, pid, &error, name);
            });
        }
        let before: Vec<u64> = pids.iter().map(|pid| ticks_of(*pid)).collect();
        wait_until("all plugins are at work", || {
            pids.iter().zip(&before).all(|(pid, before)| ticks_of(*pid) >= before + 2)
        });
        let begin = Instant::now();
        cluster.restart(Shutdown::Fast);
        let time = begin.elapsed();
        println!("stopped and started again in {time:?}");
        assert!(time < Duration::from_secs(10), "the restart took {time:?}");
    });
    goes_on(&mut cluster.connect("endless"), "the restart");
}

#[test]
fn no_signal_handler_is_replaced() {
    let cluster = endless_cluster();
    let mut client = cluster.connect("endless");
    let pid = client.pid();
    let before = signals_of(pid);
    client.run("SET statement_timeout = '100ms'");
    for (team, name) in names() {
        assert_eq!(client.refusal(&endless_call(team)), SqlState::QUERY_CANCELED, "{name}");
        goes_on(&mut client, name);
    }
    assert_eq!(signals_of(pid), before);
}

#[test]
fn plain_sql_can_be_ended_after_plugins_ran() {
    let cluster = endless_cluster();
    let mut admin = cluster.connect("endless");
    let mut client = cluster.connect("endless");
    goes_on(&mut client, "nothing");
    let sleeps = "SELECT pg_sleep(100)";
    client.run("SET statement_timeout = '100ms'");
    assert_eq!(client.refusal(sleeps), SqlState::QUERY_CANCELED);
    client.run("RESET statement_timeout");
    let pid = client.pid();
    let asleep = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'"
    );
    let code = thread::scope(|scope| {
        let running = scope.spawn(|| client.refusal(sleeps));
        wait_until("it sleeps", || admin.value::<i64>(&asleep) == 1);
        admin.run(&format!("SELECT pg_cancel_backend({pid})"));
        running.join().unwrap()
    });
    assert_eq!(code, SqlState::QUERY_CANCELED);
    goes_on(&mut client, "the cancelled sleep");
}

#[test]
fn a_savepoint_survives_a_cancelled_plugin() {
    let cluster = endless_cluster();
    let mut client = cluster.connect("endless");
    client.run("CREATE TABLE kept (n int); SET statement_timeout = '200ms'");
    client.run("BEGIN; INSERT INTO kept VALUES (1); SAVEPOINT s; INSERT INTO kept VALUES (2)");
    for (team, name) in names() {
        assert_eq!(client.refusal(&endless_call(team)), SqlState::QUERY_CANCELED, "{name}");
        assert_eq!(client.refusal("SELECT 1"), SqlState::IN_FAILED_SQL_TRANSACTION);
        client.run("ROLLBACK TO s");
        goes_on(&mut client, name);
    }
    client.run("INSERT INTO kept VALUES (3); COMMIT");
    assert_eq!(client.column::<i32>("SELECT n FROM kept ORDER BY n"), [1, 3]);
}

#[test]
fn plpgsql_can_catch_the_cancellation_and_go_on() {
    let cluster = endless_cluster();
    let mut client = cluster.connect("endless");
    client.run(
        "CREATE FUNCTION careful(team int) RETURNS text LANGUAGE plpgsql AS $$
         BEGIN
             RETURN process_event(jsonb_build_object('event', 'e', 'team_id', team))::text;
         EXCEPTION WHEN query_canceled THEN
             RETURN process_event('{\"event\": \"instead\", \"team_id\": 0}') ->> 'seen';
         END $$",
    );
    for (team, name) in names() {
        client.run("SET statement_timeout = '200ms'");
        let answer: Option<String> = client.value(&format!("SELECT careful({team})"));
        assert_eq!(answer.as_deref(), Some("true"), "{name}");
        client.run("RESET statement_timeout");
        goes_on(&mut client, name);
    }
}

#[test]
fn other_timeouts_work_around_plugins() {
    let cluster = endless_cluster();
    let mut client = cluster.connect("endless");
    client.run("CREATE TABLE held (n int)");
    goes_on(&mut client, "nothing");
    let mut holder = cluster.connect("endless");
    holder.run("BEGIN; LOCK TABLE held");
    client.run("SET lock_timeout = '100ms'");
    assert_eq!(client.refusal("SELECT * FROM held"), SqlState::LOCK_NOT_AVAILABLE);
    holder.run("COMMIT");
    goes_on(&mut client, "a lock that was not available");
    client.run("SET idle_in_transaction_session_timeout = '100ms'; BEGIN");
    goes_on(&mut client, "the beginning of the transaction");
    let lives = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {}", client.pid());
    wait_until("the idle session is ended", || holder.value::<i64>(&lives) == 0);
}

#[test]
fn a_cancelled_teardown_leaves_the_rest_of_the_chain() {
    let cluster = Cluster::start_with(&[("posthog_plugins.execution_timeout", "'10min'")]);
    let mut admin = cluster.create_database("teardown");
    admin.add_plugin(
        "clinging",
        "export function processEvent(event) { return event }
         export function teardownPlugin() { while (true); }",
    );
    admin.add_body("good", "event.seen = true; return event");
    let mut client = cluster.connect("teardown");
    let event = r#"{"event": "e"}"#;
    let seen = Some(r#"{"seen": true, "event": "e"}"#.to_owned());
    assert_eq!(client.process(event), seen);
    admin.run("SELECT posthog_plugins.disable('clinging')");
    client.run("SET statement_timeout = '200ms'");
    let first = client.refusal(r#"SELECT process_event('{"event": "e"}')"#);
    assert_eq!(first, SqlState::QUERY_CANCELED);
    client.run("RESET statement_timeout");
    assert_eq!(client.process(event), seen);
}

#[test]
fn a_cancelled_statement_ends_also_while_the_log_is_locked() {
    let cluster = Cluster::start();
    let mut admin = cluster.create_database("locked");
    // Enough for the lines to be written before the statement ends.
    admin.add_body("talkative", "for (let i = 0; i < 2000; i++) console.log(i); return event");
    let mut client = cluster.connect("locked");
    let pid = client.pid();
    let mut holder = cluster.connect("locked");
    holder.run("BEGIN; LOCK TABLE posthog_plugins.plugin_log IN ACCESS EXCLUSIVE MODE");
    let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
    let result = thread::scope(|scope| {
        let call = r#"SELECT process_event('{"event": "e"}') FROM generate_series(1, 3)"#;
        let running = scope.spawn(|| client.batch_execute(call));
        wait_until("it waits for the log", || admin.value::<i64>(&waits) == 1);
        admin.run(&format!("SELECT pg_cancel_backend({pid})"));
        // Should the cancellation have been lost, the next lines wait again: that must end too.
        wait_until("it has ended or waits again", || {
            running.is_finished() || admin.value::<i64>(&waits) == 1
        });
        holder.run("COMMIT");
        running.join().unwrap()
    });
    let error = result.expect_err("the cancellation is lost");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
}

#[test]
fn a_plugin_that_waits_for_a_timer_ends_at_once() {
    let cluster = Cluster::start_with(&[("posthog_plugins.execution_timeout", "'10min'")]);
    let mut admin = cluster.create_database("waiting");
    admin.run(
        "SELECT posthog_plugins.install(
             'export async function processEvent(event) {
                  await new Promise((resolve) => setTimeout(resolve, event.wait))
                  event.waited = true
                  return event
              }', '{}', 'waiting');
         SELECT posthog_plugins.enable('waiting')",
    );
    let mut session = cluster.connect("waiting");
    let call = r#"SELECT process_event('{"wait": 300000}')"#;
    let pid = session.pid();
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Extension'"
    );
    for (end, code) in [
        (format!("SELECT pg_cancel_backend({pid})"), SqlState::QUERY_CANCELED),
        (format!("SELECT pg_terminate_backend({pid})"), SqlState::ADMIN_SHUTDOWN),
    ] {
        let event = session.process(r#"{"wait": 30}"#);
        assert_eq!(event.as_deref(), Some(r#"{"wait": 30, "waited": true}"#));
        session.run("SET statement_timeout = '200ms'");
        let begin = Instant::now();
        let error = session.batch_execute(call).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        assert!(begin.elapsed() < STATEMENT_TIMEOUT + LATE);
        session.run("SET statement_timeout = 0");
        let before = ticks_of(pid);
        let (error, at) = thread::scope(|scope| {
            let running =
                scope.spawn(|| (session.batch_execute(call).unwrap_err(), Instant::now()));
            wait_until("the plugin waits", || admin.value::<i64>(&waits) == 1);
            admin.run(&end);
            let begin = Instant::now();
            let (error, at) = running.join().unwrap();
            (error, at.saturating_duration_since(begin))
        });
        assert!(error.is_closed() || error.code() == Some(&code), "{error:?}");
        assert!(at < LATE, "{at:?}");
        // It slept: a wait in a loop would have taken the processor.
        assert!(ticks_of(pid) < before + 20);
    }
}
