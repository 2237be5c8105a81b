//! Values given to fields: what is accepted, what plugins receive, what is missing. No error and
//! no debug output ever shows one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{ConfigError, Manifest};
use super::{manifest, map};

/// One field of every type.
fn sample() -> Manifest {
    manifest(json!([
        { "key": "host", "type": "string", "default": "localhost" },
        { "key": "mode", "type": "choice", "choices": ["fast", "exact"] },
        { "key": "rules", "type": "json" },
        { "key": "headers", "type": "dictionary" },
        { "key": "file", "type": "attachment" },
        { "key": "token", "type": "string", "secret": true },
        { "key": "keys", "type": "json", "secret": true },
    ]))
}

fn normalised(given: Value) -> Value {
    sample().normalise(&map(given)).unwrap().values.into()
}

fn refused(given: Value) -> ConfigError {
    sample().normalise(&map(given)).unwrap_err()
}

#[test]
fn good_values_are_kept_as_they_are() {
    let given = json!({
        "host": "db", "mode": "exact", "rules": "[1, 2]", "headers": { "a": "b" }, "token": "t",
    });
    assert_eq!(normalised(given.clone()), given);
}

#[test]
fn json_given_as_json_is_stored_as_its_text() {
    let given = json!({ "rules": { "b": 1, "a": [true] } });
    assert_eq!(normalised(given), json!({ "rules": "{\"b\":1,\"a\":[true]}" }));
    assert_eq!(normalised(json!({ "rules": 7 })), json!({ "rules": "7" }));
}

#[test]
fn a_json_field_can_be_cleared_with_empty_text() {
    assert_eq!(normalised(json!({ "rules": "" })), json!({ "rules": "" }));
}

#[test]
fn null_is_not_given() {
    assert_eq!(normalised(json!({ "host": null, "file": null, "other": null })), json!({}));
}

#[test]
fn unknown_keys_are_kept_and_reported() {
    let given = json!({ "extra": 1, "host": "db", "exportEventsToIgnore": "$pageview" });
    let result = sample().normalise(&map(given.clone())).unwrap();
    assert_eq!(Value::Object(result.values), given);
    assert_eq!(result.unknown, ["extra"]);
}

#[test]
fn a_string_of_another_kind_is_refused_with_what_it_is() {
    let error = refused(json!({ "host": 42 }));
    assert_eq!(error.message(), "configuration value \"host\" must be a string");
    assert_eq!(error.detail().as_deref(), Some("It is a number."));
    assert!(error.hint().unwrap().starts_with("Quote it"));
}

#[test]
fn a_value_that_is_no_choice_is_refused_with_the_choices() {
    for given in [json!({ "mode": "slow" }), json!({ "mode": "" }), json!({ "mode": ["fast"] })] {
        let message = "configuration value \"mode\" must be one of \"fast\", \"exact\"";
        assert_eq!(refused(given).message(), message);
    }
}

#[test]
fn text_that_is_not_json_is_refused_with_its_line() {
    let error = refused(json!({ "rules": "{\n  \"a\": oops }" }));
    assert_eq!(error.message(), "configuration value \"rules\" is not valid JSON");
    assert_eq!(error.detail().as_deref(), Some("It stops making sense at line 2, column 8."));
}

#[test]
fn a_dictionary_holds_text_only() {
    let error = refused(json!({ "headers": { "a": "b", "c": { "d": 1 } } }));
    assert_eq!(error.message(), "configuration value \"headers\" must be an object of strings");
    assert_eq!(error.detail().as_deref(), Some("Its entry \"c\" is an object."));
    let error = refused(json!({ "headers": "a=b" }));
    assert_eq!(error.detail().as_deref(), Some("It is a string."));
}

#[test]
fn an_attachment_is_no_value() {
    let error = refused(json!({ "file": "contents" }));
    assert_eq!(error.message(), "configuration value \"file\" is an attachment");
    assert!(error.hint().unwrap().contains("set_attachment"));
}

#[test]
fn no_value_is_in_any_error_or_debug_output() {
    for given in [
        json!({ "token": ["hunter2"] }),
        json!({ "token": { "hunter2": 1 } }),
        json!({ "keys": "{\"hunter2\": hunter2}" }),
        json!({ "keys": "hunter2" }),
        json!({ "mode": "hunter2" }),
        json!({ "file": "hunter2" }),
    ] {
        let error = refused(given);
        let all = format!("{error:?} {error} {:?} {:?}", error.detail(), error.hint());
        assert!(!all.contains("hunter2"), "{all}");
    }
    let accepted = sample().normalise(&map(json!({ "token": "hunter2", "x": "hunter2" })));
    assert!(!format!("{accepted:?}").contains("hunter2"));
}

