//! Removing what is too old from plugin_log, plugin_error, undelivered_event, plugin_pause and
//! plugin_cache.

use pgrx::spi::{SpiClient, SpiResult};

use super::{kept, undelivered};
use crate::settings;

/// Removes lines, failures and dead letters past their time, the oldest first and at most `most` of each, and
/// returns how many; and pauses that are over. Rows that somebody else is removing are left to them.
pub fn prune(client: &mut SpiClient<'_>, most: Option<i64>) -> SpiResult<i64> {
    let mut removed = 0;
    for (table, time, minutes) in [
        ("plugin_log", "logged_at", settings::log_retention()),
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
