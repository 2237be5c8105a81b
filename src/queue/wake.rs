//! Waking the worker of this database, which sleeps while there is nothing to do.

use pgrx::pg_sys;

/// Has the process look whether there is something to do. Who has its number by now, if it is gone,
/// looks in vain.
pub fn wake(pid: i32) {
    // SAFETY: the entries of processes are in shared memory, and stay there when one ends; setting a
    // latch is allowed at any time.
    unsafe {
        let process = pg_sys::BackendPidGetProc(pid);
        if !process.is_null() {
            pg_sys::SetLatch(&raw mut (*process).procLatch);
        }
    }
}
