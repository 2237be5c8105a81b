//! Guards on built-in functions that loop natively for as long as a hostile argument says.
//!
//! QuickJS asks whether to stop in bytecode and in regular expressions, but not in
//! `indexOf` over an array-like of length 2⁵³, nor in a search of one long string in another. The
//! guards let every honest call through to the built-in function; the others go through a proxy
//! whose traps are bytecode (see `guards.js`), which is slower, means the same, and can be stopped.

use std::ptr::NonNull;
use std::slice;

use rquickjs::object::Property;
use rquickjs::{Ctx, Function, Object, Result, Value, qjs};

use super::toll;

/// Longest array whose built-in loops are let through: 2²⁰ steps of up to 50 ns are 50 ms.
const LONGEST_ARRAY: i64 = 1 << 20;

/// Steps that are not worth a toll, so that ordinary calls do not notice the guard.
const FREE_WORK: i64 = 256;

/// Sorting takes that many comparisons for each of some millions of elements; others take less.
const WORK_PER_ELEMENT: i64 = 24;

/// Largest product of two string lengths that is searched natively: the worst case compares that
/// many bytes, about a second.
const LARGEST_SEARCH: i64 = 1 << 32;

const ARRAY_METHODS: [&str; 24] = [
    CONCAT,
    "copyWithin",
    "every",
    "fill",
    "filter",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "forEach",
    "includes",
    "indexOf",
    "join",
    "lastIndexOf",
    "map",
    "reduce",
    "reduceRight",
    "reverse",
    "shift",
    "slice",
    "some",
    "sort",
    "splice",
    "unshift",
];

/// Loops over its arguments as well as over `this`.
const CONCAT: &str = "concat";

/// They neither allocate nor ask.
const TYPED_ARRAY_METHODS: [&str; 9] =
    ["copyWithin", "fill", "includes", "indexOf", "join", "lastIndexOf", "reverse", "set", "sort"];

const STRING_METHODS: [&str; 6] =
    ["includes", "indexOf", "lastIndexOf", "replace", "replaceAll", "split"];

pub(super) fn install(ctx: &Ctx<'_>) -> Result<()> {
    let slow: Object<'_> = super::run(ctx, include_str!("guards.js"))?;
    for (class, methods, guard) in [
        ("Array", &ARRAY_METHODS[..], array_guard as Guard),
        ("String", &STRING_METHODS[..], string_guard as Guard),
    ] {
        let constructor: Object<'_> = ctx.globals().get(class)?;
        let slow: Function<'_> = slow.get(class)?;
        guard_methods(ctx, &constructor.get("prototype")?, methods, guard, &slow)?;
    }
    let typed_arrays: Object<'_> = slow.get("typedArrays")?;
    let length: Function<'_> = slow.get("typedArrayLength")?;
    guard_methods(ctx, &typed_arrays, &TYPED_ARRAY_METHODS, typed_array_guard, &length)
}

/// Puts guarded functions in the place of an object's methods.
fn guard_methods<'js>(
    ctx: &Ctx<'js>,
    prototype: &Object<'js>,
    methods: &[&str],
    guard: Guard,
    helper: &Function<'js>,
) -> Result<()> {
    for name in methods {
        let native: Function<'_> = prototype.get(*name)?;
        let guarded = wrap(ctx, guard, *name == CONCAT, &native, helper)?;
        for property in ["name", "length"] {
            let value: Value<'_> = native.get(property)?;
            guarded.prop(property, Property::from(value).configurable())?;
        }
        prototype.prop(*name, Property::from(guarded).writable().configurable())?;
    }
    Ok(())
}

type Guard = unsafe extern "C" fn(
    *mut qjs::JSContext,
    qjs::JSValue,
    i32,
    *mut qjs::JSValue,
    i32,
    *mut qjs::JSValue,
) -> qjs::JSValue;

fn wrap<'js>(
    ctx: &Ctx<'js>,
    guard: Guard,
    loops_over_arguments: bool,
    native: &Function<'js>,
    slow: &Function<'js>,
) -> Result<Object<'js>> {
    let mut data = [native.as_value().as_raw(), slow.as_value().as_raw()];
    // SAFETY: QuickJS takes its own references to the data; the function is owned by the Value.
    let value = unsafe {
        let raw = qjs::JS_NewCFunctionData(
            ctx.as_raw().as_ptr(),
            Some(guard),
            0,
            loops_over_arguments.into(),
            data.len() as i32,
            data.as_mut_ptr(),
        );
        if qjs::JS_IsException(raw) {
            return Err(rquickjs::Error::Exception);
        }
        Value::from_raw(ctx.clone(), raw)
    };
    value.into_object().ok_or(rquickjs::Error::Unknown)
}

/// What QuickJS hands to a guard.
struct GuardedCall<'a> {
    ctx: *mut qjs::JSContext,
    this: qjs::JSValue,
    arguments: &'a [qjs::JSValue],
    native: qjs::JSValue,
    slow: qjs::JSValue,
}

