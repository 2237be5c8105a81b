//! How large a written document may become.

use crate::layout::LENGTH_MASK;

/// Bounds on a document under construction. The default is what PostgreSQL itself accepts; larger
/// values are lowered to it, since the format could not hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Arrays and objects open at the same time. What is inside a spliced container is not counted.
    pub depth: usize,
    /// Elements of one array.
    pub elements: usize,
    /// Pairs of one object, those with a repeated key included.
    pub pairs: usize,
    /// Bytes of one key or string.
    pub string: usize,
    /// Bytes of the payload; also of the text, numbers and spliced containers given for it.
    pub size: usize,
}

/// PostgreSQL's `MaxAllocSize`: it keeps the children of a container in one allocation while it
/// builds or edits it, which is what bounds their number.
const MAX_ALLOCATION: usize = 0x3fff_ffff;
/// `sizeof(JsonbValue)` and `sizeof(JsonbPair)` of a 64-bit server.
const ELEMENT_SIZE: usize = 32;
const PAIR_SIZE: usize = 72;

impl Default for Limits {
    fn default() -> Self {
        Self {
            // PostgreSQL 15 parses some 10 000 levels before `max_stack_depth` (2 MB by default)
            // stops it; a document must stay readable for a caller with less stack to spare.
            depth: 4096,
            elements: MAX_ALLOCATION / ELEMENT_SIZE,
            pairs: MAX_ALLOCATION / PAIR_SIZE,
            string: LENGTH_MASK as usize,
            size: LENGTH_MASK as usize,
        }
    }
}

impl Limits {
    pub(crate) fn within_the_format(self) -> Self {
        let most = Self::default();
        Self {
            depth: self.depth,
            elements: self.elements.min(most.elements),
            pairs: self.pairs.min(most.pairs),
            string: self.string.min(most.string),
            size: self.size.min(most.size),
        }
    }

    /// Every child has an entry of four bytes, so more children than this cannot fit.
    pub(crate) fn nodes(&self) -> usize {
        self.size / 4
    }
}
