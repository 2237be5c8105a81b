//! Reading and writing plugin_storage and plugin_cache, which hold changes, and making few of many.
//! Nothing here waits for another session: rows that somebody else works on are left to them.

mod append;
mod fold;
mod listing;
mod row;
mod table;
mod tidy;

use std::time::{SystemTime, UNIX_EPOCH};

use engine::store::{Entry, Key, Owner};
use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiResult};

use super::plans;
pub use append::{append, supersede};
pub use fold::{FEW, fold};
pub use listing::{Kept, all};
use row::{COLUMNS, Row};
use table::Stored;
pub use tidy::{expire, fold_all, remove_orphans};

/// Microseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // 2^63 microseconds are 292,000 years.
    since.as_micros() as i64
}

/// What a key holds, and in how many rows.
pub fn read(client: &SpiClient<'_>, key: &Key) -> SpiResult<(Option<Entry>, usize)> {
    if matches!(key.owner, Owner::Plugin { .. }) && !has_cache() {
        return Ok((None, 0));
    }
    let (table, condition) = (key.table(), key.condition());
    let sql = format!("SELECT {COLUMNS} FROM {table} WHERE {condition} ORDER BY is_base DESC, id");
    let rows = plans::select(client, &sql, &key.arguments())?;
    let count = rows.len();
    let mut state = None;
    for row in rows {
        Row::read(&row)?.change.apply(&mut state);
    }
    Ok((state, count))
}

/// A standby has nothing of the cache, and PostgreSQL raises an error where it is looked for.
fn has_cache() -> bool {
    // SAFETY: looks at the state of the server.
    !unsafe { pg_sys::RecoveryInProgress() }
}
