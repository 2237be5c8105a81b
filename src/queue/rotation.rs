//! The two halves of the queue take turns: one is appended to, the other is emptied as soon as no
//! consumer needs anything that is in it.

use pgrx::pg_sys;
use pgrx::spi::SpiClient;

use crate::catalog::queue::newest;
use crate::catalog::{consumers, halves};
use crate::error::Result;
use crate::settings;

/// A half of this size has enough events to learn what they are like.
const ENOUGH: u64 = 64 << 10;

/// When a half has become so many times as large as it was, its events may be others.
const MUCH: u64 = 8;

/// What a rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// There was nothing to do, or somebody is in the way.
    Nothing,
    /// Events are compressed with a dictionary now.
    Learned,
    /// Events go to the other half now.
    Switched,
    /// The half that events do not go to is empty now.
    Emptied,
}

/// Takes the next step, in a transaction of its own and without waiting for anybody. To be called now
/// and then.
pub fn rotate() -> Result<Rotation> {
    // Before anything is read.
    if !halves::lock_state() {
        return Ok(Rotation::Nothing);
    }
    newest(|client| -> Result<_> {
        let half = halves::state(client)?.half;
        let other = 1 - half;
        let size = halves::bytes(client, half)?;
        if !halves::is_empty(client, other)? {
            if is_done(client, other)? {
                halves::empty(client, other)?;
                return Ok(Rotation::Emptied);
            }
        } else if size >= settings::queue_size() || halves::is_old(client, half)? {
            if size < ENOUGH {
                halves::switch(client, other, 0, &[])?;
            } else {
                halves::switch(client, other, ENOUGH, &halves::learn(client, half)?)?;
            }
            return Ok(Rotation::Switched);
        }
        if size >= ENOUGH.max(MUCH * halves::learned_at(client)?) {
            let learned = halves::learn(client, half)?;
            halves::switch(client, half, size, &learned)?;
            return Ok(Rotation::Learned);
        }
        Ok(Rotation::Nothing)
    })
}

/// Whether nobody needs a half any more. Then it is locked.
fn is_done(client: &mut SpiClient<'_>, half: usize) -> Result<bool> {
    consumers::follow(client, consumers::Start::Oldest)?;
    // Whoever has appended holds a lock until the transaction ends, so nothing in it is undecided
    // once this one is ours.
    if !halves::lock(half) {
        return Ok(false);
    }
    // SAFETY: a transaction is running; the snapshot is popped again unless an error ends it. It is
    // newer than the lock.
    let is_needed = unsafe {
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        let is_needed = halves::is_needed(client, half);
        pg_sys::PopActiveSnapshot();
        is_needed?
    };
    Ok(!is_needed)
}
