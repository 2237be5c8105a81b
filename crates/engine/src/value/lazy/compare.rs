//! Whether a view is still what its bytes say: then the bytes are written in its place. Nothing here
//! runs any JavaScript, so that asking changes nothing.

use std::ffi::c_void;

use jsonb::{Array, Ref};
use rquickjs::qjs;

use super::class::OBJECT;
use super::view::{Slot, View};
use super::{Source, Views};

/// QuickJS's number for arrays, which has no public name.
const ARRAY: qjs::JSClassID = 2;

/// The realm's own prototypes of objects and arrays.
#[derive(Clone, Copy)]
pub(in crate::value) struct Prototypes {
    object: *mut c_void,
    array: *mut c_void,
}

impl Prototypes {
    /// `None` when the plugin gave one of them a `toJSON`, so that no object is what its bytes say.
    pub(in crate::value) fn of(ctx: *mut qjs::JSContext, views: &Views) -> Option<Self> {
        // SAFETY: the context is alive, and the prototypes as long as it; each reference is freed.
        unsafe {
            let [object, array] = [OBJECT, ARRAY].map(|class| qjs::JS_GetClassProto(ctx, class));
            let pure = has_no_to_json(ctx, views, object)
                && has_no_to_json(ctx, views, array)
                && inherits_from(ctx, array, address(object));
            let prototypes = Prototypes { object: address(object), array: address(array) };
            qjs::JS_FreeValue(ctx, object);
            qjs::JS_FreeValue(ctx, array);
            pure.then_some(prototypes)
        }
    }
}

/// Whether a view and all below it is as the event has it.
///
/// # Safety
/// `object` is alive, and `view` stands behind it.
pub(in crate::value) unsafe fn is_untouched(
    ctx: *mut qjs::JSContext,
    prototypes: Prototypes,
    object: qjs::JSValue,
    view: &View,
) -> bool {
    if view.is_changed() {
        return false;
    }
    // SAFETY: by contract; what slots hold is alive.
    let untouched = unsafe {
        inherits_from(ctx, object, prototypes.object)
            && (!view.has_objects() || are_untouched(ctx, prototypes, view))
    };
    if !untouched {
        // For good: asking again from every level above would take the square of the depth.
        view.note_change();
    }
    untouched
}

/// Whether the objects that were read of a view are as the event has them.
///
/// # Safety
/// The view is alive, and holds what its slots say.
unsafe fn are_untouched(ctx: *mut qjs::JSContext, prototypes: Prototypes, view: &View) -> bool {
    let source = view.source();
    let Ok(members) = view.members(source) else { return false };
    view.slots().iter().enumerate().all(|(pair, slot)| match slot.get() {
        // SAFETY: a tag check.
        Slot::Read(value) if unsafe { qjs::JS_IsObject(value) } => {
            let Ok(before) = members.original(pair) else { return false };
            // SAFETY: held meanwhile: an error of the engine's own may come to the plugin's ears,
            // who then lets go of it.
            unsafe {
                let value = qjs::JS_DupValue(ctx, value);
                let same = is_same(ctx, prototypes, source, value, before);
                qjs::JS_FreeValue(ctx, value);
                same
            }
        }
        _ => true,
    })
}

/// # Safety
/// `value` is alive.
unsafe fn is_same(
    ctx: *mut qjs::JSContext,
    prototypes: Prototypes,
    source: &Source,
    value: qjs::JSValue,
    before: Ref<'_>,
) -> bool {
    // SAFETY: tag checks, and reads as what the tags say; the rest as the contract has it.
    unsafe {
        let tag = qjs::JS_VALUE_GET_NORM_TAG(value);
        match before {
            Ref::Null => tag == qjs::JS_TAG_NULL,
            Ref::Bool(flag) => tag == qjs::JS_TAG_BOOL && qjs::JS_VALUE_GET_BOOL(value) == flag,
            Ref::Number(number) => match tag {
                qjs::JS_TAG_INT => f64::from(qjs::JS_VALUE_GET_INT(value)) == number.to_f64(),
                qjs::JS_TAG_FLOAT64 => qjs::JS_VALUE_GET_FLOAT64(value) == number.to_f64(),
                _ => false,
            },
            Ref::String(text) => qjs::JS_IsString(value) && is_text(ctx, value, text),
            Ref::Array(array) => is_same_array(ctx, prototypes, source, value, array),
            Ref::Object(object) => source.views().view(value).is_some_and(|view| {
                let view = view.as_ref();
                view.is_of(source, &object) && is_untouched(ctx, prototypes, value, view)
            }),
        }
    }
}

