//! `meta.cache`: shared by the configs of a plugin and team, and no update is lost.

use std::thread;

use cluster::process::ticks_of;
use cluster::{Cluster, Session, Shutdown, keeper, wait_until};
use postgres::Client;
use postgres::error::SqlState;

/// What became of an event's `n`.
fn n(client: &mut Client) -> String {
    client.value(r#"SELECT process_event('{"event": "e", "team_id": 1}') ->> 'n'"#)
}

#[test]
fn the_cache_is_that_of_posthog() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("semantics");
    client.add_plugin(
        "semantics",
        "export async function processEvent(event, { cache }) {
             const seen = []
             seen.push(await cache.get('missing', 7), await cache.get('missing'))
             await cache.set('n', 0)
             seen.push(await cache.incr('n'), await cache.incr('n'), await cache.get('n', 0))
             await cache.set('raw', 'text', 0, { jsonSerialize: false })
             seen.push(await cache.get('raw', 0, { jsonSerialize: false }), await cache.get('raw', 0))
             await cache.lpush('list', '1')
             seen.push(await cache.lpush('list', ['2', '3']), await cache.llen('list'))
             seen.push(await cache.lpop('list', 1), await cache.lrem('list', 1, '2'))
             seen.push(await cache.lrange('list', 0, -1))
             seen.push(await cache.expire('list', 0), await cache.llen('list'))
             seen.push(await cache.lpop('list', 1), await cache.expire('list', 1))
             for (const wrong of [() => cache.lpush('list', Array(1001).fill('x')),
                                  () => cache.lpush('list', 5), () => cache.lpop('n', 1),
                                  () => cache.lpop('n'), () => cache.incr('raw')]) {
                 seen.push(await wrong().catch((error) => error.name + (error.code ?? '')))
             }
             event.n = seen
             return event
         }",
    );
    assert_eq!(
        n(&mut client),
        r#"[7, null, 1, 2, 2, "text", null, 3, 3, ["3"], 1, ["1"], true, 0, null, false, "IllegalOperationError", "Error", "Error42804", "Error", "Error22P02"]"#
    );
}

#[test]
fn what_expires_begins_anew() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("expiry");
    client.add_body(
        "expiring",
        "return meta.cache.get('n', 0).then(async (n) => {
             event.n = n + 1; await meta.cache.set('n', n + 1, 1); return event })",
    );
    client.run("BEGIN");
    assert_eq!((n(&mut client), n(&mut client)), ("1".to_owned(), "2".to_owned()));
    client.run("COMMIT; SELECT pg_sleep(1.1)");
    assert_eq!(n(&mut client), "1");
    client.run("SELECT pg_sleep(1.1)");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.cache"), 0);
    client.run("SELECT posthog_plugins.prune()");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_cache"), 0);
}

