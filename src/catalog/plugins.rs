//! Plugins and their versions.

use engine::Capabilities;
use pgrx::JsonB;
use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiResult};
use serde_json::Value;
use source::manifest::Manifest;

use super::consumers::{self, Start};
use super::links::object;
use super::{as_owner, configs, schedules, version};
use crate::error::{Error, Result};
use crate::json::Json;

/// What `install` stores.
pub struct NewVersion<'a> {
    pub plugin: &'a str,
    pub title: &'a str,
    pub file_name: &'a str,
    pub source: &'a str,
    pub script: &'a str,
    pub source_map: &'a str,
    pub manifest: &'a Manifest,
    /// `None` leaves those of the same source installed before.
    pub cases: Option<Json>,
    /// `None` if it did not load.
    pub capabilities: Option<Capabilities>,
    pub sha256: &'a [u8],
    pub installed_by: &'a str,
}

/// Makes changes to plugins, configs and their order queue up behind each other. Taken first by
/// everything that changes them; readers and running chains do not notice. Under a snapshot from
/// before somebody else's change it is a serialization error, as what is seen is no more.
pub(super) fn lock(client: &mut SpiClient<'_>) -> Result<()> {
    // SAFETY: they raise an error or do nothing.
    unsafe {
        let command = c"a change to plugins";
        pg_sys::PreventCommandDuringRecovery(command.as_ptr());
        pg_sys::PreventCommandIfReadOnly(command.as_ptr());
    }
    version::require_same(client)?;
    client.update(
        "UPDATE posthog_plugins.plugin_revision SET revision = revision + 1",
        None,
        &[],
    )?;
    Ok(())
}

/// Stores a version and makes it current. The very same source and manifest is not stored twice:
/// then the version that has it becomes current, and its number is returned with `false`.
pub fn store(new: &NewVersion<'_>) -> Result<(i32, bool)> {
    as_owner(|client| -> Result<_> {
        lock(client)?;
        client.update(
            "INSERT INTO posthog_plugins.plugin (name, title, description) VALUES ($1, $2, $3)
                 ON CONFLICT (name)
                 DO UPDATE SET title = EXCLUDED.title, description = EXCLUDED.description",
            None,
            &[
                new.plugin.into(),
                new.title.into(),
                new.manifest.description.as_deref().unwrap_or_default().into(),
            ],
        )?;
        let known = client
            .select(
                "SELECT version FROM posthog_plugins.plugin_version
                  WHERE plugin = $1 AND sha256 = $2 AND manifest = $3 AND file_name = $4
                  ORDER BY version DESC",
                Some(1),
                &[
                    new.plugin.into(),
                    new.sha256.into(),
                    JsonB(new.manifest.raw().clone()).into(),
                    new.file_name.into(),
                ],
            )?
            .next()
            .map(|row| row.get::<i32>(1))
            .transpose()?
            .flatten();
        let version = match known {
            Some(version) => version,
            None => insert(client, new)?,
        };
        if let Some(cases) = &new.cases {
            client.update(
                "UPDATE posthog_plugins.plugin_version SET cases = $3
                  WHERE plugin = $1 AND version = $2 AND cases IS DISTINCT FROM $3",
                None,
                &[new.plugin.into(), version.into(), cases.clone().into()],
            )?;
        }
        let found = new.capabilities.as_ref();
        let capabilities = found.and_then(|found| serde_json::to_value(found).ok()).map(JsonB);
        // What is known already may load by now, or be found to export more by a newer library.
        client.update(
            "UPDATE posthog_plugins.plugin_version SET capabilities = $3
              WHERE plugin = $1 AND version = $2 AND capabilities IS DISTINCT FROM $3",
            None,
            &[new.plugin.into(), version.into(), capabilities.into()],
        )?;
        make_current(client, new.plugin, version)?;
        configs::follow_manifest(client, new.plugin, new.manifest)?;
        consumers::follow(client, Start::Now)?;
        schedules::follow(client)?;
        Ok((version, known.is_none()))
    })
}

fn insert(client: &mut SpiClient<'_>, new: &NewVersion<'_>) -> Result<i32> {
    let version = client
        .update(
            "INSERT INTO posthog_plugins.plugin_version
                 (plugin, version, is_current, file_name, source, script, source_map, manifest,
                  sha256, installed_by)
             SELECT $1, COALESCE(pg_catalog.max(version), 0) + 1, false, $2, $3, $4, $5, $6, $7, $8
               FROM posthog_plugins.plugin_version
              WHERE plugin = $1
             RETURNING version",
            None,
            &[
                new.plugin.into(),
                new.file_name.into(),
                new.source.into(),
                new.script.into(),
                new.source_map.into(),
                JsonB(new.manifest.raw().clone()).into(),
                new.sha256.into(),
                new.installed_by.into(),
            ],
        )?
        .first()
        .get_one::<i32>()?;
    Ok(version.unwrap_or(1))
}

