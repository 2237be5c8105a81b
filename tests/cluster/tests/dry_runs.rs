//! Dry runs: they show what would happen, and nothing happens.

use std::fs;
use std::time::{Duration, Instant};

use cluster::counter::{database, first, texts};
use cluster::{Cluster, Session, Shutdown};
use postgres::Client;
use postgres::error::SqlState;

/// One call of each function, for a database with a table "events".
const CALLS: [&str; 8] = [
    r#"test('counter', '{"event": "e"}')"#,
    r#"test('counter', '{"event": "fail"}')"#,
    r#"test('counter', '{"event": "e"}', '{}')"#,
    r#"test_source('export function processEvent(e) { e.x = 1; return e }', '{}')"#,
    r#"test_source('export function onEvent() {}', '{}', method => 'onEvent')"#,
    r#"explain('{"event": "e"}')"#,
    r#"run_cases('counter', '[{"event": {"event": "drop"}}]')"#,
    "backtest('counter', 'events')",
];

#[test]
fn a_dry_run_shows_what_a_plugin_does() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "shows");
    let call = r#"test('counter', '{"event": "e", "length": 8.00}')"#;
    let row = first(&mut client, "outcome, changes, logs, error, milliseconds >= 0", call);
    let changes = r#"[{"op": "add", "path": "name", "after": "Ada"}, "#.to_owned()
        + r#"{"op": "add", "path": "count", "after": 1}, "#
        + r#"{"op": "add", "path": "files", "after": ["file"]}]"#;
    assert_eq!(
        texts(&row),
        [
            "changed",
            &changes,
            r#"[{"level": "LOG", "message": "seen 1 ********"}]"#,
            "NULL",
            "true"
        ]
    );
    let row = first(&mut client, "outcome, result", r#"test('counter', '{"event": "drop"}')"#);
    assert_eq!(texts(&row), ["dropped", "NULL"]);
    let call = r#"test('counter', '{"event": "fail"}')"#;
    let row = first(&mut client, "outcome, result, error, stack", call);
    assert_eq!(
        texts(&row),
        [
            "failed",
            r#"{"half": true, "event": "fail"}"#,
            "Error: no ********",
            "at processEvent (counter/index.ts:8:33)"
        ]
    );
    client.run("SELECT posthog_plugins.install('export function onEvent() {}', '{}', 'idle')");
    let call = r#"test('idle', '{"n": 1.50, "big": 123456789012345678901234567890}')"#;
    let row = first(&mut client, "outcome, result", call);
    let event = r#"{"n": 1.50, "big": 123456789012345678901234567890}"#;
    assert_eq!(texts(&row), ["unchanged", event]);
}

