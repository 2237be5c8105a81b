//! The plugins that come with the extension, compiled in.

/// A bundled plugin's files.
pub struct Bundled {
    pub name: &'static str,
    pub source: &'static str,
    pub manifest: &'static str,
    pub cases: &'static str,
}

macro_rules! bundled {
    ($($name:literal),* $(,)?) => {
        &[$(Bundled {
            name: $name,
            source: include_str!(concat!("../plugins/", $name, "/index.ts")),
            manifest: include_str!(concat!("../plugins/", $name, "/plugin.json")),
            cases: include_str!(concat!("../plugins/", $name, "/cases.json")),
        }),*]
    };
}

pub const LIBRARY: &[Bundled] = bundled![
    "bot-filter",
    "currency-normalization",
    "deduplicator",
    "downsampling",
    "drop-events",
    "event-labeler",
    "event-sequence-timer",
    "first-time-event",
    "flatten-properties",
    "geoip",
    "heartbeat",
    "hello-world",
    "http-batch-export",
    "ip-anonymizer",
    "maxmind",
    "pii-redactor",
    "postgres-export",
    "property-filter",
    "s3-export",
    "schema-enforcer",
    "slack",
    "taxonomy",
    "timestamp-parser",
    "url-normalizer",
    "url-parameters",
    "user-agent",
    "webhook",
];

/// The file name of every bundled plugin's source.
pub const FILE_NAME: &str = "index.ts";

pub fn find(name: &str) -> Option<&'static Bundled> {
    LIBRARY.iter().find(|bundled| bundled.name == name)
}
