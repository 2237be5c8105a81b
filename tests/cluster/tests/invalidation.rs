//! Changes to plugins, seen from other sessions: after the commit, at the next statement, and
//! never otherwise.

use cluster::{Cluster, Session};
use postgres::Client;

const EVENT: &str = r#"{"event": "e", "distinct_id": "d"}"#;

/// A plugin that tells its version, its setting, its file and how many events its realm has met.
const TELLTALE: &str = "
    export function setupPlugin({ global }) { global.count = 0 }
    export function teardownPlugin({ config }) { console.log('torn down with ' + config.word) }
    export function processEvent(event, { attachments, config, global }) {
        const file = attachments.file ? attachments.file.contents.toString() : 'none'
        event.trail = [event.trail, 'VERSION', config.word, file, ++global.count]
            .filter((part) => part !== undefined).join(' ')
        return event
    }";

const MANIFEST: &str = r#"{"config": [
    {"key": "word", "type": "string", "default": "unset"},
    {"key": "file", "type": "attachment"}]}"#;

fn installed(version: &str) -> String {
    let source = TELLTALE.replace("VERSION", version);
    format!("SELECT posthog_plugins.install($source${source}$source$, '{MANIFEST}', 'telltale')")
}

/// A database with two sessions, of which the second has met one event.
fn two_sessions(cluster: &Cluster, name: &str) -> (Client, Client) {
    let mut admin = cluster.create_database(name);
    admin.run(&installed("v1"));
    admin.run("SELECT posthog_plugins.enable('telltale')");
    let mut client = cluster.connect(name);
    assert_eq!(trail(&mut client), "v1 unset none 1");
    (admin, client)
}

/// What the plugins of the chain told; empty without any.
#[track_caller]
fn trail(client: &mut Client) -> String {
    let told: Option<Option<String>> = client
        .query_opt("SELECT process_event($1::text::jsonb) ->> 'trail'", &[&EVENT])
        .unwrap()
        .map(|row| row.get(0));
    told.flatten().unwrap_or_default()
}

/// Every way to change something, with what the trail is afterwards. Each starts where the one
/// before has ended.
fn changes() -> Vec<(String, &'static str)> {
    let other = "export function processEvent(event) { event.trail = [event.trail, 'other']
                 .filter(Boolean).join(' '); return event }";
    [
        (installed("v2"), "v2 unset none 1"),
        (
            r#"SELECT posthog_plugins.configure('telltale', '{"word": "set"}')"#.into(),
            "v2 set none 1",
        ),
        (
            "SELECT posthog_plugins.set_attachment('telltale', 'file', 'f', 'text/plain', 'text')"
                .into(),
            "v2 set text 1",
        ),
        (
            format!(
                "SELECT posthog_plugins.install($s${other}$s$, '{{}}', 'other');
                 SELECT posthog_plugins.enable('other')"
            ),
            "v2 set text 2 other",
        ),
        ("SELECT posthog_plugins.move('other', 1)".into(), "other v2 set text 3"),
        ("SELECT posthog_plugins.disable('telltale')".into(), "other"),
        ("SELECT posthog_plugins.enable('telltale')".into(), "other v2 set text 1"),
        ("SELECT posthog_plugins.rollback('telltale')".into(), "other v1 set text 1"),
        ("SELECT posthog_plugins.uninstall('other')".into(), "v1 set text 2"),
        (
            "UPDATE posthog_plugins.plugin_config SET config = '{\"word\": \"direct\"}'".into(),
            "v1 direct text 1",
        ),
        (
            "UPDATE posthog_plugins.plugin_attachment SET contents = 'other text'".into(),
            "v1 direct other text 1",
        ),
        (
            "UPDATE posthog_plugins.plugin_version SET script = replace(script, 'v1', 'v9')".into(),
            "v9 direct other text 1",
        ),
        ("UPDATE posthog_plugins.plugin_config SET enabled = false, position = NULL".into(), ""),
        ("SELECT posthog_plugins.enable('telltale')".into(), "v9 direct other text 1"),
        ("DELETE FROM posthog_plugins.plugin_attachment".into(), "v9 direct none 1"),
        ("SELECT posthog_plugins.uninstall('telltale')".into(), ""),
    ]
    .into()
}

