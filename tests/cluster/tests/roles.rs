//! Levels and limits: what grant_role gives, what it takes away, and which teams a role sees.

use cluster::{Cluster, Environment, Session};
use postgres::Client;
use postgres::error::SqlState;

/// What nobody is granted: only its owner may use it.
const FOR_THE_OWNER: [&str; 6] = [
    "_chain_changed",
    "_limit_of_caller",
    "_visible_config",
    "grant_role",
    "limit_to_teams",
    "revoke_role",
];

/// Functions, views and tables of the schema that a role may use, each once.
const USABLE: &str = "
    SELECT DISTINCT proname::text FROM pg_proc
     WHERE pronamespace = 'posthog_plugins'::regnamespace
       AND has_function_privilege('ROLE', oid, 'EXECUTE')
     UNION ALL
    SELECT relname::text FROM pg_class
     WHERE relnamespace = 'posthog_plugins'::regnamespace
       AND CASE relkind
               WHEN 'S' THEN has_sequence_privilege('ROLE', oid, 'USAGE, SELECT, UPDATE')
               WHEN 'i' THEN false
               ELSE has_any_column_privilege('ROLE', oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                 OR has_table_privilege('ROLE', oid, 'DELETE, TRUNCATE, TRIGGER')
           END
     ORDER BY 1";

fn usable(client: &mut Client, role: &str) -> Vec<String> {
    client.column(&USABLE.replace("ROLE", role))
}

fn grant(client: &mut Client, role: &str, level: &str) {
    client.run(&format!("SELECT posthog_plugins.grant_role('{role}', '{level}')"));
}

/// A database with one role for each level, named after it, and one that has none.
fn database(cluster: &Cluster, name: &str) -> Client {
    let mut owner = cluster.create_database(name);
    for level in ["viewer", "editor", "admin"] {
        owner.run(&format!("CREATE ROLE {level} LOGIN"));
        grant(&mut owner, level, level);
    }
    owner.run("CREATE ROLE app LOGIN");
    owner
}

#[test]
fn each_level_may_use_what_it_should_and_no_more() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "levels");
    let viewer = ["_library", "chain", "configs", "failures", "library", "logs", "plugins"]
        .map(str::to_owned);
    assert_eq!(usable(&mut owner, "viewer"), viewer);
    let editor = ["configure", "disable", "enable", "move", "set_attachment"].map(str::to_owned);
    let mut expected = [viewer.as_slice(), editor.as_slice()].concat();
    expected.sort();
    assert_eq!(usable(&mut owner, "editor"), expected);
    let admin = [
        "install",
        "install_archive",
        "install_bundled",
        "install_directory",
        "rollback",
        "uninstall",
    ];
    expected.extend(admin.map(str::to_owned));
    expected.sort();
    assert_eq!(usable(&mut owner, "admin"), expected);
    assert_eq!(usable(&mut owner, "app"), [""; 0]);
}

#[test]
fn every_function_and_view_has_a_level_or_is_the_owners() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "every");
    let granted = usable(&mut owner, "admin");
    let everything = owner.column::<String>(
        "SELECT DISTINCT proname::text FROM pg_proc
          WHERE pronamespace = 'posthog_plugins'::regnamespace
          UNION ALL
         SELECT relname::text FROM pg_class
          WHERE relnamespace = 'posthog_plugins'::regnamespace AND relkind IN ('v', 'm')
          ORDER BY 1",
    );
    let is_owners = |name: &String| FOR_THE_OWNER.contains(&name.as_str());
    for name in &everything {
        assert_ne!(
            granted.contains(name),
            is_owners(name),
            "{name} belongs either to RIGHTS in src/catalog/levels.rs or to FOR_THE_OWNER here"
        );
    }
    assert!(granted.iter().all(|name| everything.contains(name)), "{granted:?}");
    // A viewer sees all of each view but the events that failed.
    let hidden = owner.column::<String>(
        "SELECT format('%s.%s', relname, attname)
           FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
          WHERE relnamespace = 'posthog_plugins'::regnamespace AND relkind = 'v'
            AND has_any_column_privilege('viewer', pg_class.oid, 'SELECT')
            AND NOT has_column_privilege('viewer', pg_class.oid, attnum, 'SELECT')",
    );
    assert_eq!(hidden, ["failures.event"]);
}

