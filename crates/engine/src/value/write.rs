//! JavaScript → jsonb, with the rules of `JSON.stringify` where it has one:
//!
//! | value | becomes |
//! |---|---|
//! | `undefined`, functions, symbols | left out of objects, `null` in arrays |
//! | `NaN`, `Infinity` | `null` |
//! | `toJSON` | called |
//! | `BigInt`, a cycle | a `TypeError` |
//! | U+0000 and lone surrogates, which jsonb cannot hold | U+FFFD |
//!
//! A number that still equals the one at the same place of the original is copied from there, so
//! that digits beyond a double's survive.

use std::borrow::Cow;

use jsonb::{Ref, Writer};
use rquickjs::{Ctx, Error, Exception, Result, Value, qjs};

use crate::limits::Limits;
use crate::watch::Watch;

/// The event as a plugin left it.
pub(crate) struct Returned {
    pub(crate) bytes: Vec<u8>,
    /// The plugin had changed `team_id`; the bytes hold the original one.
    pub(crate) team_changed: bool,
}

/// Why a value is not an event.
pub(crate) enum Unrepresentable {
    /// A JavaScript exception is pending.
    Exception,
    /// It is not an object, or too large, or too deep.
    Bad(String),
}

impl From<jsonb::Error> for Unrepresentable {
    fn from(error: jsonb::Error) -> Self {
        Unrepresentable::Bad(format!("the result cannot be stored: {error}"))
    }
}

impl From<Error> for Unrepresentable {
    fn from(_: Error) -> Self {
        Unrepresentable::Exception
    }
}

/// Writes the event that JavaScript holds; `original` is what it was made from.
pub(crate) fn write_event<'js>(
    ctx: &Ctx<'js>,
    event: &Value<'js>,
    original: Ref<'_>,
    limits: &Limits,
    watch: &Watch,
) -> std::result::Result<Returned, Unrepresentable> {
    let mut writing = Writing {
        ctx: ctx.clone(),
        out: Writer::new(),
        ancestors: Vec::new(),
        limits,
        watch,
        written: 0,
        team_changed: false,
    };
    let event = writing.resolve(event.clone(), "")?;
    if !event.is_object() || event.is_function() || is_array(&event)? {
        return Err(Unrepresentable::Bad("processEvent must return an event object".to_owned()));
    }
    writing.value(&event, Some(original))?;
    let team_changed = writing.team_changed;
    let bytes = writing.out.finish()?.to_vec();
    Ok(Returned { bytes, team_changed })
}

struct Writing<'a, 'js> {
    ctx: Ctx<'js>,
    out: Writer,
    /// The objects around the one being written, outermost first: a value among them is a cycle.
    ancestors: Vec<*mut qjs::c_void>,
    limits: &'a Limits,
    watch: &'a Watch,
    /// About how many bytes are written, to stop long before the writer's own limits.
    written: usize,
    team_changed: bool,
}

type Written = std::result::Result<(), Unrepresentable>;

/// How many bytes an entry costs besides its text: a JEntry and a short number's digits.
const ENTRY_BYTES: usize = 12;

/// One look at the clock per so many values: conversion does not pass QuickJS's own polls.
const VALUES_PER_POLL: usize = 1024;

