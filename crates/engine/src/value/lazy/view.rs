//! A view: an object of the event, and what has become of its properties since.
//!
//! Anything of the engine's may collect garbage, and so come back here to mark or to end a view;
//! writing the event back and whatever a plugin does in between come back for anything. So nothing
//! is borrowed while the engine is called: all that changes is in cells, read and set in one step.

mod hooks;

use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use jsonb::Object;
use rquickjs::qjs;

use super::block::Block;
use super::convert::{self, Room};
use super::keys::{self, KeySet, Lookup};
use super::members::Members;
use super::source::{Place, Source};

pub(in crate::value) struct View {
    source: Rc<Source>,
    place: Place,
    room: Room,
    keys: Rc<KeySet>,
    /// One for each pair, in their order. The values are the view's own references.
    slots: Block<Cell<Slot>>,
    /// Keys that the event does not have, or no longer, in the order of their coming.
    added: Cell<Vec<(qjs::JSAtom, qjs::JSValue)>>,
    /// Views that stood in slots before something was written there: what is written may be a copy.
    replaced: Cell<Vec<(usize, qjs::JSValue)>>,
    properties: Cell<Properties>,
    changed: Cell<bool>,
    /// Whether a slot holds an object, which can change without this view's knowing.
    has_objects: Cell<bool>,
}

/// What a pair of the event has become.
#[derive(Clone, Copy)]
pub(in crate::value) enum Slot {
    Untouched,
    /// The value that the pair was converted to.
    Read(qjs::JSValue),
    Written(qjs::JSValue),
    Deleted,
}

impl Slot {
    /// Whether the property is still the event's own, and cannot have changed inside.
    pub(in crate::value) fn is_as_it_was(&self) -> bool {
        match self {
            Slot::Untouched => true,
            // SAFETY: a tag check.
            Slot::Read(value) => unsafe { !qjs::JS_IsObject(*value) },
            Slot::Written(_) | Slot::Deleted => false,
        }
    }
}

/// Where the properties are.
#[derive(Clone, Copy)]
enum Properties {
    /// In the view: plain values under ordinary keys.
    Here,
    /// In the object that the view stands behind, like those of any other. What was read of the
    /// event stays in the slots for comparison.
    InObject,
    /// In an object of their own, since the one that the view stands behind takes no more.
    Apart(qjs::JSValue),
}

/// The answer to a question for one property.
enum Found {
    Slot(usize),
    Added(qjs::JSValue),
    Nothing,
}

pub(super) use hooks::Definition;

/// An exception is pending.
pub(super) struct Thrown;

type Result<T> = std::result::Result<T, Thrown>;

impl View {
    /// A new object that is a view: an owned value, or the exception marker.
    pub(super) fn create(
        ctx: *mut qjs::JSContext,
        source: &Rc<Source>,
        object: &Object<'_>,
        room: Room,
    ) -> qjs::JSValue {
        let views = source.views();
        let known = views.keys.borrow().find(object);
        let keys = match known {
            Ok(Lookup::Known(keys)) => keys,
            Ok(Lookup::Unknown(hash)) => {
                let Some(keys) = keys::make(ctx, object) else { return qjs::JS_EXCEPTION };
                let gone = views.keys.borrow_mut().keep(hash, &keys);
                drop(gone);
                keys
            }
            Err(_) => return convert::malformed(ctx),
        };
        let slots = (0..keys.atoms().len()).map(|_| Cell::new(Slot::Untouched));
        // SAFETY: the context and its runtime are alive; views end before their runtime.
        unsafe {
            let Some(slots) = Block::new(qjs::JS_GetRuntime(ctx), slots) else {
                return qjs::JS_ThrowOutOfMemory(ctx);
            };
            let value = qjs::JS_NewObjectClass(ctx, views.class.get());
            if !qjs::JS_IsException(value) {
                let view = View {
                    source: source.clone(),
                    place: source.place(object, room.field),
                    room,
                    keys,
                    slots,
                    added: Cell::default(),
                    replaced: Cell::default(),
                    properties: Cell::new(Properties::Here),
                    changed: Cell::new(false),
                    has_objects: Cell::new(false),
                };
                qjs::JS_SetOpaque(value, Box::into_raw(Box::new(view)).cast());
            }
            value
        }
    }

