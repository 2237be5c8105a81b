//! Installing: versions, packages, and what is refused before it can do any harm.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

const PASSES: &str = "export function processEvent(event) { return event }";

fn versions(client: &mut Client, plugin: &str) -> (i32, i64) {
    let row = client
        .query_one(
            "SELECT version, versions FROM posthog_plugins.plugins WHERE name = $1",
            &[&plugin],
        )
        .unwrap();
    (row.get(0), row.get(1))
}

fn install(client: &mut Client, source: &str, manifest: &str) -> String {
    client
        .query_one("SELECT posthog_plugins.install($1, $2::text::jsonb)", &[&source, &manifest])
        .unwrap_or_else(|error| panic!("{source}: {error:?}"))
        .get(0)
}

#[test]
fn the_very_same_source_is_not_a_new_version() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("versions");
    let manifest = r#"{"name": "My Plugin"}"#;
    assert_eq!(install(&mut client, PASSES, manifest), "my-plugin");
    assert_eq!(versions(&mut client, "my-plugin"), (1, 1));
    install(&mut client, PASSES, manifest);
    assert_eq!(versions(&mut client, "my-plugin"), (1, 1));
    let other = format!("{PASSES} // changed");
    install(&mut client, &other, manifest);
    assert_eq!(versions(&mut client, "my-plugin"), (2, 2));
    install(&mut client, &other, r#"{"name": "My Plugin", "description": "changed"}"#);
    assert_eq!(versions(&mut client, "my-plugin"), (3, 3));
    assert!(client.value::<bool>(
        "SELECT bool_and(sha256 = sha256(convert_to(source, 'UTF8')))
           FROM posthog_plugins.plugin_version"
    ));

    assert_eq!(client.value::<i32>("SELECT posthog_plugins.rollback('my-plugin')"), 2);
    assert_eq!(client.value::<i32>("SELECT posthog_plugins.rollback('my-plugin')"), 1);
    let earliest = client.refusal("SELECT posthog_plugins.rollback('my-plugin')");
    assert_eq!(earliest, SqlState::UNDEFINED_OBJECT);
    assert_eq!(client.value::<i32>("SELECT posthog_plugins.rollback('my-plugin', 3)"), 3);
    let unknown = client.refusal("SELECT posthog_plugins.rollback('my-plugin', 4)");
    assert_eq!(unknown, SqlState::UNDEFINED_OBJECT);
    // What was installed once is made current, not stored again.
    install(&mut client, PASSES, manifest);
    assert_eq!(versions(&mut client, "my-plugin"), (1, 3));
    install(&mut client, "export const processEvent = (event) => event", manifest);
    assert_eq!(versions(&mut client, "my-plugin"), (4, 4));
}

