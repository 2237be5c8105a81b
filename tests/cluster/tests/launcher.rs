//! A server that preloads the library: a worker is where the extension is, comes back, and goes.

use std::thread;
use std::time::{Duration, Instant};

use cluster::process::ticks_of;
use cluster::workers::{nobody_works, preloaded, worker_is_up, workers_of};
use cluster::{Cluster, Environment, Session, Shutdown, run, wait_until};
use postgres::Client;
use postgres::error::SqlState;

/// More than any of it takes, and less than PostgreSQL waits for a database to become free.
const AT_ONCE: Duration = Duration::from_secs(3);

#[track_caller]
fn at_once(what: &str, work: impl FnOnce()) {
    let begin = Instant::now();
    work();
    assert!(begin.elapsed() < AT_ONCE, "{what} took {:?}", begin.elapsed());
}

fn launchers(client: &mut Client) -> Vec<i32> {
    client
        .column("SELECT pid FROM pg_stat_activity WHERE backend_type = 'posthog_plugins launcher'")
}

fn kill(pid: i32) {
    let environment = Environment::read();
    // Not every machine has a kill.
    let mut kill = environment.as_server(environment.bin.join("pg_ctl"));
    run(kill.args(["kill", "KILL", &pid.to_string()]));
}

/// Kills a process, and returns a session when PostgreSQL has ended all of them, as shared memory may
/// be damaged, and recovered.
fn crash(cluster: &Cluster, mut witness: Client, pid: i32, database: &str) -> Client {
    kill(pid);
    wait_until("the server notices", || witness.batch_execute("SELECT 1").is_err());
    let mut client = None;
    wait_until("the server is up again", || {
        client = cluster
            .try_connect_as("postgres", database)
            .ok()
            .and_then(|mut client| client.batch_execute("SELECT 1").ok().map(|()| client));
        client.is_some()
    });
    client.unwrap()
}

#[test]
fn each_database_with_the_extension_has_its_worker_and_no_other_has_one() {
    let cluster = preloaded(&[]);
    let mut admin = cluster.connect("postgres");
    admin.run("CREATE DATABASE without");
    let mut one = cluster.create_database("one");
    let mut two = cluster.create_database("two");
    worker_is_up(&mut one);
    worker_is_up(&mut two);
    for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
        cluster.restart(shutdown);
        let mut one = cluster.connect("one");
        worker_is_up(&mut one);
        worker_is_up(&mut cluster.connect("two"));
        for database in ["without", "postgres", "template1"] {
            nobody_works(&mut one, database);
        }
        assert_eq!(launchers(&mut one).len(), 1);
    }
}

#[test]
fn a_worker_comes_and_goes_with_the_extension() {
    let cluster = preloaded(&[]);
    let mut client = cluster.create_database("cycles");
    for _ in 0..3 {
        worker_is_up(&mut client);
        at_once("DROP EXTENSION", || client.run("DROP EXTENSION posthog_plugins"));
        nobody_works(&mut client, "cycles");
        client.run("BEGIN; CREATE EXTENSION posthog_plugins; ROLLBACK");
        client.run("BEGIN; CREATE EXTENSION posthog_plugins; COMMIT");
    }
    worker_is_up(&mut client);
    client.run("BEGIN; DROP EXTENSION posthog_plugins; ROLLBACK");
    worker_is_up(&mut client);
}

#[test]
fn who_drops_the_extension_waits_for_a_worker_at_work_and_is_never_deadlocked() {
    let cluster = preloaded(&[("deadlock_timeout", "'10ms'")]);
    let mut client = cluster.create_database("busy");
    let mut other = cluster.connect("busy");
    for _ in 0..10 {
        worker_is_up(&mut client);
        client.run(
            "SELECT posthog_plugins.install('export function onEvent() {}', '{}', 'silent');
             SELECT posthog_plugins.enable('silent')",
        );
        other.run(
            "DO $$
             BEGIN
                 FOR i IN 1 .. 100 LOOP
                     PERFORM posthog_plugins.enqueue('{\"event\": \"e\"}');
                     COMMIT;
                 END LOOP;
             END
             $$",
        );
        at_once("DROP EXTENSION", || client.run("DROP EXTENSION posthog_plugins"));
        client.run("CREATE EXTENSION posthog_plugins");
    }
    assert!(!cluster.log().contains("deadlock detected"), "{}", cluster.log());
}

