//! What a key holds.

use std::collections::VecDeque;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub content: Content,
    /// Microseconds since 1970.
    pub expires_at: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    /// From head to tail; never empty.
    List(VecDeque<String>),
}

/// What a short text costs besides its bytes.
const ELEMENT_BYTES: usize = 24;

impl Entry {
    pub fn text(text: impl Into<String>) -> Self {
        Entry { content: Content::Text(text.into()), expires_at: None }
    }

    pub fn is_over(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        match &self.content {
            Content::Text(text) => text.len(),
            Content::List(list) => list_bytes(list),
        }
    }
}

/// About how much memory elements take.
pub(super) fn list_bytes<'a>(elements: impl IntoIterator<Item = &'a String>) -> usize {
    elements.into_iter().map(|element| element.len() + ELEMENT_BYTES).sum()
}

/// A number as JavaScript would write it, so that it is JSON as well.
pub(super) fn number_text(number: f64) -> String {
    // From here on the digits would be mostly zeros.
    if number == 0.0 || (1e-6..1e21).contains(&number.abs()) {
        // Without the sign of -0.
        format!("{}", number + 0.0)
    } else {
        format!("{number:e}")
    }
}

/// The text after adding; `None` if it is no number.
pub(super) fn sum(text: &str, amount: f64) -> Option<String> {
    // Integers keep all of their digits.
    if let Ok(integer) = text.parse::<i64>()
        && amount.fract() == 0.0
        && amount.abs() < 2f64.powi(53)
        && let Some(sum) = integer.checked_add(amount as i64)
    {
        return Some(sum.to_string());
    }
    let number: f64 = text.trim().parse().ok()?;
    let sum = number + amount;
    sum.is_finite().then(|| number_text(sum))
}
