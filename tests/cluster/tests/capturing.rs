//! What plugins capture is inserted into the attached table by a worker, once, through the chain, as the
//! table's owner, and no loop goes on for ever.

use std::time::Duration;

use cluster::workers::worker_is_up;
use cluster::{Cluster, Session, Shutdown, wait_until};
use postgres::Client;

/// A database with an attached table and a worker.
fn database(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.run(
        "CREATE TABLE events (event text NOT NULL, distinct_id text, team_id int, uuid uuid,
                              timestamp timestamptz, properties jsonb);
         SELECT posthog_plugins.attach('events');
         SELECT posthog_plugins.start_worker()",
    );
    client
}

fn count(client: &mut Client, sql: &str) -> i64 {
    client.value(&format!("SELECT count(*) FROM {sql}"))
}

/// Waits until nothing that was captured, stored or failed is on its way.
#[track_caller]
fn all_is_quiet(client: &mut Client) {
    wait_until("all is quiet", || {
        client.value::<bool>(
            "SELECT NOT EXISTS (SELECT FROM posthog_plugins.captured WHERE state = 'waiting')
                    AND COALESCE((SELECT sum(depth + retries) FROM posthog_plugins.consumers), 0) = 0",
        )
    });
}

#[test]
fn what_is_captured_takes_the_way_of_every_event_and_what_is_rolled_back_does_not() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "way");
    client.add_plugin(
        "sender",
        "export async function processEvent(event) {
             if (event.event === 'order') {
                 await posthog.capture('ordered', { n: event.properties.n, distinct_id: 'd' })
             }
             event.properties.seen = true
             return event
         }
         export function onEvent(event) {
             if (event.event === 'ordered') posthog.capture('told', { at: event.uuid })
         }",
    );
    client.run(
        r#"BEGIN; INSERT INTO events VALUES ('order', 'u', 7, NULL, NULL, '{"n": 1}'); ROLLBACK;
           BEGIN; INSERT INTO events VALUES ('order', 'u', 7, NULL, NULL, '{"n": 2}');
           SAVEPOINT a; INSERT INTO events VALUES ('order', 'u', 7, NULL, NULL, '{"n": 3}');
           ROLLBACK TO a; COMMIT"#,
    );
    wait_until("it was told", || count(&mut client, "events WHERE event = 'told'") == 1);
    all_is_quiet(&mut client);
    let stored: Vec<String> = client.column(
        "SELECT concat_ws(' ', event, distinct_id, team_id, uuid IS NOT NULL, properties ->> '$lib',
                          properties -> 'n', properties -> 'seen')
           FROM events ORDER BY event",
    );
    assert_eq!(
        stored,
        [
            "order u 7 f 2 true",
            "ordered d 7 t posthog-plugin-server 2 true",
            "told sender 7 t posthog-plugin-server true",
        ]
    );
    let fresh = "SELECT bool_and(timestamp > now() - interval '1 minute') FROM events WHERE uuid IS NOT NULL";
    assert!(client.value::<bool>(fresh));
    assert_eq!(count(&mut client, "posthog_plugins.captured_event"), 0);
}

#[test]
fn a_loop_ends_and_the_log_names_who_goes_on() {
    let cluster = Cluster::start_with(&[("posthog_plugins.capture_depth", "3")]);
    let mut client = database(&cluster, "loops");
    client.add_plugin(
        "ping",
        "export async function processEvent(event) {
             if (event.event !== 'ping') await posthog.capture('ping')
             return event
         }",
    );
    client.add_plugin(
        "pong",
        "export async function onEvent(event) {
             if (event.event === 'ping') {
                 await new Promise((resolve) => setTimeout(resolve, 5))
                 setTimeout(() => posthog.capture('pong'), 5)
             }
         }",
    );
    client.run("INSERT INTO events VALUES ('start')");
    wait_until("it is told", || count(&mut client, "posthog_plugins.failures") > 0);
    all_is_quiet(&mut client);
    let stored: Vec<String> =
        client.column("SELECT event FROM events ORDER BY timestamp NULLS FIRST");
    assert_eq!(stored, ["start", "ping", "pong", "ping"]);
    let told: String = client.value(
        "SELECT concat_ws(' ', plugin, message, event ->> 'event') FROM posthog_plugins.failures",
    );
    assert!(told.starts_with("pong event \"pong\" is not captured: 3 captures"), "{told}");
    assert!(told.ends_with(" pong"), "{told}");
}

