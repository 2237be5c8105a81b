//! Decimal numbers of any length, and their rounding: a double is the shortest decimal that means
//! it, as in ICU, so 1.005 rounds to 1.01.

/// No double is farther from 1; so the zeros that are written out stay few.
const LARGEST_EXPONENT: u32 = 400;

/// A number as digits: 0.d₁d₂d₃… × 10^`point`, without zeros at either end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decimal {
    pub(super) is_negative: bool,
    pub(super) digits: Vec<u8>,
    pub(super) point: i64,
}

/// Where a number of ECMA-402 is rounded to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    Ceil,
    Floor,
    Expand,
    Trunc,
    HalfCeil,
    HalfFloor,
    HalfExpand,
    HalfTrunc,
    HalfEven,
}

impl Mode {
    pub(super) fn of(name: &str) -> Mode {
        match name {
            "ceil" => Mode::Ceil,
            "floor" => Mode::Floor,
            "expand" => Mode::Expand,
            "trunc" => Mode::Trunc,
            "halfCeil" => Mode::HalfCeil,
            "halfFloor" => Mode::HalfFloor,
            "halfTrunc" => Mode::HalfTrunc,
            "halfEven" => Mode::HalfEven,
            _ => Mode::HalfExpand,
        }
    }
}

impl Decimal {
    /// Reads what `String(number)` gives for a finite number, and decimal literals.
    pub(super) fn parse(text: &str) -> Option<Decimal> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        if exponent.unsigned_abs() > LARGEST_EXPONENT {
            return None;
        }
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || integer.bytes().chain(fraction.bytes());
        if integer.is_empty() && fraction.is_empty() || !all().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all().map(|byte| byte - b'0').collect();
        let point = integer.len() as i64 + i64::from(exponent);
        Some(Decimal { is_negative, digits, point }.trimmed())
    }

    fn trimmed(mut self) -> Decimal {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..zeros);
        self.point -= zeros as i64;
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.point = 0;
        }
        self
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The power of ten of its first digit.
    pub(super) fn power(&self) -> i64 {
        if self.is_zero() { 0 } else { self.point - 1 }
    }

    /// Rounded to so many digits after the decimal point, or before it if below zero.
    pub(super) fn rounded(&self, places: i64, mode: Mode) -> Decimal {
        let kept = self.point.saturating_add(places);
        if kept >= self.digits.len() as i64 {
            return self.clone();
        }
        let kept_digits = usize::try_from(kept).unwrap_or(0);
        let (head, tail) = self.digits.split_at(kept_digits.min(self.digits.len()));
        let half = if kept < 0 {
            std::cmp::Ordering::Less
        } else {
            match tail {
                [5] => std::cmp::Ordering::Equal,
                [first, ..] => first.cmp(&5).then(std::cmp::Ordering::Greater),
                [] => std::cmp::Ordering::Less,
            }
        };
        let is_odd = head.last().is_some_and(|digit| digit % 2 == 1);
        let up = match mode {
            Mode::Ceil => !self.is_negative,
            Mode::Floor => self.is_negative,
            Mode::Expand => true,
            Mode::Trunc => false,
            Mode::HalfCeil if !self.is_negative => half.is_ge(),
            Mode::HalfFloor if self.is_negative => half.is_ge(),
            Mode::HalfExpand => half.is_ge(),
            Mode::HalfEven if is_odd => half.is_ge(),
            _ => half.is_gt(),
        };
        let mut digits = head.to_vec();
        // Digits that would begin before the place they are rounded to leave nothing, or one there.
        let mut point = if kept < 0 { places.saturating_neg() } else { self.point };
        if up {
            match digits.iter().rposition(|digit| *digit != 9) {
                Some(at) => {
                    digits.truncate(at + 1);
                    if let Some(digit) = digits.last_mut() {
                        *digit += 1;
                    }
                }
                None => {
                    digits = vec![1];
                    point += 1;
                }
            }
        }
        Decimal { is_negative: self.is_negative, digits, point }.trimmed()
    }

    /// Rounded to so many significant digits.
    pub(super) fn significant(&self, count: i64, mode: Mode) -> Decimal {
        self.rounded(count - self.point, mode)
    }

    /// The digits before and after the decimal point, with at least so many of each.
    pub(super) fn shown(&self, least_integer: usize, least_fraction: usize) -> (String, String) {
        let digit = |at: i64| {
            let found = usize::try_from(at).ok().and_then(|at| self.digits.get(at));
            char::from(b'0' + found.copied().unwrap_or(0))
        };
        let integer: String = (0..self.point).map(digit).collect();
        let end = self.digits.len() as i64;
        let mut fraction: String = (self.point..end.max(self.point)).map(digit).collect();
        while fraction.len() < least_fraction {
            fraction.push('0');
        }
        (format!("{integer:0>least_integer$}"), fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_exponent_makes_a_number_of_many_zeros() {
        for text in ["1e401", "1e-401", "1e2147483647", "1e-2147483648", "1e99999999999"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(Decimal::parse("5e-324").map(|number| number.power()), Some(-324));
    }
}
