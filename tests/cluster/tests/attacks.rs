//! Attacks by roles that nobody granted anything, by events, and by plugins. Those who have more rights
//! than most are in powers.rs; what is planted for others to use is in planted.rs.

mod fortress;

use cluster::{Cluster, Session, wait_until};
use fortress::{INSERT, PRIVILEGE, SEEN, events, fortress};
use postgres::error::SqlState;
use postgres::{Client, SimpleQueryMessage};

const PRIVATE: [&str; 5] =
    ["hunter2-s3cr3t", "in-the-source", "in-the-attachment", "in-the-config", "in-the-log"];

/// All that a session is told by a statement: rows, or the error with everything that comes with it.
fn told(client: &mut Client, sql: &str) -> String {
    match client.simple_query(sql) {
        Ok(messages) => messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .flat_map(|row| (0..row.len()).map(|column| row.get(column).unwrap_or("NULL")))
            .collect::<Vec<_>>()
            .join("|"),
        Err(error) => format!("{:?}", error.as_db_error().expect("an error of the server")),
    }
}

#[track_caller]
fn tells_nothing(told: &str, sql: &str) {
    for private in PRIVATE {
        assert!(!told.contains(private), "{sql}\n{told}");
    }
}

#[test]
fn whoever_may_only_insert_has_its_events_processed() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    let mut app = cluster.connect_as("app", "fortress");
    app.run(INSERT);
    assert_eq!(events(&mut owner), [SEEN]);
    assert_eq!(app.refusal("TABLE public.events"), PRIVILEGE);
}

#[test]
fn no_table_can_be_read_by_any_route() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.process(r#"{"event": "fail"}"#);
    // As far as a role can get that knows where things are.
    owner.run("GRANT USAGE ON SCHEMA posthog_plugins TO mallory");
    let tables = owner.column::<String>(
        "SELECT oid::regclass::text FROM pg_class
          WHERE relnamespace = 'posthog_plugins'::regnamespace AND relkind IN ('r', 'v', 'p')",
    );
    assert!(tables.len() > 12, "{tables:?}");
    let mut mallory = cluster.connect_as("mallory", "fortress");
    for table in &tables {
        for route in [
            "TABLE {}",
            "SELECT count(*) FROM {}",
            "SELECT 1 FROM {} LIMIT 0",
            "COPY {} TO STDOUT",
            "COPY {} FROM STDIN",
            "COPY (TABLE {}) TO STDOUT",
            "COPY {} TO PROGRAM 'cat'",
            "SELECT query_to_xml('TABLE {}', true, true, '')",
            "SELECT table_to_xml('{}', true, true, '')",
            "SELECT cursor_to_xml('c', 1, true, true, '') FROM {}",
            "EXPLAIN (ANALYZE, VERBOSE) TABLE {}",
            "PREPARE thief AS TABLE {}; EXECUTE thief",
            "DECLARE thief CURSOR WITH HOLD FOR TABLE {}",
            "CREATE TABLE mallory.copy AS TABLE {}",
            "SELECT * INTO TEMP stolen FROM {}",
            "CREATE MATERIALIZED VIEW mallory.copy AS TABLE {}",
            "DO $$BEGIN PERFORM * FROM {}; END$$",
            "CREATE FUNCTION mallory.f() RETURNS SETOF {} LANGUAGE sql AS 'TABLE {}'; TABLE {}",
            "CREATE VIEW mallory.v AS TABLE {}; TABLE mallory.v",
            "CREATE TABLE mallory.child () INHERITS ({})",
            "CREATE TABLE mallory.r (x text REFERENCES {})",
            "CREATE INDEX ON {} ((1))",
            "CREATE POLICY p ON {} USING (true)",
            "CREATE STATISTICS mallory.s ON 1, 2 FROM {}",
            "ALTER TABLE {} OWNER TO mallory",
            "ALTER TABLE {} SET SCHEMA mallory",
            "ALTER TABLE {} ADD COLUMN x text DEFAULT mallory.spring()",
            "GRANT SELECT ON {} TO mallory WITH GRANT OPTION; TABLE {}",
            "ANALYZE {}; TABLE {}",
            "CREATE PUBLICATION p FOR TABLE {}",
            "COMMENT ON TABLE {} IS 'mine'; TABLE {}",
            "DROP TABLE {}",
            "DROP VIEW {}",
            "MERGE INTO {} AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN DO NOTHING",
            "UPDATE {} SET ctid = NULL",
            "DELETE FROM {} WHERE mallory.spring()",
        ] {
            let sql = route.replace("{}", table);
            let Err(error) = mallory.simple_query(&sql) else { panic!("this succeeded: {sql}") };
            let error = error.as_db_error().unwrap().clone();
            tells_nothing(&format!("{error:?}"), &sql);
        }
    }
    // What PostgreSQL shows everybody: definitions and sizes, without any row.
    for route in [
        "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v'
                AND relnamespace = 'posthog_plugins'::regnamespace",
        "SELECT pg_get_functiondef(oid) FROM pg_proc
          WHERE pronamespace = 'posthog_plugins'::regnamespace",
        "TABLE pg_stats",
        "TABLE pg_stats_ext",
        "SELECT * FROM pg_class, pg_stat_get_activity(NULL)",
        "TABLE pg_stat_activity",
        "TABLE pg_settings",
        "TABLE pg_prepared_statements",
        "TABLE pg_cursors",
        "SELECT * FROM pg_description",
        "SELECT pg_relation_size('posthog_plugins.plugin_secret')",
    ] {
        tells_nothing(&told(&mut mallory, route), route);
    }
    let stats =
        mallory.value::<i64>("SELECT count(*) FROM pg_stats WHERE schemaname = 'posthog_plugins'");
    assert_eq!(stats, 0);
    for route in ["TABLE pg_statistic", "TABLE pg_authid", "SELECT pg_ls_dir('.')"] {
        assert_eq!(mallory.refusal(route), PRIVILEGE, "{route}");
    }
}

