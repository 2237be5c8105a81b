//! PostgreSQL's on-disk `jsonb`, read in place and written directly, without the server.
//!
//! A payload is what `VARDATA` of a detoasted datum points to: the root container, in the byte
//! order of the machine, the same for PostgreSQL 13 to 18.
//!
//! ```text
//! container   header: u32   count of elements or pairs | array / object / scalar flag
//!             entries: u32  one per element; an object has its keys first, then its values
//!             data          of the children, in the order of their entries
//! entry       has-offset bit | type (3 bits) | length or end offset (28 bits)
//! ```
//!
//! - Entries hold lengths, which compress well; every 32nd holds the end offset from the start of
//!   the data instead, so that a child is found by looking at 32 entries at most.
//! - Keys are unique and sorted by length, then by bytes; this is what makes lookup a binary search.
//! - Numbers (`numeric` varlenas) and nested containers start at a multiple of four. The padding
//!   stands before them and counts as part of their entry.
//! - A scalar at the root is stored as an array of one element that carries the scalar flag.
//!
//! [`Document`] gives a [`Ref`] to the root, from which the rest is reached lazily: nothing is
//! decoded, checked or copied before it is asked for. [`Writer`] takes the events of a document,
//! keys in any order, and [`Writer::splice`] copies what was read without decoding it. [`Record`]
//! writes objects that all have the same keys. [`diff`] compares two documents.

mod container;
mod contains;
mod decimal;
mod diff;
mod emit;
mod error;
mod layout;
mod limits;
mod number;
mod numeric;
mod read;
mod record;
mod writer;

pub use diff::{Change, Path, Step, diff};
pub use error::{Error, Result};
pub use limits::Limits;
pub use number::Number;
pub use read::{Array, Document, Elements, Object, Pairs, Ref};
pub use record::Record;
pub use writer::Writer;