/// Begins a loop of captures, where two may follow one another.
#[track_caller]
fn ends_after_two(client: &mut Client) {
    client.run("INSERT INTO events VALUES ('start')");
    wait_until("it is told", || {
        count(client, "posthog_plugins.failures WHERE message LIKE '%is not captured%'") > 0
    });
    all_is_quiet(client);
    assert_eq!(count(client, "events"), 3);
}

#[test]
fn a_loop_through_retries_ends_as_well() {
    let cluster = Cluster::start_with(&[
        ("posthog_plugins.capture_depth", "2"),
        ("posthog_plugins.retry_delay", "1s"),
    ]);
    let mut client = database(&cluster, "retries");
    client.add_plugin(
        "again",
        "const tried = new Set()
         export function onEvent(event) {
             if (!tried.has(event.uuid)) { tried.add(event.uuid); throw new RetryError('once more') }
             posthog.capture('again')
         }",
    );
    ends_after_two(&mut client);
}

#[test]
fn a_loop_through_jobs_ends_as_well() {
    let cluster = Cluster::start_with(&[("posthog_plugins.capture_depth", "2")]);
    let mut client = database(&cluster, "jobs");
    client.add_plugin(
        "again",
        "export async function processEvent(event, { jobs }) {
             await jobs.again({}).runNow()
             return event
         }
         export const jobs = { again: () => posthog.capture('again') }",
    );
    ends_after_two(&mut client);
}

#[test]
fn what_the_table_does_not_take_is_kept_and_holds_up_nothing() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "refused");
    client.run("ALTER TABLE events ADD CONSTRAINT short CHECK (length(event) < 8)");
    client.add_plugin(
        "sender",
        "export async function processEvent(event) {
             if (event.event === 'go') {
                 for (const name of ['one', 'far_too_long', 'two']) await posthog.capture(name)
             }
             return event
         }",
    );
    client.run("INSERT INTO events VALUES ('go')");
    wait_until("the others are stored", || count(&mut client, "events") == 3);
    let kept = "SELECT concat_ws(' ', id, plugin, state, attempts, error, event ->> 'event')
                  FROM posthog_plugins.captured";
    let expected = "2 sender failed 1 new row for relation \"events\" violates check constraint \"short\" far_too_long";
    wait_until("it is noted", || client.column::<String>(kept) == [expected]);
    let failure: String =
        client.value("SELECT plugin || ': ' || message FROM posthog_plugins.failures");
    assert!(
        failure.starts_with("sender: the captured event \"far_too_long\" is not inserted: new row"),
        "{failure}"
    );
    let finding: String = client.value(
        "SELECT status || ' ' || finding FROM posthog_plugins.health() WHERE topic = 'captured'",
    );
    assert!(finding.starts_with("warning 1 captured events"), "{finding}");
    client.run("ALTER TABLE events DROP CONSTRAINT short");
    assert_eq!(
        client.value::<i64>("SELECT posthog_plugins.retry_captured(error => 'constraint')"),
        1
    );
    wait_until("it is stored", || count(&mut client, "events") == 4);
    assert_eq!(count(&mut client, "posthog_plugins.captured_event"), 0);
}

