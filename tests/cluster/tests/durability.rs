//! What is installed outlives dumps and crashes, and sessions that live long do not grow.

use std::fs;
use std::process::{Command, Stdio};

use cluster::process::memory_of;
use cluster::{Cluster, Environment, Session, Shutdown, wait_until};
use postgres::Client;
use postgres::error::SqlState;

/// All that an administrator wrote, as text that can be compared.
fn everything(client: &mut Client) -> Vec<String> {
    client.column(
        "SELECT 'plugin ' || p::text FROM posthog_plugins.plugin AS p
          UNION ALL
         SELECT 'version ' || v::text FROM posthog_plugins.plugin_version AS v
          UNION ALL
         SELECT 'config ' || c::text FROM posthog_plugins.plugin_config AS c
          UNION ALL
         SELECT 'secret ' || s::text FROM posthog_plugins.plugin_secret AS s
          UNION ALL
         SELECT 'attachment ' || a::text FROM posthog_plugins.plugin_attachment AS a
          ORDER BY 1",
    )
}

/// Two plugins, the first of them with two versions, three configs, a secret and an attachment.
fn furnish(client: &mut Client) {
    client.run(
        r#"SELECT posthog_plugins.install('export const processEvent = () => null',
               '{"config": [{"key": "token", "type": "string", "secret": true},
                            {"key": "file", "type": "attachment"}]}', 'tagging');
           SELECT posthog_plugins.install($js$
               export function processEvent(event, { attachments, config }) {
                   console.log('tagging')
                   const file = attachments.file ? attachments.file.contents.toString() : ''
                   event.tags = [...(event.tags || []), `${config.tag}${file}${config.token.length}`]
                   return event
               }$js$,
               '{"config": [{"key": "token", "type": "string", "secret": true},
                            {"key": "tag", "type": "string", "default": "preset"},
                            {"key": "file", "type": "attachment"}]}', 'tagging');
           SELECT posthog_plugins.configure('tagging', '{"token": "abc", "tag": "first"}');
           SELECT posthog_plugins.configure('tagging', '{"token": "abcd"}', 7, 'second', 'raise');
           SELECT posthog_plugins.configure('tagging', '{"token": "a"}', 8);
           SELECT posthog_plugins.set_attachment('tagging', 'file', 'f', 'text/plain', '\x00ff41');
           SELECT posthog_plugins.install('export function processEvent(event) {
               event.last = true
               return event
           }', '{}', 'last');
           SELECT posthog_plugins.enable('last');
           SELECT posthog_plugins.enable('tagging');
           SELECT posthog_plugins.enable('tagging', 7, 'second');
           SELECT posthog_plugins.move('last', 3)"#,
    );
}

