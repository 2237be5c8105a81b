//! Plugins that mean harm, with the limits as they are: the event passes, the operator is told, and
//! the same backend serves the next event.

use std::io::Write;
use std::time::{Duration, Instant};

use cluster::{Cluster, Session};
use postgres::Client;

/// Bodies of `processEvent`, and the kinds of failure that each may end in. The engine's own tests
/// have many more; these are one for each way out of JavaScript that has to be barred.
const HOSTILE: [(&str, &str, &[&str]); 20] = [
    ("loop", "while (true);", &["timed out"]),
    (
        "promises",
        "const again = () => Promise.resolve().then(again); return again()",
        &["out of memory", "timed out"],
    ),
    ("pending", "return new Promise(() => {})", &["never settles"]),
    ("regex", "/(a+)+b/.test('a'.repeat(5000)); return event", &["timed out"]),
    (
        "native",
        "Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1); return event",
        &["timed out"],
    ),
    ("sort", "new Array(4e9).sort(); return event", &["timed out", "out of memory"]),
    (
        "arrays",
        "const a = []; while (true) a.push(new Array(1000).fill(1))",
        &["out of memory", "timed out"],
    ),
    ("string", "event.s = 'x'.repeat(2 ** 29); return event", &["out of memory"]),
    ("bigint", "let n = 3n; while (true) n = n ** 3n", &["threw", "out of memory", "timed out"]),
    ("recursion", "const f = () => f() + 1; f()", &["stack overflow"]),
    (
        "proxies",
        "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x",
        &["stack overflow", "timed out"],
    ),
    (
        "json",
        "const o = { toJSON() { return JSON.stringify(o) } }; JSON.stringify(o)",
        &["stack overflow"],
    ),
    (
        "deep",
        "let o = event.properties; for (let i = 0; i < 1e5; i++) o = o.o = {}; return event",
        &["bad result"],
    ),
    ("cycle", "event.self = event; return event", &["threw", "bad result"]),
    (
        "wide",
        "let o = {}; for (let i = 0; i < 60; i++) o = { a: o, b: o }; event.o = o; return event",
        &["bad result", "timed out"],
    ),
    (
        "getter",
        "return Object.defineProperty(event, 'x', { enumerable: true, get() { while (true); } })",
        &["timed out"],
    ),
    ("script", "eval('[' + '1,'.repeat(2e7) + ']')", &["out of memory", "timed out", "threw"]),
    ("nesting", "eval('['.repeat(1e6))", &["threw", "stack overflow"]),
    ("logging", "while (true) console.log('x'.repeat(1000))", &["timed out"]),
    (
        "hoarding",
        "const a = []; try { while (true) a.push('x'.repeat(1000) + a.length) } catch {}
         while (true) console.log({ a })",
        &["out of memory", "timed out", "threw"],
    ),
];

const EVENT: &str = r#"{"event": "e", "properties": {"n": 1}}"#;
const SEEN: &str = r#"{"seen": true, "event": "e", "properties": {"n": 1}}"#;

/// A server with a short time limit. Tells at the end whether a backend died meanwhile.
struct Fortress {
    cluster: Cluster,
    started: String,
}

impl Fortress {
    fn start() -> Self {
        let cluster = Cluster::start_with(&[("posthog_plugins.execution_timeout", "'300ms'")]);
        let started = Self::since(&cluster);
        Fortress { cluster, started }
    }

    fn since(cluster: &Cluster) -> String {
        cluster.connect("postgres").value("SELECT pg_postmaster_start_time()::text")
    }

    fn stands(&self) {
        assert_eq!(Self::since(&self.cluster), self.started);
        assert!(!self.cluster.log().contains("terminated by signal"));
    }
}

