//! Node as a peer: the same plugin files on the same events, as text in and text out. It measures
//! itself, so starting it and handing it the events is not counted.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use cluster::repository;
use postgres::Client;

use crate::server::Plugin;

pub struct Node {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    events: PathBuf,
}

impl Node {
    /// Node with a chain and the events of a table; none where there is no Node.
    pub fn start(chain: &[Plugin], client: &mut Client, table: &str) -> Option<Node> {
        let events = std::env::temp_dir()
            .join(format!("posthog_plugins_bench_{}_{table}.json", std::process::id()));
        let rows = client
            .query(&format!("SELECT event::text FROM {table}"), &[])
            .expect("events are read");
        let texts: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        fs::write(&events, texts.join("\n")).expect("events are written");
        let mut command = Command::new("node");
        command.arg(repository().join("bench/node.js")).arg(&events);
        for plugin in chain {
            command.arg(plugin.path()).arg(plugin.config);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take()?);
        Some(Node { process, commands, answers, events })
    }

    /// Goes through all events once.
    pub fn run(&mut self) -> Duration {
        let commands = self.commands.as_mut().expect("Node has an input");
        writeln!(commands, "run").expect("Node takes a command");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("Node answers");
        Duration::from_nanos(answer.trim().parse().expect("Node answers with nanoseconds"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.events);
    }
}
