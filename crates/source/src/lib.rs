//! From what an author wrote to what a backend loads: the manifest, the source text, the archive
//! they came in. Pure Rust: nothing here knows PostgreSQL or runs JavaScript.

pub mod archive;
pub mod manifest;
pub mod transpile;
