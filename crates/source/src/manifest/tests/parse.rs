//! Manifests: every key, both shapes of `config`, what published plugins do, and what is refused
//! with which path.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{ConfigItem, FieldType, Manifest, slug};
use super::{manifest, refusal};

#[test]
fn every_known_key_is_read() {
    let raw = json!({
        "name": "Weather", "url": "https://example.com", "description": "Adds the weather",
        "main": "dist/index.js", "lib": "lib.js", "icon": "sun.png", "posthogVersion": ">= 1.25.0",
        "publicJobs": { "refresh": { "payload": {} } }, "stateless": false, "maintainer": "us",
        "config": [{
            "key": "mode", "name": "Mode", "type": "choice", "default": "fast", "hint": "H",
            "markdown": "M", "order": 3, "required": true, "secret": false, "templating": true,
            "choices": ["fast", "exact"], "required_if": [["mode", "fast"]],
            "visible_if": [["mode", "exact"]], "site": true,
        }],
    });
    let manifest = Manifest::parse(&raw).unwrap();
    assert_eq!(manifest.name.as_deref(), Some("Weather"));
    assert_eq!(manifest.url.as_deref(), Some("https://example.com"));
    assert_eq!(manifest.description.as_deref(), Some("Adds the weather"));
    assert_eq!(manifest.main.as_deref(), Some("dist/index.js"));
    assert_eq!(manifest.lib.as_deref(), Some("lib.js"));
    assert_eq!(manifest.icon.as_deref(), Some("sun.png"));
    assert_eq!(manifest.posthog_version.as_deref(), Some(">= 1.25.0"));
    assert!(manifest.public_jobs.contains_key("refresh"));
    assert!(!manifest.stateless);
    let field = manifest.field("mode").unwrap();
    assert_eq!((field.label(), field.kind), ("Mode", FieldType::Choice));
    assert_eq!((field.hint.as_deref(), field.markdown.as_deref()), (Some("H"), Some("M")));
    assert_eq!(field.default, Some(json!("fast")));
    assert_eq!((field.order, field.choices.len()), (Some(3.0), 2));
    assert!(field.required && field.templating && !field.secret);
    assert_eq!(field.required_if[0].value, "fast");
    assert_eq!(field.visible_if[0].value, "exact");
    assert_eq!(manifest.raw(), &raw, "unknown keys are kept");
}

#[test]
fn an_empty_object_is_a_manifest() {
    let manifest = Manifest::parse(&json!({})).unwrap();
    assert_eq!(manifest.fields().count(), 0);
    assert_eq!(manifest.name, None);
}

#[test]
fn null_counts_as_absent() {
    let field =
        json!({ "key": "a", "type": null, "default": null, "choices": null, "order": null });
    let raw = json!({ "name": null, "config": [field], "publicJobs": null, "stateless": null });
    assert_eq!(Manifest::parse(&raw).unwrap().field("a").unwrap().default, None);
}

#[test]
fn a_field_without_a_type_is_a_string() {
    assert_eq!(manifest(json!([{ "key": "a" }])).field("a").unwrap().kind, FieldType::String);
}

#[test]
fn a_field_without_a_name_is_labelled_by_its_key() {
    assert_eq!(manifest(json!([{ "key": "a" }])).field("a").unwrap().label(), "a");
}

#[test]
fn the_object_shape_is_sorted_by_order_and_else_keeps_its_own() {
    let manifest = manifest(json!({
        "z": {}, "c": { "order": 3 }, "y": {}, "last": { "order": 1e9 }, "a": { "order": -1 },
    }));
    let keys: Vec<_> = manifest.fields().map(|field| field.key.as_str()).collect();
    assert_eq!(keys, ["a", "c", "z", "y", "last"]);
}

#[test]
fn the_array_shape_keeps_its_order_whatever_order_says() {
    let manifest = manifest(json!([{ "key": "b", "order": 2 }, { "key": "a", "order": 1 }]));
    let keys: Vec<_> = manifest.fields().map(|field| field.key.as_str()).collect();
    assert_eq!(keys, ["b", "a"]);
}

#[test]
fn texts_are_kept_between_the_fields_but_are_no_fields() {
    let both = [
        manifest(json!([{ "markdown": "# Hello" }, { "key": "a" }])),
        manifest(json!({ "intro": { "markdown": "# Hello", "order": 1 }, "a": {"order": 0} })),
    ];
    for manifest in both {
        assert_eq!(manifest.items().len(), 2);
        assert!(manifest.items().contains(&ConfigItem::Text("# Hello".into())));
        assert_eq!(manifest.fields().count(), 1);
    }
}

