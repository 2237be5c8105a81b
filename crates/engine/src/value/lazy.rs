//! Lazy objects: what a plugin sees of an event is a view on its jsonb. Reading a property converts
//! it and remembers the value; what is written, added or deleted is kept beside the bytes, which do
//! not change. What nobody touched goes back as bytes.
//!
//! To JavaScript a view is an ordinary object. That is the engine's doing where it can be: a view
//! answers for properties only while it is simple, and hands them all over to the engine for good
//! when an accessor, an attribute, a symbol or the order of numeric keys comes into play.

mod block;
mod class;
mod compare;
mod convert;
mod keys;
mod members;
mod source;
mod view;

use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};
use std::rc::Rc;

use jsonb::Writer;
use rquickjs::{Ctx, Error, Result, Value, qjs};

pub(super) use compare::{Prototypes, is_untouched};
use keys::KeySets;
pub(super) use members::Members;
pub(crate) use source::Lent;
pub(super) use source::Source;
pub(super) use view::{Slot, View};

use crate::allocator::Meter;
use crate::limits::Limits;

/// What the views of one runtime share.
pub(crate) struct Views {
    meter: Rc<Meter>,
    /// Null until the first realm; then alive for as long as any view is.
    runtime: Cell<*mut qjs::JSRuntime>,
    class: Cell<qjs::JSClassID>,
    keys: RefCell<KeySets>,
    names: Cell<Names>,
    /// For the next result.
    writer: Cell<Option<Box<Writer>>>,
}

/// A writer that took more is not kept: few results are that large.
const LARGEST_WRITER: usize = 1 << 20;

/// Keys that the engine itself asks for.
#[derive(Clone, Copy)]
struct Names {
    to_json: qjs::JSAtom,
    then: qjs::JSAtom,
}

const NO_NAMES: Names = Names { to_json: qjs::JS_ATOM_NULL, then: qjs::JS_ATOM_NULL };

impl Views {
    pub(crate) fn new(meter: Rc<Meter>) -> Rc<Self> {
        Rc::new(Views {
            meter,
            runtime: Cell::new(ptr::null_mut()),
            class: Cell::new(qjs::JS_INVALID_CLASS_ID as qjs::JSClassID),
            keys: RefCell::default(),
            names: Cell::new(NO_NAMES),
            writer: Cell::default(),
        })
    }

    /// Prepares a realm for views: to its code they are made by its own `Object`.
    pub(crate) fn install(&self, ctx: &Ctx<'_>) -> Result<()> {
        let raw = ctx.as_raw().as_ptr();
        // SAFETY: the context is alive; the prototype is owned and goes to the class.
        unsafe {
            let runtime = qjs::JS_GetRuntime(raw);
            if self.runtime.get().is_null() {
                let class = class::register(runtime).ok_or(Error::Unknown)?;
                self.class.set(class);
                let [to_json, then] = ["toJSON", "then"]
                    .map(|name| qjs::JS_NewAtomLen(raw, name.as_ptr().cast(), name.len() as _));
                self.names.set(Names { to_json, then });
                self.runtime.set(runtime);
            }
            let prototype = qjs::JS_GetClassProto(raw, class::OBJECT);
            qjs::JS_SetClassProto(raw, self.class.get(), prototype);
        }
        Ok(())
    }

    /// Gives back what is kept in the runtime between calls. Comes before the runtime's end.
    pub(crate) fn clear(&self) {
        self.keys.take();
        let Names { to_json, then } = self.names.replace(NO_NAMES);
        if let Some(runtime) = NonNull::new(self.runtime.get()) {
            for atom in [to_json, then] {
                // SAFETY: the atoms are ours, made in this runtime, which is alive by contract.
                unsafe { qjs::JS_FreeAtomRT(runtime.as_ptr(), atom) };
            }
        }
    }

    /// An event as a plugin sees it: a view on an object; anything else is converted at once.
    pub(crate) fn event<'js>(
        &self,
        ctx: &Ctx<'js>,
        lent: &Lent<'_>,
        limits: &Limits,
    ) -> Result<Value<'js>> {
        let raw = convert::root(ctx.as_raw().as_ptr(), lent.source(), limits);
        // SAFETY: an owned value of this context, or the exception marker.
        unsafe {
            if qjs::JS_IsException(raw) {
                return Err(Error::Exception);
            }
            Ok(Value::from_raw(ctx.clone(), raw))
        }
    }

    /// A writer, with the memory of earlier ones.
    pub(super) fn take_writer(&self) -> Box<Writer> {
        self.writer.take().unwrap_or_default()
    }

    pub(super) fn keep_writer(&self, mut writer: Box<Writer>) {
        if writer.capacity() <= LARGEST_WRITER {
            writer.clear();
            self.writer.set(Some(writer));
        }
    }

    pub(super) fn to_json(&self) -> qjs::JSAtom {
        self.names.get().to_json
    }

    /// The property `then` of an object, which makes it a promise to `await`.
    pub(crate) fn then_of<'js>(&self, object: &Value<'js>) -> Result<Value<'js>> {
        let ctx = object.ctx();
        let then = self.names.get().then;
        // SAFETY: object and key are alive; the result is owned.
        unsafe {
            let then = qjs::JS_GetProperty(ctx.as_raw().as_ptr(), object.as_raw(), then);
            if qjs::JS_IsException(then) {
                return Err(Error::Exception);
            }
            Ok(Value::from_raw(ctx.clone(), then))
        }
    }
    /// The view behind a value.
    pub(super) fn view(&self, value: qjs::JSValue) -> Option<NonNull<View>> {
        // SAFETY: a class check; only objects of that class have views behind them.
        unsafe {
            if qjs::JS_VALUE_GET_NORM_TAG(value) != qjs::JS_TAG_OBJECT {
                return None;
            }
            NonNull::new(qjs::JS_GetOpaque(value, self.class.get()).cast())
        }
    }
}
