//! The one process that keeps workers where they are wanted. It looks at a database when that has
//! changed, by starting a worker there, which leaves if it does not find the extension; and it starts
//! workers again that have ended. It sleeps until something happens. PostgreSQL does not start it
//! before recovery has ended.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BackgroundWorkerStatus, DynamicBackgroundWorker,
};
use pgrx::pg_sys;
use pgrx::pg_sys::Oid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::board::{self, Board, Post, State};
use super::ending::Ending;
use super::{LIBRARY, process, signals, wait};
use crate::catalog::databases;
use crate::error::Error;
use crate::settings;

const KIND: &str = "posthog_plugins launcher";

/// After it was ended by force, or by an error. It is not in a hurry: workers go on without it.
const RESTARTED_AFTER: Duration = Duration::from_secs(5);

/// Before a worker is started again: who sent it away wants the database for a moment.
const PAUSE: Duration = Duration::from_secs(1);

/// The pause doubles with every failure up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A worker that has run for so long has not failed because of how things are.
const LONG: Duration = Duration::from_secs(60);

pub fn register() {
    BackgroundWorkerBuilder::new(KIND)
        .set_type(KIND)
        .set_library(LIBRARY)
        .set_function("posthog_plugins_launcher")
        .enable_spi_access()
        .set_restart_time(Some(RESTARTED_AFTER))
        .load();
}

/// Where the process begins.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn posthog_plugins_launcher(_argument: pg_sys::Datum) {
    signals::accept();
    let Some(board) = board::board() else { return };
    // Without a database: for what all of them share.
    BackgroundWorker::connect_worker_to_spi(None, None);
    // SAFETY: the latch of this process is in shared memory; a callback for the life of the process.
    unsafe {
        board.set_launcher(pg_sys::MyLatch);
        pg_sys::before_shmem_exit(Some(at_exit), pg_sys::Datum::from(0));
    }
    let mut launcher = Launcher::new(board);
    loop {
        // Not 0, after which it would not be started again.
        // SAFETY: plain call, outside of any transaction.
        signals::obey(|| unsafe { pg_sys::proc_exit(1) });
        let until = launcher.look_around();
        wait::wait(until, None);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_exit(_code: i32, _arg: pg_sys::Datum) {
    if let Some(board) = board::board() {
        board.set_launcher(std::ptr::null_mut());
    }
}

struct Launcher {
    board: &'static Board,
    homes: HashMap<Oid, Home>,
    /// By the numbers of their posts. A launcher that takes over from another has none, and does not
    /// need them once the workers are up.
    starting: HashMap<usize, DynamicBackgroundWorker>,
    /// None of `max_worker_processes` was free the last time.
    is_full: bool,
}

/// What is known about a database.
struct Home {
    standing: Standing,
    failures: u32,
    /// Not before then.
    next: Instant,
    /// When the last worker was started.
    started: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A worker will see.
    Unknown,
    HasExtension,
    /// Nothing to do until somebody says that it has changed.
    Nothing,
}

impl Home {
    fn new() -> Self {
        let now = Instant::now();
        Home { standing: Standing::Unknown, failures: 0, next: now, started: now }
    }

    fn ended(&mut self, ending: Ending) {
        let now = Instant::now();
        match ending {
            Ending::Absent | Ending::Outdated => self.standing = Standing::Nothing,
            Ending::Spare | Ending::Asked => {
                self.failures = 0;
                self.next = now + PAUSE;
            }
            Ending::Failed => {
                if now - self.started >= LONG {
                    self.failures = 0;
                }
                self.next = now + pause(self.failures);
                self.failures = self.failures.saturating_add(1);
            }
        }
    }

    fn wanted(&self) -> usize {
        let workers = usize::from(settings::workers());
        match self.standing {
            Standing::Unknown => workers.min(1),
            Standing::HasExtension => workers,
            Standing::Nothing => 0,
        }
    }
}

/// How long to wait after so many failures.
fn pause(failures: u32) -> Duration {
    PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_PAUSE)
}

