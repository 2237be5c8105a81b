//! Dry runs: they show what would happen, and nothing happens.

use std::fs;
use std::time::{Duration, Instant};

use cluster::{Cluster, Session, Shutdown, repository};
use flate2::Compression;
use flate2::write::GzEncoder;
use postgres::Client;
use postgres::error::SqlState;

/// Counts its events, and has a setting, a secret and a file.
const COUNTER: &str = "
let count = 0

export function processEvent(event, { config, attachments }) {
    if (event.event === 'drop') return null
    if (event.event === 'fail') {
        event.half = true
        throw new Error('no ' + config.password)
    }
    count += 1
    console.log('seen', count, config.password)
    event.count = count
    event.name = config.name
    event.length = (config.password ?? '').length
    event.files = Object.keys(attachments)
    return event
}";

const MANIFEST: &str = r#"{"name": "Counter", "config": [
    {"key": "name", "type": "string", "default": "nobody"},
    {"key": "password", "type": "string", "secret": true},
    {"key": "file", "type": "attachment"}]}"#;

fn database(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.run(&format!(
        "SELECT posthog_plugins.install($js${COUNTER}$js$, '{MANIFEST}');
         SELECT posthog_plugins.configure('counter', '{{\"name\": \"Ada\", \"password\": \"hunter22\"}}');
         SELECT posthog_plugins.set_attachment('counter', 'file', 'f.txt', 'text/plain', 'x');"
    ));
    client
}

/// One call of each function, for a database with a table "events".
const CALLS: [&str; 7] = [
    r#"test('counter', '{"event": "e"}')"#,
    r#"test('counter', '{"event": "fail"}')"#,
    r#"test('counter', '{"event": "e"}', '{}')"#,
    r#"test_source('export function processEvent(e) { e.x = 1; return e }', '{}')"#,
    r#"explain('{"event": "e"}')"#,
    r#"run_cases('counter', '[{"event": {"event": "drop"}}]')"#,
    "backtest('counter', 'events')",
];

/// The first row of a call: one text for each column, nothing for NULL.
fn first(client: &mut Client, columns: &str, call: &str) -> Vec<Option<String>> {
    let columns: Vec<_> = columns.split(", ").map(|column| format!("({column})::text")).collect();
    let sql = format!("SELECT {} FROM posthog_plugins.{call}", columns.join(", "));
    let row = client.query(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = row.first().unwrap_or_else(|| panic!("{sql}: no row"));
    (0..row.len()).map(|column| row.get(column)).collect()
}

fn texts(row: &[Option<String>]) -> Vec<&str> {
    row.iter().map(|text| text.as_deref().unwrap_or("NULL")).collect()
}

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
    assert!(live.contains("posthog_plugins.test"), "{live}");
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
fn every_bundled_plugin_passes_its_own_cases() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("bundled");
    client.run("SELECT posthog_plugins.install_bundled(name) FROM posthog_plugins.library");
    let failed: Vec<String> = client.column(
        "SELECT concat_ws(': ', p.name, c.name, c.problem)
           FROM posthog_plugins.plugins AS p, posthog_plugins.run_cases(p.name) AS c
          WHERE NOT c.passed",
    );
    assert!(failed.is_empty(), "{failed:#?}");
    let file = repository().join("plugins/drop-events/cases.json");
    let file = fs::read_to_string(file).unwrap();
    let all: bool = client
        .query_one(
            "SELECT jsonb_array_length($1::text::jsonb) = count(*)
               FROM posthog_plugins.run_cases('drop-events')",
            &[&file],
        )
        .unwrap()
        .get(0);
    assert!(all);
}