/// The trail without the count of events in it.
fn without_count(trail: &str) -> String {
    let words = trail.split(' ').filter(|word| word.parse::<u32>().is_err());
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_change_is_seen_by_the_next_statement_of_another_session() {
    let cluster = Cluster::start();
    let (mut admin, mut client) = two_sessions(&cluster, "changes");
    for (change, after) in changes() {
        admin.run(&change);
        assert_eq!(trail(&mut client), after, "after {change}");
    }
    admin.run(&installed("v3"));
    admin.run("SELECT posthog_plugins.enable('telltale')");
    assert_eq!(trail(&mut client), "v3 unset none 1");
    // Not among the changes: it would wait for every transaction that has met an event.
    admin.run("TRUNCATE posthog_plugins.plugin");
    assert_eq!(trail(&mut client), "");
}

#[test]
fn a_read_committed_transaction_sees_a_change_at_its_next_statement() {
    let cluster = Cluster::start();
    let (mut admin, mut client) = two_sessions(&cluster, "block");
    client.run("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT count(*) FROM pg_class");
    for (change, after) in changes() {
        admin.run(&change);
        assert_eq!(trail(&mut client), after, "after {change}");
    }
    client.run("COMMIT");
}

#[test]
fn a_prepared_statement_sees_every_change() {
    let cluster = Cluster::start();
    let (mut admin, mut client) = two_sessions(&cluster, "prepared");
    client.run("SET plan_cache_mode = force_generic_plan");
    let statement = client.prepare("SELECT process_event($1::text::jsonb) ->> 'trail'").unwrap();
    for in_transaction in [false, true] {
        admin.run(&installed("v1"));
        admin.run(
            "SELECT posthog_plugins.configure('telltale', '{}');
             SELECT posthog_plugins.enable('telltale')",
        );
        if in_transaction {
            client.run("BEGIN");
        }
        for (change, after) in changes() {
            admin.run(&change);
            let told: Option<String> = client.query_one(&statement, &[&EVENT]).unwrap().get(0);
            assert_eq!(told.unwrap_or_default(), after, "after {change}");
        }
    }
}

#[test]
fn a_trigger_in_a_transaction_sees_every_change() {
    let cluster = Cluster::start();
    let (mut admin, mut client) = two_sessions(&cluster, "triggers");
    client.run(
        "CREATE TABLE events (data jsonb);
         CREATE FUNCTION run_plugins() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             NEW.data := process_event(NEW.data);
             RETURN CASE WHEN NEW.data IS NOT NULL THEN NEW END;
         END $$;
         CREATE TRIGGER run_plugins BEFORE INSERT ON events
             FOR EACH ROW EXECUTE FUNCTION run_plugins();
         BEGIN",
    );
    let insert = format!("INSERT INTO events VALUES ('{EVENT}') RETURNING data ->> 'trail'");
    let insert = client.prepare(&insert).unwrap();
    let first: Option<String> = client.query_one(&insert, &[]).unwrap().get(0);
    assert_eq!(first.as_deref(), Some("v1 unset none 2"));
    for (change, after) in changes() {
        admin.run(&change);
        let told: Option<String> = client.query_one(&insert, &[]).unwrap().get(0);
        assert_eq!(told.unwrap_or_default(), after, "after {change}");
    }
}

#[test]
fn nothing_is_seen_before_the_commit_or_after_a_rollback() {
    let cluster = Cluster::start();
    let (mut admin, mut client) = two_sessions(&cluster, "uncommitted");
    let mut before = trail(&mut client);
    for (change, after) in changes() {
        admin.run("BEGIN");
        admin.run(&change);
        let own = trail(&mut admin);
        assert_eq!(without_count(&own), without_count(after), "the own session after {change}");
        let other = trail(&mut client);
        assert_eq!(without_count(&other), without_count(&before), "before the commit of {change}");
        admin.run("ROLLBACK");
        for (whose, session) in [("another", &mut client), ("the own", &mut admin)] {
            let told = trail(session);
            assert_eq!(
                without_count(&told),
                without_count(&before),
                "{whose} session after the rollback of {change}"
            );
        }
        admin.run(&change);
        before = trail(&mut client);
        assert_eq!(without_count(&before), without_count(after), "after the commit of {change}");
    }
}

#[test]
fn the_own_session_is_back_after_rollback_to_a_savepoint() {
    let cluster = Cluster::start();
    let (mut admin, _client) = two_sessions(&cluster, "savepoints");
    let mut before = trail(&mut admin);
    for (change, after) in changes() {
        admin.run("BEGIN; SAVEPOINT s");
        admin.run(&change);
        assert_eq!(without_count(&trail(&mut admin)), without_count(after), "after {change}");
        admin.run("ROLLBACK TO s");
        let back = trail(&mut admin);
        assert_eq!(without_count(&back), without_count(&before), "after the rollback of {change}");
        admin.run("COMMIT");
        let committed = trail(&mut admin);
        assert_eq!(without_count(&committed), without_count(&before), "later, without {change}");
        admin.run(&change);
        before = trail(&mut admin);
    }
}

#[test]
fn a_repeatable_read_transaction_gets_the_newest_chain_when_it_is_over() {
    let cluster = Cluster::start();
    let (mut admin, mut client) = two_sessions(&cluster, "repeatable");
    for (change, after) in changes() {
        client.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class");
        let before = trail(&mut client);
        admin.run(&change);
        let during = trail(&mut client);
        let allowed = [without_count(&before), without_count(after)];
        assert!(allowed.contains(&without_count(&during)), "{during} during {change}");
        client.run("COMMIT");
        assert_eq!(without_count(&trail(&mut client)), without_count(after), "after {change}");
    }
}

#[test]
fn the_global_of_a_plugin_survives_changes_of_others_and_not_its_own() {
    let cluster = Cluster::start();
    let (mut admin, mut client) = two_sessions(&cluster, "globals");
    admin.add_body("other", "return event");
    assert_eq!(trail(&mut client), "v1 unset none 2");
    admin.run("SELECT posthog_plugins.move('other', 1)");
    assert_eq!(trail(&mut client), "v1 unset none 3");
    admin.run("SELECT posthog_plugins.disable('other')");
    assert_eq!(trail(&mut client), "v1 unset none 4");
    admin.run("SELECT posthog_plugins.uninstall('other')");
    assert_eq!(trail(&mut client), "v1 unset none 5");
    admin.run(r#"SELECT posthog_plugins.configure('telltale', '{"word": "unset"}')"#);
    let same_settings = trail(&mut client);
    assert_eq!(without_count(&same_settings), "v1 unset none");
    admin.run(r#"SELECT posthog_plugins.configure('telltale', '{"word": "new"}')"#);
    assert_eq!(trail(&mut client), "v1 new none 1");
}

#[test]
fn teardown_runs_in_the_sessions_that_had_a_realm_when_it_ends() {
    let cluster = Cluster::start();
    let (mut admin, mut client) = two_sessions(&cluster, "teardown");
    let torn_down = || -> Vec<String> {
        let mut watcher = cluster.connect("teardown");
        let lines = watcher.column("SELECT message FROM posthog_plugins.plugin_log ORDER BY id");
        watcher.run("TRUNCATE posthog_plugins.plugin_log");
        lines
    };
    // The session that changes something has no realm, so there is nothing to tear down in it.
    admin.run(r#"SELECT posthog_plugins.configure('telltale', '{"word": "a"}')"#);
    assert_eq!(torn_down(), [""; 0]);
    assert_eq!(trail(&mut client), "v1 a none 1");
    assert_eq!(torn_down(), ["torn down with unset"]);
    // It has one now, and the change is its own.
    assert_eq!(trail(&mut admin), "v1 a none 1");
    admin.run(&installed("v2"));
    assert_eq!(torn_down(), ["torn down with a"]);
    assert_eq!(trail(&mut client), "v2 a none 1");
    assert_eq!(torn_down(), ["torn down with a"]);
    admin.add_body("other", "return event");
    assert_eq!(trail(&mut client), "v2 a none 2");
    assert_eq!(torn_down(), [""; 0]);
    admin.run("SELECT posthog_plugins.disable('telltale')");
    assert_eq!(trail(&mut client), "");
    assert_eq!(torn_down(), ["torn down with a"]);
    admin.run("SELECT posthog_plugins.enable('telltale')");
    assert_eq!(trail(&mut client), "v2 a none 1");
    admin.run("SELECT posthog_plugins.uninstall('telltale')");
    assert_eq!(trail(&mut client), "");
    assert_eq!(torn_down(), ["torn down with a"]);
    // A session that only ends tears nothing down.
    admin.run(&installed("v1"));
    admin.run("SELECT posthog_plugins.enable('telltale')");
    assert_eq!(trail(&mut client), "v1 unset none 1");
    drop(client);
    assert_eq!(torn_down(), [""; 0]);
}

#[test]
fn a_session_that_outlives_the_extension_sees_the_changes_to_its_successor() {
    let cluster = Cluster::start();
    let (mut admin, mut client) = two_sessions(&cluster, "successor");
    admin.run("DROP EXTENSION posthog_plugins; CREATE EXTENSION posthog_plugins");
    assert_eq!(trail(&mut client), "");
    for change in [installed("v2"), "SELECT posthog_plugins.enable('telltale')".to_owned()] {
        admin.run(&change);
    }
    assert_eq!(trail(&mut client), "v2 unset none 1");
    admin.run("SELECT posthog_plugins.disable('telltale')");
    assert_eq!(trail(&mut client), "");
}

/// What `--disable-triggers` makes pg_restore do, table by table.
#[test]
fn a_change_under_disabled_triggers_is_seen() {
    let cluster = Cluster::start();
    let (mut admin, mut client) = two_sessions(&cluster, "restoring");
    for (table, change, after) in [
        (
            "plugin_version",
            "UPDATE posthog_plugins.plugin_version SET script = replace(script, 'v1', 'v9')",
            "v9 unset none 1",
        ),
        (
            "plugin_secret",
            "INSERT INTO posthog_plugins.plugin_secret
                 SELECT id, 'word', '\"secret\"' FROM posthog_plugins.plugin_config",
            "v9 secret none 1",
        ),
        (
            "plugin_attachment",
            "INSERT INTO posthog_plugins.plugin_attachment
                 SELECT id, 'file', 'f', 'text/plain', 'text' FROM posthog_plugins.plugin_config",
            "v9 secret text 1",
        ),
        ("plugin_config", "DELETE FROM posthog_plugins.plugin_config", ""),
    ] {
        let triggers = format!("ALTER TABLE posthog_plugins.{table} DISABLE TRIGGER ALL");
        admin.run(&triggers);
        trail(&mut client);
        admin.run(change);
        admin.run(&triggers.replace("DISABLE", "ENABLE"));
        assert_eq!(trail(&mut client), after, "after {change}");
    }
}
