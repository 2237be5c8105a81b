//! What plugins store goes with its transaction, whatever kind of transaction that is.

use std::thread;

use cluster::keeper::{database, install, member, operate, request};
use cluster::process::memory_of;
use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

/// The key that everybody counts in.
const COUNT: &str = r#"["count"]"#;

fn count(client: &mut Client) -> Option<String> {
    operate(client, "storage", "get", COUNT)
}

/// Rows of the storage, of all keys.
fn rows(client: &mut Client) -> i64 {
    client.value("SELECT count(*) FROM posthog_plugins.plugin_storage")
}

#[test]
fn serializable_transactions_that_are_repeated_lose_nothing() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "serializable");
    let sessions: Vec<_> = (0..2)
        .map(|_| {
            let mut session = cluster.connect("serializable");
            thread::spawn(move || {
                let transaction = format!(
                    "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT process_event({}); COMMIT",
                    request("cursor", "increment", COUNT)
                );
                for _ in 0..100 {
                    while let Err(error) = session.batch_execute(&transaction) {
                        assert_eq!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE));
                        session.run("ROLLBACK");
                    }
                }
            })
        })
        .collect();
    sessions.into_iter().for_each(|session| session.join().unwrap());
    assert_eq!(count(&mut client).as_deref(), Some("200"));
}

#[test]
fn the_rows_of_a_key_stay_few_under_any_isolation() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "few");
    for isolation in ["read committed", "repeatable read", "serializable"] {
        client.run(&format!("SET default_transaction_isolation = '{isolation}'"));
        for _ in 0..100 {
            operate(&mut client, "cursor", "increment", COUNT);
        }
        assert!(rows(&mut client) < 20, "{isolation}: {} rows", rows(&mut client));
    }
    assert_eq!(count(&mut client).as_deref(), Some("300"));
    // Nobody reads what is only set, so one in some finds out.
    for _ in 0..300 {
        operate(&mut client, "storage", "set", r#"["set", 1]"#);
    }
    assert!(rows(&mut client) < 250, "{} rows", rows(&mut client));
    client.run("SELECT posthog_plugins.prune()");
    assert_eq!(rows(&mut client), 2);
}

#[test]
fn a_procedure_commits_and_rolls_back_on_its_way() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "procedure");
    client.run(&format!(
        "CREATE PROCEDURE load() LANGUAGE plpgsql AS $$
         DECLARE i int; BEGIN
             FOR i IN SELECT * FROM generate_series(1, 5) LOOP
                 PERFORM process_event({});
                 IF i = 3 THEN ROLLBACK; ELSIF i % 2 = 0 THEN COMMIT; END IF;
             END LOOP;
         END $$",
        request("cursor", "increment", COUNT)
    ));
    client.run("CALL load()");
    assert_eq!(count(&mut client).as_deref(), Some("4"));
    // What is after the last commit ends with the error, what is before does not.
    let refused = client.refusal(&format!(
        "DO $$ BEGIN
             PERFORM process_event({});
             COMMIT;
             PERFORM process_event({});
             RAISE EXCEPTION 'at the end';
         END $$",
        request("cursor", "increment", COUNT),
        request("cursor", "increment", COUNT)
    ));
    assert_eq!(refused, SqlState::RAISE_EXCEPTION);
    assert_eq!(count(&mut client).as_deref(), Some("5"));
}

#[test]
fn what_runs_at_the_commit_is_stored() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "late");
    let increment = request("cursor", "increment", COUNT);
    client.run(&format!(
        "BEGIN;
         DECLARE held CURSOR WITH HOLD FOR SELECT process_event({increment}) FROM generate_series(1, 3);
         COMMIT; CLOSE held;
         CREATE TABLE watched (id int);
         CREATE FUNCTION run_plugins() RETURNS trigger LANGUAGE plpgsql
             AS $$BEGIN PERFORM process_event({increment}); RETURN NULL; END$$;
         CREATE CONSTRAINT TRIGGER run_plugins AFTER INSERT ON watched
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION run_plugins();
         INSERT INTO watched VALUES (1), (2)"
    ));
    assert_eq!(count(&mut client).as_deref(), Some("5"));
}

#[test]
fn a_prepared_transaction_holds_nobody_up_and_may_come_to_nothing() {
    let cluster = Cluster::start_with(&[("max_prepared_transactions", "2")]);
    let mut client = database(&cluster, "prepared_twice");
    client.run("SET lock_timeout = '1ms'");
    let increment = |client: &mut Client| operate(client, "cursor", "increment", COUNT);
    for _ in 0..10 {
        increment(&mut client);
    }
    for name in ["kept", "dropped"] {
        client.run("BEGIN");
        increment(&mut client);
        client.run("SAVEPOINT a");
        increment(&mut client);
        client.run(&format!("ROLLBACK TO a; PREPARE TRANSACTION '{name}'"));
    }
    for _ in 0..10 {
        increment(&mut client);
    }
    operate(&mut client, "storage", "set", r#"["other", 1]"#);
    assert_eq!(count(&mut client).as_deref(), Some("20"));
    client.run("COMMIT PREPARED 'kept'");
    client.run("ROLLBACK PREPARED 'dropped'");
    assert_eq!(count(&mut client).as_deref(), Some("21"));
}

#[test]
fn a_long_chain_of_savepoints_takes_no_memory() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("chain");
    client.add_body(
        "chain",
        "return meta.storage.set('key', event.n + 'x'.repeat(100000)).then(() => event)",
    );
    let pid = client.pid();
    client.run("BEGIN; SAVEPOINT outermost; SELECT process_event('{\"n\": 0}')");
    let before = memory_of(pid);
    client.run(
        "DO $$ BEGIN FOR i IN 1..1000 LOOP
             BEGIN
                 PERFORM process_event(jsonb_build_object('n', i));
                 IF i % 2 = 0 THEN RAISE EXCEPTION 'back'; END IF;
             EXCEPTION WHEN raise_exception THEN NULL;
             END;
         END LOOP; END $$",
    );
    let more = memory_of(pid).saturating_sub(before);
    assert!(more < 40 << 10, "{more} kB");
    client.run("RELEASE outermost; COMMIT");
    let stored = "SELECT left(value, 5) FROM posthog_plugins.storage";
    assert_eq!(client.value::<String>(stored), "\"999x");
}

