//! The members of an object: together in one container, or each asked for by itself.

use jsonb::{Object, Ref};

use crate::fields::Fields;

#[derive(Clone, Copy)]
pub(in crate::value) enum Members<'s> {
    Together(Object<'s>),
    Apart(&'s dyn Fields),
}

impl<'s> Members<'s> {
    /// An object with these keys. Only members that lie together are in it as well.
    pub(in crate::value) fn keys(&self) -> Object<'s> {
        match self {
            Members::Together(object) => *object,
            Members::Apart(fields) => fields.keys(),
        }
    }

    pub(in crate::value) fn key(&self, pair: usize) -> jsonb::Result<&'s str> {
        self.keys().key(pair)?.ok_or(BEYOND)
    }

    /// The value of a pair, as the event has it.
    pub(in crate::value) fn original(&self, pair: usize) -> jsonb::Result<Ref<'s>> {
        match self {
            Members::Together(object) => object.value(pair)?.ok_or(BEYOND),
            Members::Apart(fields) => fields.value(pair),
        }
    }

    pub(in crate::value) fn get(&self, key: &str) -> jsonb::Result<Option<Ref<'s>>> {
        match self {
            Members::Together(object) => object.get(key),
            Members::Apart(fields) => match fields.keys().find(key)? {
                Ok(pair) => fields.value(pair).map(Some),
                Err(_) => Ok(None),
            },
        }
    }

    /// Whether objects nest deeper here than so many levels. What lies apart is not looked at for
    /// that: it is not copied either.
    pub(in crate::value) fn are_deeper_than(&self, levels: usize) -> jsonb::Result<bool> {
        match self {
            Members::Together(object) => Ref::Object(*object).is_deeper_than(levels),
            Members::Apart(_) => Ok(false),
        }
    }
}

pub(super) const BEYOND: jsonb::Error = jsonb::Error::Malformed("a view beyond its event");
