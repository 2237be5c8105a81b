//! Any text as a source: a script whose map can be read, or an error with a place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source::transpile::{Limits, SourceMap, transpile};

fuzz_target!(|source: &str| {
    match transpile(source, "index.ts", engine::KNOWN_MODULES, &Limits::default()) {
        Ok(script) => assert!(SourceMap::parse(&script.source_map).is_some()),
        Err(error) => assert!(!error.message().is_empty()),
    }
});
