//! Stored rows are given to a plugin that takes stored events: all of them, in the order of their times,
//! with the rights of who asked for it, and beside what is stored meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cluster::{Cluster, Session, Shutdown, wait_until};
use postgres::Client;

const TELL: &str = "export const onEvent = (event) => console.log(`${event.properties.n}`)";

/// A database with rows from before the plugin, a minute apart, and a worker.
fn database(cluster: &Cluster, name: &str, rows: u32) -> Client {
    let mut client = cluster.create_database(name);
    client.run(&format!(
        "CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event text,
             team_id int, timestamp timestamptz, properties jsonb,
             loud text GENERATED ALWAYS AS (upper(event)) STORED);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events (event, team_id, timestamp, properties)
         SELECT 'e', n % 2, timestamptz '2024-01-01 UTC' + n * interval '1 minute',
                jsonb_build_object('n', n)
           FROM generate_series(1, {rows}) AS n ORDER BY random();
         ANALYZE events;
         SELECT posthog_plugins.start_worker()",
    ));
    client
}

fn state(client: &mut Client) -> String {
    client.value("SELECT state FROM posthog_plugins.backfills ORDER BY id DESC LIMIT 1")
}

#[track_caller]
fn is(client: &mut Client, expected: &str) {
    wait_until(expected, || state(client) == expected);
}

/// What was logged, in order.
fn said(client: &mut Client) -> Vec<String> {
    client.column(
        "SELECT message FROM posthog_plugins.plugin_log WHERE source = 'CONSOLE' ORDER BY id",
    )
}

fn times(said: &[String]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for line in said {
        *times.entry(line.clone()).or_default() += 1;
    }
    times
}

#[test]
fn stored_rows_are_given_in_the_order_of_their_times_once() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "ordered", 1200);
    client.add_plugin("tell", TELL);
    client.run("SELECT posthog_plugins.backfill('tell', 'events')");
    is(&mut client, "done");
    wait_until("all is logged", || said(&mut client).len() >= 1200);
    let expected: Vec<String> = (1..=1200).map(|n| n.to_string()).collect();
    assert_eq!(said(&mut client), expected);
    let row: String = client.value(
        "SELECT concat_ws(' ', rows, delivered, failed, percent, estimated_rows, eta, error)
           FROM posthog_plugins.backfills",
    );
    assert_eq!(row, "1200 1200 0 100 1200");
    // It is no part of the queue.
    assert_eq!(client.value::<i64>("SELECT delivered FROM posthog_plugins.consumers"), 0);
}

#[test]
fn a_range_the_filter_and_the_team_decide_which() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "which", 100);
    client.run(
        "SELECT posthog_plugins.install($$export const onEvent = (event) => console.log(JSON.stringify(event))$$,
             '{}', 'tell');
         SELECT posthog_plugins.enable('tell', 1)",
    );
    client.run(
        "SELECT posthog_plugins.set_filter('tell', '{\"properties\": {\"n\": 31}}', 1);
         SELECT posthog_plugins.backfill('tell', 'events', '2024-01-01 00:20 UTC', '2024-01-01 00:50 UTC',
                                         team_id => 1)",
    );
    is(&mut client, "done");
    wait_until("it is logged", || !said(&mut client).is_empty());
    let counts: String =
        client.value("SELECT rows || ' ' || delivered FROM posthog_plugins.backfills");
    assert_eq!(counts, "30 1");
    // As the queue has it.
    client.run("INSERT INTO events (event, team_id, timestamp, properties) VALUES ('e', 1, '2024-01-01 00:31 UTC', '{\"n\": 31}')");
    wait_until("both are logged", || said(&mut client).len() == 2);
    let said = said(&mut client);
    assert!(!said[0].contains("loud"), "{said:?}");
    assert_eq!(
        said[0].replace("\"id\":", ""),
        said[1].replace("\"id\":", "").replace("101", &id_of(&said[0]))
    );
}

fn id_of(event: &str) -> String {
    event.split("\"id\":").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn tables_without_key_or_index_and_events_in_a_column_work() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("kinds");
    client.add_plugin("tell", TELL);
    client.run(
        r#"CREATE TABLE plain (event text, timestamp date, properties json);
           INSERT INTO plain SELECT 'e', date '2024-01-01' + n / 700, json_build_object('n', n)
             FROM generate_series(0, 2099) AS n;
           CREATE TABLE documents (data jsonb);
           INSERT INTO documents
           SELECT jsonb_build_object('event', 'd', 'properties', jsonb_build_object('n', 'd' || n),
                                     'timestamp', t)
             FROM (VALUES (3, '2024-03-01T00:00:00.5Z'), (1, '2024-02-29'), (2, '2024-03-01T00:00:00+02'),
                          (0, '2023-02-29'), (0, 'soon'), (0, NULL)) AS v (n, t);
           SELECT posthog_plugins.start_worker();
           SELECT posthog_plugins.backfill('tell', 'plain')"#,
    );
    is(&mut client, "done");
    client.run("SELECT posthog_plugins.backfill('tell', 'documents')");
    is(&mut client, "done");
    wait_until("all is logged", || said(&mut client).len() >= 2103);
    let said = said(&mut client);
    assert_eq!(said[2100..], ["d1", "d2", "d3"]);
    let times = times(&said);
    assert!(times.len() == 2103 && times.values().all(|count| *count == 1));
    let refused = client.refused("SELECT posthog_plugins.backfill('tell', 'pg_class')");
    assert_eq!(refused.message(), "the rows of pg_catalog.pg_class are no events");
}

