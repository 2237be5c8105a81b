//! Workers and whole servers are killed at random moments, while sessions store events: every stored
//! event is delivered, again perhaps, and nothing that was not stored. `make kill-test` kills more
//! often, and prints what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cluster::process::{children_of, is_there, kill};
use cluster::receiver::Receiver;
use cluster::workers::{preloaded, worker_is_up};
use cluster::{Cluster, Session, wait_until};
use postgres::Client;

const DATABASE: &str = "kills";
const WRITERS: u64 = 3;

/// Each kind three times.
const KILLS: usize = 9;

/// A kill comes so long after the first delivery since the last one, at most.
const LONGEST_LIFE: Duration = Duration::from_millis(1500);

/// What waits for a consumer at most: a worker that is killed all the time never gets far behind, and
/// is busy whenever it is killed.
const BACKLOG: u64 = 3000;

/// What a worker has read and not recorded at most, as docs/queue.md has it.
const OPEN: usize = 2000;

/// Of each consumer, how often it was given each event.
type Deliveries = Mutex<BTreeMap<String, BTreeMap<String, usize>>>;

#[derive(Clone, Copy, Debug)]
enum Victim {
    /// PostgreSQL restarts itself when it loses one of its processes.
    Worker,
    /// The others have to find out.
    Postmaster,
    Everything,
}

const VICTIMS: [Victim; 3] = [Victim::Worker, Victim::Postmaster, Victim::Everything];

/// The plugins that the events go through and to. Each consumer sends what it is given to a path of its
/// name; the first of them has trouble with some events, now and then.
fn plugins(receiver: &Receiver) -> [(&'static str, String); 4] {
    let url = receiver.url("");
    [
        ("sieve", "export const processEvent = (event) => event.event === 'dropped' ? null : event".into()),
        (
            "event",
            format!(
                "export async function onEvent(event) {{
                     if (Math.random() < 0.02) throw new RetryError('not now')
                     const body = event.uuid + ' ' + event.event
                     await fetch('{url}/event', {{ method: 'POST', body }})
                 }}"
            ),
        ),
        (
            "webhook",
            format!(
                "export const composeWebhook = (event) =>
                     ({{ url: '{url}/webhook', body: event.uuid + ' ' + event.event, headers: {{}} }})"
            ),
        ),
        (
            "export",
            format!(
                "export async function exportEvents(events) {{
                     const body = events.map((event) => event.uuid + ' ' + event.event).join('\\n')
                     await fetch('{url}/export', {{ method: 'POST', body }})
                 }}"
            ),
        ),
    ]
}

const CONSUMERS: [&str; 3] = ["event", "webhook", "export"];

