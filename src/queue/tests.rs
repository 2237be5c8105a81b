//! The queue, with several sessions: in a database of their own, through dblink.

mod consumers;
mod rotation;
mod sessions;
