//! From one version of the extension to the next: whoever updates has what a fresh install has, and
//! what was released stays as it was.

use std::collections::BTreeSet;
use std::fs;

use cluster::catalog::{describe, difference};
use cluster::releases::{CURRENT, Releases, transfer};
use cluster::sample::{everything, furnish, works};
use cluster::{Cluster, Environment, Session};
use postgres::Client;
use postgres::error::SqlState;

/// A version that never was: this one with something undone.
const OLD: &str = "0.0.1";

/// What a version can change, with how it was before. An update that leaves out any of them must
/// not go unnoticed.
const CHANGES: [(&str, &str); 17] = [
    (
        "ALTER TABLE posthog_plugins.plugin DROP COLUMN installed_at",
        "ALTER TABLE posthog_plugins.plugin
             ADD COLUMN installed_at timestamptz NOT NULL DEFAULT pg_catalog.now()",
    ),
    (
        "ALTER TABLE posthog_plugins.plugin_secret ADD COLUMN obsolete text",
        "ALTER TABLE posthog_plugins.plugin_secret DROP COLUMN obsolete",
    ),
    (
        "ALTER TABLE posthog_plugins.plugin_log ALTER COLUMN message DROP NOT NULL",
        "ALTER TABLE posthog_plugins.plugin_log ALTER COLUMN message SET NOT NULL",
    ),
    (
        "ALTER TABLE posthog_plugins.plugin_config ALTER COLUMN label DROP DEFAULT",
        "ALTER TABLE posthog_plugins.plugin_config ALTER COLUMN label SET DEFAULT ''",
    ),
    (
        "ALTER TABLE posthog_plugins.plugin_error DROP CONSTRAINT plugin_error_counts_from_one",
        "ALTER TABLE posthog_plugins.plugin_error
             ADD CONSTRAINT plugin_error_counts_from_one CHECK (failures > 0)",
    ),
    (
        "DROP INDEX posthog_plugins.plugin_log_by_time",
        "CREATE INDEX plugin_log_by_time ON posthog_plugins.plugin_log (logged_at)",
    ),
    (
        "DROP TRIGGER plugin_secret_changed ON posthog_plugins.plugin_secret",
        "CREATE TRIGGER plugin_secret_changed
             AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON posthog_plugins.plugin_secret
             FOR EACH STATEMENT EXECUTE FUNCTION posthog_plugins._chain_changed()",
    ),
    (
        "ALTER TABLE posthog_plugins.plugin_config DISABLE TRIGGER plugin_config_changed",
        "ALTER TABLE posthog_plugins.plugin_config ENABLE TRIGGER plugin_config_changed",
    ),
    (
        "ALTER SEQUENCE posthog_plugins.plugin_config_id_seq CACHE 10",
        "ALTER SEQUENCE posthog_plugins.plugin_config_id_seq CACHE 1",
    ),
    (
        "ALTER VIEW posthog_plugins.chain RENAME COLUMN last_error TO failure",
        "ALTER VIEW posthog_plugins.chain RENAME COLUMN failure TO last_error",
    ),
    (
        "ALTER VIEW posthog_plugins.logs RENAME TO lines",
        "ALTER VIEW posthog_plugins.lines RENAME TO logs",
    ),
    (
        "ALTER FUNCTION posthog_plugins.disable STABLE",
        "ALTER FUNCTION posthog_plugins.disable VOLATILE",
    ),
    (
        "GRANT EXECUTE ON FUNCTION posthog_plugins.disable TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION posthog_plugins.disable FROM PUBLIC",
    ),
    (
        "COMMENT ON COLUMN posthog_plugins.plugin_version.sha256 IS 'What is this?'",
        "COMMENT ON COLUMN posthog_plugins.plugin_version.sha256 IS 'Of source'",
    ),
    (
        "SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin', 'WHERE false')",
        "SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin', '')",
    ),
    (
        "DELETE FROM posthog_plugins.plugin_revision",
        "INSERT INTO posthog_plugins.plugin_revision DEFAULT VALUES",
    ),
    ("CREATE TABLE posthog_plugins.forgotten ()", "DROP TABLE posthog_plugins.forgotten"),
];

