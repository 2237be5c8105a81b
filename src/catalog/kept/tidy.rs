//! What nobody's writing makes small by itself: keys that have expired, keys of many rows that are
//! not written any more, and rows of plugins that are gone.

use engine::store::{Key, Owner};
use pgrx::spi::{SpiClient, SpiHeapTupleData, SpiResult};

use super::fold::fold;
use super::table::{CACHE, STORAGE};
use crate::catalog::plans;

/// Keys of several rows are folded one by one, at a third of a millisecond each: no insert is to wait
/// for more than some of them.
const FOLDED_AT_ONCE: i64 = 20;

/// Removes keys of the cache that have expired, about so many at most.
pub fn expire(client: &mut SpiClient<'_>, most: Option<i64>) -> SpiResult<()> {
    // Most have one row. `now` rather than the clock: an index is searched for what does not change.
    plans::update(
        client,
        "DELETE FROM posthog_plugins.plugin_cache
          WHERE id IN (
              SELECT r.id FROM posthog_plugins.plugin_cache AS r
               WHERE r.expires_at <= pg_catalog.now()
                 AND NOT EXISTS (SELECT FROM posthog_plugins.plugin_cache AS o
                                  WHERE o.plugin = r.plugin AND o.key = r.key
                                    AND o.team_id IS NOT DISTINCT FROM r.team_id
                                    AND o.id <> r.id)
               ORDER BY r.expires_at
               LIMIT $1
                 FOR UPDATE OF r SKIP LOCKED)",
        &[most.into()],
    )?;
    let expired = plans::select(
        client,
        "SELECT DISTINCT plugin, team_id, key FROM (
             SELECT plugin, team_id, key FROM posthog_plugins.plugin_cache
              WHERE expires_at <= pg_catalog.now()
              ORDER BY expires_at
              LIMIT $1) AS expired",
        &[most.map(|most| most.min(FOLDED_AT_ONCE)).into()],
    )?;
    fold_each(client, expired.map(|row| key_of_cache(&row)).collect::<SpiResult<Vec<_>>>()?, 1)
}

/// Makes one row of every key that has more.
pub fn fold_all(client: &mut SpiClient<'_>) -> SpiResult<()> {
    let stored = client.select(
        format!(
            "SELECT config_id, key FROM {STORAGE}
              GROUP BY config_id, key HAVING pg_catalog.count(*) > 1"
        )
        .as_str(),
        None,
        &[],
    )?;
    let stored = stored.map(|row| {
        let owner = Owner::Config(row.get(1)?.unwrap_or_default());
        Ok(Key { owner, name: row.get(2)?.unwrap_or_default() })
    });
    fold_each(client, stored.collect::<SpiResult<Vec<_>>>()?, 2)?;
    let cached = client.select(
        format!(
            "SELECT plugin, team_id, key FROM {CACHE}
              GROUP BY plugin, team_id, key HAVING pg_catalog.count(*) > 1"
        )
        .as_str(),
        None,
        &[],
    )?;
    fold_each(client, cached.map(|row| key_of_cache(&row)).collect::<SpiResult<Vec<_>>>()?, 2)
}

fn fold_each(client: &mut SpiClient<'_>, keys: Vec<Key>, least: usize) -> SpiResult<()> {
    keys.iter().try_for_each(|key| fold(client, key, least))
}

fn key_of_cache(row: &SpiHeapTupleData<'_>) -> SpiResult<Key> {
    let plugin = row.get::<String>(1)?.unwrap_or_default().into();
    let owner = Owner::Plugin { plugin, team_id: row.get(2)? };
    Ok(Key { owner, name: row.get(3)?.unwrap_or_default() })
}

/// Removes what sessions wrote of a plugin that was being uninstalled meanwhile.
pub fn remove_orphans(client: &mut SpiClient<'_>) -> SpiResult<()> {
    for (table, owners) in [
        (STORAGE, "plugin_config AS o WHERE o.id = r.config_id"),
        (CACHE, "plugin AS o WHERE o.name = r.plugin"),
    ] {
        client.update(
            format!(
                "DELETE FROM {table} AS r
                  WHERE NOT EXISTS (SELECT FROM posthog_plugins.{owners})"
            )
            .as_str(),
            None,
            &[],
        )?;
    }
    Ok(())
}
