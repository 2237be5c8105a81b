//! JavaScript values as QuickJS itself hands them around: for the conversion of events, where the
//! safe wrappers' second reference, to the context, would be taken and dropped for every value.

use std::ffi::c_char;
use std::slice;

use rquickjs::{Ctx, Error, Result, Value, qjs};

use super::lazy::{Prototypes, View, Views, is_untouched};

/// An owned reference to a value, for no longer than the context is borrowed.
pub(super) struct Raw<'a, 'js> {
    ctx: &'a Ctx<'js>,
    value: qjs::JSValue,
}

impl Drop for Raw<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and not used again.
        unsafe { qjs::JS_FreeValue(self.ctx.as_raw().as_ptr(), self.value) };
    }
}

impl<'a, 'js> Raw<'a, 'js> {
    /// Takes over what a call of QuickJS returned.
    ///
    /// # Safety
    /// `value` is an owned value of the context, or the exception marker.
    unsafe fn own(ctx: &'a Ctx<'js>, value: qjs::JSValue) -> Result<Self> {
        // SAFETY: a tag check.
        if unsafe { qjs::JS_IsException(value) } {
            return Err(Error::Exception);
        }
        Ok(Raw { ctx, value })
    }

    pub(super) fn of(ctx: &'a Ctx<'js>, value: &Value<'js>) -> Self {
        // SAFETY: the value is alive, and a second reference is made.
        let value = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), value.as_raw()) };
        Raw { ctx, value }
    }

    /// Another reference to a live value.
    ///
    /// # Safety
    /// `value` is alive, and of the context.
    pub(super) unsafe fn again(ctx: &'a Ctx<'js>, value: qjs::JSValue) -> Self {
        // SAFETY: alive by contract; a second reference is made.
        Raw { ctx, value: unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), value) } }
    }

    /// The view that stands behind the object, while it is held here.
    pub(super) fn view(&self, views: &Views) -> Option<&View> {
        // SAFETY: the object is alive as long as this reference, and its view as long as it.
        views.view(self.value).map(|view| unsafe { view.as_ref() })
    }

    /// Whether a view and all below it is as the event has it.
    pub(super) fn is_untouched(&self, view: &View, prototypes: Prototypes) -> bool {
        // SAFETY: the object is alive; the view is what stands behind it.
        unsafe { is_untouched(self.context(), prototypes, self.value, view) }
    }

    /// Whether this is that value itself, as far as no code has to run to know it.
    pub(super) fn is_primitive(&self, value: qjs::JSValue) -> bool {
        // SAFETY: read as what the tags say; of texts only the addresses are compared.
        unsafe {
            let tag = self.tag();
            tag == qjs::JS_VALUE_GET_NORM_TAG(value)
                && match tag {
                    qjs::JS_TAG_NULL => true,
                    qjs::JS_TAG_INT => {
                        qjs::JS_VALUE_GET_INT(self.value) == qjs::JS_VALUE_GET_INT(value)
                    }
                    qjs::JS_TAG_BOOL => {
                        qjs::JS_VALUE_GET_BOOL(self.value) == qjs::JS_VALUE_GET_BOOL(value)
                    }
                    qjs::JS_TAG_FLOAT64 => {
                        qjs::JS_VALUE_GET_FLOAT64(self.value) == qjs::JS_VALUE_GET_FLOAT64(value)
                    }
                    qjs::JS_TAG_STRING => {
                        qjs::JS_VALUE_GET_PTR(self.value) == qjs::JS_VALUE_GET_PTR(value)
                    }
                    _ => false,
                }
        }
    }

    pub(super) fn undefined(ctx: &'a Ctx<'js>) -> Self {
        Raw { ctx, value: qjs::JS_UNDEFINED }
    }

    pub(super) fn to_value(&self) -> Value<'js> {
        // SAFETY: a second reference is made for the Value.
        unsafe {
            let value = qjs::JS_DupValue(self.context(), self.value);
            Value::from_raw(self.ctx.clone(), value)
        }
    }

    pub(super) fn tag(&self) -> i32 {
        // SAFETY: a tag check.
        unsafe { qjs::JS_VALUE_GET_NORM_TAG(self.value) }
    }

    pub(super) fn is_object(&self) -> bool {
        self.tag() == qjs::JS_TAG_OBJECT
    }

    pub(super) fn is_string(&self) -> bool {
        matches!(self.tag(), qjs::JS_TAG_STRING | qjs::JS_TAG_STRING_ROPE)
    }

    pub(super) fn as_int(&self) -> Option<i32> {
        // SAFETY: read as what its tag says it is.
        (self.tag() == qjs::JS_TAG_INT).then(|| unsafe { qjs::JS_VALUE_GET_INT(self.value) })
    }

    pub(super) fn as_number(&self) -> Option<f64> {
        match self.tag() {
            qjs::JS_TAG_INT => self.as_int().map(f64::from),
            // SAFETY: read as what its tag says it is.
            qjs::JS_TAG_FLOAT64 => Some(unsafe { qjs::JS_VALUE_GET_FLOAT64(self.value) }),
            _ => None,
        }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        // SAFETY: read as what its tag says it is.
        (self.tag() == qjs::JS_TAG_BOOL).then(|| unsafe { qjs::JS_VALUE_GET_BOOL(self.value) })
    }

    /// QuickJS's number of the object's class; that of no class for a primitive.
    pub(super) fn class(&self) -> u32 {
        // SAFETY: a plain look at the value.
        unsafe { qjs::JS_GetClassID(self.value) }
    }

    pub(super) fn is_big_int(&self) -> bool {
        matches!(self.tag(), qjs::JS_TAG_BIG_INT | qjs::JS_TAG_SHORT_BIG_INT)
    }

    pub(super) fn is_function(&self) -> bool {
        // SAFETY: a plain look at the value.
        unsafe { qjs::JS_IsFunction(self.context(), self.value) }
    }

    /// The object's identity; good for comparing while it is alive.
    pub(super) fn address(&self) -> *const u8 {
        // SAFETY: read as an address only; of a primitive it is never compared.
        unsafe { qjs::JS_VALUE_GET_PTR(self.value) }.cast()
    }

    /// `JSON.stringify`'s idea of an array: also a proxy of one.
    pub(super) fn is_array(&self) -> Result<bool> {
        // SAFETY: class checks; the target of a proxy is an owned value.
        unsafe {
            if qjs::JS_IsArray(self.value) {
                return Ok(true);
            }
            let mut inner = self.own_target()?;
            while let Some(target) = inner {
                if qjs::JS_IsArray(target.value) {
                    return Ok(true);
                }
                inner = target.own_target()?;
            }
            Ok(false)
        }
    }

    fn own_target(&self) -> Result<Option<Self>> {
        // SAFETY: class check; the target of a proxy is an owned value.
        unsafe {
            if !qjs::JS_IsProxy(self.value) {
                return Ok(None);
            }
            Raw::own(self.ctx, qjs::JS_GetProxyTarget(self.context(), self.value)).map(Some)
        }
    }

    pub(super) fn length(&self) -> Result<i64> {
        let mut length = 0;
        // SAFETY: the value is alive; may run the plugin's code.
        match unsafe { qjs::JS_GetLength(self.context(), self.value, &mut length) } {
            0 => Ok(length),
            _ => Err(Error::Exception),
        }
    }

    pub(super) fn element(&self, index: i64) -> Result<Self> {
        // SAFETY: the value is alive; the result is owned.
        unsafe { Raw::own(self.ctx, qjs::JS_GetPropertyInt64(self.context(), self.value, index)) }
    }

    pub(super) fn member(&self, key: &Key<'a, 'js>) -> Result<Self> {
        // SAFETY: value and key are alive; the result is owned.
        unsafe { Raw::own(self.ctx, qjs::JS_GetProperty(self.context(), self.value, key.atom)) }
    }

    /// The own enumerable string keys of an object, in its order.
    pub(super) fn keys(&self) -> Result<Keys<'a, 'js>> {
        const STRINGS: i32 = (qjs::JS_GPN_STRING_MASK | qjs::JS_GPN_ENUM_ONLY) as i32;
        let mut keys = Keys { ctx: self.ctx, entries: std::ptr::null_mut(), count: 0 };
        // SAFETY: on success `entries` points to `count` entries, freed when `keys` is dropped.
        let result = unsafe {
            qjs::JS_GetOwnPropertyNames(
                self.context(),
                &mut keys.entries,
                &mut keys.count,
                self.value,
                STRINGS,
            )
        };
        if result < 0 { Err(Error::Exception) } else { Ok(keys) }
    }

    /// A string's UTF-8, with lone surrogates as QuickJS writes them.
    pub(super) fn text(&self) -> Result<Text<'a, 'js>> {
        let mut length = 0;
        // SAFETY: the value is alive; QuickJS gives `length` bytes, or null.
        unsafe {
            let start = qjs::JS_ToCStringLen2(self.context(), &mut length, self.value, false);
            Text::own(self.ctx, start, length as usize)
        }
    }

    fn context(&self) -> *mut qjs::JSContext {
        self.ctx.as_raw().as_ptr()
    }
}

