//! What the kernel says about a backend, read from /proc, and its end by force.

use std::fs;
use std::process::Command;

/// Resident memory of its own, in kilobytes: not what it has touched of the shared buffers.
#[must_use]
pub fn memory_of(pid: i32) -> u64 {
    let text = status(pid, "RssAnon");
    text.trim_end_matches("kB").trim().parse().expect("RssAnon is a number")
}

/// Which signals a process catches, ignores and blocks.
#[must_use]
pub fn signals_of(pid: i32) -> [String; 3] {
    ["SigCgt", "SigIgn", "SigBlk"].map(|name| status(pid, name))
}

/// How often a process has gone to sleep so far.
#[must_use]
pub fn sleeps_of(pid: i32) -> u64 {
    status(pid, "voluntary_ctxt_switches").parse().expect("a number")
}

/// Processor time used so far, in the kernel's ticks: of 10 ms, usually.
#[must_use]
pub fn ticks_of(pid: i32) -> u64 {
    // The fourteenth field.
    stat(pid, 11).and_then(|ticks| ticks.parse().ok()).unwrap_or_default()
}

/// Which processes a process has started, and not survived.
#[must_use]
pub fn children_of(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid, 1).and_then(|it| it.parse().ok()) == Some(parent)).collect()
}

/// Whether there is a process, if only until somebody asks how it has ended.
#[must_use]
pub fn is_there(pid: i32) -> bool {
    stat(pid, 0).is_some()
}

/// Ends processes at once, as the kernel does when there is no memory left. Some may have ended.
pub fn kill(pids: &[i32]) {
    let pids = pids.iter().map(|pid| format!(" {pid}")).collect::<String>();
    let ended = Command::new("sh").args(["-c", &format!("kill -9{pids}")]).output();
    ended.expect("a shell runs");
}

/// A field after the name of the process, which stands in parentheses and is the second.
fn stat(pid: i32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(field).map(str::to_owned)
}

fn status(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("/proc/{pid}/status has no {name}"))
        .trim()
        .to_owned()
}
