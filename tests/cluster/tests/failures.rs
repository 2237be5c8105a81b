//! What becomes of an event on which a plugin fails, and what the operator learns about it.

use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

const EVENT: &str = r#"{"event": "e", "properties": {"n": 1}}"#;

/// Fails in its thirteenth line; nothing above it is left as it is by the transpiler.
const TYPED: &str = "enum Colour {
    Red = 'red',
    Green = 'green',
}

interface Painted {
    colour: Colour
}

type Paint = (thing: Painted) => Colour

const paint: Paint = (thing: Painted): Colour => {
    return (thing as any).missing.colour satisfies Colour
}

export function processEvent(event: any): any {
    event.properties.half = true
    event.properties.colour = paint({ colour: Colour.Green })
    return event
}";

fn database(cluster: &Cluster, name: &str, on_error: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.add_plugin("typed", TYPED);
    client.run(&format!(
        "SELECT posthog_plugins.configure('typed', '{{}}', on_error => '{on_error}')"
    ));
    client.add_body("later", "event.later = true; return event");
    client
}

#[test]
fn pass_goes_on_with_the_event_as_it_then_is() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "pass", "pass");
    assert_eq!(
        client.process(EVENT).as_deref(),
        Some(r#"{"event": "e", "later": true, "properties": {"n": 1, "half": true}}"#)
    );
    let failure = client
        .query_one(
            "SELECT plugin, kind, message, stack, event::text, failures, team_id, label,
                    failed_at <= clock_timestamp(), config_id
               FROM posthog_plugins.failures",
            &[],
        )
        .unwrap();
    assert_eq!(failure.get::<_, &str>(0), "typed");
    assert_eq!(failure.get::<_, &str>(1), "threw");
    assert!(failure.get::<_, &str>(2).contains("undefined"), "{failure:?}");
    let stack: &str = failure.get(3);
    assert!(stack.contains("typed/index.ts:13:"), "{stack}");
    assert!(stack.contains("typed/index.ts:18:"), "{stack}");
    assert_eq!(failure.get::<_, &str>(4), r#"{"event": "e", "properties": {"n": 1}}"#);
    assert_eq!(failure.get::<_, i64>(5), 1);
    assert_eq!(failure.get::<_, Option<i32>>(6), None);
    assert_eq!(failure.get::<_, &str>(7), "");
    assert!(failure.get::<_, bool>(8));
    let same: bool = client.value(
        "SELECT f.message = c.last_error AND f.failed_at = c.last_error_at
           FROM posthog_plugins.failures AS f JOIN posthog_plugins.chain AS c USING (config_id)",
    );
    assert!(same);
    let line: String = client.value("SELECT source || ' ' || level FROM posthog_plugins.logs");
    assert_eq!(line, "PLUGIN ERROR");
}

#[test]
fn drop_discards_the_event() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "dropping", "drop");
    assert_eq!(client.process(EVENT), None);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.failures"), 1);
}

#[test]
fn raise_ends_the_statement_with_the_authors_line() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "raising", "raise");
    let error = client.refused(&format!("SELECT process_event('{EVENT}')"));
    assert_eq!(*error.code(), SqlState::EXTERNAL_ROUTINE_EXCEPTION);
    assert!(error.message().contains("\"typed\""), "{error:?}");
    let detail = error.detail().unwrap_or_default();
    assert!(detail.contains("typed/index.ts:13:"), "{detail}");
    // The rest of the transaction can be saved.
    client.run("BEGIN; SAVEPOINT s");
    client.refused(&format!("SELECT process_event('{EVENT}')"));
    client.run("ROLLBACK TO s; COMMIT");
    client.run("SELECT posthog_plugins.disable('typed')");
    assert!(client.process(EVENT).is_some());
}