#[test]
fn functions_that_see_stored_events_are_tried_as_well() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "delivered");
    client.run(
        r#"SELECT posthog_plugins.install($js$
            const post = async (path, body) => {
                const response = await fetch('https://h/' + path, { method: 'POST', body })
                if (response.status === 503) throw new RetryError('busy')
                if (!response.ok) throw new Error(`status ${response.status}`)
            }
            export const setupPlugin = ({ global, config }) => { global.set = config.key }
            export const onEvent = (event) => post('event', JSON.stringify([event.event, event.elements]))
            export const exportEvents = (events) => post('batch', `${events.length} ${events[0]?.event}`)
            export const composeWebhook = ({ event, timestamp }, { global }) =>
                event === 'none' ? null : { url: 'https://h/?key=' + global.set, body: timestamp.toISOString() }
            export const getSettings = () => ({ handlesLargeBatches: true })
            export const jobs = { send: (payload) => post('job', Buffer.from([0xff, payload.n])) }
            export const runEveryHour = async ({ jobs, storage }) => {
                await storage.set('k', 1)
                await new Promise((resolve) => setTimeout(resolve, 20))
                await jobs.send({ n: 1 }).runNow()
            }
            export const teardownPlugin = () => { console.log('bye') }
        $js$, '{"name": "Sender", "config": [{"key": "key", "type": "string", "secret": true}]}');
        SELECT posthog_plugins.configure('sender', '{"key": "hunter22"}')"#,
    );
    let mut tried = |method: &str, event: &str, status: i32| {
        let call = format!(
            "test('sender', '{event}', method => '{method}',
                  responses => '{{\"https://h/*\": {{\"status\": {status}}}}}')"
        );
        let row = first(&mut client, "outcome, result, logs, error", &call);
        texts(&row).into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let bye = r#"[{"level": "LOG", "message": "bye"}]"#;
    let event = r#"{"event": "e", "timestamp": "2026-01-02T03:04:05Z"}"#;
    let requests = |path: &str, body: &str| {
        format!(
            r#"{{"requests": [{{"url": "https://h/{path}", {body}, "method": "POST", "headers": {{"content-type": "text/plain;charset=UTF-8"}}}}]}}"#
        )
    };
    let sent = requests("event", r#""body": ["e", []]"#);
    assert_eq!(tried("onEvent", event, 200), ["done", &sent, bye, "NULL"]);
    assert_eq!(tried("onEvent", event, 503), ["retry", &sent, bye, "RetryError: busy"]);
    assert_eq!(tried("onEvent", event, 404), ["failed", &sent, bye, "Error: status 404"]);
    let sent = requests("batch", r#""body": "2 a""#);
    let events = r#"[{"event": "a"}, {"event": "b"}]"#;
    assert_eq!(tried("exportEvents", events, 200), ["done", &sent, bye, "NULL"]);
    let sent = requests("batch", r#""body": "1 e""#);
    assert_eq!(tried("exportEvents", event, 200), ["done", &sent, bye, "NULL"]);
    let webhook = r#"{"webhook": {"url": "https://h/?key=********", "body": "2026-01-02T03:04:05.000Z", "method": "POST", "headers": {"content-type": "application/json"}}}"#;
    assert_eq!(tried("composeWebhook", event, 500), ["done", webhook, bye, "NULL"]);
    assert_eq!(tried("composeWebhook", r#"{"event": "none"}"#, 500), ["done", "{}", bye, "NULL"]);
    let settings = r#"{"settings": {"handlesLargeBatches": true}}"#;
    assert_eq!(tried("getSettings", "{}", 500), ["done", settings, bye, "NULL"]);
    let sent = r#"{"requests": [{"url": "https://h/job", "base64": "/wc=", "method": "POST"}]}"#;
    assert_eq!(tried("jobs.send", r#"{"n": 7}"#, 200), ["done", sent, bye, "NULL"]);
    let left = r#"[{"level": "INFO", "message": "job send: {\"n\":1}"}, {"level": "LOG", "message": "bye"}]"#;
    assert_eq!(tried("runEveryHour", "{}", 200), ["done", "{}", left, "NULL"]);
    let missing = "the plugin has no runEveryDay";
    assert_eq!(tried("runEveryDay", "{}", 200), ["failed", "{}", bye, missing]);
    let stored: i64 = client.value("SELECT count(*) FROM posthog_plugins.plugin_storage");
    let jobs: i64 = client.value("SELECT count(*) FROM posthog_plugins.jobs");
    assert_eq!((stored, jobs), (0, 0));
}

#[test]
fn what_a_dry_run_cannot_call_is_refused() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "methods");
    for method in ["", "setupPlugin", "ONEVENT", "jobs.", "runEveryWeek"] {
        let call = format!("SELECT posthog_plugins.test('counter', '{{}}', method => '{method}')");
        let error = client.batch_execute(&call).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{method}");
    }
    for (method, event) in [("onEvent", "[]"), ("exportEvents", "[1]"), ("composeWebhook", "null")]
    {
        let call =
            format!("SELECT posthog_plugins.test('counter', '{event}', method => '{method}')");
        assert!(client.batch_execute(&call).is_err(), "{method} {event}");
    }
    // A setup that fails, and one that takes its time.
    for (setup, outcome) in [
        ("throw new Error('no key')", "failed"),
        ("throw new RetryError('later')", "retry"),
        ("await new Promise((resolve) => setTimeout(resolve, 30))", "done"),
    ] {
        let source = format!(
            "export async function setupPlugin() {{ {setup} }} export function onEvent() {{}}"
        );
        let call = format!("test_source($js${source}$js$, '{{}}', method => 'onEvent')");
        assert_eq!(texts(&first(&mut client, "outcome", &call)), [outcome], "{setup}");
    }
}

#[test]
fn a_dry_run_of_a_call_that_waits_can_be_cancelled() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "cancelled");
    client.run("SET statement_timeout = '300ms'");
    let begin = Instant::now();
    for body in ["await new Promise(() => {})", "for (;;) await null", "for (;;);"] {
        let call = format!(
            "SELECT posthog_plugins.test_source('export async function onEvent() {{ {body} }}', \
             '{{}}', method => 'onEvent')"
        );
        let error = client.batch_execute(&call).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{body}");
    }
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_dry_run_writes_nothing_and_touches_no_live_realm() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "nothing");
    client.run(
        "SELECT posthog_plugins.enable('counter');
         CREATE TABLE events (id int PRIMARY KEY, event text);
         INSERT INTO events VALUES (1, 'e'), (2, 'fail'), (3, 'drop');",
    );
    let count = |client: &mut Client| {
        let event = client.process(r#"{"event": "e"}"#).unwrap();
        client.run("DELETE FROM posthog_plugins.plugin_log");
        event.split("\"count\": ").nth(1).unwrap()[..1].to_owned()
    };
    assert_eq!(count(&mut client), "1");
    client.run("BEGIN READ ONLY");
    for call in CALLS {
        let rows: i64 = client.value(&format!("SELECT count(*) FROM posthog_plugins.{call}"));
        assert!(rows > 0, "{call}");
    }
    client.run("COMMIT; BEGIN");
    for call in CALLS {
        client.run(&format!("SELECT FROM posthog_plugins.{call}"));
    }
    assert!(client.value::<bool>("SELECT pg_current_xact_id_if_assigned() IS NULL"));
    client.run("COMMIT");
    for table in ["plugin_log", "plugin_error"] {
        let rows: i64 = client.value(&format!("SELECT count(*) FROM posthog_plugins.{table}"));
        assert_eq!(rows, 0, "{table}");
    }
    assert_eq!(count(&mut client), "2");
}

#[test]
fn dry_runs_work_on_a_standby() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "standby");
    client.run(
        "SELECT posthog_plugins.enable('counter');
         CREATE TABLE events AS SELECT 'e' AS event",
    );
    // Nothing follows from a primary, which does not matter here.
    fs::write(cluster.socket_directory().join("data/standby.signal"), "").unwrap();
    cluster.restart(Shutdown::Fast);
    let mut client = cluster.connect("standby");
    assert!(client.value::<bool>("SELECT pg_is_in_recovery()"));
    for call in CALLS {
        client.run(&format!("SELECT FROM posthog_plugins.{call}"));
    }
}

