//! An event whose fields lie apart.

use std::cell::RefCell;

use engine::{Fields, Patch};
use jsonb::{Document, Object, Ref, Writer};

/// Remembers which fields were asked for.
pub struct Apart {
    keys: Vec<u8>,
    /// Objects with the one field.
    fields: Vec<Vec<u8>>,
    pub asked: RefCell<Vec<String>>,
    /// A field that cannot be had.
    pub broken: Option<&'static str>,
}

impl Apart {
    pub fn new(event: &[u8]) -> Self {
        let mut keys = Writer::new();
        keys.begin_object().unwrap();
        let mut fields = Vec::new();
        for pair in object(event).iter() {
            let (key, value) = pair.unwrap();
            keys.key(key).unwrap();
            keys.null().unwrap();
            let mut field = Writer::new();
            field.begin_object().unwrap();
            field.key(key).unwrap();
            field.splice(value).unwrap();
            field.end().unwrap();
            fields.push(field.take().unwrap());
        }
        keys.end().unwrap();
        let keys = keys.take().unwrap();
        Apart { keys, fields, asked: RefCell::default(), broken: None }
    }

    pub fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.take();
        asked.sort();
        asked.dedup();
        asked
    }

    /// The whole event after the patch.
    pub fn patched(&self, patch: &Patch) -> Vec<u8> {
        let mut out = Writer::new();
        out.begin_object().unwrap();
        for (number, field) in self.fields.iter().enumerate() {
            let (key, value) = object(field).pair(0).unwrap().unwrap();
            if !patch.removed.contains(&number) {
                out.key(key).unwrap();
                out.splice(value).unwrap();
            }
        }
        for pair in object(&patch.set).iter() {
            let (key, value) = pair.unwrap();
            out.key(key).unwrap();
            out.splice(value).unwrap();
        }
        out.end().unwrap();
        out.take().unwrap()
    }
}

impl Fields for Apart {
    fn keys(&self) -> Object<'_> {
        object(&self.keys)
    }

    fn value(&self, field: usize) -> jsonb::Result<Ref<'_>> {
        let (key, value) = object(&self.fields[field]).pair(0)?.unwrap();
        self.asked.borrow_mut().push(key.to_owned());
        if self.broken == Some(key) {
            return Err(jsonb::Error::Malformed("broken"));
        }
        Ok(value)
    }
}

fn object(bytes: &[u8]) -> Object<'_> {
    match Document::new(bytes).unwrap().root() {
        Ref::Object(object) => object,
        _ => panic!("no object"),
    }
}
