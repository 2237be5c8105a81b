//! Jobs: what a plugin or an administrator leaves for later is run when its time has come, once its
//! transaction has committed, until it is known what became of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cluster::workers::{preloaded, worker_is_up};
use cluster::{Cluster, Environment, Session, Shutdown, run, wait_until};
use postgres::Client;
use postgres::error::SqlState;

/// A database with a worker, where retries come soon.
fn database(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.run("SELECT posthog_plugins.start_worker()");
    client
}

fn cluster() -> Cluster {
    Cluster::start_with(&[("posthog_plugins.retry_delay", "1s")])
}

fn said(client: &mut Client) -> Vec<String> {
    client.column("SELECT message FROM posthog_plugins.logs ORDER BY logged_at")
}

#[track_caller]
fn is_said(client: &mut Client, line: &str) {
    wait_until(line, || said(client).iter().any(|said| said == line));
}

/// Waits until no job is left.
#[track_caller]
fn all_have_run(client: &mut Client) {
    wait_until("all jobs have run", || {
        client.value::<i64>("SELECT count(*) FROM posthog_plugins.jobs") == 0
    });
}

#[test]
fn a_job_runs_when_its_transaction_has_committed_and_not_otherwise() {
    let cluster = cluster();
    let mut client = database(&cluster, "committed");
    client.add_plugin(
        "later",
        "export function processEvent(event, { jobs }) {
             jobs.tell({ name: event.event }).runNow()
             return event
         }
         export const jobs = { tell: ({ name }) => console.log(name) }",
    );
    client.run(
        "BEGIN;
         SELECT process_event('{\"event\": \"rolled back\"}');
         ROLLBACK;
         BEGIN;
         SELECT process_event('{\"event\": \"first\"}');
         SAVEPOINT one;
         SELECT process_event('{\"event\": \"undone\"}');
         ROLLBACK TO one;
         SELECT process_event('{\"event\": \"second\"}');
         COMMIT",
    );
    is_said(&mut client, "second");
    all_have_run(&mut client);
    let said: BTreeSet<String> = said(&mut client).into_iter().collect();
    assert_eq!(said, ["first", "second"].map(str::to_owned).into());
    let runs: Vec<String> = client.column(
        "SELECT concat_ws(' ', kind, name, outcome, attempts, payload IS NULL, duration >= '0')
           FROM posthog_plugins.runs",
    );
    assert_eq!(runs, ["job tell succeeded 1 t t"; 2]);
}

#[test]
fn a_job_waits_for_its_time() {
    let cluster = cluster();
    let mut client = database(&cluster, "times");
    client.add_plugin(
        "later",
        "export function processEvent(event, { jobs }) {
             jobs.tell('soon').runIn(2, 'seconds')
             jobs.tell('past').runAt(new Date('2020-01-01'))
             jobs.tell('late').runIn(1, 'year')
             return event
         }
         export const jobs = { tell: (word) => console.log(word) }",
    );
    let begin = Instant::now();
    client.run("SELECT posthog_plugins.run_job('later', 'tell', '{}', 'infinity')");
    client.process("{}");
    is_said(&mut client, "past");
    is_said(&mut client, "soon");
    assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
    let left: Vec<String> = client.column("SELECT payload #>> '{}' FROM posthog_plugins.jobs");
    assert_eq!(left, ["late", "{\"$operation\": \"start\"}"]);
    let late: f64 = client.value(
        "SELECT max(extract(epoch FROM r.started_at - l.logged_at))::float8
           FROM posthog_plugins.runs AS r, posthog_plugins.logs AS l WHERE l.message = 'soon'",
    );
    assert!(late < 1.0, "{late}");
}

#[test]
fn a_payload_that_is_falsy_is_left_out() {
    let cluster = cluster();
    let mut client = database(&cluster, "payloads");
    client.add_plugin(
        "later",
        "export function processEvent(event, { jobs }) {
             for (const payload of [0, '', null, false, undefined, [], {}, 'x'])
                 jobs.tell(payload).runNow()
             return event
         }
         export const jobs = {
             tell: (first, second) =>
                 console.log(second === undefined ? `meta ${'cache' in first}` : JSON.stringify(first))
         }",
    );
    client.process("{}");
    all_have_run(&mut client);
    let mut said = said(&mut client);
    said.sort();
    let meta = "meta true";
    assert_eq!(said, ["\"x\"", "[]", meta, meta, meta, meta, meta, "{}"]);
}

