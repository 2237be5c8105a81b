//! Every line of SECURITY.md has a test. The line names it in a comment:
//!
//! `- A plugin cannot … <!-- test: attacks::its_name, engine/calls::another -->`
//!
//! is `its_name` in tests/cluster/tests/attacks.rs, and `another` in crates/engine/tests/calls.rs.

use std::fs;
use std::path::PathBuf;

use cluster::repository;

/// A line of the list, which may go on over several lines of the file.
struct Promise {
    text: String,
    tests: Vec<String>,
}

fn promises(page: &str) -> Vec<Promise> {
    let mut items: Vec<String> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if let Some(first) = line.strip_prefix("- ") {
            items.push(first.to_owned());
            inside = true;
        } else if inside && line.starts_with("  ") {
            items.last_mut().unwrap().push_str(line);
        } else {
            inside = false;
        }
    }
    items.iter().map(|item| promise(item)).collect()
}

fn promise(item: &str) -> Promise {
    let (text, comment) = item.split_once("<!-- test:").unwrap_or((item, ""));
    let named = comment.trim_end().trim_end_matches("-->").split(',').map(str::trim);
    Promise {
        text: text.trim().to_owned(),
        tests: named.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    }
}

/// Whether there is a test that is named like that, as a function or as a row of a macro.
fn exists(test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else { return false };
    let path: PathBuf = match file.split_once('/') {
        Some((the_crate, file)) => format!("crates/{the_crate}/tests/{file}.rs").into(),
        None => format!("tests/cluster/tests/{file}.rs").into(),
    };
    fs::read_to_string(repository().join(path)).is_ok_and(|source| {
        source.contains(&format!("#[test]\nfn {name}("))
            || source.lines().any(|line| line.trim_start().starts_with(&format!("{name}:")))
    })
}

#[test]
fn every_line_of_the_security_document_has_a_test() {
    let page = fs::read_to_string(repository().join("SECURITY.md")).unwrap();
    let promises = promises(&page);
    assert!(promises.len() > 40, "{} lines", promises.len());
    let mut wrong = String::new();
    for Promise { text, tests } in &promises {
        if tests.is_empty() {
            wrong += &format!("\nno test is named: {text}");
        }
        for test in tests.iter().filter(|test| !exists(test)) {
            wrong += &format!("\nthere is no test {test}: {text}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_line_without_a_test_is_found() {
    let page = "# Title\n\n- One. <!-- test: a::b,\n  c/d::e -->\n- Two\n  lines.\n\nText.\n";
    let found: Vec<_> =
        promises(page).into_iter().map(|promise| (promise.text, promise.tests)).collect();
    let expected = [
        ("One.".to_owned(), vec!["a::b".to_owned(), "c/d::e".to_owned()]),
        ("Two  lines.".to_owned(), vec![]),
    ];
    assert_eq!(found, expected);
    assert!(exists("security_document::a_line_without_a_test_is_found"));
    assert!(exists("engine/hostile::deep_recursion_overflows"));
    assert!(!exists("security_document::exists"));
    assert!(!exists("security_document"));
    assert!(!exists("nowhere::promise"));
}
