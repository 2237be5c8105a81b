//! Objects that somebody planted where the extension, or an administrator, could stumble over them:
//! in public, in front of the search_path, before `CREATE EXTENSION`, by default privileges.

mod fortress;

use cluster::{Cluster, Session};
use fortress::{INSERT, PRIVILEGE, SEEN, events, fortress};
use postgres::Client;
use postgres::error::SqlState;

/// Objects that fit the extension's own calls better than PostgreSQL's, or at least as well. Whoever
/// runs one of them is caught.
const PLANTED: &str = "
    CREATE TABLE HERE.caught (who text DEFAULT current_user, what text);
    GRANT INSERT ON HERE.caught TO PUBLIC;
    CREATE FUNCTION HERE.spring(what text DEFAULT 'called') RETURNS boolean LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO HERE.caught (what) VALUES (what); RETURN true; END$$;
    CREATE FUNCTION HERE.same(anyelement, anyelement) RETURNS boolean LANGUAGE sql
        AS $$SELECT HERE.spring('=')$$;
    CREATE OPERATOR HERE.= (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = HERE.same);
    CREATE OPERATOR HERE.<> (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = HERE.same);
    CREATE OPERATOR HERE.> (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = HERE.same);
    CREATE OPERATOR HERE.~ (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = HERE.same);
    CREATE FUNCTION HERE.same_text(text, text) RETURNS boolean LANGUAGE sql
        AS $$SELECT HERE.spring('text =')$$;
    CREATE OPERATOR HERE.= (LEFTARG = text, RIGHTARG = text, FUNCTION = HERE.same_text);
    CREATE OPERATOR HERE.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = HERE.same_text);
    CREATE FUNCTION HERE.same_name(name, text) RETURNS boolean LANGUAGE sql
        AS $$SELECT HERE.spring('name =')$$;
    CREATE OPERATOR HERE.= (LEFTARG = name, RIGHTARG = text, FUNCTION = HERE.same_name);
    CREATE FUNCTION HERE.same_integer(integer, integer) RETURNS boolean LANGUAGE sql
        AS $$SELECT HERE.spring('integer =')$$;
    CREATE OPERATOR HERE.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = HERE.same_integer);
    CREATE OPERATOR HERE.> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = HERE.same_integer);
    CREATE FUNCTION HERE.joined(jsonb, jsonb) RETURNS jsonb LANGUAGE sql
        AS $$SELECT CASE WHEN HERE.spring('||') THEN $1 END$$;
    CREATE OPERATOR HERE.|| (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = HERE.joined);
    CREATE FUNCTION HERE.joined_text(text, text) RETURNS text LANGUAGE sql
        AS $$SELECT CASE WHEN HERE.spring('text ||') THEN $1 END$$;
    CREATE OPERATOR HERE.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = HERE.joined_text);
    CREATE FUNCTION HERE.now() RETURNS timestamptz LANGUAGE sql
        AS $$SELECT CASE WHEN HERE.spring('now') THEN clock_timestamp() END$$;
    CREATE FUNCTION HERE.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql
        AS $$BEGIN PERFORM HERE.spring('unnest'); RETURN QUERY SELECT pg_catalog.unnest($1); END$$;
    CREATE FUNCTION HERE.unnest(a text[], b text[]) RETURNS TABLE (x text, y text) LANGUAGE sql
        AS $$SELECT HERE.spring('unnest')::text, ''$$;
    CREATE FUNCTION HERE.count(anyelement) RETURNS bigint LANGUAGE sql
        AS $$SELECT CASE WHEN HERE.spring('count') THEN 1 END::bigint$$;
    CREATE FUNCTION HERE.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql
        AS $$SELECT HERE.spring('jsonb_typeof')::text$$;
    CREATE FUNCTION HERE.pg_has_role(name, regrole, text) RETURNS boolean LANGUAGE sql
        AS $$SELECT HERE.spring('pg_has_role')$$;
    CREATE FUNCTION HERE.format(text, text, text) RETURNS text LANGUAGE sql
        AS $$SELECT HERE.spring('format')::text$$;
    CREATE DOMAIN HERE.text AS pg_catalog.text CHECK (HERE.spring('domain text'));
    CREATE DOMAIN HERE.integer AS pg_catalog.int4 CHECK (HERE.spring('domain integer'));
    CREATE DOMAIN HERE.jsonb AS pg_catalog.jsonb CHECK (HERE.spring('domain jsonb'));
    CREATE DOMAIN HERE.timestamptz AS pg_catalog.timestamptz CHECK (HERE.spring('domain timestamptz'));
    CREATE TYPE HERE.mine AS (x integer);
    CREATE FUNCTION HERE.from_jsonb(pg_catalog.jsonb) RETURNS HERE.mine LANGUAGE sql
        AS $$SELECT ROW(CASE WHEN HERE.spring('cast') THEN 1 END)::HERE.mine$$;
    CREATE CAST (pg_catalog.jsonb AS HERE.mine) WITH FUNCTION HERE.from_jsonb AS IMPLICIT;
    CREATE FUNCTION HERE.process_event(HERE.mine) RETURNS pg_catalog.jsonb LANGUAGE sql
        AS $$SELECT '{\"planted\": true}'::pg_catalog.jsonb$$;
    CREATE FUNCTION HERE.process_event(json) RETURNS pg_catalog.jsonb LANGUAGE sql
        AS $$SELECT '{\"planted\": true}'::pg_catalog.jsonb$$;
    CREATE TABLE HERE.plugin_config (id pg_catalog.int4, plugin pg_catalog.text);
    CREATE TABLE HERE.plugin_log (id pg_catalog.int4);
    CREATE TABLE HERE.team_limit (role regrole, teams pg_catalog.int4[]);";

