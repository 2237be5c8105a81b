//! What plugins promise in `cases.json`, and `run_cases`, which tries it.

use std::fs;

use cluster::counter::{database, first, texts};
use cluster::{Cluster, Session, repository};
use flate2::Compression;
use flate2::write::GzEncoder;

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
fn a_case_can_be_about_what_is_done_with_stored_events() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("delivered");
    client.run(
        "SELECT posthog_plugins.install($js$
            export async function onEvent({ event }) {
                if (event === 'skip') return
                const response = await fetch('https://h/' + event)
                if (!response.ok) throw new RetryError('busy')
            }
        $js$, '{}', 'sender')",
    );
    let mut problem = |case: &str| -> Option<String> {
        client.value(&format!(
            "SELECT problem FROM posthog_plugins.run_cases('sender', $c$[{case}]$c$)
              WHERE problem IS NOT NULL OR passed"
        ))
    };
    let case = |event: &str, more: &str| {
        format!(
            r#"{{"method": "onEvent", "event": {{"event": "{event}"}},
                "responses": {{"https://h/busy": {{"status": 503}}, "https://h/*": ""}}{more}}}"#
        )
    };
    let asked = |event: &str| {
        format!(r#", "expect": {{"requests": [{{"method": "GET", "url": "https://h/{event}"}}]}}"#)
    };
    assert_eq!(problem(&case("a", &asked("a"))), None);
    assert_eq!(problem(&case("skip", "")), None);
    assert_eq!(problem(&case("busy", &(asked("busy") + r#", "outcome": "retry""#))), None);
    let told = |case: String| problem(&case).unwrap();
    let [unasked, other, failed, well, unknown] = [
        case("a", ""),
        case("a", &asked("b")),
        case("busy", &asked("busy")),
        case("a", &(asked("a") + r#", "outcome": "retry""#)),
        case("a", r#", "method": "on""#),
    ]
    .map(told);
    assert_eq!(unasked, "not as expected: requests");
    assert_eq!(other, "not as expected: requests[0].url");
    assert_eq!(failed, "the plugin failed: RetryError: busy");
    assert_eq!(well, "the outcome is done");
    assert!(unknown.starts_with("a dry run cannot call \"on\""), "{unknown}");
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
