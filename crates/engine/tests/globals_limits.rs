//! The web's and Node's globals in the hands of plugins that mean harm or use them oddly.

#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::time::{Duration, Instant};

use common::{Bench, program};
use engine::{FailureKind, Limits};

/// Runs the body of a `processEvent` under tight limits; what it failed of.
fn attack(body: &str) -> Option<FailureKind> {
    attack_for(Duration::from_millis(300), body)
}

fn attack_for(call: Duration, body: &str) -> Option<FailureKind> {
    let limits = Limits { call, ..Limits::default() };
    let mut bench = Bench::with_limits(limits);
    let script = format!("function processEvent(event) {{ {body} }}");
    let begin = Instant::now();
    let outcome = bench.run(&program(1, &script), r#"{"event": "x"}"#);
    let most = call + Duration::from_secs(3);
    assert!(begin.elapsed() < most, "{body} took {:?}", begin.elapsed());
    assert!(bench.engine.memory_used() <= limits.memory, "{body}");
    outcome.failure.map(|failure| failure.kind)
}

/// Runs the body and expects the event's `ok` to be true after it.
fn holds(body: &str) {
    let script = format!("function processEvent(event) {{ {body}; return event }}");
    let after = Bench::new().process(&script, r#"{"ok": false}"#).unwrap();
    assert_eq!(after["ok"], true, "{body}");
}

#[test]
fn a_huge_buffer_runs_out_of_memory() {
    for body in ["Buffer.alloc(2 ** 32)", "Buffer.alloc(1e9)", "Buffer.from({ length: 1e9 })"] {
        assert!(matches!(attack(body), Some(FailureKind::OutOfMemory | FailureKind::Threw)));
    }
}

#[test]
fn text_of_a_large_buffer_is_counted() {
    let body = "const b = Buffer.alloc(8e6); const a = []; for (;;) a.push(b.toString('latin1'))";
    assert!(matches!(attack(body), Some(FailureKind::OutOfMemory | FailureKind::TimedOut)));
}

#[test]
fn addresses_that_are_kept_are_counted() {
    let body = "const s = 'https://a.b/' + 'x'.repeat(1e6); const a = [];
        for (;;) a.push(new URL(s))";
    assert!(matches!(attack(body), Some(FailureKind::OutOfMemory | FailureKind::TimedOut)));
}

#[test]
fn a_search_is_never_quadratic() {
    let body = "const hay = Buffer.alloc(1e6, 'a'); const needle = Buffer.alloc(5e5, 'a');
        needle[25e4] = 98; hay.indexOf(needle); hay.lastIndexOf(needle)";
    // By comparing at each place it would take minutes; as it is, milliseconds on a quiet machine.
    assert_eq!(attack_for(Duration::from_secs(10), body), None);
}

#[test]
fn a_search_at_odd_places_can_be_stopped() {
    let body = "const hay = Buffer.alloc(4e6, '\\u0100', 'utf16le');
        hay.indexOf('\\u0001'.repeat(1e6), 0, 'utf16le')";
    assert_eq!(attack(body), Some(FailureKind::TimedOut));
}

#[test]
fn a_loop_of_native_work_can_be_stopped() {
    for work in ["b.toString('hex')", "b.indexOf('x')", "b.swap16()", "new URL(s)", "b.equals(c)"] {
        let body = format!(
            "const b = Buffer.alloc(1e5); const c = Buffer.alloc(1e5);
            const s = 'https://a.b/' + 'x'.repeat(1e5); for (;;) try {{ {work} }} catch {{}}"
        );
        assert_eq!(attack(&body), Some(FailureKind::TimedOut));
    }
}

#[test]
fn a_long_host_ends() {
    let body = "try { new URL('https://' + 'ü.'.repeat(2e4)) } catch {}
        try { new URL('https://' + 'ü'.repeat(2e4)) } catch {}
        try { new URL('https://xn--' + 'a'.repeat(2e4)) } catch {}";
    // Time enough on a busy machine.
    assert_eq!(attack_for(Duration::from_secs(10), body), None);
}

#[test]
fn a_long_query_ends() {
    let body = "new URLSearchParams('a&'.repeat(1e7)).size";
    assert!(matches!(attack(body), Some(FailureKind::OutOfMemory | FailureKind::TimedOut)));
}

#[test]
fn a_deep_clone_ends() {
    let body = "let o = {}; for (let i = 0; i < 1e6; i++) o = { o }; structuredClone(o)";
    let kind = attack(body);
    assert!(matches!(
        kind,
        Some(FailureKind::StackOverflow | FailureKind::TimedOut | FailureKind::OutOfMemory)
    ));
}

#[test]
fn a_detached_buffer_is_an_error_and_no_crash() {
    for use_of_it in [
        "b.toString('hex', 0, 4)",
        "Buffer.prototype.equals.call(b, Buffer.from('x'))",
        "new TextEncoder().encodeInto('abc', b)",
        "Buffer.from('abc').compare(b)",
    ] {
        let script = format!(
            "const b = Buffer.from('hello'); b.buffer.transfer();
            try {{ {use_of_it} }} catch {{}} event.ok = b.length === 0"
        );
        holds(&script);
    }
}

#[test]
fn lengths_that_lie_reach_no_memory() {
    holds(
        "const b = Buffer.from('hi'); Object.defineProperty(b, 'length', { value: 1e6 });
        let seen; try { seen = b.toString() } catch { seen = '' }
        try { b.write('x'.repeat(100), 50) } catch {}
        event.ok = seen === ''",
    );
    holds(
        "const b = Buffer.from('hi'); Object.defineProperty(b, 'length', { value: -1 });
        try { b.toString() } catch (e) { event.ok = e instanceof Error }
        event.ok ||= b[0] === 104",
    );
}

#[test]
fn methods_on_strangers_throw() {
    for call in [
        "Buffer.prototype.toString.call({ length: 3 })",
        "Buffer.prototype.swap16.call({ length: 2 })",
        "URL.prototype.toString.call({})",
        "URLSearchParams.prototype.get.call({}, 'a')",
        "TextDecoder.prototype.decode.call({})",
    ] {
        holds(&format!("try {{ {call} }} catch (e) {{ event.ok = e instanceof TypeError }}"));
    }
}

#[test]
fn a_global_that_a_plugin_replaced_stays_replaced() {
    holds("URLSearchParams = 7; new URL('https://a.b'); event.ok = URLSearchParams === 7");
    holds(
        "delete globalThis.URLSearchParams; new URL('https://a.b');
        event.ok = typeof URLSearchParams === 'undefined'",
    );
    holds("Buffer = 5; event.ok = Buffer === 5");
}

#[test]
fn url_and_its_parameters_are_one_family_whichever_is_read_first() {
    holds("event.ok = new URL('https://a.b').searchParams instanceof URLSearchParams");
    holds("const P = URLSearchParams; event.ok = new URL('https://a.b').searchParams instanceof P");
    holds(
        "const { URL: U, URLSearchParams: P } = require('url');
        event.ok = U === URL && P === URLSearchParams",
    );
}

#[test]
fn windows_1252_is_read_as_the_web_reads_it() {
    holds(
        "const bytes = new Uint8Array([0x80, 0x99, 0x81, 0xE9]);
        event.ok = new TextDecoder('latin1').decode(bytes) === '€™\\x81é'",
    );
}

#[test]
fn a_module_is_made_once() {
    for name in engine::KNOWN_MODULES {
        holds(&format!("event.ok = require({name:?}) === require({name:?})"));
    }
}

#[test]
fn an_unknown_module_is_named_with_the_known_ones() {
    holds(
        "try { require('fs') } catch (e) {
            event.ok = e.message.includes('\"fs\"') && e.message.includes('url')
        }",
    );
    holds("try { require('constructor') } catch (e) { event.ok = e instanceof Error }");
}

#[test]
fn a_microtask_runs_before_the_call_ends() {
    holds("queueMicrotask(() => { event.ok = true }); return Promise.resolve().then(() => event)");
}

#[test]
fn requests_without_end_can_be_stopped() {
    for body in [
        "for (;;) fetch('https://a.b')",
        "for (;;) AbortSignal.timeout(1e6)",
        "const h = new Headers(); for (let i = 0; i < 1e5; i++) h.append('x' + i, 'y'); for (;;) [...h]",
        "for (;;) new Headers({ a: ' '.repeat(1e5) + 'x' + ' '.repeat(1e5) + 'x' })",
        "const s = 'x'.repeat(1e6); for (;;) try { new Response(s).text() } catch {}",
        "const c = new AbortController(); for (;;) c.signal.addEventListener('abort', () => {})",
    ] {
        let kind = attack(body);
        let ended = matches!(kind, Some(FailureKind::TimedOut | FailureKind::OutOfMemory));
        assert!(ended, "{body}: {kind:?}");
    }
}

#[test]
fn numbers_in_locales_stay_small() {
    for body in [
        "const s = '1'.repeat(2e6); for (;;) new Intl.NumberFormat().format(s)",
        "const { set } = WeakMap.prototype;
         WeakMap.prototype.set = function (key, state) { globalThis.state = state; return set.call(this, key, state) };
         new Intl.NumberFormat(); for (;;) state.format('1e2000000000')",
        "const a = []; for (;;) a.push(new Intl.NumberFormat('de', { minimumFractionDigits: 20 }))",
        "const { set } = WeakMap.prototype;
         WeakMap.prototype.set = function (key, state) { globalThis.state = state; return set.call(this, key, state) };
         new Intl.NumberFormat('en', { minimumSignificantDigits: 21 });
         for (;;) state.format('1e-2147483648')",
        "new Intl.DateTimeFormat({ length: 2 ** 53 - 1 })",
        "Array.prototype.toLocaleString.call({ length: 2 ** 53 - 1 })",
        "const s = 'a'.repeat(1e7); for (;;) s.localeCompare(s + 'b')",
        "for (let i = 0; ; i++) new Date(i * 1e9).toLocaleString('en', { year: 'numeric', timeZone: 'Asia/Tokyo' })",
        "const a = []; a[0] = a; for (;;) a.toLocaleString()",
    ] {
        assert!(attack(body).is_some(), "{body}");
    }
}

/// What a format is made of is kept outside of the plugin's memory.
#[test]
fn no_format_is_made_of_a_long_pattern() {
    for make in [
        "new Intl.DateTimeFormat('en', { hour: 'numeric' })",
        "new Intl.DateTimeFormat('en', { dateStyle: 'full', timeStyle: 'full', hour12: false })",
        "new Intl.DateTimeFormat('en', { timeStyle: 'short', hour12: false })",
    ] {
        holds(&format!(
            "const long = 'yM'.repeat(1000);
             String.prototype[Symbol.iterator] = () => [long][Symbol.iterator]();
             try {{ {make} }} catch (error) {{ event.ok = error instanceof RangeError }}"
        ));
    }
}

#[test]
fn options_of_locales_are_read_once() {
    holds(
        "const seen = [];
         const options = new Proxy({}, { get: (_, key) => { seen.push(key) } });
         new Intl.DateTimeFormat('en', options);
         new Intl.NumberFormat('en', options);
         event.ok = seen.filter((key) => key === 'timeZone').length === 1
             && seen.filter((key) => key === 'currency').length === 1",
    );
}

#[test]
fn locales_work_whatever_the_plugin_did_to_intl() {
    holds(
        "Intl = { broken: true };
         event.ok = Intl.broken && new Date(0).toLocaleDateString('en-CA', { timeZone: 'UTC' }) === '1970-01-01'
             && 'a'.localeCompare('b') === -1 && (1234.5).toLocaleString() === '1,234.5'",
    );
}

#[test]
fn an_offset_is_a_time_zone() {
    holds(
        "const zone = (timeZone) => new Intl.DateTimeFormat('sv', { timeZone, timeStyle: 'short' });
         const refused = ['+24:00', '+5', '+05:3', '05:30', '+05:60', '-'].every((name) => {
             try { zone(name); return false } catch (error) { return error instanceof RangeError }
         });
         event.ok = refused && zone('+05:30').format(0) === '05:30' && zone('-0800').format(0) === '16:00'
             && zone('+01').resolvedOptions().timeZone === '+01:00'",
    );
}

#[test]
fn hashing_and_compressing_can_be_stopped() {
    for work in [
        "c.createHash('md5').update(b)",
        "c.createHmac('sha512', 'k').update(t)",
        "c.createCipheriv('aes-256-cbc', b.subarray(0, 32), b.subarray(0, 16)).update(b)",
        "c.randomFillSync(b)",
        "c.sign('sha256', b, key)",
        "c.createPrivateKey(key)",
        "c.scryptSync('a', 'b', 8)",
        "z.gzipSync(b)",
        "z.inflateSync(small)",
        "z.brotliDecompressSync(squeezed)",
        "crypto.getRandomValues(b.subarray(0, 65536))",
    ] {
        let body = format!(
            "const c = require('crypto'); const z = require('zlib'); const t = 'x'.repeat(1e6);
            const b = Buffer.alloc(1e6); const small = z.deflateSync(b);
            const squeezed = z.brotliCompressSync(b, {{ params: {{ 1: 1 }} }});
            const key = `{KEY}`; for (;;) try {{ {work} }} catch {{}}"
        );
        assert_eq!(
            attack_for(Duration::from_secs(1), &body),
            Some(FailureKind::TimedOut),
            "{work}"
        );
    }
}

/// A key on a curve.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
-----END PRIVATE KEY-----";

#[test]
fn one_long_piece_of_native_work_can_be_stopped() {
    for body in [
        "require('crypto').pbkdf2Sync('a', 'b', 2 ** 31 - 1, 64, 'sha512')",
        "require('crypto').pbkdf2Sync('a', 'b', 1, 3e7, 'sha512')",
        "const z = require('zlib'); const { randomFillSync } = require('crypto');
         z.brotliCompressSync(randomFillSync(Buffer.alloc(8e6)))",
        "const b = Buffer.alloc(2e7); const { createHash } = require('crypto');
         const h = createHash('sha3-512'); for (;;) h.update(b)",
    ] {
        assert_eq!(attack(body), Some(FailureKind::TimedOut), "{body}");
    }
}

#[test]
fn what_native_code_holds_is_counted() {
    for body in [
        "const a = []; const { createHash } = require('crypto'); for (;;) a.push(createHash('md5'))",
        "const a = []; const { createHmac } = require('crypto'); for (;;) a.push(createHmac('md5', 'k'))",
        "require('crypto').scryptSync('a', 'b', 8, { N: 2 ** 18, r: 2, maxmem: 1e12 })",
        "require('zlib').gunzipSync(require('zlib').gzipSync(Buffer.alloc(4e7)))",
        "const z = require('zlib'); let b = Buffer.alloc(1e6);
         b = z.gzipSync(b, { level: 9 }); b = Buffer.concat(Array(3000).fill(b)); z.gunzipSync(b)",
        "const z = require('zlib'); const params = { [z.constants.BROTLI_PARAM_LGWIN]: 24 };
         z.brotliCompressSync(Buffer.alloc(2e7), { params })",
        "require('crypto').randomBytes(2e9)",
        "require('crypto').pbkdf2Sync('a', 'b', 1, 2e9, 'sha512')",
    ] {
        let kind = attack_for(Duration::from_secs(5), body);
        assert_eq!(kind, Some(FailureKind::OutOfMemory), "{body}");
    }
}

#[test]
fn a_scrypt_that_takes_too_long_is_refused() {
    holds(
        "try { require('crypto').scryptSync('a', 'b', 8, { N: 16384, p: 64 }) } catch (e) {
            event.ok = e.code === 'ERR_CRYPTO_INVALID_SCRYPT_PARAMS'
        }",
    );
}