impl<'js> Writing<'_, 'js> {
    /// The value that stands for `value` in JSON: `toJSON` called, boxed primitives unboxed.
    fn resolve(&self, value: Value<'js>, key: &str) -> Result<Value<'js>> {
        let Some(object) = value.as_object() else { return Ok(value) };
        let convert: Value<'js> = object.get("toJSON")?;
        let value = match convert.into_function() {
            Some(convert) => convert.call((rquickjs::function::This(object.clone()), key))?,
            None => value,
        };
        unbox(&self.ctx, value)
    }

    /// Writes a resolved value. What has no JSON form is `null` here; objects leave it out before.
    fn value(&mut self, value: &Value<'js>, original: Option<Ref<'_>>) -> Written {
        self.account(ENTRY_BYTES)?;
        if let Some(number) = value.as_number() {
            match original {
                Some(Ref::Number(exact)) if exact.to_f64() == number => {
                    self.out.splice(Ref::Number(exact))?;
                }
                _ => match value.as_int() {
                    Some(integer) => self.out.number_i64(integer.into())?,
                    None if number.is_finite() => self.out.number_f64(number)?,
                    None => self.out.null()?,
                },
            }
        } else if let Some(flag) = value.as_bool() {
            self.out.bool(flag)?;
        } else if value.is_string() {
            let text = self.text(value)?;
            self.account(text.len())?;
            self.out.string(&text)?;
        } else if value.is_big_int() {
            return Err(
                Exception::throw_type(&self.ctx, "a BigInt cannot be stored as JSON").into()
            );
        } else if value.is_object() && !value.is_function() {
            self.container(value, original)?;
        } else {
            self.out.null()?;
        }
        Ok(())
    }

    fn container(&mut self, value: &Value<'js>, original: Option<Ref<'_>>) -> Written {
        // SAFETY: the value is an object, so it carries a pointer, used as an identity only.
        let identity = unsafe { qjs::JS_VALUE_GET_PTR(value.as_raw()) };
        if self.ancestors.contains(&identity) {
            return Err(Exception::throw_type(&self.ctx, "the event contains itself").into());
        }
        if self.ancestors.len() >= self.limits.depth {
            return Err(Unrepresentable::Bad(format!(
                "the result is nested deeper than {} levels",
                self.limits.depth
            )));
        }
        self.ancestors.push(identity);
        if is_array(value)? {
            self.array(value, original)?;
        } else {
            self.object(value, original)?;
        }
        self.ancestors.pop();
        Ok(())
    }

    fn array(&mut self, array: &Value<'js>, original: Option<Ref<'_>>) -> Written {
        let original = match original {
            Some(Ref::Array(array)) => Some(array),
            _ => None,
        };
        let ctx = self.ctx.as_raw().as_ptr();
        let mut length = 0;
        // SAFETY: both belong to this context.
        if unsafe { qjs::JS_GetLength(ctx, array.as_raw(), &mut length) } < 0 {
            return Err(Unrepresentable::Exception);
        }
        self.out.begin_array()?;
        for index in 0..length {
            // SAFETY: as above; the element is owned by the Value made of it.
            let element = unsafe {
                let element = qjs::JS_GetPropertyInt64(ctx, array.as_raw(), index);
                if qjs::JS_IsException(element) {
                    return Err(Unrepresentable::Exception);
                }
                Value::from_raw(self.ctx.clone(), element)
            };
            let element = if element.is_object() {
                self.resolve(element, &index.to_string())?
            } else {
                element
            };
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let before = original.map_or(Ok(None), |array| array.get(index))?;
            self.value(&element, before)?;
        }
        self.out.end()?;
        Ok(())
    }

    fn object(&mut self, object: &Value<'js>, original: Option<Ref<'_>>) -> Written {
        let original = match original {
            Some(Ref::Object(object)) => Some(object),
            _ => None,
        };
        let is_event = self.ancestors.len() == 1;
        let team = original.map_or(Ok(None), |event| event.get("team_id"))?;
        let mut team_seen = false;
        self.out.begin_object()?;
        let keys = Keys::of(&self.ctx, object)?;
        for &atom in keys.atoms() {
            let key = keys.name(atom)?;
            let member = keys.member(object, atom)?;
            let before = original.map_or(Ok(None), |object| object.get(&key))?;
            if is_event && key == "team_id" {
                team_seen = true;
                self.team(&member, before)?;
                continue;
            }
            let member = if member.is_object() { self.resolve(member, &key)? } else { member };
            if member.is_undefined() || member.is_symbol() || member.is_function() {
                continue;
            }
            self.account(key.len())?;
            self.out.key(&key)?;
            self.value(&member, before)?;
        }
        if is_event && !team_seen {
            self.team(&Value::new_undefined(self.ctx.clone()), team)?;
        }
        self.out.end()?;
        Ok(())
    }

    /// The event's team is not the plugin's to change: the original stays, a change is reported.
    fn team(&mut self, now: &Value<'js>, before: Option<Ref<'_>>) -> Written {
        let kept = match before {
            None => now.is_undefined(),
            Some(Ref::Number(number)) => now.as_number() == Some(number.to_f64()),
            Some(Ref::Null) => now.is_null(),
            Some(Ref::Bool(flag)) => now.as_bool() == Some(flag),
            Some(Ref::String(text)) => {
                now.as_string().and_then(|now| now.to_string().ok()).as_deref() == Some(text)
            }
            Some(Ref::Array(_) | Ref::Object(_)) => now.is_object(),
        };
        self.team_changed |= !kept;
        if let Some(team) = before {
            self.out.key("team_id")?;
            self.out.splice(team)?;
        }
        Ok(())
    }

    fn text(&self, string: &Value<'js>) -> Result<Cow<'static, str>> {
        owned_text(&self.ctx, string.as_raw()).map(Cow::Owned)
    }

    fn account(&mut self, bytes: usize) -> Written {
        let polls_before = self.written / (VALUES_PER_POLL * ENTRY_BYTES);
        self.written += bytes;
        if self.written > self.limits.result_bytes {
            return Err(Unrepresentable::Bad(format!(
                "the result is larger than {} bytes",
                self.limits.result_bytes
            )));
        }
        let polls = self.written / (VALUES_PER_POLL * ENTRY_BYTES);
        if polls != polls_before && self.watch.must_stop() {
            return Err(Unrepresentable::Exception);
        }
        Ok(())
    }
}

/// The own enumerable string keys of an object, in its order.
struct Keys<'js> {
    ctx: Ctx<'js>,
    entries: *mut qjs::JSPropertyEnum,
    atoms: Vec<qjs::JSAtom>,
}