#[test]
fn functions_of_the_extension_do_nothing_on_a_strangers_table() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    let mut mallory = cluster.connect_as("mallory", "fortress");
    mallory.run("CREATE TABLE mallory.plugin_config (id int)");
    for may_enter in [false, true] {
        if may_enter {
            owner.run("GRANT USAGE ON SCHEMA posthog_plugins TO mallory");
        }
        for attempt in [
            "CREATE TRIGGER t AFTER INSERT ON mallory.plugin_config
                 EXECUTE FUNCTION posthog_plugins._chain_changed()",
            "CREATE EVENT TRIGGER t ON ddl_command_end
                 EXECUTE FUNCTION posthog_plugins._chain_changed()",
            "CREATE OPERATOR mallory.@ (RIGHTARG = text, FUNCTION = posthog_plugins.install_bundled)",
            "CREATE AGGREGATE mallory.a (text) (SFUNC = posthog_plugins.install_bundled, STYPE = text)",
            "ALTER FUNCTION posthog_plugins.uninstall(text) OWNER TO mallory",
            "ALTER FUNCTION posthog_plugins.uninstall(text) SET search_path = mallory",
            "ALTER FUNCTION public.process_event(jsonb) SET search_path = mallory",
            "ALTER FUNCTION public.process_event(jsonb) SET SCHEMA mallory",
            "ALTER EXTENSION posthog_plugins ADD TABLE mallory.plugin_config",
            "ALTER EXTENSION posthog_plugins SET SCHEMA mallory",
            "ALTER SCHEMA posthog_plugins OWNER TO mallory",
            "ALTER SCHEMA posthog_plugins RENAME TO mine",
            "COMMENT ON EXTENSION posthog_plugins IS 'mine'",
            "COMMENT ON SCHEMA posthog_plugins IS 'mine'",
            "COMMENT ON FUNCTION public.process_event(jsonb) IS 'mine'",
            "DROP SCHEMA posthog_plugins CASCADE",
            "DROP OWNED BY postgres",
            "REASSIGN OWNED BY postgres TO mallory",
            "SET ROLE postgres",
            "SET SESSION AUTHORIZATION postgres",
            "LOAD 'posthog_plugins'",
            "CREATE FUNCTION mallory.f(jsonb) RETURNS jsonb LANGUAGE c AS 'posthog_plugins', 'process_event'",
            "CREATE FUNCTION mallory.f() RETURNS void LANGUAGE c AS 'posthog_plugins', 'grant_role_wrapper'",
        ] {
            let code = mallory.refusal(attempt);
            let barred = [PRIVILEGE, SqlState::UNDEFINED_FUNCTION];
            assert!(barred.contains(&code), "{attempt}: {code:?}");
        }
    }
}

