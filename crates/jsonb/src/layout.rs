//! The bit layout shared by reader and writer. The names in quotes are PostgreSQL's
//! (`utils/jsonb.h`).

/// Flags of a container's header: `JB_FSCALAR`, `JB_FOBJECT`, `JB_FARRAY`.
pub(crate) const SCALAR_FLAG: u32 = 0x1000_0000;
pub(crate) const OBJECT_FLAG: u32 = 0x2000_0000;
pub(crate) const ARRAY_FLAG: u32 = 0x4000_0000;
/// `JB_CMASK`: the part of a header that counts elements or pairs.
pub(crate) const COUNT_MASK: u32 = 0x0fff_ffff;

/// `JENTRY_HAS_OFF`: the entry holds its end offset, not its length.
pub(crate) const OFFSET_FLAG: u32 = 0x8000_0000;
/// `JENTRY_OFFLENMASK`: the part of an entry that is a length or an offset.
pub(crate) const LENGTH_MASK: u32 = 0x0fff_ffff;
/// `JENTRY_TYPEMASK`.
const KIND_MASK: u32 = 0x7000_0000;
/// `JB_OFFSET_STRIDE`: the writer's choice; a reader looks at the flag of each entry.
pub(crate) const OFFSET_STRIDE: usize = 32;

/// Bytes of a header and of an entry.
pub(crate) const WORD: usize = 4;

/// The type bits of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    String = 0x0000_0000,
    Numeric = 0x1000_0000,
    False = 0x2000_0000,
    True = 0x3000_0000,
    Null = 0x4000_0000,
    Container = 0x5000_0000,
}

/// An entry (`JEntry`) of a container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry(u32);

impl From<Kind> for Entry {
    fn from(kind: Kind) -> Self {
        Self(kind as u32)
    }
}

impl Entry {
    pub(crate) fn of(bytes: [u8; WORD]) -> Self {
        Self(u32::from_ne_bytes(bytes))
    }

    pub(crate) fn to_bytes(self) -> [u8; WORD] {
        self.0.to_ne_bytes()
    }

    pub(crate) fn kind(self) -> Option<Kind> {
        const KINDS: [Kind; 6] =
            [Kind::String, Kind::Numeric, Kind::False, Kind::True, Kind::Null, Kind::Container];
        KINDS.get(((self.0 & KIND_MASK) >> KIND_MASK.trailing_zeros()) as usize).copied()
    }

    pub(crate) fn is_string(self) -> bool {
        self.is(Kind::String)
    }

    /// Whether its data starts at a multiple of four.
    pub(crate) fn is_aligned(self) -> bool {
        self.is(Kind::Numeric) || self.is(Kind::Container)
    }

    fn is(self, kind: Kind) -> bool {
        self.0 & KIND_MASK == kind as u32
    }

    /// The same with a length, or where it ends.
    pub(crate) fn with_length(self, length: usize) -> Self {
        Self(self.0 & KIND_MASK | length as u32)
    }

    pub(crate) fn with_end(self, offset: usize) -> Self {
        Self(self.0 & KIND_MASK | OFFSET_FLAG | offset as u32)
    }

    pub(crate) fn holds_offset(self) -> bool {
        self.0 & OFFSET_FLAG != 0
    }

    pub(crate) fn length_or_offset(self) -> usize {
        (self.0 & LENGTH_MASK) as usize
    }

    /// Where the entry ends if it starts at `start`.
    pub(crate) fn end(self, start: usize) -> usize {
        if self.holds_offset() {
            self.length_or_offset()
        } else {
            start.saturating_add(self.length_or_offset())
        }
    }
}

/// The first multiple of four at or after `offset`, where numbers and containers start.
pub(crate) fn align(offset: usize) -> usize {
    offset.saturating_add(WORD - 1) & !(WORD - 1)
}