#[test]
fn what_is_refused_is_not_stored() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("refused");
    client.add_body(
        "large",
        "return meta.storage.set(event.event, 'x'.repeat(1000000))
             .then(() => event, (error) => ({ ...event, code: error.code }))",
    );
    let call = "SELECT process_event(jsonb_build_object('event', 'key ' || i)) ->> 'code'
                  FROM generate_series(1, 40) AS i";
    client.run("BEGIN; SAVEPOINT a");
    let codes: Vec<Option<String>> = client.column(call);
    client.run("RELEASE a; COMMIT");
    let refused = codes.iter().filter(|code| code.as_deref() == Some("53400")).count();
    let accepted = codes.iter().filter(|code| code.is_none()).count();
    assert_eq!(refused + accepted, codes.len());
    assert!(accepted > 15 && refused > 15, "{accepted} accepted, {refused} refused");
    assert_eq!(rows(&mut client), accepted as i64);
    // Outside of savepoints there is no end to it.
    assert!(client.column::<Option<String>>(call).iter().all(Option::is_none));
}

#[test]
fn what_waits_while_a_transaction_becomes_read_only_is_stored() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "becomes");
    client.run("BEGIN; SAVEPOINT a");
    for number in 0..6 {
        let arguments = format!(r#"["{number}", "{}"]"#, "x".repeat(1_000_000));
        operate(&mut client, "storage", "set", &arguments);
    }
    client.run("RELEASE a; SET TRANSACTION READ ONLY");
    let code = member(&mut client, "storage", "set", r#"["late", 1]"#, "code");
    assert_eq!(code.as_deref(), Some("\"25006\""));
    client.run("COMMIT");
    assert_eq!(rows(&mut client), 6);
}

#[test]
fn a_parallel_query_reads_and_refuses() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "parallel");
    operate(&mut client, "storage", "set", r#"["key", 5]"#);
    operate(&mut client, "cache", "set", r#"["key", 6]"#);
    client.run(
        "CREATE FUNCTION not_parallel_safe(jsonb) RETURNS jsonb PARALLEL SAFE LANGUAGE plpgsql
             AS $$BEGIN RETURN public.process_event($1); END$$;
         CREATE TABLE events AS SELECT i FROM generate_series(1, 1000) AS i;
         ANALYZE events;
         SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0;
         SET parallel_tuple_cost = 0; SET max_parallel_workers_per_gather = 2",
    );
    for (call, member, expected) in [
        (request("storage", "get", r#"["key"]"#), "result", "5"),
        (request("cache", "get", r#"["key"]"#), "result", "6"),
        (request("storage", "set", r#"["key", 7]"#), "code", "25006"),
    ] {
        let answers: Vec<String> = client.column(&format!(
            "SELECT DISTINCT not_parallel_safe({call}::jsonb) -> 'properties' ->> '{member}' FROM events"
        ));
        assert_eq!(answers, [expected]);
    }
    assert_eq!(operate(&mut client, "storage", "get", r#"["key"]"#).as_deref(), Some("5"));
}

#[test]
fn databases_do_not_share() {
    let cluster = Cluster::start();
    let mut one = database(&cluster, "one");
    let mut other = database(&cluster, "other");
    for place in ["storage", "cache"] {
        operate(&mut one, place, "set", r#"["key", 1]"#);
        assert_eq!(operate(&mut other, place, "get", r#"["key", 0]"#).as_deref(), Some("0"));
        assert_eq!(operate(&mut one, place, "get", r#"["key", 0]"#).as_deref(), Some("1"));
    }
}

#[test]
fn what_was_written_while_its_plugin_went_is_removed() {
    let cluster = Cluster::start();
    let mut writer = database(&cluster, "orphans");
    let mut client = cluster.connect("orphans");
    writer.run("BEGIN");
    operate(&mut writer, "storage", "set", r#"["key", 1]"#);
    operate(&mut writer, "cache", "set", r#"["key", 1]"#);
    client.run("BEGIN; SELECT posthog_plugins.uninstall('keeper')");
    writer.run("COMMIT");
    client.run("COMMIT; SELECT posthog_plugins.prune()");
    assert_eq!(rows(&mut client), 0);
    install(&mut client);
    assert_eq!(operate(&mut client, "cache", "get", r#"["key", 0]"#).as_deref(), Some("0"));
}
