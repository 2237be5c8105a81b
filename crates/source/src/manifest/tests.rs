//! Promises about manifests (`parse`) and about the values given to them (`config`).

mod config;
mod parse;

use serde_json::{Map, Value, json};

use super::{Manifest, ManifestError};

fn manifest(config: Value) -> Manifest {
    Manifest::parse(&json!({ "name": "Sample", "config": config })).unwrap()
}

fn refusal(config: Value) -> ManifestError {
    Manifest::parse(&json!({ "config": config })).unwrap_err()
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}