#[test]
fn what_asks_for_a_retry_gets_it_and_nothing_else_does() {
    let cluster = cluster();
    let mut client = database(&cluster, "retries");
    client.add_plugin(
        "fails",
        "export const jobs = {
             async later(_, { storage }) {
                 const tried = await storage.get('tried', 0) + 1
                 await storage.set('tried', tried)
                 if (tried < 3) throw new RetryError('not yet')
             },
             never() { throw new Error('no') },
         }",
    );
    client.run(
        "SELECT posthog_plugins.run_job('fails', 'later');
         SELECT posthog_plugins.run_job('fails', 'never', '{\"a\": 1}')",
    );
    wait_until("it waits for another attempt", || {
        let waiting: Vec<String> =
            client.column("SELECT concat_ws(' ', name, attempts, error) FROM posthog_plugins.jobs");
        waiting.iter().any(|waiting| waiting == "later 1 RetryError: not yet")
    });
    all_have_run(&mut client);
    let runs: Vec<String> = client.column(
        "SELECT concat_ws(' ', name, attempts, outcome, error, payload) FROM posthog_plugins.runs
          ORDER BY name, attempts",
    );
    assert_eq!(
        runs,
        [
            "later 1 retried RetryError: not yet",
            "later 2 retried RetryError: not yet",
            "later 3 succeeded",
            "never 1 failed Error: no {\"a\": 1, \"$operation\": \"start\"}",
        ]
    );
    // All of them are the plugin's failures, of which a sample is kept.
    let failures: Vec<String> = client.column("SELECT message FROM posthog_plugins.failures");
    assert!(!failures.is_empty());
}

#[test]
fn a_job_that_takes_too_long_is_tried_again_until_its_attempts_are_over() {
    let cluster = Cluster::start_with(&[
        ("posthog_plugins.retry_delay", "1s"),
        ("posthog_plugins.retry_attempts", "2"),
        ("posthog_plugins.delivery_timeout", "1s"),
    ]);
    let mut client = database(&cluster, "slow");
    client.add_plugin("slow", "export const jobs = { hang: () => new Promise(() => {}) }");
    client.run("SELECT posthog_plugins.run_job('slow', 'hang')");
    wait_until("it has failed", || client.value("SELECT count(*) = 2 FROM posthog_plugins.runs"));
    all_have_run(&mut client);
    let runs: Vec<String> =
        client.column("SELECT outcome || ' ' || error FROM posthog_plugins.runs ORDER BY attempts");
    let error = "TimeoutError: job \"hang\" did not end within 1 s";
    assert_eq!(runs, [format!("retried {error}"), format!("failed {error}")]);
}

#[test]
fn a_job_that_is_not_there_fails_and_is_named() {
    let cluster = cluster();
    let mut client = database(&cluster, "unknown");
    // It exports no jobs at all, and nothing else that a worker would be needed for.
    client.add_plugin(
        "later",
        "export function processEvent(event, { jobs }) { jobs.nowhere().runNow(); return event }",
    );
    client.process("{}");
    all_have_run(&mut client);
    let error: String =
        client.value("SELECT error FROM posthog_plugins.runs WHERE outcome = 'failed'");
    assert_eq!(error, "the plugin has no job \"nowhere\"");
}

#[test]
fn jobs_of_a_disabled_config_wait_and_those_of_an_uninstalled_plugin_go() {
    let cluster = cluster();
    let mut client = database(&cluster, "disabled");
    client.add_plugin("tell", "export const jobs = { tell: ({ word }) => console.log(word) }");
    client.run(
        "SELECT posthog_plugins.disable('tell');
         SELECT posthog_plugins.run_job('tell', 'tell', '{\"word\": \"waits\"}')",
    );
    client.add_plugin("other", "export const jobs = { tell: () => console.log('other') }");
    client.run("SELECT posthog_plugins.run_job('other', 'tell')");
    is_said(&mut client, "other");
    assert!(!said(&mut client).contains(&"waits".to_owned()));
    client.run("SELECT posthog_plugins.enable('tell')");
    is_said(&mut client, "waits");
    client.run(
        "SELECT posthog_plugins.run_job('tell', 'tell', '{}', now() + interval '1 hour');
         SELECT posthog_plugins.uninstall('tell')",
    );
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_job"), 0);
}