#[test]
fn nobody_is_granted_a_table() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "tables");
    let tables = owner.column::<String>(
        "SELECT relname::text FROM pg_class
          WHERE relnamespace = 'posthog_plugins'::regnamespace AND relkind IN ('r', 'p', 'S')",
    );
    assert!(tables.len() > 8, "{tables:?}");
    let admin = usable(&mut owner, "admin");
    assert!(tables.iter().all(|table| !admin.contains(table)), "{admin:?}");
}

#[test]
fn a_viewer_looks_and_changes_nothing() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "viewing");
    owner.add_body("talker", "console.log('hello'); throw new Error('no')");
    owner.process(r#"{"event": "private"}"#);
    let mut viewer = cluster.connect_as("viewer", "viewing");
    let looks = viewer.column::<String>(
        "SELECT plugin FROM posthog_plugins.chain UNION ALL
         SELECT message FROM posthog_plugins.logs UNION ALL
         SELECT message FROM posthog_plugins.failures UNION ALL
         SELECT name FROM posthog_plugins.plugins UNION ALL
         SELECT plugin FROM posthog_plugins.configs",
    );
    assert_eq!(looks, ["talker", "hello", "Error: no", "Error: no", "talker", "talker"]);
    assert!(viewer.value::<i64>("SELECT count(*) FROM posthog_plugins.library") > 0);
    for attempt in [
        "SELECT event FROM posthog_plugins.failures",
        "SELECT f FROM posthog_plugins.failures AS f",
        "SELECT to_jsonb(f) FROM posthog_plugins.failures AS f",
        "TABLE posthog_plugins.failures",
        "SELECT 1 FROM posthog_plugins.failures WHERE event IS NULL",
        "SELECT posthog_plugins.disable('talker')",
        "SELECT posthog_plugins.configure('talker', '{}')",
        "SELECT posthog_plugins.install('const a = 1', '{}', 'a')",
        "SELECT posthog_plugins.uninstall('talker')",
        "DO $$BEGIN LOCK posthog_plugins.chain IN EXCLUSIVE MODE; END$$",
    ] {
        assert_eq!(viewer.refusal(attempt), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
    }
}

#[test]
fn an_editor_configures_and_installs_nothing() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "editing");
    owner.add_body("one", "event.one = meta.config.n; return event");
    owner.add_body("failing", "throw new Error('no')");
    let mut editor = cluster.connect_as("editor", "editing");
    editor.run(
        r#"SELECT posthog_plugins.configure('one', '{"n": 3}');
           SELECT posthog_plugins.disable('one');
           SELECT posthog_plugins.enable('one');
           SELECT posthog_plugins.move('one', 1)"#,
    );
    assert_eq!(editor.process("{}").as_deref(), Some(r#"{"one": 3}"#));
    let event = editor.value::<String>("SELECT event::text FROM posthog_plugins.failures");
    assert_eq!(event, r#"{"one": 3}"#);
    for attempt in [
        "install('const a = 1', '{}', 'a')",
        "install_bundled('hello-world')",
        "install_archive('\\x00')",
        "install_directory('/tmp')",
        "rollback('one')",
        "uninstall('one')",
        "grant_role('editor', 'admin')",
    ] {
        let code = editor.refusal(&format!("SELECT posthog_plugins.{attempt}"));
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
    }
}

#[test]
fn an_admin_installs_and_grants_nothing() {
    let cluster = Cluster::start();
    drop(database(&cluster, "installing"));
    let mut admin = cluster.connect_as("admin", "installing");
    admin.add_body("one", "return event");
    admin.add_body("one", "event.two = true; return event");
    let by = admin.value::<String>("SELECT installed_by FROM posthog_plugins.plugins");
    assert_eq!(by, "admin");
    admin.run(
        "SELECT posthog_plugins.install_bundled('hello-world');
         SELECT posthog_plugins.rollback('one');
         SELECT posthog_plugins.uninstall('one')",
    );
    for attempt in [
        // Being admin is no right to read files of the server.
        "SELECT posthog_plugins.install_directory('/etc')",
        "SELECT posthog_plugins.grant_role('app', 'viewer')",
        "SELECT posthog_plugins.revoke_role('viewer')",
        "SELECT posthog_plugins.limit_to_teams('admin', NULL)",
        "GRANT USAGE ON SCHEMA posthog_plugins TO app WITH GRANT OPTION",
        "SELECT source FROM posthog_plugins.plugin_version",
        "SELECT value FROM posthog_plugins.plugin_secret",
        "SET posthog_plugins.memory_limit = '1GB'",
        "ALTER EXTENSION posthog_plugins UPDATE",
        "DROP EXTENSION posthog_plugins",
    ] {
        if attempt.starts_with("GRANT") {
            // PostgreSQL warns, and grants nothing.
            admin.run(attempt);
            assert!(
                !admin.value::<bool>(
                    "SELECT has_schema_privilege('app', 'posthog_plugins', 'USAGE')"
                )
            );
            continue;
        }
        assert_eq!(admin.refusal(attempt), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
    }
}

#[test]
fn a_lower_level_takes_away_what_is_above_and_revoke_takes_all() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "lower");
    let viewer = usable(&mut owner, "viewer");
    grant(&mut owner, "admin", "viewer");
    assert_eq!(usable(&mut owner, "admin"), viewer);
    let event =
        "SELECT has_column_privilege('admin', 'posthog_plugins.failures', 'event', 'SELECT')";
    assert!(!owner.value::<bool>(event));
    // What was granted by hand, and what was passed on, too.
    owner.run(
        "SELECT posthog_plugins.limit_to_teams('admin', '{1}');
         GRANT SELECT ON posthog_plugins.plugin_secret TO admin WITH GRANT OPTION;
         GRANT UPDATE (title) ON posthog_plugins.plugin TO admin;
         SET ROLE admin; GRANT SELECT ON posthog_plugins.plugin_secret TO app; RESET ROLE;
         SELECT posthog_plugins.revoke_role('admin')",
    );
    for role in ["admin", "app"] {
        assert_eq!(usable(&mut owner, role), [""; 0]);
    }
    let limits = owner.value::<i64>("SELECT count(*) FROM posthog_plugins.team_limit");
    assert_eq!(limits, 0);
    // Nothing holds on to it any more.
    owner.run("SELECT posthog_plugins.revoke_role('admin'); DROP ROLE admin");
    assert_eq!(owner.refusal("DROP ROLE viewer"), SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    owner.run("DROP OWNED BY viewer; DROP ROLE viewer");
}

#[test]
fn what_cannot_be_granted_is_refused() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "refusals");
    for (attempt, code) in [
        ("grant_role('app', 'owner')", SqlState::INVALID_PARAMETER_VALUE),
        ("grant_role('app', 'Viewer')", SqlState::INVALID_PARAMETER_VALUE),
        ("grant_role('app', NULL)", SqlState::INVALID_PARAMETER_VALUE),
        ("grant_role(NULL, 'viewer')", SqlState::NULL_VALUE_NOT_ALLOWED),
        ("revoke_role(to_regrole('nobody'))", SqlState::NULL_VALUE_NOT_ALLOWED),
        ("limit_to_teams(NULL, '{1}')", SqlState::NULL_VALUE_NOT_ALLOWED),
        ("limit_to_teams('app', '{1, NULL}')", SqlState::NULL_VALUE_NOT_ALLOWED),
        ("grant_role('public', 'viewer')", SqlState::UNDEFINED_OBJECT),
        ("grant_role('-', 'viewer')", SqlState::UNDEFINED_OBJECT),
        ("grant_role(4000000000::oid, 'viewer')", SqlState::UNDEFINED_OBJECT),
        ("limit_to_teams(4000000000::oid, '{1}')", SqlState::UNDEFINED_OBJECT),
        ("grant_role('postgres', 'viewer')", SqlState::INVALID_GRANT_OPERATION),
        ("revoke_role('postgres')", SqlState::INVALID_GRANT_OPERATION),
    ] {
        assert_eq!(owner.refusal(&format!("SELECT posthog_plugins.{attempt}")), code, "{attempt}");
    }
    let error = owner.refused("SELECT posthog_plugins.grant_role('app', 'owner')");
    assert_eq!(error.hint(), Some("The levels are viewer, editor and admin."));
    assert_eq!(usable(&mut owner, "app"), [""; 0]);
}

