//! Removing what is too old from plugin_log, plugin_run, plugin_error, undelivered_event,
//! captured_event, plugin_pause and plugin_cache.

use std::time::Duration;

use pgrx::spi::{SpiClient, SpiResult};

use super::{captured, kept, plans, undelivered};
use crate::settings;

/// Removes lines, runs, failures and dead letters past their time, the oldest first and at most `most` of each, and
/// returns how many; and pauses that are over. Rows that somebody else is removing are left to them.
pub fn prune(client: &mut SpiClient<'_>, most: Option<i64>) -> SpiResult<i64> {
    let mut removed = 0;
    for (table, time, minutes) in [
        ("plugin_log", "logged_at", settings::log_retention()),
        ("plugin_run", "started_at", settings::log_retention()),
        ("plugin_error", "failed_at", settings::error_retention()),
    ] {
        let Some(minutes) = minutes else { continue };
        let rows = client.update(
            format!(
                "DELETE FROM posthog_plugins.{table}
                  WHERE id IN (
                      SELECT id FROM posthog_plugins.{table}
                       WHERE {time} < pg_catalog.now() - pg_catalog.make_interval(mins => $1)
                       ORDER BY {time}
                       LIMIT $2
                         FOR UPDATE SKIP LOCKED)"
            )
            .as_str(),
            None,
            &[minutes.into(), most.into()],
        )?;
        removed += rows.len() as i64;
    }
    removed += undelivered::prune(client, most)?;
    removed += captured::prune(client, most)?;
    client.update(
        "DELETE FROM posthog_plugins.plugin_pause
          WHERE id IN (SELECT id FROM posthog_plugins.plugin_pause
                        WHERE until < pg_catalog.now()
                          FOR UPDATE SKIP LOCKED)",
        None,
        &[],
    )?;
    kept::expire(client, most)?;
    Ok(removed)
}

/// How long nothing will be past its time. A line that is written later is past its time later.
pub fn left(client: &SpiClient<'_>) -> SpiResult<Duration> {
    let seconds = plans::select(
        client,
        "SELECT pg_catalog.date_part('epoch', pg_catalog.min(kept.until) - pg_catalog.now())
           FROM (SELECT LEAST(pg_catalog.min(logged_at), pg_catalog.now())
                            + pg_catalog.make_interval(mins => $1)
                   FROM posthog_plugins.plugin_log
                  UNION ALL
                 SELECT LEAST(pg_catalog.min(started_at), pg_catalog.now())
                            + pg_catalog.make_interval(mins => $1)
                   FROM posthog_plugins.plugin_run
                  UNION ALL
                 SELECT LEAST(pg_catalog.min(failed_at), pg_catalog.now())
                            + pg_catalog.make_interval(mins => $2)
                   FROM posthog_plugins.plugin_error
                  UNION ALL
                 SELECT pg_catalog.min(until) FROM posthog_plugins.plugin_pause
                  UNION ALL
                 SELECT pg_catalog.min(expires_at)
                   FROM posthog_plugins.plugin_cache) AS kept (until)",
        &[settings::log_retention().into(), settings::error_retention().into()],
    )?
    .first()
    .get_one::<f64>()?;
    // Nothing at all is kept for as long as a number of seconds can be.
    let seconds = seconds.unwrap_or(f64::MAX).max(0.0);
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}
