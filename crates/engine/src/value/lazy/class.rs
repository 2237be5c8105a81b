//! The class of views, as QuickJS knows it: the hooks through which it asks for properties.
//!
//! Four of the seven hooks there are. Without those for getting, setting and having, the engine
//! itself walks along the prototypes and calls accessors.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use rquickjs::qjs;

use super::view::{Definition, Thrown, View};

/// QuickJS's number for ordinary objects, which has no public name.
pub(super) const OBJECT: qjs::JSClassID = 1;

static HOOKS: qjs::JSClassExoticMethods = qjs::JSClassExoticMethods {
    get_own_property: Some(get_own_property),
    get_own_property_names: Some(get_own_property_names),
    delete_property: Some(delete_property),
    define_own_property: Some(define_own_property),
    has_property: None,
    get_property: None,
    set_property: None,
};

/// Makes the class known; `None` when there is no memory for it.
///
/// # Safety
/// The runtime is alive.
pub(super) unsafe fn register(runtime: *mut qjs::JSRuntime) -> Option<qjs::JSClassID> {
    let definition = qjs::JSClassDef {
        class_name: c"Object".as_ptr(),
        finalizer: Some(finalize),
        gc_mark: Some(mark),
        call: None,
        // QuickJS only reads them.
        exotic: (&raw const HOOKS).cast_mut(),
    };
    let mut class = qjs::JS_INVALID_CLASS_ID as qjs::JSClassID;
    // SAFETY: the runtime is alive by contract; what the definition points to is static.
    unsafe {
        qjs::JS_NewClassID(runtime, &mut class);
        (qjs::JS_NewClass(runtime, class, &definition) == 0).then_some(class)
    }
}

/// The view behind an object of the class; `None` before it is made and after its end.
///
/// # Safety
/// `object` is an object of the class. The view is not used beyond the object's end.
unsafe fn view_of<'a>(object: qjs::JSValue) -> Option<&'a View> {
    let mut class = 0;
    // SAFETY: what an object of this class holds is a view, or null.
    unsafe { qjs::JS_GetAnyOpaque(object, &mut class).cast::<View>().as_ref() }
}

/// The engine's form of an answer. There is nothing in the hooks that panics; if there were, it must
/// not pass through C.
fn answer(run: impl FnOnce() -> Result<bool, Thrown>) -> c_int {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(yes)) => yes.into(),
        _ => -1,
    }
}

unsafe extern "C" fn get_own_property(
    ctx: *mut qjs::JSContext,
    descriptor: *mut qjs::JSPropertyDescriptor,
    object: qjs::JSValue,
    key: qjs::JSAtom,
) -> c_int {
    // SAFETY: QuickJS calls hooks for objects of their class only, which it holds meanwhile; the
    // descriptor is its own, or null.
    answer(|| unsafe { view_of(object).map_or(Ok(false), |view| view.get(ctx, descriptor, key)) })
}

unsafe extern "C" fn get_own_property_names(
    ctx: *mut qjs::JSContext,
    keys: *mut *mut qjs::JSPropertyEnum,
    count: *mut u32,
    object: qjs::JSValue,
) -> c_int {
    // SAFETY: as above; the places for the answer are QuickJS's own.
    let listed = answer(|| unsafe {
        let Some(view) = view_of(object) else { return Ok(true) };
        let list = view.list(ctx)?;
        keys.write(list.keys);
        count.write(list.count);
        Ok(true)
    });
    if listed == 1 { 0 } else { -1 }
}

unsafe extern "C" fn delete_property(
    ctx: *mut qjs::JSContext,
    object: qjs::JSValue,
    key: qjs::JSAtom,
) -> c_int {
    // SAFETY: as above.
    answer(|| unsafe { view_of(object).map_or(Ok(true), |view| view.delete(ctx, key)) })
}

unsafe extern "C" fn define_own_property(
    ctx: *mut qjs::JSContext,
    object: qjs::JSValue,
    key: qjs::JSAtom,
    value: qjs::JSValue,
    getter: qjs::JSValue,
    setter: qjs::JSValue,
    flags: c_int,
) -> c_int {
    let new = Definition { value, getter, setter, flags };
    // SAFETY: as above; key and values are alive for the call.
    answer(|| unsafe {
        view_of(object).map_or(Ok(false), |view| view.define(ctx, object, key, &new))
    })
}

unsafe extern "C" fn mark(
    runtime: *mut qjs::JSRuntime,
    object: qjs::JSValue,
    mark: qjs::JS_MarkFunc,
) {
    // SAFETY: QuickJS marks objects of their class only; the view's values are alive.
    unsafe {
        if let Some(view) = view_of(object) {
            view.each_value(|value| qjs::JS_MarkValue(runtime, value, mark));
        }
    }
}

unsafe extern "C" fn finalize(runtime: *mut qjs::JSRuntime, object: qjs::JSValue) {
    let mut class = 0;
    // SAFETY: called once for each object of the class, at its end.
    unsafe {
        let view: *mut c_void = qjs::JS_GetAnyOpaque(object, &mut class);
        if let Some(view) = NonNull::new(view.cast()) {
            View::end(view, runtime);
        }
    }
}
