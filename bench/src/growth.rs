//! How the time for an event grows with its properties, and with the plugins of the chain.

use std::cell::RefCell;

use cluster::Cluster;

use crate::events;
use crate::rounds::{Effort, Measured, Subject, interleave};
use crate::server::{self, Plugin};

pub struct Growth {
    pub of: &'static str,
    /// What grows, and microseconds for each event.
    pub points: Vec<(usize, Measured)>,
}

pub fn measure(cluster: &Cluster, effort: Effort) -> Vec<Growth> {
    vec![properties(cluster, effort), plugins(cluster, effort)]
}

fn properties(cluster: &Cluster, effort: Effort) -> Growth {
    eprintln!("growth with properties");
    let mut client = server::database(cluster, "growth", &[Plugin::plain("hello-world")]);
    let sizes = [0, 50, 150, 350, 750, 1500];
    let count = effort.large_events;
    for more in sizes {
        let table = format!("wide_{more}");
        client
            .batch_execute(&format!("CREATE TABLE {table} (LIKE small)"))
            .expect("a table is made");
        server::fill(&mut client, &table, events::wide(count, more));
    }
    client.batch_execute("VACUUM ANALYZE").expect("tables are vacuumed");
    let client = RefCell::new(client);
    let subjects = sizes.map(|more| {
        let query = format!("SELECT count(process_event(event)) FROM wide_{more}");
        let client = &client;
        Subject::new("", count, move || {
            client.borrow_mut().batch_execute(&query).expect("the query runs");
        })
    });
    let measured = interleave(subjects.into(), effort.rounds);
    let own = serde_json::from_str::<serde_json::Value>(&events::small(1)[0])
        .ok()
        .and_then(|event| Some(event["properties"].as_object()?.len()))
        .unwrap_or_default();
    Growth {
        of: "properties",
        points: sizes.map(|more| more + own).into_iter().zip(measured).collect(),
    }
}

fn plugins(cluster: &Cluster, effort: Effort) -> Growth {
    eprintln!("growth with plugins");
    let lengths = [1, 2, 5, 10, 20, 50];
    let subjects = lengths.map(|length| {
        let chain = vec![Plugin::plain("hello-world"); length];
        let mut client = server::database(cluster, &format!("growth_{length}"), &chain);
        Subject::new("", effort.events, move || {
            client
                .batch_execute("SELECT count(process_event(event)) FROM small")
                .expect("the query runs");
        })
    });
    let measured = interleave(subjects.into(), effort.rounds);
    Growth { of: "plugins", points: lengths.into_iter().zip(measured).collect() }
}
