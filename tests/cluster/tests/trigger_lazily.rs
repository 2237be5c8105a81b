//! Columns that are fields are converted when a plugin looks at them, and not before.

use cluster::{Cluster, Session, columns};
use postgres::Client;

/// An enum whose way to JSON is a function: it counts its calls, and fails for one value.
const COUNTED: &str = "
    CREATE SEQUENCE calls;
    CREATE TYPE counted AS ENUM ('good', 'bad', 'slow');
    CREATE FUNCTION counted_to_json(counted) RETURNS json LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM nextval('calls');
            IF $1 = 'bad' THEN RAISE 'not this one' USING ERRCODE = '22023'; END IF;
            IF $1 = 'slow' THEN PERFORM pg_sleep(60); END IF;
            RETURN to_json($1::text);
        END $$;
    CREATE CAST (counted AS json) WITH FUNCTION counted_to_json(counted);
    CREATE TABLE events (event text, c counted, properties jsonb);
    SELECT posthog_plugins.attach('events')";

/// How often a value was converted, plus one.
fn calls(client: &mut Client) -> i64 {
    client.value("SELECT last_value FROM calls")
}

#[test]
fn a_column_that_no_plugin_looks_at_is_never_converted() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.run(COUNTED);
    client.add_body("one", "event.properties.one = 1; return event");
    client.add_body("two", "event.event += '!'; event.more = 'c' in event; return event");
    client
        .add_body("three", "event.properties.three = event.more; delete event.more; return event");
    client.run(
        "SELECT nextval('calls');
         INSERT INTO events VALUES ('a', 'bad', '{}'), ('b', 'good', '{\"x\": 1}')",
    );
    assert_eq!(
        client.column::<String>("SELECT concat_ws(' ', event, c, properties) FROM events"),
        [r#"a! bad {"one": 1, "three": true}"#, r#"b! good {"x": 1, "one": 1, "three": true}"#]
    );
    assert_eq!(calls(&mut client), 1);
    client.add_body("four", "event.event += event.c + event.c; return event");
    client.run("SELECT setval('calls', 1); INSERT INTO events VALUES ('c', 'good', '{}')");
    assert_eq!(calls(&mut client), 2, "it is converted once");
}

#[test]
fn an_error_of_a_conversion_ends_the_statement_with_its_code() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.run(COUNTED);
    client.add_body(
        "look",
        "const look = {
             read: () => event.c,
             caught: () => { try { event.c } catch {} },
             spread: () => ({ ...event }),
             json: () => JSON.stringify(event),
             forever: () => { for (;;) try { event.c } catch {} },
             kept: () => { globalThis.kept = event },
             fail: () => { throw new Error('with the event') },
             later: () => Promise.resolve().then(() => event.c),
         }[event.event]
         const done = look?.()
         return done?.then ? done.then(() => event) : event",
    );
    for how in ["read", "caught", "spread", "json", "forever", "kept", "fail", "later"] {
        let error = client.refused(&format!("INSERT INTO events VALUES ('{how}', 'bad', '{{}}')"));
        assert_eq!((error.code().code(), error.message()), ("22023", "not this one"), "{how}");
        client.run(&format!(
            "INSERT INTO events VALUES ('ok', 'bad', '{{}}'), ('{how}', 'good', '{{}}')"
        ));
        client.run("DELETE FROM events");
        if how == "fail" || how == "forever" {
            // The next one is not the first failure, of which the event is told.
            client.run("SET posthog_plugins.error_interval = 0");
        }
    }
    client.run("SET statement_timeout = 300");
    let error = client.refused("INSERT INTO events VALUES ('read', 'slow', '{}')");
    assert_eq!(error.code().code(), "57014");
    client.run("INSERT INTO events VALUES ('read', 'good', '{}')");
}