fn make_current(client: &mut SpiClient<'_>, plugin: &str, version: i32) -> SpiResult<()> {
    // Two statements: the index that allows one current version is checked row by row.
    for (current, only) in [(false, "<>"), (true, "=")] {
        client.update(
            format!(
                "UPDATE posthog_plugins.plugin_version SET is_current = $3
                  WHERE plugin = $1 AND version {only} $2 AND is_current <> $3"
            )
            .as_str(),
            None,
            &[plugin.into(), version.into(), current.into()],
        )?;
    }
    Ok(())
}

/// Makes an earlier version current: the given one, or the one before. Returns its number.
pub fn rollback(plugin: &str, version: Option<i32>) -> Result<i32> {
    as_owner(|client| -> Result<_> {
        lock(client)?;
        let (current, _) = current(client, plugin)?;
        let found = client
            .select(
                "SELECT version, manifest FROM posthog_plugins.plugin_version
                  WHERE plugin = $1
                    AND CASE WHEN $2 IS NULL THEN version < $3 ELSE version = $2 END
                  ORDER BY version DESC",
                Some(1),
                &[plugin.into(), version.into(), current.into()],
            )?
            .next()
            .map(|row| SpiResult::Ok((row.get::<i32>(1)?.unwrap_or_default(), row.get(2)?)))
            .transpose()?;
        let Some((version, manifest)) = found else {
            return Err(match version {
                Some(version) => Error::NoSuchVersion { plugin: plugin.to_owned(), version },
                None => Error::NoEarlierVersion(plugin.to_owned()),
            });
        };
        make_current(client, plugin, version)?;
        let manifest = parse(manifest)?;
        client.update(
            "UPDATE posthog_plugins.plugin SET title = $2, description = $3 WHERE name = $1",
            None,
            &[
                plugin.into(),
                manifest.name.as_deref().unwrap_or(plugin).into(),
                manifest.description.as_deref().unwrap_or_default().into(),
            ],
        )?;
        configs::follow_manifest(client, plugin, &manifest)?;
        consumers::follow(client, Start::Now)?;
        schedules::follow(client)?;
        Ok(version)
    })
}

/// Removes a plugin with all that belongs to it.
pub fn remove(plugin: &str) -> Result<()> {
    as_owner(|client| -> Result<_> {
        lock(client)?;
        let removed = client.update(
            "DELETE FROM posthog_plugins.plugin WHERE name = $1",
            None,
            &[plugin.into()],
        )?;
        if removed.is_empty() {
            return Err(Error::NoSuchPlugin(plugin.to_owned()));
        }
        for table in [
            "plugin_log",
            "plugin_error",
            "plugin_stat",
            "plugin_pause",
            "plugin_metric",
            "plugin_storage",
            "plugin_job",
            "plugin_schedule",
            "plugin_run",
            "captured_event",
            "queue_consumer",
            "undelivered_event",
            "plugin_backfill",
            "consumer_filter",
            "plugin_secret",
            "plugin_attachment",
        ] {
            client.update(
                format!(
                    "DELETE FROM posthog_plugins.{table}
                      WHERE config_id IN (SELECT id FROM posthog_plugins.plugin_config
                                           WHERE plugin = $1)"
                )
                .as_str(),
                None,
                &[plugin.into()],
            )?;
        }
        for table in ["plugin_cache", "plugin_config", "plugin_version"] {
            client.update(
                format!("DELETE FROM posthog_plugins.{table} WHERE plugin = $1").as_str(),
                None,
                &[plugin.into()],
            )?;
        }
        configs::close_gaps(client)?;
        Ok(())
    })
}

/// The number and the manifest of the current version.
pub(super) fn current(client: &SpiClient<'_>, plugin: &str) -> Result<(i32, Manifest)> {
    let row = client
        .select(
            "SELECT version, manifest FROM posthog_plugins.plugin_version
              WHERE plugin = $1 AND is_current",
            Some(1),
            &[plugin.into()],
        )?
        .next()
        .ok_or_else(|| Error::NoSuchPlugin(plugin.to_owned()))?;
    Ok((row.get(1)?.unwrap_or_default(), parse(row.get(2)?)?))
}

/// The source map of a version, read when an error's position is wanted.
pub fn source_map(plugin: &str, version: i32) -> Option<String> {
    as_owner(|client| {
        client
            .select(
                "SELECT source_map FROM posthog_plugins.plugin_version
                  WHERE plugin = $1 AND version = $2",
                Some(1),
                &[plugin.into(), version.into()],
            )?
            .first()
            .get_one()
    })
    .unwrap_or_default()
}

pub(super) fn parse(manifest: Option<JsonB>) -> Result<Manifest> {
    Manifest::parse(&Value::Object(object(manifest))).map_err(Error::Manifest)
}
