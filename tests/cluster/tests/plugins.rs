//! Every case of every bundled plugin, through SQL. plugins/README.md describes the cases.
//! PostgreSQL itself reads and compares them, so a digit beyond a double's reach counts.

use std::fmt::Write;
use std::fs;

use cluster::{Cluster, repository};
use postgres::{Client, Error};

#[test]
fn every_bundled_plugin_keeps_its_promises() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("library");
    let mut folders: Vec<_> = fs::read_dir(repository().join("plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let mut report = String::new();
    for folder in folders {
        let plugin = folder.file_name().unwrap().to_str().unwrap();
        let file = fs::read_to_string(folder.join("cases.json")).unwrap();
        let cases = cases(&mut client, &file);
        assert!(!cases.is_empty(), "{plugin} promises nothing");
        for case in cases {
            if let Err(failure) = run(&mut client, plugin, &case) {
                writeln!(report, "{plugin}: {}\n    {failure}", case.name).unwrap();
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// JSON as text, and None for what is left out.
struct Case {
    name: String,
    config: String,
    attachments: String,
    before: Vec<String>,
    event: Option<String>,
    expect: Option<String>,
    logs: Vec<String>,
    setup_error: Option<String>,
    /// Only a dry run can answer requests, and call another function than `processEvent`.
    is_for_dry_runs: bool,
}

fn cases(client: &mut Client, file: &str) -> Vec<Case> {
    let sql = "
        SELECT c ->> 'name', COALESCE(c -> 'config', '{}')::text,
               COALESCE(c -> 'attachments', '{}')::text,
               ARRAY(SELECT jsonb_array_elements(c -> 'before')::text), (c -> 'event')::text,
               NULLIF(c -> 'expect', 'null')::text,
               ARRAY(SELECT jsonb_array_elements_text(c -> 'logs')), c ->> 'setup_error',
               c ?| '{responses, method}'
          FROM jsonb_array_elements($1::text::jsonb) AS c";
    let rows = client.query(sql, &[&file]).unwrap();
    rows.iter()
        .map(|row| Case {
            name: row.get(0),
            config: row.get(1),
            attachments: row.get(2),
            before: row.get(3),
            event: row.get(4),
            expect: row.get(5),
            logs: row.get(6),
            setup_error: row.get(7),
            is_for_dry_runs: row.get(8),
        })
        .collect()
}

fn run(client: &mut Client, plugin: &str, case: &Case) -> Result<(), String> {
    client.query("SELECT posthog_plugins.install_bundled($1)", &[&plugin]).unwrap();
    let result = match &case.setup_error {
        _ if case.is_for_dry_runs => Ok(()),
        Some(part) => refuses(client, plugin, case, part),
        None => transforms(client, plugin, case),
    };
    client.query("SELECT posthog_plugins.uninstall($1)", &[&plugin]).unwrap();
    result
}

fn set_up(client: &mut Client, plugin: &str, case: &Case) -> Result<(), Error> {
    client
        .query("SELECT posthog_plugins.configure($1, $2::text::jsonb)", &[&plugin, &case.config])?;
    client.query(
        "SELECT posthog_plugins.set_attachment($1, key, file ->> 'file_name',
                    file ->> 'content_type',
                    COALESCE(decode(file ->> 'base64', 'base64'),
                             convert_to(file ->> 'text', 'UTF8')))
           FROM jsonb_each($2::text::jsonb) AS attachment (key, file)",
        &[&plugin, &case.attachments],
    )?;
    client.query("SELECT posthog_plugins.enable($1)", &[&plugin])?;
    Ok(())
}

fn transforms(client: &mut Client, plugin: &str, case: &Case) -> Result<(), String> {
    set_up(client, plugin, case).map_err(|error| described(&error))?;
    for event in &case.before {
        client
            .query("SELECT process_event($1::text::jsonb)", &[event])
            .map_err(|error| described(&error))?;
    }
    let logs = "SELECT message FROM posthog_plugins.logs WHERE source = 'CONSOLE'";
    let logged_before = texts(client, logs).len();
    let outcome = client
        .query_one(
            "SELECT out IS NOT DISTINCT FROM $2::text::jsonb, out::text
               FROM process_event($1::text::jsonb) AS out",
            &[&case.event, &case.expect],
        )
        .map_err(|error| described(&error))?;
    if !outcome.get::<_, bool>(0) {
        let found: Option<String> = outcome.get(1);
        return Err(format!("expected {:?}\n    found    {found:?}", case.expect));
    }
    let logs = texts(client, logs).split_off(logged_before);
    if logs != case.logs {
        return Err(format!("expected the logs {:?}\n    found    {logs:?}", case.logs));
    }
    let failures = texts(client, "SELECT message FROM posthog_plugins.failures");
    if failures.is_empty() { Ok(()) } else { Err(format!("failed: {failures:?}")) }
}

/// A configuration is refused at once where the manifest tells, or by the plugin's own setup, which
/// runs at the first event.
fn refuses(client: &mut Client, plugin: &str, case: &Case, part: &str) -> Result<(), String> {
    let messages = match set_up(client, plugin, case) {
        Err(error) => vec![described(&error)],
        Ok(()) => {
            let event = r#"'{"event": "e", "distinct_id": "d", "properties": {}}'"#;
            client
                .query(&format!("SELECT process_event({event})"), &[])
                .map_err(|error| described(&error))?;
            texts(client, "SELECT message FROM posthog_plugins.failures")
        }
    };
    if messages.iter().any(|message| message.contains(part)) {
        Ok(())
    } else {
        Err(format!("expected to be refused with {part:?}\n    found    {messages:?}"))
    }
}

fn texts(client: &mut Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// The server's words: the client's own text for its error says only "db error".
fn described(error: &Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |error| [error.message(), error.detail().unwrap_or_default()].join(" "),
    )
}
