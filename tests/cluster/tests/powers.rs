//! What those can do who have more rights than most: the owner of a database, whoever may make roles,
//! members of predefined roles, owners of wrappers.

mod fortress;

use cluster::{Cluster, Session};
use fortress::{INSERT, PRIVILEGE, SEEN, events, fortress};
use postgres::error::SqlState;

#[test]
fn the_owner_of_the_database_has_no_more_rights_here() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    // Who owns the database or may make roles has no more say here than others.
    owner.run(
        "ALTER DATABASE fortress OWNER TO mallory; ALTER ROLE mallory CREATEROLE CREATEDB;
         GRANT USAGE ON SCHEMA posthog_plugins TO mallory",
    );
    for attempt in [
        "ALTER DATABASE fortress SET posthog_plugins.enabled = off",
        "ALTER ROLE app SET posthog_plugins.enabled = off",
        "ALTER ROLE mallory IN DATABASE fortress SET posthog_plugins.memory_limit = '1GB'",
        "ALTER SYSTEM SET posthog_plugins.enabled = off",
        "ALTER ROLE postgres PASSWORD 'mine'",
        "GRANT postgres TO mallory",
        "CREATE ROLE boss SUPERUSER",
        "GRANT SET ON PARAMETER posthog_plugins.enabled TO mallory",
        "TABLE posthog_plugins.plugin_secret",
        "TABLE posthog_plugins.chain",
        "SELECT posthog_plugins.disable('keeper')",
        "SELECT posthog_plugins.grant_role('mallory', 'admin')",
        "ALTER EXTENSION posthog_plugins UPDATE",
        "DROP EXTENSION posthog_plugins CASCADE",
        "DROP SCHEMA posthog_plugins CASCADE",
    ] {
        let mut mallory = cluster.connect_as("mallory", "fortress");
        if attempt.contains("PARAMETER") {
            // PostgreSQL warns, and grants nothing.
            let _ = mallory.batch_execute(attempt);
            continue;
        }
        assert_eq!(mallory.refusal(attempt), PRIVILEGE, "{attempt}");
    }
    let mut mallory = cluster.connect_as("mallory", "fortress");
    mallory.run(INSERT);
    assert_eq!(mallory.refusal("SET posthog_plugins.enabled = off"), PRIVILEGE);
    assert_eq!(events(&mut owner), [SEEN]);
    // Whoever owns the schema that process_event is in can drop both, but not change either.
    owner.run("ALTER SCHEMA public OWNER TO mallory");
    assert_eq!(
        mallory.refusal("DROP FUNCTION public.process_event(jsonb) CASCADE"),
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST
    );
    assert_eq!(mallory.refusal("ALTER FUNCTION public.process_event(jsonb) STRICT"), PRIVILEGE);
    mallory.run("BEGIN; DROP SCHEMA public CASCADE");
    assert_eq!(
        mallory.value::<i64>("SELECT count(*) FROM pg_extension WHERE extname = 'posthog_plugins'"),
        0
    );
    mallory.run("ROLLBACK");
}

#[test]
fn whoever_may_make_roles_can_join_one_that_has_a_level() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.run(
        "ALTER ROLE mallory CREATEROLE; CREATE ROLE steward;
         SELECT posthog_plugins.grant_role('steward', 'editor')",
    );
    let version = owner.value::<i32>("SELECT current_setting('server_version_num')::int / 10000");
    let mut mallory = cluster.connect_as("mallory", "fortress");
    let joined = mallory.batch_execute("GRANT steward TO mallory");
    // Up to PostgreSQL 15, CREATEROLE is a right to every role but a superuser's.
    assert_eq!(joined.is_ok(), version < 16);
}

#[test]
fn predefined_roles_that_read_and_write_everything_do_so_here() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.run("GRANT pg_read_all_data, pg_write_all_data TO mallory");
    let mut mallory = cluster.connect_as("mallory", "fortress");
    let secret = mallory.value::<String>("SELECT value ->> 0 FROM posthog_plugins.plugin_secret");
    assert_eq!(secret, "hunter2-s3cr3t");
    mallory.run("DELETE FROM posthog_plugins.plugin_secret");
    // Their functions are another matter.
    assert_eq!(mallory.refusal("SELECT posthog_plugins.disable('keeper')"), PRIVILEGE);
}

#[test]
fn a_wrapper_acts_with_the_rights_and_the_limit_of_its_owner() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.run(
        "CREATE ROLE steward; GRANT CREATE ON SCHEMA public TO steward;
         SELECT posthog_plugins.grant_role('steward', 'editor');
         SELECT posthog_plugins.limit_to_teams('steward', '{7}');
         SET ROLE steward;
         CREATE FUNCTION public.set_team(team integer) RETURNS integer SECURITY DEFINER
             SET search_path = pg_catalog, pg_temp LANGUAGE sql
             AS $$SELECT posthog_plugins.configure('keeper', '{}', team)$$;
         RESET ROLE",
    );
    let mut app = cluster.connect_as("app", "fortress");
    app.run("SELECT public.set_team(7)");
    for session in [&mut app, &mut owner] {
        assert_eq!(session.refusal("SELECT public.set_team(8)"), PRIVILEGE);
    }
    // One of mallory's has mallory's rights, whoever calls it.
    let mut mallory = cluster.connect_as("mallory", "fortress");
    mallory.run(
        "CREATE FUNCTION public.trap() RETURNS void SECURITY DEFINER LANGUAGE plpgsql
             AS $$BEGIN PERFORM posthog_plugins.disable('keeper'); END$$",
    );
    assert_eq!(owner.refusal("SELECT public.trap()"), PRIVILEGE);
}

#[test]
fn nothing_is_written_into_what_took_the_place_of_the_extension() {
    let cluster = Cluster::start();
    let mut owner = fortress(&cluster);
    owner.add_body("talking", "console.log('hello'); return event");
    owner.run("ALTER DATABASE fortress OWNER TO mallory; ALTER SCHEMA public OWNER TO mallory");
    let mut victim = cluster.connect("fortress");
    victim.run("SET posthog_plugins.stats_interval = 0");
    victim.process(r#"{"event": "e"}"#);
    // With what it knows already, the second event locks nothing; its line waits for the commit.
    victim.run("BEGIN");
    victim.process(r#"{"event": "e"}"#);
    let mut mallory = cluster.connect_as("mallory", "fortress");
    mallory.run(
        "SET lock_timeout = '5s';
         DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE SCHEMA posthog_plugins;
         CREATE TABLE posthog_plugins.plugin_log (id bigint, logged_at timestamptz, config_id int,
             source text, level text, message text);
         CREATE TABLE posthog_plugins.plugin_stat (id bigint, config_id int);
         CREATE FUNCTION public.rise() RETURNS trigger LANGUAGE plpgsql
             AS $$BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; RETURN NULL; END$$;
         CREATE TRIGGER rise BEFORE INSERT OR DELETE ON posthog_plugins.plugin_log
             EXECUTE FUNCTION public.rise();
         CREATE TRIGGER rise BEFORE INSERT OR DELETE ON posthog_plugins.plugin_stat
             EXECUTE FUNCTION public.rise()",
    );
    victim.run("COMMIT");
    drop(victim);
    let rose = "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'";
    assert!(!cluster.connect("postgres").value::<bool>(rose));
    assert!(cluster.log().contains("the extension posthog_plugins is not in this database"));
}