#[test]
fn errors_tell_nothing_private() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    let mut app = cluster.connect_as("app", "fortress");
    owner.run("SELECT posthog_plugins.configure('keeper', '{}', on_error => 'raise')");
    let insert = r#"INSERT INTO events (data) VALUES ('{"event": "fail"}')"#;
    let error = app.refused(insert);
    assert_eq!(*error.code(), SqlState::EXTERNAL_ROUTINE_EXCEPTION);
    // With `raise`, the sender is told what the plugin said and where, and no line of the source.
    assert_eq!(error.message(), "plugin \"keeper\" failed: Error: no: ********");
    assert_eq!(error.detail(), Some("at processEvent (keeper/index.ts:5:71)"));
    tells_nothing(&format!("{error:?}"), insert);
    for event in [
        "[]",
        "1",
        r#"{"event": {"toString": 1}}"#,
        r#"{"__proto__": {"event": "fail"}, "constructor": null}"#,
        r#"{"event": "fail", "toString": null, "message": "x"}"#,
        r#"{"event": "e", "team_id": 99999999999999999999}"#,
    ] {
        let sql = format!("SELECT public.process_event('{event}')");
        tells_nothing(&told(&mut app, &sql), &sql);
    }
    // A read of the chain that is cut off.
    let mut fresh = cluster.connect_as("app", "fortress");
    fresh.run("SET lock_timeout = '50ms'; SET client_min_messages = debug5");
    owner.run("BEGIN; LOCK posthog_plugins.plugin_secret IN ACCESS EXCLUSIVE MODE");
    let told = told(&mut fresh, INSERT);
    assert!(told.contains("lock timeout"), "{told}");
    tells_nothing(&told, INSERT);
    owner.run("ROLLBACK");
}

#[test]
fn the_activity_of_a_session_shows_the_callers_statement_only() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    let mut busy = cluster.connect_as("app", "fortress");
    let mut spy = cluster.connect_as("app", "fortress");
    let pid = busy.pid();
    let activity = format!("SELECT query FROM pg_stat_activity WHERE pid = {pid}");
    // Once while it reads the chain, once while it writes what a plugin has logged.
    for table in ["plugin_secret", "plugin_log"] {
        owner.run(&format!("BEGIN; LOCK posthog_plugins.{table} IN ACCESS EXCLUSIVE MODE"));
        std::thread::scope(|scope| {
            scope.spawn(|| busy.run(INSERT));
            wait_until("the session waits for the lock", || {
                spy.value::<i64>(&format!(
                    "SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted"
                )) > 0
            });
            assert_eq!(spy.value::<String>(&activity), INSERT);
            owner.run("COMMIT");
        });
    }
    // Of other roles, not even that.
    owner.run("SELECT posthog_plugins.configure('keeper', '{\"secret\": \"hunter2-s3cr3t\"}')");
    let seen = told(&mut spy, "TABLE pg_stat_activity");
    assert!(seen.contains("<insufficient privilege>"), "{seen}");
    tells_nothing(&seen, "TABLE pg_stat_activity");
}

