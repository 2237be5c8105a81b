//! What an event was before each plugin that changed it, to tell which of them set a field.

use std::borrow::Cow;
use std::rc::Rc;

use jsonb::{Document, Ref};

use crate::backend::Link;

/// The versions of an event that were replaced, each with the link that replaced it.
#[derive(Default)]
pub struct History<'e> {
    versions: Vec<(Rc<Link>, Cow<'e, [u8]>)>,
}

impl<'e> History<'e> {
    pub fn add(&mut self, link: Rc<Link>, before: Cow<'e, [u8]>) {
        self.versions.push((link, before));
    }

    /// The last link that changed anything.
    pub fn last(&self) -> Option<&Link> {
        self.versions.last().map(|(link, _)| &**link)
    }

    /// The last link that set, changed or removed the field, by which it is what it is in `result`.
    pub fn author(&self, field: &str, result: &[u8]) -> Option<&Link> {
        let after = value(result, field);
        let changed = |before: &[u8]| match (value(before, field), after) {
            (Some(before), Some(after)) => !is_same(before, after),
            (before, after) => before.is_some() != after.is_some(),
        };
        let (link, _) = self.versions.iter().rev().find(|(_, before)| changed(before))?;
        Some(link)
    }
}

fn value<'a>(event: &'a [u8], field: &str) -> Option<Ref<'a>> {
    match Document::new(event).map(|event| event.root()) {
        Ok(Ref::Object(fields)) => fields.get(field).ok().flatten(),
        _ => None,
    }
}

/// Whether two values are the same bytes. Numbers that are spelt differently (1.5 and 1.50) are not.
pub fn is_same(a: Ref<'_>, b: Ref<'_>) -> bool {
    match (a, b) {
        (Ref::Null, Ref::Null) => true,
        (Ref::Bool(a), Ref::Bool(b)) => a == b,
        (Ref::String(a), Ref::String(b)) => a == b,
        (Ref::Number(a), Ref::Number(b)) => a.as_bytes() == b.as_bytes(),
        (Ref::Array(a), Ref::Array(b)) => a.as_bytes() == b.as_bytes(),
        (Ref::Object(a), Ref::Object(b)) => a.as_bytes() == b.as_bytes(),
        _ => false,
    }
}