impl<'js> Keys<'js> {
    fn of(ctx: &Ctx<'js>, object: &Value<'js>) -> Result<Self> {
        let mut entries = std::ptr::null_mut();
        let mut count = 0;
        const STRINGS: i32 = (qjs::JS_GPN_STRING_MASK | qjs::JS_GPN_ENUM_ONLY) as i32;
        // SAFETY: on success `entries` points to `count` entries, freed in `drop`.
        unsafe {
            let raw = ctx.as_raw().as_ptr();
            if qjs::JS_GetOwnPropertyNames(raw, &mut entries, &mut count, object.as_raw(), STRINGS)
                < 0
            {
                return Err(Error::Exception);
            }
            let atoms = match count {
                0 => Vec::new(),
                count => std::slice::from_raw_parts(entries, count as usize)
                    .iter()
                    .map(|entry| entry.atom)
                    .collect(),
            };
            Ok(Keys { ctx: ctx.clone(), entries, atoms })
        }
    }

    fn atoms(&self) -> &[qjs::JSAtom] {
        &self.atoms
    }

    fn name(&self, atom: qjs::JSAtom) -> Result<String> {
        let ctx = self.ctx.as_raw().as_ptr();
        // SAFETY: the atom is alive while `self` is; the string is freed by the Value.
        let name = unsafe {
            let name = qjs::JS_AtomToString(ctx, atom);
            if qjs::JS_IsException(name) {
                return Err(Error::Exception);
            }
            Value::from_raw(self.ctx.clone(), name)
        };
        owned_text(&self.ctx, name.as_raw())
    }

    fn member(&self, object: &Value<'js>, atom: qjs::JSAtom) -> Result<Value<'js>> {
        // SAFETY: the atom is alive while `self` is; the member is owned by the Value.
        unsafe {
            let member = qjs::JS_GetProperty(self.ctx.as_raw().as_ptr(), object.as_raw(), atom);
            if qjs::JS_IsException(member) {
                return Err(Error::Exception);
            }
            Ok(Value::from_raw(self.ctx.clone(), member))
        }
    }
}

impl Drop for Keys<'_> {
    fn drop(&mut self) {
        // SAFETY: entries and count are what JS_GetOwnPropertyNames gave; freed once.
        unsafe {
            let ctx = self.ctx.as_raw().as_ptr();
            qjs::JS_FreePropertyEnum(ctx, self.entries, self.atoms.len() as u32);
        }
    }
}

/// A string as jsonb can hold it: U+0000 and lone surrogates become U+FFFD.
fn owned_text(ctx: &Ctx<'_>, string: qjs::JSValue) -> Result<String> {
    let ctx = ctx.as_raw().as_ptr();
    let mut length = 0;
    // SAFETY: QuickJS gives `length` bytes that live until JS_FreeCString; they are copied before.
    let bytes = unsafe {
        let start = qjs::JS_ToCStringLen2(ctx, &mut length, string, false);
        if start.is_null() {
            return Err(Error::Exception);
        }
        let bytes = std::slice::from_raw_parts(start.cast::<u8>(), length as usize).to_vec();
        qjs::JS_FreeCString(ctx, start);
        bytes
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => replace_surrogates(error.into_bytes()),
    };
    Ok(if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text })
}

/// QuickJS writes a lone surrogate as the three bytes ED A0..BF xx; U+FFFD has three bytes, too.
fn replace_surrogates(mut bytes: Vec<u8>) -> String {
    let mut at = 0;
    while at + 2 < bytes.len() {
        if bytes[at] == 0xED && bytes[at + 1] >= 0xA0 {
            bytes[at..at + 3].copy_from_slice("\u{FFFD}".as_bytes());
            at += 3;
        } else {
            at += 1;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `JSON.stringify`'s idea of an array: also a proxy of one.
fn is_array(value: &Value<'_>) -> Result<bool> {
    let mut value = value.clone();
    loop {
        if value.is_array() {
            return Ok(true);
        }
        // SAFETY: plain class checks; the target is owned by the Value made of it.
        unsafe {
            if !qjs::JS_IsProxy(value.as_raw()) {
                return Ok(false);
            }
            let ctx = value.ctx().clone();
            let target = qjs::JS_GetProxyTarget(ctx.as_raw().as_ptr(), value.as_raw());
            if qjs::JS_IsException(target) {
                return Err(Error::Exception);
            }
            value = Value::from_raw(ctx, target);
        }
    }
}

/// `new String("x")` and its like stand for their primitive.
fn unbox<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Value<'js>> {
    // SAFETY: a plain class check.
    let class = unsafe { qjs::JS_GetClassID(value.as_raw()) };
    // The class numbers of QuickJS's enum, which has no public name for them.
    const NUMBER: u32 = 4;
    const STRING: u32 = 5;
    const BOOLEAN: u32 = 6;
    match class {
        NUMBER => Ok(Value::new_number(ctx.clone(), value.get::<rquickjs::Coerced<f64>>()?.0)),
        STRING => Ok(value.get::<rquickjs::Coerced<rquickjs::String<'js>>>()?.0.into_value()),
        BOOLEAN => {
            let object = value.as_object().ok_or(Error::Unknown)?;
            let primitive: rquickjs::Function<'js> = object.get("valueOf")?;
            primitive.call((rquickjs::function::This(object.clone()),))
        }
        _ => Ok(value),
    }
}
