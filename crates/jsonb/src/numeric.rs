//! The layout of a `numeric`: a varlena word, a header of two or four bytes, then digits in base
//! 10 000. The first digit stands for `digit * 10000 ^ weight`; `dscale` is the number of decimal
//! places shown. Zeros at either end are not stored.

/// A digit in base 10 000, as it lies in memory.
pub(crate) type Digit = [u8; 2];
pub(crate) const BASE: u64 = 10_000;
/// Decimal digits in a digit of base 10 000.
pub(crate) const DIGIT_WIDTH: i32 = 4;

/// The two top bits of the first header word say which kind it is.
const KIND_MASK: u16 = 0xc000;
const NEGATIVE: u16 = 0x4000;
const SHORT: u16 = 0x8000;
/// NaN and the infinities, which jsonb never holds.
const SPECIAL: u16 = 0xc000;
const LONG_DSCALE_MASK: u16 = 0x3fff;

/// The short header packs all in its one word: sign, six bits of dscale, seven of weight.
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_DSCALE_SHIFT: u32 = 7;
const SHORT_DSCALE_MAX: u16 = 63;
const SHORT_WEIGHT_MASK: u16 = 0x007f;
const SHORT_WEIGHT_BITS: u32 = 7;
const SHORT_WEIGHTS: std::ops::RangeInclusive<i16> = -64..=63;

/// All of a number but its digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) negative: bool,
    pub(crate) dscale: u16,
    pub(crate) weight: i16,
}

impl Header {
    /// Splits a numeric, without its varlena word, into header and digits.
    pub(crate) fn read(body: &[u8]) -> Option<(Self, &[u8])> {
        let (&first, rest) = body.split_first_chunk()?;
        let first = u16::from_ne_bytes(first);
        match first & KIND_MASK {
            SPECIAL => None,
            SHORT => {
                // Shifted to the top and back, so that the sign of the seven bits is kept.
                let unused = i16::BITS - SHORT_WEIGHT_BITS;
                let weight = (((first & SHORT_WEIGHT_MASK) << unused) as i16) >> unused;
                let dscale = (first >> SHORT_DSCALE_SHIFT) & SHORT_DSCALE_MAX;
                Some((Self { negative: first & SHORT_NEGATIVE != 0, dscale, weight }, rest))
            }
            sign => {
                let (&weight, digits) = rest.split_first_chunk()?;
                let header = Self {
                    negative: sign == NEGATIVE,
                    dscale: first & LONG_DSCALE_MASK,
                    weight: i16::from_ne_bytes(weight),
                };
                Some((header, digits))
            }
        }
    }

    fn is_short(self) -> bool {
        self.dscale <= SHORT_DSCALE_MAX && SHORT_WEIGHTS.contains(&self.weight)
    }

    /// Appends the header in the form that PostgreSQL would choose.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        if self.is_short() {
            let sign = if self.negative { SHORT_NEGATIVE } else { 0 };
            let weight = self.weight as u16 & SHORT_WEIGHT_MASK;
            let word = SHORT | sign | self.dscale << SHORT_DSCALE_SHIFT | weight;
            out.extend_from_slice(&word.to_ne_bytes());
        } else {
            let sign = if self.negative { NEGATIVE } else { 0 };
            out.extend_from_slice(&(sign | self.dscale).to_ne_bytes());
            out.extend_from_slice(&self.weight.to_ne_bytes());
        }
    }
}

/// The varlena word of an uncompressed value of `size` bytes, the word included: two flag bits,
/// both zero, stand in the byte that comes first in memory.
pub(crate) fn varlena_word(size: u32) -> [u8; 4] {
    if cfg!(target_endian = "little") { (size << 2).to_ne_bytes() } else { size.to_ne_bytes() }
}
