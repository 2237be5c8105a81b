//! Events are stored for a while, and three consumers take them: one that fails at random, one that is
//! slow, one that is well. Fails when the worker's memory or the queue grows, or something is lost.
//! `make soak`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cluster::process::memory_of;
use cluster::workers::{preloaded, worker_is_up};
use cluster::{Cluster, Session};
use postgres::Client;

use crate::events;
use crate::rounds::median;

/// The slow one waits for each event as long as a receiver far away takes to answer.
const CONSUMERS: [(&str, &str); 3] = [
    (
        "failing",
        "export function onEvent() { if (Math.random() < 0.05) throw new RetryError('not now') }",
    ),
    ("slow", "export const onEvent = () => new Promise((resolve) => setTimeout(resolve, 100))"),
    (
        "healthy",
        "let n = 0; export function onEvent(event) { if (event.properties.$current_url) n += 1 }",
    ),
];

/// What the slow one, with a hundred calls at a time, can keep up with.
const EVENTS_A_SECOND: u64 = 500;

/// Rows of a statement.
const ROWS: u64 = 25;

const SAMPLES: u32 = 60;

/// A half becomes that large; both, and what comes until the worker has switched, are three.
const QUEUE_SIZE: i64 = 8 << 20;
const MOST_QUEUE: i64 = 3 * QUEUE_SIZE;

/// By how much the second half of the samples may be above the first. Allocators and garbage collectors
/// keep what they have had; what leaks at this rate of events is more after minutes.
const MOST_GROWTH: f64 = 1.1;
const MOST_GROWTH_KB: f64 = 4096.0;

struct Sample {
    seconds: f64,
    /// Kilobytes of the worker's own memory.
    memory: f64,
    queue: i64,
    index: i64,
    undelivered: i64,
    delivered: BTreeMap<String, i64>,
    depth: i64,
}

pub fn run(minutes: f64) {
    let cluster = preloaded(&[
        ("posthog_plugins.retry_delay", "1s"),
        ("posthog_plugins.retry_attempts", "1000"),
        ("posthog_plugins.queue_size", &format!("'{}kB'", QUEUE_SIZE >> 10)),
        ("shared_buffers", "'128MB'"),
    ]);
    let mut client = prepare(&cluster);
    let worker = worker_is_up(&mut client);
    let (stop, stored) = (AtomicBool::new(false), AtomicU64::new(0));
    let length = Duration::from_secs_f64(minutes * 60.0);
    let samples = thread::scope(|scope| {
        scope.spawn(|| store(&cluster, &stored, &stop));
        let begin = Instant::now();
        let mut samples = Vec::new();
        for number in 1..=SAMPLES {
            let next = length * number / SAMPLES;
            thread::sleep(next.saturating_sub(begin.elapsed()));
            samples.push(Sample::take(&mut client, worker, begin));
        }
        stop.store(true, Ordering::Relaxed);
        samples
    });
    wait_for_the_rest(&mut client);
    let stored: i64 = client.value("SELECT count(*) FROM events");
    report(&samples, stored, minutes);
    let problems = problems(&mut client, &samples, stored, worker);
    if !problems.is_empty() {
        eprintln!("{}", problems.join("\n"));
        std::process::exit(1);
    }
}

fn prepare(cluster: &Cluster) -> Client {
    let mut client = cluster.create_database("soak");
    for (name, source) in CONSUMERS {
        client.add_plugin(name, source);
    }
    client.run(
        "CREATE TABLE events (event jsonb); CREATE TABLE small (event jsonb);
         SELECT posthog_plugins.attach('events', 'event')",
    );
    crate::server::fill(&mut client, "small", events::small(1000));
    client
}

fn store(cluster: &Cluster, stored: &AtomicU64, stop: &AtomicBool) {
    let mut client = cluster.connect("soak");
    let statement = format!(
        "INSERT INTO events SELECT event FROM small OFFSET floor(random() * 900) LIMIT {ROWS}"
    );
    let begin = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        client.run(&statement);
        let stored = stored.fetch_add(ROWS, Ordering::Relaxed) + ROWS;
        let due = Duration::from_secs_f64(stored as f64 / EVENTS_A_SECOND as f64);
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
}