/// The keys of an object.
pub(super) struct Keys<'a, 'js> {
    ctx: &'a Ctx<'js>,
    entries: *mut qjs::JSPropertyEnum,
    count: u32,
}

impl<'a, 'js> Keys<'a, 'js> {
    pub(super) fn iter(&self) -> impl Iterator<Item = Key<'a, 'js>> {
        // SAFETY: as many entries as QuickJS counted; none when there is no list.
        let entries = unsafe {
            match self.count {
                0 => &[],
                count => slice::from_raw_parts(self.entries, count as usize),
            }
        };
        entries.iter().map(|entry| {
            // SAFETY: the list holds the atom alive; a second reference is made for the key.
            let atom = unsafe { qjs::JS_DupAtom(self.ctx.as_raw().as_ptr(), entry.atom) };
            Key { ctx: self.ctx, atom }
        })
    }
}

impl Drop for Keys<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: entries and count are what QuickJS gave; freed once.
        unsafe {
            let ctx = self.ctx.as_raw().as_ptr();
            qjs::JS_FreePropertyEnum(ctx, self.entries, self.count);
        }
    }
}

/// A property key.
pub(super) struct Key<'a, 'js> {
    ctx: &'a Ctx<'js>,
    atom: qjs::JSAtom,
}

impl<'a, 'js> Key<'a, 'js> {
    /// Takes over a reference to an atom.
    ///
    /// # Safety
    /// The reference is the caller's own, of the context.
    pub(super) unsafe fn own(ctx: &'a Ctx<'js>, atom: qjs::JSAtom) -> Self {
        Key { ctx, atom }
    }