#[test]
fn a_case_that_is_not_as_promised_is_told_with_the_difference() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "cases");
    let mut problem = |case: &str| -> Option<String> {
        client.value(&format!(
            "SELECT problem FROM posthog_plugins.run_cases('counter', $c$[{case}]$c$)
              WHERE passed = (problem IS NULL)"
        ))
    };
    let count = r#""name": "nobody", "length": 0, "files": []"#;
    let passes = format!(
        r#"{{"event": {{}}, "expect": {{"count": 1.0, {count}}}, "logs": ["seen 1 undefined"]}}"#
    );
    assert_eq!(problem(&passes), None);
    for (case, told) in [
        (passes.replace("1.0", "2"), "not as expected: count"),
        (passes.replace("seen 1", "seen 2"), "expected the logs"),
        (passes.replace(r#""event": {}"#, r#""event": {"event": "drop"}"#), "was dropped"),
        (r#"{"event": {}}"#.to_owned(), "was not dropped"),
        (r#"{"event": {"event": "fail"}}"#.to_owned(), "the plugin failed: Error: no"),
        (r#"{"event": []}"#.to_owned(), "must be a JSON object"),
        (r#"{"expect": {}}"#.to_owned(), "neither event nor setup_error"),
        (r#"{"evnet": {}}"#.to_owned(), "\"evnet\""),
        ("7".to_owned(), "must be an object"),
        (r#"{"event": {}, "config": {"name": 5}}"#.to_owned(), "must be a string"),
        (r#"{"event": {}, "attachments": {"x": {}}}"#.to_owned(), "no attachment \"x\""),
        (r#"{"event": {}, "responses": {"x": {}}}"#.to_owned(), "responses are not valid"),
        (r#"{"setup_error": "x"}"#.to_owned(), "was not refused"),
        (r#"{"config": {"name": 5}, "setup_error": "x"}"#.to_owned(), "in other words"),
    ] {
        let problem = problem(&case).unwrap_or_default();
        assert!(problem.contains(told), "{case}: {problem}");
    }
    assert_eq!(problem(r#"{"config": {"name": 5}, "setup_error": "must be a string"}"#), None);
    let call = format!("run_cases('counter', $c$[{}]$c$)", passes.replace("1.0", "2"));
    let row = first(&mut client, "number, expected -> 'count', got -> 'count', changes", &call);
    let change = r#"[{"op": "change", "path": "count", "after": 1, "before": 2}]"#;
    assert_eq!(texts(&row), ["1", "2", "1", change]);
}

#[test]
fn a_case_can_have_files_of_bytes_and_events_that_come_before() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "before");
    let case = |before: &str, base64: &str| {
        format!(
            r#"{{"before": {before}, "event": {{}},
                "attachments": {{"file": {{"file_name": "f", "content_type": "t", "base64": "{base64}"}}}},
                "expect": {{"count": 3, "name": "nobody", "length": 0, "files": ["file"]}},
                "logs": ["seen 3 undefined"]}}"#
        )
    };
    let mut problem = |case: &str| -> Option<String> {
        client.value(&format!(
            "SELECT problem FROM posthog_plugins.run_cases('counter', $c$[{case}]$c$)"
        ))
    };
    assert_eq!(problem(&case(r#"[{}, {"event": "drop"}, {"event": "fail"}, {}]"#, "/wA=")), None);
    for (case, told) in [
        (case("[{}]", "/wA="), "not as expected: count"),
        (case("[7]", "/wA="), "must be a JSON object"),
        (case("{}", "/wA="), "\"before\""),
        (case("[]", "no base64!"), "attachment \"file\" is no base64"),
    ] {
        let problem = problem(&case).unwrap_or_default();
        assert!(problem.contains(told), "{case}: {problem}");
    }
}

fn archive(cases: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, contents) in [
        ("p/plugin.json", r#"{"name": "Packed"}"#),
        ("p/index.js", "exports.processEvent = (event) => event"),
        ("p/cases.json", cases),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, contents.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn an_archive_brings_its_cases_and_bad_ones_do_not_keep_it_out() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("archives");
    let mut install = |cases: &str| {
        client
            .query("SELECT posthog_plugins.install_archive($1)", &[&archive(cases)])
            .unwrap_or_else(|error| panic!("{cases}: {error:?}"));
        client.value::<i64>(
            "SELECT CASE WHEN cases IS NULL THEN -1 ELSE jsonb_array_length(cases) END::bigint
               FROM posthog_plugins.plugin_version WHERE is_current",
        )
    };
    for bad in ["", "{}", "[", "[\"\\u0000\"]", "[1e400000]"] {
        assert_eq!(install(bad), -1, "{bad}");
    }
    assert_eq!(
        install(
            r#"[{"event": {"n": 12345678901234567890.10}, "expect": {"n": 12345678901234567890.1}}]"#
        ),
        1
    );
    // The same source with other cases is the same version.
    assert_eq!(install(r#"[{"event": {}, "expect": {}}, {"event": {}}]"#), 2);
    assert_eq!(install("broken"), 2);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_version"), 1);
    let passed: Vec<bool> = client.column("SELECT passed FROM posthog_plugins.run_cases('packed')");
    assert_eq!(passed, [true, false]);
}

#[test]
fn a_backtest_runs_over_the_last_rows_in_their_order() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "backtest");
    client.run(
        "CREATE TABLE stamped (id int PRIMARY KEY, timestamp timestamptz, event text, team_id int);
         INSERT INTO stamped SELECT n, now() - n * interval '1 s', 'e', n % 2 FROM generate_series(1, 90) n;
         INSERT INTO stamped VALUES (0, NULL, 'e', 0);
         CREATE TABLE keyed (b int, a int, data jsonb, PRIMARY KEY (a, b));
         INSERT INTO keyed VALUES (1, 1, '{}'), (2, 1, '{}'), (1, 2, '{\"event\": \"drop\"}'),
                                  (1, 0, '{}'), (3, 3, '5'), (4, 4, '{\"event\": \"$snapshot\"}');
         CREATE TABLE bare (data json);
         INSERT INTO bare VALUES ('{\"a\": 1}'), (NULL), ('{\"event\": \"fail\"}');
         CREATE VIEW seen AS SELECT * FROM bare, generate_series(1, 2) AS n;",
    );
    let mut rows = |call: &str| -> Vec<String> {
        client.column(&format!(
            "SELECT concat_ws(' ', row_key, outcome, result -> 'count', error)
               FROM posthog_plugins.backtest('counter', {call})"
        ))
    };
    // The newest three, the oldest of them first.
    assert_eq!(
        rows("'stamped', 3"),
        [r#"{"id": 3} changed 1"#, r#"{"id": 2} changed 2"#, r#"{"id": 1} changed 3"#]
    );
    assert_eq!(rows("'stamped'").len(), 90);
    assert_eq!(
        rows("'stamped', 2, order_by => 'id'"),
        [r#"{"id": 89} changed 1"#, r#"{"id": 90} changed 2"#]
    );
    assert_eq!(
        rows("'keyed', 5, event_column => 'data'"),
        [
            r#"{"a": 1, "b": 1} changed 1"#,
            r#"{"a": 1, "b": 2} changed 2"#,
            r#"{"a": 2, "b": 1} dropped"#,
            r#"{"a": 3, "b": 3} failed an event must be a JSON object"#,
        ]
    );
    assert_eq!(
        rows("'bare', event_column => 'data'"),
        [r#"{"ctid": "(0,1)"} changed 1"#, r#"{"ctid": "(0,3)"} failed Error: no ********"#]
    );
    assert_eq!(rows("'seen', event_column => 'data', order_by => 'n'").len(), 4);
    client.run("SELECT posthog_plugins.configure('counter', '{}', team_id => 1)");
    let output = cluster.psql(
        "backtest",
        "SELECT count(*) FROM posthog_plugins.backtest('counter', 'stamped', team_id => 1)",
    );
    let notice = "NOTICE:  90 rows: 45 changed, 0 dropped, 0 failed, 0 unchanged, 45 passed by";
    assert!(output.contains(notice), "{output}");
    // One that is left before its end does no harm.
    client.run("SELECT posthog_plugins.backtest('counter', 'stamped') LIMIT 1");
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

#[test]
fn a_backtest_knows_the_row_from_its_columns() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("columns");
    client.add_body("seen", "event.seen = true; return event");
    client.run(
        "CREATE TABLE events (id int PRIMARY KEY, t timestamptz, r int, place int, event text);
         INSERT INTO events VALUES (1, now(), 2, 3, 'e')",
    );
    let found = client.value::<i64>(
        "SELECT count(*) FROM posthog_plugins.backtest('seen', 'events') AS found
          WHERE found.outcome = 'changed' AND found.event ->> 'event' = 'e'
            AND found.row_key = '{\"id\": 1}'",
    );
    assert_eq!(found, 1);
}
