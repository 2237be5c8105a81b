//! Stored events reach the plugins that take them, once or again until they do, and what one consumer
//! does delays no other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cluster::process::memory_of;
use cluster::receiver::Receiver;
use cluster::{Cluster, Session, Shutdown, wait_until};
use postgres::Client;

/// A server where retries come soon.
fn cluster() -> Cluster {
    Cluster::start_with(&[("posthog_plugins.retry_delay", "1s")])
}

/// A database with an attached table and a worker.
fn database(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.run(
        "CREATE TABLE events (event text, distinct_id text, properties jsonb);
         SELECT posthog_plugins.attach('events');
         SELECT posthog_plugins.start_worker()",
    );
    client
}

fn store(client: &mut Client, first: u32, last: u32) {
    client.run(&format!(
        "INSERT INTO events SELECT 'e', 'u', jsonb_build_object('n', n)
           FROM generate_series({first}, {last}) AS n"
    ));
}

/// A plugin that logs the numbers of events.
fn tell_numbers(client: &mut Client) {
    client.add_plugin(
        "tell",
        "export function onEvent(event) { console.log(`${event.properties.n}`) }",
    );
}

/// How often each line was logged.
fn said(client: &mut Client) -> BTreeMap<String, usize> {
    let mut said = BTreeMap::new();
    for line in client.column::<String>("SELECT message FROM posthog_plugins.logs") {
        *said.entry(line).or_default() += 1;
    }
    said
}

/// Waits until no consumer has anything left.
#[track_caller]
fn all_is_delivered(client: &mut Client) {
    wait_until("all is delivered", || {
        client.value::<Option<i64>>(
            "SELECT sum(depth + retries)::bigint FROM posthog_plugins.consumers",
        ) == Some(0)
    });
}

#[test]
fn what_is_stored_is_delivered_and_nothing_else() {
    let cluster = cluster();
    let mut client = database(&cluster, "stored");
    tell_numbers(&mut client);
    client.run("BEGIN");
    store(&mut client, 100, 200);
    client.run("ROLLBACK");
    store(&mut client, 1, 1500);
    all_is_delivered(&mut client);
    wait_until("all is logged", || said(&mut client).len() >= 1500);
    let said = said(&mut client);
    assert!(said.len() == 1500 && said.values().all(|times| *times == 1), "{said:?}");
    let counts: (i64, i64) = {
        let row = client.query_one("SELECT delivered, failed FROM posthog_plugins.consumers", &[]);
        let row = row.unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!(counts, (1500, 0));
}

#[test]
fn what_is_stored_while_much_is_delivered_is_delivered_next() {
    let cluster = cluster();
    let mut client = database(&cluster, "meanwhile");
    client.add_plugin("takes", "export function onEvent() {}");
    store(&mut client, 1, 20_000);
    wait_until("some are delivered", || {
        client.value::<i64>("SELECT delivered FROM posthog_plugins.queue_consumer") > 0
    });
    store(&mut client, 1, 10);
    all_is_delivered(&mut client);
}

#[test]
fn what_fails_is_tried_again_if_the_plugin_asks_for_it() {
    let cluster = cluster();
    let mut client = database(&cluster, "again");
    client.add_plugin(
        "fails",
        "let tries = 0
         export async function onEvent(event, { storage }) {
             if (event.properties.n === 1) throw new Error('never')
             const tried = await storage.get('tried', 0) + 1
             await storage.set('tried', tried)
             if (tried < 3) throw new RetryError('later')
             console.log(`after ${tried}`)
         }",
    );
    store(&mut client, 1, 2);
    all_is_delivered(&mut client);
    wait_until("it is logged", || said(&mut client).contains_key("after 3"));
    let dead: Vec<String> =
        client.column("SELECT error || ' ' || attempts FROM posthog_plugins.dead_letters");
    assert_eq!(dead, ["Error: never 1"]);
}

#[test]
fn webhooks_are_sent_and_their_answers_decide() {
    let cluster = cluster();
    let mut client = database(&cluster, "webhooks");
    let receiver = Receiver::start();
    client.add_plugin(
        "hook",
        &format!(
            "export function composeWebhook(event) {{
                 if (event.properties.n === 3) return null
                 const path = event.properties.n === 1 ? '/fine' : '/status/404'
                 return {{ url: '{}' + path, body: JSON.stringify(event.properties.n) }}
             }}",
            receiver.url("")
        ),
    );
    receiver.allow(&mut client, "hook");
    store(&mut client, 1, 3);
    all_is_delivered(&mut client);
    assert_eq!(receiver.received("/fine"), ["1"]);
    assert_eq!(receiver.received("/status/404"), ["2"]);
    let dead: Vec<String> = client.column("SELECT error FROM posthog_plugins.dead_letters");
    assert_eq!(dead, ["the webhook was answered with status 404: ok"]);
}

