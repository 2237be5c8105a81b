//! The writer: takes a document event by event. Children of open containers wait in `pending`;
//! when their container ends they move to `children`, in the order in which they will be laid out.

use std::ops::Range;

use crate::container::Container;
use crate::decimal::Decimal;
use crate::emit::{self, Form, Node};
use crate::layout::{Entry, WORD, align};
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
    children: Vec<Node>,
    open: Vec<Open>,
    output: emit::Output,
}

/// Neighbouring children of another container, whose data lies copied here.
struct Copied<'a> {
    entries: std::slice::Iter<'a, [u8; WORD]>,
    /// Where the next child, all, and the end are in the data of their container.
    next: usize,
    start: usize,
    end: usize,
    copy: usize,
}

impl Copied<'_> {
    #[inline]
    fn next_node(&mut self) -> Result<Node> {
        let malformed = Error::Malformed("entry exceeds its container");
        let entry = Entry(u32::from_ne_bytes(*self.entries.next().ok_or(malformed)?));
        let form = Form::of_bytes(entry).ok_or(Error::Malformed("unknown type of entry"))?;
        let start = if form.is_aligned() { align(self.next) } else { self.next };
        let end = entry.end(self.next);
        if start > end || end > self.end {
            return Err(malformed);
        }
        self.next = end;
        Ok(Node::leaf(form, self.copy + (start - self.start), end - start))
    }
}