/// Each of these is in a published plugin.
#[test]
fn the_sloppiness_of_published_plugins_is_accepted() {
    let manifest = manifest(json!([
        { "markdown": "" },
        { "key": "port", "type": "string", "default": 5439 },
        { "key": "verbose", "type": "string", "default": false },
        { "key": "import", "type": "string", "choices": ["Yes", "No"], "default": "Perhaps" },
        { "key": "pattern", "type": "selection", "options": ["camel", "snake"], "default": "3" },
        { "key": "file", "type": "attachment", "secret": true, "required": true },
        { "key": "password", "type": "string", "secret": true, "default": "1" },
        { "key": "pick", "type": "choice", "choices": ["a"], "default": "" },
    ]));
    let defaults = json!({
        "port": "5439", "verbose": "false", "import": "Perhaps", "pattern": "3", "password": "1",
    });
    assert_eq!(Value::Object(manifest.defaults()), defaults);
}

#[test]
fn a_json_default_becomes_text_and_a_dictionary_default_an_object_of_texts() {
    let manifest = manifest(json!([
        { "key": "map", "type": "json", "default": { "a": [1] } },
        { "key": "raw", "type": "json", "default": "{}" },
        { "key": "headers", "type": "dictionary", "default": { "Retries": 3 } },
    ]));
    let defaults = json!({ "map": "{\"a\":[1]}", "raw": "{}", "headers": { "Retries": "3" } });
    assert_eq!(Value::Object(manifest.defaults()), defaults);
}

#[test]
fn what_is_not_an_object_is_refused() {
    for (raw, found) in [(json!([]), "It is an array."), (json!(null), "It is null.")] {
        let error = Manifest::parse(&raw).unwrap_err();
        assert_eq!(error.message(), "plugin manifest is not a JSON object");
        assert_eq!(error.detail().as_deref(), Some(found));
    }
}

#[test]
fn a_known_key_of_the_wrong_type_is_refused_with_its_path() {
    for (raw, message) in [
        (json!({ "name": 1 }), "manifest key \"name\" must be a string"),
        (json!({ "main": [] }), "manifest key \"main\" must be a string"),
        (json!({ "stateless": "yes" }), "manifest key \"stateless\" must be true or false"),
        (json!({ "publicJobs": [] }), "manifest key \"publicJobs\" must be an object"),
        (json!({ "config": "x" }), "manifest key \"config\" must be an array or an object"),
        (json!({ "config": [1] }), "manifest key \"config[0]\" must be an object"),
        (json!({ "config": { "a": 1 } }), "manifest key \"config.a\" must be an object"),
        (json!({ "config": [{ "key": 1 }] }), "manifest key \"config[0].key\" must be a string"),
    ] {
        let error = Manifest::parse(&raw).unwrap_err();
        assert_eq!(error.message(), message);
        assert!(error.detail().unwrap().starts_with("It is "));
    }
}

#[test]
fn a_wrong_field_is_refused_with_its_path() {
    for (field, message) in [
        (json!({ "hint": 1 }), "\"config[1].hint\" must be a string"),
        (json!({ "required": "true" }), "\"config[1].required\" must be true or false"),
        (json!({ "order": "1" }), "\"config[1].order\" must be a number"),
        (json!({ "default": [] }), "\"config[1].default\" must be a string"),
        (json!({ "type": "choice" }), "\"config[1].choices\" must be a non-empty array of strings"),
        (
            json!({ "type": "choice", "choices": [] }),
            "\"config[1].choices\" must be a non-empty array of strings",
        ),
        (
            json!({ "type": "choice", "choices": ["a", 1] }),
            "\"config[1].choices\" must be a non-empty array of strings",
        ),
        (
            json!({ "type": "choice", "choices": ["a"], "secret": true }),
            "\"config[1].secret\" makes a choice secret",
        ),
        (
            json!({ "type": "choice", "choices": ["a"], "default": "b" }),
            "\"config[1].default\" is not one of the field's choices",
        ),
        (
            json!({ "type": "dictionary", "default": { "a": [] } }),
            "\"config[1].default\" must be an object of strings",
        ),
        (
            json!({ "type": "attachment", "default": "x" }),
            "\"config[1].default\" must be left out, for an attachment has no default",
        ),
        (json!({ "visible_if": "a" }), "\"config[1].visible_if\" must be an array"),
        (
            json!({ "required_if": [["first", "x"], ["first"]] }),
            "\"config[1].required_if[1]\" is not a pair of a field's key and a value",
        ),
        (
            json!({ "visible_if": [["first", null]] }),
            "\"config[1].visible_if[0]\" is not a pair of a field's key and a value",
        ),
        (
            json!({ "visible_if": [["nobody", "x"]] }),
            "\"config[1].visible_if[0]\" names the unknown field \"nobody\"",
        ),
        (json!({ "key": "first" }), "\"config[1].key\" repeats the field \"first\""),
        (json!({ "key": "" }), "\"config[1]\" has neither \"key\" nor \"markdown\""),
        (json!({ "key": null }), "\"config[1]\" has neither \"key\" nor \"markdown\""),
    ] {
        let mut second = super::map(json!({ "key": "second" }));
        second.extend(super::map(field));
        let error = refusal(json!([{ "key": "first" }, second]));
        assert_eq!(error.message(), format!("manifest key {message}"));
    }
}

