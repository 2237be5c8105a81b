//! Any bytes as an archive: a package within the limits, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source::archive::{Limits, Package};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    if let Ok(package) = Package::from_archive(bytes, &limits) {
        assert!(package.source.len() <= 2 * limits.file_bytes);
    }
});
