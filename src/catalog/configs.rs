//! Configs: settings, secrets, attachments, and their order.

use std::collections::HashMap;

use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiResult};
use serde_json::{Map, Value};
use source::manifest::{FieldType, Manifest};

use super::as_owner;
use super::consumers::{self, Start};
use super::links::{OnError, object};
use super::plugins::{current, lock};
use super::{pauses, schedules, teams};
use crate::error::{Error, Result};

/// Which config of a plugin is meant.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    pub plugin: &'a str,
    pub team_id: Option<i32>,
    pub label: &'a str,
}

impl<'a> Target<'a> {
    /// The config that a caller means, who may be limited to other teams.
    pub fn of_caller(plugin: &'a str, team_id: Option<i32>, label: &'a str) -> Result<Self> {
        teams::check(team_id)?;
        Ok(Target { plugin, team_id, label })
    }
}

/// A config as it is stored.
struct Config {
    id: i32,
    enabled: bool,
    settings: Map<String, Value>,
    secrets: Map<String, Value>,
    attachments: Vec<String>,
}

/// Stores settings; secrets that are not given stay. Returns the config's id and the keys that the
/// manifest does not know.
pub fn configure(
    target: Target<'_>,
    given: Map<String, Value>,
    on_error: Option<OnError>,
) -> Result<(i32, Vec<String>)> {
    as_owner(|client| -> Result<_> {
        lock(client)?;
        let (_, manifest) = current(client, target.plugin)?;
        let refuse = |error| Error::Config { plugin: target.plugin.to_owned(), error };
        let given = manifest.normalise(&given).map_err(refuse)?;
        let (settings, secrets) = manifest.split_secrets(given.values);
        let found = find(client, target)?;
        let mut every_secret =
            found.as_ref().map(|config| config.secrets.clone()).unwrap_or_default();
        every_secret.extend(secrets.clone());
        // Attachments can only be given afterwards; `enable` asks for them.
        let attachments: Vec<&str> = manifest
            .fields()
            .filter(|field| field.kind == FieldType::Attachment)
            .map(|field| field.key.as_str())
            .collect();
        manifest
            .check_required(&manifest.effective(&settings, &every_secret), &attachments)
            .map_err(refuse)?;
        let id = match found {
            Some(config) => config.id,
            None => create(client, target)?,
        };
        // What is no longer secret must not go on beneath its new value.
        let plain: Vec<&str> = settings.keys().map(String::as_str).collect();
        client.update(
            "DELETE FROM posthog_plugins.plugin_secret WHERE config_id = $1 AND key = ANY ($2)",
            None,
            &[id.into(), plain.into()],
        )?;
        client.update(
            "UPDATE posthog_plugins.plugin_config
                SET config = $2, updated_at = pg_catalog.now(), on_error = COALESCE($3, on_error)
              WHERE id = $1",
            None,
            &[id.into(), JsonB(Value::Object(settings)).into(), on_error.map(OnError::name).into()],
        )?;
        store_secrets(client, id, secrets)?;
        pauses::lift(client, id)?;
        Ok((id, given.unknown))
    })
}

/// Stores a file for a field of type attachment; makes a config if there is none yet.
pub fn set_attachment(
    target: Target<'_>,
    key: &str,
    file_name: &str,
    content_type: &str,
    contents: &[u8],
) -> Result<()> {
    as_owner(|client| -> Result<_> {
        lock(client)?;
        let (_, manifest) = current(client, target.plugin)?;
        if !manifest.field(key).is_some_and(|field| field.kind == FieldType::Attachment) {
            return Err(Error::NoSuchAttachment {
                plugin: target.plugin.to_owned(),
                key: key.to_owned(),
            });
        }
        let id = existing_or_new_id(client, target)?;
        client.update(
            "INSERT INTO posthog_plugins.plugin_attachment
                 (config_id, key, file_name, content_type, contents)
             VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (config_id, key)
                 DO UPDATE SET file_name = EXCLUDED.file_name,
                               content_type = EXCLUDED.content_type,
                               contents = EXCLUDED.contents",
            None,
            &[id.into(), key.into(), file_name.into(), content_type.into(), contents.into()],
        )?;
        pauses::lift(client, id)?;
        Ok(())
    })
}

