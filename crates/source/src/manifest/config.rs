//! The values people give to a manifest's fields: what is accepted, what a plugin receives, and
//! what is still missing. The effective configuration is the defaults, under what is stored, under
//! the secrets. No value appears in an error or in debug output: any of them may be a password.

use std::fmt;

use serde_json::{Map, Value};

use super::error::quoted;
use super::object::kind_of;
use super::{Condition, Field, FieldType, Manifest};

/// What every plugin with exportEvents can be configured with, whatever its manifest says.
const OF_EXPORTS: [&str; 3] =
    ["exportEventsBufferBytes", "exportEventsBufferSeconds", "exportEventsToIgnore"];

/// Given values, checked and in the form a plugin receives them.
#[derive(Clone, Default, PartialEq)]
pub struct Normalised {
    /// What to store, secrets included.
    pub values: Map<String, Value>,
    /// Keys among them that no field has. Plugins may read them all the same; worth a warning.
    pub unknown: Vec<String>,
}

/// Only the keys: the values may be secret.
impl fmt::Debug for Normalised {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Normalised")
            .field("keys", &self.values.keys().collect::<Vec<_>>())
            .field("unknown", &self.unknown)
            .finish_non_exhaustive()
    }
}

/// Why configuration values are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value of the wrong kind.
    #[error("configuration value \"{key}\" must be {expected}")]
    WrongType {
        /// Whose.
        key: String,
        /// What belongs there.
        expected: &'static str,
        /// What was given.
        found: &'static str,
    },
    /// Not one of the texts to choose from.
    #[error("configuration value \"{key}\" must be one of {}", quoted(choices))]
    NotAChoice {
        /// Whose.
        key: String,
        /// What can be chosen.
        choices: Vec<String>,
    },
    /// Text of a json field that is not JSON.
    #[error("configuration value \"{key}\" is not valid JSON")]
    InvalidJson {
        /// Whose.
        key: String,
        /// Where the text stops making sense.
        line: usize,
        /// And in which column.
        column: usize,
    },
    /// A dictionary with something other than text in it.
    #[error("configuration value \"{key}\" must be an object of strings")]
    NotADictionary {
        /// Whose.
        key: String,
        /// The entry that is not text.
        entry: String,
        /// What it is instead.
        found: &'static str,
    },
    /// A file given as a value.
    #[error("configuration value \"{key}\" is an attachment")]
    Attachment {
        /// Whose.
        key: String,
    },
    /// Fields that need a value and have none.
    #[error("configuration lacks required values: {}", quoted(keys))]
    Missing {
        /// Theirs.
        keys: Vec<String>,
    },
}

impl Manifest {
    /// The values of fields nobody has set.
    pub fn defaults(&self) -> Map<String, Value> {
        self.fields()
            .filter_map(|field| Some((field.key.clone(), field.default.clone()?)))
            .collect()
    }

    /// What a plugin receives as `meta.config`.
    pub fn effective(
        &self,
        stored: &Map<String, Value>,
        secrets: &Map<String, Value>,
    ) -> Map<String, Value> {
        self.defaults().into_iter().chain(stored.clone()).chain(secrets.clone()).collect()
    }