impl Sample {
    fn take(client: &mut Client, worker: i32, begin: Instant) -> Self {
        let rows = client
            .query("SELECT plugin, delivered, depth FROM posthog_plugins.consumers", &[])
            .expect("the view is there");
        let sum = |client: &mut Client, column: &str| -> i64 {
            client.value(&format!("SELECT sum({column})::bigint FROM posthog_plugins.queue"))
        };
        Sample {
            seconds: begin.elapsed().as_secs_f64(),
            memory: memory_of(worker) as f64,
            queue: sum(client, "table_size"),
            index: sum(client, "index_size"),
            undelivered: client
                .value("SELECT pg_total_relation_size('posthog_plugins.undelivered_event')"),
            depth: rows.iter().map(|row| row.get::<_, i64>(2)).max().unwrap_or_default(),
            delivered: rows.iter().map(|row| (row.get(0), row.get(1))).collect(),
        }
    }
}

/// Longer than the longest delay between two attempts is not needed.
fn wait_for_the_rest(client: &mut Client) {
    let begin = Instant::now();
    let left = "SELECT sum(depth + retries)::bigint FROM posthog_plugins.consumers";
    while client.value::<i64>(left) > 0 && begin.elapsed() < Duration::from_secs(120) {
        thread::sleep(Duration::from_millis(200));
    }
}

fn report(samples: &[Sample], stored: i64, minutes: f64) {
    println!("{stored} events stored in {minutes} minutes\n");
    println!(
        "| minute | worker, MB | queue, MB | its indexes, MB | failed events, MB | longest wait, events | failing | slow | healthy |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    let megabytes = |bytes: i64| bytes as f64 / f64::from(1 << 20);
    for sample in samples.iter().step_by(samples.len().div_ceil(11)).chain(samples.last()) {
        let delivered = |name: &str| sample.delivered.get(name).copied().unwrap_or_default();
        println!(
            "| {:.1} | {:.1} | {:.1} | {:.2} | {:.1} | {} | {} | {} | {} |",
            sample.seconds / 60.0,
            sample.memory / 1024.0,
            megabytes(sample.queue),
            megabytes(sample.index),
            megabytes(sample.undelivered),
            sample.depth,
            delivered("failing"),
            delivered("slow"),
            delivered("healthy"),
        );
    }
}

/// What is not as it should be.
fn problems(client: &mut Client, samples: &[Sample], stored: i64, worker: i32) -> Vec<String> {
    let mut problems = Vec::new();
    if worker_is_up(client) != worker {
        problems.push("the worker was started again".to_owned());
    }
    // The first tenth is for warming up.
    let settled = &samples[samples.len() / 10..];
    let (early, late) = settled.split_at(settled.len() / 2);
    let memory = |part: &[Sample]| median(part.iter().map(|sample| sample.memory).collect());
    let (early, late) = (memory(early), memory(late));
    if late > early * MOST_GROWTH && late > early + MOST_GROWTH_KB {
        problems.push(format!("the worker grew from {early:.0} kB to {late:.0} kB"));
    }
    let largest =
        samples.iter().map(|sample| sample.queue + sample.index).max().unwrap_or_default();
    if largest > MOST_QUEUE {
        problems.push(format!("the queue took {largest} bytes"));
    }
    let rows = client
        .query(
            "SELECT plugin, delivered, dead_letters, depth, retries FROM posthog_plugins.consumers",
            &[],
        )
        .expect("the view is there");
    for row in rows {
        let (plugin, delivered): (String, i64) = (row.get(0), row.get(1));
        let (dead, depth, retries): (i64, i64, i64) = (row.get(2), row.get(3), row.get(4));
        if (delivered, dead, depth, retries) != (stored, 0, 0, 0) {
            problems.push(format!(
                "{plugin}: {delivered} delivered of {stored}, {dead} dead letters, {depth} and {retries} left"
            ));
        }
    }
    problems
}
