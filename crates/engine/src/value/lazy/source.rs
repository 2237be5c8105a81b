//! The bytes under the views of one call. They are the caller's, and lent for the call; a plugin
//! that keeps a view beyond it makes them be copied, once.

use std::cell::{Cell, OnceCell};
use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;
use std::slice;

use jsonb::{Document, Object, Ref};
use rquickjs::qjs;

use super::Views;
use super::block::Block;

/// The bytes of an event, for as long as there are views on them.
pub(in crate::value) struct Source {
    views: Rc<Views>,
    /// The lent bytes; none after the call.
    lent: Cell<(*const u8, usize)>,
    kept: OnceCell<Block<u8>>,
}

impl Source {
    pub(super) fn views(&self) -> &Views {
        &self.views
    }

    fn bytes(&self) -> &[u8] {
        match self.kept.get() {
            Some(kept) => kept,
            None => {
                let (start, length) = self.lent.get();
                // SAFETY: set from a slice that outlives the `Lent`, whose end takes it back. That
                // runs when no JavaScript does, hence while nobody holds a reference from here.
                unsafe { slice::from_raw_parts(start, length) }
            }
        }
    }

    /// Whether the event is these bytes.
    pub(in crate::value) fn is(&self, bytes: &[u8]) -> bool {
        self.bytes() == bytes
    }

    /// The whole event.
    pub(in crate::value) fn root(&self) -> jsonb::Result<Ref<'_>> {
        Document::new(self.bytes()).map(|event| event.root())
    }

    /// The object at a place.
    pub(super) fn object(&self, place: &Place) -> jsonb::Result<Object<'_>> {
        let malformed = jsonb::Error::Malformed("a view beyond its event");
        match Document::new(self.bytes().get(place.0.clone()).ok_or(malformed)?)?.root() {
            Ref::Object(object) => Ok(object),
            _ => Err(malformed),
        }
    }

    /// Where an object of this source lies.
    pub(super) fn place(&self, object: &Object<'_>) -> Place {
        let start = object.as_bytes().as_ptr().addr().wrapping_sub(self.bytes().as_ptr().addr());
        Place(start..start.wrapping_add(object.as_bytes().len()))
    }

    /// Copies what is lent, for the views that are left. Whether there was memory for it.
    fn keep(&self) -> bool {
        if self.lent.get().1 == 0 {
            return true;
        }
        let bytes = self.bytes().iter().copied();
        // SAFETY: views are left, so their runtime is alive; sources go before it does.
        match unsafe { Block::new(self.views.runtime.get(), bytes) } {
            Some(block) => self.kept.set(block).is_ok(),
            None => false,
        }
    }

    fn give_back(&self) {
        let nothing: &[u8] = &[];
        self.lent.set((nothing.as_ptr(), 0));
    }
}

/// The bytes of an object inside its source.
#[derive(PartialEq, Eq)]
pub(super) struct Place(Range<usize>);

impl Place {
    pub(super) fn is_first(&self) -> bool {
        self.0.start == 0
    }
}

/// An event's bytes, lent to the views of one call.
pub(crate) struct Lent<'e> {
    source: Rc<Source>,
    event: PhantomData<&'e [u8]>,
}

impl<'e> Lent<'e> {
    pub(crate) fn new(views: &Rc<Views>, event: &'e [u8]) -> Self {
        let lent = Cell::new((event.as_ptr(), event.len()));
        let source = Source { views: views.clone(), lent, kept: OnceCell::new() };
        Lent { source: Rc::new(source), event: PhantomData }
    }

    pub(in crate::value) fn source(&self) -> &Rc<Source> {
        &self.source
    }

    /// Ends the loan, when no JavaScript runs any more. False when views are left and there is no
    /// memory for what they need.
    #[must_use]
    pub(crate) fn end(self) -> bool {
        self.settle()
    }

    fn settle(&self) -> bool {
        let views_left = || Rc::strong_count(&self.source) > 1;
        let mut settled = !views_left() || self.source.keep();
        if !settled {
            // They may be garbage that holds itself. No JavaScript runs in this.
            // SAFETY: views are left, so their runtime is alive.
            unsafe { qjs::JS_RunGC(self.source.views.runtime.get()) };
            settled = !views_left() || self.source.keep();
        }
        self.source.give_back();
        settled
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}