/// Puts a config at the end of the chain, unless it is in it; makes one from the manifest's
/// defaults if there is none. Returns its position.
pub fn enable(target: Target<'_>) -> Result<i32> {
    as_owner(|client| -> Result<_> {
        lock(client)?;
        let (_, manifest) = current(client, target.plugin)?;
        let config = match find(client, target)? {
            Some(config) => config,
            None => Config {
                id: create(client, target)?,
                enabled: false,
                settings: Map::new(),
                secrets: Map::new(),
                attachments: Vec::new(),
            },
        };
        check_complete(&manifest, &config)
            .map_err(|error| Error::Config { plugin: target.plugin.to_owned(), error })?;
        if !config.enabled {
            client.update(
                "UPDATE posthog_plugins.plugin_config
                    SET enabled = true,
                        position = 1 + (SELECT pg_catalog.count(*)
                                          FROM posthog_plugins.plugin_config WHERE enabled)
                  WHERE id = $1",
                None,
                &[config.id.into()],
            )?;
        }
        consumers::follow(client, Start::Now)?;
        schedules::follow(client)?;
        position(client, config.id)
    })
}

/// Takes a config out of the chain and keeps its settings. Returns its id.
pub fn disable(target: Target<'_>) -> Result<i32> {
    as_owner(|client| -> Result<_> {
        lock(client)?;
        let config = existing(client, target)?;
        client.update(
            "UPDATE posthog_plugins.plugin_config SET enabled = false, position = NULL
              WHERE id = $1",
            None,
            &[config.id.into()],
        )?;
        close_gaps(client)?;
        pauses::lift(client, config.id)?;
        consumers::follow(client, Start::Now)?;
        schedules::follow(client)?;
        Ok(config.id)
    })
}

/// Moves an enabled config to a position, at most the last one. Returns where it is now.
pub fn move_to(target: Target<'_>, wanted: i32) -> Result<i32> {
    if wanted < 1 {
        return Err(Error::BadPosition);
    }
    as_owner(|client| -> Result<_> {
        lock(client)?;
        let config = existing(client, target)?;
        if !config.enabled {
            return Err(Error::NotEnabled(target.plugin.to_owned()));
        }
        // Half a place before or behind the one who stands there, depending on where from.
        client.update(
            "UPDATE posthog_plugins.plugin_config AS c
                SET position = ranked.place
               FROM (SELECT id,
                            pg_catalog.row_number() OVER (
                                ORDER BY CASE
                                    WHEN id <> $1 THEN position
                                    WHEN position < $2 THEN $2::numeric + 0.5
                                    ELSE $2::numeric - 0.5
                                END) AS place
                       FROM posthog_plugins.plugin_config
                      WHERE enabled) AS ranked
              WHERE c.id = ranked.id AND c.position <> ranked.place",
            None,
            &[config.id.into(), wanted.into()],
        )?;
        position(client, config.id)
    })
}

/// Numbers the enabled configs from one without gaps.
pub(super) fn close_gaps(client: &mut SpiClient<'_>) -> SpiResult<()> {
    client.update(
        "UPDATE posthog_plugins.plugin_config AS c
            SET position = ranked.place
           FROM (SELECT id, pg_catalog.row_number() OVER (ORDER BY position) AS place
                   FROM posthog_plugins.plugin_config
                  WHERE enabled) AS ranked
          WHERE c.id = ranked.id AND c.position <> ranked.place",
        None,
        &[],
    )?;
    Ok(())
}

/// After a version change: values whose fields have become secret move to where secrets are, and
/// whoever lacks a newly required value is told.
pub(super) fn follow_manifest(
    client: &mut SpiClient<'_>,
    plugin: &str,
    manifest: &Manifest,
) -> Result<()> {
    let ids: Vec<i32> = client
        .select(
            "SELECT id FROM posthog_plugins.plugin_config WHERE plugin = $1 ORDER BY id",
            None,
            &[plugin.into()],
        )?
        .filter_map(|row| row.get(1).transpose())
        .collect::<SpiResult<_>>()?;
    for id in ids {
        // What has changed is tried again.
        pauses::lift(client, id)?;
        let config = read(client, id)?;
        let (settings, exposed) = manifest.split_secrets(config.settings.clone());
        if !exposed.is_empty() {
            client.update(
                "UPDATE posthog_plugins.plugin_config SET config = $2 WHERE id = $1",
                None,
                &[id.into(), JsonB(Value::Object(settings)).into()],
            )?;
            store_secrets(client, id, exposed)?;
        }
        if config.enabled
            && let Err(error) = check_complete(manifest, &config)
        {
            warning!("plugin \"{plugin}\", config {id}: {}", error.message());
        }
    }
    Ok(())
}

fn check_complete(
    manifest: &Manifest,
    config: &Config,
) -> std::result::Result<(), source::manifest::ConfigError> {
    let attachments: Vec<&str> = config.attachments.iter().map(String::as_str).collect();
    manifest.check_required(&manifest.effective(&config.settings, &config.secrets), &attachments)
}

