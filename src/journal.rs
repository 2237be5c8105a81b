//! What plugins say and how they fail, on its way into the tables: kept in memory, written in bulk
//! before the transaction commits. What cannot be written, because the transaction aborts, is
//! read-only or a parallel worker's, goes to the server's log instead.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Instant;

use engine::{Failure, FailureKind, LogLine, Program};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::catalog::log::{self, ErrorRow, LogRow};
use crate::{settings, upkeep};

/// Bytes that are held before they are written ahead of the commit: a load of a million rows, each
/// of which logs, must not keep it all in memory.
const MOST_BYTES: usize = 128 << 10;

/// The same inside a savepoint, whose end would take what was written with it, and in a parallel
/// query, which must not write.
const MOST_BYTES_HELD_BACK: usize = 16 << 20;

/// Fields of a plugin that are told to have no column: one that makes up names for each event would
/// fill the log.
const MOST_LEFT_OUT: usize = 100;

/// What a row takes besides its texts.
const ROW_BYTES: usize = 128;

#[derive(Default)]
struct Journal {
    lines: Vec<LogRow>,
    errors: Vec<ErrorRow>,
    /// About how many bytes are in both.
    bytes: usize,
    /// How often the running transaction wrote ahead of its commit.
    written_ahead: u32,
    failing: HashMap<i32, Failing>,
    /// Fields without a column that a config was told about, by config and table.
    left_out: HashMap<(i32, pg_sys::Oid), HashSet<String>>,
}

/// A config that has failed.
#[derive(Default)]
struct Failing {
    last: Option<Instant>,
    /// The last failure was the first after some time without one.
    begins: bool,
    /// When a failure was last stored.
    stored: Option<Instant>,
    /// How many came since.
    uncounted: i64,
}

thread_local! {
    static JOURNAL: RefCell<Journal> = RefCell::default();
}

/// A line of a plugin's console. Called while JavaScript is on the stack, so it only remembers.
pub fn console(line: LogLine<'_>) {
    JOURNAL.with_borrow_mut(|journal| {
        journal.bytes += ROW_BYTES + line.message.len();
        journal.lines.push(LogRow {
            at: now(),
            config_id: line.program,
            plugin: line.plugin.to_owned(),
            source: "CONSOLE",
            level: line.level.to_string(),
            message: line.message.to_owned(),
        });
    });
}

/// Whether a failure of the config is to be stored, and counts it. The first one is; while the
/// config goes on failing, one in each `error_interval`.
pub fn is_due(config_id: i32) -> bool {
    JOURNAL.with_borrow_mut(|journal| {
        let failing = journal.failing.entry(config_id).or_default();
        failing.uncounted += 1;
        let (now, interval) = (Instant::now(), settings::error_interval());
        let is_over = |since: Option<Instant>| since.is_none_or(|since| now - since >= interval);
        failing.begins = is_over(failing.last.replace(now));
        is_over(failing.stored)
    })
}

/// A failure that is to be stored.
pub fn failure(config_id: i32, plugin: &str, failure: Failure, event: Option<&[u8]>) {
    JOURNAL.with_borrow_mut(|journal| {
        let failing = journal.failing.entry(config_id).or_default();
        failing.stored = Some(Instant::now());
        let failures = std::mem::take(&mut failing.uncounted).max(1);
        if std::mem::take(&mut failing.begins) {
            upkeep::announce(config_id, kind_name(failure.kind));
        }
        let at = now();
        journal.bytes += 2 * (ROW_BYTES + failure.message.len()) + event.map_or(0, <[u8]>::len);
        journal.lines.push(LogRow {
            at,
            config_id,
            plugin: plugin.to_owned(),
            source: "PLUGIN",
            level: "ERROR".to_owned(),
            message: failure.message.clone(),
        });
        journal.errors.push(ErrorRow {
            at,
            config_id,
            kind: kind_name(failure.kind),
            message: failure.message,
            stack: failure.stack,
            event: event.map(<[u8]>::to_vec),
            failures,
        });
    });
}

/// A field of a plugin's that the table has no place for. Told once while the plugin's realm lives.
pub fn field_left_out(
    program: &Program,
    table: pg_sys::Oid,
    field: &str,
    message: impl FnOnce() -> String,
) {
    JOURNAL.with_borrow_mut(|journal| {
        let told = journal.left_out.entry((program.id, table)).or_default();
        if told.contains(field) || told.len() >= MOST_LEFT_OUT {
            return;
        }
        told.insert(field.to_owned());
        // A plugin can name a field after its secret.
        let message = program.redact(message());
        journal.bytes += ROW_BYTES + message.len();
        journal.lines.push(LogRow {
            at: now(),
            config_id: program.id,
            plugin: program.plugin.clone(),
            source: "SYSTEM",
            level: "WARN".to_owned(),
            message,
        });
    });
}

