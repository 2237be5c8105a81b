//! A row whose columns are the fields of an event: a column is converted when somebody looks at it,
//! and what plugins change is kept beside the row.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use engine::{Given, Patch, Verdict};
use jsonb::{Document, Object, Record, Ref, Writer};

use super::column::Column;
use super::reading;
use super::target::Fields;
use crate::backend::Link;
use crate::chain::{self, Passing};
use crate::error::{Error, Result};
use crate::event::{self, TEAM};
use crate::host::PgHost;
use crate::marks::Marks;

/// An event whose fields are the columns of a row, which was taken apart into `fields`.
pub struct Row<'e> {
    fields: &'e Fields,
    /// An object with the columns' names.
    columns: Object<'e>,
    host: Rc<PgHost>,
    /// What was converted of each column.
    converted: Vec<OnceCell<Converted<'e>>>,
    /// The names of the fields, once they are not those of the columns.
    names: Option<Record>,
    /// Where each field has its value.
    places: Vec<Place>,
    changes: Vec<Change>,
    /// Why a column could not be converted, if PostgreSQL has not said so itself.
    error: RefCell<Option<Error>>,
}

enum Converted<'e> {
    Null,
    Text(&'e str),
    Jsonb(&'e [u8]),
    /// An object with the one value.
    Made(Vec<u8>),
}

#[derive(Clone, Copy)]
enum Place {
    Column(usize),
    /// The pair of a change's object.
    Changed {
        change: usize,
        pair: usize,
    },
}

/// What became of some fields at a time.
struct Change {
    /// `None` for the marks.
    author: Option<Rc<Link>>,
    set: Vec<u8>,
    removed: Vec<String>,
}

/// A field of the event that the plugins changed.
pub struct Changed<'r> {
    /// `None` if there is none of that name.
    pub column: Option<&'r Column>,
    pub name: &'r str,
    /// `None`: it was removed.
    pub value: Option<Ref<'r>>,
}

impl<'e> Row<'e> {
    /// `names` are those of the columns.
    pub fn new(fields: &'e Fields, names: &'e Record, host: Rc<PgHost>) -> Result<Self> {
        let count = fields.columns.len();
        Ok(Row {
            fields,
            columns: names.keys()?,
            host,
            converted: (0..count).map(|_| OnceCell::new()).collect(),
            names: None,
            places: (0..count).map(Place::Column).collect(),
            changes: Vec::new(),
            error: RefCell::new(None),
        })
    }

