//! Who may do what: the one list of it. Whatever the schema has for others than its owner stands
//! here once; a test finds what was forgotten.

/// What `grant_role` gives. Each level has the rights of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Looks: the chain, logs and failures, without secrets, sources and events.
    Viewer,
    /// Decides what runs, and how; sees the events that failed.
    Editor,
    /// Decides which code there is.
    Admin,
}

impl Level {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "viewer" => Some(Level::Viewer),
            "editor" => Some(Level::Editor),
            "admin" => Some(Level::Admin),
            _ => None,
        }
    }
}

/// Something in the schema.
#[derive(Debug, Clone, Copy)]
pub enum Right {
    View(&'static str),
    /// Some columns of a view.
    Columns(&'static str, &'static str),
    /// All functions of the name.
    Call(&'static str),
}

use Level::{Admin, Editor, Viewer};
use Right::{Call, Columns, View};

const RIGHTS: &[(Level, Right)] = &[
    (Viewer, View("plugins")),
    (Viewer, View("configs")),
    (Viewer, View("chain")),
    (Viewer, View("logs")),
    (Viewer, View("stats")),
    (Viewer, View("library")),
    // PostgreSQL checks functions in a view against whoever reads the view.
    (Viewer, Call("_library")),
    (Viewer, Call("_counted")),
    (Viewer, Call("_waiting")),
    (Viewer, Call("_latency")),
    (Viewer, Call("health")),
    (Viewer, View("metrics")),
    (Viewer, View("workers")),
    (Viewer, Call("_workers")),
    // All but the event, which may hold what the role may not read in the table of events.
    (
        Viewer,
        Columns(
            "failures",
            "failed_at, plugin, team_id, label, kind, message, stack, failures, config_id",
        ),
    ),
    (Viewer, View("consumers")),
    (Viewer, View("monitoring")),
    (Viewer, View("queue")),
    (Viewer, View("backfills")),
    (Viewer, View("schedules")),
    // Likewise.
    (
        Viewer,
        Columns(
            "retries",
            "id, plugin, team_id, label, attempts, next_attempt_at, error, first_failed_at, failed_at, enqueued_at, config_id",
        ),
    ),
    (
        Viewer,
        Columns(
            "dead_letters",
            "id, plugin, team_id, label, attempts, error, first_failed_at, failed_at, enqueued_at, config_id",
        ),
    ),
    // Likewise.
    (
        Viewer,
        Columns(
            "captured",
            "id, plugin, team_id, label, state, attempts, next_attempt_at, error, failed_at, captured_at, depth, config_id",
        ),
    ),
    // All but the payload, which can be anything that the plugin has seen.
    (
        Viewer,
        Columns(
            "jobs",
            "id, plugin, team_id, label, name, run_at, attempts, error, enqueued_at, config_id",
        ),
    ),
    (
        Viewer,
        Columns(
            "runs",
            "id, plugin, team_id, label, kind, name, started_at, duration, outcome, error, attempts, config_id",
        ),
    ),
    (Editor, View("failures")),
    (Editor, View("captured")),
    (Editor, Call("retry_captured")),
    (Editor, Call("discard_captured")),
    (Editor, View("retries")),
    (Editor, View("dead_letters")),
    (Editor, Call("retry")),
    (Editor, Call("discard")),
    (Editor, Call("start_from")),
    (Editor, Call("set_filter")),
    (Editor, Call("backfill")),
    (Editor, Call("pause_backfill")),
    (Editor, Call("resume_backfill")),
    (Editor, Call("cancel_backfill")),
    (Editor, Call("run_job")),
    (Editor, Call("cancel_job")),
    (Editor, Call("configure")),
    (Editor, Call("set_attachment")),
    (Editor, Call("enable")),
    (Editor, Call("disable")),
    (Editor, Call("move")),
    (Editor, Call("resume")),
    (Editor, Call("reset_stats")),
    (Editor, Call("prune")),
    (Editor, Call("test")),
    (Editor, Call("test_source")),
    (Editor, Call("explain")),
    (Editor, Call("run_cases")),
    (Editor, Call("backtest")),
    // What plugins keep can be anything they have seen.
    (Admin, View("storage")),
    (Admin, View("cache")),
    (Admin, Call("_kept")),
    (Admin, View("jobs")),
    (Admin, View("runs")),
    (Admin, Call("install")),
    (Admin, Call("install_archive")),
    (Admin, Call("install_directory")),
    (Admin, Call("install_bundled")),
    (Admin, Call("rollback")),
    (Admin, Call("uninstall")),
    (Admin, Call("start_worker")),
    (Admin, Call("stop_worker")),
    // Public hosts only; what is near the server is for superusers.
    (Admin, Call("allow_hosts")),
    // As the caller, who has to own the table.
    (Admin, Call("attach")),
    (Admin, Call("detach")),
    (Admin, Call("capture_into")),
    (Admin, Call("process_row")),
    (Admin, Call("enqueue_rows")),
    // What is enqueued is given to plugins as if it had been stored.
    (Admin, Call("enqueue")),
    // As the caller, who has to have the right to insert.
    (Admin, Call("ingest")),
];

/// What a level may do.
pub fn rights(level: Level) -> impl Iterator<Item = Right> {
    RIGHTS.iter().filter(move |(least, _)| *least <= level).map(|(_, right)| *right)
}
