//! Who and what can call `process_event`: other roles, definer's functions, maintenance commands,
//! parallel workers, poolers' sessions, read-only transactions.

use cluster::{Cluster, Session, wait_until};
use postgres::Client;

/// A plugin that counts the events of its realm, and says so.
const COUNTING: &str = "
    let count = 0
    export function processEvent(event) {
        event.count = ++count
        console.log('event ' + count + ' '.repeat(event.padding || 0))
        return event
    }";

/// A database with it, and two roles that may create things.
fn counting(cluster: &Cluster) -> Client {
    let mut owner = cluster.create_database("callers");
    owner.run(
        "CREATE ROLE one LOGIN; CREATE ROLE other LOGIN;
         GRANT CREATE ON SCHEMA public TO one, other",
    );
    owner.add_plugin("counting", COUNTING);
    owner
}

fn count(client: &mut Client) -> i32 {
    client.value("SELECT (public.process_event('{}') ->> 'count')::int")
}

fn logged(client: &mut Client) -> i64 {
    client.value("SELECT count(*) FROM posthog_plugins.plugin_log")
}

#[test]
fn every_way_to_be_another_role_processes_and_logs() {
    let cluster = Cluster::start();
    let mut owner = counting(&cluster);
    owner.run(
        "CREATE FUNCTION as_one() RETURNS int SECURITY DEFINER SET search_path = pg_temp, public
             LANGUAGE sql AS $$SELECT (process_event('{}') ->> 'count')::int$$;
         ALTER FUNCTION as_one() OWNER TO one",
    );
    let mut session = cluster.connect("callers");
    for (number, become_role) in [
        "SET ROLE one",
        "SET ROLE other",
        "SET SESSION AUTHORIZATION one",
        "RESET SESSION AUTHORIZATION",
    ]
    .into_iter()
    .enumerate()
    {
        session.run(become_role);
        let role: String = session.value("SELECT current_user");
        let before = 3 * number as i32;
        assert_eq!(count(&mut session), before + 1, "after {become_role}");
        assert_eq!(session.value::<i32>("SELECT as_one()"), before + 2, "after {become_role}");
        session.run("BEGIN; SET LOCAL ROLE one");
        count(&mut session);
        session.run("COMMIT");
        assert_eq!(session.value::<String>("SELECT current_user"), role);
        assert_eq!(logged(&mut owner), i64::from(before) + 3, "after {become_role}");
    }
}

/// They run as the table's owner in a security-restricted operation.
#[test]
fn maintenance_commands_can_run_plugins() {
    let cluster = Cluster::start();
    let mut owner = counting(&cluster);
    let mut one = cluster.connect_as("one", "callers");
    one.run(
        "CREATE TABLE events AS
             SELECT n, jsonb_build_object('padding', 100) AS data FROM generate_series(1, 2000) AS n;
         -- PostgreSQL believes it.
         CREATE FUNCTION not_immutable(jsonb) RETURNS text IMMUTABLE LANGUAGE plpgsql
             AS $$BEGIN RETURN public.process_event($1) ->> 'padding'; END$$;
         CREATE MATERIALIZED VIEW processed AS
             SELECT n, process_event(data) AS data FROM events WITH NO DATA;
         CREATE UNIQUE INDEX ON processed (n)",
    );
    let mut lines = 0;
    for (command, events) in [
        ("REFRESH MATERIALIZED VIEW processed", 2000),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY processed", 2000),
        ("CREATE INDEX by_padding ON events (not_immutable(data))", 2000),
        ("CREATE INDEX CONCURRENTLY by_padding_too ON events (not_immutable(data))", 2000),
        ("REINDEX INDEX by_padding", 2000),
        ("ANALYZE events", 4000),
    ] {
        one.run(command);
        lines += events;
        assert_eq!(logged(&mut owner), lines, "after {command}");
    }
}

#[test]
fn autovacuum_can_run_plugins() {
    let cluster =
        Cluster::start_with(&[("autovacuum_naptime", "1"), ("autovacuum_analyze_threshold", "10")]);
    let mut owner = counting(&cluster);
    cluster.connect_as("one", "callers").run(
        "CREATE FUNCTION not_immutable(jsonb) RETURNS text IMMUTABLE LANGUAGE plpgsql
             AS $$BEGIN RETURN public.process_event($1) ->> 'count'; END$$;
         CREATE TABLE events (data jsonb);
         CREATE INDEX by_count ON events (not_immutable(data));
         INSERT INTO events SELECT '{}' FROM generate_series(1, 100)",
    );
    // What is missing after the insert comes from ANALYZE.
    wait_until("autovacuum has run the plugin", || logged(&mut owner) == 200);
}

