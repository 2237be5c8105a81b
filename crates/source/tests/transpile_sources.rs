//! TypeScript, bundles as bundlers write them, refusals, source maps.

mod transpile_host;

use source::transpile::{Position, SourceError, SourceMap};
use transpile_host::{SCRIPT, answer, refusal, script, thrown_stack};

fn assert_answers(cases: &[(&str, &str, &str)]) {
    for (source, question, expected) in cases {
        assert_eq!(&answer(source, question), expected, "{question} after:\n{source}");
    }
}

#[test]
fn a_typescript_plugin_runs() {
    let source = r#"
        import { Plugin, PluginEvent, PluginMeta, RetryError } from '@posthog/plugin-scaffold'
        import type { Cache } from '@posthog/plugin-scaffold'
        import fetch from 'node-fetch'
        type Config = { config: { rate: string }, global: { rate: number } }
        interface Meta extends PluginMeta<Plugin<Config>> { cache: Cache }
        declare const unknown: string
        declare function elsewhere(): void
        function pick(a: string): string
        function pick(a: number): number
        function pick(a: any): any { return a! }
        abstract class Base<T extends object = {}> {
            protected late!: T
            declare shape: number
            constructor(private readonly rate: number, public name?: string) {}
            abstract run(event: PluginEvent): PluginEvent | null
            get double(): number { return this.rate * 2 }
        }
        class Sampler extends Base<Config> {
            #seen = new Map<string, Array<Record<string, number>>>()
            override run(event: PluginEvent): PluginEvent | null {
                this.#seen.set(event.event, [{ n: this.double }])
                return { ...event, properties: { rate: <number>this.double, size: this.#seen.size } }
            }
        }
        const sampler = new Sampler(21 as number, 'x') satisfies Base
        export const setupPlugin: Plugin<Config>['setupPlugin'] = async ({ config, global }: Meta) => {
            global.rate = parseInt(config.rate ?? '5') as unknown as number
        }
        export function processEvent(event: PluginEvent, { global }: Meta): PluginEvent | null {
            if (event.event === 'retry') throw new RetryError('later')
            return sampler.run(event)
        }
        export async function onEvent(this: void, event: PluginEvent) { await fetch(event.event) }
    "#;
    assert_answers(&[
        (source, "Object.keys(exports)", r#"["setupPlugin","processEvent","onEvent"]"#),
        (
            source,
            "exports.processEvent({ event: 'e' }, {})",
            r#"{"event":"e","properties":{"rate":42,"size":1}}"#,
        ),
    ]);
}

#[test]
fn modern_syntax_stays_as_it_is() {
    let source = r"
        class A { #x = 1n; static { A.made = true } static is(o) { return #x in o } }
        const re = /[/\]]+\/(?<year>\d{4})/giu, t = `a${`b${1 + 1}`}/`, big = 2n ** 64n
        const o = { a: { b: null } }; let n = o?.a?.b ?? 4; n ||= 1; n **= 2
        async function* numbers() { yield* [1, 2]; for await (const x of []) yield x }
        label: for (const i of [1]) { for (;;) continue label }
        exports.n = [t, n, String(big), A.made, '1/2020'.replace(re, '$<year>'), 1_000, numbers.name]
    ";
    let expected = r#"["ab2/",16,"18446744073709551616",true,"1/2020",1000,"numbers"]"#;
    assert_answers(&[(source, "exports.n", expected)]);
}

#[test]
fn bundles_run_as_their_bundlers_wrote_them() {
    let esbuild = r#"
        "use strict";
        var __defProp = Object.defineProperty, __getNames = Object.getOwnPropertyNames;
        var __commonJS = (cb, mod) => function __require() {
            return mod || (0, cb[__getNames(cb)[0]])((mod = { exports: {} }).exports, mod), mod.exports;
        };
        var __export = (target, all) => { for (var name in all)
            __defProp(target, name, { get: all[name], enumerable: true }); };
        var require_lib = __commonJS({ "lib.js"(exports, module) { module.exports = { n: 5 }; } });
        var src_exports = {};
        __export(src_exports, { processEvent: () => processEvent });
        module.exports = ((mod) => __defProp(mod, "__esModule", { value: true }))(src_exports);
        var lib = require_lib(), import_url = require("url");
        function processEvent() { return lib.n + import_url.URL; }
        0 && (module.exports = { processEvent });
    "#;
    let webpack = r#"
        (()=>{var e={12:(e,t,r)=>{"use strict";Object.defineProperty(t,"__esModule",{value:!0}),t.n=r(34)},
        34:e=>{e.exports=require("url").URL}},t={};function r(n){var o=t[n];if(void 0!==o)return o.exports;
        var i=t[n]={exports:{}};return e[n](i,i.exports,r),i.exports}module.exports=r(12)})();
    "#;
    let browserify = r#"
        (function(){function r(e,n,t){function o(i,f){if(!n[i]){if(!e[i]){var c="function"==typeof require&&require;
        if(!f&&c)return c(i,!0);throw new Error("Cannot find module '"+i+"'")}var p=n[i]={exports:{}};
        e[i][0].call(p.exports,function(r){var n=e[i][1][r];return o(n||r)},p,p.exports,r,e,n,t)}return n[i].exports}
        for(var u="function"==typeof require&&require,i=0;i<t.length;i++)o(t[i]);return o}return r})()(
        {1:[function(require,module,exports){ globalThis.got = require('./lib').n },{"./lib":2}],
        2:[function(require,module,exports){ exports.n = 8 },{}]},{},[1]);
    "#;
    let umd = r#"
        (function (root, factory) {
            if (typeof define === 'function' && define.amd) define(['exports'], factory);
            else if (typeof exports === 'object') factory(exports);
            else factory((root.lib = {}));
        }(typeof self !== 'undefined' ? self : this, function (exports) { exports.n = 9; }));
    "#;
    let babel = r#"
        "use strict";
        Object.defineProperty(exports, "__esModule", { value: true });
        exports.processEvent = exports.default = void 0;
        function _interopRequireDefault(obj) { return obj && obj.__esModule ? obj : { default: obj }; }
        var _url = _interopRequireDefault(require("url"));
        const processEvent = () => _url.default.URL;
        exports.processEvent = processEvent;
        var _default = { a: 1 }; exports.default = _default;
    "#;
    let tsc = r#"
        var __awaiter = (this && this.__awaiter) || function (t, a, P, g) { return g };
        var __exportStar = (this && this.__exportStar) || function(m, exports) {
            for (var p in m) if (p !== "default" && !Object.prototype.hasOwnProperty.call(exports, p)) exports[p] = m[p]; };
        Object.defineProperty(exports, "__esModule", { value: true });
        __exportStar(require("url"), exports);
    "#;
    let rollup = "import { URL as e } from 'url';\nconst o = { v: e }; var t = () => o.v;\nexport { t as processEvent, o as default };";
    assert_answers(&[
        (esbuild, "module.exports.processEvent()", "6"),
        (webpack, "module.exports", r#"{"n":1}"#),
        (browserify, "got", "8"),
        (umd, "exports", r#"{"n":9}"#),
        (babel, "[exports.processEvent(), exports.default]", r#"[1,{"a":1}]"#),
        (tsc, "exports", r#"{"URL":1,"odd name":2}"#),
        (rollup, "[exports.processEvent(), exports.default]", r#"[1,{"v":1}]"#),
    ]);
}

#[test]
fn what_a_plugin_cannot_mean_is_refused_with_its_place() {
    for (source, display) in [
        ("const a = 1;\nlet b = ;", "unexpected token (index.ts:2:9)"),
        ("let a; let a", "identifier `a` has already been declared (index.ts:1:5)"),
        ("export { nope }", "export \"nope\" is not defined (index.ts:1:10)"),
        ("export const a = import.meta.url", "import.meta is not supported (index.ts:1:18)"),
        ("import 'url'\nawait f()", "top-level await is not supported (index.ts:2:1)"),
        ("with (a) { b } { using c = d }", "using is not supported (index.ts:1:18)"),
        ("@d class A {}", "a decorator is not supported (index.ts:1:1)"),
        ("class A { accessor x = 1 }", "an accessor field is not supported (index.ts:1:11)"),
    ] {
        assert_eq!(refusal(source).to_string(), display, "{source}");
    }
    for source in [
        "return 1",
        "export const a = <div>hello</div>",
        "break",
        "for await (const x of y) {} export {}",
        "export const a = 1; export const a = 2",
        "function f() { 'use strict'; with (a) {} }",
        "class A { #x; #x }",
        "export namespace N { export let a = 1 }",
        "x = 'unterminated",
    ] {
        let error = refusal(source);
        assert!(error.place().is_some_and(|place| place.line == 1), "{source}: {error:?}");
    }
}

#[test]
fn a_source_that_leaves_nothing_to_run_is_empty() {
    for source in [
        "",
        "// only this",
        "type A = 1",
        "'use strict'",
        "export {}",
        "#!/bin/x",
        "import type A from 'x'",
    ] {
        assert!(matches!(refusal(source), SourceError::Empty { .. }), "{source}");
    }
}

#[test]
fn an_error_shows_its_line_and_only_the_part_around_it_of_a_long_one() {
    let place = refusal("ok();\n  let ü = ;").place().cloned().unwrap();
    assert_eq!((place.line, place.column, place.text.as_str()), (2, 11, "let ü = ;"));
    let long = format!("{}let b = ;{}", "a();".repeat(1_000), "c();".repeat(1_000));
    let place = refusal(&long).place().cloned().unwrap();
    assert_eq!((place.line, place.column), (1, 4_009));
    assert!(place.text.contains("let b = ;") && place.text.chars().count() <= 122, "{place:?}");
}

#[test]
fn a_stack_names_the_authors_lines() {
    let source = "// one\ninterface Two {\n  three: string\n}\nenum Five { A }\n\
                  function thrower(): never {\n  throw new Error('seven')\n}\n\
                  export function nine(a: Two | number) { [1].map(() => thrower()) }\n\nnine(Five.A)";
    let (script, stack) = thrown_stack(source);
    let map = SourceMap::parse(&script.source_map).unwrap();
    let stack = map.rewrite_stack(&stack, SCRIPT, "index.ts");
    let frames: Vec<&str> = stack.lines().map(str::trim).collect();
    assert!(frames[0].starts_with("at thrower (index.ts:7:"), "{stack}");
    assert!(frames[1].starts_with("at <anonymous> (index.ts:9:"), "{stack}");
    assert_eq!(frames[2], "at map (native)", "{stack}");
    assert!(frames[3].starts_with("at nine (index.ts:9:"), "{stack}");
    assert!(frames[4].starts_with("at <eval> (index.ts:11:"), "{stack}");
}

#[test]
fn a_source_map_leaves_out_the_source_and_refuses_nonsense() {
    let script = script("export const secret = 1");
    assert!(!script.source_map.contains("secret = 1"), "{}", script.source_map);
    let map = SourceMap::parse(&script.source_map).unwrap();
    assert_eq!(map.locate(1, 1), Some(Position { line: 1, column: 14 }));
    assert_eq!(map.locate(9_999, 1), None);
    assert!(SourceMap::parse("{}").is_none() && SourceMap::parse("").is_none());
    assert_eq!(
        map.rewrite_stack("at a (other:1:1)\n\nx:1:2", "plugin", "i.ts"),
        "at a (other:1:1)\n\nx:1:2"
    );
    assert_eq!(map.rewrite_stack("    at plugin:1:1", "plugin", "i.ts"), "    at i.ts:1:14");
}

#[test]
fn a_spread_text_becomes_its_characters() {
    let each = "const spread = (x) => ({ a: 1, ...x }); exports.all = ['hi', '', 5, null, [7], { b: 2 }].map(spread)";
    assert_answers(&[
        (
            each,
            "exports.all",
            r#"[{"0":"h","1":"i","a":1},{"a":1},{"a":1},{"a":1},{"0":7,"a":1},{"a":1,"b":2}]"#,
        ),
        ("exports.x = { ...(true && 'ab') }", "exports.x", r#"{"0":"a","1":"b"}"#),
        ("exports.x = { ...('' || 'ab') }", "exports.x", r#"{"0":"a","1":"b"}"#),
        ("exports.x = { ...`a${1}` }", "exports.x", r#"{"0":"a","1":"1"}"#),
        ("exports.x = { ...(false ? {} : 'ab') }", "exports.x", r#"{"0":"a","1":"b"}"#),
        (
            "exports.x = { ...(false && { b: 2 }), ...(true ? { c: 3 } : {}) }",
            "exports.x",
            r#"{"c":3}"#,
        ),
        (
            "exports.f = async () => ({ ...(await 'ab') }); exports.x = {}; exports.f().then((y) => Object.assign(exports.x, y))",
            "exports.x",
            r#"{"0":"a","1":"b"}"#,
        ),
        ("export const x = { ...{ ...'a' } }", "exports.x", r#"{"0":"a"}"#),
    ]);
}

#[test]
fn an_authors_own_object_is_not_called_for_a_spread() {
    let source = "function Object() { throw 1 } const text = 'ab'; exports.x = { ...text, b: 2 }";
    assert_answers(&[(source, "exports.x", r#"{"b":2}"#)]);
}
