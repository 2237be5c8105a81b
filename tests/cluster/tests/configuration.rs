//! Configuring: what a manifest promises is what a plugin gets, and secrets stay secret.

use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

const MANIFEST: &str = r#"{"name": "Fields", "config": [
    {"key": "needed", "type": "string", "required": true},
    {"key": "preset", "type": "string", "default": "from the manifest"},
    {"key": "pick", "type": "choice", "choices": ["one", "two"], "default": "one"},
    {"key": "tree", "type": "json"},
    {"key": "words", "type": "dictionary"},
    {"key": "token", "type": "string", "secret": true}]}"#;

/// Shows its settings in the event.
const SHOWS: &str = "export function processEvent(event, { config }) {
    event.config = config
    return event
}";

fn database(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    install(&mut client, SHOWS, MANIFEST);
    client
}

fn install(client: &mut Client, source: &str, manifest: &str) {
    client
        .query(
            "SELECT posthog_plugins.install($1, $2::text::jsonb, 'fields')",
            &[&source, &manifest],
        )
        .unwrap_or_else(|error| panic!("{manifest}: {error:?}"));
}

fn configure(client: &mut Client, config: &str) {
    client
        .query("SELECT posthog_plugins.configure('fields', $1::text::jsonb)", &[&config])
        .unwrap_or_else(|error| panic!("{config}: {error:?}"));
}

/// What the plugin was configured with, as it tells itself.
#[track_caller]
fn is_configured_with(client: &mut Client, expected: &str) {
    let row = client
        .query_one(
            r#"SELECT config = $1::text::jsonb, config::text
                 FROM (SELECT process_event('{"event": "e"}') -> 'config' AS config) AS processed"#,
            &[&expected],
        )
        .unwrap();
    let found: Option<String> = row.get(1);
    assert_eq!(row.get::<_, Option<bool>>(0), Some(true), "expected {expected}, found {found:?}");
}

#[test]
fn what_is_not_configured_comes_from_the_manifest() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "defaults");
    configure(&mut client, r#"{"needed": "a"}"#);
    client.run("SELECT posthog_plugins.enable('fields')");
    is_configured_with(
        &mut client,
        r#"{"needed": "a", "preset": "from the manifest", "pick": "one"}"#,
    );
    configure(
        &mut client,
        r#"{"needed": "b", "preset": "", "pick": "two", "tree": "[1, {}]", "words": {"a": "b"},
            "unheard": [1]}"#,
    );
    is_configured_with(
        &mut client,
        r#"{"needed": "b", "preset": "", "pick": "two", "tree": "[1, {}]", "words": {"a": "b"},
            "unheard": [1]}"#,
    );
    // All at once, not key by key: what is left out is as if it had never been set.
    configure(&mut client, r#"{"needed": "c", "preset": null}"#);
    is_configured_with(
        &mut client,
        r#"{"needed": "c", "preset": "from the manifest", "pick": "one"}"#,
    );
}

