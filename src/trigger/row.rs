//! A row whose columns are the fields of an event: a column is converted when somebody looks at it,
//! and what plugins change is kept beside the row.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use engine::{Fields as _, Given, Patch, Verdict};
use jsonb::{Document, Object, Record, Ref, Writer};

use super::column::{Column, Read};
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
    /// In the order of their names.
    members: Vec<Member>,
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

/// A field of the event as it is now.
#[derive(Clone, Copy)]
struct Member {
    column: Option<usize>,
    /// What was set in place of the column: a change, and the pair of its object.
    set: Option<(usize, usize)>,
}

/// What became of some fields at a time.
struct Change {
    /// `None` for the marks.
    author: Option<Rc<Link>>,
    set: Vec<u8>,
    removed: HashSet<String>,
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
            members: (0..count).map(|index| Member { column: Some(index), set: None }).collect(),
            changes: Vec::new(),
            error: RefCell::new(None),
        })
    }

    /// What is not as it was, in the order of jsonb's keys.
    pub fn changed(&self) -> Result<Vec<Changed<'_>>> {
        let mut changed = Vec::new();
        for (field, member) in self.members.iter().enumerate().filter(|(_, it)| it.set.is_some()) {
            let value = self.value_of(*member).map_err(|error| self.error_of(error))?;
            if self.is_column(member.column, value)? {
                continue;
            }
            let name = self.keys().key(field)?.unwrap_or_default();
            let column = member.column.and_then(|column| self.fields.columns.get(column));
            changed.push(Changed { column, name, value: Some(value) });
        }
        if self.names.is_some() {
            let is_there: HashSet<_> = self.members.iter().map(|member| member.column).collect();
            for (index, column) in self.fields.columns.iter().enumerate() {
                // What was removed may not have been there.
                if !is_there.contains(&Some(index)) && !self.is_column(Some(index), Ref::Null)? {
                    let name = column.name.as_str();
                    changed.push(Changed { column: Some(column), name, value: None });
                }
            }
            changed.sort_by_key(|changed| (changed.name.len(), changed.name));
        }
        Ok(changed)
    }

    /// Whether the column has that value.
    fn is_column(&self, column: Option<usize>, value: Ref<'_>) -> Result<bool> {
        let Some(column) = column else { return Ok(false) };
        let before = self.column(column).map_err(|error| self.error_of(error))?;
        Ok(value.is_identical(&before))
    }

    /// The last link that set, changed or removed the field. If it was none, it was the marks.
    pub fn author(&self, field: &str) -> Option<&Link> {
        let mut current = self.fields.position(field).and_then(|column| self.column(column).ok());
        let mut author = None;
        for change in &self.changes {
            let set = object(&change.set).and_then(|set| set.get(field)).ok().flatten();
            if set.is_none() && !change.removed.contains(field) {
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

    fn value_of(&self, member: Member) -> jsonb::Result<Ref<'_>> {
        match member.set {
            Some((change, pair)) => {
                let change = self.changes.get(change).ok_or(NO_FIELD)?;
                object(&change.set)?.value(pair)?.ok_or(NO_FIELD)
            }
            None => self.column(member.column.ok_or(NO_FIELD)?),
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
            // SAFETY: as above. What is refused here PostgreSQL has an error for, which comes first.
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
                Read::Text => Converted::Text(reading::text_of(value)?),
                Read::Jsonb => Converted::Jsonb(reading::bytes_of(value)),
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
        let keys = self.keys();
        let name_of = |field: &usize| Ok(keys.key(*field)?.unwrap_or_default().to_owned());
        let removed = patch.removed.iter().map(name_of).collect::<Result<HashSet<_>>>()?;
        let change = self.changes.len();
        let (mut known, mut new) = (Vec::new(), Vec::new());
        for (pair, name) in object(&patch.set)?.keys().enumerate() {
            let name = name?;
            match keys.find(name)? {
                Ok(field) => known.push((field, (change, pair))),
                Err(_) => {
                    let column = self.fields.position(name);
                    new.push((name.to_owned(), Member { column, set: Some((change, pair)) }));
                }
            }
        }
        for (field, set) in known {
            if let Some(member) = self.members.get_mut(field) {
                member.set = Some(set);
            }
        }
        if !new.is_empty() || !patch.removed.is_empty() {
            self.rename(&patch.removed, new)?;
        }
        self.changes.push(Change { author, set: patch.set, removed });
        Ok(())
    }

    /// Leaves fields out, which come in order, and adds others.
    fn rename(&mut self, removed: &[usize], new: Vec<(String, Member)>) -> Result<()> {
        let mut members = new;
        for (field, (name, member)) in self.keys().keys().zip(&self.members).enumerate() {
            if removed.binary_search(&field).is_err() {
                members.push((name?.to_owned(), *member));
            }
        }
        members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        self.names = Some(Record::new(members.iter().map(|(name, _)| name.as_str()))?);
        self.members = members.into_iter().map(|(_, member)| member).collect();
        Ok(())
    }
}

impl engine::Fields for Row<'_> {
    fn keys(&self) -> Object<'_> {
        let names = self.names.as_ref().map(Record::keys);
        names.and_then(jsonb::Result::ok).unwrap_or(self.columns)
    }

    fn value(&self, field: usize) -> jsonb::Result<Ref<'_>> {
        self.value_of(*self.members.get(field).ok_or(NO_FIELD)?)
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
        for (key, member) in self.keys().keys().zip(&self.members) {
            out.key(key?)?;
            out.splice(self.value_of(*member).map_err(|error| self.error_of(error))?)?;
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
        if let Ok(field) = self.keys().find("properties")? {
            properties.key("properties")?;
            let value = self.value(field);
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
