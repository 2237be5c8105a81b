//! Rows become events, and events become rows.

use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

fn text(client: &mut Client, query: &str) -> String {
    client.value(&format!("SELECT ({query})::text"))
}

fn logged(client: &mut Client) -> Vec<String> {
    client.column("SELECT concat_ws(' ', plugin, source, level, message) FROM posthog_plugins.logs")
}

#[test]
fn a_jsonb_column_can_be_the_event() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("greet", "if (event.event === 'no') return null; event.hi = 1; return event");
    client.run(
        r#"CREATE TABLE events (id int GENERATED ALWAYS AS IDENTITY, data jsonb, at date DEFAULT '2024-02-02');
           SELECT posthog_plugins.attach('events', 'data');
           INSERT INTO events (data) VALUES ('{"event": "a"}'), ('{"event": "no"}'), (NULL)"#,
    );
    let rows = client.column::<String>("SELECT events::text FROM events ORDER BY id");
    assert_eq!(
        rows,
        [r#"(1,"{""hi"": 1, ""event"": ""a""}",2024-02-02)"#, "(3,,2024-02-02)"],
        "a NULL has nothing to process"
    );
    for plugins in ["enable", "disable"] {
        client.run(&format!("SELECT posthog_plugins.{plugins}('greet')"));
        for no_event in ["[1]", "1", "null", "\"text\""] {
            let insert = format!("INSERT INTO events (data) VALUES ('{no_event}')");
            assert_eq!(client.refusal(&insert), SqlState::INVALID_PARAMETER_VALUE, "{no_event}");
        }
    }
    client.run("SELECT posthog_plugins.enable('greet')");
    // Compressed and out of line.
    client.run(
        r#"CREATE TABLE wide (data jsonb);
           INSERT INTO wide SELECT jsonb_build_object('text', string_agg(md5(n::text), ''))
             FROM generate_series(1, 5000) AS n;
           INSERT INTO events (data) SELECT data FROM wide"#,
    );
    let same = "SELECT (SELECT data || '{\"hi\": 1}' FROM wide) = data FROM events ORDER BY id DESC LIMIT 1";
    assert!(client.value::<bool>(same));
}

#[test]
fn a_domain_over_jsonb_can_be_the_event_and_is_checked() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("move", "if (event.spoil) delete event.event; event.hi = 1; return event");
    client.run(
        "CREATE DOMAIN event AS jsonb CHECK (VALUE ? 'event');
         CREATE TABLE events (data event); SELECT posthog_plugins.attach('events', 'data');
         INSERT INTO events VALUES ('{\"event\": \"a\"}')",
    );
    assert_eq!(text(&mut client, "SELECT data FROM events"), r#"{"hi": 1, "event": "a"}"#);
    let error = client.refused(r#"INSERT INTO events VALUES ('{"event": "a", "spoil": true}')"#);
    assert_eq!(*error.code(), SqlState::CHECK_VIOLATION);
    assert!(error.message().contains("plugin \"move\" gave column \"data\""), "{error:?}");
}

#[test]
fn columns_can_be_the_fields_of_the_event() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body(
        "all",
        "if (event.event === 'no') return null;
         event.properties = { ...event.properties, keys: Object.keys(event).join() };
         event.event = event.event.toUpperCase();
         event.at = new Date(Date.parse(event.at) + 1000).toISOString();
         return event",
    );
    client.run(
        r#"CREATE TABLE events (uuid uuid PRIMARY KEY, event text, at timestamptz, properties jsonb);
           SELECT posthog_plugins.attach('events');
           INSERT INTO events VALUES
               ('00000000-0000-0000-0000-0000000000ff', 'a', '2024-02-02 12:00:00+00', '{"a": 1.50}'),
               ('00000000-0000-0000-0000-0000000000ee', 'no', NULL, NULL)"#,
    );
    let rows = client.column::<String>("SELECT to_jsonb(events)::text FROM events");
    assert_eq!(
        rows,
        [
            r#"{"at": "2024-02-02T12:00:01+00:00", "uuid": "00000000-0000-0000-0000-0000000000ff", "event": "A", "properties": {"a": 1.50, "keys": "at,uuid,event,properties"}}"#
        ]
    );
}

