//! What the views of one call stand on: the bytes of an event, or fields that lie apart. They are
//! the caller's, and lent for the call; a plugin that keeps a view beyond it makes them be copied,
//! once.

use std::cell::{Cell, OnceCell};
use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;

use jsonb::{Document, Object, Ref, Writer};
use rquickjs::qjs;

use super::Views;
use super::block::Block;
use super::members::{BEYOND, Members};
use crate::fields::{Fields, Given};

/// An event, for as long as there are views on it.
pub(in crate::value) struct Source {
    views: Rc<Views>,
    lent: Cell<Loan>,
    /// The event as one document, once it had to be copied.
    kept: OnceCell<Block<u8>>,
    /// Whether its fields lie apart; they do not any more once it is kept.
    has_fields: bool,
}

#[derive(Clone, Copy)]
enum Loan {
    Whole(*const [u8]),
    Fields(*const dyn Fields),
    Over,
}

impl Source {
    pub(super) fn views(&self) -> &Views {
        &self.views
    }

    /// The event as one document; of one whose fields lie apart there is none.
    fn bytes(&self) -> &[u8] {
        match (self.kept.get(), self.lent.get()) {
            (Some(kept), _) => kept,
            // SAFETY: set from a slice that outlives the `Lent`, whose end takes it back. That
            // runs when no JavaScript does, hence while nobody holds a reference from here.
            (None, Loan::Whole(bytes)) => unsafe { &*bytes },
            (None, _) => &[],
        }
    }

    /// The fields, where they lie apart.
    pub(in crate::value) fn fields(&self) -> Option<&dyn Fields> {
        match self.lent.get() {
            // SAFETY: as above.
            Loan::Fields(fields) => Some(unsafe { &*fields }),
            _ => None,
        }
    }

    /// Whether the event is these bytes.
    pub(in crate::value) fn is(&self, bytes: &[u8]) -> bool {
        self.bytes() == bytes
    }

    /// The whole event. Where its fields lie apart it is only their keys.
    pub(in crate::value) fn root(&self) -> jsonb::Result<Ref<'_>> {
        match self.fields() {
            Some(fields) => Ok(Ref::Object(fields.keys())),
            None => Document::new(self.bytes()).map(|event| event.root()),
        }
    }

    /// The fields of the event, wherever they lie. An error for one that is no object.
    pub(in crate::value) fn members(&self) -> jsonb::Result<Members<'_>> {
        if let Some(fields) = self.fields() {
            return Ok(Members::Apart(fields));
        }
        match self.root()? {
            Ref::Object(object) => Ok(Members::Together(object)),
            _ => Err(jsonb::Error::Malformed("an event that is no object")),
        }
    }

    /// The object at a place.
    pub(super) fn object(&self, place: &Place) -> jsonb::Result<Object<'_>> {
        let bytes = self.container(place.field)?;
        let bytes = match self.is_event_of_fields(place) {
            true => bytes,
            false => bytes.get(place.range.clone()).ok_or(BEYOND)?,
        };
        match Document::new(bytes)?.root() {
            Ref::Object(object) => Ok(object),
            _ => Err(BEYOND),
        }
    }

    /// The members of the object at a place.
    pub(super) fn members_at(&self, place: &Place) -> jsonb::Result<Members<'_>> {
        match self.is_event_of_fields(place) {
            true => self.members(),
            false => self.object(place).map(Members::Together),
        }
    }

    /// Whether that is the event itself, and its fields lie apart or did so.
    pub(super) fn is_event_of_fields(&self, place: &Place) -> bool {
        self.has_fields && place.field.is_none()
    }

    /// Where an object lies that is in that field, or anywhere in an event that is one document.
    pub(super) fn place(&self, object: &Object<'_>, field: Option<usize>) -> Place {
        let bytes = self.container(field).unwrap_or_default();
        let start = object.as_bytes().as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
        Place { field, range: start..start.wrapping_add(object.as_bytes().len()) }
    }

    fn container(&self, field: Option<usize>) -> jsonb::Result<&[u8]> {
        let container = match (field, self.fields()) {
            (None, None) => return Ok(self.bytes()),
            (None, Some(fields)) => Ref::Object(fields.keys()),
            (Some(field), Some(fields)) => fields.value(field)?,
            (Some(field), None) => self.members()?.original(field)?,
        };
        match container {
            Ref::Object(object) => Ok(object.as_bytes()),
            Ref::Array(array) => Ok(array.as_bytes()),
            _ => Err(BEYOND),
        }
    }

    /// Copies what is lent, for the views that are left. Whether there was memory for it.
    fn keep(&self) -> bool {
        let together;
        let bytes = match self.lent.get() {
            Loan::Over => return true,
            Loan::Whole(_) => self.bytes(),
            // Nothing is asked of a host that is on its way out.
            Loan::Fields(_) if std::thread::panicking() => return false,
            Loan::Fields(_) => match self.members().and_then(put_together) {
                Ok(event) => {
                    together = event;
                    together.as_slice()
                }
                Err(_) => return false,
            },
        };
        // SAFETY: views are left, so their runtime is alive; sources go before it does.
        match unsafe { Block::new(self.views.runtime.get(), bytes.iter().copied()) } {
            Some(block) => self.kept.set(block).is_ok(),
            None => false,
        }
    }

    fn give_back(&self) {
        self.lent.set(Loan::Over);
    }
}

fn put_together(members: Members<'_>) -> jsonb::Result<Vec<u8>> {
    let mut out = Writer::new();
    out.begin_object()?;
    for pair in 0..members.keys().len() {
        out.key(members.key(pair)?)?;
        out.splice(members.original(pair)?)?;
    }
    out.end()?;
    out.take()
}

/// The bytes of an object inside its source.
#[derive(PartialEq, Eq)]
pub(super) struct Place {
    /// The field that it is in, where they lie apart and it is not the event itself.
    field: Option<usize>,
    range: Range<usize>,
}

impl Place {
    pub(super) fn is_first(&self) -> bool {
        self.field.is_none() && self.range.start == 0
    }
}

/// An event, lent to the views of one call.
pub(crate) struct Lent<'e> {
    source: Rc<Source>,
    event: PhantomData<&'e [u8]>,
}

impl<'e> Lent<'e> {
    pub(crate) fn new(views: &Rc<Views>, event: Given<'e>) -> Self {
        let lent = match event {
            Given::Whole(bytes) => Loan::Whole(bytes),
            // SAFETY: only the lifetime changes. The end of the `Lent`, which that of the fields
            // outlasts, takes them back.
            Given::Fields(fields) => Loan::Fields(unsafe {
                std::mem::transmute::<*const (dyn Fields + 'e), *const (dyn Fields + 'static)>(
                    fields,
                )
            }),
        };
        let has_fields = matches!(lent, Loan::Fields(_));
        let (lent, kept) = (Cell::new(lent), OnceCell::new());
        let source = Source { views: views.clone(), lent, kept, has_fields };
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