#[test]
fn a_role_may_have_any_name() {
    let cluster = Cluster::start();
    let mut owner = cluster.create_database("names");
    for name in
        ["Upper Case", "quo\"te", "apo''strophe", "current_user", "all", "; DROP TABLE x --"]
    {
        let quoted = format!("\"{}\"", name.replace('"', "\"\"").replace("''", "'"));
        owner.run(&format!("CREATE ROLE {quoted} LOGIN"));
        let literal = format!("'\"{}\"'", name.replace('"', "\"\""));
        owner.run(&format!("SELECT posthog_plugins.grant_role({literal}, 'viewer')"));
        owner.run(&format!("SET ROLE {quoted}; TABLE posthog_plugins.chain; RESET ROLE"));
        owner.run(&format!("SELECT posthog_plugins.revoke_role({literal}); DROP ROLE {quoted}"));
    }
}

#[test]
fn levels_are_inherited_by_members() {
    let cluster = Cluster::start();
    drop(database(&cluster, "members"));
    let mut owner = cluster.connect("members");
    owner.run(
        "CREATE ROLE bob LOGIN IN ROLE viewer; CREATE ROLE eve LOGIN NOINHERIT IN ROLE viewer",
    );
    cluster.connect_as("bob", "members").run("TABLE posthog_plugins.chain");
    let mut eve = cluster.connect_as("eve", "members");
    assert_eq!(eve.refusal("TABLE posthog_plugins.chain"), SqlState::INSUFFICIENT_PRIVILEGE);
    eve.run("SET ROLE viewer; TABLE posthog_plugins.chain");
}

