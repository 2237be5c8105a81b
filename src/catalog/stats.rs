//! Writing plugin_stat. Sessions only append to it, so none of them ever waits for another; rows that
//! have become many are folded into few.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::{SpiClient, SpiResult};

use super::plugins::{current, lock};
use super::{as_owner, plans};
use crate::error::Result;
use crate::stats::Count;

/// Whoever writes the row whose number is a multiple of this folds: a table of some hundred rows is
/// summed up in less than a millisecond.
const FOLDED_EVERY: i64 = 500;

/// How many numbers back a fold looks. What it made the last time is among them; the dead rows of a
/// table that cannot be vacuumed are not.
const REACH: i64 = 10 * FOLDED_EVERY;

/// Appends counts of configs that are still there. Returns whether it is time for [`fold`], and from which row on.
pub fn write(client: &mut SpiClient<'_>, counts: &[Count]) -> SpiResult<Option<i64>> {
    let numbers =
        |field: fn(&Count) -> i64| -> Vec<i64> { counts.iter().map(field).collect::<Vec<_>>() };
    let configs: Vec<i32> = counts.iter().map(|count| count.config_id).collect();
    let since: Vec<TimestampWithTimeZone> = counts.iter().map(|count| count.since).collect();
    let (mut failed_at, mut errors) = (Vec::new(), Vec::new());
    for count in counts {
        let (at, error) =
            count.last_error.as_ref().map(|(at, error)| (*at, error.as_str())).unzip();
        failed_at.push(at);
        errors.push(error);
    }
    let ids = client
        .update(
            "INSERT INTO posthog_plugins.plugin_stat
                 (config_id, since, events, changed, dropped, failed, nanoseconds, longest,
                  last_error_at, last_error)
             -- Unqualified: with several arrays it is syntax, not a function.
             SELECT * FROM unnest(
                 $1::integer[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[],
                 $6::bigint[], $7::bigint[], $8::bigint[], $9::timestamptz[], $10::text[])
                 AS counted (config_id)
              WHERE EXISTS (SELECT FROM posthog_plugins.plugin_config AS c
                             WHERE c.id = counted.config_id)
             RETURNING id",
            None,
            &[
                configs.into(),
                since.into(),
                numbers(|count| count.events).into(),
                numbers(|count| count.changed).into(),
                numbers(|count| count.dropped).into(),
                numbers(|count| count.failed).into(),
                numbers(|count| count.nanoseconds).into(),
                numbers(|count| count.longest).into(),
                failed_at.into(),
                errors.into(),
            ],
        )?
        .filter_map(|row| row.get::<i64>(1).transpose())
        .collect::<SpiResult<Vec<_>>>()?;
    Ok(ids.into_iter().find(|id| id % FOLDED_EVERY == 0).map(|id| id - REACH))
}

/// The newest row.
pub fn newest(client: &SpiClient<'_>) -> SpiResult<i64> {
    let newest =
        plans::select(client, "SELECT pg_catalog.max(id) FROM posthog_plugins.plugin_stat", &[])?;
    Ok(newest.first().get_one()?.unwrap_or_default())
}

/// From which row on [`fold`] has something to do, when the newest one was another the last time; 0
/// means that there was no last time.
pub fn unfolded(folded: i64, newest: i64) -> Option<i64> {
    let first = if folded == 0 { 0 } else { newest - REACH };
    (newest - folded >= FOLDED_EVERY).then_some(first)
}

/// Makes one row for each config out of those from `first` on. Rows that another session is folding
/// are left to it.
pub fn fold(client: &mut SpiClient<'_>, first: i64) -> SpiResult<()> {
    client.update(
        "WITH folded AS (
             DELETE FROM posthog_plugins.plugin_stat
              WHERE id IN (SELECT id FROM posthog_plugins.plugin_stat
                            WHERE id >= $1
                              FOR UPDATE SKIP LOCKED)
             RETURNING *)
         INSERT INTO posthog_plugins.plugin_stat
             (config_id, since, events, changed, dropped, failed, nanoseconds, longest,
              last_error_at, last_error)
         SELECT config_id, pg_catalog.min(since), pg_catalog.sum(events), pg_catalog.sum(changed),
                pg_catalog.sum(dropped), pg_catalog.sum(failed), pg_catalog.sum(nanoseconds),
                pg_catalog.max(longest), pg_catalog.max(last_error_at),
                (pg_catalog.array_agg(last_error ORDER BY last_error_at DESC NULLS LAST))[1]
           FROM folded
          WHERE EXISTS (SELECT FROM posthog_plugins.plugin_config AS c WHERE c.id = config_id)
          GROUP BY config_id",
        None,
        &[first.into()],
    )?;
    Ok(())
}

/// Begins anew, for one plugin or all of them. Returns the configs that it is about.
pub fn reset(plugin: Option<&str>) -> Result<Vec<i32>> {
    as_owner(|client| -> Result<_> {
        // Puts it in order with an uninstall.
        lock(client)?;
        if let Some(plugin) = plugin {
            current(client, plugin)?;
        }
        client.update(
            "DELETE FROM posthog_plugins.plugin_stat
              WHERE $1 IS NULL
                 OR config_id IN (SELECT id FROM posthog_plugins.plugin_config WHERE plugin = $1)",
            None,
            &[plugin.into()],
        )?;
        let ids = client
            .update(
                "INSERT INTO posthog_plugins.plugin_stat (config_id, since)
                 SELECT id, pg_catalog.now() FROM posthog_plugins.plugin_config
                  WHERE $1 IS NULL OR plugin = $1
                 RETURNING config_id",
                None,
                &[plugin.into()],
            )?
            .filter_map(|row| row.get(1).transpose())
            .collect::<SpiResult<_>>()?;
        Ok(ids)
    })
}