fn script(statements: impl IntoIterator<Item = &'static str>) -> String {
    statements.into_iter().map(|statement| format!("{statement};\n")).collect()
}

/// The install script that was built.
fn current_script() -> String {
    let path = Environment::read().extension_directory();
    fs::read_to_string(path.join(format!("posthog_plugins--{CURRENT}.sql"))).unwrap()
}

/// A server that has the old version, and an update from it.
fn with_old_version(undo: &str, update: &str) -> Cluster {
    Cluster::start_with_extension_files(&[
        (&format!("posthog_plugins--{OLD}.sql"), &format!("{}{undo}", current_script())),
        (&format!("posthog_plugins--{OLD}--{CURRENT}.sql"), update),
    ])
}

/// A session of a database that has one version.
fn database(cluster: &Cluster, name: &str, version: &str) -> Client {
    cluster.connect("postgres").run(&format!("CREATE DATABASE {name}"));
    let mut client = cluster.connect(name);
    client.run(&format!("CREATE EXTENSION posthog_plugins VERSION '{version}'"));
    client
}

const UPDATE: &str = "ALTER EXTENSION posthog_plugins UPDATE";

/// What an updated extension has more or less than a fresh one.
fn drift(cluster: &Cluster, old: &str, fresh: &BTreeSet<String>) -> Vec<String> {
    let name = format!("old_{}", old.replace('.', "_"));
    let mut client = database(cluster, &name, old);
    client.run(UPDATE);
    difference(fresh, &describe(&mut client))
}

/// With plugins in the old one, which have to be there and to run afterwards.
#[track_caller]
fn plugins_survive(cluster: &Cluster, old: &str) {
    let mut fresh = database(cluster, "furnished", CURRENT);
    furnish(&mut fresh);
    let mut updated = database(cluster, "updated", old);
    transfer(&mut fresh, &mut updated);
    updated.run(UPDATE);
    for client in [&mut fresh, &mut updated] {
        // A column that the old version may not have.
        client.run("UPDATE posthog_plugins.plugin SET installed_at = 'epoch'");
    }
    assert_eq!(everything(&mut updated), everything(&mut fresh));
    works(&mut updated);
    updated.run("SELECT posthog_plugins.disable('last')");
}

#[test]
fn an_updated_extension_is_what_a_fresh_one_is() {
    let undo = script(CHANGES.map(|(undo, _)| undo));
    let cluster = with_old_version(&undo, &script(CHANGES.map(|(_, redo)| redo)));
    let fresh = describe(&mut database(&cluster, "fresh", CURRENT));
    assert!(fresh.len() > 100, "{fresh:#?}");
    assert_eq!(drift(&cluster, OLD, &fresh), [""; 0]);
    plugins_survive(&cluster, OLD);
}

#[test]
fn an_update_that_forgets_something_is_found() {
    // Every version leads to this one with one change forgotten.
    let mut files = Vec::new();
    for (number, (forgotten, _)) in CHANGES.iter().enumerate() {
        let undo = format!("{}{}", current_script(), script(CHANGES.map(|(undo, _)| undo)));
        let others = CHANGES.into_iter().filter(|(undo, _)| undo != forgotten);
        files.push((format!("posthog_plugins--0.0.{number}.sql"), undo));
        files.push((
            format!("posthog_plugins--0.0.{number}--{CURRENT}.sql"),
            script(others.map(|(_, redo)| redo)),
        ));
    }
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let cluster = Cluster::start_with_extension_files(&files);
    let fresh = describe(&mut database(&cluster, "fresh", CURRENT));
    for (number, (_, forgotten)) in CHANGES.iter().enumerate() {
        let found = drift(&cluster, &format!("0.0.{number}"), &fresh);
        assert!(!found.is_empty(), "nobody noticed that the update lacks {forgotten}");
    }
}

