//! JavaScript → jsonb, with the rules of `JSON.stringify` where it has one:
//!
//! | value | becomes |
//! |---|---|
//! | `undefined`, functions, symbols | left out of objects, `null` in arrays |
//! | `NaN`, `Infinity` | `null` |
//! | `toJSON` | called |
//! | `BigInt` without a `toJSON`, a cycle | a `TypeError` |
//! | U+0000 and lone surrogates, which jsonb cannot hold | U+FFFD |
//!
//! A view that nobody touched is copied as bytes. A number that still equals the one at the same
//! place of the original is copied from there, so that digits beyond a double's survive.

mod object;

use jsonb::{Ref, Writer};
use rquickjs::function::This;
use rquickjs::{Coerced, Ctx, Error, Exception, Function, Result, Value};

use super::lazy::{Lent, Prototypes, Source, Views};
use super::raw::{Key, Raw};
use super::text::storable;

use crate::engine::Verdict;
use crate::fields::Patch;
use crate::limits::Limits;
use crate::watch::Watch;

/// The event as a plugin left it.
pub(crate) struct Returned {
    pub(crate) verdict: Verdict,
    /// The plugin had changed `team_id`; the verdict holds the original one.
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

/// Writes the event that JavaScript holds. `given` is what the plugin got for it, a value on the
/// `original` bytes.
pub(crate) fn write_event<'js>(
    ctx: &Ctx<'js>,
    event: &Value<'js>,
    given: &Value<'js>,
    original: &Lent<'_>,
    views: &Views,
    limits: &Limits,
    watch: &Watch,
) -> std::result::Result<Returned, Unrepresentable> {
    let event = Raw::of(ctx, event);
    let prototypes = Prototypes::of(ctx.as_raw().as_ptr(), views);
    if let (Some(view), Some(prototypes)) = (event.view(views), prototypes)
        && view.is_all_of(original.source())
        && event.is_untouched(view, prototypes)
    {
        return Ok(Returned { verdict: Verdict::Unchanged, team_changed: false });
    }
    let mut writing = Writing {
        ctx,
        views,
        original: original.source(),
        prototypes,
        // SAFETY: the runtime keeps the key until its end.
        to_json: unsafe { Key::again(ctx, views.to_json()) },
        out: views.take_writer(),
        ancestors: Vec::new(),
        limits,
        watch,
        written: 0,
        team_changed: false,
        kept: original.source().fields().map(|fields| vec![false; fields.keys().len()]),
    };
    let written = writing.event(event, given);
    let Writing { team_changed, mut out, kept, .. } = writing;
    let bytes = written.and_then(|()| Ok(out.take()?));
    views.keep_writer(out);
    let verdict = match (original.source().fields(), kept) {
        (Some(fields), Some(kept)) => Patch::new(fields, &kept, bytes?)?.map(Verdict::Patched),
        _ => Some(bytes?).filter(|bytes| !original.source().is(bytes)).map(Verdict::Changed),
    };
    Ok(Returned { verdict: verdict.unwrap_or(Verdict::Unchanged), team_changed })
}

/// What stands, or stood, in the place of a value in the original.
struct Before<'a, 'js, 'o> {
    value: Ref<'o>,
    /// The view that a plugin got for it.
    view: Option<Raw<'a, 'js>>,
}

impl<'o> Before<'_, '_, 'o> {
    fn only(value: Ref<'o>) -> Self {
        Before { value, view: None }
    }
}

struct Writing<'a, 'js> {
    ctx: &'a Ctx<'js>,
    views: &'a Views,
    original: &'a Source,
    /// `None` when no view can be taken for what its bytes say.
    prototypes: Option<Prototypes>,
    to_json: Key<'a, 'js>,
    out: Box<Writer>,
    /// The objects around the one being written, outermost first: a value among them is a cycle.
    ancestors: Vec<*const u8>,
    limits: &'a Limits,
    watch: &'a Watch,
    /// About how many bytes are written, to stop long before the writer's own limits.
    written: usize,
    team_changed: bool,
    /// Which fields are as they were and not written, where they lie apart.
    kept: Option<Vec<bool>>,
}

type Written = std::result::Result<(), Unrepresentable>;

/// How many bytes an entry costs besides its text: a JEntry and a short number's digits.
const ENTRY_BYTES: usize = 12;

