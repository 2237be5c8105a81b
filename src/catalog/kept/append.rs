//! Appending changes, and removing what they make worthless.

use engine::store::{Change, Key, Owner};
use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiClient, SpiResult};

use super::row::Columns;
use crate::catalog::plans;

/// Removes what a change that needs nothing of it will make worthless.
pub fn supersede(client: &mut SpiClient<'_>, keys: &[&Key]) -> SpiResult<()> {
    let (storage, cache) = scopes(keys);
    if !storage.names.is_empty() {
        let arguments = [storage.configs.into(), storage.names.into()];
        plans::update(client, SUPERSEDE_IN_STORAGE, &arguments)?;
    }
    if !cache.names.is_empty() {
        let arguments = [cache.plugins.into(), cache.teams.into(), cache.names.into()];
        plans::update(client, SUPERSEDE_IN_CACHE, &arguments)?;
    }
    Ok(())
}

// unnest is unqualified here and below: with several arrays it is syntax, not a function.
const SUPERSEDE_IN_STORAGE: &str = "
    DELETE FROM posthog_plugins.plugin_storage
     WHERE id IN (SELECT r.id
                    FROM unnest($1::integer[], $2::text[]) AS k (config_id, key)
                    JOIN posthog_plugins.plugin_storage AS r
                      ON r.config_id = k.config_id AND r.key = k.key
                     FOR UPDATE OF r SKIP LOCKED)";

const SUPERSEDE_IN_CACHE: &str = "
    DELETE FROM posthog_plugins.plugin_cache
     WHERE id IN (SELECT r.id
                    FROM unnest($1::text[], $2::integer[], $3::text[]) AS k (plugin, team_id, key)
                    JOIN posthog_plugins.plugin_cache AS r
                      ON r.plugin = k.plugin AND r.key = k.key
                     AND r.team_id IS NOT DISTINCT FROM k.team_id
                     FOR UPDATE OF r SKIP LOCKED)";

/// The parts of keys as columns.
#[derive(Default)]
struct Scope<'a> {
    configs: Vec<i32>,
    plugins: Vec<&'a str>,
    teams: Vec<Option<i32>>,
    names: Vec<&'a str>,
}

impl<'a> Scope<'a> {
    fn push(&mut self, key: &'a Key) {
        match &key.owner {
            Owner::Config(id) => self.configs.push(*id),
            Owner::Plugin { plugin, team_id } => {
                self.plugins.push(plugin);
                self.teams.push(*team_id);
            }
        }
        self.names.push(&key.name);
    }
}

/// Those of the storage, and those of the cache.
fn scopes<'a>(keys: &[&'a Key]) -> (Scope<'a>, Scope<'a>) {
    let (mut storage, mut cache) = (Scope::default(), Scope::default());
    for key in keys {
        match key.owner {
            Owner::Config(_) => storage.push(key),
            Owner::Plugin { .. } => cache.push(key),
        }
    }
    (storage, cache)
}

/// Appends changes, in order, of those who are still there. That nothing is there need not be said
/// where nothing was.
pub fn append(client: &mut SpiClient<'_>, changes: Vec<(&Key, Change)>) -> SpiResult<()> {
    let (storage, cache): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|(key, _)| matches!(key.owner, Owner::Config(_)));
    for (is_storage, changes) in [(true, storage), (false, cache)] {
        if changes.is_empty() {
            continue;
        }
        let mut scope = Scope::default();
        let (mut kinds, mut values, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        let (mut expiries, mut times) = (Vec::new(), Vec::new());
        for (key, change) in changes {
            scope.push(key);
            let columns = Columns::of(change.effect);
            kinds.push(columns.change);
            values.push(columns.value);
            numbers.push(columns.number);
            expiries.push(columns.expires_at);
            times.push(change.at as f64 / 1e6);
        }
        let Scope { configs, plugins, teams, names } = scope;
        let rest = [
            names.into(),
            kinds.into(),
            values.into(),
            numbers.into(),
            expiries.into(),
            times.into(),
        ];
        let (sql, owners): (_, Vec<DatumWithOid<'_>>) = if is_storage {
            (APPEND_TO_STORAGE, vec![configs.into()])
        } else {
            (APPEND_TO_CACHE, vec![plugins.into(), teams.into()])
        };
        let arguments: Vec<DatumWithOid<'_>> = owners.into_iter().chain(rest).collect();
        plans::update(client, sql, &arguments)?;
    }
    Ok(())
}

const APPEND_TO_STORAGE: &str = "
    INSERT INTO posthog_plugins.plugin_storage
        (config_id, key, change, value, number, expires_at, changed_at)
    SELECT n.config_id, n.key, n.change, n.value, n.number,
           pg_catalog.to_timestamp(n.expires_at), pg_catalog.to_timestamp(n.changed_at)
      FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::float8[],
                  $7::float8[]) WITH ORDINALITY
               AS n (config_id, key, change, value, number, expires_at, changed_at, place)
     WHERE EXISTS (SELECT FROM posthog_plugins.plugin_config AS c WHERE c.id = n.config_id)
       AND (n.change <> 'delete'
            OR EXISTS (SELECT FROM posthog_plugins.plugin_storage AS s
                        WHERE s.config_id = n.config_id AND s.key = n.key))
     ORDER BY n.place";

const APPEND_TO_CACHE: &str = "
    INSERT INTO posthog_plugins.plugin_cache
        (plugin, team_id, key, change, value, number, expires_at, changed_at)
    SELECT n.plugin, n.team_id, n.key, n.change, n.value, n.number,
           pg_catalog.to_timestamp(n.expires_at), pg_catalog.to_timestamp(n.changed_at)
      FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::float8[],
                  $7::float8[], $8::float8[]) WITH ORDINALITY
               AS n (plugin, team_id, key, change, value, number, expires_at, changed_at, place)
     WHERE EXISTS (SELECT FROM posthog_plugins.plugin AS p WHERE p.name = n.plugin)
       AND (n.change <> 'delete'
            OR EXISTS (SELECT FROM posthog_plugins.plugin_cache AS s
                        WHERE s.plugin = n.plugin AND s.key = n.key
                          AND s.team_id IS NOT DISTINCT FROM n.team_id))
     ORDER BY n.place";