#[test]
fn an_unknown_type_is_refused_with_the_known_ones() {
    let error = refusal(json!([{ "key": "a", "type": "boolean" }]));
    assert_eq!(
        error.message(),
        "manifest key \"config[0].type\" names the unknown field type \"boolean\""
    );
    let types = "The field types are string, attachment, choice, json, dictionary.";
    assert_eq!(error.detail().as_deref(), Some(types));
    assert_eq!(error.hint().as_deref(), Some("Use a choice of \"Yes\" and \"No\"."));
}

#[test]
fn a_wrong_default_names_the_choices() {
    let error = refusal(json!({
        "a": { "type": "choice", "choices": ["x", "y z"], "default": "w" },
    }));
    assert_eq!(error.detail().as_deref(), Some("The choices are \"x\", \"y z\"."));
}

#[test]
fn a_stateless_plugin_with_a_config_is_refused() {
    let with = |config| Manifest::parse(&json!({ "stateless": true, "config": config }));
    assert!(with(json!([])).unwrap().stateless);
    assert!(with(json!({})).is_ok());
    let error = with(json!([{ "key": "a" }])).unwrap_err();
    assert_eq!(error.message(), "a stateless plugin cannot have a configuration");
}

#[test]
fn a_secret_default_is_in_no_debug_output() {
    let manifest = manifest(json!([{ "key": "a", "secret": true, "default": "hunter2" }]));
    assert!(manifest.is_secret("a") && !manifest.is_secret("b"));
    assert!(!format!("{manifest:?}").contains("hunter2"));
    assert!(!format!("{:?}", manifest.field("a")).contains("hunter2"));
}

#[test]
fn a_slug_is_what_is_left_of_a_name() {
    for (name, expected) in [
        ("GeoIP", Some("geoip")),
        ("  Hello -- World! 2 ", Some("hello-world-2")),
        ("Übersicht für alle", Some("bersicht-f-r-alle")),
        ("@posthog/geo_ip", Some("posthog-geo-ip")),
        ("日本", None),
        ("", None),
    ] {
        assert_eq!(slug(name).as_deref(), expected, "{name}");
    }
    assert_eq!(slug(&"a".repeat(100)).unwrap().len(), 63);
    assert_eq!(slug(&format!("{}-b", "a".repeat(62))).unwrap(), "a".repeat(62));
}

/// Any JSON, with the keys and words of manifests much more often than chance would have them.
fn manifest_like() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(
        ["", "a", "string", "choice", "json", "dictionary", "attachment", "selection"].as_slice(),
    );
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    let key = prop::sample::select(
        [
            "a",
            "name",
            "main",
            "config",
            "publicJobs",
            "stateless",
            "key",
            "type",
            "default",
            "markdown",
            "order",
            "required",
            "secret",
            "choices",
            "required_if",
            "visible_if",
        ]
        .as_slice(),
    );
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((key.clone().prop_map(str::to_owned), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_parse_panic_and_what_parses_can_be_asked(
        config in manifest_like(), given in manifest_like(),
    ) {
        if let Ok(manifest) = Manifest::parse(&json!({ "config": config })) {
            let given = given.as_object().cloned().unwrap_or_default();
            let effective = manifest.effective(&given, &manifest.defaults());
            let _ = manifest.missing(&effective, &["a"]);
            let _ = manifest.normalise(&given);
        }
    }

    #[test]
    fn a_slug_is_a_name_and_its_own_slug(name in ".{0,100}") {
        if let Some(made) = slug(&name) {
            prop_assert!(!made.is_empty() && made.len() <= 63);
            prop_assert!(made.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')));
            prop_assert!(!made.starts_with('-') && !made.ends_with('-') && !made.contains("--"));
            prop_assert_eq!(slug(&made), Some(made.clone()));
        }
    }
}