impl<'a> GuardedCall<'a> {
    /// # Safety
    /// The arguments are those of a `JSCFunctionData` that [`wrap`] made.
    unsafe fn new(
        ctx: *mut qjs::JSContext,
        this: qjs::JSValue,
        argc: i32,
        argv: *mut qjs::JSValue,
        data: *mut qjs::JSValue,
    ) -> Self {
        let count = usize::try_from(argc).unwrap_or(0);
        // SAFETY: QuickJS passes `argc` values at `argv`, and the two values that `wrap` gave.
        unsafe {
            let arguments = if count == 0 { &[] } else { slice::from_raw_parts(argv, count) };
            GuardedCall { ctx, this, arguments, native: *data, slow: *data.add(1) }
        }
    }

    /// Calls the built-in function for about so many steps of work.
    fn call_native(&self, work: i64) -> qjs::JSValue {
        let arguments = self.arguments.as_ptr().cast_mut();
        // SAFETY: all values are alive for the call; JS_Call does not write to its arguments.
        unsafe {
            if work > FREE_WORK && self.pay(work).is_err() {
                return qjs::JS_EXCEPTION;
            }
            qjs::JS_Call(self.ctx, self.native, self.this, self.arguments.len() as i32, arguments)
        }
    }

    fn pay(&self, work: i64) -> Result<()> {
        let ctx = NonNull::new(self.ctx).ok_or(rquickjs::Error::Unknown)?;
        // SAFETY: QuickJS calls the guard inside a call of ours, under its runtime's lock.
        toll::pay(&unsafe { Ctx::from_raw(ctx) }, usize::try_from(work).unwrap_or(usize::MAX))
    }

    /// `slow.call(native, this, ...arguments)`
    fn call_slow(&self) -> qjs::JSValue {
        let mut arguments = Vec::with_capacity(self.arguments.len() + 1);
        arguments.push(self.this);
        arguments.extend_from_slice(self.arguments);
        // SAFETY: all values are alive for the call.
        unsafe {
            let count = arguments.len() as i32;
            qjs::JS_Call(self.ctx, self.slow, self.native, count, arguments.as_mut_ptr())
        }
    }

    /// How many steps a loop over this value takes, if they are few: a primitive's, or a real
    /// array's, whose length is its own.
    fn short_length(&self, value: qjs::JSValue) -> Option<i64> {
        // SAFETY: class checks; the length of a real array is read without running any code.
        unsafe {
            if !qjs::JS_IsObject(value) {
                return Some(0);
            }
            let mut length = 0;
            let short = qjs::JS_IsArray(value)
                && qjs::JS_GetLength(self.ctx, value, &mut length) == 0
                && length <= LONGEST_ARRAY;
            short.then_some(length)
        }
    }

    /// The length of a primitive string.
    fn string_length(&self, value: qjs::JSValue) -> Option<i64> {
        // SAFETY: a tag check; the length of a primitive string is read without running any code.
        unsafe {
            let mut length = 0;
            let known =
                qjs::JS_IsString(value) && qjs::JS_GetLength(self.ctx, value, &mut length) == 0;
            known.then_some(length)
        }
    }
}

unsafe extern "C" fn array_guard(
    ctx: *mut qjs::JSContext,
    this: qjs::JSValue,
    argc: i32,
    argv: *mut qjs::JSValue,
    loops_over_arguments: i32,
    data: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: only `wrap` makes functions of this guard.
    let call = unsafe { GuardedCall::new(ctx, this, argc, argv, data) };
    let work = call.short_length(this).and_then(|own| {
        let arguments = if loops_over_arguments == 0 { &[] } else { call.arguments };
        arguments.iter().try_fold(own, |sum, value| Some(sum + call.short_length(*value)?))
    });
    match work {
        Some(work) => call.call_native(work),
        None => call.call_slow(),
    }
}

/// The helper is the built-in getter of the length, which no plugin can make lie.
unsafe extern "C" fn typed_array_guard(
    ctx: *mut qjs::JSContext,
    this: qjs::JSValue,
    argc: i32,
    argv: *mut qjs::JSValue,
    _: i32,
    data: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: only `wrap` makes functions of this guard; the getter gives an owned value.
    unsafe {
        let call = GuardedCall::new(ctx, this, argc, argv, data);
        let length = qjs::JS_Call(ctx, call.slow, this, 0, std::ptr::null_mut());
        let mut elements = 0;
        if qjs::JS_IsException(length) || qjs::JS_ToInt64(ctx, &mut elements, length) < 0 {
            return qjs::JS_EXCEPTION;
        }
        call.call_native(elements.saturating_mul(WORK_PER_ELEMENT))
    }
}

unsafe extern "C" fn string_guard(
    ctx: *mut qjs::JSContext,
    this: qjs::JSValue,
    argc: i32,
    argv: *mut qjs::JSValue,
    _: i32,
    data: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: only `wrap` makes functions of this guard.
    let call = unsafe { GuardedCall::new(ctx, this, argc, argv, data) };
    let text = call.string_length(this);
    let pattern = call.arguments.first().map(|pattern| call.string_length(*pattern));
    match (text, pattern) {
        (Some(text), None) => call.call_native(text),
        (Some(text), Some(Some(pattern))) if text.saturating_mul(pattern) <= LARGEST_SEARCH => {
            call.call_native(search_work(text, pattern))
        }
        _ => call.call_slow(),
    }
}

/// Steps of a search: one for each character, and in the worst case a comparison of the pattern at
/// each, which goes 16 bytes at a time.
fn search_work(text: i64, pattern: i64) -> i64 {
    text + text.saturating_mul(pattern) / 16
}
