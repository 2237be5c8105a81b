//! What people give to a job that they start by hand: checked against what the manifest says of it, and
//! in the form in which PostHog's page hands it over.

use serde_json::{Map, Value};

use super::Manifest;
use super::error::quoted;
use super::object::kind_of;

/// What PostHog adds to what people give, unless they have said otherwise.
const OPERATION: &str = "$operation";

/// Why a job's payload is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A value of the wrong kind.
    #[error("value \"{key}\" must be {expected}")]
    WrongType {
        /// Whose.
        key: String,
        /// What belongs there.
        expected: &'static str,
        /// What was given.
        found: &'static str,
    },
    /// Text of a json field that is not JSON.
    #[error("value \"{key}\" is not valid JSON")]
    InvalidJson {
        /// Whose.
        key: String,
    },
    /// Values that nobody has declared.
    #[error("the job takes no {}", quoted(keys))]
    Unknown {
        /// Theirs.
        keys: Vec<String>,
        /// What it takes.
        known: Vec<String>,
    },
    /// Fields that need a value and have none.
    #[error("required values are missing: {}", quoted(keys))]
    Missing {
        /// Theirs.
        keys: Vec<String>,
    },
}

impl PayloadError {
    /// More about it, in sentences.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::WrongType { found, .. } => Some(format!("It is {found}.")),
            Self::Unknown { known, .. } if known.is_empty() => Some("It takes nothing.".into()),
            Self::Unknown { known, .. } => Some(format!("It takes {}.", quoted(known))),
            Self::InvalidJson { .. } | Self::Missing { .. } => None,
        }
    }
}

impl Manifest {
    /// The payload of a job that is started by hand. What is given to a job that the manifest does not
    /// speak of is left as it is.
    pub fn payload(
        &self,
        job: &str,
        given: Map<String, Value>,
    ) -> Result<Map<String, Value>, PayloadError> {
        let mut payload = match self.public_jobs.get(job).map(|spec| spec.get("payload")) {
            Some(fields) => fill(fields.and_then(Value::as_object), given)?,
            None => given,
        };
        payload.entry(OPERATION).or_insert_with(|| "start".into());
        Ok(payload)
    }
}

fn fill(
    fields: Option<&Map<String, Value>>,
    mut given: Map<String, Value>,
) -> Result<Map<String, Value>, PayloadError> {
    let is_known = |key: &str| fields.is_some_and(|fields| fields.contains_key(key));
    let unknown = given.keys().filter(|key| !is_known(key) && *key != OPERATION);
    let keys: Vec<String> = unknown.cloned().collect();
    if !keys.is_empty() {
        let known = fields.into_iter().flat_map(Map::keys).cloned().collect();
        return Err(PayloadError::Unknown { keys, known });
    }
    let mut missing = Vec::new();
    for (key, spec) in fields.into_iter().flatten() {
        // Null is no value, as nowhere here.
        let value = given.remove(key).filter(|value| !value.is_null());
        let value = match value {
            Some(value) => Some(value_of(key, spec, value)?),
            None => spec.get("default").filter(|value| !value.is_null()).cloned(),
        };
        match value {
            Some(value) => drop(given.insert(key.clone(), value)),
            None if spec["required"] == true => missing.push(key.clone()),
            None => {}
        }
    }
    match missing.is_empty() {
        true => Ok(given),
        false => Err(PayloadError::Missing { keys: missing }),
    }
}

/// The value as the field's type has it. A type that nobody knows takes anything.
fn value_of(key: &str, spec: &Value, value: Value) -> Result<Value, PayloadError> {
    let key = || key.to_owned();
    let (is_one, expected) = match spec["type"].as_str() {
        Some("string") => (value.is_string(), "a string"),
        Some("number") => (value.is_number(), "a number"),
        Some("boolean") => (value.is_boolean(), "true or false"),
        Some("date") => (value.as_str().is_some_and(is_date), "a date such as \"2026-01-31\""),
        // Plugins get it as text.
        Some("json") => {
            return match value {
                Value::String(text) if serde_json::from_str::<Value>(&text).is_err() => {
                    Err(PayloadError::InvalidJson { key: key() })
                }
                Value::String(_) => Ok(value),
                value => Ok(value.to_string().into()),
            };
        }
        _ => return Ok(value),
    };
    let found = kind_of(&value);
    if is_one { Ok(value) } else { Err(PayloadError::WrongType { key: key(), expected, found }) }
}