/// The config is not what it was: its next failure is news, and so is what it was told before.
pub fn forget(config_id: i32) {
    JOURNAL.with_borrow_mut(|journal| {
        journal.failing.remove(&config_id);
        journal.left_out.retain(|(config, _), _| *config != config_id);
    });
}

/// Writes what is waiting if it has become much. Not to be called while JavaScript is on the stack.
pub fn relieve() {
    let (bytes, written) = JOURNAL.with_borrow(|journal| (journal.bytes, journal.written_ahead));
    // Each time twice as much, up to 2 MB: PostgreSQL keeps track of 64 subtransactions at no cost.
    if bytes < (MOST_BYTES << written.min(4)) {
        return;
    }
    // SAFETY: reads the state of the running transaction.
    let hold_back =
        unsafe { pg_sys::GetCurrentTransactionNestLevel() > 1 || pg_sys::IsInParallelMode() };
    if !hold_back || bytes >= MOST_BYTES_HELD_BACK {
        JOURNAL.with_borrow_mut(|journal| journal.written_ahead += 1);
        flush();
    }
}

pub fn kind_name(kind: FailureKind) -> &'static str {
    use FailureKind as Kind;
    match kind {
        Kind::Threw => "threw",
        Kind::UnhandledRejection => "unhandled rejection",
        Kind::NotLoaded => "not loaded",
        Kind::TimedOut => "timed out",
        Kind::NeverSettles => "never settles",
        Kind::OutOfMemory => "out of memory",
        Kind::StackOverflow => "stack overflow",
        Kind::Interrupted => "interrupted",
        Kind::BadResult => "bad result",
        Kind::TeamChanged => "team changed",
        Kind::NotFound => "not found",
        Kind::Undelivered => "undelivered",
        Kind::Suspended => "suspended",
    }
}

fn now() -> TimestampWithTimeZone {
    pgrx::datum::clock_timestamp()
}

fn take() -> (Vec<LogRow>, Vec<ErrorRow>) {
    JOURNAL.with_borrow_mut(|journal| {
        journal.bytes = 0;
        (std::mem::take(&mut journal.lines), std::mem::take(&mut journal.errors))
    })
}

fn flush() {
    let (lines, errors) = take();
    if lines.is_empty() && errors.is_empty() {
        return;
    }
    // SAFETY: flags and functions of the running transaction.
    let read_only = unsafe {
        pg_sys::XactReadOnly || pg_sys::RecoveryInProgress() || pg_sys::IsInParallelMode()
    };
    if read_only {
        return tell_the_server(&lines);
    }
    match log::write(&lines, &errors) {
        Ok(()) => upkeep::wrote(lines.len()),
        Err(reason) => {
            tell(format!("the plugins' log could not be written: {reason}"));
            tell_the_server(&lines);
        }
    }
}

/// The errors are among the lines.
fn tell_the_server(lines: &[LogRow]) {
    for line in lines {
        tell(format!("plugin \"{}\" {}: {}", line.plugin, line.level, line.message));
    }
}

/// Not to the client, whoever that is: what plugins log is behind a grant.
pub fn tell(message: String) {
    ereport!(PgLogLevel::LOG_SERVER_ONLY, PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message);
}

/// Listens to the ends of transactions.
pub fn register() {
    // SAFETY: a callback for the life of the process, without an argument.
    unsafe { pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut()) };
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _arg: *mut core::ffi::c_void,
) {
    use pg_sys::XactEvent::*;
    if matches!(event, XACT_EVENT_COMMIT | XACT_EVENT_ABORT | XACT_EVENT_PREPARE) {
        JOURNAL.with_borrow_mut(|journal| journal.written_ahead = 0);
    }
    match event {
        XACT_EVENT_PRE_COMMIT => {
            flush();
            upkeep::before_commit();
        }
        // What is prepared may be rolled back, and must not notify: the rest waits for a commit.
        XACT_EVENT_PRE_PREPARE | XACT_EVENT_PARALLEL_PRE_COMMIT => flush(),
        XACT_EVENT_COMMIT => upkeep::after_commit(),
        XACT_EVENT_PREPARE => upkeep::after_prepare(),
        XACT_EVENT_ABORT | XACT_EVENT_PARALLEL_ABORT => {
            // What was told is not in the log.
            JOURNAL.with_borrow_mut(|journal| journal.left_out.clear());
            tell_the_server(&take().0);
            upkeep::after_abort();
        }
        _ => {}
    }
}