#[test]
fn a_field_without_a_column_is_left_out_and_logged_once() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("other", "event.event += '!'; return event");
    client.add_body("adds", "event.$set = { a: 1 }; event.twice = 2; return event");
    client.run(
        "CREATE TABLE events (event text, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
         SELECT posthog_plugins.attach('events')",
    );
    for _ in 0..3 {
        client.run("INSERT INTO events VALUES ('a', 1), ('b', 2)");
    }
    let told = [
        "adds SYSTEM WARN table \"events\" has no column \"$set\": the field is left out",
        "adds SYSTEM WARN column \"twice\" of table \"events\" is generated: the field is left out",
    ];
    assert_eq!(logged(&mut client), told);
    assert_eq!(
        client.column::<String>("SELECT DISTINCT events::text FROM events ORDER BY 1"),
        ["(a!,1,2)", "(b!,2,4)"]
    );
    // For each table, and anew when what it was written with is gone, or the plugin is another.
    client.run("CREATE TABLE more (event text); SELECT posthog_plugins.attach('more')");
    client.run("BEGIN; INSERT INTO more VALUES ('a'); ROLLBACK");
    client.run("INSERT INTO more VALUES ('a')");
    assert_eq!(logged(&mut client).len(), 4);
    client.run(
        "SELECT posthog_plugins.install(
             'export function processEvent(event) { event.$set = 1; return event }', '{}', 'adds');
         INSERT INTO more VALUES ('a')",
    );
    assert_eq!(logged(&mut client).len(), 5);
}

#[test]
fn a_plugin_that_makes_up_field_names_does_not_fill_the_log() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("random", "event['f' + event.n] = 1; return event");
    client.run(
        "CREATE TABLE events (n int); SELECT posthog_plugins.attach('events');
         INSERT INTO events SELECT generate_series(1, 1000)",
    );
    assert_eq!(logged(&mut client).len(), 100);
}

#[test]
fn defaults_identity_and_generated_columns_work() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body(
        "see",
        "event.properties = { saw: { id: event.id, at: event.at, twice: event.twice } };
         event.n += 1; if (event.event === 'set id') event.id = 77;
         if (event.event === 'give up') delete event.at; return event",
    );
    client.run(
        "CREATE TABLE events (id int GENERATED ALWAYS AS IDENTITY, number serial, event text,
             at date DEFAULT '2024-02-02', n int, twice int GENERATED ALWAYS AS (n * 2) STORED,
             properties jsonb);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events (event, n) VALUES ('a', 1), ('set id', 2), ('give up', 3)",
    );
    assert_eq!(
        client.column::<String>(
            "SELECT to_jsonb(e)::text FROM (SELECT id, number, at, twice, properties -> 'saw' AS saw FROM events) AS e"
        ),
        [
            r#"{"at": "2024-02-02", "id": 1, "saw": {"at": "2024-02-02", "id": 1}, "twice": 4, "number": 1}"#,
            r#"{"at": "2024-02-02", "id": 77, "saw": {"at": "2024-02-02", "id": 2}, "twice": 6, "number": 2}"#,
            r#"{"at": null, "id": 3, "saw": {"at": "2024-02-02", "id": 3}, "twice": 8, "number": 3}"#,
        ]
    );
}

#[test]
fn the_column_team_id_chooses_the_configs() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.run(
        "SELECT posthog_plugins.install(
             'export function processEvent(event) { event.event += event.team_id; return event }', '{}', 'one');
         SELECT posthog_plugins.enable('one', team_id => 1);
         CREATE TABLE events (event text, team_id bigint); SELECT posthog_plugins.attach('events');
         INSERT INTO events VALUES ('a', 1), ('b', 2), ('c', NULL)",
    );
    assert_eq!(client.column::<String>("SELECT event FROM events"), ["a1", "b", "c"]);
}

#[test]
fn what_a_config_says_of_failures_holds_for_rows() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("fails", "event.event = 'half'; throw new Error('no')");
    client.run("CREATE TABLE events (event text); SELECT posthog_plugins.attach('events')");
    for (policy, expected) in [("pass", vec!["half"]), ("drop", vec![])] {
        client.run(&format!(
            "SELECT posthog_plugins.configure('fails', '{{}}', on_error => '{policy}');
             TRUNCATE events; INSERT INTO events VALUES ('a')"
        ));
        assert_eq!(client.column::<String>("SELECT event FROM events"), expected, "{policy}");
    }
    client.run("SELECT posthog_plugins.configure('fails', '{}', on_error => 'raise')");
    let raised = client.refusal("INSERT INTO events VALUES ('a')");
    assert_eq!(raised, SqlState::EXTERNAL_ROUTINE_EXCEPTION);
}

