//! What storing events costs with and without plugins: in bulk by INSERT and COPY, and row by row
//! from several clients.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cluster::{Cluster, Environment, Session, wait_until};
use postgres::Client;

use crate::rounds::{Effort, Measured, Subject, interleave};
use crate::server::{self, Plugin};

/// One way of storing, by several means; the first is the one without plugins.
pub struct Storing {
    pub way: String,
    pub subjects: Vec<Measured>,
}

const TABLES: &str = "
    CREATE TABLE plain (event jsonb NOT NULL);
    CREATE TABLE attached (event jsonb NOT NULL);
    SELECT posthog_plugins.attach('attached', 'event');
    CREATE TABLE by_plpgsql (event jsonb NOT NULL);
    CREATE FUNCTION greet() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.event := jsonb_set(NEW.event, '{properties,greeting}', '\"Hello world\"');
            RETURN NEW;
        END $$;
    CREATE TRIGGER greet BEFORE INSERT ON by_plpgsql FOR EACH ROW EXECUTE FUNCTION greet();
    CREATE TABLE plain_lz4 (event jsonb COMPRESSION lz4 NOT NULL);
    CREATE TABLE attached_lz4 (event jsonb COMPRESSION lz4 NOT NULL);
    SELECT posthog_plugins.attach('attached_lz4', 'event');
    CREATE TABLE staging (LIKE plain);
    CREATE TABLE texts AS SELECT event::text AS event FROM many;
    CREATE TABLE one AS SELECT event FROM many LIMIT 1;
    CREATE TABLE columns (uuid uuid, event text, distinct_id text, team_id int, ip inet,
                          site_url text, timestamp timestamptz, now timestamptz, properties jsonb);
    CREATE TABLE columns_attached (LIKE columns);
    SELECT posthog_plugins.attach('columns_attached');
    CREATE TABLE columns_by_plpgsql (LIKE columns);
    CREATE FUNCTION greet_columns() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.properties := jsonb_set(NEW.properties, '{greeting}', '\"Hello world\"');
            RETURN NEW;
        END $$;
    CREATE TRIGGER greet BEFORE INSERT ON columns_by_plpgsql
        FOR EACH ROW EXECUTE FUNCTION greet_columns();
    CREATE TABLE columns_source AS
        SELECT r.* FROM many, jsonb_populate_record(NULL::columns, event) AS r;";

pub fn measure(cluster: &Cluster, effort: Effort) -> Vec<Storing> {
    let chain =
        [Plugin::plain("hello-world"), Plugin::plain("consumer"), Plugin::plain("identity")];
    let mut client = server::database(cluster, "inserts", &chain);
    let copies = effort.rows.div_ceil(effort.events);
    let file = cluster.socket_directory().join("events");
    client
        .batch_execute(&format!(
            "CREATE TABLE many AS SELECT event FROM small, generate_series(1, {copies}) LIMIT {};
             {TABLES}
             COPY many TO '{}';",
            effort.rows,
            file.display()
        ))
        .expect("tables are made");
    learn(&mut client);
    client.batch_execute("VACUUM ANALYZE").expect("tables are vacuumed");
    let client = RefCell::new(client);
    vec![
        insert_select(&client, effort),
        insert_columns(&client, effort),
        insert_texts(&client, effort),
        copy(&client, &file, effort),
        single_rows(cluster, &client, 1, effort),
        single_rows(cluster, &client, 8, effort),
    ]
}

/// Has a worker learn what events are like, as it does wherever there is one; what it takes itself is
/// no part of an insert.
fn learn(client: &mut Client) {
    client.run(
        "INSERT INTO attached SELECT event FROM small OFFSET 1 LIMIT 2000;
         SELECT posthog_plugins.start_worker()",
    );
    wait_until("the queue has a dictionary", || {
        client.value("SELECT count(dictionary) > 0 FROM posthog_plugins.queue_state")
    });
    client.run("SELECT posthog_plugins.stop_worker()");
}

