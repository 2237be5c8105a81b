//! The enabled configs as the backend runs them.

use pgrx::JsonB;
use pgrx::spi::{SpiClient, SpiHeapTupleData, SpiResult};
use serde_json::{Map, Value};
use source::manifest::Manifest;

use super::{as_owner, version};
use crate::error::Result;
use engine::{Attachment, Capabilities};

/// What becomes of an event on which a plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnError {
    Pass,
    Drop,
    Raise,
}

impl OnError {
    pub fn name(self) -> &'static str {
        match self {
            OnError::Pass => "pass",
            OnError::Drop => "drop",
            OnError::Raise => "raise",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "pass" => Some(OnError::Pass),
            "drop" => Some(OnError::Drop),
            "raise" => Some(OnError::Raise),
            _ => None,
        }
    }
}

/// An enabled config with the current version of its plugin.
pub struct StoredLink {
    pub id: i32,
    pub plugin: String,
    pub title: String,
    pub team_id: Option<i32>,
    pub label: String,
    pub on_error: OnError,
    pub version: i32,
    pub file_name: String,
    pub script: String,
    /// Defaults under settings under secrets.
    pub config: Map<String, Value>,
    /// The values in it whose fields are secret.
    pub secrets: Vec<Value>,
    pub attachments: Vec<Attachment>,
    /// What it may reach.
    pub hosts: Vec<String>,
    pub pause: Option<StoredPause>,
    /// Nothing, where the script did not load.
    pub capabilities: Capabilities,
}

/// That the config is paused.
pub struct StoredPause {
    /// How much longer.
    pub seconds: f64,
    pub reason: String,
}

/// The enabled configs in order.
pub fn enabled() -> Result<Vec<StoredLink>> {
    as_owner(|client| version::tolerate_other(client, read))
}

fn read(client: &mut SpiClient<'_>) -> SpiResult<Vec<StoredLink>> {
    let rows = client.select(
        "SELECT c.id, c.plugin, p.title, c.team_id, c.on_error, v.version, v.file_name,
                    v.script, v.manifest, c.config,
                    (SELECT pg_catalog.jsonb_object_agg(s.key, s.value)
                       FROM posthog_plugins.plugin_secret AS s
                      WHERE s.config_id = c.id),
                    c.label,
                    EXISTS (SELECT 1
                              FROM posthog_plugins.plugin_attachment AS a
                             WHERE a.config_id = c.id),
                    pause.seconds, pause.reason, c.hosts, v.capabilities
               FROM posthog_plugins.plugin_config AS c
               JOIN posthog_plugins.plugin AS p ON p.name = c.plugin
               JOIN posthog_plugins.plugin_version AS v ON v.plugin = c.plugin AND v.is_current
               LEFT JOIN LATERAL (
                    SELECT EXTRACT(epoch FROM p.until - pg_catalog.clock_timestamp())::float8
                               AS seconds,
                           p.reason
                      FROM posthog_plugins.plugin_pause AS p
                     WHERE p.config_id = c.id AND p.until > pg_catalog.clock_timestamp()
                     ORDER BY p.until DESC
                     LIMIT 1) AS pause ON true
              WHERE c.enabled
              ORDER BY c.position",
        None,
        &[],
    )?;
    let mut links = Vec::new();
    let mut have_attachments = false;
    for row in rows {
        have_attachments |= row.get::<bool>(13)?.unwrap_or_default();
        links.push(link(row)?);
    }
    if !have_attachments {
        return Ok(links);
    }
    for (config_id, attachment) in attachments(client)? {
        if let Some(link) = links.iter_mut().find(|link| link.id == config_id) {
            link.attachments.push(attachment);
        }
    }
    Ok(links)
}

fn link(row: SpiHeapTupleData<'_>) -> SpiResult<StoredLink> {
    let stored = object(row.get::<JsonB>(10)?);
    let secrets = object(row.get::<JsonB>(11)?);
    let capabilities = object(row.get::<JsonB>(17)?);
    // It was parsed when it was installed. Should somebody have broken it since, the plugin gets
    // its settings without defaults.
    let manifest = Manifest::parse(&Value::Object(object(row.get::<JsonB>(9)?))).ok();
    let (config, secrets) = effective(manifest.as_ref(), stored, secrets);
    let on_error = row.get::<String>(5)?.as_deref().and_then(OnError::parse);
    Ok(StoredLink {
        id: row.get(1)?.unwrap_or_default(),
        plugin: row.get(2)?.unwrap_or_default(),
        title: row.get(3)?.unwrap_or_default(),
        team_id: row.get(4)?,
        label: row.get(12)?.unwrap_or_default(),
        on_error: on_error.unwrap_or(OnError::Pass),
        version: row.get(6)?.unwrap_or_default(),
        file_name: row.get(7)?.unwrap_or_default(),
        script: row.get(8)?.unwrap_or_default(),
        config,
        secrets,
        attachments: Vec::new(),
        hosts: row.get(16)?.unwrap_or_default(),
        pause: match (row.get(14)?, row.get(15)?) {
            (Some(seconds), Some(reason)) => Some(StoredPause { seconds, reason }),
            _ => None,
        },
        // What an older library has stored, or somebody has broken, is as good as nothing.
        capabilities: serde_json::from_value(Value::Object(capabilities)).unwrap_or_default(),
    })
}

/// What a plugin receives as its config, and the values in it that are secret.
pub fn effective(
    manifest: Option<&Manifest>,
    stored: Map<String, Value>,
    secrets: Map<String, Value>,
) -> (Map<String, Value>, Vec<Value>) {
    let mut secret_values: Vec<Value> = secrets.values().cloned().collect();
    let Some(manifest) = manifest else {
        return (stored.into_iter().chain(secrets).collect(), secret_values);
    };
    let config = manifest.effective(&stored, &secrets);
    let secret = config.iter().filter(|(key, _)| manifest.is_secret(key));
    secret_values.extend(secret.map(|(_, value)| value.clone()));
    (config, secret_values)
}

fn attachments(client: &SpiClient<'_>) -> SpiResult<Vec<(i32, Attachment)>> {
    client
        .select(
            "SELECT a.config_id, a.key, a.file_name, a.content_type, a.contents
               FROM posthog_plugins.plugin_attachment AS a
               JOIN posthog_plugins.plugin_config AS c ON c.id = a.config_id
              WHERE c.enabled
              ORDER BY a.config_id, a.key",
            None,
            &[],
        )?
        .map(|row| {
            let attachment = Attachment {
                key: row.get(2)?.unwrap_or_default(),
                file_name: row.get(3)?.unwrap_or_default(),
                content_type: row.get(4)?.unwrap_or_default(),
                contents: row.get(5)?.unwrap_or_default(),
            };
            Ok((row.get(1)?.unwrap_or_default(), attachment))
        })
        .collect()
}

/// The object in a jsonb that the tables declare to be one.
pub(super) fn object(value: Option<JsonB>) -> Map<String, Value> {
    match value {
        Some(JsonB(Value::Object(object))) => object,
        _ => Map::new(),
    }
}
