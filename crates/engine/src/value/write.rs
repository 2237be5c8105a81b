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

use std::cmp::Ordering;
use std::iter::Peekable;

use jsonb::{Object, Pairs, Ref, Writer};
use rquickjs::function::This;
use rquickjs::{Coerced, Ctx, Error, Exception, Function, Result, Value, qjs};

use super::raw::{Key, Raw};
use super::text::storable;

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
        ctx,
        to_json: Key::named(ctx, "toJSON")?,
        out: Writer::new(),
        ancestors: Vec::new(),
        limits,
        watch,
        written: 0,
        team_changed: false,
    };
    let event = writing.resolve(Raw::of(ctx, event), "")?;
    if !event.is_object() || event.is_function() || event.is_array()? {
        return Err(Unrepresentable::Bad("processEvent must return an event object".to_owned()));
    }
    writing.value(&event, Some(original))?;
    let team_changed = writing.team_changed;
    let bytes = writing.out.finish()?.to_vec();
    Ok(Returned { bytes, team_changed })
}

struct Writing<'a, 'js> {
    ctx: &'a Ctx<'js>,
    to_json: Key<'a, 'js>,
    out: Writer,
    /// The objects around the one being written, outermost first: a value among them is a cycle.
    ancestors: Vec<*const u8>,
    limits: &'a Limits,
    watch: &'a Watch,
    /// About how many bytes are written, to stop long before the writer's own limits.
    written: usize,
    team_changed: bool,
}

type Written = std::result::Result<(), Unrepresentable>;

/// How many bytes an entry costs besides its text: a JEntry and a short number's digits.
const ENTRY_BYTES: usize = 12;

/// One look at the clock per so many bytes: conversion does not pass QuickJS's own polls.
const BYTES_PER_POLL: usize = 16 << 10;

impl<'a, 'js> Writing<'a, 'js> {
    /// The value that stands for `value` in JSON: `toJSON` called, boxed primitives unboxed.
    fn resolve(&self, value: Raw<'a, 'js>, key: &str) -> Result<Raw<'a, 'js>> {
        if !value.is_object() {
            return Ok(value);
        }
        let convert = value.member(&self.to_json)?;
        if convert.is_function() {
            let object = value.to_value();
            let convert = convert.to_value();
            let convert = convert.as_function().ok_or(Error::Unknown)?;
            let converted: Value<'js> = convert.call((This(object), key))?;
            return self.unbox(Raw::of(self.ctx, &converted));
        }
        self.unbox(value)
    }