#[test]
fn who_writes_what_expires_removes_what_has_expired() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("expired");
    client.add_body(
        "passing",
        "return meta.cache.set(event.event, 1, 1).then(async () => {
             if (event.twice) await meta.cache.incr(event.event); return event })",
    );
    client.run(
        "SELECT process_event(jsonb_build_object('event', 'once ' || i)) FROM generate_series(1, 1500) AS i;
         SELECT process_event('{\"event\": \"often\"}');
         BEGIN; SELECT process_event('{\"event\": \"often\", \"twice\": true}'); COMMIT;
         SELECT pg_sleep(1.1)",
    );
    let rows = "SELECT count(*)::int FROM posthog_plugins.plugin_cache";
    assert_eq!(client.value::<i32>(rows), 1501);
    // A session looks when it writes for the first time: a thousand, and two for each new one.
    cluster.connect("expired").process(r#"{"event": "new"}"#);
    let left = client.value::<i32>(rows);
    assert!((480..=510).contains(&left), "{left} rows");
    cluster.connect("expired").process(r#"{"event": "newer"}"#);
    assert_eq!(client.value::<i32>(rows), 2);
}

#[test]
fn a_crash_empties_the_cache_and_keeps_the_storage() {
    let cluster = Cluster::start();
    let mut client = keeper::database(&cluster, "crash");
    for place in ["storage", "cache"] {
        keeper::operate(&mut client, place, "set", r#"["key", 1]"#);
    }
    drop(client);
    cluster.restart(Shutdown::Immediate);
    let mut client = cluster.connect("crash");
    let mut get = |place| keeper::operate(&mut client, place, "get", r#"["key", 0]"#);
    assert_eq!(get("storage").as_deref(), Some("1"));
    assert_eq!(get("cache").as_deref(), Some("0"));
}

#[test]
fn what_was_taken_from_a_list_at_once_is_a_row() {
    let cluster = Cluster::start();
    let mut client = keeper::database(&cluster, "list");
    let texts = (0..500).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(",");
    keeper::operate(&mut client, "cache", "lpush", &format!(r#"["l", [{texts}]]"#));
    keeper::operate(&mut client, "cache", "lpop", r#"["l", 499]"#);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_cache"), 2);
    let left = keeper::operate(&mut client, "cache", "lrange", r#"["l", 0, -1]"#);
    assert_eq!(left.as_deref(), Some(r#"["0"]"#));
    let pushed = keeper::operate(&mut client, "cache", "lpush", r#""[\"l\", [\"a\\u0000b\"]]""#);
    assert_eq!(pushed.as_deref(), Some("2"));
    let removed = keeper::operate(&mut client, "cache", "lrem", r#""[\"l\", 1, \"a\\u0000b\"]""#);
    assert_eq!(removed.as_deref(), Some("1"));
}

#[test]
fn no_increment_of_two_sessions_is_lost() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("increments");
    client.add_body(
        "counting",
        "return meta.cache.incr('n').then((n) => { event.n = n; return event })",
    );
    let sessions: Vec<_> = (0..2)
        .map(|_| {
            let mut session = cluster.connect("increments");
            thread::spawn(move || {
                session.run("SET lock_timeout = '1s'");
                (0..500).for_each(|_| drop(n(&mut session)));
            })
        })
        .collect();
    sessions.into_iter().for_each(|session| session.join().unwrap());
    assert_eq!(n(&mut client), "1001");
    let rows: i64 = client.value("SELECT count(*) FROM posthog_plugins.plugin_cache");
    assert!(rows < 50, "{rows} rows");
}

#[test]
fn configs_of_a_plugin_and_team_share_it_and_others_do_not() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("sharing");
    client.run(
        "SELECT posthog_plugins.install('export async function processEvent(event, { cache }) {
             event.n = await cache.incr(''n''); return event }', '{}', 'shared');
         SELECT posthog_plugins.enable('shared', 1, 'a');
         SELECT posthog_plugins.enable('shared', 1, 'b');
         SELECT posthog_plugins.enable('shared', 2)",
    );
    assert_eq!(n(&mut client), "2");
    let other: String =
        client.value(r#"SELECT process_event('{"event": "e", "team_id": 2}') ->> 'n'"#);
    assert_eq!(other, "1");
}

#[test]
fn cancelling_a_plugin_that_stores_ends_it() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("cancel");
    client.add_body(
        "storing",
        "return (async () => { for (;;) await meta.cache.get(`${Math.random()}`) })()",
    );
    client.run("SET posthog_plugins.execution_timeout = '10min'; SET statement_timeout = '300ms'");
    let call = r#"SELECT process_event('{"event": "e"}')"#;
    assert_eq!(client.refusal(call), SqlState::QUERY_CANCELED);
    // And a session that is terminated goes.
    let mut session = cluster.connect("cancel");
    session.run("SET posthog_plugins.execution_timeout = '10min'");
    let pid = session.pid();
    let running = thread::spawn(move || session.batch_execute(call).is_err());
    let early = ticks_of(pid);
    wait_until("it stores", || ticks_of(pid) > early + 10);
    client.run(&format!("SELECT pg_terminate_backend({pid}, 10000)"));
    assert!(running.join().unwrap());
    let gone = format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid}");
    assert!(client.value::<bool>(&gone));
}
