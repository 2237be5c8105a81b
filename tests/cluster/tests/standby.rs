//! A hot standby that follows its primary: it processes events with the plugins as they are now,
//! writes nothing, and becomes a primary.

use cluster::sample::{everything, furnish, works};
use cluster::{Cluster, Session, Shutdown, keeper, wait_until};
use postgres::Client;
use postgres::error::SqlState;

/// A primary with plugins and its standby, with a session on each.
fn pair() -> (Cluster, Cluster, Client, Client) {
    let primary = Cluster::start();
    let mut admin = primary.create_database("app");
    furnish(&mut admin);
    let standby = primary.standby();
    let reader = standby.connect("app");
    (primary, standby, admin, reader)
}

/// Waits until the standby has replayed what the primary has committed.
fn catch_up(primary: &mut Client, standby: &mut Client) {
    let position: String = primary.value("SELECT pg_current_wal_flush_lsn()::text");
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
    wait_until("the standby has caught up", || standby.value(&replayed));
}

#[test]
fn a_standby_processes_events_and_logs_to_its_server() {
    let (_primary, standby, mut admin, mut reader) = pair();
    assert!(reader.value::<bool>("SELECT pg_is_in_recovery()"));
    works(&mut reader);
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        reader.run(&format!("BEGIN ISOLATION LEVEL {isolation}"));
        works(&mut reader);
        reader.run("COMMIT");
    }
    // Two configs log, for each of three events.
    wait_until("the lines are in the server's log", || {
        standby.log().matches("LOG: tagging").count() == 6
    });
    assert_eq!(admin.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_log"), 0);
    let change = reader.refusal("SELECT posthog_plugins.install('const a = 1', '{}', 'a')");
    assert_eq!(change, SqlState::READ_ONLY_SQL_TRANSACTION);
}

#[test]
fn a_running_session_of_a_standby_sees_changes_of_the_primary() {
    let (_primary, _standby, mut admin, mut reader) = pair();
    let event = r#"{"event": "e"}"#;
    assert_eq!(reader.process(event), admin.process(event));
    for change in [
        r#"SELECT posthog_plugins.configure('tagging', '{"token": "abc", "tag": "changed"}')"#,
        "SELECT posthog_plugins.disable('tagging')",
        "SELECT posthog_plugins.enable('tagging')",
        "SELECT posthog_plugins.set_attachment('tagging', 'file', 'f', 'text/plain', 'B')",
        "SELECT posthog_plugins.rollback('tagging')",
        "SELECT posthog_plugins.uninstall('tagging')",
    ] {
        let before = reader.process(event);
        admin.run(change);
        catch_up(&mut admin, &mut reader);
        let after = reader.process(event);
        assert_ne!(after, before, "after {change}");
        assert_eq!(after, admin.process(event), "after {change}");
    }
}

/// Of the cache it has nothing, as that is not in the log that it follows.
#[test]
fn a_standby_reads_what_plugins_store_and_has_an_empty_cache() {
    let (_primary, _standby, mut admin, mut reader) = pair();
    keeper::install(&mut admin);
    for place in ["storage", "cache"] {
        keeper::operate(&mut admin, place, "set", r#"["key", 1]"#);
    }
    catch_up(&mut admin, &mut reader);
    let mut get = |place| keeper::operate(&mut reader, place, "get", r#"["key", 0]"#);
    assert_eq!(get("storage").as_deref(), Some("1"));
    assert_eq!(get("cache").as_deref(), Some("0"));
    for place in ["storage", "cache"] {
        let code = keeper::member(&mut reader, place, "set", r#"["key", 2]"#, "code");
        assert_eq!(code.as_deref(), Some("\"25006\""));
    }
    let count = |view| format!("SELECT count(*) FROM posthog_plugins.{view}");
    assert_eq!(reader.value::<i64>(&count("storage WHERE key = 'key'")), 1);
    assert_eq!(reader.value::<i64>(&count("cache")), 0);
}

#[test]
fn a_promoted_standby_writes_and_keeps_everything() {
    let (primary, standby, mut admin, mut reader) = pair();
    works(&mut reader);
    let before = everything(&mut admin);
    catch_up(&mut admin, &mut reader);
    primary.shut_down(Shutdown::Immediate);
    standby.promote();
    // In the session that was there before, too.
    works(&mut reader);
    let logged = "SELECT count(*) FROM posthog_plugins.plugin_log";
    assert_eq!(reader.value::<i64>(logged), 2);
    assert_eq!(everything(&mut reader), before);
    reader.run("SELECT posthog_plugins.disable('last')");
    let event = reader.process(r#"{"event": "e", "team_id": 7}"#).unwrap();
    assert!(!event.contains("last"), "{event}");
}