    /// What is not as it was, in the order of jsonb's keys.
    pub fn changed(&self) -> Result<Vec<Changed<'_>>> {
        let mut changed = Vec::new();
        if self.changes.is_empty() {
            return Ok(changed);
        }
        // Fields and columns are both in the order of jsonb's keys.
        let mut fields = self.places.iter().zip(engine::Fields::keys(self).keys()).peekable();
        let mut columns = self.fields.columns.iter().enumerate().peekable();
        loop {
            let name = match fields.peek() {
                Some((_, name)) => Some((*name)?),
                None => None,
            };
            let order = match (columns.peek(), name) {
                (Some((_, column)), Some(name)) => column.compare_key(name),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => return Ok(changed),
            };
            let column = columns.next_if(|_| order.is_le());
            let place = fields.next_if(|_| order.is_ge()).map(|(place, _)| *place);
            let value = match place {
                Some(Place::Column(_)) => continue,
                Some(place) => Some(self.value_at(place)?),
                None => None,
            };
            if let Some((index, _)) = column {
                let before = self.column(index).map_err(|error| self.error_of(error))?;
                // What was removed may not have been there.
                if value.unwrap_or(Ref::Null).is_identical(&before) {
                    continue;
                }
            }
            let column = column.map(|(_, column)| column);
            let name = column.map(|column| column.name.as_str()).or(name).unwrap_or_default();
            changed.push(Changed { column, name, value });
        }
    }

    /// The last link that set, changed or removed the field. If it was none, it was the marks.
    pub fn author(&self, field: &str) -> Option<&Link> {
        let column = self.fields.columns.iter().position(|column| column.name == field);
        let mut current = column.and_then(|column| self.column(column).ok());
        let mut author = None;
        for change in &self.changes {
            let set = object(&change.set).and_then(|set| set.get(field)).ok().flatten();
            if set.is_none() && !change.removed.iter().any(|removed| removed == field) {
                continue;
            }
            let is_same = match (&current, &set) {
                (Some(before), Some(after)) => before.is_identical(after),
                (before, after) => before.is_none() && after.is_none(),
            };
            if !is_same {
                author = change.author.as_deref();
            }
            current = set;
        }
        author
    }

    fn value_at(&self, place: Place) -> jsonb::Result<Ref<'_>> {
        match place {
            Place::Column(column) => self.column(column),
            Place::Changed { change, pair } => {
                let change = self.changes.get(change).map_or(&[][..], |change| &change.set);
                object(change)?.value(pair)?.ok_or(NO_FIELD)
            }
        }
    }

    /// The value of a column.
    fn column(&self, index: usize) -> jsonb::Result<Ref<'_>> {
        let converted = self.converted.get(index).ok_or(NO_FIELD)?;
        let converted = match converted.get() {
            Some(converted) => converted,
            None => {
                let column = self.fields.columns.get(index).ok_or(NO_FIELD)?;
                let made = self.convert(column)?;
                converted.get_or_init(|| made)
            }
        };
        match converted {
            Converted::Null => Ok(Ref::Null),
            Converted::Text(text) => Ok(Ref::String(text)),
            Converted::Jsonb(bytes) => Ok(Document::new(bytes)?.root()),
            Converted::Made(bytes) => object(bytes)?.value(0)?.ok_or(NO_FIELD),
        }
    }

    /// JavaScript may be on the stack: an error of PostgreSQL's waits until that has unwound.
    fn convert(&self, column: &Column) -> jsonb::Result<Converted<'e>> {
        let Some(value) = self.fields.value(column) else { return Ok(Converted::Null) };
        let converted = if reading::is_at_hand(&column.read, value) {
            // SAFETY: a value of this column, which the row outlives.
            unsafe { self.converted(column, value) }
        } else {
            // SAFETY: as above.
            let converted = self.host.shield(|| Ok(unsafe { self.converted(column, value) }));
            converted.unwrap_or(Err(Error::Jsonb(NO_FIELD)))
        };
        converted.map_err(|error| {
            self.error.borrow_mut().get_or_insert(error);
            NO_FIELD
        })
    }

    /// # Safety
    /// `value` is of the column, and not null.
    unsafe fn converted(
        &self,
        column: &Column,
        value: pgrx::pg_sys::Datum,
    ) -> Result<Converted<'e>> {
        // SAFETY: by contract.
        unsafe {
            Ok(match &column.read {
                super::column::Read::Text => Converted::Text(reading::text_of(value)?),
                super::column::Read::Jsonb => Converted::Jsonb(reading::bytes_of(value)),
                read => {
                    let mut record = self.fields.one.borrow_mut();
                    record.begin();
                    reading::write(&mut record, read, value)?;
                    Converted::Made(record.finish()?.to_vec())
                }
            })
        }
    }

    /// What PostgreSQL, or a conversion, has said behind an error that was for JavaScript.
    fn error_of(&self, error: jsonb::Error) -> Error {
        self.host.rethrow();
        self.error.take().unwrap_or(error.into())
    }

    fn apply(&mut self, author: Option<Rc<Link>>, patch: Patch) -> Result<()> {
        let keys = engine::Fields::keys(self);
        let mut removed = Vec::with_capacity(patch.removed.len());
        for field in patch.removed {
            removed.push(keys.key(field)?.unwrap_or_default().to_owned());
        }
        let change = self.changes.len();
        let mut places = Vec::new();
        let mut new = Vec::new();
        for (pair, name) in object(&patch.set)?.keys().enumerate() {
            let name = name?;
            match keys.find(name)? {
                Ok(field) => places.push((field, Place::Changed { change, pair })),
                Err(_) => new.push((name.to_owned(), Place::Changed { change, pair })),
            }
        }
        for (field, changed) in places {
            if let Some(place) = self.places.get_mut(field) {
                *place = changed;
            }
        }
        if !new.is_empty() || !removed.is_empty() {
            self.rename(&removed, new)?;
        }
        self.changes.push(Change { author, set: patch.set, removed });
        Ok(())
    }

    /// Leaves fields out, and adds others.
    fn rename(&mut self, removed: &[String], new: Vec<(String, Place)>) -> Result<()> {
        let mut fields = new;
        for (name, place) in engine::Fields::keys(self).keys().zip(&self.places) {
            let name = name?;
            if !removed.iter().any(|removed| removed == name) {
                fields.push((name.to_owned(), *place));
            }
        }
        fields.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        self.names = Some(Record::new(fields.iter().map(|(name, _)| name.as_str()))?);
        self.places = fields.into_iter().map(|(_, place)| place).collect();
        Ok(())
    }
}

