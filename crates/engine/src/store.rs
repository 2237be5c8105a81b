//! What plugins keep: the operations of `meta.storage` and `meta.cache`, what each does to a key, and
//! what one transaction has done to all of them. Pure: the host knows where keys are kept, hands in
//! what they hold, and writes down what has changed.

mod change;
mod entry;
mod key;
mod ledger;
mod slot;

use std::fmt;

pub use change::{Change, Effect};
pub use entry::{Content, Entry};
pub use key::{Key, Owner};
pub use ledger::{Changed, ChangedKey, Ledger, Left, Level};
pub use slot::{Pending, Slot};

/// Longest value, and longest list: PostgreSQL holds more, a session that reads it with every event
/// should not.
pub const LARGEST_VALUE: usize = 1 << 20;

/// Where a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// One config's own, for as long as the config is there.
    Storage,
    /// Shared by the configs of a plugin and team, until it expires.
    Cache,
}

/// One operation on one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub place: Place,
    pub key: String,
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Get,
    /// With seconds, it expires then; without, never.
    Set {
        value: String,
        seconds: Option<f64>,
    },
    Delete,
    /// Adds to a number of any kind.
    Increment(f64),
    /// Adds one to an integer, as Redis does.
    CountUp,
    /// Sets a number where nothing is.
    Begin(f64),
    Expire(f64),
    /// At the head, one after the other.
    Push(Vec<String>),
    /// Both ends included; negative ones count from the tail.
    Range(f64, f64),
    Length,
    /// So many from the head.
    Pop(f64),
    /// So many equal ones from the head, or from the tail if it is negative; 0 is all.
    Remove(f64, String),
}

impl Action {
    /// Whether it leaves everything as it is.
    pub fn only_reads(&self) -> bool {
        matches!(self, Action::Get | Action::Range(..) | Action::Length)
    }

    /// Whether it is the same whatever the key holds.
    fn is_blind(&self) -> bool {
        matches!(self, Action::Set { .. } | Action::Delete)
    }

    /// About how many bytes it adds at most.
    fn bytes(&self) -> usize {
        size_of::<Change>()
            + match self {
                Action::Set { value, .. } | Action::Remove(_, value) => value.len(),
                // In the list, and among the changes.
                Action::Push(elements) => 2 * entry::list_bytes(elements),
                _ => 0,
            }
    }
}

/// What an operation returns to the plugin.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Nothing,
    /// There is no such key.
    Missing,
    Text(String),
    Number(f64),
    Bool(bool),
    List(Vec<String>),
}

/// Why something was not done. The plugin gets it as an error with the property `code`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A PostgreSQL SQLSTATE.
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}