#[test]
fn jobs_survive_the_worker_and_the_server() {
    let cluster = preloaded(&[]);
    let mut client = cluster.create_database("survives");
    let worker = worker_is_up(&mut client);
    client.add_plugin(
        "slow",
        "export const jobs = {
             async slow() {
                 console.log('begins')
                 await new Promise((resolve) => setTimeout(resolve, 3000))
                 console.log('ends')
             },
             tell: ({ word }) => console.log(word),
         }",
    );
    client.run(
        "SELECT posthog_plugins.run_job('slow', 'slow');
         SELECT posthog_plugins.run_job('slow', 'tell', '{\"word\": \"later\"}',
                                        now() + interval '8 seconds')",
    );
    wait_until("it is under way", || {
        let activity = "SELECT activity FROM posthog_plugins.workers";
        client.column::<Option<String>>(activity) == [Some("waiting for 1 call".to_owned())]
    });
    kill(worker);
    wait_until("the server has noticed", || client.simple_query("SELECT 1").is_err());
    let mut client = reconnected(&cluster, "survives");
    is_said(&mut client, "ends");
    drop(client);
    cluster.restart(Shutdown::Immediate);
    let mut client = cluster.connect("survives");
    is_said(&mut client, "later");
    all_have_run(&mut client);
    let runs: Vec<String> =
        client.column("SELECT name || ' ' || outcome FROM posthog_plugins.runs ORDER BY name");
    assert_eq!(runs, ["slow succeeded", "tell succeeded"]);
}

fn kill(pid: i32) {
    let environment = Environment::read();
    // Not every machine has a kill.
    let mut kill = environment.as_server(environment.bin.join("pg_ctl"));
    run(kill.args(["kill", "KILL", &pid.to_string()]));
}

/// A session of a server that is getting over a crash.
fn reconnected(cluster: &Cluster, database: &str) -> Client {
    let mut found = None;
    wait_until("the server is back", || {
        found = cluster.try_connect_as("postgres", database).ok();
        found.as_mut().is_some_and(|client| client.simple_query("SELECT 1").is_ok())
    });
    found.unwrap()
}

#[test]
fn no_job_runs_twice_though_there_are_two_workers() {
    let cluster = preloaded(&[("posthog_plugins.workers", "2")]);
    let mut client = cluster.create_database("two");
    wait_until("both are up", || client.value("SELECT count(*) = 2 FROM posthog_plugins.workers"));
    for plugin in ["one", "other"] {
        client.add_plugin(
            plugin,
            "export function processEvent(event, { jobs }) {
                 for (let n = 0; n < 100; n++) jobs.tell({ n }).runNow()
                 return event
             }
             export const jobs = { tell: ({ n }, { cache }) => cache.incr(`${n}`) }",
        );
    }
    client.process("{}");
    all_have_run(&mut client);
    let counts: Vec<i64> =
        client.column("SELECT count(*) FROM posthog_plugins.runs GROUP BY plugin");
    assert_eq!(counts, [100, 100]);
    let times: Vec<String> =
        client.column("SELECT DISTINCT value::text FROM posthog_plugins.cache");
    assert_eq!(times, ["1"]);
}

#[test]
fn some_jobs_run_at_once_and_not_all() {
    let cluster = cluster();
    let mut client = database(&cluster, "many");
    client.add_plugin(
        "many",
        "export const jobs = {
             async wait(_, { global, storage }) {
                 global.now = (global.now ?? 0) + 1
                 global.most = Math.max(global.most ?? 0, global.now)
                 await new Promise((resolve) => setTimeout(resolve, 300))
                 global.now--
                 await storage.set('most', global.most)
             },
         }",
    );
    client.run("SELECT posthog_plugins.run_job('many', 'wait') FROM generate_series(1, 60)");
    all_have_run(&mut client);
    let most: String = client.value("SELECT value::text FROM posthog_plugins.storage");
    assert_eq!(most, "20");
}

#[test]
fn jobs_and_events_share_a_realm() {
    let cluster = cluster();
    let mut client = database(&cluster, "shared");
    client.run("CREATE TABLE events (event text); SELECT posthog_plugins.attach('events')");
    client.add_plugin(
        "shared",
        "export function onEvent(event, { global, jobs }) {
             global.seen = event.event
             jobs.tell({}).runNow()
         }
         export const jobs = { tell: (_, { global }) => console.log(`saw ${global.seen}`) }",
    );
    client.run("INSERT INTO events VALUES ('signup')");
    is_said(&mut client, "saw signup");
}