/// Whether it begins as ISO has dates; plugins read the rest with `new Date`.
fn is_date(text: &str) -> bool {
    let (date, rest) = text.split_at_checked(10).unwrap_or((text, ""));
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let number = |part: &str| -> Option<u32> {
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    };
    let is_in = |part, length, range: std::ops::RangeInclusive<u32>| -> bool {
        let part: &str = part;
        part.len() == length && number(part).is_some_and(|number| range.contains(&number))
    };
    is_in(year, 4, 0..=9999)
        && is_in(month, 2, 1..=12)
        && is_in(day, 2, 1..=31)
        && (rest.is_empty() || rest.starts_with(['T', ' ']))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payload(given: Value) -> Result<Value, String> {
        let manifest = json!({"name": "p", "publicJobs": {"export": {"payload": {
            "from": {"type": "date", "required": true},
            "size": {"type": "number", "default": 100},
            "dry": {"type": "boolean"},
            "where": {"type": "json"},
            "word": {"type": "string", "title": "A word"},
        }}, "plain": {}}});
        let manifest = Manifest::parse(&manifest).unwrap();
        let Value::Object(given) = given else { panic!("an object is given") };
        manifest.payload("export", given).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn a_payload_has_its_defaults_and_what_posthog_adds() {
        assert_eq!(
            payload(json!({"from": "2026-01-31", "word": null})),
            Ok(json!({"from": "2026-01-31", "size": 100, "$operation": "start"}))
        );
        assert_eq!(
            payload(json!({"from": "2026-01-31T10:00:00Z", "size": 5, "$operation": "stop"})),
            Ok(json!({"from": "2026-01-31T10:00:00Z", "size": 5, "$operation": "stop"}))
        );
    }

    #[test]
    fn json_arrives_as_text() {
        let given = |value: Value| {
            payload(json!({"from": "2026-01-31", "where": value})).map(|it| it["where"].clone())
        };
        assert_eq!(given(json!({"a": [1]})), Ok(json!("{\"a\":[1]}")));
        assert_eq!(given(json!("[1, 2]")), Ok(json!("[1, 2]")));
        assert_eq!(given(json!("{")), Err("value \"where\" is not valid JSON".into()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (given, message) in [
            (json!({}), "required values are missing: \"from\""),
            (json!({"from": null}), "required values are missing: \"from\""),
            (json!({"from": "2026-1-31"}), "value \"from\" must be a date such as \"2026-01-31\""),
            (json!({"from": "2026-13-31"}), "value \"from\" must be a date such as \"2026-01-31\""),
            (json!({"from": "tomorrow!!"}), "value \"from\" must be a date such as \"2026-01-31\""),
            (
                json!({"from": "2026-01-3\u{e4}"}),
                "value \"from\" must be a date such as \"2026-01-31\"",
            ),
            (json!({"from": "2026-01-31", "size": "5"}), "value \"size\" must be a number"),
            (json!({"from": "2026-01-31", "dry": 1}), "value \"dry\" must be true or false"),
            (json!({"from": "2026-01-31", "word": {}}), "value \"word\" must be a string"),
            (json!({"form": "2026-01-31"}), "the job takes no \"form\""),
        ] {
            assert_eq!(payload(given).unwrap_err(), message);
        }
    }

    #[test]
    fn a_job_without_a_declaration_gets_what_is_given() {
        let manifest = Manifest::parse(&json!({"publicJobs": {"plain": {}}})).unwrap();
        let given = || Map::from_iter([("a".to_owned(), json!(1))]);
        let found = manifest.payload("other", given()).unwrap();
        assert_eq!(Value::Object(found), json!({"a": 1, "$operation": "start"}));
        let refused = manifest.payload("plain", given()).unwrap_err();
        assert_eq!(refused.detail().as_deref(), Some("It takes nothing."));
    }
}
