//! What the operator calls: start, stop, and see the workers of this database.

// pgrx takes errors as this type, whose size does not matter in a call that fails.
#![allow(clippy::result_large_err)]

use std::time::{Duration, Instant};

use pgrx::bgworkers::BackgroundWorkerStatus;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::board::{self, Board};
use super::wait::nap;
use super::{hooks, process, seat};
use crate::catalog::workers;
use crate::error::{Error, Result};
use crate::settings;

/// How often a change of state is looked for.
const PAUSE: Duration = Duration::from_millis(10);

/// A worker is up after some milliseconds, unless the server is busy, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a worker for this database, unless there are enough, and returns the process that works.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn start_worker() -> std::result::Result<i32, ErrorReport> {
    // SAFETY: plain look-ups of the session.
    let (database, in_recovery) = unsafe { (pg_sys::MyDatabaseId, pg_sys::RecoveryInProgress()) };
    if in_recovery {
        return Err(Error::InRecovery.into());
    }
    if settings::workers() == 0 {
        return Err(Error::NoWorkers.into());
    }
    let pid = match board::board() {
        Some(board) => {
            board.allow(database);
            board.tell(database);
            up(|_| true, || false)
        }
        None => start_here(database),
    };
    Ok(pid?)
}

/// Ends the workers of this database, and returns how many that were.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
fn stop_worker() -> std::result::Result<i32, ErrorReport> {
    // SAFETY: set when the session was connected.
    let database = unsafe { pg_sys::MyDatabaseId };
    if board::board().is_some_and(|board: &Board| !board.stop(database)) {
        return Err(Error::TooManyStopped.into());
    }
    let pids = running()?;
    pids.iter().for_each(|pid| hooks::terminate(*pid));
    while running()?.iter().any(|pid| pids.contains(pid)) {
        nap(PAUSE);
    }
    Ok(pids.len() as i32)
}

/// Behind the view `workers`.
#[pg_extern(schema = "posthog_plugins", requires = [api::posthog_plugins])]
#[allow(clippy::type_complexity)]
fn _workers() -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(number, i32),
            name!(pid, i32),
            name!(started_at, Option<TimestampWithTimeZone>),
            name!(state, Option<String>),
            name!(activity, Option<String>),
            name!(since, Option<TimestampWithTimeZone>),
        ),
    >,
    ErrorReport,
> {
    Ok(TableIterator::new(workers::all(seat::KEY, seat::SUBKEY).map_err(Error::from)?))
}

/// Where there is no launcher.
fn start_here(database: pg_sys::Oid) -> Result<i32> {
    let running = running()?;
    if let Some(first) = running.first()
        && running.len() >= usize::from(settings::workers())
    {
        return Ok(*first);
    }
    let worker = process::start(database, None).ok_or(Error::NoRoomForWorker)?;
    let is_it = |pid| worker.pid().is_ok_and(|its| its == pid);
    up(is_it, || matches!(worker.pid(), Err(BackgroundWorkerStatus::Stopped)))
}

/// Waits until such a process has a seat.
fn up(is_it: impl Fn(i32) -> bool, is_over: impl Fn() -> bool) -> Result<i32> {
    let patience = Instant::now() + PATIENCE;
    while Instant::now() < patience && !is_over() {
        if let Some(pid) = running()?.into_iter().find(|pid| is_it(*pid)) {
            return Ok(pid);
        }
        nap(PAUSE);
    }
    Err(Error::WorkerDidNotStart)
}

fn running() -> Result<Vec<i32>> {
    Ok(workers::processes(seat::KEY, seat::SUBKEY)?)
}
