//! What can be wrong with a manifest, said as PostgreSQL says such things.

use super::FieldType;

/// Why a manifest is refused. `path` is always the key that is wrong, as in `config[2].choices`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The whole is not an object.
    #[error("plugin manifest is not a JSON object")]
    NotAnObject {
        /// What it is instead.
        found: &'static str,
    },
    /// A known key holds the wrong kind of JSON.
    #[error("manifest key \"{path}\" must be {expected}")]
    WrongType {
        /// Where.
        path: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A field without a key, and without a text that would make it a text block.
    #[error("manifest key \"{path}\" has neither \"key\" nor \"markdown\"")]
    Nameless {
        /// Where.
        path: String,
    },
    /// Two fields of one key.
    #[error("manifest key \"{path}\" repeats the field \"{key}\"")]
    DuplicateKey {
        /// The second of the two.
        path: String,
        /// Their key.
        key: String,
    },
    /// A field type that does not exist.
    #[error("manifest key \"{path}\" names the unknown field type \"{given}\"")]
    UnknownType {
        /// Where.
        path: String,
        /// The name.
        given: String,
    },
    /// A choice with nothing, or not only texts, to choose from.
    #[error("manifest key \"{path}\" must be a non-empty array of strings")]
    NoChoices {
        /// Where.
        path: String,
    },
    /// A choice that is secret as well.
    #[error("manifest key \"{path}\" makes a choice secret")]
    SecretChoice {
        /// Where.
        path: String,
    },
    /// A default that cannot be chosen.
    #[error("manifest key \"{path}\" is not one of the field's choices")]
    DefaultNotAChoice {
        /// Where.
        path: String,
        /// What can be chosen.
        choices: Vec<String>,
    },
    /// Not a `[key, value]` pair.
    #[error("manifest key \"{path}\" is not a pair of a field's key and a value")]
    NotACondition {
        /// Where.
        path: String,
    },
    /// A condition on a field that does not exist.
    #[error("manifest key \"{path}\" names the unknown field \"{key}\"")]
    UnknownConditionField {
        /// Where.
        path: String,
        /// The key that no field has.
        key: String,
    },
    /// `stateless` together with something to configure.
    #[error("a stateless plugin cannot have a configuration")]
    StatelessWithConfig,
}

impl ManifestError {
    /// The primary message.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// More about it, in sentences.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::NotAnObject { found } | Self::WrongType { found, .. } => {
                Some(format!("It is {found}."))
            }
            Self::UnknownType { .. } => {
                let names = FieldType::NAMES.map(|(name, _)| name);
                Some(format!("The field types are {}.", names.join(", ")))
            }
            Self::DefaultNotAChoice { choices, .. } => {
                Some(format!("The choices are {}.", quoted(choices)))
            }
            Self::StatelessWithConfig => Some(
                "One stateless plugin serves every team, so there is nobody to configure it for."
                    .into(),
            ),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotAnObject { .. } => "Give the contents of plugin.json.",
            Self::UnknownType { given, .. } if given == "boolean" || given == "bool" => {
                "Use a choice of \"Yes\" and \"No\"."
            }
            Self::UnknownType { given, .. } if given == "number" || given == "integer" => {
                "Use a string; the plugin parses it."
            }
            Self::SecretChoice { .. } => "Remove \"secret\", or make the field a string.",
            Self::NotACondition { .. } => {
                "Write conditions as in [[\"stage\", \"S3\"], [\"mode\", \"fast\"]]."
            }
            Self::StatelessWithConfig => "Remove \"stateless\" or \"config\".",
            _ => return None,
        };
        Some(hint.into())
    }
}

/// A list for a message: `"a", "b"`.
pub(super) fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ")
}