#[test]
fn a_copy_of_a_database_gets_its_own_worker() {
    let cluster = preloaded(&[]);
    let mut client = cluster.create_database("original");
    worker_is_up(&mut client);
    drop(client);
    let mut admin = cluster.connect("postgres");
    at_once("a copy", || admin.run("CREATE DATABASE copy TEMPLATE original"));
    worker_is_up(&mut cluster.connect("copy"));
    worker_is_up(&mut cluster.connect("original"));
    // A template is there to be copied.
    admin.run("ALTER DATABASE copy IS_TEMPLATE true");
    cluster.connect("copy").run("SELECT posthog_plugins.stop_worker()");
    cluster.restart(Shutdown::Fast);
    worker_is_up(&mut cluster.connect("original"));
    let mut admin = cluster.connect("postgres");
    assert_eq!(workers_of(&mut admin, "copy"), [0; 0]);
    admin.run("ALTER DATABASE copy IS_TEMPLATE false");
    worker_is_up(&mut cluster.connect("copy"));
}

#[test]
fn a_worker_keeps_nobody_from_having_the_database_for_himself() {
    let cluster = preloaded(&[("allow_in_place_tablespaces", "on")]);
    let mut admin = cluster.connect("postgres");
    admin.run("CREATE TABLESPACE other LOCATION ''");
    for round in 0..3 {
        worker_is_up(&mut cluster.create_database("wanted"));
        at_once("a move", || admin.run("ALTER DATABASE wanted SET TABLESPACE other"));
        worker_is_up(&mut cluster.connect("wanted"));
        at_once("a name", || admin.run(&format!("ALTER DATABASE wanted RENAME TO renamed{round}")));
        worker_is_up(&mut cluster.connect(&format!("renamed{round}")));
        at_once("a drop", || admin.run(&format!("DROP DATABASE renamed{round}")));
    }
    let log = cluster.log();
    assert!(!log.contains("being accessed") && !log.contains("does not exist"), "{log}");
}

#[test]
fn an_owner_who_is_no_superuser_drops_a_database_by_force() {
    let cluster = preloaded(&[]);
    let mut admin = cluster.connect("postgres");
    admin.run("CREATE ROLE tenant LOGIN CREATEDB");
    let mut client = cluster.create_database("own");
    client.run("ALTER DATABASE own OWNER TO tenant");
    let worker = worker_is_up(&mut client);
    drop(client);
    let mut stranger = cluster.connect("postgres");
    stranger.run("CREATE ROLE stranger; SET ROLE stranger");
    let refused = stranger.refusal("DROP DATABASE own WITH (FORCE)");
    assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(workers_of(&mut admin, "own"), [worker]);
    let mut tenant = cluster.connect_as("tenant", "postgres");
    at_once("a drop", || tenant.run("DROP DATABASE own WITH (FORCE)"));
}

#[test]
fn a_worker_that_is_ended_comes_back() {
    let cluster = preloaded(&[]);
    let mut client = cluster.create_database("back");
    let first = worker_is_up(&mut client);
    client.run(&format!("SELECT pg_terminate_backend({first}, 5000)"));
    let second = worker_is_up(&mut client);
    assert_ne!(first, second);
    // The launcher, too; workers go on meanwhile, and are not doubled.
    let launcher = launchers(&mut client)[0];
    client.run(&format!("SELECT pg_terminate_backend({launcher}, 5000)"));
    wait_until("there is another launcher", || {
        launchers(&mut client).first().is_some_and(|other| *other != launcher)
    });
    assert_eq!(worker_is_up(&mut client), second);
    worker_is_up(&mut cluster.create_database("later"));
    assert_eq!(workers_of(&mut client, "back"), [second]);
    client.run(&format!("SELECT pg_terminate_backend({second}, 5000)"));
    assert_ne!(worker_is_up(&mut client), second);
}