#[test]
fn a_receiver_that_is_busy_is_asked_again_when_it_says() {
    let cluster = cluster();
    let mut client = database(&cluster, "busy");
    let receiver = Receiver::start();
    client.add_plugin(
        "hook",
        &format!(
            "export const composeWebhook = () => ({{ url: '{}', body: '' }})",
            receiver.url("/busy")
        ),
    );
    receiver.allow(&mut client, "hook");
    store(&mut client, 1, 1);
    wait_until("it was asked twice", || receiver.received("/busy").len() >= 2);
    let waited: bool = client.value(
        "SELECT max(failed_at) - min(first_failed_at) >= interval '2 seconds' FROM posthog_plugins.retries",
    );
    assert!(waited);
}

/// How long a call may take there, and with no second attempt, so that it is known at once what an
/// event has failed of.
const IMPATIENT: [(&str, &str); 3] = [
    ("posthog_plugins.delivery_timeout", "2s"),
    ("posthog_plugins.retry_attempts", "1"),
    ("posthog_plugins.fetch_size_limit", "1MB"),
];

/// Paths of the receiver, and what those fail of that do. The last leads to nobody.
const MISBEHAVIOUR: [(&str, Option<&str>); 8] = [
    ("/fine", None),
    ("/slow", None),
    ("/status/204", None),
    ("/hang", Some("2 s, 2000 ms")),
    ("/cut", Some("ended, closed")),
    ("/away", Some("127.0.0.2")),
    ("/endless", Some("fetch_size_limit")),
    ("nobody", Some("refused")),
];

#[test]
fn a_receiver_that_misbehaves_fails_its_own_events_and_no_other() {
    let cluster = Cluster::start_with(&IMPATIENT);
    let receiver = Receiver::start();
    let nobody = "http://127.0.0.1:1/";
    for (name, source) in [
        ("hook", "export const composeWebhook = ({ event }) => ({ url: URL(event), body: 'b' })"),
        (
            "post",
            "export const onEvent = async ({ event }) => { await (await fetch(URL(event))).text() }",
        ),
    ] {
        let mut client = database(&cluster, name);
        let url = format!(
            "const URL = (path) => path === 'nobody' ? '{nobody}' : '{}' + path\n",
            receiver.url("")
        );
        client.add_plugin(name, &(url + source));
        client.run(&format!(
            "SELECT posthog_plugins.allow_hosts('{name}',
                 '{}'::text[] || '{{http://127.0.0.1:1}}'::text[])",
            receiver.hosts()
        ));
        for (path, _) in MISBEHAVIOUR {
            client.execute("INSERT INTO events VALUES ($1, 'u', '{}')", &[&path]).unwrap();
        }
        all_is_delivered(&mut client);
        let dead: BTreeMap<String, String> = client
            .query("SELECT event ->> 'event', error FROM posthog_plugins.dead_letters", &[])
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        for (path, reason) in MISBEHAVIOUR {
            let error = dead.get(path);
            let is_right = match (reason, error) {
                (Some(reasons), Some(error)) => {
                    reasons.split(", ").any(|reason| error.contains(reason))
                }
                (reason, error) => reason.is_none() && error.is_none(),
            };
            assert!(is_right, "{name} {path}: {error:?}");
        }
        // Nothing of the gigabyte is kept.
        let worker: i32 = client.value("SELECT pid FROM posthog_plugins.workers");
        assert!(memory_of(worker) < 64 << 10, "{} kB", memory_of(worker));
    }
}

