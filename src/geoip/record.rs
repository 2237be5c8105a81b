//! A record of the database as PostHog's plugins know it: MaxMind's City model in camelCase.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

pub fn shaped(record: Value, address: IpAddr, network: &str) -> Value {
    let Value::Object(mut model) = camel(record) else { return Value::Null };
    if model.get("city").is_some_and(Value::is_string) || model.contains_key("countryCode") {
        model = nested(model);
    }
    let traits = model.entry("traits").or_insert_with(|| json!({}));
    if let Value::Object(traits) = traits {
        traits.insert("ipAddress".to_owned(), address.to_string().into());
        traits.insert("network".to_owned(), network.into());
    }
    Value::Object(model)
}

/// `iso_code` is `isoCode`; languages stay as they are.
fn camel(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(key, value): (String, Value)| {
                if key == "names" { (key, value) } else { (camel_name(&key), camel(value)) }
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        Value::Array(elements) => elements.into_iter().map(camel).collect(),
        value => value,
    }
}

fn camel_name(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// The model of a record that is flat, as in databases that are free to everybody.
fn nested(flat: Map<String, Value>) -> Map<String, Value> {
    let text = |name: &str| {
        flat.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    // Some have numbers as text.
    let number = |name: &str| match flat.get(name) {
        Some(Value::String(text)) => text.parse::<f64>().ok().map(Value::from),
        Some(value @ Value::Number(_)) => Some(value.clone()),
        _ => None,
    };
    let named = |name: String| json!({ "names": { "en": name } });
    let mut model = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            model.insert(key.to_owned(), value);
        }
    };
    put("city", text("city").map(named));
    put("country", text("countryCode").map(|code| json!({ "isoCode": code })));
    let mut location = Map::new();
    for (key, value) in [
        ("latitude", number("latitude")),
        ("longitude", number("longitude")),
        ("timeZone", text("timezone").map(Value::from)),
    ] {
        location.extend(value.map(|value| (key.to_owned(), value)));
    }
    put("location", (!location.is_empty()).then(|| location.into()));
    put("postal", text("postcode").map(|code| json!({ "code": code })));
    let divisions: Vec<Value> =
        [text("state1"), text("state2")].into_iter().flatten().map(named).collect();
    put("subdivisions", (!divisions.is_empty()).then(|| divisions.into()));
    model
}
