//! What the engine asks of a view through its hooks: reading, listing, deleting, defining; and the
//! handing over of all properties to the engine.

use std::ptr;

use rquickjs::qjs;

use super::{Found, Properties, Result, Slot, Thrown, View};

/// So many keys that the event does not have are kept in a list. Beyond it a search would take
/// longer than the engine's own hash table.
const MOST_ADDED: usize = 32;

const PLAIN: i32 = qjs::JS_PROP_C_W_E as i32;
const ACCESSOR: i32 = (qjs::JS_PROP_HAS_GET | qjs::JS_PROP_HAS_SET) as i32;
const HAS_SHIFT: u32 = qjs::JS_PROP_HAS_SHIFT;

impl View {
    /// The hook for reading: whether there is such a property, and what it is.
    ///
    /// # Safety
    /// `descriptor` is null or can be written.
    pub(in crate::value::lazy) unsafe fn get(
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
    pub(in crate::value::lazy) fn list(&self, ctx: *mut qjs::JSContext) -> Result<List> {
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
    pub(in crate::value::lazy) fn delete(
        &self,
        ctx: *mut qjs::JSContext,
        key: qjs::JSAtom,
    ) -> Result<bool> {
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

    /// The hook for defining and writing: whether it was allowed.
    ///
    /// # Safety
    /// `this` is the object that this view stands behind; the arguments are the engine's.
    pub(in crate::value::lazy) unsafe fn define(
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
                    let known = qjs::JS_GetOwnProperty(ctx, ptr::null_mut(), object, key);
                    if known == 0 && qjs::JS_IsExtensible(ctx, this) != 1 {
                        return new.apply(ctx, this, key, true);
                    }
                    new.apply(ctx, object, key, false)
                }
                _ => new.apply(ctx, this, key, true),
            }
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
pub(in crate::value::lazy) struct List {
    pub(in crate::value::lazy) keys: *mut qjs::JSPropertyEnum,
    pub(in crate::value::lazy) count: u32,
}

impl List {
    const NONE: List = List { keys: ptr::null_mut(), count: 0 };
}

/// What the engine's hook for defining is given.
pub(in crate::value::lazy) struct Definition {
    pub(in crate::value::lazy) value: qjs::JSValue,
    pub(in crate::value::lazy) getter: qjs::JSValue,
    pub(in crate::value::lazy) setter: qjs::JSValue,
    pub(in crate::value::lazy) flags: i32,
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
