//! The web's and Node's globals, against tables of what Node 20 answers. A row is an expression, then
//! `//=>` and its value as `show.js` writes it, awaited if it is a promise. `//gap=>` marks a row where ours differs: it must
//! fail, so that it is unmarked when it no longer does.

#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::process::Command;
use std::time::Duration;

use common::Bench;
use engine::Limits;

/// Evaluates each expression in one realm; a value or what was thrown, as JSON.
fn evaluate(expressions: &[&str]) -> Vec<String> {
    let script = format!(
        "const show = {};
        async function processEvent(event) {{
            event.results = [];
            for (const expression of event.expressions) {{
                try {{
                    event.results.push(show(await (0, eval)(expression)));
                }} catch ({{ name, code, message }}) {{
                    // Without a code of Node's, the words are the engine's own.
                    if (typeof code !== 'string') message = '';
                    event.results.push(show({{ throws: {{ name, code, message }} }}));
                }}
            }}
            return event;
        }}",
        include_str!("globals/show.js").trim_end()
    );
    let event = serde_json::json!({ "expressions": expressions });
    // Hundreds of rows in one call, on a machine that may be busy.
    let limits = Limits { call: Duration::from_secs(60), ..Limits::default() };
    let after = Bench::with_limits(limits).process(&script, &event.to_string()).unwrap();
    let results = after["results"].as_array().unwrap();
    results.iter().map(|result| result.as_str().unwrap().to_owned()).collect()
}

fn check(table: &str) {
    let is_row = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let rows: Vec<(&str, bool, &str)> = table
        .lines()
        .filter(is_row)
        .map(|line| match (line.split_once(" //=> "), line.split_once(" //gap=> ")) {
            (Some((expression, expected)), _) => (expression, false, expected),
            (_, Some((expression, expected))) => (expression, true, expected),
            _ => panic!("a row without a value: {line}"),
        })
        .collect();
    let expressions: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let mut wrong = String::new();
    for ((expression, gap, expected), found) in rows.iter().zip(evaluate(&expressions)) {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        match (json(expected) == json(&found), gap) {
            (false, false) => {
                wrong += &format!("{expression}\n  expected {expected}\n  found    {found}\n");
            }
            (true, true) => wrong += &format!("{expression}\n  is no gap any more\n"),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "of {} rows these are wrong:\n{wrong}", rows.len());
}

macro_rules! tables {
    ($($name:ident: $file:literal;)*) => {$(
        #[test]
        fn $name() {
            check(include_str!($file));
        }
    )*};
}

tables! {
    buffer_answers_as_in_node: "globals/buffer.txt";
    url_answers_as_in_node: "globals/url.txt";
    unusual_urls_answer_as_in_node: "globals/unusual_urls.txt";
    the_url_module_answers_as_in_node: "globals/legacy_url.txt";
    text_encodings_answer_as_in_node: "globals/encoding.txt";
    fetch_and_its_classes_answer_as_in_node: "globals/fetch.txt";
    structured_clone_answers_as_in_node: "globals/structured_clone.txt";
    events_answer_as_in_node: "globals/events.txt";
    streams_answer_as_in_node: "globals/stream.txt";
    util_answers_as_in_node: "globals/util.txt";
    inspect_shows_as_in_node: "globals/inspect.txt";
    assert_answers_as_in_node: "globals/assert.txt";
    path_answers_as_in_node: "globals/path.txt";
    querystring_answers_as_in_node: "globals/querystring.txt";
    string_decoder_answers_as_in_node: "globals/string_decoder.txt";
    timers_answer_as_in_node: "globals/timers.txt";
    blobs_and_forms_answer_as_in_node: "globals/blob.txt";
    dates_answer_as_in_node: "globals/dates.txt";
    dates_in_locales_read_as_in_node: "globals/intl_dates.txt";
    numbers_in_locales_read_as_in_node: "globals/intl_numbers.txt";
    words_in_locales_read_as_in_node: "globals/intl_words.txt";
    the_crypto_module_answers_as_in_node: "globals/crypto.txt";
    keys_and_signatures_answer_as_in_node: "globals/crypto_keys.txt";
    ciphers_answer_as_in_node: "globals/crypto_ciphers.txt";
    the_webs_crypto_answers_as_in_node: "globals/web_crypto.txt";
    zlib_answers_as_in_node: "globals/zlib.txt";
    zlibs_streams_flow_as_in_node: "globals/zlib_streams.txt";
    jsonwebtoken_answers_as_the_package: "globals/jsonwebtoken.txt";
    what_quickjs_brings_answers_as_in_node: "globals/builtin.txt";
}

/// PostHog's servers were in UTC; wherever this one is, its plugins write the same.
#[test]
fn dates_do_not_depend_on_the_zone_of_the_server() {
    let table = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "dates_answer_as_in_node"])
        .env("TZ", "NPT-5:45")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&table.stdout);
    assert!(table.status.success() && printed.contains("1 passed"), "{printed}");
}