#[test]
fn a_dump_brings_levels_and_limits() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "original");
    owner.run(
        "SELECT posthog_plugins.limit_to_teams('editor', '{7}');
         CREATE ROLE gone; SELECT posthog_plugins.limit_to_teams('gone', '{8}'); DROP ROLE gone",
    );
    let before = ["viewer", "editor", "admin", "app"].map(|role| usable(&mut owner, role));
    cluster.connect("postgres").run("CREATE DATABASE restored");
    let environment = Environment::read();
    let connected = |program: &str| {
        let mut command = std::process::Command::new(environment.bin.join(program));
        command.arg("--host").arg(cluster.socket_directory()).arg("--username=postgres");
        command
    };
    let dump = connected("pg_dump").arg("original").output().unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let printed = cluster.psql("restored", &String::from_utf8(dump.stdout).unwrap());
    assert!(!printed.contains("ERROR"), "{printed}");
    let mut restored = cluster.connect("restored");
    let after = ["viewer", "editor", "admin", "app"].map(|role| usable(&mut restored, role));
    assert_eq!(before, after);
    let event =
        "SELECT has_column_privilege('viewer', 'posthog_plugins.failures', 'event', 'SELECT')";
    assert!(!restored.value::<bool>(event));
    let limits = restored
        .column::<String>("SELECT format('%s %s', role, teams) FROM posthog_plugins.team_limit");
    assert_eq!(limits, ["editor {7}"]);
}

