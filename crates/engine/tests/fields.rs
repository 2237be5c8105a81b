//! An event whose fields lie apart: which of them a plugin makes the engine ask for, and what comes
//! back. That JavaScript sees no difference, `views.rs` has.

#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

mod common;

use std::rc::Rc;
use std::time::Instant;

use common::apart::Apart;
use common::{Bench, program, to_json, to_jsonb};
use engine::{FailureKind, Given, Outcome, Verdict};
use serde_json::json;

const EVENT: &str = r#"{"event": "e", "ip": "10.0.0.1", "list": [1, {"a": 2}], "n": 1.5, "team_id": 2,
    "properties": {"a": 1, "b": {"c": 2}}, "$set": {"x": 1}}"#;

fn apart() -> Apart {
    Apart::new(&to_jsonb(EVENT))
}

fn run(bench: &mut Bench, body: &str, event: &Apart) -> Outcome {
    let script = format!("let kept; exports.processEvent = e => {{ {body} }}");
    let outcome = bench.engine.process_event_from(
        &Rc::new(program(1, &script)),
        Given::Fields(event),
        Instant::now(),
    );
    bench.engine.tear_down(1);
    outcome
}

#[test]
fn only_what_a_plugin_looks_at_is_asked_for() {
    for (body, asked) in [
        ("return e", vec![]),
        ("return null", vec![]),
        ("Object.keys.length; return e", vec![]),
        ("return 'ip' in e ? e : null", vec![]),
        ("e.event; return e", vec!["event"]),
        ("if (e.properties.a === e.ip) return null; return e", vec!["ip", "properties"]),
        ("e.properties.d = 1; return e", vec!["properties"]),
        ("delete e.properties.b.c; return e", vec!["properties"]),
        ("e.more = 1; return e", vec![]),
        ("delete e.ip; return e", vec![]),
        // Overwritten: QuickJS looks at it first.
        ("e.ip = 'x'; return e", vec!["ip"]),
        ("throw new Error(e.event)", vec!["event"]),
    ] {
        let event = apart();
        run(&mut Bench::new(), body, &event);
        assert_eq!(event.asked(), asked, "{body}");
    }
}

#[test]
fn a_patch_has_only_what_changed() {
    for (body, set, removed) in [
        (
            "e.properties.d = 1; return e",
            json!({"properties": {"a": 1, "b": {"c": 2}, "d": 1}}),
            vec![],
        ),
        ("e.more = 1; return e", json!({"more": 1}), vec![]),
        ("delete e.ip; return e", json!({}), vec!["ip"]),
        ("delete e.ip; e.ip = 'x'; return e", json!({"ip": "x"}), vec![]),
        ("return { ...e, event: 'other' }", json!({"event": "other"}), vec![]),
        ("const { ip, ...rest } = e; rest.n = 2; return rest", json!({"n": 2}), vec!["ip"]),
        (
            "return { event: e.event, properties: { moved: e } }",
            json!({"properties": {"moved": serde_json::from_str::<serde_json::Value>(EVENT).unwrap()}}),
            vec!["n", "ip", "$set", "list"],
        ),
    ] {
        let event = apart();
        let outcome = run(&mut Bench::new(), body, &event);
        let Verdict::Patched(patch) = &outcome.verdict else { panic!("{body}: {outcome:?}") };
        let mut expected = to_json(&to_jsonb(EVENT));
        let members = expected.as_object_mut().unwrap();
        removed.iter().for_each(|key| assert!(members.remove(*key).is_some()));
        members.extend(set.as_object().unwrap().clone());
        assert_eq!(to_json(&event.patched(patch)), expected, "{body}");
        // What was spread or read may be there too; nothing that nobody saw.
        if !body.contains("...") {
            assert_eq!(
                to_json(&patch.set).as_object().map(|it| it.contains_key("$set")),
                Some(false)
            );
        }
    }
}

#[test]
fn what_comes_back_as_it_was_is_no_change() {
    for body in [
        "return { ...e }",
        "return JSON.parse(JSON.stringify(e))",
        "e.list = [1, { a: 2 }]; return e",
        "e.ip = e.ip + ''; delete e.properties.z; return e",
        "e.properties = { ...e.properties }; return e",
        "Object.freeze(e); return e",
        "Object.prototype.toJSON = function () { return this }; return e",
    ] {
        let outcome = run(&mut Bench::new(), body, &apart());
        assert_eq!((outcome.verdict, outcome.failure), (Verdict::Unchanged, None), "{body}");
    }
}

#[test]
fn the_team_stays_what_it_is() {
    for body in
        ["e.team_id = 3; return e", "delete e.team_id; return e", "return { event: e.event }"]
    {
        let event = apart();
        let outcome = run(&mut Bench::new(), body, &event);
        assert_eq!(outcome.failure.map(|it| it.kind), Some(FailureKind::TeamChanged), "{body}");
        let after = match outcome.verdict {
            Verdict::Patched(patch) => event.patched(&patch),
            verdict => {
                assert_eq!(verdict, Verdict::Unchanged);
                to_jsonb(EVENT)
            }
        };
        assert_eq!(to_json(&after)["team_id"], 2, "{body}");
    }
}

#[test]
fn an_event_that_is_kept_is_whole_and_stays() {
    let script = "let kept
        exports.processEvent = e => {
            if (!kept) { kept = e; kept.list; return e }
            return { was: kept, properties: kept.properties, c: kept.properties.b.c, team_id: 9 }
        }";
    let mut bench = Bench::new();
    let program = Rc::new(program(1, script));
    let first = apart();
    bench.engine.process_event_from(&program, Given::Fields(&first), Instant::now());
    drop(first);
    let second = Apart::new(&to_jsonb(r#"{"event": "second", "team_id": 9}"#));
    let outcome = bench.engine.process_event_from(&program, Given::Fields(&second), Instant::now());
    let Verdict::Patched(patch) = &outcome.verdict else { panic!("{outcome:?}") };
    let was: serde_json::Value = serde_json::from_str(EVENT).unwrap();
    let expected = json!({"was": was, "properties": was["properties"], "c": 2, "team_id": 9});
    assert_eq!(to_json(&second.patched(patch)), expected);
}

#[test]
fn a_field_that_cannot_be_had_is_an_error_to_those_who_want_it() {
    for (body, kind) in [
        ("return e", None),
        ("e.properties.d = 1; return e", None),
        ("e.ip; return e", Some(FailureKind::Threw)),
        ("return { ...e }", Some(FailureKind::Threw)),
        // Before it writes a property, QuickJS looks at what is there.
        ("e.ip = 1; return e", Some(FailureKind::Threw)),
        ("return { event: e.event, team_id: 2, ip: 1 }", Some(FailureKind::BadResult)),
        ("try { e.ip } catch {} e.n = 2; return e", None),
    ] {
        let mut event = apart();
        event.broken = Some("ip");
        let outcome = run(&mut Bench::new(), body, &event);
        assert_eq!(outcome.failure.map(|it| it.kind), kind, "{body}");
    }
}
