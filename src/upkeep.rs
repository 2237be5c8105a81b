//! What a session does besides at the end of a transaction, now and then: it writes down what its
//! plugins have done and that they are paused, notifies those who listen, and, unless a worker does
//! that, removes what is old. Nothing here waits for another session, and nothing ends the
//! transaction.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::catalog::pauses::{self, PauseRow};
use crate::catalog::{attempt, metrics as stored_metrics, notices, retention, stats as stored};
use crate::{journal, metrics, settings, stats, worker};

/// Finding nothing to remove takes some microseconds, which is much for every insert and nothing once
/// a minute.
const PRUNED_EVERY: Duration = Duration::from_secs(60);

/// Removed rows at a time, besides twice as many as were added: what is there gets less, and no
/// insert is held up for more than some milliseconds.
const PRUNED_AT_ONCE: i64 = 1000;

#[derive(Default)]
struct Upkeep {
    pauses: Vec<PauseRow>,
    notices: Vec<Notice>,
    /// Configs whose counts are not wanted if the transaction commits.
    resets: Vec<i32>,
    /// When counts were last written.
    counted: Option<Instant>,
    pruned: Option<Instant>,
    /// Rows that were written since and will be removed some time.
    passing: i64,
    /// The transaction that is ending has written all of it.
    written: bool,
    /// The last attempt to write failed: the next one waits for its time.
    failed: bool,
}

/// That a config begins to fail.
struct Notice {
    channel: String,
    config_id: i32,
    kind: &'static str,
}

thread_local! {
    static UPKEEP: RefCell<Upkeep> = RefCell::default();
}

/// A config begins to fail.
pub fn announce(config_id: i32, kind: &'static str) {
    if let Some(channel) = settings::failure_channel() {
        let notice = Notice { channel, config_id, kind };
        UPKEEP.with_borrow_mut(|upkeep| upkeep.notices.push(notice));
    }
}

/// A config pauses itself.
pub fn pause(config_id: i32, reason: String) {
    let until = Instant::now() + settings::pause_duration();
    let channel = settings::failure_channel();
    UPKEEP.with_borrow_mut(|upkeep| {
        upkeep.pauses.push(PauseRow { config_id, until, reason, channel });
    });
}

/// Whether only this session knows that a config is paused.
pub fn is_pausing(config_id: i32) -> bool {
    UPKEEP.with_borrow(|upkeep| upkeep.pauses.iter().any(|pause| pause.config_id == config_id))
}

/// The config is not what it was, or has been told to go on.
pub fn forget(config_id: i32) {
    UPKEEP.with_borrow_mut(|upkeep| upkeep.pauses.retain(|pause| pause.config_id != config_id));
}

/// Counting begins anew with the commit.
pub fn reset(config_ids: Vec<i32>) {
    UPKEEP.with_borrow_mut(|upkeep| upkeep.resets.extend(config_ids));
}

/// Rows were written that will be past their time: lines of the log, keys that expire.
pub fn wrote(passing: usize) {
    UPKEEP.with_borrow_mut(|upkeep| upkeep.passing += passing as i64);
}

/// While the transaction can still write.
pub fn before_commit() {
    UPKEEP.with_borrow_mut(|upkeep| upkeep.resets.drain(..).for_each(stats::clear_one));
    let (counts_due, told, prune_due, most) = UPKEEP.with_borrow(|upkeep| {
        let is_over = |since: Option<Instant>, interval| {
            since.is_none_or(|since: Instant| since.elapsed() >= interval)
        };
        (
            stats::is_any() && is_over(upkeep.counted, settings::stats_interval()),
            !upkeep.failed && (!upkeep.pauses.is_empty() || !upkeep.notices.is_empty()),
            upkeep.passing > 0 && is_over(upkeep.pruned, PRUNED_EVERY),
            PRUNED_AT_ONCE + 2 * upkeep.passing,
        )
    });
    // SAFETY: flags and functions of the running transaction.
    let read_only =
        || unsafe { pg_sys::XactReadOnly || pg_sys::RecoveryInProgress() || is_vacuum() };
    if !(counts_due || told || prune_due) || read_only() {
        return;
    }
    let mut folded_from = None;
    if (counts_due || told) && can_write() {
        // Not borrowed meanwhile: an error that ends the session would come back here. Pauses stay
        // until they are committed.
        let (pausing, failing) = UPKEEP.with_borrow_mut(|upkeep| {
            upkeep.counted = Some(Instant::now());
            (upkeep.pauses.clone(), std::mem::take(&mut upkeep.notices))
        });
        let written = attempt(|client| {
            folded_from = stored::write(client, &stats::counted())?;
            stored_metrics::write(client, &metrics::measured())?;
            pausing.iter().try_for_each(|pause| pauses::write(client, pause))?;
            failing.iter().try_for_each(|Notice { channel, config_id, kind }| {
                notices::send(client, channel, *config_id, kind)
            })
        });
        UPKEEP.with_borrow_mut(|upkeep| {
            upkeep.written = written.is_ok();
            upkeep.failed = written.is_err();
        });
        report(written);
    }
    if !(prune_due || folded_from.is_some()) {
        return;
    }
    if worker::is_here() {
        leave_to_worker(folded_from.is_some());
    } else {
        tidy(prune_due.then_some(most), folded_from);
    }
}

