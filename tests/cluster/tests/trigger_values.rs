//! The values of columns on their way to JavaScript and back.

use cluster::{Cluster, Session, columns};

/// Assigns what the event's properties say, and removes what they say.
const ASSIGN: &str = "
    const { assign, remove } = event.properties ?? {};
    Object.assign(event, assign);
    for (const field of remove ?? []) delete event[field];
    return event";

#[test]
fn a_row_becomes_the_event_that_to_jsonb_makes_of_it() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    columns::fill(&mut client);
    // A failure keeps the event as the plugin got it.
    client.add_body("fail", "throw new Error('keep it')");
    client.run(
        "SET posthog_plugins.error_interval = 0;
         CREATE TABLE events (LIKE filled); SELECT posthog_plugins.attach('events');
         INSERT INTO events SELECT * FROM filled",
    );
    client.run(
        "INSERT INTO events (id, po, f4, f8, tz, ts, d, n) VALUES
             (-1, 1, 'NaN', 'Infinity', 'infinity', '-infinity', 'infinity', 'NaN'),
             (-2, 1, '-Infinity', '-0', '0044-03-15 12:00:00+00 BC', '4713-01-01 BC', '5874897-12-31', '1e200');
         INSERT INTO events (id, po, n, i8) VALUES
             (-3, 1, -0.000, 9223372036854775807), (-4, 1, '1.10', -9223372036854775808)",
    );
    let different = client.column::<String>(
        "SELECT f.event::text || E'\\n' || to_jsonb(e)::text
           FROM events AS e JOIN posthog_plugins.failures AS f ON f.event ->> 'id' = e.id::text
          WHERE f.event::text <> to_jsonb(e)::text",
    );
    assert_eq!(different, [""; 0]);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.failures"), 304);
}

#[test]
fn what_to_jsonb_makes_of_a_row_becomes_that_row() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    columns::fill(&mut client);
    client.add_body("copy", "Object.assign(event, event.source); return event");
    client.run(
        "CREATE TABLE copies (LIKE filled, source jsonb);
         SELECT posthog_plugins.attach('copies');
         INSERT INTO copies (po, source) SELECT 1000, to_jsonb(filled) FROM filled",
    );
    // json keeps its spelling only where it is not touched, and so do numbers.
    let different = client.column::<String>(
        "SELECT to_jsonb(c)::text || E'\\n' || to_jsonb(f)::text
           FROM (SELECT to_jsonb(copies) - 'source' AS c FROM copies) AS copies
           FULL JOIN (SELECT to_jsonb(filled) AS f FROM filled) AS filled
             ON c ->> 'id' = f ->> 'id'
          WHERE c IS DISTINCT FROM f",
    );
    assert_eq!(different, [""; 0]);
    let logged = "SELECT message FROM posthog_plugins.logs";
    assert_eq!(client.column::<String>(logged), [""; 0]);
}

#[test]
fn fields_that_plugins_leave_alone_keep_their_very_value() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("touch", "event.event += '!'; event.note = event.note; return event");
    client.run(
        r#"CREATE TABLE events (event text, n numeric, j json, f real, i bigint, note text, big text, c char(5));
           SELECT posthog_plugins.attach('events');
           INSERT INTO events VALUES
               ('a', 1.500, '{"b" :1,  "a": 2, "a": 3}', 'NaN', 9007199254740993, 'x', repeat('long ', 10000), 'c')"#,
    );
    let row = "SELECT concat_ws('|', event, n, j, f, i, note, length(big), c = 'c') FROM events";
    assert_eq!(
        client.value::<String>(row),
        r#"a!|1.500|{"b" :1,  "a": 2, "a": 3}|NaN|9007199254740993|x|50000|t"#
    );
}

