//! What needs a backend but no second one: the server's own jsonb against ours, and the chain under
//! settings.

// A panic here is the report of a test.
#![allow(clippy::unwrap_used)]

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use jsonb::{Ref, Writer};
    use pgrx::prelude::*;
    use pgrx::spi::Spi;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use crate::json::Json;

    fn install(name: &str, source: &str) {
        install_with("raise", name, source);
    }

    fn install_with(on_error: &str, name: &str, source: &str) {
        Spi::run_with_args(
            "SELECT posthog_plugins.install($1, '{}', $2), posthog_plugins.enable($2),
                    posthog_plugins.configure($2, '{}', on_error => $3)",
            &[source.into(), name.into(), on_error.into()],
        )
        .unwrap();
    }

    fn text(query: &str) -> Option<String> {
        Spi::get_one(query).unwrap()
    }

    /// JSON text with numbers as they are written: more digits, larger and smaller than any double.
    fn json() -> impl Strategy<Value = String> {
        let number = prop_oneof![
            "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?",
            "-?[1-9](\\.[0-9]{1,5})?e-?[0-9]{1,3}",
            "-?[1-9][0-9]{0,3}0{0,20}",
        ];
        let string = prop_oneof![
            "[ -~àß☃𝒳]{0,20}".prop_map(|text| serde_json::Value::from(text).to_string()),
            Just(r#""\u0001\ud83d\ude00\n""#.to_owned()),
        ];
        let leaf =
            prop_oneof![number, string.clone(), Just("null".to_owned()), Just("true".to_owned()),];
        leaf.prop_recursive(6, 100, 40, move |inner| {
            let member =
                (string.clone(), inner.clone()).prop_map(|(key, value)| key + ":" + &value);
            prop_oneof![
                prop::collection::vec(inner, 0..10)
                    .prop_map(|list| format!("[{}]", list.join(","))),
                prop::collection::vec(member, 0..40)
                    .prop_map(|list| format!("{{{}}}", list.join(","))),
            ]
        })
    }

    #[pg_test]
    fn an_event_that_is_only_copied_is_the_servers_own_bytes() {
        // Each plugin makes new objects out of the old ones' values, to the depth it reaches.
        install("shallow", "exports.processEvent = async e => ({ ...e })");
        install(
            "deep",
            "const copy = v => Array.isArray(v) ? v.map(copy)
                 : v && typeof v === 'object' ? Object.fromEntries(Object.entries(v).map(([k, v]) => [k, copy(v)])) : v
             exports.processEvent = e => copy(e)",
        );
        let mut runner = TestRunner::new(Config::with_cases(150));
        runner
            .run(&json(), |value| {
                let event = format!(r#"{{"event": "x", "team_id": 7.50, "properties": {value}}}"#);
                let same = Spi::get_one_with_args::<bool>(
                    "SELECT pg_catalog.jsonb_send(public.process_event($1::jsonb))
                          = pg_catalog.jsonb_send($1::jsonb)",
                    &[event.as_str().into()],
                );
                prop_assert_eq!(same, Ok(Some(true)), "{}", event);
                Ok(())
            })
            .unwrap();
    }

    /// The same value, made piece by piece.
    fn rebuild(out: &mut Writer, value: Ref<'_>) -> jsonb::Result<()> {
        match value {
            Ref::Null => out.null(),
            Ref::Bool(value) => out.bool(value),
            Ref::String(value) => out.string(value),
            Ref::Number(_) => out.splice(value),
            Ref::Array(elements) => {
                out.begin_array()?;
                elements.iter().try_for_each(|element| rebuild(out, element?))?;
                out.end()
            }
            Ref::Object(members) => {
                out.begin_object()?;
                members.iter().try_for_each(|member| {
                    let (key, value) = member?;
                    out.key(key)?;
                    rebuild(out, value)
                })?;
                out.end()
            }
        }
    }

    #[pg_test]
    fn what_is_written_is_byte_for_byte_what_the_server_writes() {
        let mut runner = TestRunner::new(Config::with_cases(1000));
        runner
            .run(&json(), |text| {
                let servers = Json::parse(&text).unwrap();
                let root = servers.root().unwrap();
                let ours = Json::written(|out| rebuild(out, root)).unwrap();
                prop_assert_eq!(&ours, &servers, "{}", text);
                prop_assert_eq!(Json::of(root).unwrap(), servers, "{}", text);
                Ok(())
            })
            .unwrap();
    }

    #[pg_test]
    fn what_is_taken_out_is_byte_for_byte_what_the_server_takes_out() {
        let mut runner = TestRunner::new(Config::with_cases(200));
        runner
            .run(&proptest::collection::vec(json(), 1..5), |values| {
                let servers = Json::parse(&format!("[{}]", values.join(","))).unwrap();
                let Ok(Ref::Array(elements)) = servers.root() else { panic!("it is an array") };
                for (place, element) in elements.iter().enumerate() {
                    let expected: Option<Json> = Spi::get_one_with_args(
                        "SELECT $1 -> $2",
                        &[servers.clone().into(), (place as i32).into()],
                    )
                    .unwrap();
                    prop_assert_eq!(Json::of(element.unwrap()).ok(), expected);
                }
                Ok(())
            })
            .unwrap();
    }

    /// Values of which one contains another now and then.
    fn small() -> impl Strategy<Value = String> {
        let leaf =
            prop::sample::select(&["1", "1.0", "1e2", "100", "-0", "0", "true", "null", r#""a""#]);
        leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
            let member = (prop::sample::select(&["a", "b"]), inner.clone())
                .prop_map(|(key, value)| format!(r#""{key}":{value}"#));
            prop_oneof![
                prop::collection::vec(inner, 0..3).prop_map(|list| format!("[{}]", list.join(","))),
                prop::collection::vec(member, 0..3)
                    .prop_map(|list| format!("{{{}}}", list.join(","))),
            ]
        })
    }

    #[pg_test]
    fn what_contains_another_value_does_so_for_the_server() {
        let mut runner = TestRunner::new(Config::with_cases(3000));
        let contained = std::cell::Cell::new(0);
        runner
            .run(&(small(), small()), |(value, other)| {
                // In an object: `@>` says of whole documents that an array contains its scalars.
                let [value, other] = [value, other].map(|it| format!(r#"{{"properties": {it}}}"#));
                let expected = Spi::get_one_with_args::<bool>(
                    "SELECT $1::jsonb @> $2::jsonb",
                    &[value.as_str().into(), other.as_str().into()],
                );
                let [ours, others] = [&value, &other].map(|text| Json::parse(text).unwrap());
                let contains = ours.root().unwrap().contains(&others.root().unwrap());
                contained.set(contained.get() + usize::from(contains == Ok(true)));
                prop_assert_eq!(Ok(contains.ok()), expected, "{} @> {}", value, other);
                Ok(())
            })
            .unwrap();
        assert!(contained.get() > 100, "{contained:?}");
    }

    /// Whether no other digits, as many, give the same double: of two, JavaScript takes the even one.
    fn has_its_digits_alone(double: &f64) -> bool {
        let text = format!("{double:e}");
        let (digits, exponent) = text.split_once('e').unwrap();
        let (rest, last) = digits.split_at(digits.len() - 1);
        let last: u32 = last.parse().unwrap();
        let mut others = [last.checked_sub(1), Some(last + 1)].into_iter().flatten();
        !others.any(|last| format!("{rest}{last}e{exponent}").parse() == Ok(*double))
    }

    #[pg_test]
    fn numbers_become_the_servers_numerics() {
        let mut runner = TestRunner::new(Config::with_cases(2000));
        let double = any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_filter("alone", has_its_digits_alone);
        assert!(!has_its_digits_alone(&1_661_262_621_711_973.2) && has_its_digits_alone(&0.1));
        runner
            .run(&(double, any::<i64>()), |(double, integer)| {
                // The shortest digits that give the same double, as in JavaScript. Of two doubles' middle
                // the server's own output has a digit more.
                let expected = Json::parse(&format!("[{double:e},{integer}]"));
                let ours = Json::written(|out| {
                    out.begin_array()?;
                    out.number_f64(double)?;
                    out.number_i64(integer)?;
                    out.end()
                });
                prop_assert_eq!(ours.ok(), expected.ok(), "{} {}", double, integer);
                Ok(())
            })
            .unwrap();
    }

    /// The most bytes that a string in jsonb can have.
    const LONGEST: usize = 0x0FFF_FFFF;

    #[pg_test(error = "string too long to represent as jsonb string")]
    fn the_longest_string_is_the_servers() {
        let longer = "x".repeat(LONGEST + 1);
        assert!(Json::written(|out| out.string(&longer)).is_err());
        // Ours counts what is around it as well.
        assert!(Json::written(|out| out.string(&longer[16..])).is_ok());
        Spi::run(&format!("SELECT pg_catalog.to_jsonb(pg_catalog.repeat('x', {}))", LONGEST + 1))
            .unwrap();
    }

    #[pg_test]
    fn an_empty_chain_returns_the_event() {
        assert_eq!(text(r#"SELECT process_event('{"a": 1.0}')::text"#).unwrap(), r#"{"a": 1.0}"#);
        assert_eq!(text("SELECT process_event(NULL)::text"), None);
    }

    #[pg_test(error = "an event must be a JSON object")]
    fn an_event_that_is_no_object_is_refused() {
        Spi::run("SELECT process_event('[1]')").unwrap();
    }

    #[pg_test]
    fn the_team_of_an_event_chooses_its_configs() {
        install("all", "exports.processEvent = e => { e.seen = ['all']; return e }");
        Spi::run(
            "SELECT posthog_plugins.install(
                 'exports.processEvent = e => { e.seen.push(''one''); return e }', '{}', 'one');
             SELECT posthog_plugins.enable('one', team_id => 1)",
        )
        .unwrap();
        let seen = |team: &str| {
            text(&format!(r#"SELECT process_event('{{"team_id": {team}}}') ->> 'seen'"#)).unwrap()
        };
        assert_eq!(seen("1"), r#"["all", "one"]"#);
        assert_eq!(seen("1.0"), r#"["all", "one"]"#);
        for other in ["2", "null", "\"1\"", "1.5", "99999999999"] {
            assert_eq!(seen(other), r#"["all"]"#, "team {other}");
        }
    }

    #[pg_test]
    fn marks_name_who_did_what_and_replace_the_clients() {
        install("good", "exports.processEvent = e => e; exports.onEvent = () => {}");
        install_with("pass", "bad", "exports.processEvent = () => { throw new Error('no') }");
        install("later", "exports.onEvent = () => {}");
        Spi::run("SET posthog_plugins.mark_events = on").unwrap();
        let marks = text(
            r#"SELECT process_event('{"properties": {"$plugins_failed": "mine", "a": 1.50}}')
                   #>> '{properties}'"#,
        )
        .unwrap();
        let id = |name: &str| {
            text(&format!("SELECT id::text FROM posthog_plugins.configs WHERE plugin = '{name}'"))
                .unwrap()
        };
        let (good, bad, later) = (id("good"), id("bad"), id("later"));
        let expected = format!(
            r#"{{"a": 1.50, "$plugins_failed": ["bad ({bad})"],
                "$plugins_deferred": ["good ({good})", "later ({later})"],
                "$plugins_succeeded": ["good ({good})"]}}"#
        );
        let same = format!("SELECT '{marks}'::jsonb = '{expected}'::jsonb");
        assert_eq!(Spi::get_one(&same), Ok(Some(true)), "{marks}");
    }

    #[pg_test]
    fn marks_leave_properties_that_are_no_object() {
        install("good", "exports.processEvent = e => e");
        Spi::run("SET posthog_plugins.mark_events = on").unwrap();
        for properties in ["\"text\"", "[1]", "null"] {
            let event = format!(r#"{{"properties": {properties}}}"#);
            assert_eq!(text(&format!("SELECT process_event('{event}')::text")).unwrap(), event);
        }
        let marked = text("SELECT process_event('{}') -> 'properties' ->> '$plugins_failed'");
        assert_eq!(marked.unwrap(), "[]");
    }

    #[pg_test]
    fn snapshots_and_the_off_switch_bypass_plugins() {
        install("mark", "exports.processEvent = e => { e.seen = true; return e }");
        let plain = r#"{"event": "$snapshot"}"#;
        assert_eq!(text(&format!("SELECT process_event('{plain}')::text")).unwrap(), plain);
        Spi::run("SET posthog_plugins.enabled = off").unwrap();
        assert_eq!(text("SELECT process_event('[1]')::text").unwrap(), "[1]");
    }

    #[pg_test]
    fn a_toasted_events_team_is_found_wherever_it_lies() {
        Spi::run(
            "SELECT posthog_plugins.install(
                 'exports.processEvent = e => { e.seen = true; return e }', '{}', 'one');
             SELECT posthog_plugins.enable('one', team_id => 1);
             CREATE TABLE wide (e jsonb)",
        )
        .unwrap();
        // A long value before the team's, and one after it.
        for key in ["$set", "properties"] {
            for team in ["1", "2", "null"] {
                Spi::run(&format!(
                    "TRUNCATE wide;
                     INSERT INTO wide SELECT pg_catalog.jsonb_build_object('team_id', {team},
                         '{key}', pg_catalog.repeat('long ', 10000))"
                ))
                .unwrap();
                let seen = text("SELECT process_event(e) ->> 'seen' FROM wide");
                assert_eq!(seen.as_deref(), (team == "1").then_some("true"), "{key} {team}");
            }
        }
    }

    #[pg_test(error = "an event must be a JSON object")]
    fn what_is_no_object_is_refused_without_plugins_too() {
        Spi::run(
            "CREATE TABLE wide (e jsonb);
             INSERT INTO wide SELECT pg_catalog.jsonb_build_array(pg_catalog.repeat('long ', 10000));
             SELECT process_event(e) FROM wide",
        )
        .unwrap();
    }

    #[pg_test]
    fn a_toasted_event_is_processed() {
        install("size", "exports.processEvent = e => { e.size = e.text.length; return e }");
        Spi::run(
            "CREATE TABLE wide (e jsonb);
             INSERT INTO wide SELECT pg_catalog.jsonb_build_object(
                 'text', (SELECT pg_catalog.string_agg(pg_catalog.md5(n::text), '')
                            FROM pg_catalog.generate_series(1, 5000) AS n))",
        )
        .unwrap();
        let size = text("SELECT process_event(e) ->> 'size' FROM wide").unwrap();
        assert_eq!(size, "160000");
    }
}