/// Until the first release there is none; then this is the test that matters.
#[test]
fn every_release_leads_to_this_version() {
    let fresh = describe(&mut Cluster::start().create_database("fresh"));
    for (version, install) in Releases::of_the_repository().install_scripts() {
        let name = format!("posthog_plugins--{version}.sql");
        let cluster = Cluster::start_with_extension_files(&[(&name, &install)]);
        let found = drift(&cluster, &version, &fresh);
        assert!(
            found.is_empty(),
            "{version} updated to {CURRENT} is not what a fresh {CURRENT} is{}: {found:#?}",
            if version == CURRENT {
                ", which is released: it is time for a new version"
            } else {
                ""
            }
        );
        plugins_survive(&cluster, &version);
    }
}

#[test]
fn what_was_released_is_never_edited() {
    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres");
    assert_eq!(Releases::of_the_repository().problems(&mut client), [""; 0]);
    // A history of which some was edited, some lost and some never recorded.
    let sql = cluster.socket_directory().join("sql");
    fs::create_dir_all(sql.join("released")).unwrap();
    let write = |path: &str, content: &str| fs::write(sql.join(path), content).unwrap();
    let mut checksums = String::new();
    for path in [
        "released/posthog_plugins--1.0.sql",
        "posthog_plugins--1.0--1.1.sql",
        "released/posthog_plugins--1.1.sql",
    ] {
        write(path, path);
        let sum: String = client.value(&format!("SELECT encode(sha256('{path}'), 'hex')"));
        checksums += &format!("{sum}  {path}\n");
    }
    write("released/SHA256SUMS", &checksums);
    // The next update is still being written.
    write("posthog_plugins--1.1--1.2.sql", "");
    let releases = Releases::below(sql.clone());
    assert_eq!(releases.problems(&mut client), [""; 0]);
    let versions: Vec<_> = releases.install_scripts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(versions, ["1.0", "1.1"]);
    write("posthog_plugins--1.0--1.1.sql", "edited");
    write("released/posthog_plugins--0.9.sql", "");
    write("posthog_plugins--0.9--1.0.sql", "");
    assert_eq!(
        releases.problems(&mut client),
        [
            "posthog_plugins--1.0--1.1.sql was edited after its release",
            "posthog_plugins--0.9--1.0.sql is not in SHA256SUMS",
            "released/posthog_plugins--0.9.sql is not in SHA256SUMS",
        ]
    );
    fs::remove_file(sql.join("posthog_plugins--1.0--1.1.sql")).unwrap();
    let problems = releases.problems(&mut client);
    assert_eq!(problems[0], "posthog_plugins--1.0--1.1.sql is gone");
}

/// Between the update of the package and that of the extension.
#[test]
fn events_are_processed_and_changes_refused_before_the_update() {
    let cluster = with_old_version("", "");
    let mut fresh = cluster.create_database("fresh");
    furnish(&mut fresh);
    let mut client = database(&cluster, "old", OLD);
    transfer(&mut fresh, &mut client);
    for _ in 0..2 {
        works(&mut client);
    }
    let told = format!("extension \"posthog_plugins\" is at version {OLD} here");
    assert_eq!(cluster.log().matches(&told).count(), 1, "{}", cluster.log());
    let refused = client.refused("SELECT posthog_plugins.disable('last')");
    assert_eq!(refused.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert!(refused.message().contains(&told), "{refused}");
    assert!(refused.hint().is_some_and(|hint| hint.contains(UPDATE)), "{refused:?}");
    client.run(UPDATE);
    client.run("SELECT posthog_plugins.disable('last')");
}

#[test]
fn a_library_that_cannot_read_older_tables_says_what_to_do() {
    let rename = "ALTER TABLE posthog_plugins.plugin_version RENAME COLUMN";
    let cluster =
        with_old_version(&format!("{rename} script TO code"), &format!("{rename} code TO script"));
    let mut client = database(&cluster, "old", OLD);
    for _ in 0..2 {
        let refused = client.refused("SELECT process_event('{}')");
        assert_eq!(refused.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        assert!(refused.hint().is_some_and(|hint| hint.contains(UPDATE)), "{refused:?}");
    }
    // Events can go on unchanged meanwhile.
    client.run("SET posthog_plugins.enabled = off; SELECT process_event('{}')");
    client.run("RESET posthog_plugins.enabled");
    client.run(UPDATE);
    assert_eq!(client.process("{}").as_deref(), Some("{}"));
}