#[test]
fn whoever_starts_a_job_is_told_what_is_wrong() {
    let cluster = cluster();
    let mut client = database(&cluster, "started");
    client.run(
        "SELECT posthog_plugins.install($$
             export const jobs = { 'Export it': (payload) => console.log(JSON.stringify(payload)),
                                   plain: (payload) => console.log(JSON.stringify(payload)) }
         $$, '{\"name\": \"exporter\", \"publicJobs\": {\"Export it\": {\"payload\": {
                 \"from\": {\"type\": \"date\", \"required\": true},
                 \"size\": {\"type\": \"number\", \"default\": 100}}}, \"declared\": {}}}');
         SELECT posthog_plugins.enable('exporter')",
    );
    let error = client.refused("SELECT posthog_plugins.run_job('exporter', 'Exprt it')");
    assert_eq!(error.code(), &SqlState::UNDEFINED_OBJECT);
    assert_eq!(error.message(), "plugin \"exporter\" has no job \"Exprt it\"");
    let detail = "Its jobs are \"Export it\", \"declared\", \"plain\".";
    assert_eq!(error.detail(), Some(detail));
    let error = client.refused("SELECT posthog_plugins.run_job('exporter', 'Export it')");
    assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
    assert_eq!(error.message(), "job \"Export it\": required values are missing: \"from\"");
    let error = client.refused("SELECT posthog_plugins.run_job('exporter', 'plain', '[]')");
    assert_eq!(error.message(), "the payload of a job must be a JSON object");
    client.run(
        "SELECT posthog_plugins.run_job('exporter', 'Export it', '{\"from\": \"2026-01-31\"}')",
    );
    is_said(&mut client, "{\"from\":\"2026-01-31\",\"size\":100,\"$operation\":\"start\"}");
    client.run("SELECT posthog_plugins.run_job('exporter', 'plain', '{\"$operation\": \"stop\"}')");
    is_said(&mut client, "{\"$operation\":\"stop\"}");
    assert_eq!(
        client.refusal("SELECT posthog_plugins.run_job('nobody', 'x')"),
        SqlState::UNDEFINED_OBJECT
    );
}

#[test]
fn a_job_that_is_cancelled_does_not_run() {
    let cluster = cluster();
    let mut client = database(&cluster, "cancelled");
    client.add_plugin("tell", "export const jobs = { tell: ({ word }) => console.log(word) }");
    let id: i64 = client.value(
        "SELECT posthog_plugins.run_job('tell', 'tell', '{\"word\": \"no\"}', now() + interval '1 second')",
    );
    assert!(client.value::<bool>(&format!("SELECT posthog_plugins.cancel_job({id})")));
    assert!(!client.value::<bool>(&format!("SELECT posthog_plugins.cancel_job({id})")));
    client.run("SELECT posthog_plugins.run_job('tell', 'tell', '{\"word\": \"yes\"}', now() + interval '2 seconds')");
    is_said(&mut client, "yes");
    assert!(!said(&mut client).contains(&"no".to_owned()));
}

#[test]
fn jobs_are_for_editors_and_for_their_teams() {
    let cluster = cluster();
    let mut owner = database(&cluster, "roles");
    owner.run(
        "CREATE ROLE app LOGIN; CREATE ROLE viewer LOGIN; CREATE ROLE editor LOGIN;
         SELECT posthog_plugins.grant_role('viewer', 'viewer'), posthog_plugins.grant_role('editor', 'editor');
         SELECT posthog_plugins.install('export const jobs = { later() {} }', '{}', 'own');
         SELECT posthog_plugins.enable('own', 1), posthog_plugins.enable('own', 2);
         SELECT posthog_plugins.limit_to_teams('editor', '{1}');
         SELECT posthog_plugins.run_job('own', 'later', '{\"secret\": 1}', 'infinity', team_id => 2)",
    );
    let call = "SELECT posthog_plugins.run_job('own', 'later', '{}', 'infinity', team_id => 1)";
    for role in ["app", "viewer"] {
        let mut client = cluster.connect_as(role, "roles");
        for call in [call, "SELECT posthog_plugins.cancel_job(1)"] {
            assert_eq!(client.refusal(call), SqlState::INSUFFICIENT_PRIVILEGE, "{role}: {call}");
        }
    }
    let mut viewer = cluster.connect_as("viewer", "roles");
    let ids: Vec<i64> = viewer.column("SELECT id FROM posthog_plugins.jobs");
    assert_eq!(ids, [1]);
    let payload = "SELECT payload FROM posthog_plugins.jobs";
    assert_eq!(viewer.refusal(payload), SqlState::INSUFFICIENT_PRIVILEGE);
    let mut editor = cluster.connect_as("editor", "roles");
    let of_others = call.replace("=> 1", "=> 2");
    assert_eq!(editor.refusal(&of_others), SqlState::INSUFFICIENT_PRIVILEGE);
    assert!(!editor.value::<bool>("SELECT posthog_plugins.cancel_job(1)"));
    let id: i64 = editor.value(call);
    let ids: Vec<i64> = editor.column("SELECT id FROM posthog_plugins.jobs");
    assert_eq!(ids, [id]);
    assert!(editor.value::<bool>(&format!("SELECT posthog_plugins.cancel_job({id})")));
}

