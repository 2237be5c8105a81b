//! jsonb → JavaScript: ordinary objects, arrays and primitives of the given realm.
//!
//! Works on QuickJS's own calls: the safe wrappers cost a lookup and a reference count per value,
//! and an event has dozens.

use jsonb::Ref;
use rquickjs::{Ctx, Error, Result, Value, qjs};

use crate::limits::Limits;

/// Builds the JavaScript value of `source`. Fails when memory runs out or the value nests too deeply.
pub(crate) fn to_js<'js>(ctx: &Ctx<'js>, source: Ref<'_>, limits: &Limits) -> Result<Value<'js>> {
    let most_elements = limits.memory / size_of::<qjs::JSValue>();
    let raw = build(ctx.as_raw().as_ptr(), source, limits.depth, most_elements);
    // SAFETY: `build` returns an owned value of this context, or the exception marker.
    unsafe {
        if qjs::JS_IsException(raw) {
            return Err(Error::Exception);
        }
        Ok(Value::from_raw(ctx.clone(), raw))
    }
}

/// An owned value, or the exception marker with the exception pending.
fn build(
    ctx: *mut qjs::JSContext,
    source: Ref<'_>,
    depth: usize,
    most_elements: usize,
) -> qjs::JSValue {
    match source {
        Ref::Null => qjs::JS_NULL,
        Ref::Bool(value) => qjs::JS_MKVAL(qjs::JS_TAG_BOOL, value.into()),
        Ref::Number(number) => match number.to_i64().map(i32::try_from) {
            Some(Ok(small)) => qjs::JS_MKVAL(qjs::JS_TAG_INT, small),
            _ => qjs::JS_NewFloat64(number.to_f64()),
        },
        Ref::String(text) => string(ctx, text),
        Ref::Array(array) => {
            if depth == 0 {
                return too_deep(ctx);
            }
            // They are collected in memory that nobody meters, and would not fit where they go.
            if array.len() > most_elements {
                return too_many(ctx);
            }
            let mut elements = Vec::with_capacity(array.len());
            for element in array.iter() {
                let value = match element {
                    Ok(element) => build(ctx, element, depth - 1, most_elements),
                    Err(_) => malformed(ctx),
                };
                // SAFETY: plain tag check.
                if unsafe { qjs::JS_IsException(value) } {
                    free_all(ctx, &elements);
                    return value;
                }
                elements.push(value);
            }
            let Ok(count) = i32::try_from(elements.len()) else {
                free_all(ctx, &elements);
                return too_deep(ctx);
            };
            // SAFETY: the elements are owned and move into the array, also when it fails.
            unsafe { qjs::JS_NewArrayFrom(ctx, count, elements.as_ptr()) }
        }
        Ref::Object(object) => {
            if depth == 0 {
                return too_deep(ctx);
            }
            // SAFETY: ctx is alive for the whole call; the object is freed on every early exit.
            unsafe {
                let target = qjs::JS_NewObject(ctx);
                if qjs::JS_IsException(target) {
                    return target;
                }
                for pair in object.iter() {
                    let (key, value) = match pair {
                        Ok((key, member)) => (key, build(ctx, member, depth - 1, most_elements)),
                        Err(_) => ("", malformed(ctx)),
                    };
                    if qjs::JS_IsException(value) {
                        qjs::JS_FreeValue(ctx, target);
                        return value;
                    }
                    let atom = atom(ctx, key);
                    if atom == qjs::JS_ATOM_NULL {
                        qjs::JS_FreeValue(ctx, value);
                        qjs::JS_FreeValue(ctx, target);
                        return qjs::JS_EXCEPTION;
                    }
                    // Defined, not set: a key `__proto__` is a key like any other. Takes `value`.
                    let defined =
                        qjs::JS_DefinePropertyValue(ctx, target, atom, value, PLAIN_PROPERTY);
                    qjs::JS_FreeAtom(ctx, atom);
                    if defined < 0 {
                        qjs::JS_FreeValue(ctx, target);
                        return qjs::JS_EXCEPTION;
                    }
                }
                target
            }
        }
    }
}

const PLAIN_PROPERTY: i32 = qjs::JS_PROP_C_W_E as i32;

fn string(ctx: *mut qjs::JSContext, text: &str) -> qjs::JSValue {
    // SAFETY: pointer and length are of one live str.
    unsafe { qjs::JS_NewStringLen(ctx, text.as_ptr().cast(), text.len() as _) }
}

/// An owned atom for the key, or `JS_ATOM_NULL`.
fn atom(ctx: *mut qjs::JSContext, key: &str) -> qjs::JSAtom {
    // SAFETY: pointer and length are of one live str; the string is freed after its atom is made.
    unsafe {
        // JS_NewAtomLen looks bytes up as Latin-1, so that "é" would find "Ã©".
        if key.is_ascii() {
            return qjs::JS_NewAtomLen(ctx, key.as_ptr().cast(), key.len() as _);
        }
        let text = string(ctx, key);
        if qjs::JS_IsException(text) {
            return qjs::JS_ATOM_NULL;
        }
        let atom = qjs::JS_ValueToAtom(ctx, text);
        qjs::JS_FreeValue(ctx, text);
        atom
    }
}

fn free_all(ctx: *mut qjs::JSContext, values: &[qjs::JSValue]) {
    for value in values {
        // SAFETY: the caller owns them and does not use them again.
        unsafe { qjs::JS_FreeValue(ctx, *value) };
    }
}

fn too_deep(ctx: *mut qjs::JSContext) -> qjs::JSValue {
    // SAFETY: a constant format string without arguments.
    unsafe { qjs::JS_ThrowRangeError(ctx, c"the event is nested too deeply".as_ptr()) }
}

fn malformed(ctx: *mut qjs::JSContext) -> qjs::JSValue {
    // SAFETY: a constant format string without arguments.
    unsafe { qjs::JS_ThrowInternalError(ctx, c"the event is not valid jsonb".as_ptr()) }
}

fn too_many(ctx: *mut qjs::JSContext) -> qjs::JSValue {
    // SAFETY: a constant format string without arguments.
    unsafe { qjs::JS_ThrowRangeError(ctx, c"the event has too long a list".as_ptr()) }
}
