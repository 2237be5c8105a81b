//! Reading and writing plugin_storage and plugin_cache, which hold changes, and making few of many.
//! Nothing here waits for another session: rows that somebody else works on are left to them.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use engine::store::{Change, Content, Effect, Entry};
use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiClient, SpiHeapTupleData, SpiResult};

use super::plans;

/// Microseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // 2^63 microseconds are 292,000 years.
    since.as_micros() as i64
}

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A config's storage.
    Config(i32),
    /// The cache of a plugin and team.
    Plugin { plugin: Rc<str>, team_id: Option<i32> },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub owner: Owner,
    pub name: String,
}

/// A row as it is applied to those before it.
struct Row {
    id: i64,
    change: Change,
}

const COLUMNS: &str = "id, change, value, number,
    (pg_catalog.date_part('epoch', expires_at) * 1e6)::bigint,
    (pg_catalog.date_part('epoch', changed_at) * 1e6)::bigint";

impl Key {
    fn table(&self) -> &'static str {
        match self.owner {
            Owner::Config(_) => "posthog_plugins.plugin_storage",
            Owner::Plugin { .. } => "posthog_plugins.plugin_cache",
        }
    }

    /// The condition that finds its rows, by its arguments.
    fn condition(&self) -> &'static str {
        match self.owner {
            Owner::Config(_) => "config_id = $1 AND key = $2",
            Owner::Plugin { .. } => "plugin = $1 AND key = $2 AND team_id IS NOT DISTINCT FROM $3",
        }
    }

    fn arguments(&self) -> Vec<DatumWithOid<'_>> {
        let name = self.name.as_str().into();
        match &self.owner {
            Owner::Config(id) => vec![(*id).into(), name],
            Owner::Plugin { plugin, team_id } => vec![(&**plugin).into(), name, (*team_id).into()],
        }
    }

    /// Its own columns, in the order of its arguments.
    fn columns(&self) -> &'static str {
        match self.owner {
            Owner::Config(_) => "config_id, key",
            Owner::Plugin { .. } => "plugin, key, team_id",
        }
    }
}

/// What a key holds, and in how many rows.
pub fn read(client: &SpiClient<'_>, key: &Key) -> SpiResult<(Option<Entry>, usize)> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {} WHERE {} ORDER BY is_base DESC, id",
        key.table(),
        key.condition()
    );
    let rows = plans::select(client, &sql, &key.arguments())?;
    let count = rows.len();
    let mut state = None;
    for row in rows {
        self::row(row)?.change.apply(&mut state);
    }
    Ok((state, count))
}

fn row(row: SpiHeapTupleData<'_>) -> SpiResult<Row> {
    let value = || row.get::<String>(3).map(Option::unwrap_or_default);
    let number = || row.get::<f64>(4).map(Option::unwrap_or_default);
    let expires_at = row.get::<i64>(5)?;
    let put = |content| Effect::Put(Entry { content, expires_at });
    let effect = match row.get::<&str>(2)?.unwrap_or_default() {
        "put" => put(Content::Text(value()?)),
        "list" => put(Content::List(elements(&value()?).into())),
        "add" => Effect::Add(number()?),
        "begin" => Effect::Begin(number()?),
        "expire" => Effect::Expire(expires_at.unwrap_or_default()),
        "push" => Effect::Push(elements(&value()?)),
        "remove" => Effect::Remove(number()? as i64, value()?),
        _ => Effect::Delete,
    };
    let at = row.get(6)?.unwrap_or_default();
    Ok(Row { id: row.get(1)?.unwrap_or_default(), change: Change { effect, at } })
}

fn elements(json: &str) -> Vec<String> {
    // Only this module writes them.
    serde_json::from_str(json).unwrap_or_default()
}

/// The columns of a change.
struct Columns {
    change: &'static str,
    value: Option<String>,
    number: Option<f64>,
    expires_at: Option<f64>,
}

impl Columns {
    fn of(effect: Effect) -> Self {
        let seconds = |micros: i64| micros as f64 / 1e6;
        let columns = |change, value, number| Columns { change, value, number, expires_at: None };
        let json = |list: &[String]| Some(serde_json::Value::from(list.to_vec()).to_string());
        match effect {
            Effect::Put(Entry { content, expires_at }) => {
                let expires_at = expires_at.map(seconds);
                match content {
                    Content::Text(text) => {
                        Columns { expires_at, ..columns("put", Some(text), None) }
                    }
                    Content::List(list) => {
                        let list = Vec::from(list);
                        Columns { expires_at, ..columns("list", json(&list), None) }
                    }
                }
            }
            Effect::Delete => columns("delete", None, None),
            Effect::Add(amount) => columns("add", None, Some(amount)),
            Effect::Begin(amount) => columns("begin", None, Some(amount)),
            Effect::Expire(at) => {
                Columns { expires_at: Some(seconds(at)), ..columns("expire", None, None) }
            }
            Effect::Push(elements) => columns("push", json(&elements), None),
            Effect::Remove(count, element) => columns("remove", Some(element), Some(count as f64)),
        }
    }
}

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