impl engine::Fields for Row<'_> {
    fn keys(&self) -> Object<'_> {
        let names = self.names.as_ref().map(Record::keys);
        names.and_then(jsonb::Result::ok).unwrap_or(self.columns)
    }

    fn value(&self, field: usize) -> jsonb::Result<Ref<'_>> {
        self.value_at(*self.places.get(field).ok_or(NO_FIELD)?)
    }
}

impl Passing for Row<'_> {
    fn given(&self) -> Given<'_> {
        Given::Fields(self)
    }

    fn is_snapshot(&self) -> Result<bool> {
        let Some(column) = self.fields.position("event") else { return Ok(false) };
        let name = self.column(column).map_err(|error| self.error_of(error))?;
        Ok(matches!(name, Ref::String(chain::SNAPSHOT)))
    }

    fn team(&self) -> Option<i32> {
        if let Some(team) = reading::team(self.fields) {
            return team;
        }
        let column = self.fields.position(TEAM).and_then(|column| self.column(column).ok());
        event::team_from(column)
    }

    fn payload(&self) -> Result<Cow<'_, [u8]>> {
        let mut out = Writer::new();
        out.begin_object()?;
        for (key, place) in engine::Fields::keys(self).keys().zip(&self.places) {
            out.key(key?)?;
            out.splice(self.value_at(*place).map_err(|error| self.error_of(error))?)?;
        }
        out.end()?;
        Ok(Cow::Owned(out.take()?))
    }

    fn change(&mut self, link: Rc<Link>, verdict: Verdict) -> Result<()> {
        match verdict {
            Verdict::Patched(patch) => self.apply(Some(link), patch),
            _ => Ok(()),
        }
    }

    fn mark(&mut self, marks: &Marks) -> Result<()> {
        let mut properties = Writer::new();
        properties.begin_object()?;
        if let Ok(field) = engine::Fields::keys(self).find("properties")? {
            properties.key("properties")?;
            let value = engine::Fields::value(self, field);
            properties.splice(value.map_err(|error| self.error_of(error))?)?;
        }
        properties.end()?;
        match marks.apply(properties.finish()?) {
            Some(set) => self.apply(None, Patch { set, removed: Vec::new() }),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<()> {
        self.host.rethrow();
        self.error.take().map_or(Ok(()), Err)
    }
}

/// A place that the row has not.
const NO_FIELD: jsonb::Error = jsonb::Error::Malformed("a field beyond its row");

fn object(bytes: &[u8]) -> jsonb::Result<Object<'_>> {
    match Document::new(bytes)?.root() {
        Ref::Object(object) => Ok(object),
        _ => Err(NO_FIELD),
    }
}
