//! Objects whose keys are always the same, as the rows of a table are: all that depends on the keys
//! is laid out once, and each object is written straight into its place.

use crate::decimal::Decimal;
use crate::layout::{Entry, Kind, LENGTH_MASK, OBJECT_FLAG, OFFSET_STRIDE, WORD, align};
use crate::numeric::{Header, varlena_word};
use crate::{Document, Error, Limits, Object, Ref, Result};

/// Writes objects that have the same keys, one after the other into the same memory.
///
/// ```
/// let mut record = jsonb::Record::new(["id", "name"])?;
/// record.begin();
/// record.number_i64(7)?;
/// record.string("x")?;
/// let payload = record.finish()?;
///
/// let jsonb::Ref::Object(object) = jsonb::Document::new(payload)?.root() else { panic!() };
/// assert!(matches!(object.get("name")?, Some(jsonb::Ref::String("x"))));
/// # Ok::<(), jsonb::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Record {
    /// Header, entries and keys; the entries of the values are zero.
    beginning: Vec<u8>,
    pairs: usize,
    payload: Vec<u8>,
    /// How many values there are so far.
    values: usize,
}

impl Record {
    /// A record with these keys, which come in the order of jsonb's: by length, then by bytes.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k str>) -> Result<Self> {
        let limits = Limits::default();
        let keys: Vec<&str> = keys.into_iter().collect();
        let order = |key: &&'k str| (key.len(), key.as_bytes());
        if !keys.is_sorted_by(|a, b| order(a) < order(b)) {
            return Err(Error::Misplaced("keys of a record out of order"));
        }
        if keys.len() > limits.pairs {
            return Err(Error::TooManyPairs { limit: limits.pairs });
        }
        let mut beginning = (OBJECT_FLAG | keys.len() as u32).to_ne_bytes().to_vec();
        let mut end = 0;
        for (child, key) in keys.iter().enumerate() {
            check_string(key)?;
            let start = end;
            end += key.len();
            beginning.extend_from_slice(&entry(Kind::String, child, start, end).to_bytes());
        }
        beginning.resize(WORD + 2 * keys.len() * WORD, 0);
        keys.iter().for_each(|key| beginning.extend_from_slice(key.as_bytes()));
        if beginning.len() > limits.size {
            return Err(Error::TooLarge { limit: limits.size });
        }
        Ok(Record { beginning, pairs: keys.len(), payload: Vec::new(), values: 0 })
    }

    /// An object with the keys, whose values mean nothing.
    pub fn keys(&self) -> Result<Object<'_>> {
        match Document::new(&self.beginning)?.root() {
            Ref::Object(keys) => Ok(keys),
            _ => Err(Error::Misplaced("a record that is no object")),
        }
    }

    /// Begins the next object; its values follow in the order of the keys.
    pub fn begin(&mut self) {
        self.payload.clear();
        self.payload.extend_from_slice(&self.beginning);
        self.values = 0;
    }

    /// Writes `null`.
    pub fn null(&mut self) -> Result<()> {
        self.value(Kind::Null, &[])
    }

    /// Writes `true` or `false`.
    pub fn bool(&mut self, value: bool) -> Result<()> {
        self.value(if value { Kind::True } else { Kind::False }, &[])
    }

    /// Writes a string; U+0000 in it is an error.
    pub fn string(&mut self, value: &str) -> Result<()> {
        check_string(value)?;
        self.value(Kind::String, value.as_bytes())
    }

    /// Writes an integer.
    pub fn number_i64(&mut self, value: i64) -> Result<()> {
        self.number(value.into())
    }

    /// Writes a number as `JSON.stringify` would print it. NaN and the infinities are an error.
    pub fn number_f64(&mut self, value: f64) -> Result<()> {
        self.number(value.try_into()?)
    }

    /// Writes a `numeric`, of which this is all but its varlena header. NaN and the infinities are
    /// an error.
    pub fn numeric(&mut self, body: &[u8]) -> Result<()> {
        Header::read(body).ok_or(Error::NotFinite)?;
        let size = WORD + body.len();
        if size > LENGTH_MASK as usize {
            return Err(Error::TooLarge { limit: LENGTH_MASK as usize });
        }
        self.write(Kind::Numeric, |payload| {
            payload.extend_from_slice(&varlena_word(size as u32));
            payload.extend_from_slice(body);
        })
    }

    /// Copies a value from another document.
    pub fn splice(&mut self, value: Ref<'_>) -> Result<()> {
        match value {
            Ref::Null => self.null(),
            Ref::Bool(value) => self.bool(value),
            Ref::String(value) => self.string(value),
            Ref::Number(number) => self.value(Kind::Numeric, number.as_bytes()),
            Ref::Array(array) => self.value(Kind::Container, array.as_bytes()),
            Ref::Object(object) => self.value(Kind::Container, object.as_bytes()),
        }
    }

    /// The payload of the object.
    pub fn finish(&mut self) -> Result<&[u8]> {
        if self.values < self.pairs || self.payload.is_empty() {
            return Err(Error::Misplaced("a record without all its values"));
        }
        Ok(&self.payload)
    }

    /// Gives memory back that the next objects will hardly need.
    pub fn shrink_to(&mut self, bytes: usize) {
        if self.payload.capacity() > bytes {
            self.payload = Vec::new();
        }
    }

    fn number(&mut self, value: Decimal) -> Result<()> {
        self.write(Kind::Numeric, |payload| value.write(payload))
    }

    fn value(&mut self, kind: Kind, bytes: &[u8]) -> Result<()> {
        self.write(kind, |payload| payload.extend_from_slice(bytes))
    }

    fn write(&mut self, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        if self.values == self.pairs {
            return Err(Error::Misplaced("a value beyond the keys of a record"));
        }
        let data = WORD + 2 * self.pairs * WORD;
        let start = self.payload.len() - data;
        if matches!(kind, Kind::Numeric | Kind::Container) {
            self.payload.resize(data + align(start), 0);
        }
        write(&mut self.payload);
        let end = self.payload.len() - data;
        let limit = LENGTH_MASK as usize;
        if data + end > limit {
            return Err(Error::TooLarge { limit });
        }
        let child = self.pairs + self.values;
        let place = WORD + child * WORD;
        let entry = entry(kind, child, start, end);
        self.payload[place..place + WORD].copy_from_slice(&entry.to_bytes());
        self.values += 1;
        Ok(())
    }
}

fn entry(kind: Kind, child: usize, start: usize, end: usize) -> Entry {
    let entry = Entry::from(kind);
    if child.is_multiple_of(OFFSET_STRIDE) {
        entry.with_end(end)
    } else {
        entry.with_length(end - start)
    }
}

fn check_string(value: &str) -> Result<()> {
    let limit = Limits::default().string;
    if value.len() > limit {
        return Err(Error::StringTooLong { length: value.len(), limit });
    }
    if value.as_bytes().contains(&0) { Err(Error::NulInString) } else { Ok(()) }
}
