//! A config that keeps failing pauses itself, if that is set; every session knows, and it can be
//! undone.

use cluster::{Cluster, Session, wait_until};
use postgres::Client;
use postgres::error::SqlState;

const GOOD: &str = r#"{"event": "good"}"#;
const BAD: &str = r#"{"event": "bad"}"#;
const SEEN: &str = r#"{"seen": true, "event": "good"}"#;

fn fragile(cluster: &Cluster, name: &str, on_error: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.add_body(
        "fragile",
        "if (event.event === 'bad') throw new Error('bad event'); event.seen = true; return event",
    );
    client.run(&format!(
        "SELECT posthog_plugins.configure('fragile', '{{}}', on_error => '{on_error}');
         ALTER DATABASE {name} SET posthog_plugins.pause_failure_rate = 50;
         SET posthog_plugins.pause_failure_rate = 50"
    ));
    client
}

fn send(client: &mut Client, event: &str, count: u32) {
    for _ in 0..count {
        let _ = client.query("SELECT process_event($1::text::jsonb)", &[&event]);
    }
}

fn is_paused(client: &mut Client) -> bool {
    client.value("SELECT paused_until IS NOT NULL FROM posthog_plugins.chain")
}

#[test]
fn a_config_that_keeps_failing_is_paused_for_every_session() {
    let cluster = Cluster::start();
    let mut admin = fragile(&cluster, "every", "pass");
    let mut other = cluster.connect("every");
    assert_eq!(other.process(GOOD).as_deref(), Some(SEEN));
    let mut client = cluster.connect("every");
    send(&mut client, BAD, 9);
    assert_eq!(client.process(GOOD).as_deref(), Some(SEEN));
    assert!(!is_paused(&mut admin));
    send(&mut client, BAD, 1);
    let mut fresh = cluster.connect("every");
    for session in [&mut client, &mut other, &mut fresh] {
        assert_eq!(session.process(GOOD).as_deref(), Some(GOOD));
    }
    let row = admin
        .query_one(
            "SELECT pause_reason,
                    paused_until - now() BETWEEN interval '4 minutes' AND interval '5 minutes'
               FROM posthog_plugins.chain",
            &[],
        )
        .unwrap();
    assert_eq!(
        row.get::<_, &str>(0),
        "10 of 11 calls failed within 60 seconds, the last with: Error: bad event"
    );
    assert!(row.get::<_, bool>(1));
    // What is not called fails, and the real reason stays to be seen.
    let failure: String = admin
        .value("SELECT message FROM posthog_plugins.failures WHERE kind = 'suspended' LIMIT 1");
    assert!(failure.starts_with("paused: 10 of 11 calls failed"), "{failure}");
    let error: String = admin.value("SELECT last_error FROM posthog_plugins.stats");
    assert_eq!(error, "Error: bad event");

    assert!(admin.value::<bool>("SELECT posthog_plugins.resume('fragile')"));
    for session in [&mut client, &mut other, &mut fresh] {
        assert_eq!(session.process(GOOD).as_deref(), Some(SEEN));
    }
    assert!(!is_paused(&mut admin));
    assert!(!admin.value::<bool>("SELECT posthog_plugins.resume('fragile')"));
    let unknown = admin.refusal("SELECT posthog_plugins.resume('fragile', 7)");
    assert_eq!(unknown, SqlState::UNDEFINED_OBJECT);
}

#[test]
fn nothing_pauses_unless_it_is_set_and_the_rate_is_reached() {
    let cluster = Cluster::start();
    let mut client = fragile(&cluster, "rate", "pass");
    client.run("SET posthog_plugins.pause_failure_rate = 0");
    send(&mut client, BAD, 50);
    client.run("SET posthog_plugins.pause_failure_rate = 60");
    for _ in 0..50 {
        send(&mut client, GOOD, 1);
        send(&mut client, BAD, 1);
    }
    assert_eq!(client.process(GOOD).as_deref(), Some(SEEN));
    client.run("SET posthog_plugins.pause_failure_rate = 50");
    send(&mut client, BAD, 1);
    assert_eq!(client.process(GOOD).as_deref(), Some(GOOD));
}

#[test]
fn on_error_holds_while_a_config_is_paused() {
    let cluster = Cluster::start();
    let mut client = fragile(&cluster, "dropping", "drop");
    send(&mut client, BAD, 10);
    assert_eq!(client.process(GOOD), None);
    let mut client = fragile(&cluster, "raising", "raise");
    // Every one of them ends its transaction, so the pause waits for one that commits.
    send(&mut client, BAD, 10);
    let mut other = cluster.connect("raising");
    assert!(!is_paused(&mut other));
    for _ in 0..2 {
        let error = client.refused(&format!("SELECT process_event('{GOOD}')"));
        assert_eq!(*error.code(), SqlState::EXTERNAL_ROUTINE_EXCEPTION);
        assert!(error.message().contains("paused: 10 of 10 calls failed"), "{error:?}");
        client.run("SELECT 1");
        assert!(is_paused(&mut other));
    }
    other.refused(&format!("SELECT process_event('{GOOD}')"));
}

