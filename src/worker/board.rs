//! The shared memory of a server that preloads the library: where sessions tell the launcher what
//! has changed, and workers tell it how they are. Without a lock: who tells something after a commit
//! may neither fail nor wait.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};

use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgAtomic, pg_shmem_init, pg_sys};

use super::ending::Ending;

/// Workers that a launcher can have at a time. PostgreSQL's own max_worker_processes is 8, unless
/// somebody raised it.
const POSTS: usize = 64;

/// Databases that can have changed before the launcher has looked at one of them; if there are more,
/// it looks at all.
const CHANGES: usize = 64;

/// Databases in which the workers are stopped.
const STOPPED: usize = 64;

// SAFETY: the name is this library's alone.
static BOARD: PgAtomic<Board> = unsafe { PgAtomic::new(c"posthog_plugins") };

/// Set in the postmaster, and inherited by all its children.
static IS_THERE: AtomicBool = AtomicBool::new(false);

pub struct Board {
    /// The launcher's, if there is one.
    latch: AtomicPtr<pg_sys::Latch>,
    changed: [AtomicU32; CHANGES],
    all_changed: AtomicBool,
    stopped: [AtomicU32; STOPPED],
    posts: [Post; POSTS],
}

// SAFETY: nothing but atomics, and a pointer to shared memory, which is at the same place in every
// child of the postmaster.
unsafe impl PGRXSharedMemory for Board {}

/// Has PostgreSQL set the memory aside. Only while libraries are preloaded.
pub fn request() {
    IS_THERE.store(true, Ordering::Relaxed);
    pg_shmem_init!(BOARD = Board::new());
}

/// `None` in a server that did not preload the library.
pub fn board() -> Option<&'static Board> {
    IS_THERE.load(Ordering::Relaxed).then(|| BOARD.get())
}

impl Board {
    fn new() -> Self {
        Board {
            latch: AtomicPtr::default(),
            changed: [const { AtomicU32::new(0) }; CHANGES],
            all_changed: AtomicBool::new(false),
            stopped: [const { AtomicU32::new(0) }; STOPPED],
            posts: [const { Post::new() }; POSTS],
        }
    }

    /// The launcher is there, or goes.
    pub fn set_launcher(&self, latch: *mut pg_sys::Latch) {
        self.latch.store(latch, Ordering::Release);
    }

    pub fn wake_launcher(&self) {
        let latch = self.latch.load(Ordering::Acquire);
        if !latch.is_null() {
            // SAFETY: a latch in shared memory. If its process is gone, it is nobody's or somebody
            // else's, who finds nothing to do.
            unsafe { pg_sys::SetLatch(latch) };
        }
    }

    /// Something has changed about a database: it, or the extension in it, is new, different or gone.
    pub fn tell(&self, database: Oid) {
        if !put(&self.changed, database) {
            self.all_changed.store(true, Ordering::Release);
        }
        self.wake_launcher();
    }

    /// Which databases have changed since the last call; `None` when too many to tell.
    pub fn take_changed(&self) -> Option<Vec<Oid>> {
        let all = self.all_changed.swap(false, Ordering::AcqRel);
        let changed: Vec<Oid> = self
            .changed
            .iter()
            .map(|cell| Oid::from(cell.swap(0, Ordering::AcqRel)))
            .filter(|database| *database != Oid::INVALID)
            .collect();
        (!all).then_some(changed)
    }

    /// Keeps workers away from a database, until [`Board::allow`]. False when there is no room for
    /// one more.
    pub fn stop(&self, database: Oid) -> bool {
        put(&self.stopped, database)
    }

    pub fn allow(&self, database: Oid) {
        for cell in &self.stopped {
            let _ =
                cell.compare_exchange(database.to_u32(), 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Forgets databases that are no more.
    pub fn keep_stopped(&self, databases: &[Oid]) {
        for cell in &self.stopped {
            let database = Oid::from(cell.load(Ordering::Acquire));
            if database != Oid::INVALID && !databases.contains(&database) {
                self.allow(database);
            }
        }
    }

    pub fn is_stopped(&self, database: Oid) -> bool {
        self.stopped.iter().any(|cell| cell.load(Ordering::Acquire) == database.to_u32())
    }

    pub fn posts(&self) -> &[Post] {
        &self.posts
    }

    pub fn post(&self, number: usize) -> Option<&Post> {
        self.posts.get(number)
    }

    /// The processes that work for a database.
    pub fn workers(&self, database: Oid) -> Vec<i32> {
        let at_work = |post: &&Post| post.database() == database && post.state() == State::Working;
        self.posts.iter().filter(at_work).map(|post| post.pid.load(Ordering::Acquire)).collect()
    }
}

/// Puts a database into a list, if it is not there. False when there is no room.
fn put(cells: &[AtomicU32], database: Oid) -> bool {
    let database = database.to_u32();
    cells.iter().any(|cell| cell.load(Ordering::Acquire) == database)
        || cells.iter().any(|cell| {
            cell.compare_exchange(0, database, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
}

/// The place of one worker: taken by the launcher, filled by the worker, and freed by the launcher.
pub struct Post {
    state: AtomicU32,
    database: AtomicU32,
    pid: AtomicI32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Free,
    Starting,
    Working,
    Ended(Ending),
}

impl Post {
    const fn new() -> Self {
        Post {
            state: AtomicU32::new(State::Free.to_u32()),
            database: AtomicU32::new(0),
            pid: AtomicI32::new(0),
        }
    }

    pub fn state(&self) -> State {
        State::from_u32(self.state.load(Ordering::Acquire))
    }

    pub fn database(&self) -> Oid {
        Oid::from(self.database.load(Ordering::Acquire))
    }

    /// For the launcher, which alone takes posts.
    pub fn take(&self, database: Oid) {
        self.database.store(database.to_u32(), Ordering::Relaxed);
        self.state.store(State::Starting.to_u32(), Ordering::Release);
    }

    pub fn free(&self) {
        self.pid.store(0, Ordering::Relaxed);
        self.database.store(0, Ordering::Relaxed);
        self.state.store(State::Free.to_u32(), Ordering::Release);
    }

    /// For the worker, which is up.
    pub fn begin(&self, pid: i32) {
        self.pid.store(pid, Ordering::Relaxed);
        self.state.store(State::Working.to_u32(), Ordering::Release);
    }

    pub fn end(&self, ending: Ending) {
        self.state.store(State::Ended(ending).to_u32(), Ordering::Release);
    }
}

impl State {
    const fn to_u32(self) -> u32 {
        match self {
            State::Free => 0,
            State::Starting => 1,
            State::Working => 2,
            State::Ended(Ending::Absent) => 3,
            State::Ended(Ending::Outdated) => 4,
            State::Ended(Ending::Spare) => 5,
            State::Ended(Ending::Asked) => 6,
            State::Ended(Ending::Failed) => 7,
        }
    }

    const fn from_u32(state: u32) -> Self {
        match state {
            0 => State::Free,
            1 => State::Starting,
            2 => State::Working,
            3 => State::Ended(Ending::Absent),
            4 => State::Ended(Ending::Outdated),
            5 => State::Ended(Ending::Spare),
            6 => State::Ended(Ending::Asked),
            _ => State::Ended(Ending::Failed),
        }
    }
}
