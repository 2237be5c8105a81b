//! The writer: takes a document event by event. Children of open containers wait in `pending`;
//! when their container ends they move to `nodes`, for good.

use std::cmp::Ordering;
use std::ops::Range;

use crate::container::Container;
use crate::decimal::Decimal;
use crate::emit::{self, Form, Node};
use crate::layout::{Entry, Kind, align};
use crate::{Error, Limits, Object, Ref, Result};

/// Builds a jsonb payload from events.
///
/// The keys of an object come in any order; of two equal ones the later wins, as in PostgreSQL.
/// All memory is kept by [`clear`](Writer::clear), so a writer that is used again hardly allocates.
/// After an event that fails, all others up to `clear` fail with its error.
///
/// ```
/// let mut writer = jsonb::Writer::new();
/// writer.begin_object()?;
/// writer.key("answer")?;
/// writer.number_i64(42)?;
/// writer.end()?;
/// let payload = writer.finish()?;
///
/// let jsonb::Ref::Object(object) = jsonb::Document::new(payload)?.root() else { panic!() };
/// let Some(jsonb::Ref::Number(answer)) = object.get("answer")? else { panic!() };
/// assert_eq!(answer.to_i64(), Some(42));
/// # Ok::<(), jsonb::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Writer {
    limits: Limits,
    failure: Option<Error>,
    /// Keys, strings, numbers and spliced containers, as they will be copied out.
    data: Vec<u8>,
    pending: Vec<Node>,
    nodes: Vec<Node>,
    open: Vec<Open>,
    output: emit::Output,
}

/// A container whose end has not come.
#[derive(Debug)]
enum Open {
    /// An array, its children from `first` on in `pending`.
    Array { first: usize },
    /// An object: keys and values by turns from `first` on, which stand for so many pairs; `sorted`
    /// while each key came after all before it.
    Object { first: usize, pairs: usize, wants_value: bool, sorted: bool },
}

