//! A number inside a payload, read as text, as `f64` or as `i64`.

use std::fmt::{self, Write};

use crate::numeric::{BASE, DIGIT_WIDTH, Digit, Header, varlena_word};
use crate::{Error, Result};

/// A number as PostgreSQL stores it: decimal, of any size, always finite.
#[derive(Debug, Clone, Copy)]
pub struct Number<'a> {
    varlena: &'a [u8],
    header: Header,
    digits: &'a [Digit],
}

/// The largest integer below which every integer is an `f64`.
pub(crate) const MAX_EXACT_INTEGER: u64 = 1 << 53;
/// The powers of ten that an `f64` holds exactly. One operation on two exact operands rounds once,
/// hence correctly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl<'a> Number<'a> {
    pub(crate) fn parse(varlena: &'a [u8]) -> Result<Self> {
        let malformed = Error::Malformed("invalid numeric");
        let (word, body) = varlena.split_first_chunk().ok_or(malformed)?;
        if u32::try_from(varlena.len()).map(varlena_word) != Ok(*word) {
            return Err(Error::Malformed("numeric differs in length from its entry"));
        }
        let (header, digits) = Header::read(body).ok_or(malformed)?;
        let (digits, []) = digits.as_chunks() else { return Err(malformed) };
        if digits.iter().any(|&digit| value(digit) >= BASE) {
            return Err(malformed);
        }
        Ok(Self { varlena, header, digits })
    }

    /// The `numeric` datum, its varlena word included.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.varlena
    }

    /// Whether both have the same value, however many decimal places they show.
    pub fn is_equal(&self, other: &Number<'_>) -> bool {
        let parts = |number: &Number<'_>| (number.header.negative, number.header.weight);
        parts(self) == parts(other) && self.digits == other.digits
    }

    /// The nearest `f64`, as parsing the decimal text gives it; beyond its range an infinity.
    pub fn to_f64(&self) -> f64 {
        self.exact_f64().unwrap_or_else(|| self.parsed_f64())
    }

    /// The value where it is an integer in the range of `i64`, whatever its decimal places show.
    pub fn to_i64(&self) -> Option<i64> {
        let weight = i32::from(self.header.weight);
        let integer_digits = usize::try_from(weight + 1).unwrap_or(0).min(self.digits.len());
        let (integer, fraction) = self.digits.split_at(integer_digits);
        if fraction.iter().any(|&digit| value(digit) != 0) {
            return None;
        }
        // Summed up below zero, where i64 has one value more.
        let mut negated = 0i64;
        for &digit in integer {
            negated = negated.checked_mul(BASE as i64)?.checked_sub(value(digit) as i64)?;
        }
        if negated != 0 {
            for _ in integer.len() as i32..weight + 1 {
                negated = negated.checked_mul(BASE as i64)?;
            }
        }
        if self.header.negative { Some(negated) } else { negated.checked_neg() }
    }

    /// The value in one floating-point operation, for mantissas and exponents that allow it.
    fn exact_f64(&self) -> Option<f64> {
        let mut mantissa = 0u64;
        for &digit in self.digits {
            mantissa = mantissa.checked_mul(BASE)?.checked_add(value(digit))?;
        }
        let last_weight = i32::from(self.header.weight) + 1 - self.digits.len() as i32;
        let mut exponent = last_weight * DIGIT_WIDTH;
        // The last digit may reach past the decimal places shown: 0.5 is stored as 5000 / 10000.
        let unseen = -exponent - i32::from(self.header.dscale);
        if unseen > 0 {
            if unseen >= DIGIT_WIDTH {
                return None;
            }
            mantissa /= 10u64.pow(unseen as u32);
            exponent += unseen;
        }
        if mantissa > MAX_EXACT_INTEGER {
            return None;
        }
        let power = EXACT_POWERS.get(exponent.unsigned_abs() as usize)?;
        let magnitude =
            if exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power };
        Some(if self.header.negative { -magnitude } else { magnitude })
    }

    fn parsed_f64(&self) -> f64 {
        let mut text = String::new();
        // Neither step can fail: a String takes all, and Display writes a sign, digits and a point.
        let _ = write!(text, "{self}");
        text.parse().unwrap_or(f64::NAN)
    }

    /// The four decimal digits at `weight`, zeros where none are stored.
    fn decimals_at(&self, weight: i32) -> [u8; DIGIT_WIDTH as usize] {
        let index = usize::try_from(i32::from(self.header.weight) - weight);
        let digit = index.ok().and_then(|index| self.digits.get(index)).map_or(0, |d| value(*d));
        [1000, 100, 10, 1].map(|unit| b'0' + (digit / unit % 10) as u8)
    }
}

fn value(digit: Digit) -> u64 {
    u64::from(u16::from_ne_bytes(digit))
}

/// The text that `numeric_out` gives: no exponent, as many decimal places as the number shows.
impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut write = |decimals: &[u8]| decimals.iter().try_for_each(|&c| f.write_char(c.into()));
        if self.header.negative {
            write(b"-")?;
        }
        let highest = i32::from(self.header.weight).max(0);
        let first = self.decimals_at(highest);
        let zeros = first.iter().take(first.len() - 1).take_while(|&&c| c == b'0').count();
        write(&first[zeros..])?;
        for weight in (0..highest).rev() {
            write(&self.decimals_at(weight))?;
        }
        let mut left = usize::from(self.header.dscale);
        if left > 0 {
            write(b".")?;
        }
        let mut weight = -1;
        while left > 0 {
            let decimals = self.decimals_at(weight);
            let shown = left.min(decimals.len());
            write(&decimals[..shown])?;
            left -= shown;
            weight -= 1;
        }
        Ok(())
    }
}