#[test]
fn it_is_paused_and_resumed_and_cancelled_and_goes_at_its_speed() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "speed", 2000);
    client.add_plugin("tell", TELL);
    let begin = Instant::now();
    let id: i64 =
        client.value("SELECT posthog_plugins.backfill('tell', 'events', events_per_second => 50)");
    std::thread::sleep(Duration::from_secs(3));
    client.run(&format!("SELECT posthog_plugins.pause_backfill({id})"));
    let rows = "SELECT rows FROM posthog_plugins.backfills";
    std::thread::sleep(Duration::from_secs(1));
    let paused: i64 = client.value(rows);
    let most = 50.0 * (begin.elapsed().as_secs_f64() + 1.0);
    assert!(paused > 100 && (paused as f64) <= most, "{paused} of {most}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!((state(&mut client).as_str(), client.value::<i64>(rows)), ("paused", paused));
    client.run(&format!("SELECT posthog_plugins.resume_backfill({id})"));
    wait_until("it goes on", || client.value::<i64>(rows) > paused + 50);
    let eta = "SELECT eta > interval '1 second' AND percent BETWEEN 1 AND 99 FROM posthog_plugins.backfills";
    assert!(client.value::<bool>(eta));
    client.run(&format!("SELECT posthog_plugins.cancel_backfill({id})"));
    assert_eq!(state(&mut client), "cancelled");
    std::thread::sleep(Duration::from_secs(1));
    let cancelled: i64 = client.value(rows);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(client.value::<i64>(rows), cancelled);
    assert!(times(&said(&mut client)).values().all(|count| *count == 1));
    let refused = client.refused(&format!("SELECT posthog_plugins.resume_backfill({id})"));
    assert_eq!(refused.message(), format!("backfill {id} is cancelled"));
}

#[test]
fn a_crash_goes_on_where_it_was_and_live_events_are_not_held_up() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "crash", 3000);
    client.add_plugin(
        "tell",
        "export const onEvent = async (event) => {
             await new Promise((resolve) => setTimeout(resolve, 50)); console.log(`${event.properties.n}`) }",
    );
    client.run("SELECT posthog_plugins.backfill('tell', 'events')");
    wait_until("some are delivered", || said(&mut client).len() > 700);
    client.run("INSERT INTO events (event, timestamp, properties) VALUES ('e', now(), '{\"n\": \"live\"}')");
    wait_until("it is delivered", || said(&mut client).contains(&"live".to_owned()));
    assert_eq!(state(&mut client), "running");
    drop(client);
    cluster.restart(Shutdown::Immediate);
    let mut client = cluster.connect("crash");
    client.run("SELECT posthog_plugins.start_worker()");
    is(&mut client, "done");
    wait_until("all is logged", || times(&said(&mut client)).len() == 3001);
    let all = said(&mut client).len();
    assert!(all < 3001 + 2000, "{all}");
}

#[test]
fn it_has_the_rights_of_who_asked_for_it() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "rights", 1000);
    client.add_plugin("tell", TELL);
    client.run(
        "CREATE ROLE editor; SELECT posthog_plugins.grant_role('editor', 'editor'); SET ROLE editor",
    );
    let backfill =
        "SELECT posthog_plugins.backfill('tell', 'public.events', events_per_second => 100)";
    assert_eq!(client.refusal(backfill).code(), "42501");
    client.run(
        "RESET ROLE; GRANT SELECT ON events TO editor; ALTER TABLE events ENABLE ROW LEVEL SECURITY;
         CREATE POLICY odd ON events TO editor USING (team_id = 1); SET ROLE editor",
    );
    client.run(backfill);
    wait_until("some are delivered", || said_of(&mut client).len() > 50);
    client.run("RESET ROLE; REVOKE SELECT ON events FROM editor");
    is(&mut client, "failed");
    let error: String = client.value("SELECT error FROM posthog_plugins.backfills");
    assert_eq!(error, "permission denied for table events");
    assert!(said(&mut client).iter().all(|n| n.parse::<u32>().unwrap() % 2 == 1));
    client.run("GRANT SELECT ON events TO editor; SELECT posthog_plugins.resume_backfill(1)");
    is(&mut client, "done");
    assert_eq!(client.value::<i64>("SELECT rows FROM posthog_plugins.backfills"), 500);
    client.run("SET ROLE editor; SELECT * FROM posthog_plugins.backfills");
}

fn said_of(client: &mut Client) -> Vec<String> {
    client.column("SELECT message FROM posthog_plugins.logs")
}

#[test]
fn what_fails_is_a_dead_letter_and_a_disabled_plugin_has_it_wait() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "fails", 1500);
    client.add_plugin(
        "tell",
        "export const onEvent = (event) => {
             if (event.properties.n === 7) throw new Error('seven')
             console.log(`${event.properties.n}`) }",
    );
    client.run("SELECT posthog_plugins.backfill('tell', 'events', events_per_second => 400)");
    wait_until("some are delivered", || said(&mut client).len() > 100);
    client.run("SELECT posthog_plugins.disable('tell')");
    is(&mut client, "waiting");
    std::thread::sleep(Duration::from_millis(1500));
    let rows: i64 = client.value("SELECT rows FROM posthog_plugins.backfills");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(client.value::<i64>("SELECT rows FROM posthog_plugins.backfills"), rows);
    client.run("SELECT posthog_plugins.enable('tell')");
    is(&mut client, "done");
    wait_until("all is logged", || times(&said(&mut client)).len() == 1499);
    let dead: Vec<String> = client.column("SELECT error FROM posthog_plugins.dead_letters");
    assert_eq!(dead, ["Error: seven"]);
    let counts: String = client
        .value("SELECT rows || ' ' || delivered || ' ' || failed FROM posthog_plugins.backfills");
    assert_eq!(counts, "1500 1499 1");
    client.run("SELECT posthog_plugins.uninstall('tell')");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_backfill"), 0);
}
