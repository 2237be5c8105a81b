//! No source may crash the process or hang it: deep nesting, guesses within guesses, and soup.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use source::transpile::{Limits, Script, SourceError, regular_expressions, transpile};

fn attempt(source: &str) -> Result<Script, SourceError> {
    transpile(source, "index.ts", &[], &Limits::default())
}

/// What opens, what stands inside, what closes.
const NESTINGS: [(&str, &str, &str); 39] = [
    ("(", "x", ")"),
    ("[", "", "]"),
    ("x={a:", "1", "}"),
    ("{", "", "}"),
    ("f(", "x", ")"),
    ("!", "x", ""),
    ("typeof ", "x", ""),
    ("new ", "x", ""),
    ("a=", "x", ""),
    ("a=>", "x", ""),
    ("()=>{", "", "}"),
    ("if(x)", "y;", ""),
    ("if(x)y;else ", "z;", ""),
    ("if(x){}else ", "z;", ""),
    ("for(;;)", "y;", ""),
    ("do ", "y;", " while(x);"),
    ("a?b:", "c", ""),
    ("a?", "b", ":c"),
    ("1+", "1", ""),
    ("a**", "b", ""),
    ("a&&", "b", ""),
    ("", "a", ".b"),
    ("", "a", ".b()"),
    ("", "a", "!"),
    ("", "a", " as any"),
    ("`${", "a", "}`"),
    ("x=class{a=", "1", "}"),
    ("(class{m(){", "", "}})"),
    ("(a=", "b", ")"),
    ("a<", "b", ""),
    ("new a<{[", "x", "]}>"),
    ("a<({a=", "x", "})>"),
    ("({[(this:", "x", ")]})"),
    ("x={m(a=", "1", "){}}"),
    ("type A=[", "B", "]"),
    ("type A=B<", "C", ">"),
    ("namespace N{", "let z", "}"),
    ("a ? (b) : c => ", "x", ""),
    ("{[x as (", "y", ")]}"),
];

#[test]
fn no_depth_of_nesting_overflows_the_stack_or_takes_long() {
    for (open, middle, close) in NESTINGS {
        let longest = Limits::default().source_bytes / (open.len() + close.len()) - 10;
        for depth in [20, 200, 3_000, 30_000.min(longest), longest] {
            let closed = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
            for source in [&closed, &open.repeat(depth)] {
                let start = Instant::now();
                let result = attempt(source);
                let took = start.elapsed();
                let internal = matches!(result, Err(SourceError::Internal { .. }));
                assert!(!internal, "{open:?} × {depth}: {result:?}");
                assert!(took < Duration::from_secs(30), "{open:?} × {depth} took {took:?}");
            }
        }
    }
}

#[test]
fn long_chains_of_real_bundles_are_accepted() {
    let pieces = vec!["'piece'"; 5_000].join(" +\n");
    let elses = "if (a === 1) { b() } else ".repeat(1_000) + "{}";
    let chain = format!("a{}", ".then((x) => { return x })".repeat(1_000));
    let ternaries = format!("x = {}0", "a === 1 ? b : ".repeat(1_000));
    let comparisons = "if (a < b && c < (d / e)) { f(g, h < i) }\n".repeat(5_000);
    let types =
        "let m: Map<string, Array<Record<string, Promise<Set<X<Y>>>>>>\n".replace('m', "m_");
    let regular = r"}/[([{<]+\//.test(x) && (a = /'/g);".repeat(1_000).replacen('}', "", 1);
    let regular = regular.replace('}', "{}");
    for source in [pieces, elses, chain, ternaries, comparisons, types, regular] {
        attempt(&source).unwrap_or_else(|error| panic!("{error}: {:.200}", source));
    }
}

#[test]
fn a_source_beyond_the_limit_is_refused_by_its_length() {
    let limits = Limits { source_bytes: 10 };
    let error = transpile("export {} // long", "index.ts", &[], &limits).unwrap_err();
    assert_eq!(error, SourceError::TooLong { bytes: 17, limit: 10 });
}

fn soup() -> impl Strategy<Value = String> {
    const TOKENS: [&str; 64] = [
        "a",
        "b",
        " ",
        "\n",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        "=",
        "=>",
        "?",
        ":",
        ",",
        ";",
        ".",
        "...",
        "`",
        "${",
        "'",
        "\"",
        "/",
        "*",
        "+",
        "-",
        "!",
        "&&",
        "|",
        "@",
        "#x",
        "1",
        "0n",
        "import ",
        "export ",
        "default ",
        "from 'm'",
        "require('m')",
        "type ",
        "enum E",
        "class ",
        "extends ",
        "function ",
        "async ",
        "await ",
        "yield ",
        "new ",
        "const ",
        "let ",
        "if",
        "else ",
        "for",
        "return ",
        "as ",
        "namespace N",
        "module",
        "exports",
        "declare ",
        "abstract ",
        "static ",
        "import(",
        "ü",
    ];
    prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..60).prop_map(|it| it.concat())
}

proptest! {
    #[test]
    fn soup_of_tokens_is_answered(source in soup()) {
        let internal = matches!(attempt(&source), Err(SourceError::Internal { .. }));
        prop_assert!(!internal);
    }

    #[test]
    fn soup_of_characters_is_answered(source in any::<String>()) {
        let internal = matches!(attempt(&source), Err(SourceError::Internal { .. }));
        prop_assert!(!internal);
    }
}

#[test]
fn regular_expressions_are_found_at_their_places() {
    let found =
        regular_expressions("const a: RegExp = /x/g\nconst b = f(/[/]/, 1 / 2)", "index.ts");
    let found: Vec<_> =
        found.iter().map(|(text, place)| (text.as_str(), place.line, place.column)).collect();
    assert_eq!(found, [("/x/g", 1, 19), ("/[/]/", 2, 13)]);
    assert!(regular_expressions("not ( a program", "index.ts").is_empty());
}
