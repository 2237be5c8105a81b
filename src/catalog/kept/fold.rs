//! Making one row of many: the base of a key, which comes before whatever is appended to it.

use engine::store::{Effect, Entry, Key};
use pgrx::spi::{SpiClient, SpiResult};

use super::now;
use super::row::{COLUMNS, Columns, Row};
use super::table::Stored;
use crate::catalog::plans;

/// Fewer rows of a key are not worth the work.
pub const FEW: usize = 4;

/// Makes one base of all rows of a key, if they are so many; or none if nothing comes of them. Only if
/// all that a snapshot shows can be had: two that fold parts would make two bases. What others append
/// meanwhile comes after the base.
pub fn fold(client: &mut SpiClient<'_>, key: &Key, least: usize) -> SpiResult<()> {
    let (table, condition) = (key.table(), key.condition());
    let locked = plans::update(
        client,
        &format!(
            "SELECT {COLUMNS}, (SELECT pg_catalog.count(*) FROM {table} WHERE {condition})
               FROM {table}
              WHERE {condition}
              ORDER BY is_base DESC, id
                FOR UPDATE SKIP LOCKED"
        ),
        &key.arguments(),
    )?;
    let mut state = None;
    let (mut ids, mut last, mut all) = (Vec::new(), 0, 0);
    for row in locked {
        let Row { id, change } = Row::read(&row)?;
        change.apply(&mut state);
        ids.push(id);
        last = last.max(change.at);
        all = row.get::<i64>(7)?.unwrap_or_default();
    }
    if ids.len() < least.max(1) || ids.len() as i64 != all {
        return Ok(());
    }
    plans::update(client, &format!("DELETE FROM {table} WHERE id = ANY ($1)"), &[ids.into()])?;
    match state.filter(|entry| !entry.is_over(now())) {
        Some(entry) => insert_base(client, key, entry, last),
        None => Ok(()),
    }
}

fn insert_base(client: &mut SpiClient<'_>, key: &Key, entry: Entry, at: i64) -> SpiResult<()> {
    let Columns { change, value, expires_at, .. } = Columns::of(Effect::Put(entry));
    let mut arguments = key.arguments();
    let own: Vec<String> = (1..=arguments.len()).map(|number| format!("${number}")).collect();
    let [kind, content, expiry, time] = [1, 2, 3, 4].map(|number| own.len() + number);
    let sql = format!(
        "INSERT INTO {} ({}, is_base, change, value, expires_at, changed_at)
         VALUES ({}, true, ${kind}, ${content}, pg_catalog.to_timestamp(${expiry}),
                 pg_catalog.to_timestamp(${time}))",
        key.table(),
        key.columns(),
        own.join(", ")
    );
    arguments.extend([change.into(), value.into(), expires_at.into(), (at as f64 / 1e6).into()]);
    plans::update(client, &sql, &arguments)?;
    Ok(())
}