#[test]
fn a_handwritten_trigger_can_choose_its_rows() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("mark", "event.event += '!'; return event");
    client.run(
        "CREATE TABLE events (event text, source text);
         CREATE TRIGGER web BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.source = 'web')
             EXECUTE FUNCTION posthog_plugins.process_row();
         INSERT INTO events VALUES ('a', 'web'), ('b', 'app');
         CREATE TABLE raw (data jsonb, kind text);
         CREATE TRIGGER chosen BEFORE INSERT ON raw FOR EACH ROW WHEN (NEW.kind LIKE 'e%')
             EXECUTE FUNCTION posthog_plugins.process_row('data');
         CREATE TRIGGER by_null BEFORE INSERT ON raw FOR EACH ROW WHEN (NEW.kind IS NOT NULL)
             EXECUTE FUNCTION posthog_plugins.process_row('data');
         INSERT INTO raw VALUES ('{\"event\": \"a\"}', 'event'), ('{\"event\": \"b\"}', 'other'), (NULL, 'e')",
    );
    assert_eq!(client.column::<String>("SELECT event FROM events"), ["a!", "b"]);
    let raw = client.column::<Option<String>>("SELECT data ->> 'event' FROM raw");
    assert_eq!(raw, [Some("a!!".to_owned()), Some("b!".to_owned()), None]);
}

#[test]
fn a_handwritten_trigger_can_process_updates() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body(
        "mark",
        "if (event.event === 'no') return null; event.event += '!'; return event",
    );
    client.run(
        "CREATE TABLE events (event text);
         CREATE TRIGGER each BEFORE INSERT OR UPDATE ON events FOR EACH ROW
             EXECUTE FUNCTION posthog_plugins.process_row();
         INSERT INTO events VALUES ('a')",
    );
    assert_eq!(client.execute("UPDATE events SET event = 'b'", &[]).unwrap(), 1);
    assert_eq!(client.column::<String>("SELECT event FROM events"), ["b!"]);
    let dropped = client.execute("UPDATE events SET event = 'no'", &[]).unwrap();
    assert_eq!(dropped, 0, "the row stays as it was");
    assert_eq!(client.column::<String>("SELECT event FROM events"), ["b!"]);
}

#[test]
fn triggers_that_could_not_work_are_refused_when_they_fire() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("mark", "return event");
    client.run("CREATE TABLE events (data jsonb, t text); CREATE VIEW v AS SELECT * FROM events");
    for (timing, table, argument) in [
        ("AFTER INSERT", "events FOR EACH ROW", ""),
        ("BEFORE INSERT", "events FOR EACH STATEMENT", ""),
        ("BEFORE INSERT", "events FOR EACH ROW", "'data', 't'"),
        ("INSTEAD OF INSERT", "v FOR EACH ROW", ""),
    ] {
        client.run(&format!(
            "CREATE TRIGGER t {timing} ON {table} EXECUTE FUNCTION posthog_plugins.process_row({argument})"
        ));
        let name = &table[..table.find(' ').unwrap()];
        let error = client.refused(&format!("INSERT INTO {name} VALUES ('{{}}')"));
        let code = SqlState::E_R_I_E_TRIGGER_PROTOCOL_VIOLATED;
        assert_eq!(*error.code(), code, "{timing} {table}");
        assert!(error.hint().is_some(), "{error:?}");
        client.run(&format!("DROP TRIGGER t ON {name}"));
    }
    for (argument, code) in
        [("gone", SqlState::UNDEFINED_COLUMN), ("t", SqlState::DATATYPE_MISMATCH)]
    {
        client.run(&format!(
            "CREATE TRIGGER t BEFORE INSERT ON events FOR EACH ROW
                 EXECUTE FUNCTION posthog_plugins.process_row('{argument}')"
        ));
        assert_eq!(client.refusal("INSERT INTO events VALUES ('{}')"), code, "{argument}");
        client.run("DROP TRIGGER t ON events");
    }
    let direct = client.refusal("SELECT posthog_plugins.process_row()");
    assert_eq!(direct, SqlState::E_R_I_E_TRIGGER_PROTOCOL_VIOLATED);
}