/// # Safety
/// `value` is a live string.
unsafe fn is_text(ctx: *mut qjs::JSContext, value: qjs::JSValue, text: &str) -> bool {
    let mut length = 0;
    // SAFETY: QuickJS gives so many bytes, which are freed here; or an exception, which is dropped.
    unsafe {
        let bytes = qjs::JS_ToCStringLen2(ctx, &mut length, value, false);
        if bytes.is_null() {
            qjs::JS_FreeValue(ctx, qjs::JS_GetException(ctx));
            return false;
        }
        let same =
            std::slice::from_raw_parts(bytes.cast::<u8>(), length as usize) == text.as_bytes();
        qjs::JS_FreeCString(ctx, bytes);
        same
    }
}

/// # Safety
/// `value` is alive.
unsafe fn is_same_array(
    ctx: *mut qjs::JSContext,
    prototypes: Prototypes,
    source: &Source,
    value: qjs::JSValue,
    before: Array<'_>,
) -> bool {
    let mut length = 0;
    // SAFETY: the length of a real array is read without running any code; descriptors are freed.
    unsafe {
        let ordinary = qjs::JS_IsArray(value)
            && inherits_from(ctx, value, prototypes.array)
            && has_no_to_json(ctx, source.views(), value)
            && qjs::JS_GetLength(ctx, value, &mut length) == 0
            && usize::try_from(length) == Ok(before.len());
        ordinary
            && before.iter().zip(0..).all(|(before, index)| {
                let key = qjs::JS_NewAtomUInt32(ctx, index);
                let mut now = qjs::JSPropertyDescriptor {
                    flags: 0,
                    value: qjs::JS_UNDEFINED,
                    getter: qjs::JS_UNDEFINED,
                    setter: qjs::JS_UNDEFINED,
                };
                let found = qjs::JS_GetOwnProperty(ctx, &mut now, value, key) == 1;
                let plain = found && now.flags & qjs::JS_PROP_GETSET as i32 == 0;
                let same =
                    plain && before.is_ok_and(|it| is_same(ctx, prototypes, source, now.value, it));
                qjs::JS_FreeAtom(ctx, key);
                for value in [now.value, now.getter, now.setter] {
                    qjs::JS_FreeValue(ctx, value);
                }
                same
            })
    }
}

/// # Safety
/// `object` is a live object, and no proxy.
unsafe fn inherits_from(
    ctx: *mut qjs::JSContext,
    object: qjs::JSValue,
    prototype: *mut c_void,
) -> bool {
    // SAFETY: by contract; the reference is freed, the address only compared.
    unsafe {
        let actual = qjs::JS_GetPrototype(ctx, object);
        let same = qjs::JS_IsObject(actual) && address(actual) == prototype;
        qjs::JS_FreeValue(ctx, actual);
        same
    }
}

/// # Safety
/// `object` is a live object, and no proxy.
unsafe fn has_no_to_json(ctx: *mut qjs::JSContext, views: &Views, object: qjs::JSValue) -> bool {
    // SAFETY: by contract.
    unsafe { qjs::JS_GetOwnProperty(ctx, std::ptr::null_mut(), object, views.to_json()) == 0 }
}

/// An object's identity.
fn address(object: qjs::JSValue) -> *mut c_void {
    // SAFETY: read as an address only.
    unsafe { qjs::JS_VALUE_GET_PTR(object) }
}