    /// Another reference to a live atom.
    ///
    /// # Safety
    /// `atom` is alive, and of the context.
    pub(super) unsafe fn again(ctx: &'a Ctx<'js>, atom: qjs::JSAtom) -> Self {
        // SAFETY: alive by contract; a second reference is made.
        Key { ctx, atom: unsafe { qjs::JS_DupAtom(ctx.as_raw().as_ptr(), atom) } }
    }

    pub(super) fn atom(&self) -> qjs::JSAtom {
        self.atom
    }

    pub(super) fn text(&self) -> Result<Text<'a, 'js>> {
        let mut length = 0;
        // SAFETY: the atom is alive; QuickJS gives `length` bytes, or null.
        unsafe {
            let ctx = self.ctx.as_raw().as_ptr();
            let start = qjs::JS_AtomToCStringLen(ctx, &mut length, self.atom);
            Text::own(self.ctx, start, length as usize)
        }
    }
}

impl Drop for Key<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and not used again.
        unsafe { qjs::JS_FreeAtom(self.ctx.as_raw().as_ptr(), self.atom) };
    }
}

/// A text of QuickJS's, given back at the end.
pub(super) struct Text<'a, 'js> {
    ctx: &'a Ctx<'js>,
    start: *const c_char,
    length: usize,
}

impl<'a, 'js> Text<'a, 'js> {
    /// # Safety
    /// `start` is null or points to `length` bytes that QuickJS has given and not yet got back.
    unsafe fn own(ctx: &'a Ctx<'js>, start: *const c_char, length: usize) -> Result<Self> {
        if start.is_null() { Err(Error::Exception) } else { Ok(Text { ctx, start, length }) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are there until they are given back.
        unsafe { slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for Text<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: given back once.
        unsafe { qjs::JS_FreeCString(self.ctx.as_raw().as_ptr(), self.start) };
    }
}
