//! Roles that are limited to teams: what they see, what they may change, and that there is no way
//! around it.

use cluster::{Cluster, Session};
use postgres::Client;
use postgres::error::SqlState;

/// A database with one role for each level, named after it.
fn database(cluster: &Cluster, name: &str) -> Client {
    let mut owner = cluster.create_database(name);
    for level in ["viewer", "editor", "admin"] {
        owner.run(&format!(
            "CREATE ROLE {level} LOGIN; SELECT posthog_plugins.grant_role('{level}', '{level}')"
        ));
    }
    owner
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
fn a_view_of_somebody_limited_shows_no_more_to_others() {
    let cluster = Cluster::start();
    let mut owner = teams(&cluster, "passing_on");
    owner.run(
        "CREATE ROLE app LOGIN; GRANT CREATE ON DATABASE passing_on TO editor;
         SELECT posthog_plugins.limit_to_teams('editor', '{7}')",
    );
    // The view reads with the rights of its owner, but it is somebody else who asks.
    cluster.connect_as("editor", "passing_on").run(
        "CREATE SCHEMA mine; GRANT USAGE ON SCHEMA mine TO PUBLIC;
         CREATE VIEW mine.all AS
             SELECT team_id, message AS what FROM posthog_plugins.logs UNION ALL
             SELECT team_id, config::text FROM posthog_plugins.configs UNION ALL
             SELECT team_id, last_error FROM posthog_plugins.chain UNION ALL
             SELECT team_id, event::text FROM posthog_plugins.failures;
         GRANT SELECT ON mine.all TO PUBLIC",
    );
    let count = "SELECT count(*) FROM mine.all";
    assert_eq!(cluster.connect_as("app", "passing_on").value::<i64>(count), 0);
    assert!(cluster.connect_as("editor", "passing_on").value::<i64>(count) > 0);
    // Nor does a plan that was made for somebody else.
    owner.run("SET plan_cache_mode = force_generic_plan; PREPARE logs AS SELECT message FROM posthog_plugins.logs WHERE source = 'CONSOLE'");
    assert!(owner.column::<String>("EXECUTE logs").len() > 1);
    owner.run("SET ROLE editor");
    assert_eq!(owner.column::<String>("EXECUTE logs"), ["seven says a"]);
}

#[test]
fn a_limit_costs_an_event_nothing() {
    let cluster = Cluster::start();
    let mut owner = database(&cluster, "free");
    owner.add_body("one", "event.seen = true; return event");
    owner.run("CREATE ROLE app LOGIN; SELECT posthog_plugins.limit_to_teams('app', '{7}')");
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

#[test]
fn a_limited_role_sees_no_counts_of_other_teams() {
    let cluster = Cluster::start();
    let mut owner = teams(&cluster, "counts");
    owner.run("SELECT posthog_plugins.limit_to_teams('viewer', '{7}')");
    let mut viewer = cluster.connect_as("viewer", "counts");
    for team in [7, 8] {
        viewer.process(&format!(r#"{{"event": "c", "team_id": {team}}}"#));
    }
    assert_eq!(
        viewer.column::<Option<i32>>("SELECT team_id FROM posthog_plugins.stats"),
        [Some(7)]
    );
    viewer.run("BEGIN");
    viewer.process(r#"{"event": "d", "team_id": 8}"#);
    assert_eq!(viewer.value::<i64>("SELECT count(*) FROM posthog_plugins._counted()"), 0);
    for all_teams in ["SELECT posthog_plugins.health()", "SELECT posthog_plugins.health() LIMIT 1"]
    {
        let mut viewer = cluster.connect_as("viewer", "counts");
        assert_eq!(viewer.refusal(all_teams), SqlState::INSUFFICIENT_PRIVILEGE);
    }
}
