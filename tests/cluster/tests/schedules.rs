//! Schedules: what a plugin runs every minute, hour and day is run then, once, and not twice at a time.

use std::time::{Duration, Instant};

use cluster::process::sleeps_of;
use cluster::workers::{preloaded, worker_is_up};
use cluster::{Cluster, Session, wait_until};
use postgres::Client;

const EVERY: &str = "
    const tell = (word) => () => console.log(word)
    export const runEveryMinute = tell('minute')
    export const runEveryHour = tell('hour')
    export const runEveryDay = tell('day')
    export const runEveryWeek = tell('week')";

/// Moves the database to a time zone where it is midnight with one of the next minutes, in some seconds
/// at least, plus so many minutes.
fn midnight_soon(client: &mut Client, minutes: u32) {
    // In such names, what is east of Greenwich is negative.
    client.run(&format!(
        "DO $$ BEGIN
             EXECUTE format('ALTER DATABASE %I SET timezone = %L', current_database(),
                 '<here>' || to_char((clock_timestamp() + interval '66 seconds {minutes} minutes')
                                     AT TIME ZONE 'UTC', 'HH24:MI'));
         END $$"
    ));
}

fn said(client: &mut Client) -> Vec<String> {
    client.column("SELECT message FROM posthog_plugins.logs WHERE source = 'CONSOLE' ORDER BY 1")
}

fn runs(client: &mut Client) -> Vec<String> {
    client.column(
        "SELECT concat_ws(' ', plugin, name, outcome, error) FROM posthog_plugins.runs ORDER BY 1",
    )
}

#[test]
fn tasks_run_at_their_times_on_one_worker_and_never_twice_at_a_time() {
    let cluster = preloaded(&[("posthog_plugins.workers", "2")]);
    let mut client = cluster.create_database("ticks");
    midnight_soon(&mut client, 0);
    client.run("SELECT posthog_plugins.stop_worker(), posthog_plugins.start_worker()");
    wait_until("both are up", || client.value("SELECT count(*) = 2 FROM posthog_plugins.workers"));
    client.add_plugin("tells", EVERY);
    client
        .add_plugin("throws", "export const runEveryMinute = () => { throw new RetryError('no') }");
    client.add_plugin(
        "slow",
        "export const runEveryMinute = () => new Promise((resolve) => setTimeout(resolve, 70000))",
    );
    let waiting = "SELECT count(*) FROM posthog_plugins.schedules WHERE next_run_at > now()";
    wait_until("a worker has taken them up", || client.value::<i64>(waiting) == 5);
    let midnight: std::time::SystemTime = client
        .value("SELECT max(next_run_at) FROM posthog_plugins.schedules WHERE task = 'runEveryDay'");
    std::thread::sleep(midnight.duration_since(std::time::SystemTime::now()).unwrap());
    wait_until("they have run", || said(&mut client).len() == 3);
    assert_eq!(said(&mut client), ["day", "hour", "minute"]);
    wait_until("that is written", || runs(&mut client).len() == 4);
    assert_eq!(
        runs(&mut client),
        [
            "tells runEveryDay succeeded",
            "tells runEveryHour succeeded",
            "tells runEveryMinute succeeded",
            "throws runEveryMinute failed RetryError: no",
        ]
    );
    // At the time itself, to the second.
    let rows = client.query("SELECT started_at FROM posthog_plugins.runs", &[]).unwrap();
    for row in rows {
        let late = row.get::<_, std::time::SystemTime>(0).duration_since(midnight).unwrap();
        assert!(late < Duration::from_secs(1), "{late:?}");
    }
    let left: String = client.value(
        "SELECT string_agg(concat_ws(' ', task, (next_run_at - last_run_at)::interval(0)), ', '
                           ORDER BY task)
           FROM posthog_plugins.schedules WHERE plugin = 'tells'",
    );
    assert_eq!(left, "runEveryDay 24:00:00, runEveryHour 01:00:00, runEveryMinute 00:01:00");
    // One that throws runs again with the next minute, and one that still runs does not.
    std::thread::sleep(Duration::from_secs(55));
    wait_until("the next minute has come", || {
        client.value("SELECT runs = 2 FROM posthog_plugins.schedules WHERE plugin = 'throws'")
    });
    let slow = "SELECT concat_ws(' ', runs, skipped, missed, last_outcome IS NULL)
                  FROM posthog_plugins.schedules WHERE plugin = 'slow'";
    wait_until("it was skipped", || client.value::<String>(slow) == "1 1 0 t");
    let counts: Vec<String> = client.column(
        "SELECT concat_ws(' ', task, runs, skipped, missed) FROM posthog_plugins.schedules
          WHERE plugin = 'tells' ORDER BY task",
    );
    assert_eq!(counts, ["runEveryDay 1 0 0", "runEveryHour 1 0 0", "runEveryMinute 2 0 0"]);
    wait_until("it ends after all", || client.value::<String>(slow) == "1 1 0 f");
}

