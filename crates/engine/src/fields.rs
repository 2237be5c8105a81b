//! An event whose fields lie apart, such as the columns of a row: only those that a plugin looks at
//! are asked for, and what comes back is only what it changed.

use jsonb::{Object, Ref};

/// The fields of an event.
pub trait Fields {
    /// An object with the keys of all fields, of which nobody looks at the values.
    fn keys(&self) -> Object<'_>;

    /// The value of the field with that place in the order of the keys: the same each time, in the
    /// same place of memory. JavaScript may be running. A host that cannot give the value asks for
    /// an interrupt as well; the error is only what JavaScript sees until then.
    fn value(&self, field: usize) -> jsonb::Result<Ref<'_>>;
}

/// An event for a plugin.
#[derive(Clone, Copy)]
pub enum Given<'e> {
    /// As jsonb.
    Whole(&'e [u8]),
    /// Whose fields lie apart.
    Fields(&'e dyn Fields),
}

/// What a plugin did to an event whose fields lie apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The fields that it set, as a jsonb object. Some may be what they were.
    pub set: Vec<u8>,
    /// The fields that it removed, by their places in the order of the keys.
    pub removed: Vec<usize>,
}

impl Patch {
    /// The patch that sets what is in `set`, and keeps or removes all other fields; `None` if it
    /// changes nothing.
    pub(crate) fn new(
        fields: &dyn Fields,
        kept: &[bool],
        set: Vec<u8>,
    ) -> jsonb::Result<Option<Self>> {
        let jsonb::Ref::Object(members) = jsonb::Document::new(&set)?.root() else {
            return Err(jsonb::Error::Malformed("an event that is no object"));
        };
        let (mut removed, mut same) = (Vec::new(), 0);
        for (field, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
            let key = fields.keys().key(field)?.unwrap_or_default();
            match members.get(key)? {
                None => removed.push(field),
                Some(value) if value.is_identical(&fields.value(field)?) => same += 1,
                Some(_) => {}
            }
        }
        let is_one = same < members.len() || !removed.is_empty();
        Ok(is_one.then_some(Patch { set, removed }))
    }
}
