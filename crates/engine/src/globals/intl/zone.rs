//! Time zones: the rules of the IANA database, which is built in (see docs/plugin-api.md), and what
//! people call a zone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use super::locale::{Locale, lookup};

const NAMES: &str = include_str!("data/zones.txt");

/// The rules of a zone repeat after 400 years, which are whole weeks.
const CYCLE: i64 = 12_622_780_800;

/// A zone and the name by which ICU knows it.
pub(super) struct Zone {
    pub(super) name: String,
    rules: TimeZone,
}

/// What a zone's clocks show at some time.
pub(super) struct Clock {
    /// Seconds ahead of UTC.
    pub(super) offset: i32,
    is_summer: bool,
}

thread_local! {
    /// By the name in small letters. There are some 600 names, and offsets are not kept.
    static KNOWN: RefCell<HashMap<String, Rc<Zone>>> = RefCell::default();
}

/// The zone of a name, in letters of any case, or of an offset like `+05:30`.
pub(super) fn find(name: &str) -> Option<Rc<Zone>> {
    if let Some(seconds) = parse_offset(name) {
        let rules = TimeZone::fixed(Offset::from_seconds(seconds).ok()?);
        let minutes = seconds.unsigned_abs() / 60;
        let sign = if seconds < 0 { '-' } else { '+' };
        let name = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
        return Some(Rc::new(Zone { name, rules }));
    }
    let key = name.to_ascii_lowercase();
    if let Some(zone) = KNOWN.with_borrow(|known| known.get(&key).cloned()) {
        return Some(zone);
    }
    let canonical = lookup(NAMES, &format!("alias.{key}"))?;
    let database = TimeZoneDatabase::bundled();
    let rules = database.get(&key).or_else(|_| database.get(canonical)).ok()?;
    let name = if matches!(canonical, "Etc/UTC" | "Etc/GMT") { "UTC" } else { canonical };
    let zone = Rc::new(Zone { name: name.to_owned(), rules });
    KNOWN.with_borrow_mut(|known| known.insert(key, zone.clone()));
    Some(zone)
}

/// Seconds of `+05:30`, `-0800` or `+09`.
fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = match digits.split_once(':') {
        Some((hours, minutes)) if hours.len() == 2 && minutes.len() == 2 => {
            format!("{hours}{minutes}")
        }
        Some(_) => return None,
        None if digits.len() == 2 => format!("{digits}00"),
        None => digits.to_owned(),
    };
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

impl Zone {
    pub(super) fn clock(&self, seconds: i64) -> Clock {
        let last = Timestamp::MAX.as_second() - CYCLE;
        let beyond = (seconds - last).max(0);
        let known =
            (seconds - (beyond + CYCLE - 1) / CYCLE * CYCLE).max(Timestamp::MIN.as_second());
        let Ok(time) = Timestamp::from_second(known) else {
            return Clock { offset: 0, is_summer: false };
        };
        let info = self.rules.to_offset_info(time);
        // The database calls Ireland's winter and Morocco's Ramadan the exception, ICU the rest.
        let is_reversed =
            matches!(self.name.as_str(), "Europe/Dublin" | "Africa/Casablanca" | "Africa/El_Aaiun");
        let offset = info.offset().seconds();
        let is_summer = if is_reversed { offset > 0 } else { info.dst().is_dst() };
        Clock { offset, is_summer }
    }

    /// What the locale calls the zone at that time; its distance from UTC if it has no name for it.
    pub(super) fn display(
        &self,
        locale: &Locale,
        seconds: i64,
        clock: &Clock,
        letter: char,
        is_long: bool,
    ) -> String {
        let width = if is_long { 'l' } else { 's' };
        let names = match (letter, clock.is_summer) {
            ('O', _) => "",
            ('v', _) => "gs",
            (_, true) => "d",
            _ => "s",
        };
        let own = if self.name == "UTC" { "Etc/UTC" } else { &self.name };
        for kind in names.chars() {
            let known = |of: &str| locale.text(&format!("zone.{width}{kind}.{of}"));
            if let Some(text) = known(own).or_else(|| known(metazone(own, seconds)?)) {
                return text.to_owned();
            }
        }
        distance(locale, clock.offset, is_long)
    }
}

/// The zones that share their names with this one at that time.
fn metazone(name: &str, seconds: i64) -> Option<&'static str> {
    // As ICU has it, although CLDR does not say when the first metazone began.
    if seconds < 0 {
        return None;
    }
    let uses = lookup(NAMES, &format!("meta.{name}"))?;
    uses.split(';').filter_map(|part| part.split_once(',')).find_map(|(until, metazone)| {
        let is_past = until.parse::<i64>().is_ok_and(|until| seconds >= until);
        (!is_past).then_some(metazone)
    })
}

/// `GMT+5:30`, or `GMT+05:30` when long.
fn distance(locale: &Locale, offset: i32, is_long: bool) -> String {
    let (east, west) = locale.must("gmt.hours").split_once(';').unwrap_or_default();
    let format = if offset < 0 { west } else { east };
    let (sign, rest) = format.split_once('H').unwrap_or_default();
    let separator = rest.trim_start_matches('H').trim_end_matches('m');
    let seconds = offset.unsigned_abs();
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = if is_long { format!("{sign}{hour:02}") } else { format!("{sign}{hour}") };
    if is_long || minute > 0 || second > 0 {
        text += &format!("{separator}{minute:02}");
    }
    if second > 0 {
        text += &format!("{separator}{second:02}");
    }
    locale.must("gmt").replace("{0}", &text)
}
