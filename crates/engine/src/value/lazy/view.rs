//! A view: an object of the event, and what has become of its properties since.
//!
//! Anything of the engine's may collect garbage, and so come back here to mark or to end a view;
//! writing the event back and whatever a plugin does in between come back for anything. So nothing
//! is borrowed while the engine is called: all that changes is in cells, read and set in one step.

use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use jsonb::{Object, Ref};
use rquickjs::qjs;

use super::block::Block;
use super::convert::{self, Room};
use super::keys::{self, KeySet, Lookup};
use super::source::{Place, Source};

/// So many keys that the event does not have are kept in a list. Beyond it a search would take
/// longer than the engine's own hash table.
const MOST_ADDED: usize = 32;

const PLAIN: i32 = qjs::JS_PROP_C_W_E as i32;
const ACCESSOR: i32 = (qjs::JS_PROP_HAS_GET | qjs::JS_PROP_HAS_SET) as i32;
const HAS_SHIFT: u32 = qjs::JS_PROP_HAS_SHIFT;

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
    pub(in crate::value) fn is_deleted(&self) -> bool {
        matches!(self, Slot::Deleted)
    }

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
                    place: source.place(object),
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
        std::ptr::eq(&*self.source, source) && source.place(object) == self.place
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
                    let value = match self.object(&self.source).and_then(|it| it.value(pair)) {
                        Ok(Some(value)) => convert::value(ctx, &self.source, value, self.room),
                        _ => convert::malformed(ctx),
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

    /// The hook for reading: whether there is such a property, and what it is.
    ///
    /// # Safety
    /// `descriptor` is null or can be written.
    pub(super) unsafe fn get(
        &self,
        ctx: *mut qjs::JSContext,
        descriptor: *mut qjs::JSPropertyDescriptor,
        key: qjs::JSAtom,
    ) -> Result<bool> {
        match self.properties.get() {
            Properties::Here => {}
            Properties::InObject => return Ok(false),
            Properties::Apart(object) => {
                // SAFETY: the object is alive as long as the view; the descriptor is the caller's.
                return unsafe {
                    match qjs::JS_GetOwnProperty(ctx, descriptor, object, key) {
                        0 => Ok(false),
                        1 => callable(ctx, descriptor).map(|()| true),
                        _ => Err(Thrown),
                    }
                };
            }
        }
        let found = self.find(key);
        if descriptor.is_null() {
            return Ok(!matches!(found, Found::Nothing));
        }
        let value = match found {
            Found::Nothing => return Ok(false),
            Found::Slot(pair) => self.slot_value(ctx, pair)?,
            // SAFETY: the view holds the value.
            Found::Added(value) => unsafe { qjs::JS_DupValue(ctx, value) },
        };
        let (getter, setter) = (qjs::JS_UNDEFINED, qjs::JS_UNDEFINED);
        // SAFETY: not null, hence writable by contract.
        unsafe {
            descriptor.write(qjs::JSPropertyDescriptor { flags: PLAIN, value, getter, setter });
        }
        Ok(true)
    }

    /// The hook for listing: new references to all keys, in order.
    pub(super) fn list(&self, ctx: *mut qjs::JSContext) -> Result<List> {
        // SAFETY: the context is alive; so are the keys, of which new references are listed.
        unsafe {
            match self.properties.get() {
                Properties::Here => {}
                Properties::InObject => return Ok(List::NONE),
                Properties::Apart(object) => {
                    const ALL: i32 = (qjs::JS_GPN_STRING_MASK | qjs::JS_GPN_SYMBOL_MASK) as i32;
                    let mut list = List::NONE;
                    let (keys, count) = (&mut list.keys, &mut list.count);
                    return match qjs::JS_GetOwnPropertyNames(ctx, keys, count, object, ALL) {
                        0 => Ok(list),
                        _ => Err(Thrown),
                    };
                }
            }
            let added = self.added_keys(ctx);
            let most = (self.slots.len() + added.len()).max(1);
            let size = most * size_of::<qjs::JSPropertyEnum>();
            let keys: *mut qjs::JSPropertyEnum = qjs::js_malloc(ctx, size as _).cast();
            if keys.is_null() {
                added.into_iter().for_each(|key| qjs::JS_FreeAtom(ctx, key));
                return Err(Thrown);
            }
            let here = |pair: &usize| !matches!(self.slots[*pair].get(), Slot::Deleted);
            let atoms = self.keys.atoms();
            let own = self.keys.order().filter(here).map(|pair| qjs::JS_DupAtom(ctx, atoms[pair]));
            let mut count = 0;
            for atom in own.chain(added) {
                let key = qjs::JSPropertyEnum { is_enumerable: true, atom };
                // Never more than there was room made for.
                keys.add(count).write(key);
                count += 1;
            }
            Ok(List { keys, count: count as u32 })
        }
    }

    /// The hook for deleting.
    pub(super) fn delete(&self, ctx: *mut qjs::JSContext, key: qjs::JSAtom) -> Result<bool> {
        match self.properties.get() {
            Properties::Here => {}
            Properties::InObject => return Ok(true),
            Properties::Apart(object) => {
                // SAFETY: the object is alive as long as the view.
                return match unsafe { qjs::JS_DeleteProperty(ctx, object, key, 0) } {
                    0 => Ok(false),
                    1 => Ok(true),
                    _ => Err(Thrown),
                };
            }
        }
        match self.find(key) {
            Found::Nothing => {}
            Found::Slot(pair) => self.set(ctx, pair, Slot::Deleted),
            Found::Added(_) => {
                let mut added = self.added.take();
                let place = added.iter().position(|(other, _)| *other == key);
                let gone = place.map(|place| added.remove(place));
                self.added.set(added);
                if let Some((key, value)) = gone {
                    // SAFETY: the view's references, which nothing else uses.
                    unsafe {
                        qjs::JS_FreeAtom(ctx, key);
                        qjs::JS_FreeValue(ctx, value);
                    }
                }
            }
        }
        Ok(true)
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

    /// The hook for defining and writing: whether it was allowed.
    ///
    /// # Safety
    /// `this` is the object that this view stands behind; the arguments are the engine's.
    pub(super) unsafe fn define(
        &self,
        ctx: *mut qjs::JSContext,
        this: qjs::JSValue,
        key: qjs::JSAtom,
        new: &Definition,
    ) -> Result<bool> {
        if let Properties::Here = self.properties.get() {
            match self.find(key) {
                Found::Slot(pair) if new.keeps_it_plain() => {
                    if let Some(value) = new.new_value(ctx) {
                        self.set(ctx, pair, Slot::Written(value));
                        self.note_object(value);
                    }
                    return Ok(true);
                }
                Found::Added(_) if new.keeps_it_plain() => {
                    if let Some(value) = new.new_value(ctx) {
                        self.replace_added(ctx, key, value);
                    }
                    return Ok(true);
                }
                // SAFETY: `this` is alive.
                Found::Nothing if unsafe { qjs::JS_IsExtensible(ctx, this) } != 1 => {
                    // SAFETY: as below. The engine refuses in its own words.
                    return unsafe { new.apply(ctx, this, key, true) };
                }
                Found::Nothing if new.makes_it_plain() && self.add(ctx, key, new)? => {
                    return Ok(true);
                }
                // SAFETY: `this` is alive and ours.
                _ => unsafe { self.hand_over(ctx, this)? },
            }
        }
        // SAFETY: the objects are alive, the values the engine's own.
        unsafe {
            match self.properties.get() {
                Properties::Apart(object) => {
                    let known = qjs::JS_GetOwnProperty(ctx, std::ptr::null_mut(), object, key);
                    if known == 0 && qjs::JS_IsExtensible(ctx, this) != 1 {
                        return new.apply(ctx, this, key, true);
                    }
                    new.apply(ctx, object, key, false)
                }
                _ => new.apply(ctx, this, key, true),
            }
        }
    }

    fn note_object(&self, value: qjs::JSValue) {
        // SAFETY: a tag check.
        if unsafe { qjs::JS_IsObject(value) } {
            self.has_objects.set(true);
        }
    }

    fn replace_added(&self, ctx: *mut qjs::JSContext, key: qjs::JSAtom, value: qjs::JSValue) {
        let mut added = self.added.take();
        let place = added.iter_mut().find(|(other, _)| *other == key);
        let old = match place {
            Some((_, place)) => std::mem::replace(place, value),
            None => value,
        };
        self.added.set(added);
        // SAFETY: the view's reference to what was there, which nothing else uses.
        unsafe { qjs::JS_FreeValue(ctx, old) };
    }

    /// Adds a property, unless it is for the engine to say where it stands.
    fn add(&self, ctx: *mut qjs::JSContext, key: qjs::JSAtom, new: &Definition) -> Result<bool> {
        if !is_name(ctx, key)? {
            return Ok(false);
        }
        let mut added = self.added.take();
        let fits = added.len() < MOST_ADDED;
        if fits {
            let value = new.new_value(ctx).unwrap_or(qjs::JS_UNDEFINED);
            // SAFETY: the key is alive; the view takes a reference of its own.
            added.push((unsafe { qjs::JS_DupAtom(ctx, key) }, value));
            self.changed.set(true);
        }
        self.added.set(added);
        Ok(fits)
    }

    /// Gives all properties to the engine, for good.
    ///
    /// # Safety
    /// `this` is the object that this view stands behind.
    unsafe fn hand_over(&self, ctx: *mut qjs::JSContext, this: qjs::JSValue) -> Result<()> {
        // What can fail of itself comes first, and leaves all as it was.
        let here = |pair: &usize| !matches!(self.slots[*pair].get(), Slot::Deleted);
        for pair in self.keys.order().filter(here) {
            let value = self.slot_value(ctx, pair)?;
            // SAFETY: ours, and the slot holds another reference.
            unsafe { qjs::JS_FreeValue(ctx, value) };
        }
        // SAFETY: the context and `this` are alive.
        let (target, properties) = unsafe {
            if qjs::JS_IsExtensible(ctx, this) == 1 {
                (this, Properties::InObject)
            } else {
                let object = qjs::JS_NewObjectProto(ctx, qjs::JS_NULL);
                if qjs::JS_IsException(object) {
                    return Err(Thrown);
                }
                (object, Properties::Apart(object))
            }
        };
        // Half of the properties here and half there could not be told apart again.
        let meter = &self.source.views().meter;
        let handed = meter.while_building(|| {
            let added = self.added_values(ctx);
            let own = self.keys.order().filter(here).map(|pair| (self.keys.atoms()[pair], pair));
            // SAFETY: keys and values are alive, the target takes a reference to each value.
            unsafe {
                let give = |key, value| {
                    const FLAGS: i32 = PLAIN | qjs::JS_PROP_NO_EXOTIC as i32;
                    qjs::JS_DefinePropertyValue(ctx, target, key, value, FLAGS) >= 0
                };
                let mut all = true;
                for (key, pair) in own {
                    all &= self.slot_value(ctx, pair).is_ok_and(|value| give(key, value));
                }
                for (key, value) in added {
                    all &= give(key, value);
                    qjs::JS_FreeAtom(ctx, key);
                }
                if all { Ok(()) } else { Err(Thrown) }
            }
        });
        self.properties.set(properties);
        self.changed.set(true);
        for pair in 0..self.slots.len() {
            if !matches!(self.slots[pair].get(), Slot::Read(_)) {
                self.set(ctx, pair, Slot::Untouched);
            }
        }
        for (key, value) in self.added.take() {
            // SAFETY: the view's references, which nothing else uses.
            unsafe {
                qjs::JS_FreeAtom(ctx, key);
                qjs::JS_FreeValue(ctx, value);
            }
        }
        handed
    }

    /// New references to what was added.
    fn added_values(&self, ctx: *mut qjs::JSContext) -> Vec<(qjs::JSAtom, qjs::JSValue)> {
        let added = self.added.take();
        let copies = added.iter().map(|(key, value)| {
            // SAFETY: the view's references are alive.
            unsafe { (qjs::JS_DupAtom(ctx, *key), qjs::JS_DupValue(ctx, *value)) }
        });
        let copies = copies.collect();
        self.added.set(added);
        copies
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

/// Gives an accessor that has none a getter: for objects with hooks the engine calls it unseen.
///
/// # Safety
/// `descriptor` is null, or owned and filled in.
unsafe fn callable(
    ctx: *mut qjs::JSContext,
    descriptor: *mut qjs::JSPropertyDescriptor,
) -> Result<()> {
    unsafe extern "C" fn nothing(
        _: *mut qjs::JSContext,
        _: qjs::JSValue,
        _: i32,
        _: *mut qjs::JSValue,
    ) -> qjs::JSValue {
        qjs::JS_UNDEFINED
    }
    // SAFETY: by contract; the getter is owned by the descriptor, and undefined has no owner.
    unsafe {
        let Some(found) = descriptor.as_mut() else { return Ok(()) };
        let accessor = found.flags & qjs::JS_PROP_GETSET as i32 != 0;
        if !accessor || !qjs::JS_IsUndefined(found.getter) {
            return Ok(());
        }
        let kind = qjs::JSCFunctionEnum_JS_CFUNC_generic;
        found.getter = qjs::JS_NewCFunction2(ctx, Some(nothing), c"".as_ptr(), 0, kind, 0);
        if qjs::JS_IsException(found.getter) {
            qjs::JS_FreeValue(ctx, found.setter);
            return Err(Thrown);
        }
        Ok(())
    }
}

/// Whether a key is a string that JavaScript lists in the order of its coming.
fn is_name(ctx: *mut qjs::JSContext, key: qjs::JSAtom) -> Result<bool> {
    // SAFETY: the key is alive; value and text are freed here.
    unsafe {
        let value = qjs::JS_AtomToValue(ctx, key);
        if qjs::JS_IsException(value) {
            return Err(Thrown);
        }
        if !qjs::JS_IsString(value) {
            qjs::JS_FreeValue(ctx, value);
            return Ok(false);
        }
        let text = qjs::JS_ToCString(ctx, value);
        qjs::JS_FreeValue(ctx, value);
        if text.is_null() {
            return Err(Thrown);
        }
        // Numbers have an order of their own; whatever looks like one is the engine's.
        let is_name = !text.cast::<u8>().read().is_ascii_digit();
        qjs::JS_FreeCString(ctx, text);
        Ok(is_name)
    }
}

/// Keys for the engine, in its own memory.
pub(super) struct List {
    pub(super) keys: *mut qjs::JSPropertyEnum,
    pub(super) count: u32,
}

impl List {
    const NONE: List = List { keys: std::ptr::null_mut(), count: 0 };
}

/// What the engine's hook for defining is given.
pub(super) struct Definition {
    pub(super) value: qjs::JSValue,
    pub(super) getter: qjs::JSValue,
    pub(super) setter: qjs::JSValue,
    pub(super) flags: i32,
}

impl Definition {
    fn has(&self, flag: u32) -> bool {
        self.flags & flag as i32 != 0
    }

    /// Whether a plain property stays one.
    fn keeps_it_plain(&self) -> bool {
        let said = self.flags >> HAS_SHIFT & PLAIN;
        self.flags & ACCESSOR == 0 && self.flags & said == said
    }

    /// Whether a new property becomes a plain one.
    fn makes_it_plain(&self) -> bool {
        self.flags & ACCESSOR == 0 && self.flags & PLAIN == PLAIN
    }

    /// A new reference to the value, if one is given.
    fn new_value(&self, ctx: *mut qjs::JSContext) -> Option<qjs::JSValue> {
        // SAFETY: the engine's value is alive for the call.
        self.has(qjs::JS_PROP_HAS_VALUE).then(|| unsafe { qjs::JS_DupValue(ctx, self.value) })
    }

    /// Has the engine define it.
    ///
    /// # Safety
    /// Target, key and values are alive.
    unsafe fn apply(
        &self,
        ctx: *mut qjs::JSContext,
        target: qjs::JSValue,
        key: qjs::JSAtom,
        past_the_hooks: bool,
    ) -> Result<bool> {
        let hooks = if past_the_hooks { qjs::JS_PROP_NO_EXOTIC as i32 } else { 0 };
        let Definition { value, getter, setter, flags } = *self;
        // SAFETY: by contract.
        match unsafe {
            qjs::JS_DefineProperty(ctx, target, key, value, getter, setter, flags | hooks)
        } {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Thrown),
        }
    }
}

/// The value of a pair, as it lies in the event.
pub(in crate::value) fn original<'s>(object: &Object<'s>, pair: usize) -> jsonb::Result<Ref<'s>> {
    object.value(pair)?.ok_or(jsonb::Error::Malformed("a view beyond its event"))
}
