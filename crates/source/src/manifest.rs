//! The manifest: a plugin's `plugin.json`, read once, checked, and asked ever after.
//!
//! PostHog itself checks almost nothing here and leaves mistakes to be found by the plugin at run
//! time. A manifest is refused at installation instead, with the path of the key that is wrong;
//! what published plugins really contain is accepted, and keys nobody knows are kept.

mod config;
mod error;
mod field;
mod job;
mod object;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;

use serde_json::{Map, Value};

pub use config::{ConfigError, Normalised};
pub use error::ManifestError;
pub use field::{Condition, ConfigItem, Field, FieldType};
pub use job::PayloadError;
use object::Object;

/// PostgreSQL cuts identifiers at 63 bytes, so a longer plugin name could not name a thing there.
const SLUG_MAX: usize = 63;

/// What a plugin says about itself.
#[derive(Clone, PartialEq)]
pub struct Manifest {
    /// The name for people; [`slug`] makes one for machines of it.
    pub name: Option<String>,
    /// Where the plugin lives. Not used, only shown.
    pub url: Option<String>,
    /// One sentence for lists of plugins.
    pub description: Option<String>,
    /// The file that is run, relative to the plugin's folder.
    pub main: Option<String>,
    /// A second file, put before `main`. Deprecated since 2020, still in some published plugins.
    pub lib: Option<String>,
    /// Path or address of a picture.
    pub icon: Option<String>,
    /// A range of PostHog versions; kept, not checked, because no PostHog is running here.
    pub posthog_version: Option<String>,
    /// Jobs that people may start by hand: name to specification.
    pub public_jobs: Map<String, Value>,
    /// The plugin keeps nothing between events and has no configuration.
    pub stateless: bool,
    items: Vec<ConfigItem>,
    raw: Value,
}

impl Manifest {
    /// Reads a `plugin.json`. Null counts as absent for every key.
    pub fn parse(raw: &Value) -> Result<Self, ManifestError> {
        let object = Object::root(raw)?;
        let items = config_items(&object)?;
        let stateless = object.flag("stateless")?;
        if stateless && !items.is_empty() {
            return Err(ManifestError::StatelessWithConfig);
        }
        Ok(Self {
            name: object.text("name")?,
            url: object.text("url")?,
            description: object.text("description")?,
            main: object.text("main")?,
            lib: object.text("lib")?,
            icon: object.text("icon")?,
            posthog_version: object.text("posthogVersion")?,
            public_jobs: object.map("publicJobs")?.cloned().unwrap_or_default(),
            stateless,
            items,
            raw: raw.clone(),
        })
    }

    /// The manifest as it was given, with the keys that mean nothing here.
    pub fn raw(&self) -> &Value {
        &self.raw
    }

    /// Everything `config` lists, in the order people see it.
    pub fn items(&self) -> &[ConfigItem] {
        &self.items
    }

    /// What can be configured, in the order people see it.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.items.iter().filter_map(ConfigItem::field)
    }

    /// The field of that key.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.fields().find(|field| field.key == key)
    }

    /// Whether the value of that key must be kept from readers.
    pub fn is_secret(&self, key: &str) -> bool {
        self.field(key).is_some_and(|field| field.secret)
    }
}

/// Without `raw` and the defaults: a default of a secret field may be a real password.
impl fmt::Debug for Manifest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Manifest")
            .field("name", &self.name)
            .field("items", &self.items)
            .finish_non_exhaustive()
    }
}

/// A name for machines: ASCII letters and digits in lower case, everything between them one `-`,
/// at most 63 characters. None if nothing is left.
pub fn slug(name: &str) -> Option<String> {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    slug.truncate(SLUG_MAX);
    slug.truncate(slug.trim_end_matches('-').len());
    (!slug.is_empty()).then_some(slug)
}

fn config_items(manifest: &Object) -> Result<Vec<ConfigItem>, ManifestError> {
    let items = match manifest.get("config") {
        None => Vec::new(),
        Some(Value::Array(entries)) => in_given_order(entries)?,
        Some(Value::Object(entries)) => in_stated_order(entries)?,
        Some(other) => return Err(manifest.wrong_type("config", "an array or an object", other)),
    };
    check_keys(&items)?;
    Ok(items)
}

fn in_given_order(entries: &[Value]) -> Result<Vec<ConfigItem>, ManifestError> {
    let parse = |(index, entry)| ConfigItem::parse(&Object::at(format!("config[{index}]"), entry)?);
    entries.iter().enumerate().map(parse).collect()
}

/// The older shape: an object of fields by key, where `order` says which comes first.
fn in_stated_order(entries: &Map<String, Value>) -> Result<Vec<ConfigItem>, ManifestError> {
    let parse = |(key, entry): (&String, &Value)| {
        ConfigItem::parse_keyed(key, &Object::at(format!("config.{key}"), entry)?)
    };
    let mut items = entries.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    items.sort_by(|a, b| a.order().total_cmp(&b.order()));
    Ok(items)
}

/// What can only be known once every field is: no key twice, no condition on a field that is not.
fn check_keys(items: &[ConfigItem]) -> Result<(), ManifestError> {
    let mut keys = HashSet::new();
    for field in items.iter().filter_map(ConfigItem::field) {
        if !keys.insert(field.key.as_str()) {
            let (path, key) = (format!("{}.key", field.path), field.key.clone());
            return Err(ManifestError::DuplicateKey { path, key });
        }
    }
    for field in items.iter().filter_map(ConfigItem::field) {
        for (name, conditions) in
            [("required_if", &field.required_if), ("visible_if", &field.visible_if)]
        {
            let unknown = |(_, condition): &(usize, &Condition)| !keys.contains(&*condition.key);
            if let Some((index, condition)) = conditions.iter().enumerate().find(unknown) {
                return Err(ManifestError::UnknownConditionField {
                    path: format!("{}.{name}[{index}]", field.path),
                    key: condition.key.clone(),
                });
            }
        }
    }
    Ok(())
}