/// Planted in the schema that `CREATE EXTENSION` and everybody else has in front.
fn plant(mallory: &mut Client, schema: &str) {
    mallory.run(&format!("SET search_path = pg_catalog; {}", PLANTED.replace("HERE", schema)));
    mallory.run("RESET search_path");
}

fn caught(owner: &mut Client, schema: &str) -> Vec<String> {
    owner.column(&format!("SELECT DISTINCT who || ': ' || what FROM {schema}.caught"))
}

/// Every call an administrator makes.
fn administer(owner: &mut Client) {
    for call in [
        "install('const a = 1', '{\"config\": [{\"key\": \"k\", \"type\": \"string\", \"secret\": true}]}', 'new')",
        "configure('new', '{\"a\": 1, \"k\": \"v\"}')",
        "enable('new')",
        "move('new', 1)",
        "disable('new')",
        "configure('new', '{}', 7, 'label', 'drop')",
        "install('const a = 2', '{}', 'new')",
        "rollback('new')",
        "install_bundled('hello-world')",
        "grant_role('viewer', 'editor')",
        "limit_to_teams('viewer', '{7}')",
        "revoke_role('viewer')",
        "uninstall('new')",
    ] {
        owner.run(&format!("SELECT posthog_plugins.{call}"));
    }
    for view in ["plugins", "configs", "chain", "logs", "failures", "library"] {
        owner.run(&format!("TABLE posthog_plugins.{view}"));
    }
}

#[test]
fn what_is_planted_in_public_is_never_used() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.run("CREATE ROLE viewer");
    let mut mallory = cluster.connect_as("mallory", "fortress");
    plant(&mut mallory, "public");
    mallory.run(INSERT);
    mallory.run("INSERT INTO public.events (data) VALUES ('{\"event\": \"fail\"}')");
    let mut app = cluster.connect_as("app", "fortress");
    app.run(INSERT);
    owner.run(INSERT);
    administer(&mut owner);
    let found = events(&mut owner);
    assert_eq!(found, [SEEN, r#"{"event": "fail"}"#, SEEN, SEEN]);
    assert_eq!(caught(&mut owner, "public"), [""; 0]);
    // It does catch those who walk into it.
    owner.run("SELECT ROW(1) = ROW(1), now(), public.count(1)");
    assert_eq!(caught(&mut owner, "public"), ["postgres: count"]);
}

#[test]
fn what_is_planted_in_front_of_the_search_path_is_never_used() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.run("CREATE ROLE viewer");
    let mut mallory = cluster.connect_as("mallory", "fortress");
    plant(&mut mallory, "mallory");
    mallory.run(
        "GRANT USAGE ON SCHEMA mallory TO PUBLIC;
         CREATE TEMP TABLE plugin_config (id int); CREATE TEMP TABLE plugin_log (id int);
         CREATE TEMP TABLE plugin_error (id int); CREATE TEMP TABLE pg_class (oid oid);
         CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (mallory.spring('temp jsonb'));
         CREATE DOMAIN pg_temp.timestamptz AS pg_catalog.timestamptz
             CHECK (mallory.spring('temp timestamptz'))",
    );
    for path in ["mallory, pg_catalog, public", "pg_temp, mallory, pg_catalog", "mallory, public"] {
        mallory.run(&format!("SET search_path = {path}"));
        mallory.run(&format!("{INSERT}, ('{{\"event\": \"fail\"}}')"));
    }
    let path = "SET search_path = mallory, pg_catalog, public";
    owner.run(path);
    administer(&mut owner);
    owner.run("RESET search_path");
    assert_eq!(caught(&mut owner, "mallory"), [""; 0]);
    mallory.run("SET search_path = mallory, pg_catalog; SELECT now()");
    assert_eq!(caught(&mut owner, "mallory"), ["mallory: now"]);
}

