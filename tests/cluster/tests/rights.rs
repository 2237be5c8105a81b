//! What a role without rights can do: call `process_event`. And what it cannot make others do.

use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

const SEEN: &str = r#"{"seen": true, "event": "e"}"#;

/// A database with a plugin in it, and sessions of its owner and of a role that nobody granted
/// anything.
fn owner_and_app(cluster: &Cluster, name: &str) -> (Client, Client) {
    let mut owner = cluster.create_database(name);
    owner.run("CREATE ROLE app LOGIN");
    owner.add_body("good", "event.seen = true; console.log('seen'); return event");
    (owner, cluster.connect_as("app", name))
}

#[test]
fn a_role_without_rights_can_process_events() {
    let cluster = Cluster::start();
    let (mut owner, mut app) = owner_and_app(&cluster, "app");
    assert_eq!(app.process(r#"{"event": "e"}"#).as_deref(), Some(SEEN));
    assert_eq!(owner.column::<String>("SELECT message FROM posthog_plugins.logs"), ["seen"]);
    assert_eq!(app.value::<String>("SELECT current_user::text"), "app");
    owner.add_body("failing", "throw new Error('no')");
    assert_eq!(app.process(r#"{"event": "e"}"#).as_deref(), Some(SEEN));
    assert_eq!(
        owner.column::<String>("SELECT message FROM posthog_plugins.failures"),
        ["Error: no"]
    );
    // Nor does running them leave any right behind, also when it fails.
    owner.run("SELECT posthog_plugins.configure('failing', '{}', on_error => 'raise')");
    let raised = app.refusal(r#"SELECT process_event('{"event": "e"}')"#);
    assert_eq!(raised, SqlState::EXTERNAL_ROUTINE_EXCEPTION);
    assert_eq!(app.value::<String>("SELECT current_user::text"), "app");
    let table = app.refusal("SELECT * FROM posthog_plugins.plugin");
    assert_eq!(table, SqlState::INSUFFICIENT_PRIVILEGE);
}

#[test]
fn a_role_without_rights_can_do_nothing_else() {
    let cluster = Cluster::start();
    let (mut owner, mut app) = owner_and_app(&cluster, "app");
    // Being let into the schema opens nothing in it.
    for may_enter in [false, true] {
        if may_enter {
            owner.run("GRANT USAGE ON SCHEMA posthog_plugins TO app");
        }
        let attempts = owner.column::<String>(
            "SELECT format(attempt, oid::regclass)
               FROM pg_class,
                    unnest(ARRAY['SELECT * FROM %s', 'DO $$BEGIN LOCK %s; END$$',
                                 'CREATE RULE r AS ON INSERT TO %s DO ALSO NOTHING']) AS attempt
              WHERE relnamespace = 'posthog_plugins'::regnamespace AND relkind IN ('r', 'v')
              UNION ALL
             SELECT format(attempt, oid::regclass)
               FROM pg_class,
                    unnest(ARRAY['DELETE FROM %s', 'TRUNCATE %s', 'INSERT INTO %s DEFAULT VALUES',
                                 'CREATE TRIGGER t BEFORE INSERT ON %s
                                      EXECUTE FUNCTION suppress_redundant_updates_trigger()'
                                ]) AS attempt
              WHERE relnamespace = 'posthog_plugins'::regnamespace AND relkind = 'r'
              UNION ALL
             SELECT format(attempt, oid::regclass)
               FROM pg_class,
                    unnest(ARRAY['SELECT * FROM %s', $$SELECT nextval('%s')$$,
                                 $$SELECT setval('%s', 1)$$]) AS attempt
              WHERE relnamespace = 'posthog_plugins'::regnamespace AND relkind = 'S'
              UNION ALL
             SELECT format('SELECT %s(%s)', oid::regproc,
                           -- Not NULL: strict functions would not even be asked for.
                           (SELECT string_agg(format('%L::%s', CASE WHEN name LIKE '%[]' THEN '{1}'
                                                          WHEN name LIKE 'timestamp%' THEN 'now'
                                                          ELSE '1' END,
                                                     name), ', ')
                              FROM unnest(proargtypes) AS type, format_type(type, NULL) AS name))
               FROM pg_proc
              WHERE pronamespace = 'posthog_plugins'::regnamespace
              UNION ALL
             SELECT 'CREATE TABLE posthog_plugins.intruder ()'",
        );
        assert!(attempts.len() > 60, "{attempts:#?}");
        for attempt in attempts {
            assert_eq!(app.refusal(&attempt), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
        }
    }
    for attempt in [
        "DROP EXTENSION posthog_plugins",
        "ALTER EXTENSION posthog_plugins UPDATE",
        "DROP FUNCTION process_event(jsonb)",
        "ALTER FUNCTION process_event(jsonb) SECURITY DEFINER",
        "CREATE OR REPLACE FUNCTION public.process_event(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1'",
    ] {
        assert_eq!(app.refusal(attempt), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
    }
}

#[test]
fn what_plugins_log_is_not_sent_to_the_client() {
    let cluster = Cluster::start();
    let (mut owner, _) = owner_and_app(&cluster, "app");
    owner.add_body("talker", "console.log('between us'); return event");
    // Neither where the log goes to the server's instead of the table, nor with the transaction.
    for (begin, end) in [("BEGIN READ ONLY", "COMMIT"), ("BEGIN", "ROLLBACK")] {
        let output = cluster.psql(
            "app",
            &format!(
                "SET ROLE app; SET client_min_messages = log; {begin};
                 SELECT process_event('{{}}'); {end};"
            ),
        );
        assert!(output.contains("seen"), "{output}");
        assert!(!output.contains("between us"), "{output}");
    }
    assert_eq!(cluster.log().matches("between us").count(), 2);
}

#[test]
fn a_granted_view_shows_itself_and_a_granted_function_acts_as_the_owner() {
    let cluster = Cluster::start();
    let (mut owner, mut app) = owner_and_app(&cluster, "app");
    owner.run(
        "GRANT USAGE ON SCHEMA posthog_plugins TO app;
         GRANT SELECT ON posthog_plugins.chain TO app;
         GRANT EXECUTE ON FUNCTION posthog_plugins.disable TO app",
    );
    assert_eq!(app.column::<String>("SELECT plugin FROM posthog_plugins.chain"), ["good"]);
    app.run("SELECT posthog_plugins.disable('good')");
    assert_eq!(app.process(r#"{"event": "e"}"#).as_deref(), Some(r#"{"event": "e"}"#));
    assert_eq!(
        app.refusal("SELECT posthog_plugins.enable('good')"),
        SqlState::INSUFFICIENT_PRIVILEGE
    );
}

#[test]
fn settings_are_the_superusers() {
    let cluster = Cluster::start();
    let (mut owner, mut app) = owner_and_app(&cluster, "app");
    app.process(r#"{"event": "e"}"#);
    let settings =
        app.column::<String>("SELECT name FROM pg_settings WHERE name LIKE 'posthog_plugins.%'");
    assert_eq!(settings.len(), 30, "{settings:?}");
    // These are for the server's configuration.
    let (server, own): (Vec<&String>, Vec<&String>) = settings
        .iter()
        .partition(|setting| setting.ends_with(".network") || setting.ends_with(".workers"));
    for setting in server {
        for session in [&mut owner, &mut app] {
            let attempt = format!("SET {setting} = DEFAULT");
            assert_eq!(session.refusal(&attempt), SqlState::CANT_CHANGE_RUNTIME_PARAM);
        }
    }
    for setting in own {
        for form in ["SET {} = DEFAULT", "SET LOCAL {} = DEFAULT", "RESET {}"] {
            let attempt = form.replace("{}", setting);
            assert_eq!(app.refusal(&attempt), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
        }
        let attempt = format!("SELECT set_config('{setting}', '1', false)");
        assert_eq!(app.refusal(&attempt), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
        owner.run(&format!("SET {setting} = DEFAULT"));
    }
    assert!(app.batch_execute("SET posthog_plugins.misspelt = 1").is_err());
    // Nor before the library is loaded, when they are only names.
    for sneaky in [
        "SET posthog_plugins.enabled = off",
        "SET posthog_plugins.execution_timeout = '10min'",
        "ALTER ROLE app SET posthog_plugins.enabled = off",
    ] {
        let mut fresh = cluster.connect_as("app", "app");
        let _ = fresh.batch_execute(sneaky);
        let mut fresh =
            if sneaky.starts_with("ALTER") { cluster.connect_as("app", "app") } else { fresh };
        assert_eq!(fresh.process(r#"{"event": "e"}"#).as_deref(), Some(SEEN), "after {sneaky}");
        let timeout: String = fresh.value("SHOW posthog_plugins.execution_timeout");
        assert_eq!(timeout, "1s", "after {sneaky}");
    }
}

/// Objects that look like what a careless query would use. Whoever runs one of them is recorded.
const HOSTILE: &str = "
    CREATE SCHEMA trap;
    CREATE TABLE trap.caught (who text DEFAULT current_user, what text);
    GRANT ALL ON SCHEMA trap TO PUBLIC; GRANT ALL ON trap.caught TO PUBLIC;
    CREATE FUNCTION trap.spring(what text) RETURNS bool LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO trap.caught (what) VALUES (what);
        RETURN true;
    END $$;
    CREATE FUNCTION trap.equals(a text, b text) RETURNS bool LANGUAGE sql AS $$SELECT trap.spring('text = text')$$;
    CREATE FUNCTION trap.equals(a name, b text) RETURNS bool LANGUAGE sql AS $$SELECT trap.spring('name = text')$$;
    CREATE FUNCTION trap.equals(a name, b name) RETURNS bool LANGUAGE sql AS $$SELECT trap.spring('name = name')$$;
    CREATE FUNCTION trap.equals(a int, b int) RETURNS bool LANGUAGE sql AS $$SELECT trap.spring('int = int')$$;
    CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.equals);
    CREATE OPERATOR trap.= (LEFTARG = name, RIGHTARG = text, FUNCTION = trap.equals);
    CREATE OPERATOR trap.= (LEFTARG = name, RIGHTARG = name, FUNCTION = trap.equals);
    CREATE OPERATOR trap.= (LEFTARG = int, RIGHTARG = int, FUNCTION = trap.equals);
    CREATE FUNCTION trap.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM trap.spring('unnest');
        RETURN QUERY SELECT pg_catalog.unnest($1);
    END $$;
    CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM trap.spring('now');
        RETURN pg_catalog.now();
    END $$;
    CREATE FUNCTION trap.jsonb_object_agg_step(jsonb, text, jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM trap.spring('jsonb_object_agg');
        RETURN $1;
    END $$;
    CREATE AGGREGATE trap.jsonb_object_agg(text, jsonb)
        (SFUNC = trap.jsonb_object_agg_step, STYPE = jsonb, INITCOND = '{}');
    CREATE FUNCTION trap.process_event(jsonb) RETURNS jsonb LANGUAGE sql AS $$SELECT NULL::jsonb$$;
    CREATE TABLE trap.pg_extension (extname name DEFAULT 'posthog_plugins', extowner oid);
    CREATE TABLE trap.plugin_config (LIKE posthog_plugins.plugin_config);
    CREATE DOMAIN trap.timestamptz AS pg_catalog.timestamptz CHECK (trap.spring('timestamptz'));
    CREATE DOMAIN trap.text AS pg_catalog.text CHECK (trap.spring('text'));
    CREATE DOMAIN trap.integer AS pg_catalog.int4 CHECK (trap.spring('integer'));";

/// The same as far as a session's own temporary schema can hold it.
const TEMPORARY: &str = "
    CREATE TEMP TABLE pg_extension (extname name DEFAULT 'posthog_plugins', extowner oid);
    CREATE TEMP TABLE plugin_config (id int);
    CREATE TEMP TABLE plugin_log (id int);
    CREATE DOMAIN pg_temp.timestamptz AS pg_catalog.timestamptz CHECK (trap.spring('temp timestamptz'));
    CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (trap.spring('temp text'));
    CREATE FUNCTION pg_temp.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE sql
        AS $$SELECT trap.spring('temp unnest'); SELECT pg_catalog.unnest($1)$$;";

#[test]
fn hostile_objects_of_the_caller_are_never_used() {
    let cluster = Cluster::start();
    let (mut owner, mut app) = owner_and_app(&cluster, "app");
    owner.run("GRANT CREATE ON DATABASE app TO app");
    owner.add_plugin("failing", "export function processEvent() { throw new Error('no') }");
    owner.run(
        r#"SELECT posthog_plugins.install(
               'export function processEvent(event) { return event }',
               '{"config": [{"key": "token", "type": "string", "secret": true}]}', 'keeper');
           SELECT posthog_plugins.configure('keeper', '{"token": "t"}');
           SELECT posthog_plugins.enable('keeper')"#,
    );
    // The trap is the role's own, so the tables it copies must be readable for it.
    owner.run("GRANT USAGE ON SCHEMA posthog_plugins TO app; GRANT SELECT ON posthog_plugins.plugin_config TO app");
    app.run(HOSTILE);
    app.run(TEMPORARY);
    for path in ["trap, pg_catalog", "pg_temp, trap, pg_catalog, public", "trap, public"] {
        app.run(&format!("SET search_path = {path}"));
        let event: Option<String> = app
            .value(r#"SELECT pg_catalog.jsonb_out(public.process_event('{"event": "e"}'))::pg_catalog.text"#);
        assert_eq!(event.as_deref(), Some(SEEN), "search_path {path}");
        assert_eq!(app.value::<String>("SHOW search_path"), path);
    }
    let caught = owner.column::<String>("SELECT who || ': ' || what FROM trap.caught");
    assert_eq!(caught, [""; 0]);
    let lines: i64 =
        owner.value("SELECT count(*) FROM posthog_plugins.logs WHERE source = 'CONSOLE'");
    assert_eq!(lines, 3);
    // The owner's own functions, called with the trap in front.
    owner.run("SET search_path = trap, pg_catalog, public");
    for call in [
        "install('const a = 1', '{}', 'another')",
        "configure('another', '{\"a\": 1}')",
        "enable('another')",
        "move('another', 1)",
        "disable('another')",
        "install('const a = 2', '{}', 'another')",
        "rollback('another')",
        "uninstall('another')",
    ] {
        owner.run(&format!("SELECT posthog_plugins.{call}"));
    }
    owner.run("RESET search_path");
    let caught = owner.column::<String>("SELECT who || ': ' || what FROM trap.caught");
    assert_eq!(caught, [""; 0]);
    // The trap does catch those who walk into it.
    app.run("SET search_path = trap, pg_catalog; SELECT now(), 'a'::pg_catalog.text = 'b'");
    let caught = owner.column::<String>("SELECT what FROM trap.caught ORDER BY what");
    assert_eq!(caught, ["now", "text = text"]);
}

#[test]
fn the_extension_can_live_in_any_schema() {
    let cluster = Cluster::start();
    let mut owner = cluster.connect("postgres");
    owner.run(
        "CREATE SCHEMA \"Odd schema\"; CREATE EXTENSION posthog_plugins SCHEMA \"Odd schema\";
         CREATE ROLE app LOGIN",
    );
    owner.add_body("good", "event.seen = true; return event");
    let call = r#"SELECT "Odd schema".process_event('{"event": "e"}')::text"#;
    assert_eq!(owner.value::<String>(call), SEEN);
    let mut app = cluster.connect_as("app", "postgres");
    assert_eq!(app.refusal(call), SqlState::INSUFFICIENT_PRIVILEGE);
    owner.run("GRANT USAGE ON SCHEMA \"Odd schema\" TO app");
    assert_eq!(app.value::<String>(call), SEEN);
}
