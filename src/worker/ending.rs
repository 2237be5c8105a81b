//! How a worker ends, and that the launcher hears of it.

use std::cell::Cell;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::board::{self, Post};

/// Why a worker is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The database does not have the extension.
    Absent,
    /// The extension in the database is of another version than the library.
    Outdated,
    /// There are as many workers as there should be.
    Spare,
    /// Somebody sent SIGTERM while it had nothing to do: a shutdown, or who wants the database for
    /// himself.
    Asked,
    /// Anything else.
    Failed,
}

thread_local! {
    static ENDING: Cell<Ending> = const { Cell::new(Ending::Failed) };
    static POST: Cell<Option<&'static Post>> = const { Cell::new(None) };
}

/// Has the launcher be told when this process ends, however that happens.
pub fn announce(post: &'static Post) {
    POST.set(Some(post));
    // SAFETY: a callback for the life of the process.
    unsafe { pg_sys::before_shmem_exit(Some(at_exit), pg_sys::Datum::from(0)) };
}

#[pg_guard]
unsafe extern "C-unwind" fn at_exit(_code: i32, _arg: pg_sys::Datum) {
    if let Some(post) = POST.take() {
        post.end(ENDING.get());
    }
    if let Some(board) = board::board() {
        board.wake_launcher();
    }
}

/// Ends the process in peace.
pub fn leave(ending: Ending) -> ! {
    ENDING.set(ending);
    // SAFETY: outside of any transaction; what is open is closed by the callbacks of its owners.
    unsafe { pg_sys::proc_exit(0) }
}
