//! jsonb → JavaScript: objects become views, all else what it is to JavaScript. None of it runs any
//! JavaScript; at most it collects garbage.
//!
//! Works on QuickJS's own calls: the safe wrappers cost a lookup and a reference count per value.

use std::rc::Rc;

use jsonb::{Array, Ref};
use rquickjs::qjs;

use super::source::Source;
use super::view::View;
use crate::limits::Limits;

/// What may still be made of an event below the present place.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// How many more levels may nest.
    pub(super) levels: usize,
    /// How long an array may be.
    pub(super) elements: usize,
    /// The field that it is in, where they lie apart.
    pub(super) field: Option<usize>,
}

/// The event itself: an owned value, or the exception marker with the exception pending.
pub(super) fn root(ctx: *mut qjs::JSContext, source: &Rc<Source>, limits: &Limits) -> qjs::JSValue {
    let elements = limits.memory / size_of::<qjs::JSValue>();
    let room = Room { levels: limits.depth, elements, field: None };
    match source.root() {
        Ok(root) => value(ctx, source, root, room),
        Err(_) => malformed(ctx),
    }
}

/// An owned value, or the exception marker with the exception pending. `value` is the source's.
pub(super) fn value(
    ctx: *mut qjs::JSContext,
    source: &Rc<Source>,
    value: Ref<'_>,
    room: Room,
) -> qjs::JSValue {
    match value {
        Ref::Null => qjs::JS_NULL,
        Ref::Bool(value) => qjs::JS_MKVAL(qjs::JS_TAG_BOOL, value.into()),
        Ref::Number(number) => match number.to_i64().map(i32::try_from) {
            Some(Ok(small)) => qjs::JS_MKVAL(qjs::JS_TAG_INT, small),
            _ => qjs::JS_NewFloat64(number.to_f64()),
        },
        Ref::String(text) => string(ctx, text),
        Ref::Array(_) | Ref::Object(_) if room.levels == 0 => too_deep(ctx),
        Ref::Array(elements) => {
            array(ctx, source, elements, Room { levels: room.levels - 1, ..room })
        }
        Ref::Object(object) => {
            View::create(ctx, source, &object, Room { levels: room.levels - 1, ..room })
        }
    }
}

fn array(
    ctx: *mut qjs::JSContext,
    source: &Rc<Source>,
    array: Array<'_>,
    room: Room,
) -> qjs::JSValue {
    // They are collected in memory that nobody meters, and would not fit where they go.
    if array.len() > room.elements {
        return too_many(ctx);
    }
    let mut elements = Vec::with_capacity(array.len());
    for element in array.iter() {
        let value = match element {
            Ok(element) => value(ctx, source, element, room),
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
        return too_many(ctx);
    };
    // SAFETY: the elements are owned and move into the array, also when it fails.
    unsafe { qjs::JS_NewArrayFrom(ctx, count, elements.as_ptr()) }
}

fn string(ctx: *mut qjs::JSContext, text: &str) -> qjs::JSValue {
    // SAFETY: pointer and length are of one live str.
    unsafe { qjs::JS_NewStringLen(ctx, text.as_ptr().cast(), text.len() as _) }
}

/// An owned atom for the key, or `JS_ATOM_NULL`.
pub(super) fn atom(ctx: *mut qjs::JSContext, key: &str) -> qjs::JSAtom {
    let atom = try_atom(ctx, key);
    // SAFETY: the context is alive.
    unsafe {
        // Where QuickJS finds no memory for an atom, it says so to nobody.
        if atom == qjs::JS_ATOM_NULL && !qjs::JS_HasException(ctx) {
            qjs::JS_ThrowOutOfMemory(ctx);
        }
    }
    atom
}

fn try_atom(ctx: *mut qjs::JSContext, key: &str) -> qjs::JSAtom {
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

pub(super) fn malformed(ctx: *mut qjs::JSContext) -> qjs::JSValue {
    // SAFETY: a constant format string without arguments.
    unsafe { qjs::JS_ThrowInternalError(ctx, c"the event is not valid jsonb".as_ptr()) }
}

fn too_many(ctx: *mut qjs::JSContext) -> qjs::JSValue {
    // SAFETY: a constant format string without arguments.
    unsafe { qjs::JS_ThrowRangeError(ctx, c"the event has too long a list".as_ptr()) }
}
