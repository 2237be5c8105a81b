//! The signals that end and reload a background worker, handled as sessions do.

use std::ffi::c_int;

use pgrx::pg_sys;

// PostgreSQL's own handlers. What pgrx has under these names are functions of Rust that call them,
// which is nothing for a signal.
unsafe extern "C-unwind" {
    fn die(signal: c_int);
    fn SignalHandlerForConfigReload(signal: c_int);
}

/// Begins to receive signals.
pub fn accept() {
    let handle = |signal, handler: unsafe extern "C-unwind" fn(c_int)| {
        // SAFETY: handlers that PostgreSQL has for background workers.
        unsafe {
            #[cfg(not(feature = "pg18"))]
            pg_sys::pqsignal(signal, Some(handler));
            #[cfg(feature = "pg18")]
            pg_sys::pqsignal_be(signal, Some(handler));
        }
    };
    handle(pg_sys::SIGTERM as c_int, die);
    handle(pg_sys::SIGHUP as c_int, SignalHandlerForConfigReload);
    // SAFETY: the handlers are in place.
    unsafe { pg_sys::BackgroundWorkerUnblockSignals() };
}

/// Does what signals have asked for, and leaves when that is to end. To be called while there is
/// nothing that could be interrupted: no transaction, no JavaScript.
pub fn obey(leave: impl FnOnce()) {
    // SAFETY: flags of this process, which handlers set at any time, hence volatile.
    unsafe {
        if std::ptr::read_volatile(&raw const pg_sys::ProcDiePending) != 0 {
            leave();
        }
        // A cancellation that came too late for what it was meant for.
        std::ptr::write_volatile(&raw mut pg_sys::QueryCancelPending, 0);
        if std::ptr::read_volatile(&raw const pg_sys::InterruptPending) != 0 {
            pg_sys::ProcessInterrupts();
        }
        if std::ptr::read_volatile(&raw const pg_sys::ConfigReloadPending) != 0 {
            std::ptr::write_volatile(&raw mut pg_sys::ConfigReloadPending, 0);
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}
