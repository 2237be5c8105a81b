//! The entries of a manifest's `config`: fields to fill in, and texts to read between them.

use std::fmt;

use serde_json::{Map, Value};

use super::ManifestError;
use super::object::{Object, scalar_text};

/// PostHog's place for fields of the older shape that do not say where they stand: last.
const UNORDERED: f64 = 999_999.0;

/// One entry of `config`.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigItem {
    /// Something to fill in.
    Field(Box<Field>),
    /// Markdown to read, nothing to fill in.
    Text(String),
}

/// What a field holds. No boolean and no number: plugins use a choice of `Yes` and `No`, and parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Any text.
    String,
    /// A file, given to the plugin apart from the configuration.
    Attachment,
    /// One text out of a list.
    Choice,
    /// Text that holds JSON; the plugin parses it.
    Json,
    /// An object whose values are texts.
    Dictionary,
}

/// Something that can be configured.
#[derive(Clone, PartialEq)]
pub struct Field {
    /// The name of the value in `meta.config` (or `meta.attachments`).
    pub key: String,
    /// The label people see; the key if absent.
    pub name: Option<String>,
    /// What it holds.
    pub kind: FieldType,
    /// The value if none is stored, in the form the plugin receives.
    pub default: Option<Value>,
    /// Help below the field, markdown.
    pub hint: Option<String>,
    /// Text above the field, markdown.
    pub markdown: Option<String>,
    /// Place among the fields of the older shape.
    pub order: Option<f64>,
    /// Must have a value.
    pub required: bool,
    /// Can be written but not read.
    pub secret: bool,
    /// The texts a choice chooses from; empty for other types.
    pub choices: Vec<String>,
    /// Must have a value while all of these hold.
    pub required_if: Vec<Condition>,
    /// Matters only while all of these hold.
    pub visible_if: Vec<Condition>,
    /// The value may hold templates.
    pub templating: bool,
    pub(super) path: String,
}

/// "While that other field has this value."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The other field.
    pub key: String,
    /// Its value, numbers and booleans as text.
    pub value: String,
}

impl ConfigItem {
    /// An entry of the array shape.
    pub(super) fn parse(entry: &Object) -> Result<Self, ManifestError> {
        match (entry.text("key")?.filter(|key| !key.is_empty()), entry.text("markdown")?) {
            (Some(key), _) => Field::parse(key, entry).map(|field| Self::Field(Box::new(field))),
            (None, Some(markdown)) => Ok(Self::Text(markdown)),
            (None, None) => Err(ManifestError::Nameless { path: entry.path.clone() }),
        }
    }

    /// An entry of the object shape, where a text has a key as well, but no type.
    pub(super) fn parse_keyed(key: &str, entry: &Object) -> Result<Self, ManifestError> {
        match (entry.get("type"), entry.text("markdown")?) {
            (None, Some(markdown)) => Ok(Self::Text(markdown)),
            _ => Field::parse(key.to_owned(), entry).map(|field| Self::Field(Box::new(field))),
        }
    }

    /// The field, if it is one.
    pub fn field(&self) -> Option<&Field> {
        match self {
            Self::Field(field) => Some(field),
            Self::Text(_) => None,
        }
    }

    pub(super) fn order(&self) -> f64 {
        self.field().and_then(|field| field.order).unwrap_or(UNORDERED)
    }
}

impl FieldType {
    /// The types and their names in a manifest.
    pub const NAMES: [(&str, Self); 5] = [
        ("string", Self::String),
        ("attachment", Self::Attachment),
        ("choice", Self::Choice),
        ("json", Self::Json),
        ("dictionary", Self::Dictionary),
    ];

    /// `selection`, a name from before `choice`, is in published plugins, among them two of
    /// PostHog's own. No form ever offered its `options`: people type, and one such plugin expects
    /// "3" where the options are words. So it is text.
    fn parse(entry: &Object) -> Result<Self, ManifestError> {
        let Some(given) = entry.text("type")? else { return Ok(Self::String) };
        let mut known = Self::NAMES.iter().chain(&[("selection", Self::String)]);
        known
            .find_map(|(name, kind)| (*name == given).then_some(*kind))
            .ok_or_else(|| ManifestError::UnknownType { path: entry.path_of("type"), given })
    }
}