#[test]
fn workers_come_back_after_one_was_killed() {
    let cluster = preloaded(&[]);
    let mut one = cluster.create_database("one");
    worker_is_up(&mut cluster.create_database("two"));
    for _ in 0..2 {
        let pid = worker_is_up(&mut one);
        one = crash(&cluster, one, pid, "one");
        worker_is_up(&mut one);
        worker_is_up(&mut cluster.connect("two"));
    }
    let pid = launchers(&mut one)[0];
    one = crash(&cluster, one, pid, "one");
    worker_is_up(&mut one);
    assert_eq!(launchers(&mut one).len(), 1);
}

#[test]
fn a_stopped_worker_stays_away_until_it_is_started() {
    let cluster = preloaded(&[]);
    let mut client = cluster.create_database("stopped");
    worker_is_up(&mut client);
    let mut other = cluster.create_database("other");
    let there = worker_is_up(&mut other);
    assert_eq!(client.value::<i32>("SELECT posthog_plugins.stop_worker()"), 1);
    // Whatever has the launcher look again.
    client.run("CREATE DATABASE distraction");
    client.run("SELECT pg_reload_conf()");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(workers_of(&mut client, "stopped"), [0; 0]);
    let advice = "SELECT advice FROM posthog_plugins.health() WHERE subject = 'worker'";
    assert_eq!(client.column::<String>(advice), ["SELECT posthog_plugins.start_worker()"]);
    let pid: i32 = client.value("SELECT posthog_plugins.start_worker()");
    assert_eq!(worker_is_up(&mut client), pid);
    assert_eq!(worker_is_up(&mut other), there);
    assert_eq!(client.column::<String>(advice), [""; 0]);
}

#[test]
fn a_reload_changes_how_many_workers_there_are() {
    let cluster = preloaded(&[("max_worker_processes", "20")]);
    let mut client = cluster.create_database("many");
    worker_is_up(&mut client);
    for workers in [3, 0, 2, 1] {
        cluster.configure(&[("posthog_plugins.workers", &workers.to_string())]);
        client.run("SELECT pg_reload_conf()");
        let count = "SELECT count(*) FROM posthog_plugins.workers";
        wait_until("there are as many", || client.value::<i64>(count) == workers);
    }
}