/// A container whose end has not come.
#[derive(Debug)]
enum Open {
    /// An array, its children from `first` on in `pending`.
    Array { first: usize },
    /// An object: keys and values by turns from `first` on; `sorted` while each key came after all
    /// before it.
    Object { first: usize, wants_value: bool, sorted: bool },
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
        self.children.clear();
        self.open.clear();
    }

    /// Opens an object; [`key`](Writer::key) and a value follow by turns until [`end`](Writer::end).
    pub fn begin_object(&mut self) -> Result<()> {
        let first = self.pending.len();
        self.event(|writer| writer.begin(Open::Object { first, wants_value: false, sorted: true }))
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
        self.value(|writer| writer.push(Form::Null, &[]))
    }

    /// Writes `true` or `false`.
    pub fn bool(&mut self, value: bool) -> Result<()> {
        self.value(|writer| writer.push(if value { Form::True } else { Form::False }, &[]))
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
        let (form, bytes) = match value {
            Ref::Null => return self.null(),
            Ref::Bool(value) => return self.bool(value),
            Ref::String(value) => return self.string(value),
            Ref::Number(number) => (Form::Number, number.as_bytes()),
            Ref::Array(array) => (Form::Spliced, array.as_bytes()),
            Ref::Object(object) => (Form::Spliced, object.as_bytes()),
        };
        self.value(|writer| writer.push(form, bytes))
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
        let nodes = self.pending.capacity() + self.children.capacity();
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
        self.output.lay_out(root, &self.children, &self.data);
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
        let (form, first) = match self.open.pop() {
            Some(Open::Array { first }) => (Form::Array, first),
            Some(Open::Object { first, wants_value: false, sorted }) => {
                if !sorted {
                    self.sort_pairs(first);
                }
                (Form::Object, first)
            }
            Some(Open::Object { .. }) => return Err(Error::Misplaced("a key without its value")),
            None => return Err(Error::Misplaced("an end without a beginning")),
        };
        let start = self.children.len();
        if form == Form::Object {
            let pairs = self.pending[first..].as_chunks::<2>().0;
            self.children.extend(pairs.iter().map(|[key, _]| key));
            self.children.extend(pairs.iter().map(|[_, value]| value));
        } else {
            self.children.extend_from_slice(&self.pending[first..]);
        }
        self.pending.truncate(first);
        let node = Node::container(form, start, &self.children[start..], self.limits.size);
        self.pending.push(node.ok_or(self.too_large())?);
        Ok(())
    }

    fn admit_key(&mut self) -> Result<()> {
        let Some(Open::Object { first, wants_value, .. }) = self.open.last_mut() else {
            return Err(Error::Misplaced("a key outside an object"));
        };
        if *wants_value {
            return Err(Error::Misplaced("a key where a value is due"));
        }
        if (self.pending.len() - *first) / 2 >= self.limits.pairs {
            return Err(Error::TooManyPairs { limit: self.limits.pairs });
        }
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

    /// What the children of the range have in common is copied at once, padding included.
    fn copy_pairs(&mut self, container: Container<'_>, pairs: Range<usize>) -> Result<()> {
        let malformed = Error::Malformed("entry exceeds its container");
        let count = container.children() / 2;
        let data = container.data()?;
        if pairs.end > count {
            return Err(malformed);
        }
        match self.open.last() {
            Some(Open::Object { first, wants_value: false, .. }) => {
                if (self.pending.len() - first) / 2 + pairs.len() > self.limits.pairs {
                    return Err(Error::TooManyPairs { limit: self.limits.pairs });
                }
            }
            _ => return Err(Error::Misplaced("pairs where no key is due")),
        }
        let mut keys = self.copy_children(container, data, pairs.clone())?;
        let mut values =
            self.copy_children(container, data, count + pairs.start..count + pairs.end)?;
        self.pending.reserve(2 * pairs.len());
        let first = self.pending.len();
        for _ in pairs {
            let key = keys.next_node()?;
            if !key.is_string() {
                return Err(Error::Malformed("key is not a string"));
            }
            self.pending.push(key);
            self.pending.push(values.next_node()?);
        }
        self.check_order(first);
        self.check_room()
    }

    /// Copies the data of neighbouring children at once, padding included.
    fn copy_children<'a>(
        &mut self,
        container: Container<'a>,
        data: &[u8],
        children: Range<usize>,
    ) -> Result<Copied<'a>> {
        let start = container.start(children.start);
        let end = container.start(children.end);
        let bytes = data.get(start..end).ok_or(Error::Malformed("entry exceeds its container"))?;
        // Modulo the alignment the copy lies as the source did, so that both have the same padding.
        let misfit = (start % WORD + WORD - self.data.len() % WORD) % WORD;
        self.data.resize(self.data.len() + misfit, 0);
        let copy = self.data.len();
        self.data.extend_from_slice(bytes);
        Ok(Copied { entries: container.entries(children)?, next: start, start, end, copy })
    }

    fn push_string(&mut self, value: &str) -> Result<()> {
        if value.len() > self.limits.string {
            return Err(Error::StringTooLong { length: value.len(), limit: self.limits.string });
        }
        if value.as_bytes().contains(&0) {
            return Err(Error::NulInString);
        }
        self.push(Form::String, value.as_bytes())
    }

    fn push_number(&mut self, value: Decimal) -> Result<()> {
        let start = self.data.len();
        value.write(&mut self.data);
        self.push_leaf(Form::Number, start)
    }

    fn push(&mut self, form: Form, bytes: &[u8]) -> Result<()> {
        let start = self.data.len();
        self.data.extend_from_slice(bytes);
        self.push_leaf(form, start)
    }

    fn push_leaf(&mut self, form: Form, start: usize) -> Result<()> {
        self.check_room()?;
        self.pending.push(Node::leaf(form, start, self.data.len() - start));
        Ok(())
    }

    /// Keeps what waits here within the size of the document it is for, which also makes every
    /// place in it fit the fields of a [`Node`].
    fn check_room(&self) -> Result<()> {
        let nodes = self.pending.len() + self.children.len();
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
            let [previous, this] = [key - 2, key].map(|place| &self.pending[place]);
            let order = previous.size().cmp(&this.size());
            *sorted =
                order.then_with(|| previous.bytes(&self.data).cmp(this.bytes(&self.data))).is_lt();
        }
    }

    /// Sorts the pairs from `first` on by key and leaves out those that a later one overwrites.
    fn sort_pairs(&mut self, first: usize) {
        let data = &self.data;
        let pairs = self.pending[first..].as_chunks_mut::<2>().0;
        // Stable, so that equal keys stay in the order they came; linear where they come sorted.
        pairs.sort_by(|[a, _], [b, _]| {
            a.size().cmp(&b.size()).then_with(|| a.bytes(data).cmp(b.bytes(data)))
        });
        let mut kept = 0;
        for index in 0..pairs.len() {
            if kept > 0 && pairs[kept - 1][0].bytes(data) == pairs[index][0].bytes(data) {
                kept -= 1;
            }
            pairs[kept] = pairs[index];
            kept += 1;
        }
        self.pending.truncate(first + 2 * kept);
    }
}
