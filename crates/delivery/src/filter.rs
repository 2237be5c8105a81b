//! Which events a consumer wants, as an administrator writes it:
//! `{"events": ["signup"], "properties": {"plan": "pro"}, "where": "event ->> 'ip' IS NOT NULL",
//! "sample": 0.1, "rate": 100, "ordered": true}`. What is not given limits nothing.

use serde_json::{Map, Value};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Their names.
    pub events: Option<Vec<String>>,
    /// What their properties contain, as jsonb's `@>` has it.
    pub properties: Option<Map<String, Value>>,
    /// A condition in SQL on `event`.
    pub condition: Option<String>,
    /// Which part of them, from 0 to 1.
    pub sample: Option<f64>,
    /// How many in a second.
    pub rate: Option<f64>,
    /// Those with the same distinct_id one after the other.
    pub ordered: bool,
}

impl Filter {
    /// Reads it, or says what is wrong with it.
    pub fn parse(given: &Value) -> Result<Self, String> {
        let Value::Object(given) = given else { return Err("it must be an object".to_owned()) };
        let mut filter = Filter::default();
        for (key, value) in given {
            let must_be = |what: &str| format!("\"{key}\" must be {what}");
            match key.as_str() {
                "events" => {
                    let names = value.as_array().and_then(|names| {
                        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
                    });
                    filter.events = Some(names.ok_or_else(|| must_be("a list of names"))?);
                }
                "properties" => {
                    let properties = value.as_object().cloned();
                    filter.properties = Some(properties.ok_or_else(|| must_be("an object"))?);
                }
                "where" => {
                    let condition = value.as_str().map(str::to_owned);
                    filter.condition = Some(condition.ok_or_else(|| must_be("a text"))?);
                }
                "sample" => {
                    let part = value.as_f64().filter(|part| (0.0..=1.0).contains(part));
                    filter.sample = Some(part.ok_or_else(|| must_be("between 0 and 1"))?);
                }
                "rate" => {
                    let rate = value.as_f64().filter(|rate| *rate > 0.0);
                    filter.rate = Some(rate.ok_or_else(|| must_be("more than 0"))?);
                }
                "ordered" => {
                    filter.ordered = value.as_bool().ok_or_else(|| must_be("true or false"))?;
                }
                _ => return Err(format!("there is no \"{key}\"")),
            }
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_given_limits_nothing() {
        assert_eq!(Filter::parse(&json!({})), Ok(Filter::default()));
        let all = json!({
            "events": ["a"], "properties": {"b": 1}, "where": "true", "sample": 1, "rate": 0.5,
            "ordered": true
        });
        let filter = Filter::parse(&all).unwrap_or_default();
        assert_eq!(filter.events, Some(vec!["a".to_owned()]));
        assert!(filter.ordered);
        assert_eq!((filter.sample, filter.rate), (Some(1.0), Some(0.5)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            json!([]),
            json!(null),
            json!({"event": ["a"]}),
            json!({"events": "a"}),
            json!({"events": [1]}),
            json!({"properties": []}),
            json!({"where": 1}),
            json!({"sample": 1.1}),
            json!({"sample": -1}),
            json!({"rate": 0}),
            json!({"rate": "1"}),
            json!({"ordered": 1}),
        ] {
            assert!(Filter::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
