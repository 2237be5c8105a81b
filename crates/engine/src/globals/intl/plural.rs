//! Which form of a word goes with a number, by the rules of the languages there are tables of.

/// A number as the rules see it: its digits as they are shown.
pub(super) struct Shown<'a> {
    pub(super) integer: &'a str,
    pub(super) fraction: &'a str,
    /// The power of ten that a compact number's word stands for.
    pub(super) power: usize,
}

pub(super) fn cardinal(language: &str, number: &Shown<'_>) -> &'static str {
    let digits = number.integer.trim_start_matches('0');
    let is_whole = number.fraction.bytes().all(|digit| digit == b'0');
    let has_no_fraction = number.fraction.is_empty();
    let is_one = digits == "1";
    let is_zero = digits.is_empty();
    // Romance languages say "a million of".
    let is_many = if number.power == 0 {
        !is_zero && has_no_fraction && digits.ends_with("000000")
    } else {
        number.power > 5
    };
    let one = match language {
        "fr" | "pt" => is_one || is_zero,
        "es" => is_one && is_whole,
        _ => is_one && has_no_fraction,
    };
    match language {
        _ if one => "one",
        "fr" | "es" | "it" | "pt" | "pt-PT" if is_many => "many",
        _ => "other",
    }
}

pub(super) fn ordinal(language: &str, number: &Shown<'_>) -> &'static str {
    if number.fraction.bytes().any(|digit| digit != b'0') {
        return "other";
    }
    let digits = number.integer;
    let last = |count: usize| -> u32 {
        let tail = digits.get(digits.len().saturating_sub(count)..).unwrap_or_default();
        tail.parse().unwrap_or(0)
    };
    let (one, two) = (last(1), last(2));
    let value = if digits.trim_start_matches('0').len() > 3 { u32::MAX } else { last(3) };
    match language {
        "en" if one == 1 && two != 11 => "one",
        "en" if one == 2 && two != 12 => "two",
        "en" if one == 3 && two != 13 => "few",
        "fr" if value == 1 => "one",
        "it" if matches!(value, 8 | 11 | 80 | 800) => "many",
        "sv" if matches!(one, 1 | 2) && !matches!(two, 11 | 12) => "one",
        _ => "other",
    }
}