#[test]
fn nothing_runs_while_plugins_are_switched_off() {
    let cluster = cluster();
    let mut client = database(&cluster, "off");
    client.add_plugin("tell", "export const jobs = { tell: () => console.log('told') }");
    cluster.configure(&[("posthog_plugins.enabled", "off")]);
    client.run("SELECT pg_reload_conf()");
    std::thread::sleep(Duration::from_millis(300));
    client.run("SELECT posthog_plugins.run_job('tell', 'tell')");
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(said(&mut client), [] as [String; 0]);
    cluster.configure(&[("posthog_plugins.enabled", "on")]);
    client.run("SELECT pg_reload_conf()");
    is_said(&mut client, "told");
}

#[test]
fn health_knows_of_jobs_that_nobody_runs() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("health");
    client.add_plugin("tell", "export const jobs = { tell() {} }");
    client.run(
        "SELECT posthog_plugins.run_job('tell', 'tell', NULL, now() - interval '2 hours');
         SELECT posthog_plugins.run_job('tell', 'tell', NULL, NULL);
         INSERT INTO posthog_plugins.plugin_schedule
             (config_id, task, started_at, outcome, error)
         SELECT id, 'runEveryDay', now(), 'failed', 'Error: no' FROM posthog_plugins.plugin_config",
    );
    let found: Vec<String> = client.column(
        "SELECT concat_ws(' ', topic, subject, status, finding) FROM posthog_plugins.health()
          WHERE topic IN ('job', 'schedule') ORDER BY 1",
    );
    assert_eq!(
        found,
        [
            "job tell warning 2 jobs are due, the oldest for 02:00:00",
            "schedule tell warning runEveryDay failed the last time: Error: no",
        ]
    );
}

#[test]
fn jobs_wait_for_a_plugin_that_cannot_be_set_up() {
    let cluster = cluster();
    let mut client = database(&cluster, "setup");
    client.run(
        "SELECT posthog_plugins.install($$
             export function setupPlugin({ config }) { if (!config.ready) throw new Error('not yet') }
             export const jobs = { tell: () => console.log('told') }
         $$, '{\"name\": \"fails\", \"config\": [{\"key\": \"ready\", \"type\": \"string\"}]}');
         SELECT posthog_plugins.enable('fails');
         SELECT posthog_plugins.run_job('fails', 'tell')",
    );
    wait_until("it has failed", || {
        client.value("SELECT count(*) > 0 FROM posthog_plugins.failures WHERE kind = 'not loaded'")
    });
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.runs"), 0);
    assert_eq!(client.value::<i32>("SELECT attempts FROM posthog_plugins.jobs"), 0);
    client.run("SELECT posthog_plugins.configure('fails', '{\"ready\": \"yes\"}')");
    is_said(&mut client, "told");
    all_have_run(&mut client);
}

#[test]
fn jobs_with_long_payloads_all_run() {
    let cluster = cluster();
    let mut client = database(&cluster, "long");
    client.add_plugin(
        "tasks",
        "export const jobs = { long: ({ text }) => console.log(`${text.length}`) }",
    );
    client.run(
        "SELECT posthog_plugins.run_job('tasks', 'long', jsonb_build_object('text', repeat('x', 3000000)))
           FROM generate_series(1, 4)",
    );
    all_have_run(&mut client);
    wait_until("all are logged", || said(&mut client) == ["3000000"; 4]);
}
