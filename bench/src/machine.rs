//! On what the numbers were taken.

use std::fs;
use std::process::Command;

use cluster::{Cluster, Session};

pub fn describe(cluster: &Cluster) -> Vec<(&'static str, String)> {
    let mut client = cluster.connect("postgres");
    let server: String = client.value("SHOW server_version");
    vec![
        ("Processor", processor()),
        ("Memory", memory()),
        ("PostgreSQL", server),
        ("posthog_plugins", env!("CARGO_PKG_VERSION").to_owned()),
        ("Node", version("node", "--version")),
        ("Rust", version("rustc", "--version")),
    ]
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    format!("{model}, {cores} cores")
}

fn memory() -> String {
    let kilobytes = field("/proc/meminfo", "MemTotal")
        .and_then(|total| total.split(' ').next()?.parse::<u64>().ok())
        .unwrap_or_default();
    format!("{} GB", kilobytes.div_ceil(1 << 20))
}

/// The first value of `name : value`.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn version(program: &str, flag: &str) -> String {
    match Command::new(program).arg(flag).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(_) => "not there".to_owned(),
    }
}