#[test]
fn what_the_manifest_does_not_allow_is_refused_with_the_key() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "refused");
    for (config, key) in [
        (r#"{}"#, "needed"),
        (r#"{"needed": null}"#, "needed"),
        (r#"{"needed": ""}"#, "needed"),
        (r#"{"needed": 1}"#, "needed"),
        (r#"{"needed": "a", "preset": []}"#, "preset"),
        (r#"{"needed": "a", "pick": "three"}"#, "pick"),
        (r#"{"needed": "a", "pick": 1}"#, "pick"),
        (r#"{"needed": "a", "tree": "{"}"#, "tree"),
        (r#"{"needed": "a", "words": "b"}"#, "words"),
        (r#"{"needed": "a", "words": {"b": 1}}"#, "words"),
        (r#"{"needed": "a", "token": {"b": "hush"}}"#, "token"),
    ] {
        let error =
            client.refused(&format!("SELECT posthog_plugins.configure('fields', '{config}')"));
        assert_eq!(*error.code(), SqlState::INVALID_PARAMETER_VALUE, "{config}");
        assert!(error.message().contains(&format!("\"{key}\"")), "{config}: {error:?}");
    }
    for (call, code) in [
        ("enable('fields')", SqlState::INVALID_PARAMETER_VALUE),
        ("configure('fields', '[]')", SqlState::INVALID_PARAMETER_VALUE),
        (
            r#"configure('fields', '{"needed": "a"}', on_error => 'explode')"#,
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        ("configure('nobody', '{}')", SqlState::UNDEFINED_OBJECT),
        ("enable('nobody')", SqlState::UNDEFINED_OBJECT),
        ("disable('fields')", SqlState::UNDEFINED_OBJECT),
        ("move('fields', 1)", SqlState::UNDEFINED_OBJECT),
        ("set_attachment('fields', 'needed', 'f', 't', 'x')", SqlState::UNDEFINED_OBJECT),
    ] {
        assert_eq!(client.refusal(&format!("SELECT posthog_plugins.{call}")), code, "{call}");
    }
    configure(&mut client, r#"{"needed": "a"}"#);
    let disabled = client.refusal("SELECT posthog_plugins.move('fields', 1)");
    assert_eq!(disabled, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    client.run("SELECT posthog_plugins.enable('fields')");
    let before_the_first = client.refusal("SELECT posthog_plugins.move('fields', 0)");
    assert_eq!(before_the_first, SqlState::INVALID_PARAMETER_VALUE);
    assert_eq!(client.value::<i32>("SELECT posthog_plugins.move('fields', 99)"), 1);
    assert_eq!(client.value::<i32>("SELECT posthog_plugins.enable('fields')"), 1);
}

#[test]
fn a_required_attachment_is_asked_for_when_it_is_enabled() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("attachments");
    install(
        &mut client,
        "export function processEvent(event, { attachments }) {
             event.file = { ...attachments.file, contents: attachments.file.contents.toString() }
             return event
         }",
        r#"{"config": [{"key": "file", "type": "attachment", "required": true}]}"#,
    );
    configure(&mut client, "{}");
    let error = client.refused("SELECT posthog_plugins.enable('fields')");
    assert_eq!(*error.code(), SqlState::INVALID_PARAMETER_VALUE);
    assert!(error.message().contains("\"file\""), "{error:?}");
    client.run(
        "SELECT posthog_plugins.set_attachment('fields', 'file', 'a.txt', 'text/plain', 'Äpfel');
         SELECT posthog_plugins.enable('fields')",
    );
    let event = client.process(r#"{"event": "e"}"#).unwrap();
    let file =
        r#""file": {"contents": "Äpfel", "file_name": "a.txt", "content_type": "text/plain"}"#;
    assert!(event.contains(file), "{event}");
    let inline = client.refusal(r#"SELECT posthog_plugins.configure('fields', '{"file": "x"}')"#);
    assert_eq!(inline, SqlState::INVALID_PARAMETER_VALUE);
}

#[test]
fn a_secret_is_never_shown() {
    const SECRET: &str = "hunter2-is-not-it";
    let cluster =
        Cluster::start_with(&[("log_min_messages", "debug1"), ("log_statement", "'none'")]);
    let mut client = cluster.create_database("secrets");
    client.run("SET log_min_error_statement = 'panic'; SET posthog_plugins.error_interval = 0");
    install(
        &mut client,
        "export function processEvent(event, { config }) {
             console.log('the token is ' + config.token)
             console.error({ config }, [config.token])
             if (event.event === 'fine') { event.used = config.token.length; return event }
             if (event.event === 'reject') return Promise.reject(config.token)
             throw new Error('cannot use ' + config.token)
         }",
        MANIFEST,
    );
    configure(&mut client, &format!(r#"{{"needed": "a", "token": "{SECRET}"}}"#));
    client.run("SELECT posthog_plugins.enable('fields')");
    let used = client.process(r#"{"event": "fine"}"#).unwrap();
    assert!(used.contains(&format!(r#""used": {}"#, SECRET.len())), "{used}");
    client.process(r#"{"event": "throw"}"#);
    client.process(r#"{"event": "reject"}"#);
    // What is logged by a transaction that fails goes to the server's log.
    client.run(r#"BEGIN; SELECT process_event('{"event": "throw"}'); ROLLBACK"#);
    configure(&mut client, r#"{"needed": "stays"}"#);
    client.process(r#"{"event": "fine"}"#);
    client.run(
        r#"SELECT posthog_plugins.configure('fields', '{"needed": "a"}', on_error => 'raise')"#,
    );
    for event in ["throw", "reject"] {
        let error = client.refused(&format!(r#"SELECT process_event('{{"event": "{event}"}}')"#));
        assert_eq!(*error.code(), SqlState::EXTERNAL_ROUTINE_EXCEPTION);
        assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    }
    assert!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.logs") > 6);
    assert!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.failures") >= 2);
    let relations = client.column::<String>(
        "SELECT oid::regclass::text FROM pg_class
          WHERE relkind IN ('r', 'v') AND relnamespace = 'posthog_plugins'::regnamespace",
    );
    for relation in relations {
        let rows: Option<String> =
            client.value(&format!("SELECT string_agg(r::text, e'\\n') FROM {relation} AS r"));
        let shown = rows.unwrap_or_default().contains(SECRET);
        assert_eq!(shown, relation == "posthog_plugins.plugin_secret", "{relation}");
    }
    let masked: String = client.value("SELECT config ->> 'token' FROM posthog_plugins.configs");
    assert_eq!(masked, "********");
    assert!(!cluster.log().contains(SECRET));
}

#[test]
fn a_secret_is_not_shown_as_json_in_parts_or_by_default() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("spellings");
    install(
        &mut client,
        "export function processEvent(event, { config }) {
             console.log({ config }, JSON.stringify(config))
             console.log(JSON.parse(config.account).private_key)
             return event
         }",
        r#"{"config": [
            {"key": "pem", "type": "string", "secret": true},
            {"key": "account", "type": "json", "secret": true},
            {"key": "preset", "type": "string", "secret": true, "default": "in-the-manifest"}]}"#,
    );
    configure(
        &mut client,
        r#"{"pem": "-----BEGIN-----\nin-the-pem\n", "account": {"private_key": "in-the-json"}}"#,
    );
    client.run("SELECT posthog_plugins.enable('fields')");
    client.process(r#"{"event": "e"}"#);
    let lines = client.column::<String>("SELECT message FROM posthog_plugins.logs").concat();
    for secret in ["in-the-pem", "in-the-json", "in-the-manifest"] {
        assert!(!lines.contains(secret), "{secret}: {lines}");
    }
}

#[test]
fn a_secret_that_is_not_given_stays() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "stays");
    configure(&mut client, r#"{"needed": "a", "token": "t"}"#);
    client.run("SELECT posthog_plugins.enable('fields')");
    let with_token = |needed: &str, token: &str| {
        format!(
            r#"{{"needed": "{needed}", "preset": "from the manifest", "pick": "one",
                 "token": "{token}"}}"#
        )
    };
    is_configured_with(&mut client, &with_token("a", "t"));
    configure(&mut client, r#"{"needed": "b"}"#);
    is_configured_with(&mut client, &with_token("b", "t"));
    configure(&mut client, r#"{"needed": "c", "token": null}"#);
    is_configured_with(&mut client, &with_token("c", "t"));
    configure(&mut client, r#"{"needed": "d", "token": "u"}"#);
    is_configured_with(&mut client, &with_token("d", "u"));
}

#[test]
fn a_field_that_becomes_secret_moves_out_of_the_config() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "moves");
    configure(&mut client, r#"{"needed": "password"}"#);
    client.run("SELECT posthog_plugins.enable('fields')");
    let secret = r#"{"config": [
        {"key": "needed", "type": "string", "required": true, "secret": true}]}"#;
    install(&mut client, SHOWS, secret);
    is_configured_with(&mut client, r#"{"needed": "password"}"#);
    let stored: String = client.value("SELECT config::text FROM posthog_plugins.plugin_config");
    assert_eq!(stored, "{}");
    let shown: String = client.value("SELECT config ->> 'needed' FROM posthog_plugins.configs");
    assert_eq!(shown, "********");
}

#[test]
fn a_field_that_is_no_longer_secret_takes_a_new_value() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "opens");
    let secret = r#"{"config": [{"key": "needed", "type": "string", "secret": true}]}"#;
    install(&mut client, SHOWS, secret);
    configure(&mut client, r#"{"needed": "password"}"#);
    client
        .run("SELECT posthog_plugins.rollback('fields'); SELECT posthog_plugins.enable('fields')");
    configure(&mut client, r#"{"needed": "open"}"#);
    is_configured_with(
        &mut client,
        r#"{"needed": "open", "preset": "from the manifest", "pick": "one"}"#,
    );
}

#[test]
fn an_event_meets_the_configs_of_its_team_and_those_of_all() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("teams");
    install(
        &mut client,
        "export function processEvent(event, { config }) {
             event.met = [event.met, config.word].filter(Boolean).join(' ')
             return event
         }",
        r#"{"config": [{"key": "word", "type": "string"}]}"#,
    );
    for (word, target) in [
        ("all", "NULL"),
        ("one", "1"),
        ("one-again", "1, 'second'"),
        ("two", "2"),
        ("all-again", "NULL, 'second'"),
    ] {
        client.run(&format!(
            r#"SELECT posthog_plugins.configure('fields', '{{"word": "{word}"}}', {target});
               SELECT posthog_plugins.enable('fields', {target})"#
        ));
    }
    let mut met = |team: &str| -> Option<String> {
        client.value(&format!(
            r#"SELECT process_event('{{"event": "e", "team_id": {team}}}') ->> 'met'"#
        ))
    };
    for (team, words) in [
        ("1", "all one one-again all-again"),
        ("2", "all two all-again"),
        ("3", "all all-again"),
        ("null", "all all-again"),
        ("\"1\"", "all all-again"),
        ("1.5", "all all-again"),
        ("1.0", "all one one-again all-again"),
        ("4294967297", "all all-again"),
    ] {
        assert_eq!(met(team).as_deref(), Some(words), "team {team}");
    }
    client.run(
        "SELECT posthog_plugins.disable('fields', 1);
         SELECT posthog_plugins.move('fields', 1, NULL, 'second')",
    );
    let mut met = |event: &str| {
        client.value::<Option<String>>(&format!("SELECT process_event('{event}') ->> 'met'"))
    };
    assert_eq!(met(r#"{"event": "e", "team_id": 1}"#).as_deref(), Some("all-again all one-again"));
    assert_eq!(met(r#"{"event": "e"}"#).as_deref(), Some("all-again all"));
}