#[test]
fn the_effective_config_is_defaults_under_stored_under_secrets() {
    let manifest = manifest(json!([
        { "key": "a", "default": "default" },
        { "key": "b", "default": "default" },
        { "key": "c", "default": "default", "secret": true },
        { "key": "d" },
    ]));
    let (stored, secrets) = (map(json!({ "b": "stored" })), map(json!({ "c": "secret" })));
    let effective = manifest.effective(&stored, &secrets);
    let expected = json!({ "a": "default", "b": "stored", "c": "secret" });
    assert_eq!(Value::Object(effective), expected);
}

#[test]
fn secrets_are_parted_from_what_anyone_may_read() {
    let values = map(json!({ "host": "h", "token": "t", "extra": 1, "keys": "{}" }));
    let (plain, secrets) = sample().split_secrets(values);
    assert_eq!(Value::Object(plain), json!({ "host": "h", "extra": 1 }));
    assert_eq!(Value::Object(secrets), json!({ "token": "t", "keys": "{}" }));
}

#[test]
fn required_fields_without_a_value_are_missing() {
    let manifest = manifest(json!([
        { "key": "absent", "required": true },
        { "key": "null", "required": true },
        { "key": "empty", "required": true },
        { "key": "given", "required": true },
        { "key": "optional" },
        { "key": "file", "type": "attachment", "required": true },
        { "key": "other_file", "type": "attachment", "required": true },
    ]));
    let effective = map(json!({ "null": null, "empty": "", "given": "x", "file": "not a file" }));
    assert_eq!(manifest.missing(&effective, &["other_file"]), ["absent", "null", "empty", "file"]);
    let error = manifest.check_required(&effective, &["file", "other_file"]).unwrap_err();
    let message = "configuration lacks required values: \"absent\", \"null\", \"empty\"";
    assert_eq!(error.message(), message);
    let full = map(json!({ "absent": "x", "null": "x", "empty": "x", "given": "x" }));
    assert_eq!(manifest.check_required(&full, &["file", "other_file"]), Ok(()));
}

#[test]
fn conditions_require_and_hide_only_when_all_of_them_hold() {
    let manifest = manifest(json!([
        { "key": "stage" },
        { "key": "mode" },
        { "key": "both", "required_if": [["stage", "S3"], ["mode", "1"]] },
        { "key": "hidden", "required": true, "visible_if": [["stage", "S3"], ["mode", "1"]] },
        { "key": "never", "required_if": [] },
    ]));
    let missing = |config| {
        let keys = manifest.missing(&map(config), &[]);
        keys.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(missing(json!({})).is_empty());
    assert!(missing(json!({ "stage": "S3" })).is_empty());
    assert!(missing(json!({ "stage": "S3", "mode": "2" })).is_empty());
    assert_eq!(missing(json!({ "stage": "S3", "mode": "1" })), ["both", "hidden"]);
    assert!(missing(json!({ "stage": "S3", "mode": "1", "both": "x", "hidden": "y" })).is_empty());
}

#[test]
fn conditions_compare_numbers_and_booleans_by_their_text() {
    let manifest = manifest(json!([
        { "key": "a", "required_if": [["flag", true], ["count", 3]] }, { "key": "flag" },
        { "key": "count" },
    ]));
    assert_eq!(manifest.missing(&map(json!({ "flag": "true", "count": "3" })), &[]), ["a"]);
    assert_eq!(manifest.missing(&map(json!({ "flag": true, "count": 3 })), &[]), ["a"]);
    assert!(manifest.missing(&map(json!({ "flag": "True", "count": "3" })), &[]).is_empty());
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing(
        host in ".*", rules in ".*", extra in any::<i64>(), entry in ".*",
    ) {
        let rules = json!([rules]);
        let given =
            json!({ "host": host, "rules": rules, "extra": extra, "headers": { "k": entry } });
        let once = sample().normalise(&map(given)).unwrap();
        prop_assert_eq!(&sample().normalise(&once.values).unwrap(), &once);
        prop_assert!(once.values["rules"].is_string());
    }
}