#[test]
fn other_versions_and_configs_can_be_tried() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "versions");
    client.run(
        "SELECT posthog_plugins.install('export function processEvent(e) { e.new = 1; return e }',
                                        '{\"name\": \"Counter\"}')",
    );
    let row = first(&mut client, "result", "test('counter', '{}')");
    assert_eq!(texts(&row), [r#"{"new": 1}"#]);
    let row = first(&mut client, "result ->> 'name'", "test('counter', '{}', version => 1)");
    assert_eq!(texts(&row), ["Ada"]);
    // A given config has nothing of the stored one: neither settings nor secrets nor files.
    let columns = "result ->> 'name', result -> 'length', result -> 'files'";
    let row = first(&mut client, columns, "test('counter', '{}', '{}', version => 1)");
    assert_eq!(texts(&row), ["nobody", "0", "[]"]);
    let call = r#"test('counter', '{}', '{"password": "verysecret"}', version => 1)"#;
    let row = first(&mut client, "logs -> 0 ->> 'message', result -> 'length'", call);
    assert_eq!(texts(&row), ["seen 1 ********", "10"]);
    client.run(r#"SELECT posthog_plugins.configure('counter', '{"name": "Team"}', team_id => 7)"#);
    let call = "test('counter', '{}', version => 1, team_id => 7)";
    assert_eq!(texts(&first(&mut client, "result ->> 'name'", call)), ["Team"]);
    for (call, code) in [
        ("test('counter', '{}', version => 9)", SqlState::UNDEFINED_OBJECT),
        ("test('counter', '{}', team_id => 9)", SqlState::UNDEFINED_OBJECT),
        ("test('nothing', '{}')", SqlState::UNDEFINED_OBJECT),
        ("test('counter', '[]')", SqlState::INVALID_PARAMETER_VALUE),
        ("test('counter', NULL)", SqlState::NULL_VALUE_NOT_ALLOWED),
        ("test('counter', '{}', '5')", SqlState::INVALID_PARAMETER_VALUE),
        ("test('counter', '{}', '{\"name\": 5}', version => 1)", SqlState::INVALID_PARAMETER_VALUE),
        (
            "test('counter', '{}', '{\"file\": \"x\"}', version => 1)",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        ("test_source('export const x = ;', '{}')", SqlState::SYNTAX_ERROR),
        ("run_cases('counter')", SqlState::UNDEFINED_OBJECT),
        ("run_cases('counter', '{}')", SqlState::INVALID_PARAMETER_VALUE),
        ("backtest('counter', 'pg_class_oid_index')", SqlState::WRONG_OBJECT_TYPE),
        ("backtest('counter', 'pg_stats')", SqlState::WRONG_OBJECT_TYPE),
    ] {
        let refusal = client.refusal(&format!("SELECT * FROM posthog_plugins.{call}"));
        assert_eq!(refusal, code, "{call}");
    }
}

#[test]
fn a_source_is_tried_before_it_is_installed() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("sources");
    let call = "test_source($ts$
        enum Colour { Red = 'red' }

        export function processEvent(event: any, { config }: any) {
            event.colour = Colour.Red
            return event.missing.thing
        }$ts$, '{}', '{\"name\": \"My Own\"}')";
    let row = first(&mut client, "outcome, result, stack", call);
    let stack = "at processEvent (my-own/index.ts:6:20)";
    assert_eq!(texts(&row), ["failed", r#"{"colour": "red"}"#, stack]);
    let call = r#"test_source('export function processEvent(e, { config }) { return config }', '{}',
        '{"config": [{"key": "a", "type": "string", "default": "b"}]}', '{"c": "d"}')"#;
    assert_eq!(texts(&first(&mut client, "result", call)), [r#"{"a": "b", "c": "d"}"#]);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugins"), 0);
}

#[test]
fn explain_goes_the_way_of_the_chain() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("explain");
    client.add_body("first", "event.list = ['first']; return event");
    client.add_body("failing", "event.list.push('half'); throw new Error('x')");
    client.add_body("last", "event.list.push('last'); return event");
    client.run(
        "SELECT posthog_plugins.configure('last', '{}', team_id => 3, label => 'only');
         SELECT posthog_plugins.enable('last', team_id => 3, label => 'only');",
    );
    let mut explained = |event: &str| -> Vec<String> {
        client.column(&format!(
            "SELECT concat_ws(' ', position, plugin, label, outcome, result -> 'list')
               FROM posthog_plugins.explain('{event}')"
        ))
    };
    let all = [
        r#"1 first  changed ["first"]"#,
        r#"2 failing  failed ["first", "half"]"#,
        r#"3 last  changed ["first", "half", "last"]"#,
        r#"4 last only changed ["first", "half", "last", "last"]"#,
    ];
    assert_eq!(explained("{}"), all[..3]);
    assert_eq!(explained(r#"{"team_id": 3}"#), all);
    assert_eq!(explained(r#"{"event": "$snapshot"}"#), [""; 0]);
    for on_error in ["drop", "raise"] {
        client.run(&format!(
            "SELECT posthog_plugins.configure('failing', '{{}}', on_error => '{on_error}')"
        ));
        let rows = client.column::<String>(
            "SELECT concat_ws(' ', plugin, outcome, result -> 'list')
               FROM posthog_plugins.explain('{}')",
        );
        assert_eq!(rows, [r#"first changed ["first"]"#, "failing failed"], "{on_error}");
    }
    // And ends where the chain ends.
    assert_eq!(client.refusal("SELECT process_event('{}')"), SqlState::EXTERNAL_ROUTINE_EXCEPTION);
}

#[test]
fn fetch_is_answered_from_the_responses() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("responses");
    client.add_body(
        "asking",
        "
        return Promise.all(event.ask.map(async ([method, url]) => {
            try {
                const response = await fetch(url, { method });
                return [response.status, response.headers.get('content-type'),
                        await response.text()].join(' ');
            } catch (error) {
                return error.message.replace(/^.*reason: /, '');
            }
        })).then((seen) => ({ seen }))",
    );
    let mut ask = |requests: &str, responses: &str| -> Vec<String> {
        client.column(&format!(
            "SELECT jsonb_array_elements_text(result -> 'seen')
               FROM posthog_plugins.test('asking', '{{\"ask\": {requests}}}', responses => {responses})"
        ))
    };
    let responses = r#"'{
        "https://a.example": "root",
        "https://a.example/*": {"status": 404, "headers": {"Content-Type": "a/b"}, "body": "any"},
        "POST https://a.example/*": {"body": {"n": 1}},
        "https://a.example/x": ["one", {"error": "the line is down"}]
    }'"#;
    assert_eq!(
        ask(
            r#"[["GET", "https://a.example/"], ["GET", "https://a.example/deep/y?z"],
                ["post", "https://a.example/y"], ["GET", "https://a.example/x"],
                ["PUT", "https://a.example/x"], ["GET", "https://a.example/x"]]"#,
            responses
        ),
        [
            "200  root",
            "404 a/b any",
            r#"200 application/json {"n":1}"#,
            "200  one",
            "the line is down",
            "the argument responses has 2 replies for it, which are used up"
        ]
    );
    let refused = ask(r#"[["GET", "https://b.example/"]]"#, responses);
    assert!(refused[0].contains("\"GET https://b.example/\""), "{refused:?}");
    let refused = ask(r#"[["GET", "https://b.example/"]]"#, "NULL");
    assert!(refused[0].contains("no network"), "{refused:?}");
    let live = client.process(r#"{"ask": [["GET", "https://b.example/"]]}"#).unwrap();
    assert!(live.contains("posthog_plugins.allow_hosts"), "{live}");
    for wrong in [
        "[]",
        r#"{"a.example": ""}"#,
        r#"{"https://a.example": 5}"#,
        r#"{"https://a.example": {"status": "x"}}"#,
        r#"{"https://a.example": {"stauts": 200}}"#,
        r#"{"https://a.example": {"headers": {"a": 1}}}"#,
    ] {
        let error = client.refused(&format!(
            "SELECT posthog_plugins.test('asking', '{{}}', responses => '{wrong}')"
        ));
        assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE, "{wrong}");
        assert!(error.hint().is_some(), "{wrong}");
    }
}

#[test]
fn a_dry_run_is_under_the_limits_and_can_be_cancelled() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("limits");
    client.add_body("endless", "if (event.setup === undefined) for (;;) {} return event");
    client.run("SET posthog_plugins.execution_timeout = '50ms'");
    let row = first(&mut client, "outcome, error, milliseconds > 49", "test('endless', '{}')");
    assert_eq!(texts(&row), ["failed", "the call ran out of time", "true"]);
    client.run("SET posthog_plugins.memory_limit = '4MB'");
    client.run("SELECT posthog_plugins.install('const a = []; for (;;) a.push(new Array(1000).fill(a))', '{}', 'greedy')");
    let columns = "outcome, error, memory_bytes between 2000000 and 4194304";
    let row = first(&mut client, columns, "test('greedy', '{}')");
    assert_eq!(texts(&row), ["failed", "the plugin ran out of memory", "true"]);
    client.run(
        "SET posthog_plugins.execution_timeout = '1min'; SET statement_timeout = '100ms';
         CREATE TABLE many AS SELECT 1 AS id FROM generate_series(1, 100)",
    );
    for call in [
        "test('endless', '{}')",
        "explain('{}')",
        "run_cases('endless', '[{\"event\": {}}]')",
        "backtest('endless', 'many')",
    ] {
        let begin = Instant::now();
        let ended = client.refusal(&format!("SELECT FROM posthog_plugins.{call}"));
        assert_eq!(ended, SqlState::QUERY_CANCELED, "{call}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{call}");
    }
    client.run("SET statement_timeout = 0");
    let row = first(&mut client, "outcome", r#"test('endless', '{"setup": 1}')"#);
    assert_eq!(texts(&row), ["unchanged"]);
}

#[test]
fn dry_runs_need_a_grant_and_a_backtest_the_right_to_read_the_table() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "rights");
    owner.run(
        "CREATE ROLE editor LOGIN;
         CREATE TABLE events (id int PRIMARY KEY, event text, reader text);
         INSERT INTO events VALUES (1, 'e', 'editor'), (2, 'e', 'others');
         GRANT USAGE ON SCHEMA posthog_plugins TO editor;",
    );
    let mut editor = cluster.connect_as("editor", "rights");
    let test = "SELECT FROM posthog_plugins.test('counter', '{}')";
    let backtest = "SELECT FROM posthog_plugins.backtest('counter', 'events')";
    assert_eq!(editor.refusal(test), SqlState::INSUFFICIENT_PRIVILEGE);
    owner.run("GRANT EXECUTE ON FUNCTION posthog_plugins.test, posthog_plugins.backtest TO editor");
    editor.run(test);
    assert_eq!(editor.refusal(backtest), SqlState::INSUFFICIENT_PRIVILEGE);
    owner.run("GRANT SELECT ON events TO editor");
    let mut keys = || {
        editor.column::<String>(
            "SELECT row_key::text FROM posthog_plugins.backtest('counter', 'events')",
        )
    };
    assert_eq!(keys(), [r#"{"id": 1}"#, r#"{"id": 2}"#]);
    owner.run(
        "ALTER TABLE events ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON events USING (reader = current_user)",
    );
    assert_eq!(keys(), [r#"{"id": 1}"#]);
    assert_eq!(
        editor.refusal("SELECT FROM posthog_plugins.plugin_secret"),
        SqlState::INSUFFICIENT_PRIVILEGE
    );
}

#[test]
fn answers_cannot_be_made_to_depend_on_a_stored_secret() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("oracle");
    client.run(
        r#"SELECT posthog_plugins.install(
               'export async function processEvent(event, { config }) {
                    event.said = await fetch(`https://a.example/?key=${config.key}`)
                        .then((response) => response.text(), (error) => error.message)
                    return event
                }',
               '{"config": [{"key": "key", "type": "string", "secret": true}]}', 'asking');
           SELECT posthog_plugins.configure('asking', '{"key": "abcdefgh"}')"#,
    );
    let mut said = |pattern: &str| -> String {
        client.value(&format!(
            "SELECT result ->> 'said' FROM posthog_plugins.test('asking', '{{}}',
                 responses => '{{\"https://a.example/?key={pattern}\": \"hit\"}}')"
        ))
    };
    assert_eq!(said("*"), "hit");
    let miss = said("a*");
    assert!(miss.contains("nothing for \"GET https://a.example/?key=********\""), "{miss}");
    assert!(!miss.contains("abcdefgh"), "{miss}");
}
