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

#[cfg(test)]
mod tests {
    use delivery::{Cursor, Progress, Snapshot};

    use super::*;
    use crate::queue::consumer::Outcome;

    /// Adds events of those sizes at once; returns the sizes of the batches that are complete, and of
    /// the one that is held.
    fn batches(exports: &mut Exports, sizes: &[usize]) -> (Vec<Vec<usize>>, Vec<usize>) {
        let mut progress = Progress::<usize, Outcome>::default();
        let items = progress.add(Cursor::at(Snapshot::oldest()), sizes.to_vec(), 0);
        let now = Instant::now();
        let complete: Vec<_> = items
            .iter()
            .zip(sizes)
            .flat_map(|(item, size)| exports.add(*item, *size, now))
            .collect();
        let held = exports.take().unwrap_or_default();
        let size = |item: &Item| *progress.event(*item).unwrap_or(&0);
        let sizes = |batch: &Vec<Item>| batch.iter().map(size).collect::<Vec<_>>();
        (complete.iter().map(sizes).collect(), sizes(&held))
    }

    fn of_bytes(bytes: &str) -> Exports {
        Exports::new(&format!(r#"{{"exportEventsBufferBytes": {bytes}}}"#))
    }

    #[test]
    fn a_batch_goes_before_it_would_become_too_large() {
        let (complete, held) = batches(&mut of_bytes("\"100\""), &[60, 40, 1, 50, 49, 10]);
        assert_eq!(complete, [vec![60, 40], vec![1, 50, 49]]);
        assert_eq!(held, [10]);
    }

    #[test]
    fn an_event_that_is_too_large_goes_alone_and_at_once() {
        let (complete, held) = batches(&mut of_bytes("100"), &[60, 101, 100, 1]);
        assert_eq!(complete, [vec![60], vec![101], vec![100]]);
        assert_eq!(held, [1]);
    }

    #[test]
    fn a_batch_waits_for_as_long_as_its_first_event_may() {
        let mut progress = Progress::<(), Outcome>::default();
        let items = progress.add(Cursor::at(Snapshot::oldest()), vec![(); 2], 0);
        let mut exports = Exports::new(r#"{"exportEventsBufferSeconds": "3"}"#);
        assert_eq!(exports.due(), None);
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert!(exports.add(items[0], 1, now).is_empty());
        assert!(exports.add(items[1], 1, now + second).is_empty());
        assert_eq!(exports.due(), Some(now + 3 * second));
        assert_eq!(exports.take().map(|batch| batch.len()), Some(2));
        assert_eq!(exports.due(), None);
        assert_eq!(exports.take(), None);
    }

    #[test]
    fn settings_that_make_no_sense_are_posthogs_defaults_or_bounds() {
        let bytes = |given: &str| of_bytes(given).bytes;
        assert_eq!([bytes("null"), bytes("\"\""), bytes("\"many\"")], [BYTES; 3]);
        assert_eq!([bytes("\" 7 \""), bytes("0"), bytes("\"-5\"")], [7.0, 1.0, 1.0]);
        assert_eq!([bytes("1e300"), bytes("\"inf\"")], [MOST_BYTES, BYTES]);
        let longest = |given: &str| {
            Exports::new(&format!(r#"{{"exportEventsBufferSeconds": {given}}}"#)).longest.as_secs()
        };
        assert_eq!(
            [longest("null"), longest("0"), longest("601"), longest("\"60\"")],
            [10, 1, 600, 60]
        );
        assert_eq!(Exports::new("").bytes, BYTES);
    }

    #[test]
    fn a_plugin_that_asks_for_larger_batches_gets_them_unless_the_settings_say_otherwise() {
        let [mut free, mut set] = [Exports::new("{}"), of_bytes("\"100\"")];
        free.enlarge();
        set.enlarge();
        assert_eq!((free.bytes, set.bytes), (LARGE * BYTES, 100.0));
    }

    #[test]
    fn events_with_ignored_names_are_not_exported() {
        let exports = Exports::new(r#"{"exportEventsToIgnore": " $pageview, a b ,,"}"#);
        assert!(!exports.wants("$pageview") && !exports.wants("a b"));
        assert!(exports.wants("") && exports.wants("$page") && exports.wants("a"));
        assert!(Exports::new("{}").wants(""));
    }
}