#[test]
fn tables_of_all_kinds_take_captured_events() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("kinds");
    client.run(
        "CREATE DOMAIN document AS jsonb CHECK (VALUE ? 'event');
         CREATE TABLE documents (id bigint GENERATED ALWAYS AS IDENTITY, team_id int NOT NULL,
             \"odd \"\"name\" document NOT NULL, sent timestamptz DEFAULT now());
         CREATE TABLE parted (id bigint GENERATED ALWAYS AS IDENTITY, event varchar(20), team_id smallint,
             name text GENERATED ALWAYS AS (upper(event)) STORED, ip inet NOT NULL DEFAULT '::1',
             timestamp timestamptz, properties json) PARTITION BY LIST (team_id);
         CREATE TABLE parted_7 PARTITION OF parted FOR VALUES IN (7);
         CREATE TABLE parted_8 PARTITION OF parted FOR VALUES IN (8);
         SELECT posthog_plugins.attach('documents', 'odd \"name'), posthog_plugins.attach('parted');
         SELECT posthog_plugins.start_worker()",
    );
    client.add_plugin(
        "sender",
        "export async function processEvent(event) {
             if (event.event === 'go') await posthog.capture('gone')
             return event
         }
         export function onEvent() {}",
    );
    for team in [7, 8, 9] {
        client.process(&format!(r#"{{"event": "go", "team_id": {team}}}"#));
    }
    let states = "SELECT concat_ws(' ', state, error) FROM posthog_plugins.captured";
    let waiting = "no table 2 tables are attached: posthog_plugins.capture_into says which one gets captured events";
    wait_until("they wait", || client.column::<String>(states) == [waiting; 3]);
    client.run(
        "SELECT posthog_plugins.capture_into('parted'), posthog_plugins.capture_into('documents', 9)",
    );
    wait_until("they are stored", || count(&mut client, "posthog_plugins.captured") == 0);
    let documents: Vec<String> = client.column(
        r#"SELECT team_id || ' ' || ("odd ""name" ->> 'event') || (sent IS NOT NULL) FROM documents"#,
    );
    assert_eq!(documents, ["9 gonetrue"]);
    let parted: Vec<String> = client.column(
        "SELECT concat_ws(' ', tableoid::regclass, event, name, ip) FROM parted ORDER BY 1",
    );
    assert_eq!(parted, ["parted_7 gone GONE ::1", "parted_8 gone GONE ::1"]);
    assert_eq!(client.value::<i64>("SELECT depth + delivered FROM posthog_plugins.consumers"), 3);
}

#[test]
fn a_hostile_owner_gains_nothing_and_holds_up_nobody_for_long() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("hostile");
    client.run(
        "CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory;
         CREATE TABLE found (what text); GRANT INSERT ON found TO PUBLIC;
         CREATE TABLE traps (event text, properties jsonb); ALTER TABLE traps OWNER TO mallory;
         SET ROLE mallory;
         CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO public.found
             SELECT current_user || ' ' || current_setting('search_path');
             BEGIN PERFORM pg_read_file('postgresql.conf'); EXCEPTION WHEN OTHERS THEN
                 INSERT INTO public.found VALUES (SQLERRM); END;
             BEGIN SET ROLE postgres; EXCEPTION WHEN OTHERS THEN
                 INSERT INTO public.found VALUES (SQLSTATE); END;
             BEGIN RESET SESSION AUTHORIZATION; EXCEPTION WHEN OTHERS THEN
                 INSERT INTO public.found VALUES (SQLSTATE); END;
             BEGIN CREATE TEMP TABLE pg_class (x int); EXCEPTION WHEN OTHERS THEN
                 INSERT INTO public.found VALUES (SQLSTATE); END;
             PERFORM set_config('search_path', 'mine', false), pg_advisory_unlock_all();
             IF NEW.event = 'slow' THEN
                 PERFORM pg_sleep(1000);
             END IF;
             RETURN NEW;
         EXCEPTION WHEN insufficient_privilege THEN
             INSERT INTO public.found VALUES (SQLERRM); RETURN NEW;
         END $$;
         CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO public.found VALUES ('late ' || current_user); RETURN NULL; END $$;
         CREATE TRIGGER \"a trap\" BEFORE INSERT ON traps FOR EACH ROW EXECUTE FUNCTION trap();
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON traps DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION late();
         RESET ROLE;
         SELECT posthog_plugins.attach('traps')",
    );
    client.add_plugin(
        "sender",
        "export async function processEvent(event) {
             if (event.event === 'go') for (const name of ['one', 'slow', 'two']) await posthog.capture(name)
             return event
         }
         export function onEvent() {}",
    );
    client.run("SELECT posthog_plugins.start_worker()");
    client.process(r#"{"event": "go"}"#);
    wait_until("both are stored", || count(&mut client, "traps") == 2);
    let found: Vec<String> = client.column("SELECT DISTINCT what FROM found ORDER BY what");
    assert_eq!(
        found,
        [
            "42501",
            "late mallory",
            "mallory \"$user\", public",
            "permission denied for function pg_read_file",
        ]
    );
    let kept: Vec<String> = client.column(
        "SELECT concat_ws(' ', state, attempts, error, event ->> 'event') FROM posthog_plugins.captured",
    );
    assert_eq!(kept, ["waiting 1 it took longer than 10 s slow"]);
    // It has its seat and the config, and no lock more than that.
    let worker = worker_is_up(&mut client);
    let held = format!("pg_locks WHERE locktype = 'advisory' AND pid = {worker}");
    assert_eq!(count(&mut client, &held), 2);
}