#[test]
fn times_at_which_nothing_ran_are_counted_and_not_made_up() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("missed");
    client.add_plugin("tells", EVERY);
    // Half past one: what was to run at midnight, and at one, is over.
    midnight_soon(&mut client, 22 * 60 + 30);
    client.run(
        "UPDATE posthog_plugins.plugin_schedule SET since = now() - interval '2 days 20 minutes';
         SELECT posthog_plugins.start_worker()",
    );
    let counts = "SELECT concat_ws(' ', task, runs, skipped, missed) FROM posthog_plugins.schedules
                   WHERE task <> 'runEveryMinute' ORDER BY task";
    wait_until("they are counted", || {
        client.column::<String>(counts) == ["runEveryDay 0 0 2", "runEveryHour 0 0 48"]
    });
    assert!(!said(&mut client).iter().any(|word| word != "minute"));
    let missed: i64 =
        client.value("SELECT missed FROM posthog_plugins.schedules WHERE task = 'runEveryMinute'");
    assert!((2899..=2901).contains(&missed), "{missed}");
}

#[test]
fn a_time_that_was_dealt_with_is_not_run_again_by_another_worker() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("again");
    client.add_plugin(
        "slow",
        "export async function runEveryDay() {
             console.log('runs')
             await new Promise((resolve) => setTimeout(resolve, 60000))
         }",
    );
    midnight_soon(&mut client, 0);
    client.run("SELECT posthog_plugins.start_worker()");
    let runs = "SELECT runs FROM posthog_plugins.schedules";
    std::thread::sleep(Duration::from_secs(30));
    wait_until("it runs", || client.value::<i64>(runs) == 1);
    let begin = Instant::now();
    client.run("SELECT posthog_plugins.stop_worker(); SELECT posthog_plugins.start_worker()");
    worker_is_up(&mut client);
    wait_until("what was under way is told", || {
        client.value(
            "SELECT last_outcome IS NOT DISTINCT FROM 'interrupted' FROM posthog_plugins.schedules",
        )
    });
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(client.value::<i64>(runs), 1);
    let told: Vec<String> = client.column("SELECT outcome FROM posthog_plugins.runs");
    assert_eq!(told, ["interrupted"]);
}

#[test]
fn a_schedule_has_a_limit_and_a_changed_config_does_not_wait_for_it() {
    let cluster = Cluster::start_with(&[
        ("posthog_plugins.schedule_timeout", "1s"),
        ("posthog_plugins.delivery_timeout", "2s"),
    ]);
    let mut client = cluster.create_database("limits");
    client.add_plugin("hangs", "export const runEveryDay = () => new Promise(() => {})");
    midnight_soon(&mut client, 0);
    client.run("SELECT posthog_plugins.start_worker()");
    std::thread::sleep(Duration::from_secs(30));
    wait_until("it has failed", || {
        client.value("SELECT count(*) = 1 FROM posthog_plugins.runs WHERE outcome = 'failed'")
    });
    let error: String = client.value("SELECT error FROM posthog_plugins.runs");
    assert_eq!(error, "TimeoutError: runEveryDay did not end within 1 s");

    cluster.configure(&[("posthog_plugins.schedule_timeout", "1h")]);
    client.run("SELECT pg_reload_conf(); SELECT posthog_plugins.stop_worker()");
    client.add_plugin(
        "changes",
        "export const runEveryDay = () => new Promise(() => {})
         export const jobs = { tell: () => console.log('as it was') }",
    );
    midnight_soon(&mut client, 0);
    client.run("SELECT posthog_plugins.start_worker()");
    let is_running = "SELECT count(*) = 1 FROM posthog_plugins.schedules
                       WHERE plugin = 'changes' AND last_run_at IS NOT NULL";
    std::thread::sleep(Duration::from_secs(30));
    wait_until("it runs", || client.value(is_running));
    client.add_plugin("changes", "export const jobs = { tell: () => console.log('as it is') }");
    client.run("SELECT posthog_plugins.run_job('changes', 'tell')");
    wait_until("the new one runs", || said(&mut client) == ["as it is"]);
}

#[test]
fn what_is_disabled_has_no_schedule() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("disabled");
    client.add_plugin("tells", EVERY);
    let tasks = "SELECT task FROM posthog_plugins.schedules ORDER BY task";
    assert_eq!(client.column::<String>(tasks), ["runEveryDay", "runEveryHour", "runEveryMinute"]);
    client.run("SELECT posthog_plugins.disable('tells')");
    assert_eq!(client.column::<String>(tasks), [] as [String; 0]);
    client.run("SELECT posthog_plugins.enable('tells')");
    client
        .run("SELECT posthog_plugins.install('export const runEveryDay = () => 1', '{}', 'tells')");
    assert_eq!(client.column::<String>(tasks), ["runEveryDay"]);
    client.run("SELECT posthog_plugins.rollback('tells')");
    assert_eq!(client.column::<String>(tasks).len(), 3);
    client.run("SELECT posthog_plugins.uninstall('tells')");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_schedule"), 0);
}

#[test]
fn a_worker_sleeps_until_the_next_time() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("sleeps");
    client.add_plugin(
        "sleeps",
        "export const runEveryDay = () => {}
         export const jobs = { tell() {} }",
    );
    // Not in the minutes around midnight.
    midnight_soon(&mut client, 12 * 60);
    client.run("SELECT posthog_plugins.run_job('sleeps', 'tell', NULL, now() + interval '1 hour')");
    let pid: i32 = client.value("SELECT posthog_plugins.start_worker()");
    wait_until("it is taken up", || {
        client.value("SELECT next_run_at IS NOT NULL FROM posthog_plugins.schedules")
    });
    std::thread::sleep(Duration::from_secs(2));
    let before = sleeps_of(pid);
    std::thread::sleep(Duration::from_secs(3));
    assert!(sleeps_of(pid) <= before + 1, "it woke {} times", sleeps_of(pid) - before);
}