#[test]
fn an_error_of_the_team_s_conversion_ends_the_statement_though_no_plugin_runs() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.run(COUNTED);
    client.add_body("one", "return event");
    client.run(
        "SELECT posthog_plugins.disable('one');
         SELECT posthog_plugins.enable('one', team_id => 7);
         ALTER TABLE events RENAME COLUMN c TO team_id",
    );
    let error = client.refused("INSERT INTO events VALUES ('a', 'bad', '{}')");
    assert_eq!((error.code().code(), error.message()), ("22023", "not this one"));
    client.run("INSERT INTO events VALUES ('a', 'good', '{}')");
}

#[test]
fn a_value_that_nobody_touches_stays_compressed_as_it_was() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("touch", "event.properties.touched = true; return event");
    client.run(
        "CREATE TABLE source (event text, small text, big text, j json, jb jsonb, properties jsonb);
         ALTER TABLE source ALTER small SET COMPRESSION lz4, ALTER big SET COMPRESSION lz4,
             ALTER j SET COMPRESSION lz4, ALTER jb SET COMPRESSION lz4;
         INSERT INTO source
         SELECT 'e', repeat('small ', 1000), string_agg('number ' || n, ' '),
                json_build_object('list', array_agg(n)), jsonb_build_object('list', array_agg(n)),
                jsonb_build_object('text', repeat('words ', 2000))
           FROM generate_series(1, 5000) AS n;
         CREATE TABLE events (LIKE source);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events SELECT * FROM source",
    );
    let shapes = |table: &str| {
        let columns = ["small", "big", "j", "jb"];
        let shape = columns.map(|it| format!("pg_column_compression({it}), pg_column_size({it})"));
        format!("SELECT concat_ws(' ', {}) FROM {table}", shape.join(", "))
    };
    let before = client.value::<String>(&shapes("source"));
    assert!(before.starts_with("lz4 ") && before.matches("lz4").count() == 4, "{before}");
    assert_eq!(client.value::<String>(&shapes("events")), before);
    let same = "SELECT (s.small, s.big, s.j::text, s.jb) = (e.small, e.big, e.j::text, e.jb)
                  FROM source AS s, events AS e";
    assert!(client.value::<bool>(same));
    assert!(client.value::<bool>("SELECT (properties -> 'touched')::bool FROM events"));
}

#[test]
fn a_value_that_is_stored_elsewhere_is_fetched_when_a_plugin_looks_at_it() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.run(
        "CREATE TABLE events (n int, properties jsonb, big text);
         ALTER TABLE events ALTER big SET STORAGE EXTERNAL;
         CREATE TRIGGER plugins BEFORE UPDATE ON events
             FOR EACH ROW EXECUTE FUNCTION posthog_plugins.process_row();
         INSERT INTO events VALUES (0, '{}', repeat('x', 100000))",
    );
    let mut fetched = |look: &str| {
        client.add_body("look", &format!("event.properties.n = event.n; {look}; return event"));
        let blocks = "SELECT toast_blks_hit + toast_blks_read FROM pg_statio_user_tables
                       WHERE relname = 'events'";
        // The first one makes the realm.
        client.run("UPDATE events SET n = n + 1");
        client.run("SELECT pg_stat_force_next_flush()");
        let before = client.value::<i64>(blocks);
        client.run("UPDATE events SET n = n + 1");
        client.run("SELECT pg_stat_force_next_flush()");
        client.value::<i64>(blocks) - before
    };
    assert_eq!(fetched(""), 0);
    assert_eq!(fetched("event.had = 'big' in event"), 0);
    assert!(fetched("event.properties.length = event.big.length") > 0);
    let length = "SELECT (properties -> 'length')::int FROM events";
    assert_eq!(client.value::<i32>(length), 100_000);
}

