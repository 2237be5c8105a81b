//! Writing what a transaction has changed.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use engine::store::{Change, Changed, ChangedKey, Key, Pending};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::snapshot;
use crate::catalog::{as_owner, attempt, kept, tasks};
use crate::error::Error;
use crate::{upkeep, worker};

/// Rows of a key that a reader may meet before the next writer folds them.
const MANY_ROWS: usize = 8;

/// One in so many writers looks whether a key that nobody reads has many.
const LOOKED_AT_ONCE_IN: u64 = 16;

/// Writes everything. An error ends the transaction: what a plugin was told to be stored is stored,
/// or none of it has happened. `is_first`: the transaction has written nothing before; rows of one
/// that is not over are no part of a base, as two would be made.
pub fn write(changed: Changed, is_first: bool) {
    let Changed { keys, tasks } = changed;
    if keys.is_empty() && tasks.is_empty() || !is_there() {
        return;
    }
    // Under a snapshot from before somebody else's removals, what they removed is an error.
    let is_fixed = snapshot::is_fixed();
    if is_first && is_fixed {
        let folded = keys.iter().filter(|changed| is_to_be_folded(changed, true));
        let folded: Vec<&Key> = folded.map(|changed| &changed.key).collect();
        if !folded.is_empty() {
            // Where it is, another transaction does it.
            let _ = attempt(|client| {
                folded.into_iter().try_for_each(|key| kept::fold(client, key, kept::FEW))
            });
        }
    }
    let changes: Vec<(&Key, Change)> = keys
        .iter()
        .flat_map(|changed| {
            changed.slot.changes().into_iter().map(move |change| (&changed.key, change))
        })
        .collect();
    upkeep::wrote(changes.iter().filter(|(_, change)| change.expires()).count());
    let written = as_owner(|client| {
        if !is_fixed {
            let replaced = keys.iter().filter(|changed| is_whole(changed));
            let replaced: Vec<&Key> = replaced.map(|changed| &changed.key).collect();
            kept::supersede(client, &replaced)?;
        }
        if is_first && !is_fixed {
            for changed in keys.iter().filter(|changed| is_to_be_folded(changed, false)) {
                kept::fold(client, &changed.key, kept::FEW)?;
            }
        }
        kept::append(client, changes)?;
        tasks::append(client, &tasks)
    });
    if !tasks.is_empty() {
        worker::wake_at_commit();
    }
    if let Err(error) = written {
        ErrorReport::from(Error::from(error)).report(PgLogLevel::ERROR);
    }
}

/// Whether there is still somewhere to write to.
fn is_there() -> bool {
    // SAFETY: look-ups of constant names.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"posthog_plugins".as_ptr(), true);
        pg_sys::get_relname_relid(c"plugin_storage".as_ptr(), schema) != pg_sys::InvalidOid
    }
}

/// Whether nothing of what is stored matters any more.
fn is_whole(changed: &ChangedKey) -> bool {
    matches!(changed.slot.pending, Pending::All { .. })
}

/// Where replaced rows stay, they are folded as well.
fn is_to_be_folded(changed: &ChangedKey, replaced_stay: bool) -> bool {
    (replaced_stay || !is_whole(changed)) && (changed.rows >= MANY_ROWS || is_drawn())
}

fn is_drawn() -> bool {
    RandomState::new().hash_one(()).is_multiple_of(LOOKED_AT_ONCE_IN)
}