/// It knows by itself when something is past its time.
fn leave_to_worker(is_to_fold: bool) {
    if is_to_fold {
        worker::wake_at_commit();
    }
    UPKEEP.with_borrow_mut(|upkeep| {
        upkeep.pruned = Some(Instant::now());
        upkeep.passing = 0;
    });
}

/// Whether the transaction is one that others' snapshots take for over: nobody would see its rows.
///
/// # Safety
/// A transaction is running.
unsafe fn is_vacuum() -> bool {
    // SAFETY: the process has its entry among all processes' for as long as it runs.
    unsafe {
        #[cfg(not(feature = "pg13"))]
        let flags = (*pg_sys::MyProc).statusFlags;
        #[cfg(feature = "pg13")]
        let flags = (*pg_sys::MyPgXact).vacuumFlags;
        u32::from(flags) & pg_sys::PROC_IN_VACUUM != 0
    }
}

/// Whether the tables are there and nobody holds them: `DROP EXTENSION` and `VACUUM FULL` do.
fn can_write() -> bool {
    // SAFETY: look-ups, and a lock that is taken only if it is free.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"posthog_plugins".as_ptr(), true);
        let table = pg_sys::get_relname_relid(c"plugin_stat".as_ptr(), schema);
        if table == pg_sys::InvalidOid {
            // What it is about is gone with it.
            stats::clear();
            metrics::clear();
            UPKEEP.with_borrow_mut(|upkeep| (upkeep.pauses.clear(), upkeep.notices.clear()));
            return false;
        }
        pg_sys::ConditionalLockRelationOid(table, pg_sys::RowExclusiveLock as i32)
    }
}

/// Not under a snapshot from before somebody else's removals: what they removed would be an error.
fn tidy(prune: Option<i64>, folded_from: Option<i64>) {
    // SAFETY: the running transaction's.
    if unsafe { pg_sys::XactIsoLevel } >= pg_sys::XACT_REPEATABLE_READ as i32 {
        return;
    }
    UPKEEP.with_borrow_mut(|upkeep| {
        if prune.is_some() {
            upkeep.pruned = Some(Instant::now());
            upkeep.passing = 0;
        }
    });
    report(attempt(|client| {
        if let Some(first) = folded_from {
            stored::fold(client, first)?;
            stored_metrics::fold(client)?;
        }
        if prune.is_some() {
            retention::prune(client, prune)?;
        }
        Ok(())
    }));
}

fn report(attempted: Result<(), String>) {
    if let Err(reason) = attempted {
        journal::tell(format!("the plugins' statistics could not be written: {reason}"));
    }
}

/// What was written stays.
pub fn after_commit() {
    UPKEEP.with_borrow_mut(|upkeep| {
        if std::mem::take(&mut upkeep.written) {
            stats::clear();
            metrics::clear();
            upkeep.pauses.clear();
        }
    });
}

/// What was to be reset goes with the transaction, which is over for this session.
pub fn after_prepare() {
    UPKEEP.with_borrow_mut(|upkeep| upkeep.resets.clear());
}

/// Counts and pauses wait for another transaction. What nobody will find in the tables is not
/// announced.
pub fn after_abort() {
    UPKEEP.with_borrow_mut(|upkeep| {
        upkeep.written = false;
        upkeep.notices.clear();
        upkeep.resets.clear();
    });
}

/// Has the session write the rest when its client leaves.
pub fn register() {
    // SAFETY: a callback for the life of the process. It runs before PostgreSQL's own, which end the
    // access to the database.
    unsafe { pg_sys::before_shmem_exit(Some(at_exit), pg_sys::Datum::from(0)) };
}

#[pg_guard]
unsafe extern "C-unwind" fn at_exit(code: i32, _arg: pg_sys::Datum) {
    // A session that is ended by force has no time for this, and a parallel worker cannot write.
    // SAFETY: set once, when the process begins.
    let is_worker = unsafe { pg_sys::ParallelWorkerNumber } >= 0;
    if code != 0 || is_worker || !stats::is_any() {
        return;
    }
    UPKEEP.with_borrow_mut(|upkeep| upkeep.counted = None);
    // SAFETY: as PostgreSQL itself does it to remove temporary tables, from the same place. The
    // writing is that of every commit.
    unsafe {
        pg_sys::AbortOutOfAnyTransaction();
        pg_sys::StartTransactionCommand();
        // Nobody is to wait for the disk, or for a standby.
        pg_sys::set_config_option(
            c"synchronous_commit".as_ptr(),
            c"off".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            0,
            false,
        );
        pg_sys::CommitTransactionCommand();
    }
}
