//! How large the queue gets: with nobody in the way, with a transaction that stays open, with a
//! consumer that takes nothing, and after that. `make backlog`.

use std::thread;
use std::time::{Duration, Instant};

use cluster::workers::{preloaded, worker_is_up};
use cluster::{Cluster, Session};
use postgres::Client;

/// Events of a transaction.
const ROWS: u64 = 1000;

const SAMPLED_EVERY: Duration = Duration::from_millis(500);

/// What a phase of the run came to.
struct Phase {
    name: &'static str,
    events: u64,
    took: Duration,
    /// Bytes, the most of what was seen and at the end.
    queue: (i64, i64),
    index: (i64, i64),
    /// Of the consumer that is furthest behind, at the end.
    depth: i64,
}

/// The consumer that stands still does so for this time at least.
pub fn run(events: u64, still: Duration) {
    let cluster = preloaded(&[
        ("shared_buffers", "'512MB'"),
        ("max_wal_size", "'8GB'"),
        ("jit", "off"),
        // The tables take turns many times.
        ("posthog_plugins.queue_size", "'4MB'"),
    ]);
    let mut client = cluster.create_database("backlog");
    for name in ["one", "two"] {
        client.add_plugin(name, "export function onEvent() {}");
    }
    worker_is_up(&mut client);
    let share = events / 5;
    let mut phases = vec![phase(&cluster, "nobody is in the way", share, AT_ONCE)];

    let mut reader = cluster.connect("backlog");
    reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM posthog_plugins.queue");
    phases.push(phase(&cluster, "a transaction that reads stays open", share, AT_ONCE));
    reader.run("COMMIT");

    let mut writer = cluster.connect("backlog");
    writer.run("BEGIN");
    // More than a session holds back until it commits.
    (0..5).for_each(|_| enqueue(&mut writer));
    let name = "a transaction that has stored events stays open";
    phases.push(phase(&cluster, name, share, AT_ONCE));
    writer.run("COMMIT");

    // One in a thousand seconds: it stands still.
    client.run(r#"SELECT posthog_plugins.set_filter('two', '{"rate": 0.001}')"#);
    phases.push(phase(&cluster, "one of two consumers stands still", share, still));
    client.run("SELECT posthog_plugins.set_filter('two', NULL)");
    let begin = Instant::now();
    catch_up(&mut client);
    println!("it caught up in {:.0} s\n", begin.elapsed().as_secs_f64());
    phases.push(phase(&cluster, "it goes on", share, AT_ONCE));
    report(&phases);
}

/// As fast as it goes.
const AT_ONCE: Duration = Duration::ZERO;

/// Stores events over some time, and waits until they are delivered to whom they can be.
fn phase(cluster: &Cluster, name: &'static str, events: u64, over: Duration) -> Phase {
    eprintln!("{name}");
    let begin = Instant::now();
    let mut client = cluster.connect("backlog");
    let (mut queue, mut index) = ((0, 0), (0, 0));
    thread::scope(|scope| {
        let storing = scope.spawn(|| store(cluster, events, over));
        while !storing.is_finished() {
            thread::sleep(SAMPLED_EVERY);
            sample(&mut client, &mut queue, &mut index);
        }
    });
    settle(&mut client);
    // The worker looks once a second whether it can empty a half.
    thread::sleep(Duration::from_secs(3));
    sample(&mut client, &mut queue, &mut index);
    let depth = client.value("SELECT max(depth) FROM posthog_plugins.consumers");
    Phase { name, events, took: begin.elapsed(), queue, index, depth }
}

fn store(cluster: &Cluster, events: u64, over: Duration) {
    let mut client = cluster.connect("backlog");
    let transactions = events.div_ceil(ROWS);
    let begin = Instant::now();
    for number in 0..transactions {
        let due = over.mul_f64((number + 1) as f64 / transactions as f64);
        thread::sleep(due.saturating_sub(begin.elapsed()));
        enqueue(&mut client);
    }
}

fn enqueue(client: &mut Client) {
    client.run(&format!(
        "SELECT count(*) FROM (
             SELECT posthog_plugins.enqueue(jsonb_build_object(
                        'event', 'signup', 'distinct_id', 'u' || n, 'properties', jsonb_build_object('n', n)))
               FROM generate_series(1, {ROWS}) AS n OFFSET 0
         ) AS enqueued"
    ));
}

fn sample(client: &mut Client, queue: &mut (i64, i64), index: &mut (i64, i64)) {
    let row = client
        .query_one(
            "SELECT sum(table_size)::bigint, sum(index_size)::bigint FROM posthog_plugins.queue",
            &[],
        )
        .expect("the view is there");
    *queue = (queue.0.max(row.get(0)), row.get(0));
    *index = (index.0.max(row.get(1)), row.get(1));
}

/// Waits until nothing is delivered any more.
fn settle(client: &mut Client) {
    let mut before = -1;
    loop {
        let delivered: i64 =
            client.value("SELECT sum(delivered)::bigint FROM posthog_plugins.queue_consumer");
        if delivered == before {
            return;
        }
        before = delivered;
        thread::sleep(Duration::from_secs(1));
    }
}

fn catch_up(client: &mut Client) {
    while client.value::<i64>("SELECT max(depth) FROM posthog_plugins.consumers") > 0 {
        thread::sleep(Duration::from_secs(1));
    }
}

fn report(phases: &[Phase]) {
    println!(
        "| while | events | seconds | queue, MB at most | afterwards | its indexes, MB at most | afterwards | waiting afterwards |\n\
         |---|---|---|---|---|---|---|---|"
    );
    let megabytes = |bytes: i64| bytes as f64 / f64::from(1 << 20);
    for Phase { name, events, took, queue, index, depth } in phases {
        println!(
            "| {name} | {events} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {depth} |",
            took.as_secs_f64(),
            megabytes(queue.0),
            megabytes(queue.1),
            megabytes(index.0),
            megabytes(index.1),
        );
    }
}