#[test]
fn a_plugin_that_goes_on_failing_writes_few_rows() {
    let cluster = Cluster::start();
    let mut admin = database(&cluster, "rate", "pass");
    let mut client = cluster.connect("rate");
    let many = format!("SELECT count(process_event('{EVENT}')) FROM generate_series(1, 5000)");
    assert_eq!(client.value::<i64>(&many), 5000);
    let rows: i64 = admin.value("SELECT count(*) FROM posthog_plugins.plugin_error");
    assert!((1..=2).contains(&rows), "{rows} rows");
    // Each session tells of it once.
    let mut another = cluster.connect("rate");
    another.process(EVENT);
    assert_eq!(admin.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_error"), rows + 1);
    // Without an interval every failure is a row.
    client.run("SET posthog_plugins.error_interval = 0; TRUNCATE posthog_plugins.plugin_error");
    let some = format!("SELECT count(process_event('{EVENT}')) FROM generate_series(1, 100)");
    client.value::<i64>(&some);
    let (rows, told): (i64, i64) = {
        let row = admin
            .query_one(
                "SELECT count(*), sum(failures)::bigint FROM posthog_plugins.plugin_error",
                &[],
            )
            .unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!(rows, 100);
    // The first of them stands for those that were only counted.
    assert!(told > 5000, "{told}");
}

#[test]
fn a_changed_config_fails_anew() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "anew", "pass");
    client.process(EVENT);
    client.process(EVENT);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_error"), 1);
    client.run(r#"SELECT posthog_plugins.configure('typed', '{"changed": true}')"#);
    client.process(EVENT);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_error"), 2);
}

#[test]
fn marks_tell_which_plugins_worked() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "marks", "pass");
    client.run("SET posthog_plugins.mark_events = on");
    let forged = r#"{"event": "e", "properties": {"$plugins_succeeded": ["forged"]}}"#;
    let marks: String = client.value(&format!(
        "SELECT concat_ws(' ', p -> '$plugins_succeeded', p -> '$plugins_failed',
                          p -> '$plugins_deferred')
           FROM (SELECT process_event('{forged}') -> 'properties' AS p) AS processed"
    ));
    assert_eq!(marks, r#"["later (2)"] ["typed (1)"] []"#);
    client.run("SET posthog_plugins.mark_events = off");
    assert!(!client.process(EVENT).unwrap().contains("$plugins"));
}

#[test]
fn the_off_switch_lets_every_event_pass_unchanged() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "switched", "raise");
    client.run("SET posthog_plugins.enabled = off");
    assert_eq!(client.process(EVENT).as_deref(), Some(EVENT));
    assert_eq!(client.process("[1, 2]").as_deref(), Some("[1, 2]"));
    client.run("RESET posthog_plugins.enabled");
    client.refused(&format!("SELECT process_event('{EVENT}')"));
}

#[test]
fn snapshots_do_not_pass_plugins() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "snapshots", "raise");
    let snapshot = r#"{"event": "$snapshot", "properties": {}}"#;
    assert_eq!(client.process(snapshot).as_deref(), Some(snapshot));
}

#[test]
fn an_event_keeps_its_team() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("team");
    client.run("SET posthog_plugins.error_interval = 0");
    for (name, change) in [
        ("changes", "event.team_id = 8"),
        ("removes", "delete event.team_id"),
        ("retypes", "event.team_id = '7'"),
    ] {
        client.add_body(name, &format!("{change}; event.touched = true; return event"));
        let event = client.process(r#"{"event": "e", "team_id": 7}"#).unwrap();
        assert!(event.contains(r#""team_id": 7"#), "{name}: {event}");
        let kind: String = client.value("SELECT kind FROM posthog_plugins.failures LIMIT 1");
        assert_eq!(kind, "team changed", "{name}");
        client.run(&format!(
            "SELECT posthog_plugins.uninstall('{name}'); TRUNCATE posthog_plugins.plugin_error"
        ));
    }
}

#[test]
fn null_gives_null_and_what_is_no_object_is_refused() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "arguments", "pass");
    assert!(client.value::<bool>("SELECT process_event(NULL) IS NULL"));
    for event in ["[]", "1", "\"e\"", "null", "true", "[{}]"] {
        let code = client.refusal(&format!("SELECT process_event('{event}')"));
        assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE, "{event}");
    }
    assert_eq!(client.process("{}").as_deref(), Some(r#"{"later": true}"#));
}
