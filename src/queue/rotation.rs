//! The two halves of the queue take turns: one is appended to, the other is emptied as soon as no
//! consumer needs anything that is in it.

use pgrx::pg_sys;

use crate::catalog::consumers;
use crate::catalog::queue::{self, newest};
use crate::error::Result;
use crate::settings;

/// What a rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// There was nothing to do, or somebody is in the way.
    Nothing,
    /// Events go to the other half now.
    Switched,
    /// The half that events do not go to is empty now.
    Emptied,
}

/// Takes the next step, in a transaction of its own and without waiting for anybody. To be called now
/// and then.
pub fn rotate() -> Result<Rotation> {
    newest(|client| -> Result<_> {
        let half = queue::state(client)?.half;
        let other = 1 - half;
        if queue::is_empty(client, other)? {
            let is_due = queue::bytes(client, half)? >= settings::queue_size()
                || queue::is_old(client, half)?;
            if is_due {
                queue::switch(client, other)?;
                return Ok(Rotation::Switched);
            }
            return Ok(Rotation::Nothing);
        }
        consumers::follow(client, consumers::Start::Oldest)?;
        // Whoever has appended holds a lock until the transaction ends, so nothing in it is undecided
        // once this one is ours.
        if !queue::lock(other) {
            return Ok(Rotation::Nothing);
        }
        // SAFETY: a transaction is running; the snapshot is popped again unless an error ends it. It
        // is newer than the lock.
        let is_needed = unsafe {
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
            let is_needed = queue::is_needed(client, other);
            pg_sys::PopActiveSnapshot();
            is_needed?
        };
        if is_needed {
            return Ok(Rotation::Nothing);
        }
        queue::empty(client, other)?;
        Ok(Rotation::Emptied)
    })
}
