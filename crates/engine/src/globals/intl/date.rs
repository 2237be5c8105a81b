//! A time as text: the fields of a pattern, in a zone, in the words of a locale.

use std::rc::Rc;

use super::locale::Locale;
use super::skeleton::Token;
use super::zone::Zone;

/// A part of formatted text, with the name that ECMA-402 gives to its kind.
pub(super) type Part = (&'static str, String);

/// All that is needed to format times.
pub(super) struct DateFormat {
    pub(super) locale: &'static Locale,
    pub(super) zone: Rc<Zone>,
    pub(super) tokens: Vec<Token>,
}

/// What a clock and a calendar on the wall show.
struct Wall {
    year: i64,
    month: i64,
    day: i64,
    weekday: i64,
    hour: i64,
    minute: i64,
    second: i64,
    millisecond: i64,
}

impl Wall {
    fn at(milliseconds: i64) -> Wall {
        let days = milliseconds.div_euclid(86_400_000);
        let rest = milliseconds.rem_euclid(86_400_000);
        // Years that begin in March have their odd day at the end.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Wall {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            weekday: (days + 4).rem_euclid(7),
            hour: rest / 3_600_000,
            minute: rest / 60_000 % 60,
            second: rest / 1000 % 60,
            millisecond: rest % 1000,
        }
    }
}

impl DateFormat {
    /// The parts of a time, in milliseconds since 1970.
    pub(super) fn parts(&self, milliseconds: i64) -> Vec<Part> {
        let seconds = milliseconds.div_euclid(1000);
        let clock = self.zone.clock(seconds);
        let wall = Wall::at(milliseconds + i64::from(clock.offset) * 1000);
        let part = |token: &Token| match token {
            Token::Literal(text) => ("literal", text.clone()),
            Token::Field(letter @ ('z' | 'O' | 'v'), length) => {
                let is_long = *length >= 4;
                let text = self.zone.display(self.locale, seconds, &clock, *letter, is_long);
                ("timeZoneName", text)
            }
            Token::Field(letter, length) => self.field(&wall, *letter, *length),
        };
        let mut parts: Vec<Part> = Vec::with_capacity(self.tokens.len());
        for (kind, text) in self.tokens.iter().map(part) {
            match parts.last_mut() {
                Some(("literal", before)) if kind == "literal" => before.push_str(&text),
                _ => parts.push((kind, text)),
            }
        }
        parts
    }

    fn field(&self, wall: &Wall, letter: char, length: usize) -> Part {
        let number = |value: i64| format!("{value:0length$}");
        let width = match length {
            ..=3 => 'a',
            4 => 'w',
            _ => 'n',
        };
        let text = |key: &str| self.locale.must(key).to_owned();
        match letter {
            'G' => ("era", text(&format!("era.{width}.{}", i64::from(wall.year > 0)))),
            'y' => {
                let year = if wall.year > 0 { wall.year } else { 1 - wall.year };
                ("year", number(if length == 2 { year % 100 } else { year }))
            }
            'M' | 'L' if length < 3 => ("month", number(wall.month)),
            'M' => ("month", text(&format!("month.f{width}.{}", wall.month))),
            'L' => ("month", text(&format!("month.s{width}.{}", wall.month))),
            'c' => ("weekday", text(&format!("day.s{width}.{}", wall.weekday))),
            'E' => ("weekday", text(&format!("day.f{width}.{}", wall.weekday))),
            'd' => ("day", number(wall.day)),
            'a' | 'b' | 'B' => {
                let period = self.period(wall, letter);
                ("dayPeriod", text(&format!("period.{width}.{period}")))
            }
            'H' => ("hour", number(wall.hour)),
            'k' => ("hour", number(if wall.hour == 0 { 24 } else { wall.hour })),
            'K' => ("hour", number(wall.hour % 12)),
            'h' => ("hour", number((wall.hour + 11) % 12 + 1)),
            'm' => ("minute", number(wall.minute)),
            's' => ("second", number(wall.second)),
            'S' => {
                let digits = format!("{:03}", wall.millisecond);
                ("fractionalSecond", digits.chars().take(length).collect())
            }
            _ => ("literal", letter.to_string()),
        }
    }

    fn period(&self, wall: &Wall, letter: char) -> &'static str {
        let half = if wall.hour < 12 { "am" } else { "pm" };
        if letter == 'a' {
            return half;
        }
        let shown = |field| {
            self.tokens
                .iter()
                .any(|token| matches!(token, Token::Field(letter, _) if *letter == field))
        };
        let is_full_hour = (wall.minute == 0 || !shown('m')) && (wall.second == 0 || !shown('s'));
        if wall.hour == 12 && is_full_hour && self.locale.text("noon").is_some() {
            return "noon";
        }
        if letter == 'b' {
            return half;
        }
        let rules = self.locale.must("dayperiods").split(';');
        let mut periods = rules.filter_map(|rule| {
            let mut parts = rule.split(',');
            let name = parts.next()?;
            let from: i64 = parts.next()?.parse().ok()?;
            let before: i64 = parts.next()?.parse().ok()?;
            let is_in = if from < before {
                (from..before).contains(&wall.hour)
            } else {
                wall.hour >= from || wall.hour < before
            };
            is_in.then_some(name)
        });
        periods.next().unwrap_or(half)
    }
}
