//! Telling those who listen that a config begins to fail, or is paused.

use pgrx::spi::{SpiClient, SpiResult};

/// Notifies the channel with the commit. Anybody may listen, so it is told what fails, not with which
/// words; the label is cut so that the payload stays below 8,000 bytes. When the queue of notifications is half full, because a
/// listener does not listen, nothing is sent: a full one would fail the commit.
pub fn send(
    client: &mut SpiClient<'_>,
    channel: &str,
    config_id: i32,
    kind: &str,
) -> SpiResult<()> {
    client.update(
        "SELECT pg_catalog.pg_notify($1, pg_catalog.jsonb_build_object(
                    'plugin', c.plugin, 'team_id', c.team_id,
                    'label', pg_catalog.left(c.label, 200), 'config_id', c.id, 'kind', $3)::text)
           FROM posthog_plugins.plugin_config AS c
          WHERE c.id = $2 AND pg_catalog.pg_notification_queue_usage() < 0.5",
        None,
        &[channel.into(), config_id.into(), kind.into()],
    )?;
    Ok(())
}