/// `process_event` is PARALLEL UNSAFE; a function that calls it can claim not to be.
#[test]
fn a_parallel_worker_logs_to_the_server() {
    let cluster = Cluster::start();
    let mut owner = counting(&cluster);
    owner.run(
        "CREATE FUNCTION not_parallel_safe(jsonb) RETURNS jsonb PARALLEL SAFE LANGUAGE plpgsql
             AS $$BEGIN RETURN public.process_event($1); END$$;
         CREATE TABLE events AS
             SELECT jsonb_build_object('padding', 100) AS data FROM generate_series(1, 20000);
         ANALYZE events;
         SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0;
         SET parallel_tuple_cost = 0; SET max_parallel_workers_per_gather = 2",
    );
    let query = "SELECT count(not_parallel_safe(data)) FROM events";
    let plan = owner.column::<String>(&format!("EXPLAIN (ANALYZE, COSTS OFF) {query}")).join("\n");
    assert!(plan.contains("Workers Launched: 2"), "{plan}");
    assert!(plan.contains("loops=3"), "{plan}");
    let stored = logged(&mut owner);
    wait_until("every line is somewhere", || {
        cluster.log().matches("plugin \"counting\" LOG: event").count() as i64 + stored == 20_000
    });
    let plan = owner.column::<String>("EXPLAIN SELECT process_event(data) FROM events").join("\n");
    assert!(!plan.contains("Gather"), "{plan}");
}

#[test]
fn read_only_transactions_process_events_and_log_to_the_server() {
    let cluster = Cluster::start();
    let mut owner = counting(&cluster);
    let mut session = cluster.connect_as("one", "callers");
    for (begin, end) in [
        ("BEGIN READ ONLY", "COMMIT"),
        ("BEGIN; SET TRANSACTION READ ONLY", "COMMIT"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", "COMMIT"),
        ("SET default_transaction_read_only = on", "RESET default_transaction_read_only"),
    ] {
        session.run(begin);
        assert!(count(&mut session) > 0);
        session.run(end);
    }
    assert_eq!(logged(&mut owner), 0);
    wait_until("the lines are in the server's log", || {
        cluster.log().matches("plugin \"counting\" LOG: event").count() == 4
    });
}

/// Realms belong to the server's process, and so to all clients that a pooler gives it to.
#[test]
fn a_poolers_session_keeps_its_realms_and_nothing_of_its_clients() {
    let cluster = Cluster::start();
    let mut owner = counting(&cluster);
    let mut server = cluster.connect("callers");
    server.run("SET posthog_plugins.mark_events = on; SET ROLE one");
    server.run("PREPARE p AS SELECT process_event('{}')");
    for round in 1..=3 {
        assert_eq!(count(&mut server), 2 * round - 1);
        for statement in ["EXECUTE p", "DISCARD ALL", "PREPARE p AS SELECT process_event('{}')"] {
            server.run(statement);
        }
        assert_eq!(server.value::<String>("SELECT current_user"), "postgres");
        assert_eq!(server.value::<String>("SHOW posthog_plugins.mark_events"), "off");
    }
    // What was changed meanwhile is seen, whichever client is next.
    owner.run("SELECT posthog_plugins.install('export const processEvent = () => ({count: -1})', '{}', 'counting')");
    server.run("DISCARD ALL");
    assert_eq!(count(&mut server), -1);
}

/// As a pooler does it that gives a server to another client after each transaction.
#[test]
fn transactions_of_many_clients_can_take_turns_in_one_session() {
    let cluster = Cluster::start();
    let mut owner = counting(&cluster);
    let mut server = cluster.connect("callers");
    for round in 0..5 {
        for (role, end) in [("one", "COMMIT"), ("other", "ROLLBACK"), ("postgres", "COMMIT")] {
            server.run(&format!("BEGIN; SET LOCAL ROLE {role}; SET LOCAL search_path = pg_temp"));
            count(&mut server);
            server.run("SAVEPOINT s");
            count(&mut server);
            server.run("ROLLBACK TO s");
            server.run(end);
        }
        // Of those that ended well, with what was rolled back in them: plugins did run.
        assert_eq!(logged(&mut owner), 4 * (round + 1));
    }
    assert_eq!(count(&mut server), 31);
}
