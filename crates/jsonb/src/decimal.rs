//! Numbers to be written: `i64` and `f64` to the bytes that PostgreSQL builds for the text that
//! `JSON.stringify` prints for them.

use crate::number::MAX_EXACT_INTEGER;
use crate::numeric::{BASE, DIGIT_WIDTH, Header, varlena_word};
use crate::{Error, Result};

/// The value `mantissa * 10 ^ exponent`, with a sign.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

/// The 20 decimal digits of a `u64`, moved by up to three places, fill six digits at most.
const MAX_DIGITS: usize = 6;

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self { negative: value < 0, mantissa: value.unsigned_abs(), exponent: 0 }
    }
}

impl TryFrom<f64> for Decimal {
    type Error = Error;

    fn try_from(value: f64) -> Result<Self> {
        if !value.is_finite() {
            return Err(Error::NotFinite);
        }
        if value.trunc() == value && value.abs() <= MAX_EXACT_INTEGER as f64 {
            return Ok(Self::from(value as i64));
        }
        let mut buffer = zmij::Buffer::new();
        let magnitude = buffer.format_finite(value.abs());
        Ok(Self { negative: value < 0.0, ..Self::parse(magnitude) })
    }
}

impl Decimal {
    /// Reads digits with an optional point and exponent.
    fn parse(text: &str) -> Self {
        let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let fraction = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let mut exponent = exponent.parse::<i32>().unwrap_or(0) - fraction as i32;
        let mut mantissa = 0u64;
        // Zeros count only once a digit follows them: those that fill up to the point, as in
        // 1e22, would overflow a mantissa that has 17 digits to carry.
        let mut places = 0;
        for c in digits.bytes().filter(u8::is_ascii_digit) {
            places += 1;
            if c != b'0' {
                mantissa = mantissa * 10u64.pow(places) + u64::from(c - b'0');
                places = 0;
            }
        }
        exponent += places as i32;
        Self { negative: false, mantissa, exponent }
    }

    /// Appends the numeric, its varlena word first.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let mut digits = [0u16; MAX_DIGITS];
        let mut count = 0;
        let mut push = |digit: u64| {
            digits[count] = digit as u16;
            count += 1;
        };
        let mut rest = self.mantissa;
        // The lowest digit takes what lies above the multiple of four that is its exponent.
        let shift = self.exponent.rem_euclid(DIGIT_WIDTH) as u32;
        let lowest_weight = self.exponent.div_euclid(DIGIT_WIDTH);
        let taken = BASE / 10u64.pow(shift);
        push(rest % taken * 10u64.pow(shift));
        rest /= taken;
        while rest > 0 {
            push(rest % BASE);
            rest /= BASE;
        }

        let stored = &digits[..count];
        let zeros = stored.iter().take_while(|&&digit| digit == 0).count();
        let stored = &stored[zeros..];
        let is_zero = stored.is_empty();
        let header = Header {
            negative: self.negative && !is_zero,
            dscale: (-self.exponent).max(0) as u16,
            weight: if is_zero { 0 } else { (lowest_weight + count as i32 - 1) as i16 },
        };

        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        header.write(out);
        for digit in stored.iter().rev() {
            out.extend_from_slice(&digit.to_ne_bytes());
        }
        let size = (out.len() - start) as u32;
        out[start..start + 4].copy_from_slice(&varlena_word(size));
    }
}