#[test]
fn an_event_cannot_turn_a_plugin_against_its_owner() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    let mut app = cluster.connect_as("app", "fortress");
    for event in [
        r#"{"event": "e", "__proto__": {"polluted": 1}, "properties": {"__proto__": {"polluted": 1}}}"#,
        r#"{"event": "e", "constructor": {"prototype": {"polluted": 1}}}"#,
        r#"{"event": "e", "toJSON": "x", "then": "x", "valueOf": "x", "hasOwnProperty": "x"}"#,
        r#"{"event": "e", "config": {"secret": "x"}, "length": 10000000000, "seen": {}}"#,
        r#"{"event": "${config.secret}", "properties": "'; DROP TABLE events; --"}"#,
    ] {
        let sql = format!("SELECT process_event('{}')", event.replace('\'', "''"));
        tells_nothing(&told(&mut app, &sql), &sql);
    }
    app.run(INSERT);
    assert_eq!(events(&mut owner), [SEEN]);
    let polluted = owner.value::<bool>(
        "SELECT process_event('{}') ? 'polluted' OR process_event('{}') ->> 'seen' <> '31'",
    );
    assert!(!polluted);
}

#[test]
fn what_a_plugin_returns_is_what_its_caller_gets() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.run(
        r#"SELECT posthog_plugins.install(
               'export function processEvent(event, { config }) { event.token = config.token; return event }',
               '{"config": [{"key": "token", "type": "string", "secret": true}]}', 'careless');
           SELECT posthog_plugins.configure('careless', '{"token": "given-away"}', 7);
           SELECT posthog_plugins.enable('careless', 7)"#,
    );
    let mut app = cluster.connect_as("app", "fortress");
    let event = r#"{"event": "e", "team_id": 7}"#;
    // Its code is trusted with its secret, and the sender says which team an event is of.
    assert!(app.process(event).unwrap().contains("given-away"));
    // The way out: only the table's trigger may call it.
    owner.run(
        "REVOKE EXECUTE ON FUNCTION process_event(jsonb) FROM PUBLIC;
         ALTER FUNCTION run_plugins() SECURITY DEFINER SET search_path = pg_catalog, pg_temp",
    );
    assert_eq!(app.refusal(&format!("SELECT process_event('{event}')")), PRIVILEGE);
    app.run(INSERT);
    assert_eq!(events(&mut owner), [SEEN]);
}

#[test]
fn a_policy_of_the_table_sees_the_processed_event() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.add_body(
        "promoting",
        "if (event.event === 'sly') event.event = 'admin';
         if (event.event === 'thief') event.team_id = 8;
         return event",
    );
    owner.run(
        "ALTER TABLE events ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own_team ON events FOR INSERT TO app
             WITH CHECK ((data ->> 'team_id') = '7' AND (data ->> 'event') <> 'admin')",
    );
    let mut app = cluster.connect_as("app", "fortress");
    let insert = |event: &str, team: i32| {
        format!(r#"INSERT INTO events (data) VALUES ('{{"event": "{event}", "team_id": {team}}}')"#)
    };
    app.run(&insert("e", 7));
    assert_eq!(app.refusal(&insert("e", 8)), PRIVILEGE);
    // What a plugin makes of an event has to pass as well.
    assert_eq!(app.refusal(&insert("sly", 7)), PRIVILEGE);
    // A team cannot be changed, in either direction.
    app.run(&insert("thief", 7));
    assert_eq!(app.refusal(&insert("thief", 8)), PRIVILEGE);
    let teams = owner.column::<String>("SELECT data ->> 'team_id' FROM events");
    assert_eq!(teams, ["7", "7"]);
}