#[test]
fn a_server_without_room_for_workers_says_so_and_works() {
    // The launcher's, and that of PostgreSQL's own replication.
    let cluster = preloaded(&[("max_worker_processes", "2")]);
    let mut client = cluster.create_database("crowded");
    client.add_body("mark", "event.seen = true; return event");
    assert_eq!(client.process("{}").as_deref(), Some(r#"{"seen": true}"#));
    let told = "no background worker is left for posthog_plugins";
    wait_until("the log says so", || cluster.log().contains(told));
    let refused = client.refused("SELECT posthog_plugins.start_worker()");
    assert_eq!(refused.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert_eq!(cluster.log().matches(told).count(), 1, "{}", cluster.log());
}

#[test]
fn a_standby_has_no_worker_until_it_is_promoted() {
    let primary = preloaded(&[]);
    let mut admin = primary.create_database("app");
    worker_is_up(&mut admin);
    let standby = primary.standby();
    let mut reader = standby.connect("app");
    assert_eq!(launchers(&mut reader), [0; 0]);
    assert_eq!(workers_of(&mut reader, "app"), [0; 0]);
    primary.shut_down(Shutdown::Immediate);
    standby.promote();
    worker_is_up(&mut reader);
}

/// A worker inside JavaScript that does not end: in a trigger on what it removes.
fn in_the_middle(cluster: &Cluster, database: &str) -> (Client, i32) {
    let mut client = cluster.create_database(database);
    worker_is_up(&mut client);
    client.add_body("endless", "while (event.event === 'endless') {} return event");
    client.run(
        r#"CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN
               PERFORM public.process_event('{"event": "endless"}');
               RETURN OLD;
           END $$;
           CREATE TRIGGER hang BEFORE DELETE ON posthog_plugins.plugin_log
               FOR EACH ROW EXECUTE FUNCTION hang();
           INSERT INTO posthog_plugins.plugin_log (logged_at, config_id, source, level, message)
           VALUES (now() - interval '30 days', 1, 'CONSOLE', 'LOG', 'old');
           SELECT posthog_plugins.stop_worker()"#,
    );
    let pid: i32 = client.value("SELECT posthog_plugins.start_worker()");
    let early = ticks_of(pid);
    wait_until("JavaScript runs", || ticks_of(pid) > early + 20);
    (client, pid)
}

#[test]
fn javascript_in_a_worker_delays_nothing() {
    let cluster = preloaded(&[("posthog_plugins.execution_timeout", "'10min'")]);
    let (mut client, pid) = in_the_middle(&cluster, "ended");
    at_once("its end", || {
        assert!(client.value::<bool>(&format!("SELECT pg_terminate_backend({pid}, 3000)")));
    });
    drop(client);
    drop(in_the_middle(&cluster, "dropped"));
    let mut admin = cluster.connect("postgres");
    at_once("a drop", || admin.run("DROP DATABASE dropped"));
    drop(in_the_middle(&cluster, "shut_down"));
    at_once("a fast shutdown", || cluster.shut_down(Shutdown::Fast));
    cluster.boot();
    let pid = worker_is_up(&mut cluster.connect("shut_down"));
    let early = ticks_of(pid);
    wait_until("JavaScript runs", || ticks_of(pid) > early + 20);
    at_once("an immediate shutdown", || cluster.shut_down(Shutdown::Immediate));
    cluster.boot();
}

#[test]
fn sessions_leave_the_folding_to_the_worker() {
    let cluster = preloaded(&[("posthog_plugins.stats_interval", "0")]);
    let mut client = cluster.create_database("folded");
    worker_is_up(&mut client);
    client.add_body("counted", "return event");
    // Later than the look that a worker begins with.
    thread::sleep(Duration::from_secs(2));
    for _ in 0..1100 {
        client.process("{}");
    }
    let rows = "SELECT count(*) FROM posthog_plugins.plugin_stat";
    wait_until("the rows are folded", || client.value::<i64>(rows) < 500);
    assert_eq!(client.value::<i64>("SELECT events FROM posthog_plugins.stats"), 1100);
}

#[test]
fn a_worker_waits_for_the_update_of_the_extension() {
    let current = env!("CARGO_PKG_VERSION");
    let script =
        Environment::read().extension_directory().join(format!("posthog_plugins--{current}.sql"));
    let script = std::fs::read_to_string(script).unwrap();
    let cluster = Cluster::start_with_extension_files(&[
        ("posthog_plugins--0.0.1.sql", &script),
        (&format!("posthog_plugins--0.0.1--{current}.sql"), ""),
    ]);
    cluster.configure(&[("shared_preload_libraries", "'posthog_plugins'")]);
    cluster.restart(Shutdown::Fast);
    let mut admin = cluster.connect("postgres");
    admin.run("CREATE DATABASE old");
    let mut client = cluster.connect("old");
    client.run("CREATE EXTENSION posthog_plugins VERSION '0.0.1'");
    let told = "is at version 0.0.1 here";
    wait_until("the log says so", || cluster.log().contains(told));
    nobody_works(&mut client, "old");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(cluster.log().matches(told).count(), 1, "{}", cluster.log());
    client.run("ALTER EXTENSION posthog_plugins UPDATE");
    worker_is_up(&mut client);
}