impl Field {
    fn parse(key: String, entry: &Object) -> Result<Self, ManifestError> {
        let kind = FieldType::parse(entry)?;
        let choices = choices(kind, entry)?;
        let secret = entry.flag("secret")?;
        if secret && kind == FieldType::Choice {
            return Err(ManifestError::SecretChoice { path: entry.path_of("secret") });
        }
        Ok(Self {
            key,
            name: entry.text("name")?,
            kind,
            default: default(kind, &choices, entry)?,
            hint: entry.text("hint")?,
            markdown: entry.text("markdown")?,
            order: entry.number("order")?,
            required: entry.flag("required")?,
            secret,
            choices,
            required_if: conditions("required_if", entry)?,
            visible_if: conditions("visible_if", entry)?,
            templating: entry.flag("templating")?,
            path: entry.path.clone(),
        })
    }

    /// The label people see.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.key)
    }
}

/// Without the default, which may be a real password where the field is secret.
impl fmt::Debug for Field {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Field")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

impl Condition {
    /// Whether the configuration meets it.
    pub fn holds(&self, config: &Map<String, Value>) -> bool {
        config.get(&self.key).and_then(scalar_text).is_some_and(|text| text == self.value)
    }
}

/// Other types may carry `choices` too (some published string fields do): they mean nothing there.
fn choices(kind: FieldType, entry: &Object) -> Result<Vec<String>, ManifestError> {
    if kind != FieldType::Choice {
        return Ok(Vec::new());
    }
    let choices = entry.get("choices").and_then(Value::as_array).and_then(|choices| {
        choices.iter().map(|choice| choice.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    choices
        .filter(|choices| !choices.is_empty())
        .ok_or_else(|| ManifestError::NoChoices { path: entry.path_of("choices") })
}

/// A number or boolean where text belongs is turned into text, as the form would have done.
fn default(
    kind: FieldType,
    choices: &[String],
    entry: &Object,
) -> Result<Option<Value>, ManifestError> {
    let Some(given) = entry.get("default") else { return Ok(None) };
    let wrong = |expected| entry.wrong_type("default", expected, given);
    let empty = given == "";
    match kind {
        FieldType::String => {
            scalar_text(given).map(|text| Some(text.into())).ok_or_else(|| wrong("a string"))
        }
        FieldType::Json => Ok(Some(match given {
            Value::String(text) => text.as_str().into(),
            other => other.to_string().into(),
        })),
        // The starting value of a form in which nothing is chosen yet.
        FieldType::Choice | FieldType::Attachment if empty => Ok(None),
        FieldType::Choice => {
            let text = scalar_text(given).ok_or_else(|| wrong("a string"))?;
            if choices.contains(&text) {
                return Ok(Some(text.into()));
            }
            let (path, choices) = (entry.path_of("default"), choices.to_vec());
            Err(ManifestError::DefaultNotAChoice { path, choices })
        }
        FieldType::Attachment => Err(wrong("left out, for an attachment has no default")),
        FieldType::Dictionary => dictionary(given)
            .map(|map| Some(map.into()))
            .ok_or_else(|| wrong("an object of strings")),
    }
}

fn dictionary(value: &Value) -> Option<Map<String, Value>> {
    let entry = |(key, value): (&String, &Value)| Some((key.clone(), scalar_text(value)?.into()));
    value.as_object()?.iter().map(entry).collect()
}

fn conditions(name: &str, entry: &Object) -> Result<Vec<Condition>, ManifestError> {
    let Some(given) = entry.get(name) else { return Ok(Vec::new()) };
    let pairs = given.as_array().ok_or_else(|| entry.wrong_type(name, "an array", given))?;
    let condition = |(index, pair): (usize, &Value)| {
        match pair.as_array().map(Vec::as_slice) {
            Some([Value::String(key), value]) => {
                scalar_text(value).map(|value| Condition { key: key.clone(), value })
            }
            _ => None,
        }
        .ok_or_else(|| ManifestError::NotACondition {
            path: format!("{}[{index}]", entry.path_of(name)),
        })
    };
    pairs.iter().enumerate().map(condition).collect()
}