/// Configs of teams 7 and 8 and of all; each logs and fails once for its team.
fn teams(cluster: &Cluster, name: &str) -> Client {
    let mut owner = database(cluster, name);
    owner.run(
        "SET posthog_plugins.error_interval = 0;
         SELECT posthog_plugins.install($$
             export function processEvent(event, meta) {
                 console.log(`${meta.config.who} says ${event.event}`)
                 throw new Error(`${meta.config.who} fails on ${event.event}`)
             }$$, '{}', 'teams')",
    );
    for (team, who) in [("7", "seven"), ("8", "eight"), ("NULL", "all")] {
        owner.run(&format!(
            "SELECT posthog_plugins.configure('teams', '{{\"who\": \"{who}\"}}', {team});
             SELECT posthog_plugins.enable('teams', {team})"
        ));
    }
    owner.process(r#"{"event": "a", "team_id": 7}"#);
    owner.process(r#"{"event": "b", "team_id": 8}"#);
    owner
}

/// What a session sees of each view.
fn seen(client: &mut Client) -> Vec<String> {
    client.column(
        "SELECT 'config ' || (config ->> 'who') FROM posthog_plugins.configs UNION ALL
         SELECT 'link ' || (config ->> 'who') || coalesce(': ' || last_error, '')
           FROM posthog_plugins.chain UNION ALL
         SELECT 'log ' || message FROM posthog_plugins.logs WHERE source = 'CONSOLE' UNION ALL
         SELECT 'failure ' || message FROM posthog_plugins.failures
          ORDER BY 1",
    )
}

const OF_SEVEN: [&str; 6] = [
    "config all",
    "config seven",
    "failure Error: seven fails on a",
    "link all",
    "link seven: Error: seven fails on a",
    "log seven says a",
];

#[test]
fn a_limited_role_sees_its_teams_and_what_runs_for_all() {
    let cluster = Cluster::start();
    let mut owner = teams(&cluster, "seeing");
    let everything = seen(&mut owner);
    assert_eq!(everything.len(), 14, "{everything:?}");
    for level in ["viewer", "editor"] {
        let mut session = cluster.connect_as(level, "seeing");
        assert_eq!(seen(&mut session), everything);
        owner.run(&format!("SELECT posthog_plugins.limit_to_teams('{level}', '{{7, 9}}')"));
        assert_eq!(seen(&mut session), OF_SEVEN);
        owner.run(&format!("SELECT posthog_plugins.limit_to_teams('{level}', '{{}}')"));
        assert_eq!(seen(&mut session), ["config all", "link all"]);
        owner.run(&format!("SELECT posthog_plugins.limit_to_teams('{level}', NULL)"));
        assert_eq!(seen(&mut session), everything);
    }
}

#[test]
fn a_limited_role_changes_only_what_is_its_teams() {
    let cluster = Cluster::start();
    let mut owner = teams(&cluster, "changing");
    owner.run("SELECT posthog_plugins.limit_to_teams('admin', '{7, 9}')");
    let mut limited = cluster.connect_as("admin", "changing");
    limited.run(
        "SELECT posthog_plugins.configure('teams', '{\"who\": \"nine\"}', 9);
         SELECT posthog_plugins.enable('teams', 9);
         SELECT posthog_plugins.move('teams', 1, 7);
         SELECT posthog_plugins.disable('teams', 7)",
    );
    let chain =
        "SELECT string_agg(config ->> 'who', ' ' ORDER BY position) FROM posthog_plugins.chain";
    assert_eq!(owner.value::<String>(chain), "eight all nine");
    for team in ["8", "NULL"] {
        for attempt in [
            format!("configure('teams', '{{}}', {team})"),
            format!("configure('teams', '{{}}', {team}, 'new')"),
            format!("set_attachment('teams', 'k', 'f', 't', '', {team})"),
            format!("enable('teams', {team})"),
            format!("disable('teams', {team})"),
            format!("move('teams', 1, {team})"),
        ] {
            let code = limited.refusal(&format!("SELECT posthog_plugins.{attempt}"));
            assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
        }
    }
    // What is installed runs for all teams.
    for attempt in [
        "install('const a = 1', '{}', 'teams')",
        "install_bundled('hello-world')",
        "rollback('teams')",
        "uninstall('teams')",
    ] {
        let code = limited.refusal(&format!("SELECT posthog_plugins.{attempt}"));
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
    }
    let error = limited.refused("SELECT posthog_plugins.disable('teams', 8)");
    assert_eq!(error.message(), "permission denied for team 8");
    assert_eq!(error.detail(), Some("Role \"admin\" is limited to teams {7, 9}."));
    assert_eq!(owner.value::<String>(chain), "eight all nine");
}

#[test]
fn limits_are_inherited_add_up_and_follow_the_role() {
    let cluster = Cluster::start();
    let mut owner = teams(&cluster, "inherited");
    let everything = seen(&mut owner);
    owner.run(
        "CREATE ROLE seven IN ROLE viewer; CREATE ROLE eight IN ROLE viewer;
         CREATE ROLE bob LOGIN IN ROLE seven;
         SELECT posthog_plugins.limit_to_teams('seven', '{7}');
         SELECT posthog_plugins.limit_to_teams('eight', '{8}')",
    );
    let mut bob = cluster.connect_as("bob", "inherited");
    assert_eq!(seen(&mut bob), OF_SEVEN);
    // A new name is no way out of it.
    owner.run("ALTER ROLE seven RENAME TO sieben");
    assert_eq!(seen(&mut bob), OF_SEVEN);
    owner.run("GRANT eight TO bob");
    let both = seen(&mut bob);
    assert!(both.contains(&"log eight says b".to_owned()), "{both:?}");
    assert!(!both.iter().any(|row| row.starts_with("log all")), "{both:?}");
    // A level without a limit is no way out either; being another role is.
    owner.run("REVOKE eight FROM bob; GRANT editor TO bob");
    assert_eq!(seen(&mut bob), OF_SEVEN);
    bob.run("SET ROLE editor");
    assert_eq!(seen(&mut bob), everything);
    // A superuser has all roles, and no limit.
    assert_eq!(seen(&mut owner), everything);
    owner.run("GRANT sieben TO postgres");
    assert_eq!(seen(&mut owner), everything);
    owner.run("SELECT posthog_plugins.disable('teams', 8)");
}

#[test]
fn a_readers_functions_see_no_row_of_another_team() {
    let cluster = Cluster::start();
    let mut owner = teams(&cluster, "leaks");
    owner.run(
        "SELECT posthog_plugins.limit_to_teams('editor', '{7}');
         GRANT CREATE ON DATABASE leaks TO editor",
    );
    let mut limited = cluster.connect_as("editor", "leaks");
    limited.run(
        "CREATE SCHEMA mine; CREATE TABLE mine.caught (what text);
         CREATE FUNCTION mine.look(anyelement) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS
             $$BEGIN INSERT INTO mine.caught VALUES ($1::text); RETURN true; END$$;
         CREATE OPERATOR mine.? (RIGHTARG = anyelement, FUNCTION = mine.look);
         SET enable_hashjoin = off; SET enable_mergejoin = off",
    );
    for (view, column) in [
        ("logs", "message"),
        ("failures", "message"),
        ("failures", "event"),
        ("chain", "config"),
        ("chain", "coalesce(last_error, '')"),
        ("configs", "config"),
    ] {
        limited.run(&format!(
            "SELECT * FROM posthog_plugins.{view} WHERE mine.look({column});
             SELECT * FROM posthog_plugins.{view} WHERE OPERATOR(mine.?) ({column});
             SELECT CASE WHEN mine.look({column}) THEN 1 / (team_id - 7) END
               FROM posthog_plugins.{view} WHERE team_id = 9"
        ));
    }
    let caught = limited.column::<String>("SELECT DISTINCT what FROM mine.caught ORDER BY 1");
    assert!(caught.iter().any(|what| what.contains("seven")), "{caught:?}");
    for what in &caught {
        assert!(!what.contains("eight") && !what.contains("fails on b"), "{what}");
    }
}

#[test]
fn a_limit_costs_an_event_nothing() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "free");
    owner.add_body("one", "event.seen = true; return event");
    owner.run("SELECT posthog_plugins.limit_to_teams('app', '{7}')");
    let mut app = cluster.connect_as("app", "free");
    app.process("{}");
    // Not one look at the limits, whoever inserts.
    owner.run("BEGIN; LOCK posthog_plugins.team_limit IN ACCESS EXCLUSIVE MODE");
    app.run("SET lock_timeout = '100ms'");
    let mut fresh = cluster.connect_as("app", "free");
    fresh.run("SET lock_timeout = '100ms'");
    for session in [&mut app, &mut fresh] {
        assert_eq!(session.process("{}").as_deref(), Some(r#"{"seen": true}"#));
    }
}