#[test]
fn other_triggers_with_ordinary_names_come_after_the_plugins() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("mark", "event.event += ' plugins'; return event");
    client.run(
        "CREATE TABLE events (event text);
         CREATE FUNCTION append() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN NEW.event := NEW.event || ' ' || TG_NAME; RETURN NEW; END $$;
         CREATE TRIGGER a BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION append();
         CREATE TRIGGER \"0\" BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION append();
         CREATE TRIGGER \"A\" BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION append();
         CREATE TRIGGER __ BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION append();
         SELECT posthog_plugins.attach('events');
         INSERT INTO events VALUES ('x')",
    );
    assert_eq!(text(&mut client, "SELECT event FROM events"), "x 0 A __ plugins a");
    client.run(
        "ALTER TRIGGER _posthog_plugins_process ON events RENAME TO zz;
         TRUNCATE events; INSERT INTO events VALUES ('x')",
    );
    assert_eq!(text(&mut client, "SELECT event FROM events"), "x 0 A __ a plugins");
    client.run("SELECT posthog_plugins.detach('events')");
}

#[test]
fn a_change_to_the_table_is_seen_by_running_sessions() {
    let cluster = Cluster::start();
    let mut admin = cluster.create_database("events");
    let mut client = cluster.connect("events");
    admin.add_body(
        "keys",
        "event.keys = Object.keys(event).join(); if ('n' in event) event.n = '7'; return event",
    );
    admin.run("CREATE TABLE events (keys text, old int); SELECT posthog_plugins.attach('events')");
    for (change, expected) in [
        ("", "(old,keys;)"),
        ("ALTER TABLE events ADD n int", "(n,old,keys;7)"),
        ("ALTER TABLE events ALTER n TYPE text USING n::text", "(n,old,keys;7)"),
        ("ALTER TABLE events ALTER n TYPE numeric(3, 1) USING n::numeric", "(n,old,keys;7.0)"),
        ("ALTER TABLE events DROP old", "(n,keys;7.0)"),
        ("ALTER TABLE events RENAME n TO m; ALTER TABLE events ADD n text", "(m,n,keys;7)"),
    ] {
        admin.run(change);
        client.run("TRUNCATE events; INSERT INTO events DEFAULT VALUES");
        let n = if change.is_empty() { "''" } else { "n" };
        let found: String =
            client.value(&format!("SELECT format('(%s;%s)', keys, {n}) FROM events"));
        assert_eq!(found, expected, "{change}");
    }
}

#[test]
fn events_can_be_bypassed() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("mark", "event.event += '!'; return event");
    client.run("CREATE TABLE events (event text); SELECT posthog_plugins.attach('events')");
    for (before, after) in [
        ("SET posthog_plugins.enabled = off", "RESET posthog_plugins.enabled"),
        ("SET session_replication_role = replica", "RESET session_replication_role"),
        ("ALTER TABLE events DISABLE TRIGGER ALL", "ALTER TABLE events ENABLE TRIGGER ALL"),
        ("SELECT posthog_plugins.disable('mark')", "SELECT posthog_plugins.enable('mark')"),
    ] {
        client.run(&format!("{before}; INSERT INTO events VALUES ('a'); {after}"));
        let events = client.column::<String>("DELETE FROM events RETURNING event");
        assert_eq!(events, ["a"], "{before}");
        client.run("INSERT INTO events VALUES ('a')");
        let events = client.column::<String>("DELETE FROM events RETURNING event");
        assert_eq!(events, ["a!"], "{after}");
    }
}

#[test]
fn a_plugin_that_never_ends_is_stopped_in_an_insert() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("spin", "for (;;) {}");
    client.run("CREATE TABLE events (event text); SELECT posthog_plugins.attach('events')");
    client.run("SET posthog_plugins.execution_timeout = '5s'; SET statement_timeout = '200ms'");
    assert_eq!(client.refusal("INSERT INTO events VALUES ('a')"), SqlState::QUERY_CANCELED);
    client.run("SET posthog_plugins.execution_timeout = '50ms'; RESET statement_timeout");
    assert_eq!(client.execute("INSERT INTO events VALUES ('a')", &[]).unwrap(), 1);
}