/// Sends an event through the hostile plugin alone, and another through a good one. In one session,
/// so that what the first leaves behind would harm the second.
fn attack(client: &mut Client, name: &str, body: &str, kinds: &[&str]) {
    client.run("TRUNCATE posthog_plugins.plugin_error, posthog_plugins.plugin_log");
    client.add_body(name, body);
    let begin = Instant::now();
    let event = client.process(EVENT);
    let time = begin.elapsed();
    let failures = client.column::<String>("SELECT kind FROM posthog_plugins.failures");
    println!("{time:>10.1?} {failures:?} {name}");
    assert!(time < Duration::from_secs(5), "{name} took {time:?}");
    let [kind] = failures.as_slice() else { panic!("{name} has failed in {failures:?}") };
    assert!(kinds.contains(&kind.as_str()), "{name} has failed in {kind:?}");
    assert!(event.is_some_and(|event| event.contains(r#""n": 1"#)), "{name} took the event");
    client.run(&format!("SELECT posthog_plugins.uninstall('{name}')"));
    client.add_body("good", "event.seen = true; return event");
    assert_eq!(client.process(EVENT).as_deref(), Some(SEEN), "after {name}");
    client.run("SELECT posthog_plugins.uninstall('good')");
}

#[test]
fn the_same_backend_serves_the_event_after_each_attack() {
    let fortress = Fortress::start();
    let mut client = fortress.cluster.create_database("attacks");
    let pid = client.pid();
    for (name, body, kinds) in HOSTILE {
        attack(&mut client, name, body, kinds);
        assert_eq!(client.pid(), pid);
    }
    fortress.stands();
}

#[test]
fn an_attack_as_the_first_thing_of_a_session_does_no_more() {
    let fortress = Fortress::start();
    drop(fortress.cluster.create_database("attacks"));
    for (name, body, kinds) in HOSTILE {
        let mut client = fortress.cluster.connect("attacks");
        attack(&mut client, name, body, kinds);
    }
    fortress.stands();
}

/// A table whose rows pass the plugins on their way in, as docs/sql-api.md shows it.
const EVENTS: &str = "
    CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY, data jsonb NOT NULL);
    CREATE FUNCTION run_plugins() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.data := process_event(NEW.data);
        RETURN CASE WHEN NEW.data IS NOT NULL THEN NEW END;
    END $$;
    CREATE TRIGGER run_plugins BEFORE INSERT ON events
        FOR EACH ROW EXECUTE FUNCTION run_plugins()";

/// Fails in a different way on each of some events, discards every tenth, and lets the rest pass.
const MOODY: &str = "
    export function processEvent(event) {
        const { n } = event.properties
        event.properties.met = true
        if (n === 100) while (true);
        if (n === 200) { const f = () => f() + 1; f() }
        if (n === 300) event.properties.s = 'x'.repeat(2 ** 29)
        if (n === 400) throw new Error('moody')
        if (n === 500) return new Promise(() => {})
        return n % 10 === 1 ? null : event
    }";

fn moody_database(fortress: &Fortress) -> Client {
    let mut client = fortress.cluster.create_database("bulk");
    client.run(EVENTS);
    client.run("SET posthog_plugins.error_interval = 0");
    client.add_plugin("moody", MOODY);
    client
}

fn all_but_the_discarded_arrived(client: &mut Client) {
    let wrong = client.column::<i32>(
        "SELECT n FROM generate_series(1, 1000) AS n
          WHERE (SELECT count(*) FROM events
                  WHERE data #> '{properties,n}' = to_jsonb(n)) <> (n % 10 <> 1)::int",
    );
    assert_eq!(wrong, [0; 0], "missing, doubled or not discarded");
    // A limit takes the changes of the failed call with it, an error does not.
    let unmet = client.column::<i32>(
        "SELECT (data #>> '{properties,n}')::int FROM events
          WHERE data #> '{properties,met}' IS NULL ORDER BY 1",
    );
    assert!(unmet.iter().all(|n| [100, 200, 300, 500].contains(n)), "{unmet:?}");
    let kinds = client.column::<String>("SELECT kind FROM posthog_plugins.failures ORDER BY kind");
    assert_eq!(kinds, ["never settles", "out of memory", "stack overflow", "threw", "timed out"]);
}

#[test]
fn an_insert_of_many_events_survives_a_plugin_that_fails_on_some() {
    let fortress = Fortress::start();
    let mut client = moody_database(&fortress);
    client.run(
        "INSERT INTO events (data)
         SELECT jsonb_build_object('event', 'e', 'properties', jsonb_build_object('n', n))
           FROM generate_series(1, 1000) AS n",
    );
    all_but_the_discarded_arrived(&mut client);
    fortress.stands();
}

#[test]
fn a_copy_of_many_events_survives_a_plugin_that_fails_on_some() {
    let fortress = Fortress::start();
    let mut client = moody_database(&fortress);
    let mut copy = client.copy_in("COPY events (data) FROM STDIN").unwrap();
    for n in 1..=1000 {
        writeln!(copy, r#"{{"event": "e", "properties": {{"n": {n}}}}}"#).unwrap();
    }
    copy.finish().unwrap();
    all_but_the_discarded_arrived(&mut client);
    fortress.stands();
}

#[test]
fn a_plugin_that_is_raised_on_takes_the_whole_copy_back() {
    let fortress = Fortress::start();
    let mut client = moody_database(&fortress);
    client.run("SELECT posthog_plugins.configure('moody', '{}', on_error => 'raise')");
    let mut copy = client.copy_in("COPY events (data) FROM STDIN").unwrap();
    for n in 300..=500 {
        writeln!(copy, r#"{{"event": "e", "properties": {{"n": {n}}}}}"#).unwrap();
    }
    let error = copy.finish().expect_err("the copy succeeded");
    assert_eq!(error.code().map(|code| code.code()), Some("38000"));
    assert_eq!(client.value::<i64>("SELECT count(*) FROM events"), 0);
    client.run("SELECT posthog_plugins.disable('moody')");
    client.run(r#"INSERT INTO events (data) VALUES ('{"event": "e"}')"#);
    fortress.stands();
}

#[test]
fn a_plugin_that_keeps_timing_out_is_suspended() {
    let fortress = Fortress::start();
    let mut client = fortress.cluster.create_database("suspended");
    client.run("SET posthog_plugins.error_interval = 0");
    client.add_body("endless", "while (true);");
    client.add_body("good", "event.seen = true; return event");
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(client.process(EVENT).as_deref(), Some(SEEN));
    }
    // Three times 300 ms, and not twenty times.
    let time = begin.elapsed();
    assert!(time < Duration::from_secs(4), "{time:?}");
    let kinds =
        client.column::<String>("SELECT DISTINCT kind FROM posthog_plugins.failures ORDER BY 1");
    assert_eq!(kinds, ["suspended", "timed out"]);
}
