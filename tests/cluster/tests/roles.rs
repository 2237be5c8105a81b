//! Levels: what grant_role gives, and what takes it away. Limits to teams are in teams.rs.

use cluster::{Cluster, Environment, Session, wait_until};
use postgres::Client;
use postgres::error::SqlState;

/// What nobody is granted: only its owner may use it.
const FOR_THE_OWNER: [&str; 17] = [
    "_capture_findings",
    "_chain_changed",
    "_chain_findings",
    "_findings",
    "_incomplete",
    "_limit_of_caller",
    "_queue_findings",
    "_server_findings",
    "_setting_findings",
    "_storage_findings",
    "_table_findings",
    "_task_findings",
    "_unbundled",
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
    let viewer = [
        "_counted",
        "_latency",
        "_library",
        "_waiting",
        "_workers",
        "backfills",
        "captured",
        "chain",
        "configs",
        "consumers",
        "dead_letters",
        "failures",
        "health",
        "jobs",
        "library",
        "logs",
        "metrics",
        "monitoring",
        "plugins",
        "queue",
        "retries",
        "runs",
        "schedules",
        "stats",
        "workers",
    ]
    .map(str::to_owned);
    assert_eq!(usable(&mut owner, "viewer"), viewer);
    let editor = [
        "backfill",
        "backtest",
        "cancel_backfill",
        "cancel_job",
        "configure",
        "disable",
        "discard",
        "discard_captured",
        "enable",
        "explain",
        "move",
        "pause_backfill",
        "prune",
        "reset_stats",
        "resume",
        "resume_backfill",
        "retry",
        "retry_captured",
        "run_cases",
        "run_job",
        "set_attachment",
        "set_filter",
        "start_from",
        "test",
        "test_source",
    ]
    .map(str::to_owned);
    let mut expected = [viewer.as_slice(), editor.as_slice()].concat();
    expected.sort();
    assert_eq!(usable(&mut owner, "editor"), expected);
    let admin = [
        "_kept",
        "allow_hosts",
        "attach",
        "cache",
        "capture_into",
        "detach",
        "enqueue",
        "enqueue_rows",
        "ingest",
        "process_row",
        "install",
        "install_archive",
        "install_bundled",
        "install_directory",
        "rollback",
        "start_worker",
        "stop_worker",
        "storage",
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
    // A viewer sees all of each view but the events that failed, and what jobs are given.
    let hidden = owner.column::<String>(
        "SELECT format('%s.%s', relname, attname)
           FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
          WHERE relnamespace = 'posthog_plugins'::regnamespace AND relkind = 'v'
            AND has_any_column_privilege('viewer', pg_class.oid, 'SELECT')
            AND NOT has_column_privilege('viewer', pg_class.oid, attnum, 'SELECT')
          ORDER BY 1",
    );
    let events = ["captured.event", "dead_letters.event", "failures.event", "jobs.payload"];
    assert_eq!(hidden, [events.as_slice(), &["retries.event", "runs.payload"]].concat());
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
fn an_admin_is_trusted_with_what_plugins_know() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "trusted");
    let manifest = r#"{"config": [{"key": "token", "type": "string", "secret": true}]}"#;
    let install = |client: &mut Client, result: &str| {
        client.run(&format!(
            "SELECT posthog_plugins.install('export function processEvent(event, meta) {{
                 return {result} }}', '{manifest}', 'keeper')"
        ));
    };
    install(&mut owner, "event");
    owner.run(
        r#"SELECT posthog_plugins.configure('keeper', '{"token": "s3cret"}');
           SELECT posthog_plugins.enable('keeper')"#,
    );
    let mut admin = cluster.connect_as("admin", "trusted");
    assert_eq!(admin.process("{}").as_deref(), Some("{}"));
    install(&mut admin, "meta.config");
    assert_eq!(admin.process("{}").as_deref(), Some(r#"{"token": "s3cret"}"#));
}

#[test]
fn two_grants_at_once_both_work() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "at_once");
    let mut other = cluster.connect("at_once");
    let pid = other.pid();
    owner.run("BEGIN");
    grant(&mut owner, "app", "viewer");
    std::thread::scope(|scope| {
        scope.spawn(|| grant(&mut other, "viewer", "editor"));
        let mut watch = cluster.connect("at_once");
        wait_until("the second one waits", || {
            let waiting =
                format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
            watch.value::<i64>(&waiting) > 0
        });
        owner.run("COMMIT");
    });
    assert_eq!(usable(&mut owner, "viewer"), usable(&mut owner, "editor"));
    assert!(usable(&mut owner, "app").contains(&"chain".to_owned()));
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
    // In the original, the next change of limits removes what is left of a dropped role.
    owner.run("SELECT posthog_plugins.limit_to_teams('viewer', NULL)");
    assert_eq!(owner.value::<i64>("SELECT count(*) FROM posthog_plugins.team_limit"), 1);
}
