//! Any version of a plugin, and any config of it, enabled or not: for dry runs. Only reads.

use engine::Attachment;
use pgrx::JsonB;
use pgrx::spi::SpiResult;
use serde_json::{Map, Value};
use source::manifest::Manifest;

use super::configs::Target;
use super::links::{OnError, object};
use super::{as_owner, plugins};
use crate::error::{Error, Result};
use crate::json::Json;

/// A version of a plugin.
pub struct Version {
    pub title: String,
    pub version: i32,
    pub file_name: String,
    pub script: String,
    pub manifest: Manifest,
    /// What came as cases.json.
    pub cases: Option<Json>,
}

/// A config as it is stored, secrets apart.
pub struct Config {
    pub id: i32,
    pub on_error: OnError,
    pub settings: Map<String, Value>,
    pub secrets: Map<String, Value>,
    pub attachments: Vec<Attachment>,
}

/// The given version of a plugin, or the current one.
pub fn version(plugin: &str, version: Option<i32>) -> Result<Version> {
    as_owner(|client| -> Result<_> {
        let found = client
            .select(
                "SELECT p.title, v.version, v.file_name, v.script, v.manifest, v.cases
                   FROM posthog_plugins.plugin AS p
                   JOIN posthog_plugins.plugin_version AS v ON v.plugin = p.name
                  WHERE p.name = $1
                    AND CASE WHEN $2 IS NULL THEN v.is_current ELSE v.version = $2 END",
                Some(1),
                &[plugin.into(), version.into()],
            )?
            .next();
        let Some(row) = found else {
            plugins::current(client, plugin)?;
            let version = version.unwrap_or_default();
            return Err(Error::NoSuchVersion { plugin: plugin.to_owned(), version });
        };
        Ok(Version {
            title: row.get(1)?.unwrap_or_default(),
            version: row.get(2)?.unwrap_or_default(),
            file_name: row.get(3)?.unwrap_or_default(),
            script: row.get(4)?.unwrap_or_default(),
            manifest: plugins::parse(row.get(5)?)?,
            cases: row.get(6)?,
        })
    })
}

pub fn config(target: Target<'_>) -> Result<Option<Config>> {
    as_owner(|client| -> Result<_> {
        let found = client
            .select(
                "SELECT c.id, c.on_error, c.config,
                        (SELECT pg_catalog.jsonb_object_agg(s.key, s.value)
                           FROM posthog_plugins.plugin_secret AS s
                          WHERE s.config_id = c.id)
                   FROM posthog_plugins.plugin_config AS c
                  WHERE c.plugin = $1 AND c.team_id IS NOT DISTINCT FROM $2 AND c.label = $3",
                Some(1),
                &[target.plugin.into(), target.team_id.into(), target.label.into()],
            )?
            .next();
        let Some(row) = found else { return Ok(None) };
        let id: i32 = row.get(1)?.unwrap_or_default();
        let on_error = row.get::<String>(2)?.as_deref().and_then(OnError::parse);
        let attachments = client
            .select(
                "SELECT key, file_name, content_type, contents
                   FROM posthog_plugins.plugin_attachment WHERE config_id = $1 ORDER BY key",
                None,
                &[id.into()],
            )?
            .map(|row| {
                Ok(Attachment {
                    key: row.get(1)?.unwrap_or_default(),
                    file_name: row.get(2)?.unwrap_or_default(),
                    content_type: row.get(3)?.unwrap_or_default(),
                    contents: row.get(4)?.unwrap_or_default(),
                })
            });
        Ok(Some(Config {
            id,
            on_error: on_error.unwrap_or(OnError::Pass),
            settings: object(row.get::<JsonB>(3)?),
            secrets: object(row.get::<JsonB>(4)?),
            attachments: attachments.collect::<SpiResult<_>>()?,
        }))
    })
}