fn create(client: &mut SpiClient<'_>, target: Target<'_>) -> Result<i32> {
    let id = client
        .update(
            "INSERT INTO posthog_plugins.plugin_config (plugin, team_id, label)
             VALUES ($1, $2, $3) RETURNING id",
            None,
            &[target.plugin.into(), target.team_id.into(), target.label.into()],
        )?
        .first()
        .get_one::<i32>()?;
    Ok(id.unwrap_or_default())
}

fn existing(client: &SpiClient<'_>, target: Target<'_>) -> Result<Config> {
    current(client, target.plugin)?;
    find(client, target)?.ok_or_else(|| Error::NoSuchConfig(target.plugin.to_owned()))
}

pub(super) fn existing_id(client: &SpiClient<'_>, target: Target<'_>) -> Result<i32> {
    Ok(existing(client, target)?.id)
}

/// The id, and whether it is enabled.
pub(super) fn existing_state(client: &SpiClient<'_>, target: Target<'_>) -> Result<(i32, bool)> {
    let config = existing(client, target)?;
    Ok((config.id, config.enabled))
}

pub(super) fn existing_or_new_id(client: &mut SpiClient<'_>, target: Target<'_>) -> Result<i32> {
    match find(client, target)? {
        Some(config) => Ok(config.id),
        None => create(client, target),
    }
}

/// The enabled configs that lack something, and what. `enable` refuses them; a new version of a
/// plugin may ask for more than is there.
pub fn incomplete() -> Result<Vec<(i32, String)>> {
    as_owner(|client| -> Result<_> {
        let enabled: Vec<(i32, String)> = client
            .select(
                "SELECT id, plugin FROM posthog_plugins.plugin_config WHERE enabled",
                None,
                &[],
            )?
            .map(|row| Ok((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default())))
            .collect::<SpiResult<_>>()?;
        let mut incomplete = Vec::new();
        for (id, plugin) in enabled {
            let (_, manifest) = current(client, &plugin)?;
            if let Err(error) = check_complete(&manifest, &read(client, id)?) {
                incomplete.push((id, error.message()));
            }
        }
        Ok(incomplete)
    })
}

fn find(client: &SpiClient<'_>, target: Target<'_>) -> Result<Option<Config>> {
    let id = client
        .select(
            "SELECT id FROM posthog_plugins.plugin_config
              WHERE plugin = $1 AND team_id IS NOT DISTINCT FROM $2 AND label = $3",
            Some(1),
            &[target.plugin.into(), target.team_id.into(), target.label.into()],
        )?
        .next()
        .map(|row| row.get::<i32>(1))
        .transpose()?
        .flatten();
    Ok(id.map(|id| read(client, id)).transpose()?)
}

fn read(client: &SpiClient<'_>, id: i32) -> SpiResult<Config> {
    let rows = client.select(
        "SELECT c.enabled, c.config,
                (SELECT pg_catalog.jsonb_object_agg(s.key, s.value)
                   FROM posthog_plugins.plugin_secret AS s
                  WHERE s.config_id = c.id),
                ARRAY(SELECT a.key FROM posthog_plugins.plugin_attachment AS a
                       WHERE a.config_id = c.id)
           FROM posthog_plugins.plugin_config AS c
          WHERE c.id = $1",
        Some(1),
        &[id.into()],
    )?;
    let row = rows.first();
    Ok(Config {
        id,
        enabled: row.get(1)?.unwrap_or_default(),
        settings: object(row.get(2)?),
        secrets: object(row.get(3)?),
        attachments: row.get(4)?.unwrap_or_default(),
    })
}

fn store_secrets(
    client: &mut SpiClient<'_>,
    id: i32,
    secrets: Map<String, Value>,
) -> SpiResult<()> {
    for (key, value) in secrets {
        client.update(
            "INSERT INTO posthog_plugins.plugin_secret (config_id, key, value)
             VALUES ($1, $2, $3)
                 ON CONFLICT (config_id, key) DO UPDATE SET value = EXCLUDED.value",
            None,
            &[id.into(), key.as_str().into(), JsonB(value).into()],
        )?;
    }
    Ok(())
}

/// The team of each config.
pub fn teams_by_id(client: &SpiClient<'_>) -> SpiResult<HashMap<i32, Option<i32>>> {
    client
        .select("SELECT id, team_id FROM posthog_plugins.plugin_config", None, &[])?
        .map(|row| Ok((row.get(1)?.unwrap_or_default(), row.get(2)?)))
        .collect()
}

fn position(client: &SpiClient<'_>, id: i32) -> Result<i32> {
    let position = client
        .select(
            "SELECT position FROM posthog_plugins.plugin_config WHERE id = $1",
            Some(1),
            &[id.into()],
        )?
        .first()
        .get_one::<i32>()?;
    Ok(position.unwrap_or_default())
}