#[test]
fn values_come_back_through_the_input_of_their_type() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("assign", ASSIGN);
    client.run(
        "CREATE TYPE pair AS (a int, b text);
         CREATE TABLE events (i int, b bool, t text, v varchar(4), n numeric(6, 1), d date, at timestamptz,
                              ia int[], c pair, j json, jb jsonb, by bytea, properties jsonb);
         SELECT posthog_plugins.attach('events')",
    );
    for (column, json, expected) in [
        ("i", r#""42""#, "42"),
        ("i", "42.0", "42"),
        ("i", r#"" 7 ""#, "7"),
        ("i", "null", "NULL"),
        ("b", "true", "true"),
        ("b", r#""off""#, "false"),
        ("t", "1.5", "1.5"),
        ("t", "false", "false"),
        ("t", r#"{"a": [1, "x"]}"#, r#"{"a": [1, "x"]}"#),
        ("t", "[]", "[]"),
        ("v", "1234", "1234"),
        ("n", "12.34", "12.3"),
        ("d", r#""2024-02-30T00:00:00Z""#, "22008"),
        ("d", r#""2024-02-29T23:00:00Z""#, "2024-02-29"),
        ("at", r#""2024-02-29T23:00:00.123Z""#, "2024-02-29 23:00:00.123+00"),
        ("ia", "[1, null, \"3\"]", "{1,NULL,3}"),
        ("ia", r#""{4,5}""#, "{4,5}"),
        ("ia", "[]", "{}"),
        ("c", r#"{"a": "1", "b": [2]}"#, r#"(1,[2])"#),
        ("c", r#"{"b": "only"}"#, "(,only)"),
        ("j", r#""text""#, r#""text""#),
        ("j", r#"{"b": 1, "a": 2}"#, r#"{"a": 2, "b": 1}"#),
        ("jb", r#""text""#, r#""text""#),
        ("jb", "5", "5"),
        ("jb", "null", "NULL"),
        ("jb", r#"[{"a": 1.5}]"#, r#"[{"a": 1.5}]"#),
        ("by", r#""\\x6869""#, r"\x6869"),
    ] {
        let insert = format!(
            "INSERT INTO events (properties) VALUES ('{{\"assign\": {{\"{column}\": {json}}}}}')
             RETURNING COALESCE({column}::text, 'NULL')"
        );
        let found = match client.query_one(&insert, &[]) {
            Ok(row) => row.get(0),
            Err(error) => error.code().unwrap().code().to_owned(),
        };
        assert_eq!(found, expected, "{json} in {column}");
    }
}

#[test]
fn a_value_that_does_not_fit_names_plugin_column_and_value() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("first", "event.i = 1; event.v = 'ok'; return event");
    client.add_body("assign", ASSIGN);
    client.add_body("last", "event.last = true; return event");
    client.run(
        "CREATE TYPE mood AS ENUM ('sad', 'happy');
         CREATE DOMAIN positive AS int CHECK (VALUE > 0);
         CREATE DOMAIN must AS text NOT NULL;
         CREATE TABLE events (i int, v varchar(3), m mood, p positive, must must DEFAULT '', a int[],
                              at timestamptz, ip inet, needed text NOT NULL DEFAULT 'x',
                              last bool, properties jsonb);
         SELECT posthog_plugins.attach('events')",
    );
    let long = "x".repeat(500);
    for (change, code, column, value) in [
        (r#""assign": {"i": "many"}"#, "22P02", "i", "\"many\""),
        (r#""assign": {"i": 1.5}"#, "22P02", "i", "\"1.5\""),
        (r#""assign": {"i": 5000000000}"#, "22003", "i", "\"5000000000\""),
        (r#""assign": {"i": {"a": 1}}"#, "22P02", "i", "\"{\"a\": 1}\""),
        (r#""assign": {"v": "four"}"#, "22001", "v", "\"four\""),
        (r#""assign": {"m": "angry"}"#, "22P02", "m", "\"angry\""),
        (r#""assign": {"p": 0}"#, "23514", "p", "\"0\""),
        (r#""assign": {"must": null}"#, "23502", "must", "NULL"),
        (r#""remove": ["must"]"#, "23502", "must", "NULL"),
        (r#""assign": {"a": [[1], 2]}"#, "22P02", "a", "\"[[1], 2]\""),
        (r#""assign": {"a": 5}"#, "22P02", "a", "\"5\""),
        (r#""assign": {"at": "yesterday-ish"}"#, "22007", "at", "\"yesterday-ish\""),
        (r#""assign": {"ip": "1.2.3.4.5"}"#, "22P02", "ip", "\"1.2.3.4.5\""),
        (r#""remove": ["needed"]"#, "23502", "needed", "NULL"),
        (
            &format!(r#""assign": {{"i": "{long}"}}"#),
            "22P02",
            "i",
            &format!("\"{}...\"", &long[..100]),
        ),
    ] {
        let insert = format!("INSERT INTO events (properties) VALUES ('{{{change}}}')");
        let error = client.refused(&insert);
        assert_eq!(error.code().code(), code, "{change}: {error:?}");
        let message = format!(
            "plugin \"assign\" gave column \"{column}\" a value that does not fit: {value}"
        );
        assert_eq!(error.message(), message);
        assert!(error.detail().is_some_and(|detail| !detail.is_empty()), "{error:?}");
    }
    // Nothing of that is left, neither rows nor a session that works worse.
    client.run("INSERT INTO events (properties) VALUES ('{\"assign\": {\"a\": [1]}}')");
    assert_eq!(client.column::<String>("SELECT concat(i, v, a) FROM events"), ["1ok{1}"]);
}

#[test]
fn secrets_are_masked_in_a_value_that_does_not_fit() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.run(
        r#"SELECT posthog_plugins.install(
               'export function processEvent(event, { config }) { event.i = `key ${config.key}`; return event }',
               '{"config": [{"key": "key", "type": "string", "secret": true}]}', 'leaky');
           SELECT posthog_plugins.configure('leaky', '{"key": "abcdefgh"}');
           SELECT posthog_plugins.enable('leaky');
           CREATE TABLE events (i int); SELECT posthog_plugins.attach('events')"#,
    );
    let error = client.refused("INSERT INTO events VALUES (1)");
    assert!(error.message().ends_with("\"key ********\""), "{error:?}");
}

#[test]
fn secrets_are_masked_in_what_a_type_says_and_in_fields_without_a_column() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.run(
        r#"SELECT posthog_plugins.install(
               'export function processEvent(event, { config }) {
                    event[config.key] = 1
                    if (event.i === 2) event.i = `key ${config.key}`
                    return event
                }',
               '{"config": [{"key": "key", "type": "string", "secret": true}]}', 'leaky');
           SELECT posthog_plugins.configure('leaky', '{"key": "abcdefgh"}');
           SELECT posthog_plugins.enable('leaky');
           CREATE TABLE events (i int); SELECT posthog_plugins.attach('events');
           INSERT INTO events VALUES (1)"#,
    );
    let logged = client.value::<String>("SELECT message FROM posthog_plugins.logs");
    assert!(logged.contains("has no column \"********\""), "{logged}");
    let error = client.refused("INSERT INTO events VALUES (2)");
    assert!(!format!("{error:?}").contains("abcdefgh"), "{error:?}");
}

#[test]
fn a_composite_type_that_grows_is_known_in_full_at_once() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    client.add_body("upper", "event.a.city = event.a.city.toUpperCase(); return event");
    client.run(
        "CREATE TYPE addr AS (city text, zip text);
         CREATE TABLE events (event text, a addr);
         SELECT posthog_plugins.attach('events');
         INSERT INTO events VALUES ('x', ROW('b', '1'));
         ALTER TYPE addr ADD ATTRIBUTE country text;
         INSERT INTO events VALUES ('x', ROW('b', '1', 'de'))",
    );
    assert_eq!(client.column::<String>("SELECT a::text FROM events"), ["(B,1,)", "(B,1,de)"]);
}