/// Fewer rows of a key are not worth the work.
pub const FEW: usize = 4;

/// Makes one base of all rows of a key, or none if nothing comes of them. Only if all that are there
/// can be had: two that fold parts would make two bases.
pub fn fold(client: &mut SpiClient<'_>, key: &Key, least: usize) -> SpiResult<()> {
    let (table, condition) = (key.table(), key.condition());
    let mut state = None;
    let (mut ids, mut last) = (Vec::new(), 0);
    let locked = client.update(
        format!(
            "SELECT {COLUMNS} FROM {table} WHERE {condition}
              ORDER BY is_base DESC, id FOR UPDATE SKIP LOCKED"
        )
        .as_str(),
        None,
        &key.arguments(),
    )?;
    for row in locked {
        let Row { id, change } = self::row(row)?;
        change.apply(&mut state);
        ids.push(id);
        last = last.max(change.at);
    }
    if ids.len() < least.max(1) {
        return Ok(());
    }
    // Counted after they were locked: one that came in between keeps this from being done.
    let all = client
        .update(
            format!("SELECT pg_catalog.count(*) FROM {table} WHERE {condition}").as_str(),
            None,
            &key.arguments(),
        )?
        .first()
        .get_one::<i64>()?;
    if all != Some(ids.len() as i64) {
        return Ok(());
    }
    client.update(
        format!("DELETE FROM {table} WHERE id = ANY ($1)").as_str(),
        None,
        &[ids.into()],
    )?;
    let is_over = |entry: &Entry| entry.is_over(now());
    let Some(entry) = state.filter(|entry| !is_over(entry)) else { return Ok(()) };
    let Columns { change, value, expires_at, .. } = Columns::of(Effect::Put(entry));
    let mut arguments = key.arguments();
    let own: Vec<String> = (1..=arguments.len()).map(|number| format!("${number}")).collect();
    let [kind, content, expiry, time] = [1, 2, 3, 4].map(|number| own.len() + number);
    let sql = format!(
        "INSERT INTO {table} ({}, is_base, change, value, expires_at, changed_at)
         VALUES ({}, true, ${kind}, ${content}, pg_catalog.to_timestamp(${expiry}),
                 pg_catalog.to_timestamp(${time}))",
        key.columns(),
        own.join(", ")
    );
    let time = last as f64 / 1e6;
    arguments.extend([change.into(), value.into(), expires_at.into(), time.into()]);
    client.update(sql.as_str(), None, &arguments)?;
    Ok(())
}

/// Removes keys of the cache that have expired, at most so many.
pub fn expire(client: &mut SpiClient<'_>, most: Option<i64>) -> SpiResult<()> {
    let expired = client
        .select(
            "SELECT DISTINCT plugin, team_id, key FROM (
                 SELECT plugin, team_id, key FROM posthog_plugins.plugin_cache
                  WHERE expires_at <= pg_catalog.clock_timestamp()
                  LIMIT $1) AS expired",
            None,
            &[most.into()],
        )?
        .map(|row| {
            let plugin = row.get::<String>(1)?.unwrap_or_default().into();
            let owner = Owner::Plugin { plugin, team_id: row.get(2)? };
            Ok(Key { owner, name: row.get(3)?.unwrap_or_default() })
        })
        .collect::<SpiResult<Vec<_>>>()?;
    for key in expired {
        fold(client, &key, 1)?;
    }
    Ok(())
}

/// A key and what it holds, for the operator.
pub struct Kept {
    pub key: Key,
    pub value: String,
    /// Seconds since 1970.
    pub expires_at: Option<f64>,
    pub changed_at: f64,
}

/// Every key that holds something.
pub fn all(client: &SpiClient<'_>) -> SpiResult<Vec<Kept>> {
    let mut kept = Vec::new();
    for (table, owner) in [
        ("posthog_plugins.plugin_storage", "NULL, NULL, config_id"),
        ("posthog_plugins.plugin_cache", "plugin, team_id, NULL"),
    ] {
        let sql = format!(
            "SELECT {COLUMNS}, key, {owner} FROM {table}
              ORDER BY 7, 8, 9, 10, is_base DESC, id"
        );
        let mut current: Option<(Key, Option<Entry>, i64)> = None;
        for found in client.select(sql.as_str(), None, &[])? {
            let owner = match found.get::<i32>(10)? {
                Some(id) => Owner::Config(id),
                None => Owner::Plugin {
                    plugin: found.get::<String>(8)?.unwrap_or_default().into(),
                    team_id: found.get(9)?,
                },
            };
            let key = Key { owner, name: found.get(7)?.unwrap_or_default() };
            let change = row(found)?.change;
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
    }
    Ok(kept)
}

fn shown((key, state, at): (Key, Option<Entry>, i64)) -> Option<Kept> {
    let entry = state.filter(|entry| !entry.is_over(now()))?;
    let Columns { value, expires_at, .. } = Columns::of(Effect::Put(entry));
    Some(Kept { key, value: value.unwrap_or_default(), expires_at, changed_at: at as f64 / 1e6 })
}
