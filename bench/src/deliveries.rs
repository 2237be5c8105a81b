//! How long a worker takes over a stored event, by what the plugin does with it. The receiver is on
//! the same machine.

use std::thread;
use std::time::{Duration, Instant};

use cluster::receiver::Receiver;
use cluster::{Cluster, Session};
use postgres::Client;

use crate::rounds::{Effort, Measured, Subject, interleave};
use crate::server::{self, Plugin};

/// Events that a turn delivers, as a multiple of those in the table.
struct Kind {
    name: &'static str,
    plugin: &'static str,
    copies: usize,
}

const KINDS: [Kind; 5] = [
    Kind { name: "`onEvent` that does nothing", plugin: "consumer", copies: 5 },
    Kind { name: "`onEvent` that reads three values", plugin: "consumer-read", copies: 5 },
    Kind { name: "`onEvent` with a `fetch`", plugin: "consumer-fetch", copies: 1 },
    Kind { name: "`composeWebhook`", plugin: "consumer-webhook", copies: 1 },
    Kind { name: "`exportEvents` with a `fetch`", plugin: "consumer-export", copies: 5 },
];

pub fn measure(cluster: &Cluster, effort: Effort) -> Vec<Measured> {
    eprintln!("deliveries");
    let receiver = Receiver::start_with(|_, _| {});
    // The last batch of an export waits for events that would fill it.
    let config = format!(r#"{{"url": "{}", "exportEventsBufferSeconds": "1"}}"#, receiver.url("/"));
    let config: &'static str = config.leak();
    let subjects = KINDS.map(|Kind { name, plugin, copies }| {
        let database = format!("deliveries_{}", plugin.replace('-', "_"));
        let mut client = server::database(cluster, &database, &[Plugin { name: plugin, config }]);
        client.run(&format!(
            "SELECT posthog_plugins.allow_hosts('{plugin}', '{}', label => '0');
             SELECT posthog_plugins.start_worker()",
            receiver.hosts()
        ));
        let events = effort.events * copies;
        Subject::timed(name, timed(events), move || deliver(&mut client, events, copies))
    });
    interleave(subjects.into(), effort.rounds.div_ceil(2))
}

/// What is timed: all but the end, in which batches wait.
fn timed(events: usize) -> usize {
    events / 10 * 9
}

/// Stores events in one transaction, and waits until they are delivered.
fn deliver(client: &mut Client, events: usize, copies: usize) -> Duration {
    let before = delivered(client);
    client.run("BEGIN");
    client.run(&format!(
        "SELECT count(*) FROM (
             SELECT posthog_plugins.enqueue(event) FROM small, generate_series(1, {copies}) OFFSET 0
         ) AS enqueued"
    ));
    client.run("COMMIT");
    let begin = Instant::now();
    wait(client, before + timed(events) as i64);
    let took = begin.elapsed();
    wait(client, before + events as i64);
    took
}

/// Not by the view, which counts what waits.
fn delivered(client: &mut Client) -> i64 {
    client.value("SELECT delivered FROM posthog_plugins.queue_consumer")
}

fn wait(client: &mut Client, delivered_by_then: i64) {
    while delivered(client) < delivered_by_then {
        thread::sleep(Duration::from_millis(2));
    }
}