#[test]
fn settings_of_the_session_change_nothing() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.run("CREATE ROLE viewer");
    let settings = [
        "standard_conforming_strings = off",
        "backslash_quote = on",
        "transform_null_equals = on",
        "array_nulls = off",
        "quote_all_identifiers = on",
        "row_security = off",
        "check_function_bodies = off",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "TimeZone = 'Asia/Kathmandu'",
        "extra_float_digits = -15",
        "client_encoding = 'LATIN1'",
        "plan_cache_mode = force_generic_plan",
        "default_transaction_isolation = serializable",
        "search_path = ''",
    ];
    for setting in settings {
        // A new session reads the chain with it.
        let mut mallory = cluster.connect_as("mallory", "fortress");
        mallory.run(&format!("SET {setting}"));
        mallory.run(INSERT);
        let mut other = cluster.connect("fortress");
        other.run(&format!("SET {setting}"));
        administer(&mut other);
    }
    assert_eq!(events(&mut owner), vec![SEEN; settings.len()]);
    let logged = owner.value::<i64>("SELECT count(*) FROM posthog_plugins.logs");
    assert_eq!(logged, settings.len() as i64);
}

#[test]
fn create_extension_uses_nothing_that_was_planted_before() {
    let cluster = Cluster::start();
    let mut owner = cluster.connect("postgres");
    owner.run(
        "CREATE ROLE mallory LOGIN; GRANT CREATE ON SCHEMA public TO mallory;
         GRANT CREATE ON DATABASE postgres TO mallory",
    );
    let mut mallory = cluster.connect_as("mallory", "postgres");
    plant(&mut mallory, "public");
    owner.run("CREATE EXTENSION posthog_plugins; CREATE ROLE viewer");
    administer(&mut owner);
    owner.add_body("good", "event.seen = true; return event");
    let event = owner.value::<String>("SELECT process_event('{}'::pg_catalog.jsonb)::text");
    assert_eq!(event, r#"{"seen": true}"#);
    assert_eq!(caught(&mut owner, "public"), [""; 0]);
    owner.run("DROP EXTENSION posthog_plugins");
    // Its own names, taken before it comes: an error, not an adoption.
    mallory.run("CREATE FUNCTION public.process_event(pg_catalog.jsonb) RETURNS pg_catalog.jsonb LANGUAGE sql AS 'SELECT $1'");
    let code = owner.refusal("CREATE EXTENSION posthog_plugins");
    assert_eq!(code, SqlState::DUPLICATE_FUNCTION);
    mallory.run("DROP FUNCTION public.process_event(pg_catalog.jsonb)");
    for planted in [
        "",
        "CREATE TABLE posthog_plugins.plugin_config (id int)",
        "CREATE FUNCTION posthog_plugins.install(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
    ] {
        mallory.run("CREATE SCHEMA posthog_plugins");
        mallory.run(planted);
        let code = owner.refusal("CREATE EXTENSION posthog_plugins");
        assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{planted}");
        mallory.run("DROP SCHEMA posthog_plugins CASCADE");
    }
    owner.run("CREATE EXTENSION posthog_plugins");
}

#[test]
fn default_privileges_give_nothing_away() {
    let cluster = Cluster::start();
    let mut owner = cluster.connect("postgres");
    owner.run(
        "CREATE ROLE \"Reader of all\" LOGIN; CREATE ROLE mallory LOGIN;
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO \"Reader of all\", mallory, PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO mallory;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO \"Reader of all\", PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO mallory;
         CREATE EXTENSION posthog_plugins",
    );
    for role in ["Reader of all", "mallory"] {
        let rights = owner.value::<i64>(&format!(
            "SELECT (SELECT count(*) FROM pg_class
                      WHERE relnamespace = 'posthog_plugins'::regnamespace
                        AND CASE WHEN relkind IN ('r', 'v') THEN
                                    has_table_privilege('{role}', oid, 'SELECT')
                                 WHEN relkind = 'S' THEN
                                    has_sequence_privilege('{role}', oid, 'USAGE, SELECT, UPDATE')
                            END)
                  + (SELECT count(*) FROM pg_proc
                      WHERE pronamespace = 'posthog_plugins'::regnamespace
                        AND has_function_privilege('{role}', oid, 'EXECUTE'))
                  + has_schema_privilege('{role}', 'posthog_plugins', 'USAGE, CREATE')::int"
        ));
        assert_eq!(rights, 0, "{role}");
    }
    let mut mallory = cluster.connect_as("mallory", "postgres");
    assert_eq!(mallory.process("{}").as_deref(), Some("{}"));
    // Those of others are about what they make themselves.
    let code = mallory
        .refusal("ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO mallory");
    assert_eq!(code, PRIVILEGE);
}