#[test]
fn a_table_that_somebody_locks_is_tried_again() {
    let cluster = Cluster::start_with(&[("posthog_plugins.retry_delay", "1s")]);
    let mut client = database(&cluster, "locked");
    client.add_plugin(
        "sender",
        "export async function processEvent(event) {
             if (event.event === 'go') await posthog.capture('gone')
             return event
         }",
    );
    let mut other = cluster.connect("locked");
    other.run("BEGIN; LOCK TABLE events IN SHARE MODE");
    client.process(r#"{"event": "go"}"#);
    let error =
        "SELECT COALESCE(max(error), '') FROM posthog_plugins.captured WHERE state = 'waiting'";
    wait_until("it was tried", || {
        client.value::<String>(error) == "canceling statement due to lock timeout"
    });
    other.run("COMMIT");
    wait_until("it is stored", || count(&mut client, "events") == 1);
}

#[test]
fn a_kill_leaves_each_captured_event_once_with_two_workers() {
    let cluster = Cluster::start_with(&[("posthog_plugins.workers", "2")]);
    let mut client = database(&cluster, "kill");
    client.add_plugin(
        "sender",
        "export async function processEvent(event) {
             if (event.event === 'go') await posthog.capture('gone', { n: event.properties.n })
             return event
         }",
    );
    client.run(
        "SELECT posthog_plugins.stop_worker();
         INSERT INTO events (event, properties)
         SELECT 'go', jsonb_build_object('n', n) FROM generate_series(1, 3000) AS n;
         SELECT posthog_plugins.start_worker(); SELECT posthog_plugins.start_worker()",
    );
    wait_until("some are stored", || count(&mut client, "events WHERE event = 'gone'") > 100);
    drop(client);
    cluster.restart(Shutdown::Immediate);
    let mut client = cluster.connect("kill");
    client.run("SELECT posthog_plugins.start_worker(); SELECT posthog_plugins.start_worker()");
    wait_until("all are stored", || count(&mut client, "posthog_plugins.captured_event") == 0);
    let numbers: (i64, i64) = {
        let row = client
            .query_one(
                "SELECT count(*), count(DISTINCT properties -> 'n') FROM events WHERE event = 'gone'",
                &[],
            )
            .unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!(numbers, (3000, 3000));
}

#[test]
fn what_a_disabled_plugin_has_captured_is_stored_and_of_an_uninstalled_one_is_gone() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "gone");
    let source = "export async function processEvent(event) {
        if (event.event === 'go') await posthog.capture('gone'); return event }";
    client.add_plugin("disabled", source);
    client.add_plugin("uninstalled", source);
    client.run(
        "SELECT posthog_plugins.stop_worker();
         INSERT INTO events VALUES ('go');
         SELECT posthog_plugins.disable('disabled'); SELECT posthog_plugins.uninstall('uninstalled');
         SELECT posthog_plugins.start_worker()",
    );
    wait_until("one is stored", || count(&mut client, "events WHERE event = 'gone'") == 1);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(count(&mut client, "events"), 2);
    assert_eq!(count(&mut client, "posthog_plugins.captured_event"), 0);
}

#[test]
fn only_who_owns_the_table_says_that_it_gets_captured_events() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "owners");
    client.run(
        "CREATE ROLE chief; SELECT posthog_plugins.grant_role('chief', 'admin');
         CREATE TABLE other (event text)",
    );
    let refused = client.refused("SELECT posthog_plugins.capture_into('other')");
    assert_eq!(refused.message(), "table \"other\" is not attached");
    client.run("SET ROLE chief");
    let refused = client.refused("SELECT posthog_plugins.capture_into('public.events')");
    assert_eq!(refused.code().code(), "42501");
}
