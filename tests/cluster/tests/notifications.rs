//! Who listens on the failure channel learns that a config begins to fail.

use std::time::Duration;

use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;

const GOOD: &str = r#"{"event": "good"}"#;
const BAD: &str = r#"{"event": "bad"}"#;

/// A plugin that fails on bad events, and a listener.
fn watched(cluster: &Cluster, name: &str) -> (Client, Client) {
    let mut client = cluster.create_database(name);
    client.run(&format!(
        "ALTER DATABASE {name} SET posthog_plugins.failure_channel = 'plugin failures'"
    ));
    let mut client = cluster.connect(name);
    client.run(
        r#"SELECT posthog_plugins.install($$
               export function processEvent(event, { config }) {
                   if (event.event === 'bad') throw new Error(`bad ${config.token} ${event.text}`)
                   return event
               }$$,
               '{"config": [{"key": "token", "type": "string", "secret": true}]}', 'fragile');
           SELECT posthog_plugins.configure('fragile', '{"token": "sesame"}');
           SELECT posthog_plugins.enable('fragile')"#,
    );
    let mut listener = cluster.connect(name);
    listener.run(r#"LISTEN "plugin failures""#);
    (client, listener)
}

/// The payloads that have arrived; all that was sent before arrives before this marker.
fn payloads(client: &mut Client, listener: &mut Client) -> Vec<String> {
    client.run(r#"NOTIFY "plugin failures", 'marker'"#);
    let mut notifications = listener.notifications();
    let mut waiting = notifications.timeout_iter(Duration::from_secs(60));
    let mut payloads = Vec::new();
    loop {
        let next = waiting.next().unwrap().expect("the marker arrives");
        if next.payload() == "marker" {
            return payloads;
        }
        payloads.push(next.payload().to_owned());
    }
}

#[test]
fn a_config_that_begins_to_fail_is_announced_once() {
    let cluster = Cluster::start();
    let (mut client, mut listener) = watched(&cluster, "once");
    client.process(GOOD);
    for _ in 0..5 {
        client.process(BAD);
        client.process(GOOD);
    }
    assert_eq!(
        payloads(&mut client, &mut listener),
        [r#"{"kind": "threw", "label": "", "plugin": "fragile", "team_id": null, "config_id": 1}"#]
    );
    // Others tell of it themselves, and so does this one when the config has been changed.
    let mut other = cluster.connect("once");
    other.process(BAD);
    client.run(r#"SELECT posthog_plugins.configure('fragile', '{"token": "other"}')"#);
    client.process(BAD);
    assert_eq!(payloads(&mut client, &mut listener).len(), 2);
    // Without a channel nobody is told.
    client.run("SET posthog_plugins.failure_channel = ''; SET posthog_plugins.error_interval = 0");
    client.process(BAD);
    assert_eq!(payloads(&mut client, &mut listener), [""; 0]);
}

#[test]
fn a_pause_is_announced() {
    let cluster = Cluster::start();
    let (mut client, mut listener) = watched(&cluster, "pause");
    client.run("SET posthog_plugins.pause_failure_rate = 50");
    client.run(&format!("SELECT process_event('{BAD}') FROM generate_series(1, 20)"));
    let payloads = payloads(&mut client, &mut listener);
    assert_eq!(payloads.len(), 2, "{payloads:?}");
    assert!(payloads.iter().any(|payload| payload.contains(r#""kind": "paused""#)), "{payloads:?}");
}

#[test]
fn a_transaction_that_is_not_committed_announces_nothing() {
    let cluster = Cluster::start_with(&[("max_prepared_transactions", "5")]);
    let (mut client, mut listener) = watched(&cluster, "uncommitted");
    client.run("BEGIN");
    client.process(BAD);
    client.run("ROLLBACK");
    assert_eq!(payloads(&mut client, &mut listener), [""; 0]);
    // A transaction that has notified cannot be prepared: this one can, and tells afterwards.
    let mut other = cluster.connect("uncommitted");
    other.run("BEGIN");
    other.process(BAD);
    // Also when there was so much to log that it was written early.
    other.run(
        "SET LOCAL posthog_plugins.error_interval = 0;
         SELECT process_event(jsonb_build_object('event', 'bad', 'text', repeat('long', 1000)))
           FROM generate_series(1, 100)",
    );
    other.run("PREPARE TRANSACTION 'one'");
    assert_eq!(payloads(&mut client, &mut listener), [""; 0]);
    other.run("COMMIT PREPARED 'one'");
    assert!(!payloads(&mut client, &mut listener).is_empty());
}

#[test]
fn a_payload_always_fits() {
    let cluster = Cluster::start();
    let (mut client, mut listener) = watched(&cluster, "fits");
    client.run(
        r#"SELECT posthog_plugins.configure('fragile', '{"token": "other"}', -2147483648, repeat(E'\x01', 5000));
           SELECT posthog_plugins.enable('fragile', -2147483648, repeat(E'\x01', 5000))"#,
    );
    client.run(
        r#"SELECT process_event(jsonb_build_object('event', 'bad', 'team_id', -2147483648,
                                                   'text', repeat(E'\x02', 5000)))"#,
    );
    let payloads = payloads(&mut client, &mut listener);
    assert_eq!(payloads.len(), 2);
    assert!(payloads.iter().all(|payload| payload.len() < 8000 && payload.ends_with('}')));
    let log = cluster.log();
    assert!(!log.contains("could not be written"), "{log}");
}

#[test]
fn a_name_that_is_no_channel_is_refused() {
    let cluster = Cluster::start();
    let (mut client, _) = watched(&cluster, "names");
    client.process(GOOD);
    let long = "x".repeat(64);
    let refusal = client.refusal(&format!("SET posthog_plugins.failure_channel = '{long}'"));
    assert_eq!(refusal, SqlState::INVALID_PARAMETER_VALUE);
    client.run(&format!("SET posthog_plugins.failure_channel = '{}'", &long[1..]));
}
