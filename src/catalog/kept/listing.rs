//! Every key that holds something, for the operator.

use engine::store::{Effect, Entry, Key, Owner, Place};
use pgrx::spi::{SpiClient, SpiResult};

use super::row::{COLUMNS, Columns, Row};
use super::table::{CACHE, STORAGE};
use super::{has_cache, now};

/// A key and what it holds.
pub struct Kept {
    pub key: Key,
    pub value: String,
    /// Seconds since 1970.
    pub expires_at: Option<f64>,
    pub changed_at: f64,
}

/// Those of a place that are to be shown.
pub fn all(
    client: &SpiClient<'_>,
    place: Place,
    shows: impl Fn(&Owner) -> bool,
) -> SpiResult<Vec<Kept>> {
    let (table, owner) = match place {
        Place::Storage => (STORAGE, "NULL::text, NULL::integer, config_id"),
        Place::Cache if !has_cache() => return Ok(Vec::new()),
        Place::Cache => (CACHE, "plugin, team_id, NULL::integer"),
    };
    let sql = format!(
        "SELECT {COLUMNS}, key, {owner} FROM {table} ORDER BY 7, 8, 9, 10, is_base DESC, id"
    );
    let mut kept = Vec::new();
    let mut current: Option<(Key, Option<Entry>, i64)> = None;
    for row in client.select(sql.as_str(), None, &[])? {
        let owner = match row.get::<i32>(10)? {
            Some(id) => Owner::Config(id),
            None => Owner::Plugin {
                plugin: row.get::<String>(8)?.unwrap_or_default().into(),
                team_id: row.get(9)?,
            },
        };
        if !shows(&owner) {
            continue;
        }
        let key = Key { owner, name: row.get(7)?.unwrap_or_default() };
        let change = Row::read(&row)?.change;
        if current.as_ref().is_none_or(|(last, ..)| *last != key) {
            kept.extend(current.take().and_then(shown));
            current = Some((key, None, change.at));
        }
        if let Some((_, state, at)) = &mut current {
            change.apply(state);
            *at = (*at).max(change.at);
        }
    }
    kept.extend(current.and_then(shown));
    Ok(kept)
}

fn shown((key, state, at): (Key, Option<Entry>, i64)) -> Option<Kept> {
    let entry = state.filter(|entry| !entry.is_over(now()))?;
    let Columns { value, expires_at, .. } = Columns::of(Effect::Put(entry));
    Some(Kept { key, value: value.unwrap_or_default(), expires_at, changed_at: at as f64 / 1e6 })
}