/// The ways that differ in having a consumer only.
pub const ATTACHED: &str = "attached";
/// What is stored is enqueued as well. In the turns of all others, nobody consumes.
pub const ENQUEUED: &str = "attached, and enqueued for a consumer";

/// The plugin is another one than in the turns of all others.
const UNCHANGED: &str = "attached, with a plugin that changes nothing";

/// What switches on the plugins that a way has, and the others off.
fn chain_of(name: &str) -> String {
    let enable = |plugin: &str, label: u8, enabled: bool| {
        let call = if enabled { "enable" } else { "disable" };
        format!("SELECT posthog_plugins.{call}('{plugin}', label => '{label}');")
    };
    [
        enable("hello-world", 0, name != UNCHANGED),
        enable("consumer", 1, name == ENQUEUED),
        enable("identity", 2, name == UNCHANGED),
    ]
    .concat()
}

/// A subject whose turn empties a table and then runs a statement that fills it.
fn filling<'a>(
    client: &'a RefCell<Client>,
    name: &str,
    table: &'a str,
    statement: String,
    rows: usize,
) -> Subject<'a> {
    let chain = chain_of(name);
    let timed = move || {
        let mut client = client.borrow_mut();
        empty(&mut client, table);
        client.run(&chain);
        let begun = std::time::Instant::now();
        client.batch_execute(&statement).expect("the table is filled");
        let took = begun.elapsed();
        let stored: i64 = client
            .query_one(&format!("SELECT count(*) FROM {table}"), &[])
            .expect("rows are counted")
            .get(0);
        assert_eq!(stored, rows as i64, "{table} has all rows");
        took
    };
    Subject::timed(name, rows, timed)
}

/// So that all turns find the same.
fn empty(client: &mut Client, table: &str) {
    client.run(&format!("TRUNCATE staging, {table}, posthog_plugins.event_queue_0"));
    client.run("CHECKPOINT");
}

fn insert_select(client: &RefCell<Client>, effort: Effort) -> Storing {
    eprintln!("INSERT ... SELECT");
    let from_many = |table: &str| format!("INSERT INTO {table} SELECT event FROM many");
    let subjects = [
        ("no trigger", "plain", from_many("plain")),
        (ATTACHED, "attached", from_many("attached")),
        (ENQUEUED, "attached", from_many("attached")),
        (
            "no trigger, `process_event` in the query",
            "plain",
            "INSERT INTO plain SELECT e FROM (SELECT process_event(event) AS e FROM many OFFSET 0) AS processed
             WHERE e IS NOT NULL"
                .to_owned(),
        ),
        (
            "attached, by `ingest`",
            "attached",
            "SELECT posthog_plugins.ingest('attached', 'many')".to_owned(),
        ),
        ("PL/pgSQL trigger", "by_plpgsql", from_many("by_plpgsql")),
    ];
    Storing {
        way: format!("`INSERT ... SELECT` of {} stored events in one column", effort.rows),
        subjects: take_turns(client, subjects, effort),
    }
}

fn insert_columns(client: &RefCell<Client>, effort: Effort) -> Storing {
    eprintln!("INSERT ... SELECT into columns");
    let from_source = |table: &str| format!("INSERT INTO {table} SELECT * FROM columns_source");
    let subjects = [
        ("no trigger", "columns", from_source("columns")),
        (ATTACHED, "columns_attached", from_source("columns_attached")),
        (UNCHANGED, "columns_attached", from_source("columns_attached")),
        ("PL/pgSQL trigger", "columns_by_plpgsql", from_source("columns_by_plpgsql")),
        (ENQUEUED, "columns_attached", from_source("columns_attached")),
        (
            "attached, by `ingest`",
            "columns_attached",
            "SELECT posthog_plugins.ingest('columns_attached', 'columns_source')".to_owned(),
        ),
    ];
    Storing {
        way: format!("`INSERT ... SELECT` of {} stored events in nine columns", effort.rows),
        subjects: take_turns(client, subjects, effort),
    }
}

