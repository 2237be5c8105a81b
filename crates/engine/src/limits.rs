//! What a plugin may use. Values only: whoever builds an engine knows where they come from.

use std::time::Duration;

/// Hard limits of one engine. All of them can change while realms are alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that all realms together may hold.
    pub memory: usize,
    /// Bytes of native stack that JavaScript may use below the call that entered it.
    pub stack: usize,
    /// Wall time of one call into a plugin, promises included.
    pub call: Duration,
    /// Bytes of the jsonb that a plugin may return.
    pub result_bytes: usize,
    /// How deep events may nest: in what a plugin reads of them, and in what it returns.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: 64 << 20,
            stack: 512 << 10,
            call: Duration::from_secs(1),
            result_bytes: 16 << 20,
            depth: 256,
        }
    }
}