    /// Checks given values and brings them into the form plugins receive. Null means not given:
    /// the key is left out, so that the default comes back, or a stored secret stays.
    pub fn normalise(&self, given: &Map<String, Value>) -> Result<Normalised, ConfigError> {
        let mut result = Normalised::default();
        for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            let value = match self.field(key) {
                Some(field) => field.normalise(value)?,
                None => {
                    if !OF_EXPORTS.contains(&key.as_str()) {
                        result.unknown.push(key.clone());
                    }
                    value.clone()
                }
            };
            result.values.insert(key.clone(), value);
        }
        Ok(result)
    }

    /// Parts values into those anyone may read and the secrets.
    pub fn split_secrets(
        &self,
        values: Map<String, Value>,
    ) -> (Map<String, Value>, Map<String, Value>) {
        values.into_iter().partition(|(key, _)| !self.is_secret(key))
    }

    /// The keys of fields that need a value and have none, in their order. Attachments are given
    /// by key.
    pub fn missing(&self, effective: &Map<String, Value>, attachments: &[&str]) -> Vec<&str> {
        let absent = |field: &&Field| match field.kind {
            FieldType::Attachment => !attachments.contains(&field.key.as_str()),
            _ => {
                matches!(effective.get(&field.key), None | Some(Value::Null))
                    || effective.get(&field.key).is_some_and(|value| value == "")
            }
        };
        self.fields()
            .filter(|field| field.is_required(effective))
            .filter(absent)
            .map(|field| field.key.as_str())
            .collect()
    }

    /// Refuses a configuration from which something is missing.
    pub fn check_required(
        &self,
        effective: &Map<String, Value>,
        attachments: &[&str],
    ) -> Result<(), ConfigError> {
        let keys: Vec<_> =
            self.missing(effective, attachments).into_iter().map(str::to_owned).collect();
        if keys.is_empty() { Ok(()) } else { Err(ConfigError::Missing { keys }) }
    }
}

impl Field {
    /// Whether it needs a value, the other values being what they are. A field that is not visible
    /// never does: nobody would be asked for it.
    pub fn is_required(&self, config: &Map<String, Value>) -> bool {
        let all = |conditions: &[Condition]| conditions.iter().all(|c| c.holds(config));
        let required = self.required || (!self.required_if.is_empty() && all(&self.required_if));
        required && all(&self.visible_if)
    }

    fn normalise(&self, value: &Value) -> Result<Value, ConfigError> {
        let key = || self.key.clone();
        let wrong_type =
            |expected| ConfigError::WrongType { key: key(), expected, found: kind_of(value) };
        match (self.kind, value) {
            (FieldType::Attachment, _) => Err(ConfigError::Attachment { key: key() }),
            (FieldType::String, Value::String(_)) => Ok(value.clone()),
            (FieldType::String, _) => Err(wrong_type("a string")),
            (FieldType::Choice, Value::String(text)) if self.choices.contains(text) => {
                Ok(value.clone())
            }
            (FieldType::Choice, _) => {
                Err(ConfigError::NotAChoice { key: key(), choices: self.choices.clone() })
            }
            (FieldType::Json, Value::String(text)) => self.check_json(text).map(|()| value.clone()),
            (FieldType::Json, _) => Ok(value.to_string().into()),
            (FieldType::Dictionary, Value::Object(map)) => {
                match map.iter().find(|(_, value)| !value.is_string()) {
                    None => Ok(value.clone()),
                    Some((entry, value)) => Err(ConfigError::NotADictionary {
                        key: key(),
                        entry: entry.clone(),
                        found: kind_of(value),
                    }),
                }
            }
            (FieldType::Dictionary, _) => Err(wrong_type("an object of strings")),
        }
    }

    /// Empty text is accepted: it is how a value is cleared.
    fn check_json(&self, text: &str) -> Result<(), ConfigError> {
        if text.is_empty() {
            return Ok(());
        }
        serde_json::from_str::<Value>(text).map(drop).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            ConfigError::InvalidJson { key: self.key.clone(), line, column }
        })
    }
}

impl ConfigError {
    /// The primary message.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// More about it, in sentences.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::WrongType { found, .. } => Some(format!("It is {found}.")),
            Self::NotADictionary { entry, found, .. } => {
                Some(format!("Its entry \"{entry}\" is {found}."))
            }
            Self::InvalidJson { line, column, .. } => {
                Some(format!("It stops making sense at line {line}, column {column}."))
            }
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Attachment { .. } => {
                Some("Give the file with posthog_plugins.set_attachment.".into())
            }
            Self::WrongType { expected: "a string", found: "a number" | "a boolean", .. } => {
                Some("Quote it: plugins receive text and parse it themselves.".into())
            }
            _ => None,
        }
    }
}