fn insert_texts(client: &RefCell<Client>, effort: Effort) -> Storing {
    eprintln!("INSERT ... SELECT of texts");
    let from_texts = |table: &str| format!("INSERT INTO {table} SELECT event::jsonb FROM texts");
    let subjects = [
        ("no trigger", "plain", from_texts("plain")),
        (ATTACHED, "attached", from_texts("attached")),
        (ENQUEUED, "attached", from_texts("attached")),
        ("PL/pgSQL trigger", "by_plpgsql", from_texts("by_plpgsql")),
        ("no trigger, column with lz4", "plain_lz4", from_texts("plain_lz4")),
        ("attached, column with lz4", "attached_lz4", from_texts("attached_lz4")),
    ];
    Storing {
        way: format!("`INSERT ... SELECT` of {} events that come as text", effort.rows),
        subjects: take_turns(client, subjects, effort),
    }
}

fn copy(client: &RefCell<Client>, file: &Path, effort: Effort) -> Storing {
    eprintln!("COPY");
    let copy = |table: &str| format!("COPY {table} FROM '{}'", file.display());
    let staged = format!(
        "{}; INSERT INTO plain SELECT e FROM (SELECT process_event(event) AS e FROM staging OFFSET 0) AS processed
             WHERE e IS NOT NULL",
        copy("staging")
    );
    let subjects = [
        ("no trigger", "plain", copy("plain")),
        (ATTACHED, "attached", copy("attached")),
        (ENQUEUED, "attached", copy("attached")),
        ("to a staging table, then `INSERT ... SELECT process_event`", "plain", staged),
        ("PL/pgSQL trigger", "by_plpgsql", copy("by_plpgsql")),
    ];
    Storing {
        way: format!("`COPY` of {} events", effort.rows),
        subjects: take_turns(client, subjects, effort),
    }
}

fn take_turns<const N: usize>(
    client: &RefCell<Client>,
    subjects: [(&str, &str, String); N],
    effort: Effort,
) -> Vec<Measured> {
    let subjects = subjects.iter().map(|(name, table, statement)| {
        filling(client, name, table, statement.clone(), effort.rows)
    });
    // A turn takes about a second.
    interleave(subjects.collect(), effort.rounds.div_ceil(2))
}

fn single_rows(
    cluster: &Cluster,
    client: &RefCell<Client>,
    clients: u32,
    effort: Effort,
) -> Storing {
    eprintln!("pgbench, {clients} clients");
    let subjects = [
        ("no trigger", "plain"),
        (ATTACHED, "attached"),
        (ENQUEUED, "attached"),
        ("PL/pgSQL trigger", "by_plpgsql"),
    ]
    .map(|(name, table)| {
        let script = cluster.socket_directory().join(format!("{table}.pgbench"));
        std::fs::write(&script, format!("INSERT INTO {table} SELECT event FROM one;\n"))
            .expect("the script is written");
        Subject::timed(name, 1, move || {
            let mut client = client.borrow_mut();
            empty(&mut client, table);
            client.run(&chain_of(name));
            latency(cluster, &script, clients, effort.seconds)
        })
    });
    Storing {
        way: format!(
            "Single rows, prepared, {clients} client{}",
            if clients == 1 { "" } else { "s" }
        ),
        subjects: interleave(subjects.into(), effort.rounds),
    }
}

/// How long one transaction takes, as the server gets through them.
fn latency(cluster: &Cluster, script: &Path, clients: u32, seconds: u32) -> Duration {
    let output = Command::new(Environment::read().bin.join("pgbench"))
        .args(["--no-vacuum", "--protocol=prepared", "--username=postgres"])
        .args(["--client", &clients.to_string(), "--time", &seconds.to_string()])
        .arg("--host")
        .arg(cluster.socket_directory())
        .arg("--file")
        .arg(script)
        .arg("inserts")
        .output()
        .expect("pgbench runs");
    let report = String::from_utf8_lossy(&output.stdout);
    let per_second: f64 = report
        .lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{report}{}", String::from_utf8_lossy(&output.stderr)));
    Duration::from_secs_f64(1.0 / per_second)
}
