//! What is decided about deliveries without a database: what of the queue a consumer has yet to get,
//! which events it wants, how many at a time, when something that failed is tried again, and when a
//! task runs.

mod backoff;
mod bundle;
mod cursor;
mod dictionary;
mod filter;
mod order;
mod pace;
mod progress;
mod rate;
mod snapshot;
mod tick;

pub use backoff::Backoff;
pub use bundle::{Bundle, Damaged, Packed, Room};
pub use cursor::{Batch, Cursor, Place, Span};
pub use dictionary::Dictionary;
pub use filter::Filter;
pub use order::{Order, Turn};
pub use pace::{Pace, quantile};
pub use progress::{Item, Outcome, Progress};
pub use rate::Rate;
pub use snapshot::{NotASnapshot, Snapshot};
pub use tick::{Due, Tick, Time};