/// One look at the clock per so many bytes: conversion does not pass QuickJS's own polls.
const BYTES_PER_POLL: usize = 16 << 10;

impl<'a, 'js> Writing<'a, 'js> {
    fn event(&mut self, event: Raw<'a, 'js>, given: &Value<'js>) -> Written {
        let event = self.resolve(event, "")?;
        if !event.is_object() || event.is_function() || event.is_array()? {
            return Err(Unrepresentable::Bad(
                "processEvent must return an event object".to_owned(),
            ));
        }
        let before = self.original.root()?;
        let before = Before { value: before, view: Some(Raw::of(self.ctx, given)) };
        self.value(&event, Some(&before))
    }

    /// The value that stands for `value` in JSON: `toJSON` called, boxed primitives unboxed.
    fn resolve(&self, value: Raw<'a, 'js>, key: &str) -> Result<Raw<'a, 'js>> {
        // Of the primitives, JSON asks these: a plugin can give them a form.
        if !value.is_object() && !value.is_big_int() {
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
    fn value(&mut self, value: &Raw<'a, 'js>, before: Option<&Before<'a, 'js, '_>>) -> Written {
        self.account(ENTRY_BYTES)?;
        if value.is_object() && !value.is_function() {
            return self.container(value, before);
        }
        self.primitive(value, before.map(|before| before.value))
    }

    fn primitive(&mut self, value: &Raw<'a, 'js>, before: Option<Ref<'_>>) -> Written {
        if let Some(number) = value.as_number() {
            match before {
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
            let text = value.text()?;
            self.account(text.bytes().len())?;
            self.out.string(&storable(text.bytes()))?;
        } else if value.is_big_int() {
            return Err(Exception::throw_type(self.ctx, "a BigInt cannot be stored as JSON").into());
        } else {
            self.out.null()?;
        }
        Ok(())
    }

    fn container(&mut self, value: &Raw<'a, 'js>, before: Option<&Before<'a, 'js, '_>>) -> Written {
        if self.ancestors.contains(&value.address()) {
            return Err(Exception::throw_type(self.ctx, "the event contains itself").into());
        }
        if self.ancestors.len() >= self.limits.depth {
            return Err(self.too_deep());
        }
        self.ancestors.push(value.address());
        if value.is_array()? {
            self.array(value, before)?;
        } else {
            self.object(value, before)?;
        }
        self.ancestors.pop();
        Ok(())
    }

    fn array(&mut self, array: &Raw<'a, 'js>, before: Option<&Before<'_, '_, '_>>) -> Written {
        let mut before = match before.map(|before| before.value) {
            Some(Ref::Array(array)) => Some(array.iter()),
            _ => None,
        };
        self.out.begin_array()?;
        for index in 0..array.length()? {
            let element = array.element(index)?;
            let before = before.as_mut().and_then(Iterator::next).transpose()?;
            if !self.untouched(&element, |_| Ok(()))? {
                let may_convert = element.is_object() || element.is_big_int();
                let element = match may_convert {
                    true => self.resolve(element, &index.to_string())?,
                    false => element,
                };
                self.value(&element, before.map(Before::only).as_ref())?;
            }
        }
        self.out.end()?;
        Ok(())
    }

    /// Copies a view that nobody touched, after what comes `first`; false for all other values.
    fn untouched(
        &mut self,
        value: &Raw<'a, 'js>,
        first: impl FnOnce(&mut Self) -> Written,
    ) -> std::result::Result<bool, Unrepresentable> {
        let Some(prototypes) = self.prototypes else { return Ok(false) };
        let Some(view) = value.view(self.views) else { return Ok(false) };
        // The members of an event whose fields lie apart are no bytes that could be copied.
        if view.is_of_fields() || !value.is_untouched(view, prototypes) {
            return Ok(false);
        }
        first(self)?;
        let object = view.object(view.source())?;
        self.account(ENTRY_BYTES + object.as_bytes().len())?;
        if Ref::Object(object).is_deeper_than(self.limits.depth - self.ancestors.len())? {
            return Err(self.too_deep());
        }
        self.out.splice(Ref::Object(object))?;
        Ok(true)
    }

    fn too_deep(&self) -> Unrepresentable {
        let levels = self.limits.depth;
        Unrepresentable::Bad(format!("the result is nested deeper than {levels} levels"))
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