    /// `new String("x")` and its like stand for their primitive.
    fn unbox(&self, value: Raw<'a, 'js>) -> Result<Raw<'a, 'js>> {
        // The class numbers of QuickJS's enum, which has no public names for them.
        const NUMBER: u32 = 4;
        const STRING: u32 = 5;
        const BOOLEAN: u32 = 6;
        let primitive: Value<'js> = match value.class() {
            NUMBER => {
                let number: Coerced<f64> = value.to_value().get()?;
                Value::new_number(self.ctx.clone(), number.0)
            }
            STRING => value.to_value().get::<Coerced<rquickjs::String<'js>>>()?.0.into_value(),
            BOOLEAN => {
                let object = value.to_value();
                let object = object.as_object().ok_or(Error::Unknown)?;
                let value_of: Function<'js> = object.get("valueOf")?;
                value_of.call((This(object.clone()),))?
            }
            _ => return Ok(value),
        };
        Ok(Raw::of(self.ctx, &primitive))
    }

    /// Writes a resolved value. What has no JSON form is `null` here; objects leave it out before.
    fn value(&mut self, value: &Raw<'a, 'js>, original: Option<Ref<'_>>) -> Written {
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
            value.with_bytes(|bytes| {
                self.account(bytes.len())?;
                Ok::<_, Unrepresentable>(self.out.string(&storable(bytes))?)
            })??;
        } else if matches!(value.tag(), qjs::JS_TAG_BIG_INT | qjs::JS_TAG_SHORT_BIG_INT) {
            return Err(Exception::throw_type(self.ctx, "a BigInt cannot be stored as JSON").into());
        } else if value.is_object() && !value.is_function() {
            self.container(value, original)?;
        } else {
            self.out.null()?;
        }
        Ok(())
    }

    fn container(&mut self, value: &Raw<'a, 'js>, original: Option<Ref<'_>>) -> Written {
        if self.ancestors.contains(&value.address()) {
            return Err(Exception::throw_type(self.ctx, "the event contains itself").into());
        }
        if self.ancestors.len() >= self.limits.depth {
            return Err(Unrepresentable::Bad(format!(
                "the result is nested deeper than {} levels",
                self.limits.depth
            )));
        }
        self.ancestors.push(value.address());
        if value.is_array()? {
            self.array(value, original)?;
        } else {
            self.object(value, original)?;
        }
        self.ancestors.pop();
        Ok(())
    }

    fn array(&mut self, array: &Raw<'a, 'js>, original: Option<Ref<'_>>) -> Written {
        let original = match original {
            Some(Ref::Array(array)) => Some(array),
            _ => None,
        };
        self.out.begin_array()?;
        for index in 0..array.length()? {
            let mut element = array.element(index)?;
            if element.is_object() {
                element = self.resolve(element, &index.to_string())?;
            }
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let before = original.map_or(Ok(None), |array| array.get(index))?;
            self.value(&element, before)?;
        }
        self.out.end()?;
        Ok(())
    }

    fn object(&mut self, object: &Raw<'a, 'js>, original: Option<Ref<'_>>) -> Written {
        let mut original = match original {
            Some(Ref::Object(object)) => Some(Originals::of(object)),
            _ => None,
        };
        let is_event = self.ancestors.len() == 1;
        let mut team_seen = false;
        self.out.begin_object()?;
        for key in object.keys()?.iter() {
            let member = object.member(&key)?;
            key.with_bytes(|name| {
                let name = storable(name);
                if is_event && name == "team_id" {
                    team_seen = true;
                    return self.team(&member, original.as_ref());
                }
                self.property(&name, member, original.as_mut())
            })??;
        }
        if is_event && !team_seen {
            self.team(&Raw::undefined(self.ctx), original.as_ref())?;
        }
        self.out.end()?;
        Ok(())
    }

    fn property(
        &mut self,
        name: &str,
        mut member: Raw<'a, 'js>,
        original: Option<&mut Originals<'_>>,
    ) -> Written {
        if member.is_object() {
            member = self.resolve(member, name)?;
        }
        let absent = matches!(member.tag(), qjs::JS_TAG_UNDEFINED | qjs::JS_TAG_SYMBOL);
        if absent || member.is_function() {
            return Ok(());
        }
        self.account(name.len())?;
        self.out.key(name)?;
        let before = original.map_or(Ok(None), |original| original.find(name))?;
        self.value(&member, before)
    }

    /// The event's team is not the plugin's to change: the original stays, a change is reported.
    fn team(&mut self, now: &Raw<'a, 'js>, original: Option<&Originals<'_>>) -> Written {
        let before = original.map_or(Ok(None), |event| event.object.get("team_id"))?;
        let kept = match before {
            None => now.tag() == qjs::JS_TAG_UNDEFINED,
            Some(Ref::Number(number)) => now.as_number() == Some(number.to_f64()),
            Some(Ref::Null) => now.tag() == qjs::JS_TAG_NULL,
            Some(Ref::Bool(flag)) => now.as_bool() == Some(flag),
            Some(Ref::String(text)) => {
                now.is_string() && now.with_bytes(|bytes| bytes == text.as_bytes())?
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

    fn account(&mut self, bytes: usize) -> Written {
        let polls_before = self.written / BYTES_PER_POLL;
        self.written += bytes;
        if self.written > self.limits.result_bytes {
            return Err(Unrepresentable::Bad(format!(
                "the result is larger than {} bytes",
                self.limits.result_bytes
            )));
        }
        if self.written / BYTES_PER_POLL != polls_before && self.watch.must_stop() {
            return Err(Unrepresentable::Exception);
        }
        Ok(())
    }
}

/// The members of the object that a JavaScript object was made from. They are asked for mostly in
/// jsonb's order, in which that object got its keys; then one step finds the next.
struct Originals<'a> {
    object: Object<'a>,
    ahead: Peekable<Pairs<'a>>,
}

impl<'a> Originals<'a> {
    fn of(object: Object<'a>) -> Self {
        Originals { object, ahead: object.iter().peekable() }
    }

    fn find(&mut self, name: &str) -> jsonb::Result<Option<Ref<'a>>> {
        while let Some(&Ok((key, value))) = self.ahead.peek() {
            match (key.len(), key).cmp(&(name.len(), name)) {
                Ordering::Less => self.ahead.next(),
                Ordering::Equal => return Ok(Some(value)),
                // A key of the plugin's own, or one out of order.
                Ordering::Greater => break,
            };
        }
        self.object.get(name)
    }
}