#[test]
fn after_a_pause_one_call_decides() {
    let cluster = Cluster::start();
    let mut client = fragile(&cluster, "decides", "pass");
    client.run("SET posthog_plugins.pause_duration = '1s'");
    send(&mut client, BAD, 10);
    assert!(is_paused(&mut client));
    wait_until("the pause is over", || !is_paused(&mut client));
    send(&mut client, BAD, 1);
    assert!(is_paused(&mut client));
    let reason: String = client.value("SELECT pause_reason FROM posthog_plugins.chain");
    assert_eq!(reason, "it still fails: Error: bad event");
    wait_until("the pause is over", || client.process(GOOD).as_deref() == Some(SEEN));
    // And nothing of before counts any more.
    send(&mut client, BAD, 8);
    assert_eq!(client.process(GOOD).as_deref(), Some(SEEN));
}

#[test]
fn a_pause_and_its_end_survive_transactions_as_they_should() {
    let cluster = Cluster::start_with(&[("max_prepared_transactions", "5")]);
    let mut client = fragile(&cluster, "transactions", "pass");
    let mut other = cluster.connect("transactions");
    client.run("BEGIN");
    send(&mut client, BAD, 10);
    client.run("ROLLBACK");
    // Known to the session, and to the others once it can be written.
    assert!(!is_paused(&mut other));
    client.run("BEGIN READ ONLY");
    assert_eq!(client.process(GOOD).as_deref(), Some(GOOD));
    client.run("COMMIT; BEGIN");
    send(&mut client, GOOD, 1);
    client.run("PREPARE TRANSACTION 'one'");
    assert!(!is_paused(&mut other));
    client.run("ROLLBACK PREPARED 'one'");
    assert!(is_paused(&mut other));
    other.run("BEGIN; SELECT posthog_plugins.resume('fragile')");
    assert_eq!(client.process(GOOD).as_deref(), Some(GOOD));
    assert_eq!(other.process(GOOD).as_deref(), Some(SEEN));
    other.run("ROLLBACK");
    for session in [&mut client, &mut other] {
        assert_eq!(session.process(GOOD).as_deref(), Some(GOOD));
    }
}

#[test]
fn a_config_that_is_changed_is_tried_again() {
    let cluster = Cluster::start();
    let mut client = fragile(&cluster, "changed", "pass");
    let mut other = cluster.connect("changed");
    for change in [
        r#"configure('fragile', '{"changed": true}')"#,
        "install('export const processEvent = (e) => { if (e.event === ''bad'') throw 1; e.seen = true; return e }', '{}', 'fragile')",
        "rollback('fragile')",
        "disable('fragile'), posthog_plugins.enable('fragile')",
    ] {
        send(&mut client, BAD, 10);
        assert!(is_paused(&mut client), "before {change}");
        assert_eq!(other.process(GOOD).as_deref(), Some(GOOD), "before {change}");
        other.run(&format!("SELECT posthog_plugins.{change}"));
        assert!(!is_paused(&mut client), "after {change}");
        for session in [&mut client, &mut other] {
            assert_eq!(session.process(GOOD).as_deref(), Some(SEEN), "after {change}");
        }
    }
    send(&mut client, BAD, 10);
    client.run("SELECT posthog_plugins.uninstall('fragile')");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_pause"), 0);
}

#[test]
fn many_sessions_can_come_to_the_same_conclusion() {
    let cluster = Cluster::start();
    let mut admin = fragile(&cluster, "same", "pass");
    let mut sessions: Vec<Client> = (0..4).map(|_| cluster.connect("same")).collect();
    for session in &mut sessions {
        session.run("SET statement_timeout = '10s'; BEGIN");
        send(session, BAD, 10);
    }
    sessions.iter_mut().for_each(|session| session.run("COMMIT"));
    assert_eq!(admin.value::<i64>("SELECT count(*) FROM posthog_plugins.chain"), 1);
    assert!(is_paused(&mut admin));
    admin.run("SELECT posthog_plugins.resume('fragile')");
    for session in &mut sessions {
        assert_eq!(session.process(GOOD).as_deref(), Some(SEEN));
    }
    // Pauses that are over leave no rows behind.
    admin.run(
        "INSERT INTO posthog_plugins.plugin_pause (config_id, since, until, reason)
               VALUES (1, '2000-01-01', '2000-01-02', 'old'); SELECT posthog_plugins.prune()",
    );
    assert_eq!(admin.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_pause"), 0);
}

#[test]
fn a_pause_that_only_this_session_knows_of_can_be_ended_here() {
    let cluster = Cluster::start();
    let mut client = fragile(&cluster, "here", "pass");
    client.run("BEGIN");
    send(&mut client, BAD, 10);
    assert_eq!(client.process(GOOD).as_deref(), Some(GOOD));
    assert!(client.value::<bool>("SELECT posthog_plugins.resume('fragile')"));
    assert_eq!(client.process(GOOD).as_deref(), Some(SEEN));
    client.run("COMMIT");
    assert!(!is_paused(&mut client));
}

#[test]
fn a_config_that_has_recovered_is_not_paused_for_others_later() {
    let cluster = Cluster::start();
    let mut client = fragile(&cluster, "later", "pass");
    client.run("SET posthog_plugins.pause_duration = '1s'; BEGIN");
    send(&mut client, BAD, 10);
    client.run("ROLLBACK; BEGIN READ ONLY");
    wait_until("the pause is over", || client.process(GOOD).as_deref() == Some(SEEN));
    client.run("COMMIT");
    client.process(GOOD);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_pause"), 0);
}