impl Launcher {
    fn new(board: &'static Board) -> Self {
        for post in board.posts() {
            // What is not up cannot be told from what never will be.
            if post.state() == State::Starting {
                post.free();
            }
        }
        Launcher { board, homes: HashMap::new(), starting: HashMap::new(), is_full: false }
    }

    /// Does what there is to do, and returns when to look again if nothing happens.
    fn look_around(&mut self) -> Option<Instant> {
        match self.board.take_changed() {
            Some(changed) => self.homes.retain(|database, _| !changed.contains(database)),
            None => self.homes.clear(),
        }
        self.visit_posts();
        let databases = databases::open();
        self.board.keep_stopped(&databases);
        self.homes.retain(|database, _| databases.contains(database));
        let mut until = None;
        for database in databases {
            if let Some(then) = self.look_at(database) {
                until = Some(until.map_or(then, |until: Instant| until.min(then)));
            }
        }
        until
    }

    /// Sees which workers are up, and which have ended.
    fn visit_posts(&mut self) {
        let board = self.board;
        for (number, post) in board.posts().iter().enumerate() {
            let ending = match post.state() {
                State::Free => continue,
                State::Working => {
                    self.starting.remove(&number);
                    self.home(post.database()).standing = Standing::HasExtension;
                    continue;
                }
                State::Starting if !self.has_failed_to_start(number) => continue,
                // It can have come up, and said how it ended, since the state was read.
                State::Starting => match post.state() {
                    State::Ended(ending) => ending,
                    _ => Ending::Failed,
                },
                State::Ended(ending) => ending,
            };
            self.starting.remove(&number);
            self.home(post.database()).ended(ending);
            post.free();
        }
    }

    fn home(&mut self, database: Oid) -> &mut Home {
        self.homes.entry(database).or_insert_with(Home::new)
    }

    /// Whether a process that should be starting is no more.
    fn has_failed_to_start(&self, number: usize) -> bool {
        let status = self.starting.get(&number).map(DynamicBackgroundWorker::pid);
        matches!(status, Some(Err(BackgroundWorkerStatus::Stopped)))
    }

    /// Starts a worker there if one is wanted. Returns when to try again.
    fn look_at(&mut self, database: Oid) -> Option<Instant> {
        if self.board.is_stopped(database) {
            return None;
        }
        let now = Instant::now();
        let running = self.board.posts().iter().filter(|post| post.database() == database).count();
        let home = self.homes.entry(database).or_insert_with(Home::new);
        // One after the other: hundreds of databases are not to fill the server with workers.
        if running >= home.wanted()
            || (home.standing == Standing::Unknown && !self.starting.is_empty())
        {
            return None;
        }
        if now < home.next {
            return Some(home.next);
        }
        if databases::is_locked(database) {
            home.next = now + PAUSE;
            return Some(home.next);
        }
        home.started = now;
        if let Some((number, worker)) = start(self.board, database) {
            self.starting.insert(number, worker);
            self.is_full = false;
            // Others are started when it is up, or has found out that none is wanted.
            return None;
        }
        home.next = now + pause(home.failures);
        home.failures = home.failures.saturating_add(1);
        let next = home.next;
        self.tell_full();
        Some(next)
    }

    /// In the server's log, once until there was room again.
    fn tell_full(&mut self) {
        if std::mem::replace(&mut self.is_full, true) {
            return;
        }
        ErrorReport::from(Error::NoRoomForWorker).report(PgLogLevel::WARNING);
    }
}

/// Starts a worker for a free post. `None` when there is no post, or PostgreSQL has no place for one
/// more process.
fn start(board: &Board, database: Oid) -> Option<(usize, DynamicBackgroundWorker)> {
    let is_free = |(_, post): &(usize, &Post)| post.state() == State::Free;
    let (number, post) = board.posts().iter().enumerate().find(is_free)?;
    post.take(database);
    let worker = process::start(database, Some(number));
    if worker.is_none() {
        post.free();
    }
    Some((number, worker?))
}