fn works(client: &mut Client) {
    let event = client.process(r#"{"event": "e", "team_id": 7}"#).unwrap();
    assert!(event.contains(r#""last": true"#), "{event}");
    assert!(event.contains(r#""preset4"]"#), "{event}");
}

/// `pg_dump` of one database, read into another.
fn copy(cluster: &Cluster, from: &str, to: &str, options: &[&str]) {
    let environment = Environment::read();
    let connected = |program: &str| {
        let mut command = Command::new(environment.bin.join(program));
        command.arg("--host").arg(cluster.socket_directory()).arg("--username=postgres");
        command
    };
    let mut dump = connected("pg_dump")
        .args(["--format=custom", from])
        .args(options)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let restored = connected("pg_restore")
        .args(["--exit-on-error", "--dbname", to])
        .stdin(dump.stdout.take().unwrap())
        .status()
        .unwrap();
    assert!(dump.wait().unwrap().success());
    assert!(restored.success());
}

#[test]
fn a_dump_brings_plugins_configs_secrets_and_attachments() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("original");
    furnish(&mut client);
    works(&mut client);
    // A restored table does not send its old rows through plugins again: triggers come last.
    client.run(
        "CREATE TABLE events (data jsonb);
         CREATE FUNCTION run_plugins() RETURNS trigger LANGUAGE plpgsql
             AS $$BEGIN NEW.data := public.process_event(NEW.data); RETURN NEW; END$$;
         CREATE TRIGGER run_plugins BEFORE INSERT ON events
             FOR EACH ROW EXECUTE FUNCTION run_plugins();
         INSERT INTO events VALUES ('{\"event\": \"e\"}')",
    );
    cluster.connect("postgres").run("CREATE DATABASE restored");
    copy(&cluster, "original", "restored", &[]);
    let mut restored = cluster.connect("restored");
    assert_eq!(everything(&mut restored), everything(&mut client));
    let events = "SELECT data::text FROM events";
    assert_eq!(restored.column::<String>(events), client.column::<String>(events));
    assert_eq!(restored.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_log"), 0);
    works(&mut restored);
    // Ids go on where they were.
    let add = "SELECT posthog_plugins.configure('last', '{}', 9)";
    assert_eq!(restored.value::<i32>(add), client.value::<i32>(add));
    // What was restored can be dumped, and removed, like the original.
    restored.run("SELECT posthog_plugins.uninstall('tagging')");
    cluster.connect("postgres").run("CREATE DATABASE again");
    copy(&cluster, "restored", "again", &[]);
    assert_eq!(everything(&mut cluster.connect("again")), everything(&mut restored));
}

#[test]
fn a_schema_only_dump_brings_the_extension_without_secrets() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("original");
    furnish(&mut client);
    cluster.connect("postgres").run("CREATE DATABASE restored");
    copy(&cluster, "original", "restored", &["--schema-only"]);
    let mut restored = cluster.connect("restored");
    assert_eq!(everything(&mut restored), [""; 0]);
    let event = restored.process(r#"{"event": "e"}"#);
    assert_eq!(event.as_deref(), Some(r#"{"event": "e"}"#));
}

#[test]
fn a_crash_keeps_everything() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("crashing");
    furnish(&mut client);
    works(&mut client);
    let before = everything(&mut client);
    let lines: i64 = client.value("SELECT count(*) FROM posthog_plugins.plugin_log");
    cluster.restart(Shutdown::Immediate);
    let mut client = cluster.connect("crashing");
    assert_eq!(everything(&mut client), before);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_log"), lines);
    works(&mut client);
    // A session that dies takes nobody else's plugins with it.
    let pid = client.pid();
    let killed = Environment::read().as_server("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.unwrap().success());
    wait_until("the server is up again", || {
        cluster
            .try_connect_as("postgres", "crashing")
            .is_ok_and(|mut client| client.batch_execute("SELECT 1").is_ok())
    });
    works(&mut cluster.connect("crashing"));
}

#[test]
fn a_standby_processes_events_and_logs_to_its_server() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("standby");
    furnish(&mut client);
    // Nothing follows from a primary, which does not matter here.
    fs::write(cluster.socket_directory().join("data/standby.signal"), "").unwrap();
    cluster.restart(Shutdown::Fast);
    let mut client = cluster.connect("standby");
    assert!(client.value::<bool>("SELECT pg_is_in_recovery()"));
    works(&mut client);
    client.run("BEGIN ISOLATION LEVEL REPEATABLE READ");
    works(&mut client);
    client.run("COMMIT");
    wait_until("the line is in the server's log", || cluster.log().contains("LOG: tagging"));
}

#[test]
fn a_standby_refuses_changes_as_read_only() {
    let cluster = Cluster::start();
    drop(cluster.create_database("standby"));
    fs::write(cluster.socket_directory().join("data/standby.signal"), "").unwrap();
    cluster.restart(Shutdown::Fast);
    let change = cluster
        .connect("standby")
        .refusal("SELECT posthog_plugins.install('const a = 1', '{}', 'a')");
    assert_eq!(change, SqlState::READ_ONLY_SQL_TRANSACTION);
}

#[test]
fn a_read_only_transaction_refuses_changes() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("read_only");
    furnish(&mut client);
    client.run("SET default_transaction_read_only = on");
    for call in [
        "install('const a = 1', '{}', 'a')",
        "configure('last', '{}')",
        "disable('last')",
        "enable('last', 5)",
        "rollback('tagging')",
        "uninstall('last')",
    ] {
        let code = client.refusal(&format!("SELECT posthog_plugins.{call}"));
        assert_eq!(code, SqlState::READ_ONLY_SQL_TRANSACTION, "{call}");
    }
}

#[test]
fn an_event_alone_costs_no_transaction_id() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("ids");
    client.add_body("quiet", "event.seen = true; return event");
    let mut fresh = cluster.connect("ids");
    for client in [&mut fresh, &mut client] {
        client.run("BEGIN");
        client.process(r#"{"event": "e"}"#);
        assert!(client.value::<bool>("SELECT pg_current_xact_id_if_assigned() IS NULL"));
        client.run("COMMIT");
    }
}

/// What plugins of many kinds do at once: awaits, regular expressions, dates, errors that are
/// caught, and now and then a line.
const REALISTIC: &str = r"
    let seen = 0
    const parse = async (url: string) => {
        if (!url) throw new Error('no url')
        return new URL(url)
    }
    export async function processEvent(event, { global }) {
        const properties = event.properties
        try {
            const url = await parse(properties.$current_url)
            properties.host = url.host
            properties.query = Object.fromEntries(url.searchParams)
        } catch (error) {
            properties.error = error.message
        }
        properties.words = properties.title.split(/\s+/).map((word) => word.toLowerCase())
        properties.at = new Date(event.timestamp).toISOString()
        global[`last ${seen % 10}`] = event.distinct_id
        if (++seen % 1000 === 0) console.log('seen', seen)
        return event
    }";

#[test]
fn a_session_of_300_000_events_does_not_grow() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("long");
    client.add_plugin("realistic", REALISTIC);
    client.add_body("failing", "event.properties.missing.call()");
    let pid = client.pid();
    let mut process = |count: u32| {
        let unchanged: i64 = client.value(&format!(
            r#"SELECT count(*) FILTER (WHERE process_event(jsonb_build_object(
                          'event', 'e', 'distinct_id', n::text, 'timestamp', '2024-01-01T00:00:00Z',
                          'properties', jsonb_build_object(
                              'title', 'A Page of Words',
                              '$current_url', CASE WHEN n % 7 > 0 THEN
                                  'https://example.com/page?number=' || n END)))
                      -> 'properties' -> 'words' ->> 2 IS DISTINCT FROM 'of')
                 FROM generate_series(1, {count}) AS n"#
        ));
        assert_eq!(unchanged, 0);
        memory_of(pid)
    };
    // In several statements and in one: what either kind keeps would show.
    let early = (0..10).map(|_| process(3_000)).last().unwrap();
    let late = process(270_000);
    println!("{early} kB after 30,000 events, {late} kB after 300,000");
    assert!(late * 10 <= early * 11, "{early} kB became {late} kB");
}

#[test]
fn a_session_that_changes_plugins_again_and_again_does_not_grow() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("changing");
    let pid = client.pid();
    let mut change = |rounds: u32| {
        for round in 0..rounds {
            client.add_body("changing", &format!("event.round = {round}; return event"));
            client.process(r#"{"event": "e"}"#);
            client.run("SELECT posthog_plugins.uninstall('changing')");
        }
        memory_of(pid)
    };
    let early = change(100);
    let late = change(400);
    println!("{early} kB after 100 changes, {late} kB after 500");
    assert!(late * 10 <= early * 12, "{early} kB became {late} kB");
}
