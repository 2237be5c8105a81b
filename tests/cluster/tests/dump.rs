//! Dumps and restores, to another server: everything an administrator wrote is there, events are
//! processed as before, and rows that were stored are left alone.

use std::fs;
use std::process::{Command, Output};

use cluster::sample::{everything, furnish, works};
use cluster::{Cluster, Session, keeper, run, wait_until};
use postgres::Client;

/// A table whose rows went through the plugins, and what says so in a database.
const EVENTS: &str = r#"
    CREATE TABLE events (id integer GENERATED ALWAYS AS IDENTITY, data jsonb);
    CREATE FUNCTION run_plugins() RETURNS trigger LANGUAGE plpgsql
        AS $$BEGIN NEW.data := public.process_event(NEW.data); RETURN NEW; END$$;
    CREATE TRIGGER run_plugins BEFORE INSERT ON events
        FOR EACH ROW EXECUTE FUNCTION run_plugins();
    INSERT INTO events (data) VALUES ('{"event": "e"}'), ('{"event": "e", "team_id": 7}')"#;

/// Two servers with the same roles. The database `app` belongs to the role `owner`, on the first
/// one with plugins and events in it.
struct Move {
    from: Cluster,
    to: Cluster,
    original: Client,
}

impl Move {
    fn prepare() -> Self {
        let (from, to) = (Cluster::start(), Cluster::start());
        for cluster in [&from, &to] {
            cluster.connect("postgres").run(
                "CREATE ROLE owner LOGIN;
                 CREATE ROLE app LOGIN;
                 CREATE ROLE backup LOGIN IN ROLE pg_read_all_data",
            );
            cluster.connect("postgres").run("CREATE DATABASE app OWNER owner");
        }
        let mut original = from.connect("app");
        original.run("CREATE EXTENSION posthog_plugins");
        furnish(&mut original);
        original.run(
            "GRANT USAGE ON SCHEMA posthog_plugins TO app;
             GRANT SELECT ON posthog_plugins.chain TO app;
             GRANT EXECUTE ON FUNCTION posthog_plugins.disable TO app",
        );
        let mut owner = from.connect_as("owner", "app");
        owner.run(EVENTS);
        assert_eq!(tags(&mut owner), TAGS);
        Move { from, to, original }
    }

    /// Where a dump is put.
    fn file(&self, name: &str) -> String {
        self.from.socket_directory().join(format!("dump-{name}")).display().to_string()
    }

    fn dump(&self, role: &str, options: &[&str]) -> Command {
        let mut command = self.from.client("pg_dump", role);
        command.args(options).arg("app");
        command
    }

    fn restore(&self, role: &str, options: &[&str]) -> Command {
        let mut command = self.to.client("pg_restore", role);
        command.args(["--dbname", "app"]).args(options);
        command
    }

    /// What `pg_restore` is to other dumps, for plain ones.
    fn replay(&self, file: &str) -> Command {
        let mut command = self.to.client("psql", "postgres");
        command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname=app"]);
        command.args(["--file", file]);
        command
    }

    /// Everything is there and goes on.
    #[track_caller]
    fn check(&mut self) {
        self.check_all_but_rights();
        let mut app = self.to.connect_as("app", "app");
        let chain: Vec<String> = app.column("SELECT plugin FROM posthog_plugins.chain");
        assert_eq!(chain, ["tagging", "tagging", "last"]);
        app.run("SELECT posthog_plugins.disable('last')");
    }

    #[track_caller]
    fn check_all_but_rights(&mut self) {
        let mut restored = self.to.connect("app");
        let original = &mut self.original;
        assert_eq!(everything(&mut restored), everything(original));
        works(&mut restored);
        for event in [r#"{"event": "a"}"#, r#"{"event": "a", "team_id": 7}"#] {
            assert_eq!(restored.process(event), original.process(event));
        }
        // Old rows were left alone, new ones are not.
        assert_eq!(tags(&mut restored), TAGS);
        for client in [&mut restored, original] {
            client.run(r#"INSERT INTO events (data) VALUES ('{"event": "new"}')"#);
        }
        let events = "SELECT events::text FROM events ORDER BY id";
        assert_eq!(restored.column::<String>(events), original.column::<String>(events));
        assert_eq!(tags(&mut restored).len(), TAGS.len() + 1);
        // Ids go on where they were.
        let add = "SELECT posthog_plugins.configure('last', '{}', 9)";
        assert_eq!(restored.value::<i32>(add), original.value::<i32>(add));
        restored.run("SELECT posthog_plugins.rollback('tagging')");
    }
}

/// How many tags the plugins have put on each of the stored rows: twice as many had they run twice.
const TAGS: [i32; 2] = [1, 2];

fn tags(client: &mut Client) -> Vec<i32> {
    client.column("SELECT jsonb_array_length(data -> 'tags') FROM events ORDER BY id")
}

fn output(command: &mut Command) -> (bool, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.success(), String::from_utf8_lossy(&stderr).into_owned())
}

