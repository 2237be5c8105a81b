//! What the kernel says about a backend, read from /proc.

use std::fs;

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
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is a name in parentheses; the user time is the fourteenth.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().nth(11).and_then(|ticks| ticks.parse().ok()).unwrap_or_default()
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
