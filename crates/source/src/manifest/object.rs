//! A JSON object together with the path that led to it, so that whatever is wrong in it can be
//! named as its author would: `config[2].choices`.

use serde_json::{Map, Value};

use super::ManifestError;

/// An object of the manifest and where it stands; the path of the manifest itself is empty.
pub(super) struct Object<'a> {
    pub path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    pub fn root(value: &'a Value) -> Result<Self, ManifestError> {
        let map = value.as_object().ok_or(ManifestError::NotAnObject { found: kind_of(value) })?;
        Ok(Self { path: String::new(), map })
    }

    pub fn at(path: String, value: &'a Value) -> Result<Self, ManifestError> {
        match value {
            Value::Object(map) => Ok(Self { path, map }),
            other => {
                Err(ManifestError::WrongType { path, expected: "an object", found: kind_of(other) })
            }
        }
    }

    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub fn text(&self, key: &str) -> Result<Option<String>, ManifestError> {
        self.typed(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub fn flag(&self, key: &str) -> Result<bool, ManifestError> {
        Ok(self.typed(key, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>, ManifestError> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub fn map(&self, key: &str) -> Result<Option<&'a Map<String, Value>>, ManifestError> {
        self.typed(key, "an object", Value::as_object)
    }

    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn wrong_type(&self, key: &str, expected: &'static str, found: &Value) -> ManifestError {
        ManifestError::WrongType { path: self.path_of(key), expected, found: kind_of(found) }
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ManifestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong_type(key, expected, value))
    }
}

/// What kind of JSON a value is, in words that fit after "It is".
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A string, number or boolean as text: what a person would have typed into the form.
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
