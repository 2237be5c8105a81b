//! What is tried: a version of a plugin with a config, or a source that is not installed.

use std::rc::Rc;

use engine::{Attachment, Failure};
use serde_json::{Map, Value};
use source::manifest::{FieldType, Manifest};

use crate::backend::Link;
use crate::catalog::configs::Target;
use crate::catalog::links::{self, OnError, StoredLink, effective};
use crate::catalog::trials::{self, Version};
use crate::chain;
use crate::error::{Error, Result};
use crate::install::{self, Given};

pub struct Trial {
    pub link: Rc<Link>,
    /// Of a source that is not installed.
    source_map: Option<String>,
}

/// The name of a source whose manifest has none.
const NAMELESS: &str = "plugin";

impl Trial {
    /// An installed plugin with the config that is stored for the target; without one, with the
    /// manifest's defaults.
    pub fn stored(target: Target<'_>, version: Option<i32>) -> Result<Self> {
        let found = trials::version(target.plugin, version)?;
        let Some(config) = trials::config(target)? else {
            if target.team_id.is_some() || !target.label.is_empty() {
                return Err(Error::NoSuchConfig(target.plugin.to_owned()));
            }
            return Trial::given(target, &found, Map::new(), None);
        };
        let (values, secrets) = effective(Some(&found.manifest), config.settings, config.secrets);
        let link = stored_link(target.plugin, &found, values, secrets);
        let link = StoredLink {
            id: config.id,
            label: target.label.to_owned(),
            team_id: target.team_id,
            on_error: config.on_error,
            attachments: config.attachments,
            ..link
        };
        Ok(Trial { link: Rc::new(Link::new(link, &[])), source_map: None })
    }

    /// An installed plugin with a config that is not stored, and sees nothing of one that is.
    /// Without a list of files, none is asked for.
    pub fn given(
        target: Target<'_>,
        version: &Version,
        given: Map<String, Value>,
        files: Option<Vec<Attachment>>,
    ) -> Result<Self> {
        let plugin = target.plugin;
        let (values, secrets) = checked(plugin, &version.manifest, given, files.as_deref())?;
        let link = stored_link(plugin, version, values, secrets);
        let attachments = files.unwrap_or_default();
        let link = StoredLink { team_id: target.team_id, attachments, ..link };
        Ok(Trial { link: Rc::new(Link::new(link, &[])), source_map: None })
    }

    /// A source that is not installed.
    pub fn source(source: &str, manifest: Value, given: Map<String, Value>) -> Result<Self> {
        let named = manifest.get("name").is_some_and(Value::is_string);
        let name = (!named).then_some(NAMELESS);
        let given_source = Given { source, file_name: None, manifest, name, cases: None };
        let plugin = install::read(&given_source)?;
        let (config, secrets) = checked(&plugin.name, &plugin.manifest, given, None)?;
        let link = StoredLink {
            id: 0,
            title: plugin.name.clone(),
            plugin: plugin.name,
            team_id: None,
            label: String::new(),
            on_error: OnError::Pass,
            version: 0,
            file_name: plugin.file_name,
            script: plugin.script.text,
            config,
            secrets,
            attachments: Vec::new(),
            hosts: Vec::new(),
            pause: None,
            capabilities: Default::default(),
        };
        Ok(Trial {
            link: Rc::new(Link::new(link, &[])),
            source_map: Some(plugin.script.source_map),
        })
    }

    /// Every enabled config, in order.
    pub fn chain() -> Result<Vec<Self>> {
        let links = links::enabled()?.into_iter();
        Ok(links
            .map(|link| Trial { link: Rc::new(Link::new(link, &[])), source_map: None })
            .collect())
    }

    /// The failure with the positions of its stack in the author's file.
    pub fn locate(&self, failure: Failure) -> Failure {
        match &self.source_map {
            Some(map) => chain::locate_by(map, &self.link.program, failure),
            None => chain::locate(&self.link, failure),
        }
    }
}

fn stored_link(
    plugin: &str,
    version: &Version,
    config: Map<String, Value>,
    secrets: Vec<Value>,
) -> StoredLink {
    StoredLink {
        id: 0,
        plugin: plugin.to_owned(),
        title: version.title.clone(),
        team_id: None,
        label: String::new(),
        on_error: OnError::Pass,
        version: version.version,
        file_name: version.file_name.clone(),
        script: version.script.clone(),
        config,
        secrets,
        attachments: Vec::new(),
        hosts: Vec::new(),
        pause: None,
        capabilities: Default::default(),
    }
}

/// Given settings over the manifest's defaults, and the secret ones among them.
fn checked(
    plugin: &str,
    manifest: &Manifest,
    given: Map<String, Value>,
    files: Option<&[Attachment]>,
) -> Result<(Map<String, Value>, Vec<Value>)> {
    let refuse = |error| Error::Config { plugin: plugin.to_owned(), error };
    let given = manifest.normalise(&given).map_err(refuse)?;
    let (values, secrets) = effective(Some(manifest), given.values, Map::new());
    let present: Vec<&str> = match files {
        Some(files) => files.iter().map(|file| file.key.as_str()).collect(),
        None => manifest
            .fields()
            .filter(|field| field.kind == FieldType::Attachment)
            .map(|field| field.key.as_str())
            .collect(),
    };
    manifest.check_required(&values, &present).map_err(refuse)?;
    Ok((values, secrets))
}