#[test]
fn events_are_exported_in_batches() {
    let cluster = cluster();
    let mut client = database(&cluster, "batches");
    let receiver = Receiver::start();
    client.run(&format!(
        "SELECT posthog_plugins.install($$
             export async function exportEvents(events) {{
                 const body = events.map((event) => event.properties.n).join()
                 await fetch('{}', {{ method: 'POST', body }})
             }}
         $$, '{{\"name\": \"exporter\", \"config\": [
             {{\"key\": \"exportEventsBufferSeconds\", \"type\": \"string\"}},
             {{\"key\": \"exportEventsToIgnore\", \"type\": \"string\"}}]}}');
         SELECT posthog_plugins.configure('exporter',
             '{{\"exportEventsBufferSeconds\": \"1\", \"exportEventsToIgnore\": \"other, ignored\"}}');
         SELECT posthog_plugins.enable('exporter')",
        receiver.url("/batch")
    ));
    receiver.allow(&mut client, "exporter");
    store(&mut client, 1, 3);
    client.run("INSERT INTO events VALUES ('ignored', 'u', '{\"n\": 4}')");
    all_is_delivered(&mut client);
    assert_eq!(receiver.received("/batch"), ["1,2,3"]);
}

#[test]
fn a_batch_that_cannot_grow_does_not_wait() {
    let cluster = cluster();
    let mut client = database(&cluster, "many");
    // A batch would take ten thousand of these, more than are under way at once.
    client.add_plugin(
        "exporter",
        "export const exportEvents = (events) => console.log(`${events.length}`)",
    );
    let begin = Instant::now();
    store(&mut client, 1, 10_000);
    wait_until("most is exported", || {
        client.value::<i64>("SELECT delivered FROM posthog_plugins.consumers") >= 8000
    });
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_consumer_that_hangs_throws_or_eats_memory_delays_no_other() {
    let cluster = cluster();
    let mut client = database(&cluster, "others");
    let receiver = Receiver::start();
    let hang = receiver.url("/hang");
    client.add_plugin(
        "hangs",
        &format!("export const onEvent = async () => {{ await fetch('{hang}') }}"),
    );
    receiver.allow(&mut client, "hangs");
    // More requests than all consumers together have under way.
    client.add_plugin(
        "floods",
        &format!("export const onEvent = () => Promise.all(Array.from({{ length: 20 }}, () => fetch('{hang}')))"),
    );
    receiver.allow(&mut client, "floods");
    client.add_plugin("throws", "export const onEvent = () => { throw new Error('no') }");
    client.add_plugin("eats", "const all = []; export const onEvent = () => { for (;;) all.push('x'.repeat(1e6) + all.length) }");
    client.add_plugin(
        "sound",
        &format!(
            "export const onEvent = async () => {{ await fetch('{}') }}",
            receiver.url("/fine")
        ),
    );
    receiver.allow(&mut client, "sound");
    let begin = Instant::now();
    store(&mut client, 1, 50);
    wait_until("the sound one has all", || {
        client
            .value::<i64>("SELECT delivered FROM posthog_plugins.consumers WHERE plugin = 'sound'")
            == 50
    });
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn a_config_that_is_changed_or_disabled_is_served_as_it_is_then() {
    let cluster = cluster();
    let mut client = database(&cluster, "changes");
    client.run(
        "SELECT posthog_plugins.install($$
             export const onEvent = (event, { config }) => console.log(config.word)
             export const teardownPlugin = (_, meta) => console.log('gone')
         $$, '{\"name\": \"tell\", \"config\": [{\"key\": \"word\", \"type\": \"string\", \"default\": \"one\"}]}');
         SELECT posthog_plugins.enable('tell')",
    );
    store(&mut client, 1, 1);
    wait_until("one was told", || said(&mut client).contains_key("one"));
    client.run("SELECT posthog_plugins.configure('tell', '{\"word\": \"two\"}')");
    store(&mut client, 1, 1);
    wait_until("two was told", || said(&mut client).contains_key("two"));
    assert!(said(&mut client).contains_key("gone"));
    client.run("SELECT posthog_plugins.disable('tell')");
    store(&mut client, 1, 1);
    wait_until("it is gone", || said(&mut client).get("gone") == Some(&2));
    assert_eq!(said(&mut client).get("two"), Some(&1));
}

#[test]
fn a_filter_holds_from_when_it_is_set() {
    let cluster = cluster();
    let mut client = database(&cluster, "filters");
    tell_numbers(&mut client);
    store(&mut client, 1, 1);
    all_is_delivered(&mut client);
    client.run(r#"SELECT posthog_plugins.set_filter('tell', '{"properties": {"n": 3}}')"#);
    store(&mut client, 2, 3);
    all_is_delivered(&mut client);
    // One at once, and the next after a quarter of an hour.
    client.run(r#"SELECT posthog_plugins.set_filter('tell', '{"rate": 0.001}')"#);
    store(&mut client, 4, 5);
    wait_until("one more is logged", || said(&mut client).contains_key("4"));
    client.run("SELECT posthog_plugins.set_filter('tell', NULL)");
    all_is_delivered(&mut client);
    wait_until("the last is logged", || said(&mut client).contains_key("5"));
    let said: Vec<String> = said(&mut client).into_keys().collect();
    assert_eq!(said, ["1", "3", "4", "5"]);
}

#[test]
fn a_crash_delivers_again_what_was_under_way_and_loses_nothing() {
    let cluster = cluster();
    let mut client = database(&cluster, "crash");
    let receiver = Receiver::start();
    client.add_plugin(
        "post",
        &format!(
            "export async function onEvent(event) {{
                 await fetch('{}', {{ method: 'POST', body: `${{event.properties.n}}` }})
             }}",
            receiver.url("/event")
        ),
    );
    receiver.allow(&mut client, "post");
    store(&mut client, 1, 400);
    wait_until("some were received", || receiver.received("/event").len() >= 50);
    drop(client);
    cluster.restart(Shutdown::Immediate);
    let mut client = cluster.connect("crash");
    client.run("SELECT posthog_plugins.start_worker()");
    all_is_delivered(&mut client);
    let received = receiver.received("/event");
    let different: std::collections::BTreeSet<&String> = received.iter().collect();
    assert_eq!(different.len(), 400);
    assert!(received.len() < 800, "{} for 400", received.len());
}

/// Stores events of five persons, numbered.
fn store_of_persons(client: &mut Client, last: u32) {
    client.run(&format!(
        "INSERT INTO events SELECT 'e', 'u' || n % 5, jsonb_build_object('n', n)
           FROM generate_series(1, {last}) AS n"
    ));
}

/// That every event was logged, those of each person in their order.
#[track_caller]
fn are_in_order(client: &mut Client, count: usize) {
    let said = "SELECT message FROM posthog_plugins.logs WHERE level = 'LOG'";
    wait_until("all is logged", || client.column::<String>(said).len() >= count);
    let lines: Vec<(String, u32)> = client
        .column::<String>(said)
        .iter()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(person, number)| (person.to_owned(), number.parse().unwrap()))
        .collect();
    assert_eq!(lines.len(), count, "{lines:?}");
    let mut last = BTreeMap::<String, u32>::new();
    for (person, number) in lines {
        let before = last.insert(person.clone(), number).unwrap_or_default();
        assert!(before < number, "{person}: {number} came after {before}");
    }
}

#[test]
fn events_of_a_person_come_in_order_to_who_asks_for_it() {
    let cluster = cluster();
    let mut client = database(&cluster, "ordered");
    client.run("SELECT posthog_plugins.stop_worker()");
    client.add_plugin(
        "slow",
        "const tried = new Set()
         export async function onEvent({ distinct_id, properties }) {
             await new Promise((done) => setTimeout(done, Math.random() * 20))
             const { n } = properties
             if (n % 17 === 0 && !tried.has(n)) {
                 tried.add(n)
                 throw new RetryError('later')
             }
             if (n % 23 === 0) throw new Error('never')
             console.log(`${distinct_id} ${n}`)
         }",
    );
    client.run(r#"SELECT posthog_plugins.set_filter('slow', '{"ordered": true}')"#);
    store_of_persons(&mut client, 300);
    client.run("SELECT posthog_plugins.start_worker()");
    all_is_delivered(&mut client);
    are_in_order(&mut client, 300 - 13);
    store_of_persons(&mut client, 10);
    all_is_delivered(&mut client);
}

#[test]
fn batches_have_events_of_a_person_in_order_if_asked_to() {
    let cluster = cluster();
    let mut client = database(&cluster, "ordered_batches");
    client.add_plugin(
        "batches",
        "const tried = new Set()
         export async function exportEvents(events) {
             await new Promise((done) => setTimeout(done, Math.random() * 20))
             const bad = events.filter(({ properties: { n } }) => n % 13 === 0 && !tried.has(n))
             bad.forEach((event) => tried.add(event.properties.n))
             if (bad.length > 0) throw new RetryError('later')
             for (const { distinct_id, properties } of events) {
                 console.log(`${distinct_id} ${properties.n}`)
             }
         }",
    );
    client.run(
        r#"SELECT posthog_plugins.configure('batches',
               '{"exportEventsBufferBytes": 2000, "exportEventsBufferSeconds": 1}');
           SELECT posthog_plugins.set_filter('batches', '{"ordered": true}')"#,
    );
    store_of_persons(&mut client, 200);
    all_is_delivered(&mut client);
    are_in_order(&mut client, 200);
}

#[test]
fn a_worker_follows_what_is_changed_about_a_consumer() {
    let cluster = cluster();
    let mut client = database(&cluster, "changed");
    tell_numbers(&mut client);
    store(&mut client, 1, 3);
    all_is_delivered(&mut client);
    client.run(r#"SELECT posthog_plugins.set_filter('tell', '{"properties": {"n": 5}}')"#);
    store(&mut client, 4, 6);
    all_is_delivered(&mut client);
    client.run("SELECT posthog_plugins.set_filter('tell', NULL)");
    client.run("SELECT posthog_plugins.start_from('tell', now() - interval '1 hour')");
    wait_until("all came again", || {
        let said = said(&mut client);
        ["1", "2", "3", "5"].iter().all(|n| said.get(*n) == Some(&2)) && said.len() == 6
    });
}

#[test]
fn what_a_prepared_transaction_has_stored_is_delivered_when_it_is_committed() {
    let cluster = Cluster::start_with(&[("max_prepared_transactions", "2")]);
    let mut client = database(&cluster, "prepared");
    tell_numbers(&mut client);
    client.run("BEGIN");
    store(&mut client, 1, 1);
    client.run("PREPARE TRANSACTION 'one'");
    // What is committed meanwhile does not wait for it.
    store(&mut client, 2, 2);
    wait_until("the other one is logged", || said(&mut client).contains_key("2"));
    client.run("COMMIT PREPARED 'one'");
    wait_until("it is logged", || said(&mut client).contains_key("1"));
}

#[test]
fn a_filter_holds_from_when_it_is_set_in_a_worker_that_runs() {
    let cluster = cluster();
    let mut client = database(&cluster, "filters");
    client.add_plugin("tell", "export const onEvent = (event) => console.log(event.event)");
    store(&mut client, 1, 1);
    wait_until("one is told", || said(&mut client).get("e") == Some(&1));
    client.run("SELECT posthog_plugins.set_filter('tell', '{\"events\": [\"other\"]}')");
    store(&mut client, 2, 3);
    client.run("INSERT INTO events VALUES ('other', 'u', '{}')");
    wait_until("the other is told", || said(&mut client).contains_key("other"));
    assert_eq!(said(&mut client).get("e"), Some(&1));
}

#[test]
fn what_cannot_be_recorded_is_delivered_again_and_nothing_is_left_out() {
    let cluster = cluster();
    let mut client = database(&cluster, "unrecorded");
    client.add_plugin(
        "tell",
        "const seen = new Set()
         export async function onEvent({ properties: { n } }) {
             if (n === 1) await new Promise((done) => setTimeout(done, 3000))
             if (n > 500 && !seen.has(n)) {
                 seen.add(n)
                 throw new RetryError('not yet')
             }
             console.log(`${n}`)
         }",
    );
    store(&mut client, 1, 600);
    std::thread::sleep(Duration::from_secs(1));
    // Neither can it be found out where the consumer is.
    client.run("ALTER TABLE posthog_plugins.queue_consumer RENAME TO away");
    std::thread::sleep(Duration::from_secs(4));
    client.run("ALTER TABLE posthog_plugins.away RENAME TO queue_consumer");
    store(&mut client, 601, 601);
    all_is_delivered(&mut client);
    wait_until("all is logged", || said(&mut client).len() >= 601);
}

#[test]
fn a_worker_that_could_not_look_looks_again() {
    let cluster = cluster();
    let mut client = database(&cluster, "looks");
    tell_numbers(&mut client);
    store(&mut client, 1, 1);
    wait_until("it is attended", || said(&mut client).contains_key("1"));
    client.run("ALTER TABLE posthog_plugins.plugin_job RENAME TO away");
    store(&mut client, 2, 2);
    std::thread::sleep(Duration::from_secs(1));
    client.run("ALTER TABLE posthog_plugins.away RENAME TO plugin_job");
    wait_until("the other one is logged", || said(&mut client).contains_key("2"));
}

#[test]
fn a_config_that_could_not_be_taken_up_is_taken_up_later() {
    let cluster = cluster();
    let mut client = database(&cluster, "later");
    let version = |word: &str| {
        format!(
            "export function onEvent() {{ console.log('{word}') }}
             export async function teardownPlugin() {{
                 await new Promise((done) => setTimeout(done, 2000))
             }}"
        )
    };
    client.add_plugin("tell", &version("one"));
    store(&mut client, 1, 1);
    wait_until("one was told", || said(&mut client).contains_key("one"));
    client.query("SELECT posthog_plugins.install($1, '{}', 'tell')", &[&version("two")]).unwrap();
    store(&mut client, 1, 1);
    std::thread::sleep(Duration::from_millis(500));
    client.run("ALTER TABLE posthog_plugins.queue_consumer RENAME TO away");
    std::thread::sleep(Duration::from_secs(3));
    client.run("ALTER TABLE posthog_plugins.away RENAME TO queue_consumer");
    wait_until("two was told", || said(&mut client).contains_key("two"));
}

#[test]
fn what_a_receiver_says_is_kept_without_secrets() {
    let cluster = cluster();
    let mut client = database(&cluster, "secrets");
    let receiver = Receiver::start();
    let source = format!(
        "export const composeWebhook = (event, {{ config }}) => ({{
             url: '{}',
             body: `no \\0 ${{config.token}}`,
         }})",
        receiver.url("/mirror")
    );
    let manifest =
        r#"{"config": [{"key": "token", "type": "string", "secret": true, "default": ""}]}"#;
    client
        .query("SELECT posthog_plugins.install($1, $2::text::jsonb, 'hook')", &[&source, &manifest])
        .unwrap();
    client.run("SELECT posthog_plugins.configure('hook', '{\"token\": \"s3cr3t-t0ken\"}')");
    client.run("SELECT posthog_plugins.enable('hook')");
    receiver.allow(&mut client, "hook");
    store(&mut client, 1, 1);
    all_is_delivered(&mut client);
    let dead: Vec<String> = client.column("SELECT error FROM posthog_plugins.dead_letters");
    assert_eq!(dead, ["the webhook was answered with status 400: no \u{fffd} ********"]);
}

#[test]
fn a_condition_that_never_ends_fails_and_delays_others_for_seconds() {
    let cluster = cluster();
    let mut client = database(&cluster, "endless");
    client.add_plugin("stuck", "export function onEvent() {}");
    client.add_plugin("sound", "export function onEvent() { console.log('sound') }");
    client.run(
        r#"SELECT posthog_plugins.set_filter('stuck', '{"where": "pg_sleep(3600) IS NULL"}')"#,
    );
    store(&mut client, 1, 3);
    wait_until("the sound one has all", || said(&mut client).get("sound") == Some(&3));
    all_is_delivered(&mut client);
    let dead: Vec<String> = client.column("SELECT error FROM posthog_plugins.dead_letters");
    assert_eq!(dead, ["the filter failed: it took too long"; 3]);
    assert!(!cluster.log().contains("failed while"), "the worker was cancelled as a whole");
}

#[test]
fn a_distinct_id_may_be_long_where_events_are_in_order() {
    let cluster = cluster();
    let mut client = database(&cluster, "keys");
    client.add_plugin(
        "tell",
        "const seen = new Set()
         export function onEvent({ distinct_id, properties: { n } }) {
             if (!seen.has(distinct_id)) {
                 seen.add(distinct_id)
                 throw new RetryError('not yet')
             }
             console.log(`${n}`)
         }",
    );
    client.run(r#"SELECT posthog_plugins.set_filter('tell', '{"ordered": true}')"#);
    // No two characters of it are a pattern, which an index would compress.
    client.run(
        "CREATE TABLE long AS
         SELECT string_agg(md5(n::text), '') || 'ä' AS id FROM generate_series(1, 1000) AS n;
         INSERT INTO events SELECT 'e', id || m, jsonb_build_object('n', concat(m, n))
           FROM long, generate_series(1, 2) AS m, generate_series(1, 3) AS n",
    );
    all_is_delivered(&mut client);
    let told =
        "SELECT message FROM posthog_plugins.logs WHERE message ~ '^[0-9]+$' ORDER BY logged_at";
    wait_until("all is logged", || client.column::<String>(told).len() == 6);
    let mut said: Vec<String> = client.column(told);
    said.sort_by_key(|line| line[..1].to_owned());
    assert_eq!(said, ["11", "12", "13", "21", "22", "23"]);
}

#[test]
fn whoever_cancels_a_worker_ends_a_call_and_loses_nothing() {
    let cluster = cluster();
    let mut client = database(&cluster, "cancelled");
    client.add_plugin(
        "busy",
        "export function onEvent(event) {
             for (const begin = Date.now(); Date.now() - begin < 200; );
             console.log(`${event.properties.n}`)
         }",
    );
    let worker = "SELECT pid FROM posthog_plugins.workers";
    let pid: i32 = client.value(worker);
    store(&mut client, 1, 10);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(300));
        client.run(&format!("SELECT pg_cancel_backend({pid})"));
    }
    all_is_delivered(&mut client);
    assert_eq!(client.value::<i32>(worker), pid);
    wait_until("all is logged", || said(&mut client).len() == 10);
}
