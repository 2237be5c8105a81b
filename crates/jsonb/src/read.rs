//! The reader: values that point into the payload. Each step checks what it touches, so bytes
//! that are not jsonb end in an error and never in a panic.

use std::cmp::Ordering;

use crate::container::{Child, Container, Cursor, Shape};
use crate::layout::Kind;
use crate::{Error, Number, Result};

/// A jsonb payload, opened at its root.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    root: Ref<'a>,
}

impl<'a> Document<'a> {
    /// Opens a payload, which is the datum without its varlena header. Only the root is looked at.
    pub fn new(payload: &'a [u8]) -> Result<Self> {
        let (shape, container) = Container::open(payload)?;
        let root = match shape {
            Shape::Array => Ref::Array(Array { container }),
            Shape::Object => Ref::Object(Object { container }),
            Shape::Scalar => match Ref::decode(&container.child(0)?)? {
                Ref::Array(_) | Ref::Object(_) => {
                    return Err(Error::Malformed("root scalar is a container"));
                }
                scalar => scalar,
            },
        };
        Ok(Self { root })
    }

    /// The value of the document.
    pub fn root(&self) -> Ref<'a> {
        self.root
    }
}

/// A value inside a payload.
#[derive(Debug, Clone, Copy)]
pub enum Ref<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number of any size.
    Number(Number<'a>),
    /// A string, checked to be UTF-8 when it was reached.
    String(&'a str),
    /// An array, its elements not yet looked at.
    Array(Array<'a>),
    /// An object, its pairs not yet looked at.
    Object(Object<'a>),
}

impl<'a> Ref<'a> {
    fn decode(child: &Child<'a>) -> Result<Self> {
        Ok(match child.kind()? {
            Kind::Null => Ref::Null,
            Kind::False => Ref::Bool(false),
            Kind::True => Ref::Bool(true),
            Kind::String => Ref::String(text(child.bytes()?)?),
            Kind::Numeric => Ref::Number(Number::parse(child.aligned_bytes()?)?),
            Kind::Container => match Container::open(child.aligned_bytes()?)? {
                (Shape::Array, container) => Ref::Array(Array { container }),
                (Shape::Object, container) => Ref::Object(Object { container }),
                (Shape::Scalar, _) => return Err(Error::Malformed("root scalar inside a value")),
            },
        })
    }
}

impl Ref<'_> {
    /// Whether both are the same bytes: numbers that are spelt differently (1.5 and 1.50) are not.
    pub fn is_identical(&self, other: &Ref<'_>) -> bool {
        match (self, other) {
            (Ref::Null, Ref::Null) => true,
            (Ref::Bool(a), Ref::Bool(b)) => a == b,
            (Ref::String(a), Ref::String(b)) => a == b,
            (Ref::Number(a), Ref::Number(b)) => a.as_bytes() == b.as_bytes(),
            (Ref::Array(a), Ref::Array(b)) => a.as_bytes() == b.as_bytes(),
            (Ref::Object(a), Ref::Object(b)) => a.as_bytes() == b.as_bytes(),
            _ => false,
        }
    }

    /// Reads all of it, of which nothing else is read before it is asked for.
    pub fn check(&self) -> Result<()> {
        let mut waiting = vec![*self];
        while let Some(value) = waiting.pop() {
            match value {
                Ref::Array(array) => {
                    for element in array.iter() {
                        waiting.push(element?);
                    }
                }
                Ref::Object(object) => {
                    for pair in object.iter() {
                        waiting.push(pair?.1);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether arrays and objects nest deeper here than so many levels. Looks at entries only.
    pub fn is_deeper_than(&self, levels: usize) -> Result<bool> {
        match self {
            Ref::Array(Array { container }) | Ref::Object(Object { container }) => {
                container.is_deeper_than(levels)
            }
            _ => Ok(false),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::NotUtf8)
}

/// An array inside a payload.
#[derive(Debug, Clone, Copy)]
pub struct Array<'a> {
    container: Container<'a>,
}

impl<'a> Array<'a> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.container.children()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`; `None` beyond the end.
    pub fn get(&self, index: usize) -> Result<Option<Ref<'a>>> {
        if index >= self.len() {
            return Ok(None);
        }
        Ref::decode(&self.container.child(index)?).map(Some)
    }

    /// The elements in order. The first error ends the iteration.
    pub fn iter(&self) -> Elements<'a> {
        Elements { cursor: Cursor::at(self.container, 0), left: self.len() }
    }

    /// The array as bytes. They are a payload of their own, as long as they stay aligned.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.container.bytes()
    }
}

/// An object inside a payload.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    container: Container<'a>,
}

impl<'a> Object<'a> {
    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.container.children() / 2
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `key`, found by binary search.
    pub fn get(&self, key: &str) -> Result<Option<Ref<'a>>> {
        self.find(key)?.ok().map_or(Ok(None), |index| self.value(index))
    }

    /// Where `key` is in the order of the keys, or else where it would be.
    pub fn find(&self, key: &str) -> Result<std::result::Result<usize, usize>> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.compare_key(middle, key.as_bytes())? {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Ok(middle)),
            }
        }
        Ok(Err(low))
    }

    /// The pair at `index` in the order of the keys; `None` beyond the end.
    pub fn pair(&self, index: usize) -> Result<Option<(&'a str, Ref<'a>)>> {
        if index >= self.len() {
            return Ok(None);
        }
        let key = text(self.container.child(index)?.key_bytes()?)?;
        let value = Ref::decode(&self.container.child(self.len() + index)?)?;
        Ok(Some((key, value)))
    }

    /// The pairs in the order of the keys: by length, then by bytes. The first error ends the
    /// iteration.
    pub fn iter(&self) -> Pairs<'a> {
        Pairs {
            keys: Cursor::at(self.container, 0),
            values: Cursor::at(self.container, self.len()),
            left: self.len(),
        }
    }

    /// The key at `index` in the order of the keys; `None` beyond the end.
    pub fn key(&self, index: usize) -> Result<Option<&'a str>> {
        if index >= self.len() {
            return Ok(None);
        }
        text(self.container.child(index)?.key_bytes()?).map(Some)
    }

    /// The value at `index` in the order of the keys; `None` beyond the end.
    pub fn value(&self, index: usize) -> Result<Option<Ref<'a>>> {
        if index >= self.len() {
            return Ok(None);
        }
        Ref::decode(&self.container.child(self.len() + index)?).map(Some)
    }

    /// The keys in their order. The first error ends the iteration.
    pub fn keys(&self) -> impl Iterator<Item = Result<&'a str>> + use<'a> {
        let mut cursor = Cursor::at(self.container, 0);
        let mut left = self.len();
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let key = cursor.advance().and_then(|child| text(child.key_bytes()?));
            if key.is_err() {
                left = 0;
            }
            Some(key)
        })
    }

    /// All that says what the keys are: their entries, and their text as it lies in the data. Two
    /// objects for which both are equal have the same keys.
    pub fn key_bytes(&self) -> Result<(&'a [u8], &'a [u8])> {
        self.container.first_children(self.len())
    }

    /// The object as bytes. They are a payload of their own, as long as they stay aligned.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.container.bytes()
    }

    pub(crate) fn container(&self) -> Container<'a> {
        self.container
    }

    /// How the key at `index` stands to `key`. Most keys differ in length, which the entry tells
    /// without the walk to its start.
    fn compare_key(&self, index: usize, key: &[u8]) -> Result<Ordering> {
        let entry = self.container.entry(index)?;
        if !entry.holds_offset() && entry.length_or_offset() != key.len() {
            return Ok(entry.length_or_offset().cmp(&key.len()));
        }
        let stored = self.container.child(index)?.key_bytes()?;
        Ok(stored.len().cmp(&key.len()).then_with(|| stored.cmp(key)))
    }
}

/// The elements of an [`Array`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Ref<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let element = self.cursor.advance().and_then(|child| Ref::decode(&child));
        if element.is_err() {
            self.left = 0;
        }
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

/// The pairs of an [`Object`].
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    keys: Cursor<'a>,
    values: Cursor<'a>,
    left: usize,
}

impl<'a> Pairs<'a> {
    fn pair(&mut self) -> Result<(&'a str, Ref<'a>)> {
        let key = text(self.keys.advance()?.key_bytes()?)?;
        let value = Ref::decode(&self.values.advance()?)?;
        Ok((key, value))
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a str, Ref<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let pair = self.pair();
        if pair.is_err() {
            self.left = 0;
        }
        Some(pair)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}
