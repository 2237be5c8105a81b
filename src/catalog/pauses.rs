//! Writing plugin_pause: configs that paused themselves, for all sessions to see.

use std::time::Instant;

use pgrx::spi::{SpiClient, SpiResult};

use super::configs::{Target, existing_id};
use super::plugins::lock;
use super::{as_owner, notices};
use crate::error::Result;

/// A pause that begins.
#[derive(Clone)]
pub struct PauseRow {
    pub config_id: i32,
    pub until: Instant,
    pub reason: String,
    /// Where it is told.
    pub channel: Option<String>,
}

/// Appends a pause, unless the config is gone. Two sessions that come to the same conclusion append
/// two, and neither waits.
pub fn write(client: &mut SpiClient<'_>, pause: &PauseRow) -> SpiResult<()> {
    // It may have waited for a transaction that can write.
    let left = pause.until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(());
    }
    client.update(
        "INSERT INTO posthog_plugins.plugin_pause (config_id, since, until, reason)
         SELECT c.id, pg_catalog.clock_timestamp(),
                pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2), $3
           FROM posthog_plugins.plugin_config AS c
          WHERE c.id = $1 AND c.enabled",
        None,
        &[pause.config_id.into(), left.as_secs_f64().into(), pause.reason.as_str().into()],
    )?;
    match &pause.channel {
        Some(channel) => notices::send(client, channel, pause.config_id, "paused"),
        None => Ok(()),
    }
}

/// Ends a config's pauses; whether there was one.
pub fn lift(client: &mut SpiClient<'_>, config_id: i32) -> SpiResult<bool> {
    let lifted = client.update(
        "WITH lifted AS (
             DELETE FROM posthog_plugins.plugin_pause WHERE config_id = $1 RETURNING until)
         SELECT 1 FROM lifted WHERE until > pg_catalog.clock_timestamp()",
        None,
        &[config_id.into()],
    )?;
    Ok(!lifted.is_empty())
}

/// Ends the pauses of a config that is named. Returns its id, and whether there was one.
pub fn resume(target: Target<'_>) -> Result<(i32, bool)> {
    as_owner(|client| -> Result<_> {
        lock(client)?;
        let id = existing_id(client, target)?;
        Ok((id, lift(client, id)?))
    })
}
