//! Plugins that mean harm: each ends in a clear outcome, and the next event works.

mod common;

use std::time::{Duration, Instant};

use common::{Bench, after, program};
use engine::{FailureKind, Limits};

/// Runs a hostile `processEvent` body, checks what it came to, and that the engine lives on.
fn attack(body: &str) -> Option<FailureKind> {
    let limits = Limits { call: Duration::from_millis(300), ..Limits::default() };
    let mut bench = Bench::with_limits(limits);
    let script = format!("function processEvent(event) {{ {body} }}");
    let begin = Instant::now();
    let outcome = bench.run(&program(1, &script), r#"{"event": "x", "properties": {"n": 1}}"#);
    let time = begin.elapsed();
    assert!(time < Duration::from_secs(3), "{body} took {time:?}");
    let next = bench.run(
        &program(2, "function processEvent(event) { event.seen = true; return event }"),
        r#"{"event": "y"}"#,
    );
    assert_eq!(next.failure, None, "the event after {body}");
    assert_eq!(
        after(&next, "{}"),
        Some(serde_json::json!({"event": "y", "seen": true})),
        "the event after {body}"
    );
    outcome.failure.map(|failure| {
        eprintln!("{time:>10.1?} {:?} {:?} <- {body}", failure.kind, failure.message);
        failure.kind
    })
}

macro_rules! attacks {
    ($($name:ident: $body:expr => $($kind:ident)|+;)*) => {$(
        #[test]
        fn $name() {
            let kind = attack($body);
            assert!(matches!(kind, $(Some(FailureKind::$kind))|+), "{kind:?}");
        }
    )*};
}

attacks! {
    an_endless_while_times_out: "while (true);" => TimedOut;
    an_endless_loop_that_catches_times_out:
        "while (true) { try { while (true); } catch {} finally { continue } }" => TimedOut;
    an_endless_generator_times_out:
        "for (const x of (function* () { while (true) yield 1 })()); return event" => TimedOut;
    an_endless_promise_chain_times_out:
        "const again = () => Promise.resolve().then(again); return again().then(() => event)" => TimedOut | OutOfMemory;
    a_floating_endless_promise_chain_times_out:
        "const again = () => Promise.resolve().then(again); again(); return event" => TimedOut | OutOfMemory;
    a_promise_that_never_settles_fails: "return new Promise(() => {})" => NeverSettles;
    a_thenable_that_never_settles_fails: "return { then() {} }" => NeverSettles;
    catastrophic_backtracking_times_out:
        "/(a+)+b/.test('a'.repeat(5000)); return event" => TimedOut;
    a_long_string_is_refused: "event.s = 'x'.repeat(2 ** 30); return event" => Threw | OutOfMemory;
    a_long_string_within_js_limits_runs_out_of_memory:
        "event.s = 'x'.repeat(2 ** 29); return event" => OutOfMemory;
    growing_arrays_run_out_of_memory:
        "const a = []; while (true) a.push(new Array(1000).fill(1))" => OutOfMemory | TimedOut;
    a_filled_sparse_array_ends: "new Array(1e9).fill(); return event" => OutOfMemory | TimedOut;
    a_spread_sparse_array_runs_out_of_memory: "[...Array(1e8)]; return event" => OutOfMemory | TimedOut;
    big_powers_end: "let n = 3n; while (true) n = n ** 3n" => Threw | OutOfMemory | TimedOut;
    deep_recursion_overflows: "const f = () => f() + 1; f()" => StackOverflow;
    recursion_through_json_overflows:
        "const o = { toJSON() { return JSON.stringify(o) } }; JSON.stringify(o)" => StackOverflow;
    recursion_through_a_proxy_overflows:
        "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x" => StackOverflow | TimedOut;
    recursion_in_the_result_overflows:
        "event.o = { toJSON() { return { again: this } } }; return event" => BadResult | StackOverflow;
    recursion_in_to_json_of_the_result_overflows:
        "event.o = { toJSON() { return this.toJSON() } }; return event" => StackOverflow;
    a_deep_result_is_refused:
        "let o = event.properties; for (let i = 0; i < 1e5; i++) o = o.o = {}; return event" => BadResult;
    a_cyclic_result_is_refused: "event.self = event; return event" => Threw;
    an_exponential_result_is_refused:
        "let o = {}; for (let i = 0; i < 60; i++) o = { a: o, b: o }; event.o = o; return event" => BadResult | TimedOut;
    a_getter_that_throws_fails:
        "Object.defineProperty(event, 'x', { enumerable: true, get() { throw new Error('got') } }); return event" => Threw;
    a_getter_that_never_ends_times_out:
        "Object.defineProperty(event, 'x', { enumerable: true, get() { while (true); } }); return event" => TimedOut;
    a_proxy_that_throws_fails:
        "return new Proxy(event, { ownKeys() { throw new Error('trapped') } })" => Threw;
    a_proxy_with_endless_keys_ends:
        "return new Proxy(event, { ownKeys: () => ({ length: 2 ** 31 }) })" => Threw | OutOfMemory | TimedOut;
    a_huge_array_in_the_result_is_refused: "event.a = new Array(4e9); return event" => BadResult | TimedOut;
    index_of_in_a_huge_array_like_times_out:
        "Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1); return event" => TimedOut;
    every_in_a_huge_sparse_array_times_out: "new Array(4e9).every(Boolean); return event" => TimedOut;
    join_of_a_huge_sparse_array_times_out: "new Array(4e9).join(''); return event" => TimedOut | OutOfMemory;
    reverse_of_a_huge_sparse_array_times_out: "new Array(4e9).reverse(); return event" => TimedOut | OutOfMemory;
    sort_of_a_huge_sparse_array_times_out: "new Array(4e9).sort(); return event" => TimedOut | OutOfMemory;
    a_length_that_shrinks_later_times_out:
        "let n = 0; Array.prototype.includes.call({ get length() { return n++ ? 1 : 2 ** 53 - 1 } }, 1); return event" => TimedOut | OutOfMemory;
    concat_of_a_huge_array_like_times_out:
        "[].concat({ length: 2 ** 53 - 2, [Symbol.isConcatSpreadable]: true }); return event" => TimedOut | OutOfMemory;
    flat_of_a_nested_huge_array_times_out: "[new Array(4e9)].flat(); return event" => TimedOut;
    a_set_of_a_huge_sparse_array_times_out: "new Set(new Array(4e9)); return event" => TimedOut;
    a_set_of_an_array_that_grew_times_out:
        "const a = []; const i = a.values(); a.length = 4e9; new Set(i); return event" => TimedOut;
    a_set_method_over_endless_keys_times_out:
        "const a = new Array(4e9); new Set([1]).union({ size: 1, has() {}, keys: () => a.values() }); return event" => TimedOut;
    dropping_from_an_endless_iterator_times_out:
        "Array.prototype.values.call({ length: 2 ** 53 - 1 }).drop(2 ** 52).next(); return event" => TimedOut;
    a_quadratic_search_is_refused:
        "const a = 'a'.repeat(4e6); a.concat('b').indexOf(a.slice(1).concat('cd')); ('a'.repeat(8e6) + 'b').indexOf('a'.repeat(4e6) + 'c'); return event" => Threw;
    a_quadratic_split_is_refused:
        "('a'.repeat(8e6) + 'b').split(new String('a'.repeat(4e6) + 'c')); return event" => Threw;
    a_script_that_grows_while_it_is_parsed_ends:
        "eval('[' + '1,'.repeat(2e7) + ']')" => OutOfMemory | TimedOut | Threw;
    a_deeply_nested_script_ends: "eval('['.repeat(1e6))" => Threw | StackOverflow;
    new_function_has_no_way_out: "return new Function('while (true);')()" => TimedOut;
    out_of_memory_in_the_console_ends:
        "const a = []; try { while (true) a.push('x'.repeat(1000) + a.length) } catch {} while (true) console.log({ a })" => OutOfMemory | TimedOut | Threw;
    parsing_without_end_times_out:
        "const text = JSON.stringify(new Array(50000).fill(1)); while (true) JSON.parse(text)" => TimedOut;
    repeating_without_end_times_out: "while (true) 'x'.repeat(1e6)" => TimedOut;
    sorting_without_end_times_out:
        "const a = Array.from({ length: 10000 }, (_, i) => -i); while (true) [...a].sort()" => TimedOut;
    sorting_in_place_without_end_times_out:
        "const a = Array.from({ length: 10000 }, (_, i) => -i); while (true) a.sort()" => TimedOut;
    searching_an_array_without_end_times_out:
        "const a = new Array(1e6).fill(0); while (true) a.indexOf(1)" => TimedOut;
    searching_a_text_without_end_times_out:
        "const a = 'a'.repeat(2e7); while (true) a.indexOf('b')" => TimedOut;
    sorting_typed_arrays_without_end_times_out:
        "const a = new Float64Array(1e6).map((_, i) => -i); while (true) a.sort()" => TimedOut;
    reversing_bytes_without_end_times_out:
        "const a = new Uint8Array(3e7); while (true) a.reverse()" => TimedOut;
    a_body_that_closes_its_function_is_metered:
        "new Function('}); for (const k = [];;) k.push(new Uint8Array(1e6).fill(1)); (function () {')" => Threw | OutOfMemory | TimedOut;
    parameters_that_close_their_function_are_metered:
        "new Function('a) {}); for (const k = [];;) k.push(new Uint8Array(1e6).fill(1)); (function (', '')" => Threw | OutOfMemory | TimedOut;
    a_prototype_getter_of_a_made_function_is_metered:
        "Reflect.construct(Function, ['1'], new Proxy(function () {}, { get() { for (const k = [];;) k.push(new Uint8Array(1e6).fill(1)) } }))" => OutOfMemory | TimedOut;
    a_stack_trace_hook_is_metered:
        "Error.prepareStackTrace = () => { for (const k = [];;) k.push(new Uint8Array(1e6).fill(1)) }; eval('(')" => Threw;
    an_endless_loop_that_catches_refusals_times_out:
        "for (;;) try { JSON.parse('[' + '1,'.repeat(1e5) + '1]') } catch {}" => TimedOut;
    an_endless_loop_that_catches_with_memory_full_ends:
        "const k = []; try { for (;;) k.push('x'.repeat(1e4) + k.length) } catch {}
         try { for (;;) k.push({}) } catch {} for (;;) try { k.push([k.length, {}]) } catch {}" => TimedOut | OutOfMemory;
    waiting_is_not_possible: "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)" => Threw;
    endless_logging_times_out: "while (true) console.log('x'.repeat(1000))" => TimedOut;
}
