//! ES modules, CommonJS and both at once, run on QuickJS.

mod transpile_host;

use source::transpile::SourceError;
use transpile_host::{answer, refusal, script};

fn assert_answers(cases: &[(&str, &str, &str)]) {
    for (source, question, expected) in cases {
        assert_eq!(&answer(source, question), expected, "{question} after:\n{source}");
    }
}

#[test]
fn default_and_namespace_imports_are_the_whole_module() {
    assert_answers(&[
        ("import c from 'crypto'; export const n = c.name", "exports.n", r#""crypto""#),
        ("import * as c from 'crypto'; export const n = c.name", "exports.n", r#""crypto""#),
        (
            "import { default as c } from 'crypto'; export const n = c.name",
            "exports.n",
            r#""crypto""#,
        ),
        ("import c = require('crypto'); export const n = c.name", "exports.n", r#""crypto""#),
        ("const c = require('crypto'); exports.n = c.name", "exports.n", r#""crypto""#),
        ("import f from 'node-fetch'; export const n = f('x')", "exports.n", r#""fetched x""#),
        (
            "import f, { Response as R } from 'node-fetch'; export const n = [f('x'), R.name]",
            "exports.n",
            r#"["fetched x","Response"]"#,
        ),
        (
            "import f, * as all from 'node-fetch'; export const same = f === all",
            "exports.same",
            "true",
        ),
    ]);
}

#[test]
fn a_named_import_reads_its_property_once_at_load() {
    assert_answers(&[
        (
            "import { URL as u } from 'url'; modules.url.URL = 9; export const n = u",
            "exports.n",
            "1",
        ),
        ("import { 'odd name' as odd } from 'url'; export const n = odd", "exports.n", "2"),
        ("import { nope } from 'url'; export const n = typeof nope", "exports.n", r#""undefined""#),
    ]);
}

#[test]
fn imports_run_first_and_in_order() {
    assert_answers(&[(
        "export const seen = asked.join(); import 'url'; import * as c from 'crypto'; c;",
        "exports.seen",
        r#""url,crypto""#,
    )]);
}

#[test]
fn imports_of_types_and_unused_imports_vanish_before_modules_are_checked() {
    for source in [
        "import lodash from 'lodash'; export const n = 1",
        "import type { A } from 'nowhere'; export const n = 1 as A",
        "import { A, type B } from 'nowhere'; export function f(a: A): B { return a as any }",
        "import x = require('nowhere'); export const n: x.T = 1",
        "import * as ns from 'nowhere'; export const n: ns.T = 1",
        "import { T } from 'nowhere'; export { T2 }; type T2 = T; export type { T }; export const n = 1",
        "export type { T } from 'nowhere'; export const n = 1",
        "export type * from 'nowhere'; export const n = 1",
    ] {
        let text = script(source).text;
        assert!(!text.contains("require"), "{text}");
    }
    let source = "import {RetryError, Plugin, PluginEvent} from '@posthog/plugin-scaffold'
        export const plugin: Plugin<{}> = { processEvent(e: PluginEvent) { throw new RetryError() } }";
    let text = script(source).text;
    assert!(text.contains("RetryError") && !text.contains("PluginEvent"), "{text}");
}

#[test]
fn exports_are_enumerable_and_ready_after_the_script() {
    assert_answers(&[
        ("export const a = 1, b = 2", "exports", r#"{"a":1,"b":2}"#),
        ("export const {a, b: [c = 3]} = {a: 1, b: []}", "exports", r#"{"a":1,"c":3}"#),
        ("export default { processEvent: 1 }", "exports", r#"{"default":{"processEvent":1}}"#),
        ("export default function f() { return 7 }", "exports.default()", "7"),
        ("export default function () { return 7 }", "exports.default()", "7"),
        ("export default async () => 7", "typeof exports.default", r#""function""#),
        ("export default class { n = 7 }", "new exports.default()", r#"{"n":7}"#),
        ("export default class A { n = 7 }", "new exports.default()", r#"{"n":7}"#),
        ("export default abstract class A { n = 7 }", "new exports.default()", r#"{"n":7}"#),
        ("const x = 7; export default x", "exports.default", "7"),
        ("const a = 1; export { a as b, a as default }", "exports", r#"{"b":1,"default":1}"#),
        ("const a = 1; export { a as 'odd name' }", "exports", r#"{"odd name":1}"#),
        ("export { URL } from 'url'", "exports", r#"{"URL":1}"#),
        ("export { URL as default } from 'url'", "exports", r#"{"default":1}"#),
        ("export { default } from 'url'", "exports.default.URL", "1"),
        ("export * from 'url'", "exports", r#"{"URL":1,"odd name":2}"#),
        ("export * from 'crypto'", "Object.keys(exports)", r#"["name","randomBytes"]"#),
        ("export const URL = 5; export * from 'url'", "exports.URL", "5"),
        ("export * as u from 'url'", "exports.u.URL", "1"),
        ("import { URL } from 'url'; export { URL }", "exports", r#"{"URL":1}"#),
        ("export enum E { A, B = 'x' }", "exports.E", r#"{"0":"A","A":0,"B":"x"}"#),
        ("export const enum E { A = 4 } export const n = E.A", "exports.n", "4"),
        ("export class C { static n = 1 }", "exports.C.n", "1"),
        ("export namespace N { export const a = 1 }", "exports.N", r#"{"a":1}"#),
        ("export enum E { A } export enum E { B = 1 }", "exports.E.B + exports.E.A", "1"),
        (
            "export function f() {} export async function* g() {}",
            "Object.keys(exports)",
            r#"["f","g"]"#,
        ),
        ("const x = 1; export = { x }", "module.exports", r#"{"x":1}"#),
        ("export const __proto__x = 1, constructor = 2", "Object.keys(exports).length", "2"),
        ("namespace M { export const x = 3 } export import n = M.x", "exports", r#"{"n":3}"#),
    ]);
}

#[test]
fn exports_stay_live() {
    assert_answers(&[
        ("export let n = 0; export function inc() { n++ }", "(exports.inc(), exports.n)", "1"),
        (
            "let n = 0; export { n as m, inc }; function inc() { n++ }",
            "(exports.inc(), exports.m)",
            "1",
        ),
        ("export default function f() {} f = 3", "exports.default", "3"),
    ]);
}

#[test]
fn exports_mix_with_common_js() {
    assert_answers(&[
        ("export const a = 1; exports.b = 2; exports.a = 3", "exports", r#"{"b":2,"a":3}"#),
        (
            "export const a = 1; module.exports.b = 2",
            "[exports, module.exports]",
            r#"[{"a":1},{"b":2}]"#,
        ),
        (
            "export const a = 1; module.exports = { b: 2 }",
            "[exports, module.exports]",
            r#"[{"a":1},{"b":2}]"#,
        ),
        ("import 'url'; exports = { b: 2 }", "exports", r#"{"b":2}"#),
        ("export let a = 1; delete exports.a", "exports", "{}"),
    ]);
}

#[test]
fn a_module_that_exports_types_only_exports_nothing() {
    let source = "export interface A {} export type B = 1; export {}; function processEvent() {}";
    assert_eq!(answer(source, "[Object.keys(exports), typeof processEvent]"), r#"[[],"function"]"#);
}

#[test]
fn top_level_functions_are_global_and_constants_are_not() {
    let source = "import 'url'; function f() {} var v = 1; const c = 1; let l = 1; class K {}";
    let question = "['f', 'v', 'c', 'l', 'K'].map((name) => name in globalThis)";
    assert_eq!(answer(source, question), "[true,true,false,false,false]");
    assert_eq!(answer("function f() {}", "globalThis.f.name"), r#""f""#);
}

#[test]
fn scripts_are_sloppy_even_if_they_say_otherwise() {
    assert_answers(&[
        ("'use strict'; undeclared = 1; exports.n = undeclared", "exports.n", "1"),
        (
            "'use strict'\nimport 'url'; globalThis.s = (function () { return !this })()",
            "s",
            "false",
        ),
        ("exports.s = (function () { 'use strict'; return !this })()", "exports.s", "true"),
        ("with ({ a: 1 }) exports.n = a; exports.o = 010", "exports", r#"{"n":1,"o":8}"#),
        ("('use strict'); undeclared = 1", "undeclared", "1"),
        ("var let_ = 1, yield = 2, await = 3; exports.n = yield + await", "exports.n", "5"),
        ("exports.n = delete exports.x; <!-- an html comment", "exports.n", "true"),
        ("#!/usr/bin/env node\nexports.n = 1", "exports.n", "1"),
        ("\u{feff}exports.n = 1", "exports.n", "1"),
    ]);
}

#[test]
fn what_the_author_binds_does_not_capture_generated_code() {
    assert_answers(&[
        (
            "const require = 5; import { URL } from 'url'; export const n = [URL, require]",
            "exports.n",
            "[1,5]",
        ),
        (
            "const module = 5, _module = 6; export { module }; export const o = () => _module",
            "[exports.module, exports.o()]",
            "[5,6]",
        ),
        (
            "export const exports = 5; export function module() {}",
            "[exports.exports, typeof exports.module]",
            r#"[5,"function"]"#,
        ),
        (
            "const module = { a: 1 }; export const n = { module }",
            "exports.n",
            r#"{"module":{"a":1}}"#,
        ),
        ("export function Object() {} export const n = 1", "exports.n", "1"),
        ("import c from 'crypto'; Object = 1; export const n = c.name", "exports.n", r#""crypto""#),
        (
            "function f(require) { return import('url') } f().then((u) => exports.n = u.URL)",
            "exports.n",
            "1",
        ),
        ("export const value = 1, name = 2, rest = 3; export * from 'url'", "exports.value", "1"),
    ]);
}

#[test]
fn a_script_that_redeclares_what_the_host_declares_is_refused() {
    for source in ["var module = 1", "let exports = {}", "function exports() {}"] {
        assert!(matches!(refusal(source), SourceError::Unsupported { .. }), "{source}");
    }
    script("(function (module, exports) { var require = 1; module.exports = 1 })({}, {})");
}

#[test]
fn an_unknown_module_is_refused_where_it_is_named() {
    for (source, line, column) in [
        ("import a from 'lodash'\na()", 1, 15),
        ("\n\nconst a = require('lodash')", 3, 19),
        ("export {\n  a } from 'lodash'", 2, 12),
        ("export * from 'lodash'", 1, 15),
        ("function f() {\n  return import('lodash') }", 2, 17),
        ("import x = require('lodash'); x()", 1, 20),
        ("const f = () => { if (x) { require(`lodash`) } }", 1, 36),
        ("import 'lodash'", 1, 8),
    ] {
        let error = refusal(source);
        assert_eq!(error.message(), r#"module "lodash" is not available"#, "{source}");
        let place = error.place().unwrap();
        assert_eq!((place.line, place.column), (line, column), "{source}");
        assert!(error.hint().unwrap().contains("node-fetch"));
    }
}

#[test]
fn a_relative_module_is_refused_with_the_advice_to_bundle() {
    let error = refusal("import { a } from './lib'; a()");
    assert_eq!(error.to_string(), r#"module "./lib" is not available (index.ts:1:19)"#);
    assert!(error.hint().unwrap().contains("bundle"));
}

#[test]
fn a_module_that_no_bundle_can_bring_is_refused_with_what_there_is_instead() {
    for name in ["fs", "fs/promises", "node:fs", "https", "net"] {
        let hint = refusal(&format!("require('{name}')")).hint().unwrap();
        assert!(hint.contains("fetch") && !hint.contains("undle"), "{name}: {hint}");
    }
    let hint = refusal("require('fs-extra')").hint().unwrap();
    assert!(hint.contains("Bundle it, if it does without files and sockets"), "{hint}");
}

#[test]
fn a_bundles_own_require_is_not_checked() {
    for source in [
        "(function (require) { require('./a') })(() => 1)",
        "var require = (m) => m; require('./a')",
        "function require() {} require('./a')",
        "const load = (require) => require('./a')",
        "exports.f = () => require('./' + 'a')",
        "exports.f = (x) => x.require('./a')",
    ] {
        script(source);
    }
}

#[test]
fn a_dynamic_import_resolves_to_the_module_with_the_whole_as_default() {
    assert_answers(&[
        (
            "import('url').then((u) => exports.n = [u.URL, u.default === modules.url])",
            "exports.n",
            "[1,true]",
        ),
        ("const m = 'url'; import(m).then((u) => exports.n = u.URL)", "exports.n", "1"),
        (
            "export const p = import('url').then((u) => { q = u.URL }); let q; export { q }",
            "exports.q",
            "1",
        ),
    ]);
}
