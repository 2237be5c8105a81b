//! What a new session pays: the time to its first event, and the memory of its backend.

use std::fs;
use std::time::Instant;

use cluster::{Cluster, Session};
use postgres::Client;

use crate::rounds::{Effort, Measured};
use crate::server::{self, Plugin};

pub struct Start {
    pub plugins: usize,
    /// Milliseconds in which the library loads, the first event passes, the second.
    pub load: f64,
    pub first: f64,
    pub second: f64,
    /// Kilobytes of the backend's own memory with the library loaded, after ten events, after 10,000.
    pub loaded: u64,
    pub begun: u64,
    pub settled: u64,
}

pub fn measure(cluster: &Cluster, effort: Effort) -> Vec<Start> {
    [1, 10, 50].map(|plugins| one(cluster, plugins, effort)).into()
}

fn one(cluster: &Cluster, plugins: usize, effort: Effort) -> Start {
    eprintln!("cold start, {plugins} plugins");
    let name = format!("start_{plugins}");
    drop(server::database(cluster, &name, &vec![Plugin::plain("hello-world"); plugins]));
    let (mut load, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
    let mut memory = (0, 0, 0);
    for _ in 0..effort.sessions {
        let mut client = cluster.connect(&name);
        // What any first query of a session reads.
        client.batch_execute("SELECT event FROM small LIMIT 1").expect("the query runs");
        load.push(milliseconds(&mut client, "LOAD 'posthog_plugins'"));
        let pid = client.pid();
        memory.0 = own_memory(pid);
        let process = "SELECT process_event(event) FROM small LIMIT 1";
        first.push(milliseconds(&mut client, process));
        second.push(milliseconds(&mut client, process));
        client
            .batch_execute("SELECT process_event(event) FROM small LIMIT 10")
            .expect("the query runs");
        memory.1 = own_memory(pid);
        client
            .batch_execute("SELECT count(process_event(event)) FROM small")
            .expect("the query runs");
        memory.2 = own_memory(pid);
    }
    let median = |times| Measured::new("", times).median();
    Start {
        plugins,
        load: median(load),
        first: median(first),
        second: median(second),
        loaded: memory.0,
        begun: memory.1,
        settled: memory.2,
    }
}

fn milliseconds(client: &mut Client, statement: &str) -> f64 {
    let begun = Instant::now();
    client.batch_execute(statement).expect("the statement runs");
    begun.elapsed().as_secs_f64() * 1e3
}

fn own_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(0)
}