fn prepare(cluster: &Cluster, receiver: &Receiver) -> Client {
    let mut client = cluster.create_database(DATABASE);
    for (name, source) in plugins(receiver) {
        client
            .execute(
                "SELECT posthog_plugins.install($1, '{\"config\": [
                     {\"key\": \"exportEventsBufferSeconds\", \"type\": \"string\", \"default\": \"1\"}]}', $2)",
                &[&source, &name],
            )
            .unwrap();
        client.execute("SELECT posthog_plugins.enable($1)", &[&name]).unwrap();
        receiver.allow(&mut client, name);
    }
    client.run(
        "CREATE TABLE events (uuid uuid PRIMARY KEY, event text, distinct_id text, properties jsonb);
         SELECT posthog_plugins.attach('events')",
    );
    client
}

/// A number below `most`.
fn dice(most: u64) -> u64 {
    RandomState::new().hash_one(()) % most
}

/// Writes statements whose events are stored, or not: those have other names.
struct Writer {
    number: u64,
    events: u64,
    stored: u64,
}

impl Writer {
    fn uuid(&mut self) -> String {
        self.events += 1;
        format!("{:08x}-0000-4000-8000-{:012x}", self.number, self.events)
    }

    fn row(&mut self, event: &str) -> String {
        self.stored += u64::from(event == "stored");
        row(&self.uuid(), event)
    }

    fn insert(&mut self, event: &str, rows: usize) -> String {
        let rows: Vec<String> = (0..rows).map(|_| self.row(event)).collect();
        format!("INSERT INTO events VALUES {};", rows.join(", "))
    }

    fn statements(&mut self) -> String {
        match dice(8) {
            0 => self.insert("stored", 1),
            1 | 2 => self.insert("stored", 30),
            3 => format!("BEGIN; {} ROLLBACK", self.insert("rolled back", 3)),
            4 => {
                let before = self.insert("stored", 2);
                let undone = self.insert("undone", 2);
                let after = self.insert("stored", 2);
                format!("BEGIN; {before} SAVEPOINT s; {undone} ROLLBACK TO s; {after} COMMIT")
            }
            5 => {
                let uuid = self.uuid();
                self.stored += 1;
                let (stored, other) = (row(&uuid, "stored"), row(&uuid, "in conflict"));
                format!(
                    "INSERT INTO events VALUES {stored};
                     INSERT INTO events VALUES {other} ON CONFLICT DO NOTHING"
                )
            }
            6 => self.insert("dropped", 2) + &self.insert("stored", 2),
            // Its number is older than those of many that commit before.
            _ => format!("BEGIN; {} SELECT pg_sleep(0.05); COMMIT", self.insert("stored", 5)),
        }
    }
}

fn row(uuid: &str, event: &str) -> String {
    format!("('{uuid}', '{event}', 'u', '{{}}')")
}

/// Stores events until told to stop, whatever becomes of the server.
fn write(
    cluster: &Cluster,
    number: u64,
    stored: &AtomicU64,
    received: impl Fn() -> u64,
    stop: &AtomicBool,
) {
    let mut writer = Writer { number, events: 0, stored: 0 };
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut client) = cluster.try_connect_as("postgres", DATABASE) else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        loop {
            let before = writer.stored;
            if stop.load(Ordering::Relaxed) || client.batch_execute(&writer.statements()).is_err() {
                break;
            }
            stored.fetch_add(writer.stored - before, Ordering::Relaxed);
            while stored.load(Ordering::Relaxed) > received() + BACKLOG && !client.is_closed() {
                thread::sleep(Duration::from_millis(5));
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }
}

/// Kills, and brings the server back.
fn strike(cluster: &Cluster, victim: Victim) {
    let postmaster = cluster.postmaster();
    let all = [&[postmaster], children_of(postmaster).as_slice()].concat();
    match victim {
        Victim::Worker => wait_until("a worker is killed", || {
            // The one before may be on its way out.
            let pid = cluster.try_connect_as("postgres", DATABASE).and_then(|mut client| {
                client.query_opt("SELECT pid FROM posthog_plugins.workers", &[])
            });
            let Ok(Some(pid)) = pid else { return false };
            kill(&[pid.get(0)]);
            true
        }),
        Victim::Postmaster => kill(&[postmaster]),
        Victim::Everything => kill(&all),
    }
    if !matches!(victim, Victim::Worker) {
        // PostgreSQL refuses to start while any of them is there.
        wait_until("all processes are gone", || !all.iter().any(|pid| is_there(*pid)));
        cluster.boot();
    }
}

#[test]
fn a_kill_loses_no_stored_event_and_delivers_no_other() {
    let kills = env::var("KILLS").map_or(KILLS, |kills| kills.parse().expect("KILLS is a number"));
    let deliveries: Arc<Deliveries> = Arc::default();
    let (kept, total) = (Arc::clone(&deliveries), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&total);
    let receiver = Receiver::start_with(move |path, body| {
        let mut kept = kept.lock().unwrap();
        let consumer = kept.entry(path.trim_start_matches('/').to_owned()).or_default();
        for event in body.lines() {
            let times = consumer.entry(event.to_owned()).or_default();
            *times += 1;
            counted.fetch_add(u64::from(*times == 1), Ordering::Relaxed);
        }
    });
    let cluster = preloaded(&[
        ("posthog_plugins.retry_delay", "1s"),
        ("posthog_plugins.retry_attempts", "1000"),
        // Both halves of the queue are in use, and emptied.
        ("posthog_plugins.queue_size", "'512kB'"),
    ]);
    let mut client = prepare(&cluster, &receiver);
    let (stored, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let begin = Instant::now();
    thread::scope(|scope| {
        for number in 0..WRITERS {
            let (cluster, stored, stop, total) = (&cluster, &stored, &stop, &total);
            let received = || total.load(Ordering::Relaxed) / CONSUMERS.len() as u64;
            scope.spawn(move || write(cluster, number, stored, received, stop));
        }
        let stopped = Stop(&stop);
        for number in 0..kills {
            let before = total.load(Ordering::Relaxed);
            wait_until("something is delivered", || total.load(Ordering::Relaxed) > before);
            thread::sleep(Duration::from_millis(dice(LONGEST_LIFE.as_millis() as u64)));
            strike(&cluster, VICTIMS[number % VICTIMS.len()]);
        }
        drop(stopped);
    });
    wait_until("the server is back", || {
        cluster.try_connect_as("postgres", DATABASE).map(|again| client = again).is_ok()
    });
    worker_is_up(&mut client);
    wait_until("all is delivered", || {
        let left = "SELECT sum(depth + retries)::bigint FROM posthog_plugins.consumers";
        client.value::<i64>(left) == 0
    });
    let events: BTreeSet<String> =
        client.column("SELECT uuid || ' ' || event FROM events").into_iter().collect();
    let deliveries = deliveries.lock().unwrap();
    println!("{kills} kills in {:?}, {} events stored", begin.elapsed(), events.len());
    for consumer in CONSUMERS {
        let given = &deliveries[consumer];
        let lost: Vec<_> = events.iter().filter(|event| !given.contains_key(*event)).collect();
        let others: Vec<_> = given.keys().filter(|event| !events.contains(*event)).collect();
        let again = given.values().sum::<usize>() - given.len();
        println!(
            "{consumer}: {} delivered, {again} of them again: {:.1} for each kill",
            given.len() + again,
            again as f64 / kills as f64
        );
        assert!(
            lost.is_empty(),
            "{consumer} never got {} events: {:?}",
            lost.len(),
            &lost[..lost.len().min(9)]
        );
        assert!(others.is_empty(), "{consumer} got what was not stored: {others:?}");
        assert!(again <= kills * OPEN, "{consumer} was given {again} events again");
    }
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.dead_letters"), 0);
    let told: BTreeSet<String> =
        client.column("SELECT DISTINCT event FROM events").into_iter().collect();
    assert_eq!(told, BTreeSet::from(["stored".to_owned()]));
}

#[test]
fn what_a_crash_can_undo_is_not_delivered_yet() {
    let cluster = preloaded(&[
        ("synchronous_commit", "off"),
        // Nobody else writes what has been committed to disk before the server is killed.
        ("wal_writer_delay", "10s"),
    ]);
    let receiver = Receiver::start();
    let mut client = prepare(&cluster, &receiver);
    worker_is_up(&mut client);
    client.run("INSERT INTO events VALUES ('00000000-0000-4000-8000-000000000001', 'stored')");
    wait_until("it is delivered", || !receiver.received("/webhook").is_empty());
    strike(&cluster, Victim::Everything);
    let stored: i64 = cluster.connect(DATABASE).value("SELECT count(*) FROM events");
    assert_eq!(stored, 1);
}

/// Has the writers stop, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
