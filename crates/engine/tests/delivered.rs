//! What plugins get of stored events, and what webhooks they make of them.

#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use common::sky::Pilot;
use common::to_jsonb;
use engine::{Call, FailureKind, Redirect, Request, Return};
use serde_json::{Value, json};

/// What `onEvent` makes of an event, with `show`.
fn seen(event: Value, show: &str) -> Value {
    let mut pilot =
        Pilot::of(&format!("exports.onEvent = (event) => console.log(JSON.stringify({show}))"));
    assert_eq!(pilot.run(Call::OnEvent(to_jsonb(&event.to_string()))), Ok(Return::Nothing));
    serde_json::from_str(pilot.said().strip_prefix("LOG ").unwrap()).unwrap()
}

#[test]
fn an_event_has_what_plugins_rely_on() {
    let event = json!({"event": "x", "distinct_id": "a", "ip": null, "now": "2026-01-01T00:00:00Z",
        "properties": {"$set": {"a": 1}, "$set_once": {"b": 2}, "c": 3}});
    let mut expected = event.clone();
    expected["$set"] = json!({"a": 1});
    expected["$set_once"] = json!({"b": 2});
    expected["elements"] = json!([]);
    assert_eq!(seen(event, "event"), expected);
    assert_eq!(seen(json!({}), "event"), json!({"properties": {}, "elements": []}));
    // What it has itself stays.
    let event = json!({"$set": {"own": 1}, "elements": [1], "properties": {"$set": {"a": 1}}});
    assert_eq!(seen(event.clone(), "event"), event);
}

#[test]
fn elements_are_read_from_their_chain() {
    let chain = r##"button.btn.md:flex:attr_id="buy"attr__data-x="a;b:c="href="/x?y=\"z\""nth-child="2"nth-of-type="1"text="Say \"hi\"; now";div;.only;a:text="""##;
    let event = json!({"properties": {"$elements_chain": chain}});
    let expected = json!([
        {"order": 0, "tag_name": "button", "attr_class": ["btn", "md:flex"], "attr_id": "buy",
         "href": "/x?y=\"z\"", "nth_child": 2, "nth_of_type": 1, "text": "Say \"hi\"; now",
         "attributes": {"attr__data-x": "a;b:c="}},
        {"order": 1, "tag_name": "div", "attributes": {}},
        {"order": 2, "attr_class": ["only"], "attributes": {}},
        {"order": 3, "tag_name": "a", "text": "", "attributes": {}},
    ]);
    assert_eq!(seen(event.clone(), "event.elements"), expected);
    assert_eq!(seen(event.clone(), "(event.elements === event.elements)"), true);
    assert_eq!(seen(event.clone(), "((event.elements = 1), event.elements)"), 1);
    assert_eq!(seen(event, "Object.keys(event)"), json!(["properties", "elements"]));
}

#[test]
fn elements_are_read_from_what_clients_send() {
    let event = json!({"properties": {"$elements": [
        {"tag_name": "a", "$el_text": "Go", "attr__href": "/x", "attr__class": "big  red",
         "attr__id": "go", "nth_child": 1, "nth_of_type": 1, "attr__data-x": "y"},
        null,
        {"tag_name": "body", "attr__class": ["one"]},
    ]}});
    let expected = json!([
        {"order": 0, "tag_name": "a", "text": "Go", "href": "/x", "attr_class": ["big", "red"],
         "attr_id": "go", "nth_child": 1, "nth_of_type": 1,
         "attributes": {"attr__href": "/x", "attr__class": "big  red", "attr__id": "go",
                        "attr__data-x": "y"}},
        {"order": 1, "tag_name": "body", "attr_class": ["one"],
         "attributes": {"attr__class": ["one"]}},
    ]);
    assert_eq!(seen(event, "event.elements"), expected);
}

#[test]
fn chains_that_are_none_do_no_harm() {
    for chain in [
        "",
        ";",
        ";;;",
        ":",
        "\"",
        "a\"b",
        "a:b",
        "a:b=",
        "a:b=\"",
        "a:b=\"c",
        "a:=\"\"",
        "::::=\"\\\"",
        "a:b=\"c\"d;e",
        "=\"\"",
        "é.ü:ö=\"ä\"",
    ] {
        let event = json!({"properties": {"$elements_chain": chain}});
        assert!(seen(event, "event.elements").is_array(), "{chain}");
    }
    let long = "a:".repeat(100_000) + &"b=\"".repeat(10_000);
    assert!(
        seen(json!({"properties": {"$elements_chain": long}}), "event.elements.length").is_number()
    );
    for strange in [json!(1), json!({"length": 3}), json!("x"), json!([[], "a", 1])] {
        let event = json!({"properties": {"$elements": strange}});
        assert!(seen(event, "event.elements").is_array());
    }
    for properties in [json!(null), json!(1), json!("text"), json!([1])] {
        seen(json!({"properties": properties}), "event");
    }
    for event in [json!(1), json!("x"), json!([]), json!(null)] {
        let mut pilot = Pilot::of("exports.onEvent = () => {}");
        let _ = pilot.run(Call::OnEvent(to_jsonb(&event.to_string())));
    }
}