#[test]
fn plugins_do_to_columns_what_they_do_to_one_jsonb() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    columns::fill(&mut client);
    client.run(
        "ALTER TABLE filled ADD properties jsonb;
         UPDATE filled SET properties = jsonb_build_object('id', id, 'list', ARRAY[id, 2]) WHERE id % 3 > 0;
         DELETE FROM filled WHERE id > 60",
    );
    let names = "for (const key of Object.keys(event)) if (key !== 'po')";
    for (number, body) in [
        "return event".to_owned(),
        "return { ...event }".to_owned(),
        "return JSON.parse(JSON.stringify(event))".to_owned(),
        "return Object.fromEntries(Object.entries(event).reverse())".to_owned(),
        "return structuredClone(event)".to_owned(),
        "event.properties = { seen: Object.entries(event) }; return event".to_owned(),
        "let seen = 0; for (const key in event) if (event[key]) seen++; event.i4 = seen; return event".to_owned(),
        "event.t = JSON.stringify(event); return event".to_owned(),
        "Object.assign(event, { t: event.v, i4: event.i2, js: event.j, j: event.js, n: event.f8 }); return event".to_owned(),
        "event.ia = [...(event.ia ?? []), 1]; if (event.co) event.co.a++; return event".to_owned(),
        "const { u, t, ...rest } = event; return rest".to_owned(),
        "Object.freeze(event); return event".to_owned(),
        "Object.defineProperty(event, 't', { get: () => event.u, enumerable: true }); return event".to_owned(),
        "event.properties = event; delete event.properties; return event".to_owned(),
        "event.properties = { ...event.properties, copy: { ...event } }; return event".to_owned(),
        "if (event.id % 2) return null; event.properties &&= { id: event.id }; return event".to_owned(),
        "Object.prototype.toJSON = function () { return this }; event.t = 'x'; return event".to_owned(),
        format!("{names} delete event[key]; return event"),
        format!("{names} event[key] = null; return event"),
        format!("{names} event[key] = event[key]; return event"),
    ]
    .iter()
    .enumerate()
    {
        client.add_body("it", body);
        client.run(&format!(
            "CREATE TABLE events_{number} (LIKE filled);
             SELECT posthog_plugins.attach('events_{number}');
             INSERT INTO events_{number} SELECT * FROM filled"
        ));
        let different = client.column::<String>(&format!(
            "WITH expected AS (
                 SELECT to_jsonb(jsonb_populate_record(NULL::events_{number}, after)) AS e
                   FROM filled, process_event(to_jsonb(filled)) AS after WHERE after IS NOT NULL)
             SELECT concat_ws(E'\\n', to_jsonb(events), e)
               FROM events_{number} AS events FULL JOIN expected ON e = to_jsonb(events)
              WHERE e IS NULL OR events IS NULL"
        ));
        assert_eq!(different, [""; 0], "{body}");
    }
}

#[test]
fn a_later_plugin_sees_what_earlier_ones_left() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("first", "event.extra = 'x'; delete event.ip; event.n = 2; return event");
    client.add_body(
        "second",
        "event.properties.seen = [Object.keys(event), event.extra, event.n, 'ip' in event, event.n === 2];
         event.n = 1.50; event.event += event.extra; delete event.extra; return event",
    );
    client.add_body(
        "third",
        "event.properties.keys = Object.keys(event); event.ip = null; return event",
    );
    client.run(
        "CREATE TABLE events (event text, n numeric, ip inet, properties jsonb);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events VALUES ('e', 1.50, '10.0.0.1', '{}')",
    );
    assert_eq!(
        client.value::<String>("SELECT concat_ws('|', event, n, ip, properties) FROM events"),
        r#"ex|1.5|{"keys": ["n", "event", "properties"], "seen": [["n", "event", "extra", "properties"], "x", 2, false, true]}"#
    );
    assert_eq!(client.column::<String>("SELECT message FROM posthog_plugins.logs"), [""; 0]);
    client.run(
        "SET posthog_plugins.mark_events = on; INSERT INTO events VALUES ('m', 1, NULL, '{}')",
    );
    assert_eq!(
        client.value::<i64>("SELECT jsonb_array_length(properties -> '$plugins_succeeded')::int8 FROM events WHERE event = 'mx'"),
        3
    );
}
