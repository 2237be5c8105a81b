//! Rows become events, and events become rows.

use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

/// Assigns what the event's properties say, and removes what they say.
const ASSIGN: &str = "
    const { assign, remove } = event.properties ?? {};
    Object.assign(event, assign);
    for (const field of remove ?? []) delete event[field];
    return event";

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

/// Columns of many types, and an expression for a random value of each.
const COLUMNS: [(&str, &str); 36] = [
    ("u uuid", "gen_random_uuid()"),
    ("t text", "repeat(chr(32 + (random() * 5000)::int), (random() * 300)::int) || '\"\\\n☃'"),
    ("v varchar(20)", "left(md5(random()::text), (random() * 20)::int)"),
    ("c char(8)", "left(md5(random()::text), (random() * 8)::int)"),
    ("nam name", "left(md5(random()::text), 10)"),
    ("i2 smallint", "(random() * 65535 - 32768)::int"),
    ("i4 int", "(random() * 4294967295 - 2147483648)::bigint"),
    ("i8 bigint", "((random() - 0.5) * 18014398509481984)::bigint"),
    ("n numeric", "round(((random() - 0.5) * 1000000)::numeric, (random() * 6)::int)"),
    ("n2 numeric(12, 2)", "((random() - 0.5) * 1000000)::numeric(12, 2)"),
    ("f4 real", "((random() - 0.5) * 10 ^ (random() * 40 - 20))::real"),
    ("f8 double precision", "(random() - 0.5) * 10 ^ (random() * 200 - 100)"),
    ("b bool", "random() < 0.5"),
    ("tz timestamptz", "timestamptz '1900-01-01' + random() * interval '300 years'"),
    ("ts timestamp", "timestamp '1900-01-01' + random() * interval '300 years'"),
    ("d date", "date '1900-01-01' + (random() * 100000)::int"),
    ("ti time", "time '00:00' + random() * interval '1 day'"),
    ("tiz timetz", "timetz '00:00+02' + random() * interval '1 day'"),
    ("iv interval", "random() * interval '3 years 4 days'"),
    ("ip inet", "inet '10.0.0.0' + (random() * 16777215)::int"),
    ("ci cidr", "set_masklen((inet '10.0.0.0' + 256 * (random() * 65535)::int), 24)::cidr"),
    ("mac macaddr", "'08:00:2b:01:02:03'::macaddr"),
    ("by bytea", "decode(md5(random()::text), 'hex')"),
    ("bi bit(4)", "(random() * 15)::int::bit(4)"),
    (
        "j jsonb",
        "jsonb_build_object('a', (random() * 100)::int, 'b', ARRAY[md5(random()::text), NULL], 'c', '{}'::jsonb)",
    ),
    ("js json", "format('{\"b\" : [%s, \"x\"], \"a\":null}', (random() * 100)::int)::json"),
    ("ja jsonb[]", "ARRAY[to_jsonb((random() * 100)::int), '{\"a\": [1]}', NULL]"),
    ("ia int[]", "ARRAY[(random() * 100)::int, NULL, -5]"),
    ("i2d int[]", "ARRAY[ARRAY[1, (random() * 100)::int], ARRAY[3, 4]]"),
    ("ta text[]", "ARRAY[md5(random()::text), '{\"', 'a,b', '']"),
    ("m mood", "(enum_range(NULL::mood))[1 + (random() * 2)::int]"),
    ("ma mood[]", "enum_range(NULL::mood)"),
    ("po positive", "1 + (random() * 100)::int"),
    ("pl positives", "ARRAY[1, (random() * 100)::int]"),
    ("co pair", "ROW((random() * 100)::int, ROW(md5(random()::text), now()))::pair"),
    ("ra int4range", "int4range((random() * 100)::int, 200)"),
];

/// A table with these columns and some that are gone, in a session's own time zone, and a filled one.
fn tables_of_many_types(client: &mut Client) {
    client.run(
        "CREATE TYPE mood AS ENUM ('sad', 'so so', 'happy');
         CREATE DOMAIN positive AS int NOT NULL CHECK (VALUE > 0);
         CREATE DOMAIN positives AS int[] CHECK (array_length(VALUE, 1) > 0);
         CREATE TYPE inner_pair AS (a text, b timestamptz);
         CREATE TYPE pair AS (a int, b inner_pair)",
    );
    let columns: Vec<_> = COLUMNS.iter().map(|(column, _)| *column).collect();
    let columns = columns.join(", ");
    // Now and then a NULL; the domain po has none.
    let values: Vec<_> = COLUMNS
        .iter()
        .map(|(column, value)| {
            if column.starts_with("po ") {
                value.to_string()
            } else {
                format!("CASE WHEN random() < 0.9 THEN {value} END")
            }
        })
        .collect();
    client.run(&format!(
        "SELECT setseed(0.42); SET timezone = 'Asia/Kathmandu'; SET extra_float_digits = 3;
         CREATE TABLE filled (gone int, id int, {columns}); ALTER TABLE filled DROP COLUMN gone;
         INSERT INTO filled SELECT n, {} FROM generate_series(1, 300) AS n",
        values.join(", ")
    ));
}

#[test]
fn a_row_becomes_the_event_that_to_jsonb_makes_of_it() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("events");
    tables_of_many_types(&mut client);
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
    tables_of_many_types(&mut client);
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
    assert_eq!(logged(&mut client), [""; 0]);
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
    assert_eq!(text(&mut client, "SELECT array_agg(concat(i, v, a)) FROM events"), "{\"1ok{1}\"}");
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