impl Writer {
    /// A writer with the limits of PostgreSQL.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer with limits of one's own.
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits: limits.within_the_format(), ..Self::default() }
    }

    /// Forgets the document, and any error in it, but keeps memory and limits.
    pub fn clear(&mut self) {
        self.failure = None;
        self.data.clear();
        self.pending.clear();
        self.nodes.clear();
        self.open.clear();
    }

    /// Opens an object; [`key`](Writer::key) and a value follow by turns until [`end`](Writer::end).
    pub fn begin_object(&mut self) -> Result<()> {
        let first = self.pending.len();
        self.event(|writer| {
            writer.begin(Open::Object { first, pairs: 0, wants_value: false, sorted: true })
        })
    }

    /// Opens an array; its elements follow until [`end`](Writer::end).
    pub fn begin_array(&mut self) -> Result<()> {
        let first = self.pending.len();
        self.event(|writer| writer.begin(Open::Array { first }))
    }

    /// Gives the key of the next value.
    pub fn key(&mut self, key: &str) -> Result<()> {
        self.event(|writer| {
            writer.admit_key()?;
            writer.push_string(key)?;
            writer.check_order(writer.pending.len() - 1);
            Ok(())
        })
    }

    /// Closes the innermost array or object.
    pub fn end(&mut self) -> Result<()> {
        self.event(Self::close)
    }

    /// Writes `null`.
    pub fn null(&mut self) -> Result<()> {
        self.value(|writer| writer.push(Kind::Null, &[]))
    }

    /// Writes `true` or `false`.
    pub fn bool(&mut self, value: bool) -> Result<()> {
        self.value(|writer| writer.push(if value { Kind::True } else { Kind::False }, &[]))
    }

    /// Writes a string; U+0000 in it is an error, for PostgreSQL has no place for it.
    pub fn string(&mut self, value: &str) -> Result<()> {
        self.value(|writer| writer.push_string(value))
    }

    /// Writes an integer.
    pub fn number_i64(&mut self, value: i64) -> Result<()> {
        self.value(|writer| writer.push_number(value.into()))
    }

    /// Writes a number as `JSON.stringify` would print it, so that `-0` is 0. NaN and the
    /// infinities are an error; `JSON.stringify` has `null` for them, which is the caller's to say.
    pub fn number_f64(&mut self, value: f64) -> Result<()> {
        self.value(|writer| writer.push_number(value.try_into()?))
    }

    /// Copies a value from another document; numbers and containers as bytes, undecoded.
    pub fn splice(&mut self, value: Ref<'_>) -> Result<()> {
        let (kind, bytes) = match value {
            Ref::Null => return self.null(),
            Ref::Bool(value) => return self.bool(value),
            Ref::String(value) => return self.string(value),
            Ref::Number(number) => (Kind::Numeric, number.as_bytes()),
            Ref::Array(array) => (Kind::Container, array.as_bytes()),
            Ref::Object(object) => (Kind::Container, object.as_bytes()),
        };
        self.value(|writer| writer.push(kind, bytes))
    }

    /// Copies neighbouring pairs of another document's object into the open one: keys and values as
    /// bytes, undecoded. Says how many bytes of data these were.
    pub fn splice_pairs(&mut self, object: Object<'_>, pairs: Range<usize>) -> Result<usize> {
        let before = self.data.len();
        if !pairs.is_empty() {
            self.event(|writer| writer.copy_pairs(object.container(), pairs))?;
        }
        Ok(self.data.len() - before)
    }

    /// The payload of the document, to be put behind a varlena header.
    pub fn finish(&mut self) -> Result<&[u8]> {
        self.lay_out()?;
        Ok(self.output.payload())
    }

    /// The payload of the document, for good.
    pub fn take(&mut self) -> Result<Vec<u8>> {
        self.lay_out()?;
        Ok(self.output.take())
    }

    /// Bytes of memory that are kept for the next document.
    pub fn capacity(&self) -> usize {
        let nodes = self.pending.capacity() + self.nodes.capacity();
        self.data.capacity() + nodes * size_of::<Node>()
    }

    fn lay_out(&mut self) -> Result<()> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if !self.open.is_empty() {
            return Err(Error::Misplaced("no end for an array or object"));
        }
        let [root] = self.pending[..] else {
            return Err(Error::Misplaced("no value"));
        };
        let limit = self.limits.size;
        self.output.lay_out(root, &self.nodes, &self.data);
        if self.output.payload().len() > limit { Err(Error::TooLarge { limit }) } else { Ok(()) }
    }

    fn event(&mut self, event: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let outcome = event(self);
        self.failure = outcome.err();
        outcome
    }

    fn value(&mut self, push: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.event(|writer| {
            writer.admit_value()?;
            push(writer)
        })
    }

    fn begin(&mut self, container: Open) -> Result<()> {
        if self.open.len() >= self.limits.depth {
            return Err(Error::TooDeep { limit: self.limits.depth });
        }
        self.admit_value()?;
        self.check_room()?;
        self.open.push(container);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let (form, first, children) = match self.open.pop() {
            Some(Open::Array { first }) => (Form::Array, first, self.pending.len() - first),
            Some(Open::Object { first, pairs, wants_value: false, sorted }) => {
                let pairs = if sorted { pairs } else { self.sort_pairs(first) };
                (Form::Object, first, 2 * pairs)
            }
            Some(Open::Object { .. }) => return Err(Error::Misplaced("a key without its value")),
            None => return Err(Error::Misplaced("an end without a beginning")),
        };
        let start = self.nodes.len();
        self.nodes.extend(self.pending.drain(first..));
        self.pending.push(Node::container(form, start..self.nodes.len(), children));
        Ok(())
    }

    fn admit_key(&mut self) -> Result<()> {
        let Some(Open::Object { pairs, wants_value, .. }) = self.open.last_mut() else {
            return Err(Error::Misplaced("a key outside an object"));
        };
        if *wants_value {
            return Err(Error::Misplaced("a key where a value is due"));
        }
        if *pairs >= self.limits.pairs {
            return Err(Error::TooManyPairs { limit: self.limits.pairs });
        }
        *pairs += 1;
        *wants_value = true;
        Ok(())
    }

    /// Checks that a value may come here and notes that it has.
    fn admit_value(&mut self) -> Result<()> {
        match self.open.last_mut() {
            None if self.pending.is_empty() => Ok(()),
            None => Err(Error::Misplaced("a second root value")),
            Some(Open::Array { first }) => {
                if self.pending.len() - *first < self.limits.elements {
                    Ok(())
                } else {
                    Err(Error::TooManyElements { limit: self.limits.elements })
                }
            }
            Some(Open::Object { wants_value, .. }) => {
                if std::mem::take(wants_value) {
                    Ok(())
                } else {
                    Err(Error::Misplaced("a value without a key"))
                }
            }
        }
    }

    fn copy_pairs(&mut self, container: Container<'_>, pairs: Range<usize>) -> Result<()> {
        let count = container.children() / 2;
        match self.open.last_mut() {
            Some(Open::Object { pairs: before, wants_value: false, .. }) => {
                *before += pairs.len();
                if *before > self.limits.pairs {
                    return Err(Error::TooManyPairs { limit: self.limits.pairs });
                }
            }
            _ => return Err(Error::Misplaced("pairs where no key is due")),
        }
        // Apart where padding begins, for what is before it may come to lie at any place.
        let values = count + pairs.start..count + pairs.end;
        let mut entries = container.entries(values)?.iter();
        let unaligned = entries.position(|entry| Entry::of(*entry).is_aligned());
        let padded = unaligned.map_or(pairs.end, |place| pairs.start + place);
        let key = self.pending.len();
        let mut key_data = container.start(pairs.start);
        let mut value_data = container.start(count + pairs.start);
        for pairs in [pairs.start..padded, padded..pairs.end] {
            if !pairs.is_empty() {
                let values = count + pairs.start..count + pairs.end;
                key_data = self.copy_children(container, pairs, key_data)?;
                value_data = self.copy_children(container, values, value_data)?;
            }
        }
        self.check_order(key);
        self.check_room()
    }

    /// Copies neighbouring children, whose data begins at `start`, as a run. Says where it ends.
    fn copy_children(
        &mut self,
        container: Container<'_>,
        children: Range<usize>,
        start: usize,
    ) -> Result<usize> {
        let malformed = Error::Malformed("entry exceeds its container");
        let entries = container.entries(children)?;
        let place = self.data.len();
        self.data.extend_from_slice(entries.as_flattened());
        let mut end = start;
        for room in self.data[place..].as_chunks_mut().0 {
            let entry = Entry::of(*room);
            let before = end;
            end = entry.end(before);
            if entry.holds_offset() {
                let length = end.checked_sub(before).ok_or(malformed)?;
                *room = entry.with_length(length).to_bytes();
            }
        }
        let mut padding = 0;
        if let Some(room) = self.data[place..].first_chunk_mut() {
            let first = Entry::of(*room);
            if first.is_aligned() {
                padding = align(start) - start;
                let length = first.length_or_offset().checked_sub(padding).ok_or(malformed)?;
                *room = first.with_length(length).to_bytes();
            }
        }
        let bytes = container.data()?.get(start + padding..end).ok_or(malformed)?;
        self.data.extend_from_slice(bytes);
        self.pending.push(Node::run(entries.len(), place, bytes.len()));
        Ok(end)
    }

    fn push_string(&mut self, value: &str) -> Result<()> {
        if value.len() > self.limits.string {
            return Err(Error::StringTooLong { length: value.len(), limit: self.limits.string });
        }
        if value.as_bytes().contains(&0) {
            return Err(Error::NulInString);
        }
        self.push(Kind::String, value.as_bytes())
    }

    fn push_number(&mut self, value: Decimal) -> Result<()> {
        let start = self.data.len();
        value.write(&mut self.data);
        self.push_leaf(Kind::Numeric, start)
    }

    fn push(&mut self, kind: Kind, bytes: &[u8]) -> Result<()> {
        let start = self.data.len();
        self.data.extend_from_slice(bytes);
        self.push_leaf(kind, start)
    }

    fn push_leaf(&mut self, kind: Kind, start: usize) -> Result<()> {
        self.check_room()?;
        self.pending.push(Node::leaf(kind, start, self.data.len() - start));
        Ok(())
    }

    /// Keeps what waits here within the size of the document it is for, which also makes every
    /// place in it fit the fields of a [`Node`].
    fn check_room(&self) -> Result<()> {
        let nodes = self.pending.len() + self.nodes.len();
        if nodes >= self.limits.nodes() || self.data.len() > self.limits.size {
            return Err(self.too_large());
        }
        Ok(())
    }

    fn too_large(&self) -> Error {
        Error::TooLarge { limit: self.limits.size }
    }

    /// Notes whether the key at `key` in `pending` comes after the one before it. Mostly they come
    /// in order, and need no sorting.
    fn check_order(&mut self, key: usize) {
        let Some(Open::Object { first, sorted, .. }) = self.open.last_mut() else { return };
        if *sorted && key >= *first + 2 {
            let previous = self.pending[key - 2].last_key(&self.data);
            let this = self.pending[key].first_key(&self.data);
            *sorted = compare_keys(previous, this).is_lt();
        }
    }

    /// Sorts the pairs from `first` on by key and leaves out those that a later one overwrites.
    /// Says how many are left.
    fn sort_pairs(&mut self, first: usize) -> usize {
        self.take_runs_apart(first);
        let data = &self.data;
        let pairs = self.pending[first..].as_chunks_mut::<2>().0;
        // Stable, so that equal keys stay in the order they came; linear where they come sorted.
        pairs.sort_by(|[a, _], [b, _]| compare_keys(a.bytes(data), b.bytes(data)));
        let mut kept = 0;
        for index in 0..pairs.len() {
            if kept > 0 && pairs[kept - 1][0].bytes(data) == pairs[index][0].bytes(data) {
                kept -= 1;
            }
            pairs[kept] = pairs[index];
            kept += 1;
        }
        self.pending.truncate(first + 2 * kept);
        kept
    }

    fn take_runs_apart(&mut self, first: usize) {
        if !self.pending[first..].iter().any(Node::is_run) {
            return;
        }
        let nodes = self.pending.split_off(first);
        for [key, value] in nodes.as_chunks::<2>().0 {
            if !key.is_run() {
                self.pending.extend_from_slice(&[*key, *value]);
                continue;
            }
            for (key, value) in key.leaves(&self.data).zip(value.leaves(&self.data)) {
                self.pending.extend_from_slice(&[key, value]);
            }
        }
    }
}

/// The order of keys in an object: by length, then by bytes.
fn compare_keys(one: &[u8], other: &[u8]) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}