/// The statements that failed, by their beginnings.
fn failed(errors: &str) -> Vec<&str> {
    let commands = errors.lines().filter_map(|line| line.strip_prefix("Command was: "));
    commands.map(|command| command.split(" (").next().unwrap()).collect()
}

#[test]
fn a_custom_dump_brings_everything() {
    let mut it = Move::prepare();
    let file = it.file("dump");
    run(&mut it.dump("postgres", &["--format=custom", "--file", &file]));
    run(&mut it.restore("postgres", &["--exit-on-error", &file]));
    let lines: i64 = it.to.connect("app").value("SELECT count(*) FROM posthog_plugins.plugin_log");
    assert_eq!(lines, 0);
    it.check();
    let mut owner = it.to.connect_as("owner", "app");
    owner.run("ALTER TABLE events ADD COLUMN theirs boolean");
    // What was restored can be dumped, and restored in place of itself while a session uses it. It
    // is back at a version that discards.
    let mut restored = it.to.connect("app");
    let before = everything(&mut restored);
    assert_eq!(restored.process(r#"{"event": "e"}"#), None);
    let again = it.to.socket_directory().join("again").display().to_string();
    run(it.to.client("pg_dump", "postgres").args(["--format=custom", "--file", &again, "app"]));
    run(&mut it.restore("postgres", &["--exit-on-error", "--clean", &again]));
    assert_eq!(everything(&mut restored), before);
    assert_eq!(restored.process(r#"{"event": "e"}"#), None);
}

#[test]
fn attached_tables_are_attached_after_a_restore() {
    let mut it = Move::prepare();
    let insert =
        r#"INSERT INTO whole VALUES ('{"event": "e"}'); INSERT INTO parts VALUES ('e', 7)"#;
    // The event column has another name and another number than when it was attached.
    it.original.run(&format!(
        "CREATE TABLE whole (gone int, data jsonb); ALTER TABLE whole DROP COLUMN gone;
         SELECT posthog_plugins.attach('whole', 'data');
         ALTER TABLE whole RENAME data TO payload;
         CREATE TABLE parts (event text, team_id int, tags jsonb, last bool) PARTITION BY LIST (team_id);
         CREATE TABLE part_of_seven PARTITION OF parts FOR VALUES IN (7);
         SELECT posthog_plugins.attach('parts');
         {insert}"
    ));
    let stored = "SELECT whole::text FROM whole UNION ALL SELECT parts::text FROM parts ORDER BY 1";
    let before: Vec<String> = it.original.column(stored);
    assert!(
        before.iter().all(|row| row.contains("preset4") || row.contains("first")),
        "{before:?}"
    );
    let file = it.file("dump");
    run(&mut it.dump("postgres", &["--format=custom", "--file", &file]));
    run(&mut it.restore("postgres", &["--exit-on-error", &file]));
    let mut restored = it.to.connect("app");
    assert_eq!(restored.column::<String>(stored), before);
    for client in [&mut restored, &mut it.original] {
        client.run(insert);
    }
    assert_eq!(restored.column::<String>(stored), it.original.column::<String>(stored));
    assert_eq!(restored.column::<String>(stored).len(), 2 * before.len());
}

#[test]
fn what_plugins_keep_and_leave_goes_on_after_a_restore() {
    let it = Move::prepare();
    let mut original = it.from.create_database("keeping");
    keeper::install(&mut original);
    original.add_body("capturing", "posthog.capture('seen'); return event");
    let counting = |client: &mut Client| {
        keeper::operate(client, "cursor", "increment", r#"["count"]"#).unwrap()
    };
    for expected in ["1", "2", "3"] {
        assert_eq!(counting(&mut original), expected);
    }
    keeper::operate(&mut original, "cache", "set", r#"["key", 1]"#);
    let file = it.file("keeping");
    run(it.from.client("pg_dump", "postgres").args([
        "--format=custom",
        "--file",
        &file,
        "keeping",
    ]));
    it.to.connect("postgres").run("CREATE DATABASE keeping");
    let mut restore = it.to.client("pg_restore", "postgres");
    run(restore.args(["--exit-on-error", "--dbname=keeping", &file]));
    let mut restored = it.to.connect("keeping");
    let captured = "SELECT count(*) FROM posthog_plugins.captured_event";
    assert_eq!(restored.value::<i64>(captured), 4);
    // A cache is made anew.
    let cached = keeper::operate(&mut restored, "cache", "get", r#"["key", 0]"#);
    assert_eq!(cached.as_deref(), Some("0"));
    // New rows come after the old ones.
    for expected in ["4", "5"] {
        assert_eq!(counting(&mut restored), expected);
    }
    assert_eq!(restored.value::<i64>(captured), 7);
    restored.run("SELECT posthog_plugins.prune()");
    assert_eq!(counting(&mut restored), "6");
}

#[test]
fn a_plain_dump_brings_everything() {
    let mut it = Move::prepare();
    let file = it.file("dump.sql");
    run(&mut it.dump("postgres", &["--file", &file]));
    run(&mut it.replay(&file));
    it.check();
}

#[test]
fn a_parallel_restore_brings_everything() {
    let mut it = Move::prepare();
    let directory = it.file("dump.d");
    run(&mut it.dump("postgres", &["--format=directory", "--jobs=3", "--file", &directory]));
    run(&mut it.restore("postgres", &["--exit-on-error", "--jobs=3", &directory]));
    it.check();
}

#[test]
fn a_data_only_dump_fills_the_tables_of_a_schema_only_one() {
    for plain in [true, false] {
        let mut it = Move::prepare();
        let (schema, data) = (it.file("schema"), it.file("data"));
        let format = if plain { "--format=plain" } else { "--format=custom" };
        let disable = if plain { &["--disable-triggers"][..] } else { &[] };
        run(&mut it.dump("postgres", &["--schema-only", format, "--file", &schema]));
        run(it.dump("postgres", &["--data-only", format, "--file", &data]).args(disable));
        let restore = |file: &str, options: &[&str]| {
            let mut command = if plain { it.replay(file) } else { it.restore("postgres", options) };
            if !plain {
                command.args(["--exit-on-error", file]);
            }
            run(&mut command);
        };
        restore(&schema, &[]);
        // A session that has met events before the plugins came sees them at once.
        let mut early = it.to.connect_as("app", "app");
        assert_eq!(early.process(r#"{"event": "e"}"#).as_deref(), Some(r#"{"event": "e"}"#));
        restore(&data, &["--disable-triggers"]);
        works(&mut early);
        it.check();
    }
}

#[test]
fn a_data_only_restore_with_triggers_processes_old_rows_again_unless_plugins_are_off() {
    for (options, processed_again) in [("", true), ("-c posthog_plugins.enabled=off", false)] {
        let mut it = Move::prepare();
        let (schema, data) = (it.file("schema"), it.file("data"));
        run(&mut it.dump("postgres", &["--schema-only", "--format=custom", "--file", &schema]));
        run(&mut it.dump("postgres", &["--data-only", "--format=custom", "--file", &data]));
        run(&mut it.restore("postgres", &["--exit-on-error", &schema]));
        run(it.restore("postgres", &["--exit-on-error", &data]).env("PGOPTIONS", options));
        if processed_again {
            assert_ne!(tags(&mut it.to.connect("app")), TAGS);
        } else {
            it.check();
        }
    }
}

#[test]
fn a_schema_only_dump_brings_the_extension_without_secrets() {
    let it = Move::prepare();
    let file = it.file("schema");
    run(&mut it.dump("postgres", &["--schema-only", "--format=custom", "--file", &file]));
    run(&mut it.restore("postgres", &["--exit-on-error", &file]));
    let mut restored = it.to.connect("app");
    assert_eq!(everything(&mut restored), [""; 0]);
    assert_eq!(restored.process(r#"{"event": "e"}"#).as_deref(), Some(r#"{"event": "e"}"#));
}

#[test]
fn a_dump_of_some_schemas_has_the_extension_if_it_is_named() {
    let mut it = Move::prepare();
    let (without, with) = (it.file("without"), it.file("with"));
    let public = ["--format=custom", "--schema=public"];
    run(it.dump("postgres", &public).args(["--file", &without]));
    run(it.dump("postgres", &public).args(["--extension=posthog_plugins", "--file", &with]));
    let list = |file: &str| run(it.restore("postgres", &[]).args(["--list", file]));
    assert!(!list(&without).contains("posthog_plugins"));
    run(&mut it.restore("postgres", &["--exit-on-error", "--clean", "--if-exists", &with]));
    // A grant on what is in another schema is not in it.
    it.check_all_but_rights();
}

#[test]
fn a_role_that_may_read_everything_can_dump_everything() {
    let mut it = Move::prepare();
    let file = it.file("dump");
    run(&mut it.dump("backup", &["--format=custom", "--file", &file]));
    run(&mut it.restore("postgres", &["--exit-on-error", &file]));
    it.check();
}

/// What plugins are is not the database owner's to read, nor to write: it comes and goes with a
/// superuser.
#[test]
fn a_database_owner_can_dump_and_restore_all_but_the_plugins() {
    let mut it = Move::prepare();
    let (whole, own, plugins) = (it.file("whole"), it.file("own"), it.file("plugins"));
    let (done, errors) = output(&mut it.dump("owner", &["--file", &whole]));
    assert!(!done && errors.contains("permission denied for schema posthog_plugins"), "{errors}");
    let custom = ["--format=custom"];
    run(it.dump("owner", &custom).args(["--exclude-schema=posthog_plugins", "--file", &own]));
    run(it
        .dump("postgres", &custom)
        .args(["--schema=posthog_plugins", "--file", &plugins])
        .args(["--extension=posthog_plugins", "--data-only"]));
    // The superuser's part, and the owner's.
    it.to.connect("app").run("CREATE EXTENSION posthog_plugins");
    run(&mut it.restore("postgres", &["--exit-on-error", &plugins]));
    let list = run(it.restore("owner", &[]).args(["--list", &own]));
    let own_entries: Vec<&str> =
        list.lines().filter(|entry| !entry.contains("posthog_plugins")).collect();
    let entries = it.file("entries");
    fs::write(&entries, own_entries.join("\n")).unwrap();
    run(&mut it.restore("owner", &["--exit-on-error", "--use-list", &entries, &own]));
    it.check_all_but_rights();
}

#[test]
fn a_database_owner_who_restores_a_whole_dump_lacks_only_the_plugins() {
    let mut it = Move::prepare();
    let file = it.file("dump");
    run(&mut it.dump("postgres", &["--format=custom", "--file", &file]));
    // Without the extension there would be no process_event for the trigger to call.
    it.to.connect("app").run("CREATE EXTENSION posthog_plugins");
    let (_, errors) = output(&mut it.restore("owner", &[&file]));
    let failed = failed(&errors);
    let expected = |failed: &&str| failed.contains("posthog_plugins");
    assert!(!failed.is_empty() && failed.iter().all(expected), "{failed:#?}");
    let mut owner = it.to.connect_as("owner", "app");
    assert_eq!(tags(&mut owner), TAGS);
    assert_eq!(owner.process(r#"{"event": "e"}"#).as_deref(), Some(r#"{"event": "e"}"#));
    // The rest of the same dump, from the superuser.
    let plugins = ["--exit-on-error", "--data-only", "--schema=posthog_plugins", &file];
    run(&mut it.restore("postgres", &plugins));
    it.check_all_but_rights();
}

#[test]
fn a_copied_database_has_everything() {
    let it = Move::prepare();
    let mut admin = it.from.connect("postgres");
    drop(it.original);
    wait_until("the database can be copied", || {
        admin.batch_execute("CREATE DATABASE copy TEMPLATE app").is_ok()
    });
    let mut copy = it.from.connect("copy");
    assert_eq!(everything(&mut copy), everything(&mut it.from.connect("app")));
    assert_eq!(tags(&mut copy), TAGS);
    works(&mut copy);
}

/// A parallel restore loads them in any order, and checks foreign keys at once.
#[test]
fn no_table_in_a_dump_has_a_foreign_key() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("app");
    let keys: Vec<String> = client.column(
        "SELECT conrelid::regclass || ' ' || conname
           FROM pg_extension, unnest(extconfig) AS id, pg_constraint
          WHERE extname = 'posthog_plugins' AND conrelid = id AND contype = 'f'",
    );
    assert_eq!(keys, [""; 0]);
}