    pub(in crate::value) fn source(&self) -> &Rc<Source> {
        &self.source
    }

    pub(in crate::value) fn keys(&self) -> &Rc<KeySet> {
        &self.keys
    }

    pub(in crate::value) fn slots(&self) -> &[Cell<Slot>] {
        &self.slots
    }

    /// The object that this is a view on, of its [`source`](Self::source).
    pub(in crate::value) fn object<'s>(&self, source: &'s Source) -> jsonb::Result<Object<'s>> {
        source.object(&self.place)
    }

    /// The members of that object.
    pub(in crate::value) fn members<'s>(&self, source: &'s Source) -> jsonb::Result<Members<'s>> {
        source.members_at(&self.place)
    }

    /// Whether the members lie apart, or did so.
    pub(in crate::value) fn is_of_fields(&self) -> bool {
        self.source.is_event_of_fields(&self.place)
    }

    /// Whether this is the view of the whole event.
    pub(in crate::value) fn is_all_of(&self, source: &Source) -> bool {
        std::ptr::eq(&*self.source, source) && self.place.is_first()
    }

    /// The view that a plugin got for a pair, whatever it put in its place since.
    pub(in crate::value) fn seen(&self, pair: usize) -> Option<qjs::JSValue> {
        if let Slot::Read(value) = self.slots[pair].get() {
            return Some(value);
        }
        let replaced = self.replaced.take();
        let seen = replaced.iter().find(|(other, _)| *other == pair).map(|(_, value)| *value);
        self.replaced.set(replaced);
        seen
    }

    /// Whether this is the view of that object.
    pub(in crate::value) fn is_of(&self, source: &Source, object: &Object<'_>) -> bool {
        std::ptr::eq(&*self.source, source)
            && self.object(source).is_ok_and(|own| std::ptr::eq(own.as_bytes(), object.as_bytes()))
    }

    /// Whether the slots say what the properties are.
    pub(in crate::value) fn holds_its_properties(&self) -> bool {
        matches!(self.properties.get(), Properties::Here)
    }

    /// Whether anything was written, added or deleted, here or somewhere below as far as known.
    pub(in crate::value) fn is_changed(&self) -> bool {
        self.changed.get()
    }

    pub(in crate::value) fn has_objects(&self) -> bool {
        self.has_objects.get()
    }

    /// Whether no property that the view holds is an object.
    pub(in crate::value) fn is_flat(&self) -> bool {
        let added = self.added.take();
        // SAFETY: a tag check.
        let flat = added.iter().all(|(_, value)| unsafe { !qjs::JS_IsObject(*value) });
        self.added.set(added);
        flat && !self.has_objects()
    }

    /// The pairs that were deleted.
    pub(in crate::value) fn deleted(&self) -> impl Iterator<Item = usize> {
        let slots = self.slots.iter().enumerate();
        slots.filter(|(_, slot)| matches!(slot.get(), Slot::Deleted)).map(|(pair, _)| pair)
    }

    /// Where the pairs end that are as they were, and follow that one in JavaScript's order.
    pub(in crate::value) fn untouched_from(&self, pair: usize) -> usize {
        let most = if self.keys.are_in_order() { usize::MAX } else { 1 };
        let untouched =
            self.slots[pair..].iter().take(most).take_while(|it| it.get().is_as_it_was());
        pair + untouched.count()
    }

    /// Notes that something below has changed.
    pub(in crate::value) fn note_change(&self) {
        self.changed.set(true);
    }

    /// New references to the keys that the event does not have.
    pub(in crate::value) fn added_keys(&self, ctx: *mut qjs::JSContext) -> Vec<qjs::JSAtom> {
        let added = self.added.take();
        // SAFETY: the view's references are alive.
        let keys = added.iter().map(|(key, _)| unsafe { qjs::JS_DupAtom(ctx, *key) }).collect();
        self.added.set(added);
        keys
    }

    fn find(&self, key: qjs::JSAtom) -> Found {
        if let Some(pair) = self.keys.find(key)
            && !matches!(self.slots[pair].get(), Slot::Deleted)
        {
            return Found::Slot(pair);
        }
        let added = self.added.take();
        let found = added.iter().find(|(other, _)| *other == key).map(|(_, value)| *value);
        self.added.set(added);
        found.map_or(Found::Nothing, Found::Added)
    }

    /// A new reference to the value of a pair that is not deleted.
    fn slot_value(&self, ctx: *mut qjs::JSContext, pair: usize) -> Result<qjs::JSValue> {
        // SAFETY: the context is alive, and so is what the slots hold.
        unsafe {
            match self.slots[pair].get() {
                Slot::Read(value) | Slot::Written(value) => Ok(qjs::JS_DupValue(ctx, value)),
                Slot::Deleted => Ok(qjs::JS_UNDEFINED),
                Slot::Untouched => {
                    let field = if self.is_of_fields() { Some(pair) } else { self.room.field };
                    let room = Room { field, ..self.room };
                    let value = match self.members(&self.source).and_then(|it| it.original(pair)) {
                        Ok(value) => convert::value(ctx, &self.source, value, room),
                        Err(_) => convert::malformed(ctx),
                    };
                    if qjs::JS_IsException(value) {
                        return Err(Thrown);
                    }
                    // No JavaScript ran, so that the slot is as it was.
                    self.slots[pair].set(Slot::Read(value));
                    self.note_object(value);
                    Ok(qjs::JS_DupValue(ctx, value))
                }
            }
        }
    }

    /// Puts something else into a slot. The old value goes last: that can end other views.
    fn set(&self, ctx: *mut qjs::JSContext, pair: usize, slot: Slot) {
        self.changed.set(true);
        match (self.slots[pair].replace(slot), slot) {
            (Slot::Read(old), Slot::Written(_)) if self.source.views().view(old).is_some() => {
                let mut replaced = self.replaced.take();
                replaced.push((pair, old));
                self.replaced.set(replaced);
            }
            // SAFETY: the slot's own reference, which nothing else uses.
            (Slot::Read(old) | Slot::Written(old), _) => unsafe { qjs::JS_FreeValue(ctx, old) },
            (Slot::Untouched | Slot::Deleted, _) => {}
        }
    }

    fn note_object(&self, value: qjs::JSValue) {
        // SAFETY: a tag check.
        if unsafe { qjs::JS_IsObject(value) } {
            self.has_objects.set(true);
        }
    }

    /// Shows the garbage collector every value that the view holds.
    pub(super) fn each_value(&self, mut see: impl FnMut(qjs::JSValue)) {
        for slot in self.slots.iter() {
            if let Slot::Read(value) | Slot::Written(value) = slot.get() {
                see(value);
            }
        }
        if let Properties::Apart(object) = self.properties.get() {
            see(object);
        }
        let (added, replaced) = (self.added.take(), self.replaced.take());
        added.iter().for_each(|(_, value)| see(*value));
        replaced.iter().for_each(|(_, value)| see(*value));
        self.added.set(added);
        self.replaced.set(replaced);
    }

    /// Ends a view, with all references that it holds.
    ///
    /// # Safety
    /// The view was made by [`create`](Self::create) and is not used again; its runtime is alive.
    pub(super) unsafe fn end(view: NonNull<View>, runtime: *mut qjs::JSRuntime) {
        // SAFETY: by contract; each reference is freed once.
        unsafe {
            let view = Box::from_raw(view.as_ptr());
            view.each_value(|value| qjs::JS_FreeValueRT(runtime, value));
            for (key, _) in view.added.take() {
                qjs::JS_FreeAtomRT(runtime, key);
            }
        }
    }
}
