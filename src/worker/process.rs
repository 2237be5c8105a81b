//! The life of a worker: it connects to its database, takes a seat, and does its duties until it is
//! told to go, or the extension is not there any more.

use std::ffi::CStr;
use std::time::{Duration, Instant};

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, DynamicBackgroundWorker};
use pgrx::pg_sys;
use pgrx::pg_sys::Oid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::board::{self, Post, State};
use super::ending::{self, Ending};
use super::tidying::Tidying;
use super::{Duty, LIBRARY, Next, seat, signals, transaction, wait, yielding};
use crate::capturing::Capturing;
use crate::catalog::Standing;
use crate::dispatch::Dispatch;
use crate::{catalog, settings};

/// What `pg_stat_activity` has as the kind of its process.
pub const KIND: &str = "posthog_plugins worker";

/// A session that has not loaded the library can drop the extension without anybody being told.
const LONGEST_SLEEP: Duration = Duration::from_secs(60 * 60);

/// Nobody is told when a prepared transaction is committed.
const DECIDED_IN: Duration = Duration::from_secs(1);

/// What settings have to be, whatever the database has: its owner must not change what a worker does.
/// And nobody who has a table for himself for a while keeps it from its other duties; where it and somebody
/// else wait for one another, the worker is the one that notices first, and gives way.
const SETTINGS: [(&CStr, &CStr); 7] = [
    (c"deadlock_timeout", c"100ms"),
    (c"lock_timeout", c"10s"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
    (c"role", c"none"),
    (c"session_replication_role", c"origin"),
    (c"search_path", c"pg_catalog, pg_temp"),
];

/// Has the postmaster start a worker for a database; who asks for it hears of its start and end. With
/// a launcher, it is for the post with that number. `None` when all of `max_worker_processes` are in
/// use.
pub fn start(database: Oid, post: Option<usize>) -> Option<DynamicBackgroundWorker> {
    let post = post.map(|number| format!(" {number}")).unwrap_or_default();
    BackgroundWorkerBuilder::new(&format!("{KIND} for database {}", database.to_u32()))
        .set_type(KIND)
        .set_library(LIBRARY)
        .set_function("posthog_plugins_worker")
        .set_extra(&format!("{}{post}", database.to_u32()))
        .enable_spi_access()
        // Whoever starts it knows better whether and when to do so again.
        .set_restart_time(None)
        // SAFETY: the process's own number.
        .set_notify_pid(unsafe { pg_sys::MyProcPid })
        .load_dynamic()
        .ok()
}

/// What [`start`] has said.
struct Orders {
    database: Oid,
    post: Option<&'static Post>,
}

impl Orders {
    fn read() -> Option<Self> {
        let mut words = BackgroundWorker::get_extra().split(' ');
        let database = Oid::from(words.next()?.parse::<u32>().ok()?);
        let post = match words.next() {
            Some(number) => {
                let post = board::board()?.post(number.parse().ok()?)?;
                // A launcher that came after the one that gave the orders has others.
                let is_open = post.state() == State::Starting && post.database() == database;
                Some(is_open.then_some(post)?)
            }
            None => None,
        };
        Some(Orders { database, post })
    }
}

/// Where the process begins.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn posthog_plugins_worker(_argument: pg_sys::Datum) {
    signals::accept();
    let Some(orders) = Orders::read() else { ending::leave(Ending::Spare) };
    if let Some(post) = orders.post {
        ending::announce(post);
    }
    connect(orders.database);
    yielding::begin();
    stay_if_wanted();
    let Some(seat) = seat::take(settings::workers()) else { ending::leave(Ending::Spare) };
    name(seat);
    if let (Some(post), Some(board)) = (orders.post, board::board()) {
        // SAFETY: the process's own number.
        post.begin(unsafe { pg_sys::MyProcPid });
        board.wake_launcher();
    }
    let mut duties: Vec<Box<dyn Duty>> =
        vec![Box::new(Tidying::new()), Box::new(Capturing::new()), Box::new(Dispatch::new())];
    let mut woken = true;
    let mut undecided = false;
    loop {
        signals::obey(|| ending::leave(Ending::Asked));
        if woken {
            stay_if_wanted();
            undecided = is_undecided();
        }
        if seat > settings::workers() {
            ending::leave(Ending::Spare);
        }
        let next = duties.iter_mut().fold(Next::IDLE, |next, duty| next.or(duty.work(woken)));
        // Reset before the next look, so that whoever wakes it from here on is not missed.
        woken = wait::take_latch();
        if let Next::Idle { until } = next
            && !woken
        {
            rest(duties.iter().map(|duty| duty.calls()).sum());
            let longest = Instant::now() + if undecided { DECIDED_IN } else { LONGEST_SLEEP };
            let network = duties.iter().find_map(|duty| duty.network());
            woken = wait::wait(Some(until.map_or(longest, |until| until.min(longest))), network);
            woken |= undecided;
        }
    }
}

/// As the superuser that every server has, which nobody can lock out: the tables are then used as
/// their owner, as everywhere.
fn connect(database: Oid) {
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
    for (name, value) in SETTINGS {
        set(name, value);
    }
}

fn name(seat: u16) {
    let name = format!("{KIND} {seat}\0");
    if let Ok(name) = CStr::from_bytes_with_nul(name.as_bytes()) {
        set(c"application_name", name);
    }
}

fn set(name: &CStr, value: &CStr) {
    // SAFETY: settings of PostgreSQL's with values that are valid for them, set as autovacuum sets
    // its own.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// Leaves where there is nothing to do for it.
fn stay_if_wanted() {
    // SAFETY: set when the process was connected.
    let database = unsafe { pg_sys::MyDatabaseId };
    if board::board().is_some_and(|board| board.is_stopped(database)) {
        ending::leave(Ending::Spare);
    }
    let standing = transaction(c"looking for the extension", catalog::standing);
    match standing {
        // None: the log says why, and what comes next will show whether that is over.
        Some(Standing::Current) | None => {}
        Some(Standing::Absent) => ending::leave(Ending::Absent),
        Some(Standing::Other(error)) => {
            ErrorReport::from(error).report(PgLogLevel::WARNING);
            ending::leave(Ending::Outdated)
        }
    }
}

/// Whether there are transactions that may be committed without a word.
fn is_undecided() -> bool {
    settings::allow_prepared()
        && transaction(c"looking for prepared transactions", catalog::has_prepared) == Some(true)
}

/// Tells what was done, and shows what it waits for: calls that are under way, or something to do.
fn rest(calls: usize) {
    let (state, activity) = match calls {
        0 => (pg_sys::BackendState::STATE_IDLE, None),
        1 => (pg_sys::BackendState::STATE_RUNNING, Some("waiting for 1 call\0".to_owned())),
        _ => (pg_sys::BackendState::STATE_RUNNING, Some(format!("waiting for {calls} calls\0"))),
    };
    // SAFETY: outside of any transaction.
    unsafe {
        // Numbers of rows that were added and removed, for autovacuum to see.
        let _ = pg_sys::pgstat_report_stat(true);
        let activity = activity.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        pg_sys::pgstat_report_activity(state, activity.cast());
    }
}