#[test]
fn a_dump_has_secrets_in_clear_unless_they_are_left_out() {
    let cluster = Cluster::start();
    drop(fortress(&cluster));
    let environment = cluster::Environment::read();
    let dump = |options: &[&str]| {
        let output = std::process::Command::new(environment.bin.join("pg_dump"))
            .arg("--host")
            .arg(cluster.socket_directory())
            .args(["--username=postgres", "fortress"])
            .args(options)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = dump(&[]);
    // The attachment is in hexadecimal.
    for private in ["hunter2-s3cr3t", "in-the-source", "in-the-config", "696e2d7468652d6174746163"]
    {
        assert!(whole.contains(private), "{private}");
    }
    assert!(whole.contains("COPY posthog_plugins.plugin_secret "));
    for table in ["plugin_log", "plugin_error"] {
        assert!(!whole.contains(&format!("COPY posthog_plugins.{table} ")), "{table}");
    }
    let without = dump(&["--exclude-table-data=posthog_plugins.plugin_secret"]);
    assert!(without.contains("in-the-config") && !without.contains("hunter2-s3cr3t"));
    let schema = dump(&["--schema-only"]);
    tells_nothing(&schema, "pg_dump --schema-only");
}

/// What ECMAScript itself has.
const LANGUAGE: &str = "AggregateError Array ArrayBuffer AsyncDisposableStack BigInt BigInt64Array \
    BigUint64Array Boolean DataView Date DisposableStack Error EvalError Float16Array Float32Array \
    Float64Array Function Infinity Int16Array Int32Array Int8Array InternalError Iterator JSON Map \
    Math NaN Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set String \
    SuppressedError Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array \
    Uint8ClampedArray WeakMap WeakRef WeakSet decodeURI decodeURIComponent encodeURI \
    encodeURIComponent escape eval globalThis isFinite isNaN parseFloat parseInt undefined unescape";

/// What a realm has besides. Whoever adds to it decides what plugins can reach.
/// `fetch` and what goes with it ask the host, which refuses.
const ADDED: &str = "AbortController AbortSignal Blob Buffer CryptoKey Event EventTarget File FormData \
    GLOBAL Headers Intl Request Response RetryError TextDecoder TextEncoder URL URLSearchParams atob \
    btoa clearImmediate clearInterval clearTimeout console crypto fetch global performance posthog \
    processEvent queueMicrotask require root setImmediate setInterval setTimeout structuredClone";

#[test]
fn nothing_in_a_realm_leads_outside() {
    let cluster = Cluster::start();
    let mut owner = cluster.create_database("outside");
    owner.add_plugin(
        "explorer",
        "export async function processEvent(event) {
             event.names = Object.getOwnPropertyNames(globalThis).sort()
             event.modules = []
             for (const name of event.wanted) {
                 for (const load of [(name) => import(name), require]) {
                     try { await load(name); event.modules.push(name) } catch {}
                 }
             }
             return event
         }",
    );
    let added = owner.value::<Option<String>>(&format!(
        "SELECT string_agg(name, ' ' ORDER BY name COLLATE \"C\")
           FROM jsonb_array_elements_text(process_event('{{\"wanted\": []}}') -> 'names') AS name
          WHERE name <> ALL (string_to_array('{LANGUAGE}', ' '))"
    ));
    assert_eq!(added.as_deref(), Some(ADDED));
    let modules = owner.value::<String>(
        r#"SELECT process_event('{"wanted": ["fs", "node:fs", "std", "os", "net", "http", "dns",
               "child_process", "worker_threads", "vm", "pg", "postgres", "/etc/passwd", "./index.ts",
               "file:///etc/passwd", "data:text/javascript,1"]}') ->> 'modules'"#,
    );
    assert_eq!(modules, "[]");
}

#[test]
fn a_statement_that_sets_a_secret_can_be_kept_out_of_the_servers_log() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.run("SET log_statement = 'all'");
    let configure = |owner: &mut Client, secret: &str| {
        let config = format!(r#"{{"secret": "{secret}"}}"#);
        owner.execute("SELECT posthog_plugins.configure('keeper', $1::text::jsonb)", &[&config])
    };
    configure(&mut owner, "logged-secret").unwrap();
    assert!(cluster.log().contains("logged-secret"));
    owner.run("SET log_statement = 'none'");
    configure(&mut owner, "quiet-secret").unwrap();
    assert!(!cluster.log().contains("quiet-secret"));
}
