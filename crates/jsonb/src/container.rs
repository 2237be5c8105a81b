//! A container's entries, and where the data of each lies. Offsets count from the end of the
//! entries; they saturate, so that an impossible one fails the bounds check at its end.

use std::ops::Range;

use crate::layout::{
    ARRAY_FLAG, COUNT_MASK, Entry, Kind, LENGTH_MASK, OBJECT_FLAG, OFFSET_FLAG, OFFSET_STRIDE,
    SCALAR_FLAG, WORD, align,
};
use crate::{Error, Result};

/// What a container's header says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Array,
    Object,
    /// A scalar at the root, in an array of its own.
    Scalar,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Container<'a> {
    bytes: &'a [u8],
    entries: &'a [[u8; WORD]],
}

impl<'a> Container<'a> {
    /// Checks the header and that the entries lie inside `bytes`.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<(Shape, Self)> {
        let (header, rest) =
            bytes.split_first_chunk().ok_or(Error::Malformed("container without a header"))?;
        let header = u32::from_ne_bytes(*header);
        let count = (header & COUNT_MASK) as usize;
        let (shape, children) = match header & !COUNT_MASK {
            ARRAY_FLAG => (Shape::Array, count),
            OBJECT_FLAG => (Shape::Object, count.saturating_mul(2)),
            flags if flags == ARRAY_FLAG | SCALAR_FLAG && count == 1 => (Shape::Scalar, count),
            _ => return Err(Error::Malformed("unknown flags in a container's header")),
        };
        let entries = rest
            .get(..children.saturating_mul(WORD))
            .ok_or(Error::Malformed("entries exceed their container"))?;
        Ok((shape, Self { bytes, entries: entries.as_chunks().0 }))
    }

    /// The whole container, header included.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Elements, or keys and values.
    pub(crate) fn children(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entry(&self, index: usize) -> Result<Entry> {
        self.entries
            .get(index)
            .map(|word| Entry::of(*word))
            .ok_or(Error::Malformed("entry out of range"))
    }

    /// Where the data of child `index` starts, padding included.
    pub(crate) fn start(&self, index: usize) -> usize {
        let before = self.entries.get(..index).unwrap_or(self.entries);
        // PostgreSQL writes an offset where another writer need not. Then one sum is all it takes,
        // which is done four entries at a time where none of them can make it overflow.
        const UNUSUAL: u32 =
            OFFSET_FLAG | LENGTH_MASK & !(LENGTH_MASK / (2 * OFFSET_STRIDE as u32));
        let stride = before.len().saturating_sub(1) / OFFSET_STRIDE * OFFSET_STRIDE;
        if let Some((first, rest)) = before.get(stride..).and_then(<[_]>::split_first)
            && Entry::of(*first).holds_offset()
        {
            let words = rest.iter().map(|word| u32::from_ne_bytes(*word));
            let (lengths, bits) = words.fold((0u32, 0), |(lengths, bits), word| {
                (lengths.wrapping_add(word & LENGTH_MASK), bits | word)
            });
            if bits & UNUSUAL == 0 {
                return Entry::of(*first).length_or_offset() + lengths as usize;
            }
        }
        let mut offset = 0usize;
        for word in before.iter().rev() {
            let entry = Entry::of(*word);
            offset = offset.saturating_add(entry.length_or_offset());
            if entry.holds_offset() {
                break;
            }
        }
        offset
    }

    /// The entries of the first children, and their data.
    pub(crate) fn first_children(&self, count: usize) -> Result<(&'a [u8], &'a [u8])> {
        let malformed = Error::Malformed("entry exceeds its container");
        let entries = self.entries.get(..count).ok_or(malformed)?;
        let data = self.data()?.get(..self.start(count)).ok_or(malformed)?;
        Ok((entries.as_flattened(), data))
    }

    /// The entries of neighbouring children.
    pub(crate) fn entries(&self, range: Range<usize>) -> Result<&'a [[u8; WORD]]> {
        self.entries.get(range).ok_or(Error::Malformed("entry out of range"))
    }

    /// What follows the entries.
    pub(crate) fn data(&self) -> Result<&'a [u8]> {
        self.bytes
            .get(WORD + self.entries.len() * WORD..)
            .ok_or(Error::Malformed("entries exceed their container"))
    }

    /// Whether containers nest deeper here than so many levels, this one included.
    pub(crate) fn is_deeper_than(&self, levels: usize) -> Result<bool> {
        let Some(below) = levels.checked_sub(1) else { return Ok(true) };
        // Every level takes a header and an entry.
        if self.bytes.len() < levels.saturating_mul(2 * WORD) {
            return Ok(false);
        }
        for (index, word) in self.entries.iter().enumerate() {
            if Entry::of(*word).kind() == Some(Kind::Container) {
                let child = self.child(index)?.aligned_bytes()?;
                if Container::open(child)?.1.is_deeper_than(below)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    pub(crate) fn child(&self, index: usize) -> Result<Child<'a>> {
        Child::new(self, self.entry(index)?, self.start(index))
    }
}

/// One child of a container: its entry and its place.
pub(crate) struct Child<'a> {
    container: Container<'a>,
    entry: Entry,
    span: Range<usize>,
}

impl<'a> Child<'a> {
    fn new(container: &Container<'a>, entry: Entry, start: usize) -> Result<Self> {
        let end = entry.end(start);
        if start > end {
            return Err(Error::Malformed("offsets run backwards"));
        }
        Ok(Self { container: *container, entry, span: start..end })
    }

    pub(crate) fn kind(&self) -> Result<Kind> {
        self.entry.kind().ok_or(Error::Malformed("unknown type of entry"))
    }

    /// The data of a string.
    pub(crate) fn bytes(&self) -> Result<&'a [u8]> {
        self.data(self.span.start)
    }

    /// The data of a number or container, after its padding.
    pub(crate) fn aligned_bytes(&self) -> Result<&'a [u8]> {
        self.data(align(self.span.start))
    }

    /// The data of a key, which is a string always.
    pub(crate) fn key_bytes(&self) -> Result<&'a [u8]> {
        if !self.entry.is_string() {
            return Err(Error::Malformed("key is not a string"));
        }
        self.bytes()
    }

    fn data(&self, start: usize) -> Result<&'a [u8]> {
        self.container
            .data()?
            .get(start..self.span.end)
            .ok_or(Error::Malformed("entry exceeds its container"))
    }
}

/// Walks over neighbouring children without looking for the start of each.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    container: Container<'a>,
    next: usize,
    start: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn at(container: Container<'a>, index: usize) -> Self {
        Self { container, next: index, start: container.start(index) }
    }

    pub(crate) fn advance(&mut self) -> Result<Child<'a>> {
        let child = Child::new(&self.container, self.container.entry(self.next)?, self.start)?;
        self.next += 1;
        self.start = child.span.end;
        Ok(child)
    }
}
