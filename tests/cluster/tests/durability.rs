//! What is installed outlives crashes, and sessions that live long do not grow.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cluster::process::{memory_of, ticks_of};
use cluster::sample::{everything, furnish, works};
use cluster::{Cluster, Environment, Session, Shutdown, run, wait_until};
use postgres::Client;
use postgres::error::SqlState;

#[test]
fn a_crash_keeps_everything() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("crashing");
    furnish(&mut client);
    works(&mut client);
    let before = everything(&mut client);
    let lines: i64 = client.value("SELECT count(*) FROM posthog_plugins.plugin_log");
    cluster.restart(Shutdown::Immediate);
    let mut client = cluster.connect("crashing");
    assert_eq!(everything(&mut client), before);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_log"), lines);
    works(&mut client);
}

/// JavaScript that ends when its process does.
const ENDLESS: &str = "while (event.event === 'endless') {} return event";

/// A session in the middle of JavaScript, and its process; it is sent an event once it runs.
fn in_the_middle(cluster: &Cluster, database: &str) -> (JoinHandle<Client>, i32) {
    let mut client = cluster.connect(database);
    client.run("SET posthog_plugins.execution_timeout = '10min'");
    let pid = client.pid();
    let running = thread::spawn(move || {
        let call = r#"SELECT process_event('{"event": "endless", "team_id": 7}')"#;
        assert!(client.batch_execute(call).is_err(), "it ended by itself");
        client
    });
    let early = ticks_of(pid);
    wait_until("JavaScript runs", || ticks_of(pid) > early + 20);
    (running, pid)
}

#[test]
fn a_backend_that_is_killed_in_the_middle_of_javascript_harms_no_data() {
    let cluster = Cluster::start();
    let mut admin = cluster.create_database("crashing");
    furnish(&mut admin);
    works(&mut admin);
    admin.add_body("endless", ENDLESS);
    let before = everything(&mut admin);
    let mut uncommitted = cluster.connect("crashing");
    uncommitted.run("BEGIN; SELECT posthog_plugins.uninstall('last')");
    let (running, pid) = in_the_middle(&cluster, "crashing");
    let environment = Environment::read();
    // Not every machine has a kill.
    let mut kill = environment.as_server(environment.bin.join("pg_ctl"));
    run(kill.args(["kill", "KILL", &pid.to_string()]));
    running.join().unwrap();
    // PostgreSQL ends all sessions, as shared memory may be damaged, and recovers.
    wait_until("the server is up again", || {
        cluster
            .try_connect_as("postgres", "crashing")
            .is_ok_and(|mut client| client.batch_execute("SELECT 1").is_ok())
    });
    let mut client = cluster.connect("crashing");
    assert_eq!(everything(&mut client), before);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_log"), 2);
    works(&mut client);
    client.run("SELECT posthog_plugins.disable('endless')");
    works(&mut client);
}

#[test]
fn an_immediate_shutdown_does_not_wait_for_javascript() {
    let cluster = Cluster::start();
    let mut admin = cluster.create_database("crashing");
    furnish(&mut admin);
    admin.add_body("endless", ENDLESS);
    let sessions: Vec<_> = (0..3).map(|_| in_the_middle(&cluster, "crashing")).collect();
    let before = everything(&mut admin);
    let start = Instant::now();
    cluster.restart(Shutdown::Immediate);
    // The postmaster waits that long for its children before it kills them.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    for (running, _) in sessions {
        running.join().unwrap();
    }
    let mut client = cluster.connect("crashing");
    assert_eq!(everything(&mut client), before);
    works(&mut client);
}

#[test]
fn a_read_only_transaction_refuses_changes() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("read_only");
    furnish(&mut client);
    client.run("SET default_transaction_read_only = on");
    for call in [
        "install('const a = 1', '{}', 'a')",
        "configure('last', '{}')",
        "disable('last')",
        "enable('last', 5)",
        "rollback('tagging')",
        "uninstall('last')",
    ] {
        let code = client.refusal(&format!("SELECT posthog_plugins.{call}"));
        assert_eq!(code, SqlState::READ_ONLY_SQL_TRANSACTION, "{call}");
    }
}

#[test]
fn an_event_alone_costs_no_transaction_id() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("ids");
    client.add_body("quiet", "event.seen = true; return event");
    let mut fresh = cluster.connect("ids");
    for client in [&mut fresh, &mut client] {
        client.run("BEGIN");
        client.process(r#"{"event": "e"}"#);
        assert!(client.value::<bool>("SELECT pg_current_xact_id_if_assigned() IS NULL"));
        client.run("COMMIT");
    }
}

/// What plugins of many kinds do at once: awaits, regular expressions, dates, errors that are
/// caught, and now and then a line.
const REALISTIC: &str = r"
    let seen = 0
    const parse = async (url: string) => {
        if (!url) throw new Error('no url')
        return new URL(url)
    }
    export async function processEvent(event, { global }) {
        const properties = event.properties
        try {
            const url = await parse(properties.$current_url)
            properties.host = url.host
            properties.query = Object.fromEntries(url.searchParams)
        } catch (error) {
            properties.error = error.message
        }
        properties.words = properties.title.split(/\s+/).map((word) => word.toLowerCase())
        properties.at = new Date(event.timestamp).toISOString()
        global[`last ${seen % 10}`] = event.distinct_id
        if (++seen % 1000 === 0) console.log('seen', seen)
        return event
    }";

#[test]
fn a_session_of_a_million_events_does_not_grow() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("long");
    client.add_plugin("realistic", REALISTIC);
    client.add_body("failing", "event.properties.missing.call()");
    let pid = client.pid();
    let mut process = |count: u32| {
        let unchanged: i64 = client.value(&format!(
            r#"SELECT count(*) FILTER (WHERE process_event(jsonb_build_object(
                          'event', 'e', 'distinct_id', n::text, 'timestamp', '2024-01-01T00:00:00Z',
                          'properties', jsonb_build_object(
                              'title', 'A Page of Words',
                              '$current_url', CASE WHEN n % 7 > 0 THEN
                                  'https://example.com/page?number=' || n END)))
                      -> 'properties' -> 'words' ->> 2 IS DISTINCT FROM 'of')
                 FROM generate_series(1, {count}) AS n"#
        ));
        assert_eq!(unchanged, 0);
        memory_of(pid)
    };
    // In several statements and in one: what either kind keeps would show.
    let early = (0..10).map(|_| process(3_000)).last().unwrap();
    let late = process(970_000);
    println!("{early} kB after 30,000 events, {late} kB after 1,000,000");
    assert!(late * 10 <= early * 11, "{early} kB became {late} kB");
}

#[test]
fn a_session_that_changes_plugins_again_and_again_does_not_grow() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("changing");
    let pid = client.pid();
    let mut change = |rounds: u32| {
        for round in 0..rounds {
            client.add_body("changing", &format!("event.round = {round}; return event"));
            client.process(r#"{"event": "e"}"#);
            client.run("SELECT posthog_plugins.uninstall('changing')");
        }
        memory_of(pid)
    };
    let early = change(100);
    let late = change(400);
    println!("{early} kB after 100 changes, {late} kB after 500");
    assert!(late * 10 <= early * 12, "{early} kB became {late} kB");
}
