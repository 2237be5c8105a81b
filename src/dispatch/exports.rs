//! Events that are collected for `exportEvents`, by PostHog's rules: a batch goes when the next event
//! would make it too large, or when its first event has waited long enough.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use delivery::Item;
use serde_json::Value;

/// PostHog's defaults and bounds.
const BYTES: f64 = (1 << 20) as f64;
const MOST_BYTES: f64 = 100.0 * BYTES;
const SECONDS: f64 = 10.0;
const MOST_SECONDS: f64 = 600.0;

/// For plugins that ask for larger batches and whose settings say nothing.
const LARGE: f64 = 10.0;

pub struct Exports {
    bytes: f64,
    /// Whether the settings say so.
    is_set: bool,
    longest: Duration,
    ignored: HashSet<String>,
    batch: Vec<Item>,
    held_bytes: usize,
    since: Option<Instant>,
}

impl Exports {
    /// By the plugin's settings, as JSON.
    pub fn new(config: &str) -> Self {
        let config: Value = serde_json::from_str(config).unwrap_or_default();
        let number = |key: &str, most: f64| {
            let value = match &config[key] {
                Value::Number(number) => number.as_f64(),
                Value::String(text) => text.trim().parse().ok(),
                _ => None,
            };
            value.filter(|value| value.is_finite()).map(|value| value.clamp(1.0, most))
        };
        let bytes = number("exportEventsBufferBytes", MOST_BYTES);
        let seconds = number("exportEventsBufferSeconds", MOST_SECONDS).unwrap_or(SECONDS);
        let ignored = config["exportEventsToIgnore"].as_str().unwrap_or_default();
        let names = ignored.split(',').map(str::trim).filter(|name| !name.is_empty());
        Exports {
            bytes: bytes.unwrap_or(BYTES),
            is_set: bytes.is_some(),
            longest: Duration::from_secs_f64(seconds),
            ignored: names.map(str::to_owned).collect(),
            batch: Vec::new(),
            held_bytes: 0,
            since: None,
        }
    }

    /// The plugin asks for larger batches.
    pub fn enlarge(&mut self) {
        if !self.is_set {
            self.bytes = LARGE * BYTES;
        }
    }

    /// Whether events of that name are exported.
    pub fn wants(&self, name: &str) -> bool {
        !self.ignored.contains(name)
    }

    /// Adds an event of that size; returns the batches that are complete with it.
    pub fn add(&mut self, item: Item, size: usize, now: Instant) -> Vec<Vec<Item>> {
        let mut complete = Vec::new();
        if !self.batch.is_empty() && (self.held_bytes + size) as f64 > self.bytes {
            complete.extend(self.take());
        }
        self.batch.push(item);
        self.held_bytes += size;
        if self.held_bytes as f64 > self.bytes {
            complete.extend(self.take());
        } else {
            self.since.get_or_insert(now);
        }
        complete
    }

    /// When the batch goes, if there is one.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + self.longest)
    }

    /// The batch, if there is one.
    pub fn take(&mut self) -> Option<Vec<Item>> {
        self.held_bytes = 0;
        self.since = None;
        Some(std::mem::take(&mut self.batch)).filter(|batch| !batch.is_empty())
    }
}