#[test]
fn keys_of_other_realms_and_things_that_are_none_are_refused() {
    for call in [
        "c.createHash.call({}, 'md5').update.call({}, 'a')",
        "c.createHash('md5').copy.call(c.createHmac('md5', 'k'))",
        "new c.KeyObject('public', {}).export({ type: 'spki', format: 'der' })",
        "new c.KeyObject('private', {}).asymmetricKeyDetails",
        "c.sign('sha256', Buffer.from('a'), new c.KeyObject('private', 5))",
        "c.createHmac('md5', new c.KeyObject('secret', {}))",
        "crypto.subtle.constructor.prototype.digest.call({})",
        "Object.getOwnPropertyDescriptor(CryptoKey.prototype, 'constructor').value()",
    ] {
        let script = format!(
            "const c = require('crypto');
            const refused = (e) => {{ event.ok = e instanceof Error; return event }};
            try {{
                const made = {call};
                if (made?.then) return made.then(() => event, refused)
            }} catch (e) {{ refused(e) }}"
        );
        holds(&script);
    }
}

#[test]
fn a_detached_buffer_hashes_to_an_error_and_no_crash() {
    for use_of_it in [
        "c.createHash('md5').update(b)",
        "c.createHmac('md5', b)",
        "c.randomFillSync(b)",
        "c.createCipheriv('aes-128-ecb', b, null)",
        "require('zlib').gzipSync(b)",
        "crypto.getRandomValues(b)",
    ] {
        holds(&format!(
            "const c = require('crypto'); const b = Buffer.from('hello'); b.buffer.transfer();
            try {{ {use_of_it} }} catch {{}} event.ok = b.length === 0"
        ));
    }
}

#[test]
fn crypto_is_one_object_wherever_it_is_read() {
    holds("event.ok = require('crypto').webcrypto === crypto && crypto === globalThis.crypto");
    holds("const { subtle } = require('crypto'); event.ok = subtle === crypto.subtle");
}