#[test]
fn uninstalling_leaves_no_row_anywhere() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("gone");
    let manifest = r#"{"name": "Gone", "config": [
        {"key": "token", "type": "string", "secret": true}, {"key": "file", "type": "attachment"}]}"#;
    let source = "
        export const metrics = { calls: 'sum' }
        export async function processEvent(event, { cache, storage, jobs, metrics }) {
            console.log('here')
            metrics.calls.increment(1)
            posthog.capture('seen')
            await Promise.all([cache.set('a', 1), storage.set('a', 1), jobs.later({}).runIn(1, 'day')])
            throw new Error('no')
        }
        export function onEvent() {}";
    install(&mut client, source, manifest);
    for team in 1..=2 {
        client.run(&format!(
            r#"SELECT posthog_plugins.configure('gone', '{{"token": "t"}}', {team});
               SELECT posthog_plugins.set_attachment('gone', 'file', 'f', 'text/plain', 'x', {team});
               SELECT posthog_plugins.enable('gone', {team})"#
        ));
        client.run("SET posthog_plugins.pause_failure_rate = 1");
        client.run(&format!(
            r#"SELECT process_event('{{"event": "e", "team_id": {team}}}')
                 FROM generate_series(1, 10)"#
        ));
        // Not yet written.
        client.process(&format!(r#"{{"event": "e", "team_id": {team}}}"#));
    }
    client.run("SET posthog_plugins.stats_interval = 0");
    client.run(
        r#"SELECT posthog_plugins.set_filter('gone', '{"sample": 1}', 1);
           INSERT INTO posthog_plugins.undelivered_event
               (config_id, attempts, error, enqueued_at, event)
           SELECT id, 1, 'no', now(), '{}' FROM posthog_plugins.plugin_config;
           INSERT INTO posthog_plugins.plugin_schedule (config_id, task)
           SELECT id, 'runEveryDay' FROM posthog_plugins.plugin_config;
           INSERT INTO posthog_plugins.plugin_run
               (config_id, kind, name, started_at, outcome, attempts)
           SELECT id, 'schedule', 'runEveryDay', now(), 'succeeded', 1
             FROM posthog_plugins.plugin_config;
           CREATE TABLE stored (event text, distinct_id text, properties jsonb, timestamp timestamptz);
           SELECT posthog_plugins.attach('stored');
           SELECT posthog_plugins.backfill('gone', 'stored', '2026-01-01', now(), team_id => team)
             FROM generate_series(1, 2) AS team"#,
    );
    let tables = client.column::<String>(
        "SELECT oid::regclass::text FROM pg_class
          WHERE relkind = 'r' AND relnamespace = 'posthog_plugins'::regnamespace
            -- The one row that all changes are counted in, what belongs to roles and to tables of
            -- events, and the queue, which is all consumers'.
            AND relname NOT IN ('plugin_revision', 'team_limit', 'capture_table', 'queue_state',
                                'queue_dictionary', 'event_queue_0', 'event_queue_1')",
    );
    assert!(tables.len() >= 7, "{tables:?}");
    let rows = |client: &mut Client, table: &str| -> i64 {
        client.value(&format!("SELECT count(*) FROM {table}"))
    };
    for table in &tables {
        assert!(rows(&mut client, table) > 0, "nothing in {table} to begin with");
    }
    client.run("SELECT posthog_plugins.uninstall('gone')");
    for table in &tables {
        assert_eq!(rows(&mut client, table), 0, "{table}");
    }
    assert_eq!(
        client.refusal("SELECT posthog_plugins.uninstall('gone')"),
        SqlState::UNDEFINED_OBJECT
    );
}

/// As GitHub packs a repository: everything in one folder that is named after the commit.
fn files() -> [(&'static str, &'static str); 3] {
    [
        ("my-plugin-4f2a/plugin.json", r#"{"name": "Packed", "main": "src/main.ts"}"#),
        (
            "my-plugin-4f2a/src/main.ts",
            "export function processEvent(event: any) { event.packed = true; return event }",
        ),
        ("my-plugin-4f2a/README.md", "# Packed"),
    ]
}

fn zipped() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.add_directory("my-plugin-4f2a/", options).unwrap();
    for (name, contents) in files() {
        zip.start_file(name, options).unwrap();
        zip.write_all(contents.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn tarred() -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut tar = tar::Builder::new(gzip);
    for (name, contents) in files() {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, contents.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn archives_as_github_makes_them_are_installed() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("archives");
    for archive in [zipped(), tarred()] {
        let name: String = client
            .query_one("SELECT posthog_plugins.install_archive($1)", &[&archive])
            .unwrap()
            .get(0);
        assert_eq!(name, "packed");
        client.run("SELECT posthog_plugins.enable('packed')");
        let event = client.process(r#"{"event": "e"}"#);
        assert_eq!(event.as_deref(), Some(r#"{"event": "e", "packed": true}"#));
        client.run("SELECT posthog_plugins.uninstall('packed')");
    }
    let no_archive = client.refusal("SELECT posthog_plugins.install_archive('not an archive')");
    assert_eq!(no_archive, SqlState::DATA_EXCEPTION);
    let mut broken = zipped();
    broken.truncate(broken.len() / 2);
    let error = client
        .query("SELECT posthog_plugins.install_archive($1)", &[&broken])
        .expect_err("half an archive was installed");
    assert_eq!(error.code(), Some(&SqlState::DATA_EXCEPTION));
}

/// A folder that the server can read, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let readable = Command::new("chmod").arg("755").arg(&folder).status().unwrap();
        assert!(readable.success());
        Folder(folder)
    }

    fn write(&self, name: &str, contents: &str) {
        fs::write(self.0.join(name), contents).unwrap();
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_needs_the_right_to_read_the_servers_files() {
    let cluster = Cluster::start();
    let mut admin = cluster.create_database("folders");
    let folder = Folder::new("a-plugin");
    folder.write("plugin.json", r#"{"name": "From a folder", "main": "index.js"}"#);
    folder.write("index.js", PASSES);
    let call = format!("SELECT posthog_plugins.install_directory('{}')", folder.path().display());
    admin.run(
        "CREATE ROLE deployer LOGIN;
         GRANT USAGE ON SCHEMA posthog_plugins TO deployer;
         GRANT EXECUTE ON FUNCTION posthog_plugins.install_directory TO deployer",
    );
    let mut deployer = cluster.connect_as("deployer", "folders");
    assert_eq!(deployer.refusal(&call), SqlState::INSUFFICIENT_PRIVILEGE);
    admin.run("GRANT pg_read_server_files TO deployer");
    assert_eq!(deployer.value::<String>(&call), "from-a-folder");
    let by: String = admin.value("SELECT installed_by FROM posthog_plugins.plugins");
    assert_eq!(by, "deployer");
    let missing = deployer.refusal("SELECT posthog_plugins.install_directory('/nowhere/at/all')");
    assert_eq!(missing, SqlState::IO_ERROR);
}

#[test]
fn a_link_out_of_the_folder_is_refused() {
    let cluster = Cluster::start();
    let mut admin = cluster.create_database("links");
    let outside = Folder::new("outside");
    outside.write("index.js", PASSES);
    let folder = Folder::new("inside");
    let call = format!("SELECT posthog_plugins.install_directory('{}')", folder.path().display());
    folder.write("plugin.json", r#"{"name": "Link", "main": "index.js"}"#);
    symlink(outside.path().join("index.js"), folder.path().join("index.js")).unwrap();
    admin.refused(&call);
    folder.write("plugin.json", r#"{"name": "Link", "main": "../outside/index.js"}"#);
    admin.refused(&call);
    let main = outside.path().join("index.js");
    folder.write("plugin.json", &format!(r#"{{"name": "Link", "main": "{}"}}"#, main.display()));
    admin.refused(&call);
    assert_eq!(admin.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin"), 0);
}

#[test]
fn a_bad_manifest_is_refused_with_the_key_that_is_wrong() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("manifests");
    for (manifest, key) in [
        (r#"{"name": 1}"#, "name"),
        (r#"{"name": "a", "main": []}"#, "main"),
        (r#"{"name": "a", "config": "b"}"#, "config"),
        (r#"{"name": "a", "config": [{"type": "string"}]}"#, "config[0]"),
        (r#"{"name": "a", "config": [{"key": "b", "type": "number"}]}"#, "config[0].type"),
        (r#"{"name": "a", "config": [{"key": "b", "type": "choice"}]}"#, "config[0].choices"),
        (
            r#"{"name": "a", "config": [{"key": "b", "type": "string"}, {"key": "b", "type": "json"}]}"#,
            "config[1].key",
        ),
    ] {
        let call = format!("SELECT posthog_plugins.install('{PASSES}', '{manifest}')");
        let error = client.refused(&call);
        assert_eq!(*error.code(), SqlState::INVALID_PARAMETER_VALUE, "{manifest}");
        assert!(error.message().contains(&format!("\"{key}\"")), "{manifest}: {error:?}");
    }
    let not_an_object =
        client.refusal(&format!("SELECT posthog_plugins.install('{PASSES}', '[]')"));
    assert_eq!(not_an_object, SqlState::INVALID_PARAMETER_VALUE);
    let nameless = client.refusal(&format!("SELECT posthog_plugins.install('{PASSES}')"));
    assert_eq!(nameless, SqlState::INVALID_NAME);
    for name in ["", "Upper", "under_score", "-a", "a-", "a b", "ä"] {
        let call = format!("SELECT posthog_plugins.install('{PASSES}', '{{}}', '{name}')");
        assert_eq!(client.refusal(&call), SqlState::INVALID_NAME, "{name:?}");
    }
}

#[test]
fn a_source_that_cannot_run_is_refused_with_its_line_and_column() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("sources");
    for (source, place) in [
        (
            "export function processEvent(event) {\n    retrun event\n}",
            "Line 2, column 11 of index.ts",
        ),
        ("const a = 1\nconst b =\n", "Line 3"),
        ("export function processEvent(event: any) {\n  return event as\n}", "Line 3"),
        // What only the engine itself refuses.
        ("export function processEvent(event) {\n    return /(/.test(event)\n}", "SyntaxError"),
        ("import axios from 'axios'\nexport const processEvent = (event) => axios(event)", "axios"),
        ("export function processEvent(event) { return require('fs') }", "fs"),
        ("import { helper } from './helper'\nexport const processEvent = helper", "./helper"),
    ] {
        let error = client.refused(&format!(
            "SELECT posthog_plugins.install($source${source}$source$, '{{\"name\": \"a\"}}')"
        ));
        assert_eq!(*error.code(), SqlState::SYNTAX_ERROR, "{source}");
        let told = [error.message(), error.detail().unwrap_or_default()].join("\n");
        assert!(told.contains(place), "{place} of {source}: {told}");
    }
    client.run("SET posthog_plugins.source_limit = '1kB'");
    let long =
        format!("SELECT posthog_plugins.install('{PASSES} //{}', '{{}}', 'a')", "x".repeat(1024));
    assert_eq!(client.refusal(&long), SqlState::PROGRAM_LIMIT_EXCEEDED);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin"), 0);
}

#[test]
fn a_plugin_without_process_event_lets_events_pass() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("empty");
    client.add_plugin("constant", "const a = 1");
    let event = client.process(r#"{"event": "e"}"#);
    assert_eq!(event.as_deref(), Some(r#"{"event": "e"}"#));
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.failures"), 0);
    // There is nothing to run in these, which is hardly what was meant.
    for source in ["", "// nothing", "interface Nothing {}"] {
        let call = format!("SELECT posthog_plugins.install('{source}', '{{}}', 'nothing')");
        assert_eq!(client.refusal(&call), SqlState::SYNTAX_ERROR, "{source:?}");
    }
}