fn composed(body: &str, event: Value) -> Result<Option<Request>, engine::Failure> {
    let mut pilot = Pilot::of(&format!("exports.composeWebhook = (event) => {{ {body} }}"));
    match pilot.run(Call::ComposeWebhook(to_jsonb(&event.to_string())))? {
        Return::Webhook(request) => Ok(request),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_webhook_is_made_of_an_event_with_a_date() {
    let event = json!({"uuid": "u", "team_id": 2, "distinct_id": "d", "event": "e", "ip": "1.2.3.4",
        "timestamp": "2026-01-02T03:04:05.678+01:00", "$set": {"a": 1}, "now": "x", "site_url": "",
        "properties": {"b": 2}});
    let request = composed("return { url: 'https://h/x', body: JSON.stringify(event) }", event);
    let request = request.unwrap().unwrap();
    let expected = json!({"uuid": "u", "team_id": 2, "distinct_id": "d", "event": "e",
        "timestamp": "2026-01-02T02:04:05.678Z",
        "properties": {"b": 2, "$ip": "1.2.3.4", "$set": {"a": 1}}});
    assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), expected);
    let json = ("content-type".to_owned(), "application/json".to_owned());
    assert_eq!(
        (&*request.method, &*request.url, request.headers, request.redirect),
        ("POST", "https://h/x", vec![json], Redirect::Follow)
    );
    // Without a time of its own it is now.
    for event in [json!({}), json!({"timestamp": "soon"}), json!({"timestamp": null})] {
        let body = "if (!(event.timestamp instanceof Date)) throw 1;
            return { url: 'https://h', body: String(Date.now() - event.timestamp) }";
        let request = composed(body, event).unwrap().unwrap();
        assert!(String::from_utf8(request.body).unwrap().parse::<i64>().unwrap() < 10_000);
    }
}

#[test]
fn a_webhook_says_how_it_is_sent() {
    let request = composed(
        "return { url: 'http://h/?ü', method: 'put', headers: { 'X-A': 1, Accept: 'b' }, body: { c: 'd' } }",
        json!({}),
    );
    let request = request.unwrap().unwrap();
    assert_eq!((&*request.method, &*request.url), ("PUT", "http://h/?ü"));
    assert_eq!(request.body, br#"{"c":"d"}"#);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(request.headers, [header("x-a", "1"), header("accept", "b")]);
    let request = composed("return { url: 'https://h', headers: {} }", json!({})).unwrap().unwrap();
    assert_eq!((request.headers.len(), request.body.len()), (0, 0));
    let promised = composed("return Promise.resolve({ url: 'https://h' })", json!({}));
    assert!(promised.unwrap().is_some());
}

#[test]
fn nothing_is_sent_where_nothing_is_returned() {
    for body in ["", "return null", "return 0", "return ''", "return false"] {
        assert_eq!(composed(body, json!({})), Ok(None));
    }
}

#[test]
fn a_webhook_that_cannot_be_sent_is_a_bad_result() {
    for body in [
        "return 'https://h'",
        "return {}",
        "return { url: 'file:///etc/passwd' }",
        "return { url: 'https://h', method: 'A B' }",
        "return { url: 'https://h', headers: { 'a\\nb': 'c' } }",
        "return { url: 'https://h', headers: { a: 'b\\r\\nc: d' } }",
        "return { url: 'https://h', body: 'x'.repeat(17 << 20) }",
    ] {
        let failure = composed(body, json!({})).unwrap_err();
        assert_eq!((failure.kind, failure.retriable), (FailureKind::BadResult, false), "{body}");
    }
    for body in [
        "return { get url() { throw new RetryError('later') } }",
        "return { url: 'https://h', body: { toJSON() { throw new RetryError('later') } } }",
        "return { url: 'https://h', headers: { get a() { throw new RetryError('later') } } }",
    ] {
        let failure = composed(body, json!({})).unwrap_err();
        assert_eq!((failure.kind, failure.retriable), (FailureKind::Threw, true), "{body}");
    }
    let failure = composed("return { get url() { for (;;); } }", json!({})).unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut);
}
