//! From the fields that a date shall show to the pattern in which a locale shows them: the patterns
//! of Unicode's CLDR, matched and adjusted as its specification and ICU do it.

use super::locale::Locale;

const FIELDS: usize = 11;
const ERA: usize = 0;
const YEAR: usize = 1;
const MONTH: usize = 2;
const WEEKDAY: usize = 3;
const DAY: usize = 4;
const PERIOD: usize = 5;
const HOUR: usize = 6;
const MINUTE: usize = 7;
const SECOND: usize = 8;
const FRACTION: usize = 9;
const ZONE: usize = 10;

/// A set of fields, a bit for each.
type Mask = u16;
const DATE: Mask = (1 << PERIOD) - 1;
const TIME: Mask = (1 << FIELDS) - 1 - DATE;

/// Kinds of fields, so that the difference of two says how unlike they are. Below zero are texts.
const NUMERIC: i32 = 0x100;
const NARROW: i32 = -0x101;
const SHORT: i32 = -0x103;
const LONG: i32 = -0x104;
const DELTA: i32 = 0x10;
const EXTRA_FIELD: i32 = 0x10000;
const MISSING_FIELD: i32 = 0x1000;

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Field(char, usize),
    Literal(String),
}

/// Reads a pattern; text in apostrophes is literal.
pub(super) fn parse(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut quoted = false;
    let mut characters = pattern.chars().peekable();
    let literal = |tokens: &mut Vec<Token>, character| match tokens.last_mut() {
        Some(Token::Literal(text)) => text.push(character),
        _ => tokens.push(Token::Literal(String::from(character))),
    };
    while let Some(character) = characters.next() {
        if character == '\'' {
            if characters.next_if_eq(&'\'').is_some() {
                literal(&mut tokens, '\'');
            } else {
                quoted = !quoted;
            }
        } else if !quoted && character.is_ascii_alphabetic() {
            let mut length = 1;
            while characters.next_if_eq(&character).is_some() {
                length += 1;
            }
            tokens.push(Token::Field(character, length));
        } else {
            literal(&mut tokens, character);
        }
    }
    tokens
}

/// One field as a skeleton asks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Wish {
    letter: char,
    length: usize,
    kind: i32,
    /// The shortest of its kind, by which patterns are known to be about the same.
    base: usize,
}

/// Which field a letter is, and of which kind in that length.
fn classify(letter: char, length: usize) -> Option<(usize, Wish)> {
    let numeric = |delta| (NUMERIC + delta * DELTA + length as i32, 1);
    let text = |delta: i32, shortest| match length {
        ..=3 => (SHORT - delta * DELTA, shortest),
        4 => (LONG - delta * DELTA, 4),
        _ => (NARROW - delta * DELTA, 5),
    };
    let (field, (kind, base)) = match letter {
        'G' => (ERA, text(0, 1)),
        'y' => (YEAR, numeric(0)),
        'M' if length < 3 => (MONTH, numeric(0)),
        'M' => (MONTH, text(0, 3)),
        'L' if length < 3 => (MONTH, numeric(1)),
        'L' => (MONTH, text(1, 3)),
        'E' => (WEEKDAY, text(0, 1)),
        'c' if length < 3 => (WEEKDAY, numeric(2)),
        'c' => (WEEKDAY, text(2, 3)),
        'd' => (DAY, numeric(0)),
        'a' => (PERIOD, text(0, 1)),
        'b' => (PERIOD, text(1, 1)),
        'B' => (PERIOD, text(3, 1)),
        'H' => (HOUR, numeric(10)),
        'k' => (HOUR, numeric(11)),
        'h' => (HOUR, numeric(0)),
        'K' => (HOUR, numeric(1)),
        'm' => (MINUTE, numeric(0)),
        's' => (SECOND, numeric(0)),
        'S' => (FRACTION, numeric(0)),
        'z' => (ZONE, text(0, 1)),
        'O' => (ZONE, text(1, 1)),
        'v' => (ZONE, text(2, 1)),
        _ => return None,
    };
    Some((field, Wish { letter, length, kind, base }))
}

/// The fields of a pattern, whatever their order.
#[derive(Clone, Debug, Default, PartialEq)]
struct Skeleton {
    wishes: [Option<Wish>; FIELDS],
    /// It says nothing of the half of the day that its hours need.
    period_is_implied: bool,
}

impl Skeleton {
    fn of(pattern: &str) -> Skeleton {
        let mut skeleton = Skeleton::default();
        for token in parse(pattern) {
            let Token::Field(letter, length) = token else { continue };
            if let Some((field, wish)) = classify(letter, length)
                && let Some(place) = skeleton.wishes.get_mut(field)
            {
                *place = Some(wish);
            }
        }
        match skeleton.wishes[HOUR] {
            Some(Wish { letter: 'h' | 'K', .. }) if skeleton.wishes[PERIOD].is_none() => {
                skeleton.wishes[PERIOD] = classify('a', 1).map(|(_, wish)| wish);
                skeleton.period_is_implied = true;
            }
            Some(Wish { letter: 'H' | 'k', .. }) => skeleton.wishes[PERIOD] = None,
            _ => {}
        }
        skeleton
    }

    fn base(&self) -> String {
        let mut base = String::new();
        for (field, wish) in self.wishes.iter().enumerate() {
            let Some(wish) = wish else { continue };
            if !(field == PERIOD && self.period_is_implied) {
                base.extend(std::iter::repeat_n(wish.letter, wish.base));
            }
        }
        base
    }

    fn kinds(&self) -> [i32; FIELDS] {
        self.wishes.map(|wish| wish.map_or(0, |wish| wish.kind))
    }

    fn mask(&self) -> Mask {
        let bits = self.wishes.iter().enumerate();
        bits.filter(|(_, wish)| wish.is_some()).fold(0, |mask, (field, _)| mask | 1 << field)
    }

    /// How unlike another it is in the fields of the mask; which of them the other lacks, and
    /// whether it has more.
    fn distance(&self, other: &Skeleton, mask: Mask) -> (i32, Mask, bool) {
        let (mut distance, mut missing, mut extra) = (0, 0, false);
        for (field, (own, others)) in self.kinds().into_iter().zip(other.kinds()).enumerate() {
            let own = if mask & (1 << field) == 0 { 0 } else { own };
            if own == others {
                continue;
            }
            if own == 0 {
                distance += EXTRA_FIELD;
                extra = true;
            } else if others == 0 {
                distance += MISSING_FIELD;
                missing |= 1 << field;
            } else {
                distance += (own - others).abs();
            }
        }
        (distance, missing, extra)
    }
}

/// A pattern of the locale.
struct Entry {
    base: String,
    skeleton: Skeleton,
    pattern: String,
    /// CLDR names the skeleton; else it is what the pattern consists of.
    is_named: bool,
}

/// The patterns of a locale.
pub(super) struct Generator {
    locale: &'static Locale,
    entries: Vec<Entry>,
}

/// What was found for a skeleton.
struct Best<'a> {
    entry: &'a Entry,
    missing: Mask,
    extra: bool,
}

impl Generator {
    pub(super) fn new(locale: &'static Locale) -> Generator {
        let mut generator = Generator { locale, entries: Vec::new() };
        for letter in ["G", "y", "M", "E", "d", "a", "H", "m", "s", "S", "v"] {
            generator.add(letter, None);
        }
        for style in ["full", "long", "medium", "short"] {
            generator.add(locale.must(&format!("date.{style}")), None);
            generator.add(locale.must(&format!("time.{style}")), None);
        }
        for name in locale.keys("skeleton.") {
            if let Some(pattern) = locale.text(&format!("skeleton.{name}")) {
                generator.add(pattern, Some(name));
            }
        }
        // ICU looks at them in this order, and takes the first of equals.
        generator.entries.sort_by_key(|entry| entry.base.chars().next());
        generator
    }

    fn add(&mut self, pattern: &str, name: Option<&str>) {
        let skeleton = Skeleton::of(name.unwrap_or(pattern));
        let base = skeleton.base();
        let same_base = self.entries.iter().any(|entry| entry.base == base);
        if name.is_none() && same_base {
            return;
        }
        let kinds = skeleton.kinds();
        let twin = |entry: &&mut Entry| entry.base == base && entry.skeleton.kinds() == kinds;
        if let Some(entry) = self.entries.iter_mut().find(twin) {
            if !entry.is_named {
                entry.pattern = pattern.to_owned();
                entry.is_named = name.is_some();
            }
            return;
        }
        let entry = Entry { base, skeleton, pattern: pattern.to_owned(), is_named: name.is_some() };
        self.entries.push(entry);
    }

    /// The locale's pattern for the fields of a skeleton.
    pub(super) fn pattern(&self, skeleton: &str) -> String {
        let wanted = Skeleton::of(skeleton);
        let needed = wanted.mask();
        if let Some(best) = self.best(&wanted, Mask::MAX)
            && best.missing == 0
            && !best.extra
        {
            return adjust(&best.entry.pattern, best.entry, &wanted, None);
        }
        let date = self.appended(&wanted, needed & DATE);
        let time = self.appended(&wanted, needed & TIME);
        if date.is_empty() || time.is_empty() {
            return date + &time;
        }
        let style = match wanted.wishes[MONTH].map_or(0, |wish| wish.length) {
            4 if wanted.wishes[WEEKDAY].is_some() => "full",
            4 => "long",
            3 => "medium",
            _ => "short",
        };
        glue(self.locale, style, &date, &time)
    }

    fn best(&self, wanted: &Skeleton, mask: Mask) -> Option<Best<'_>> {
        let mut best: Option<(i32, Best<'_>)> = None;
        for entry in &self.entries {
            let (distance, missing, extra) = wanted.distance(&entry.skeleton, mask);
            let is_better = best.as_ref().is_none_or(|(least, best)| {
                distance < *least || (distance == *least && best.missing < missing)
            });
            if is_better {
                best = Some((distance, Best { entry, missing, extra }));
            }
            if distance == 0 {
                break;
            }
        }
        best.map(|(_, best)| best)
    }

    /// A pattern for some of the fields: the best there is, and to it whatever it lacks.
    fn appended(&self, wanted: &Skeleton, mask: Mask) -> String {
        const SECONDS: Mask = 1 << SECOND | 1 << FRACTION;
        if mask == 0 {
            return String::new();
        }
        let Some(first) = self.best(wanted, mask) else { return String::new() };
        let mut pattern = adjust(&first.entry.pattern, first.entry, wanted, None);
        let mut entry = first.entry;
        let mut missing = first.missing;
        while missing != 0 {
            if missing & SECONDS == 1 << FRACTION && mask & SECONDS == SECONDS {
                pattern = adjust(&pattern, entry, wanted, Some(self.locale.must("symbol.decimal")));
                missing &= !(1 << FRACTION);
                continue;
            }
            let Some(next) = self.best(wanted, missing) else { break };
            if next.missing == missing {
                break;
            }
            let found = missing & !next.missing;
            let more = adjust(&next.entry.pattern, next.entry, wanted, None);
            let top = Mask::BITS - 1 - found.leading_zeros();
            let name = match top as usize {
                ERA => "era",
                YEAR => "year",
                MONTH => "month",
                WEEKDAY => "weekday",
                DAY => "day",
                HOUR => "hour",
                MINUTE => "minute",
                SECOND => "second",
                ZONE => "zone",
                _ => "",
            };
            let frame = self.locale.text(&format!("append.{name}")).unwrap_or("{0} {1}");
            // The name of the field, if it is there, is in parentheses: text, not a pattern.
            pattern = quoted_frame(frame).replace("{0}", &pattern).replace("{1}", &more);
            entry = next.entry;
            missing = next.missing;
        }
        pattern
    }
}

/// A frame with its own letters in apostrophes.
fn quoted_frame(frame: &str) -> String {
    let mut quoted = String::new();
    let mut inside = false;
    for character in frame.chars() {
        if character.is_alphabetic() != inside {
            inside = !inside;
            quoted.push('\'');
        }
        quoted.push(character);
    }
    quoted
}

/// A pattern of a date and one of a time, as the style joins them.
pub(super) fn glue(locale: &Locale, style: &str, date: &str, time: &str) -> String {
    locale.must(&format!("glue.{style}")).replace("{1}", date).replace("{0}", time)
}

/// A pattern with its fields as long as they are wanted, where the locale leaves that open.
fn adjust(pattern: &str, entry: &Entry, wanted: &Skeleton, fraction: Option<&str>) -> String {
    let mut adjusted = String::new();
    for token in parse(pattern) {
        let (letter, length) = match token {
            Token::Literal(text) => {
                push_literal(&mut adjusted, &text);
                continue;
            }
            Token::Field(letter, length) => (letter, length),
        };
        let found = classify(letter, length);
        let wish = found.and_then(|(field, _)| *wanted.wishes.get(field)?);
        let (Some((field, found)), Some(wish)) = (found, wish) else {
            adjusted.extend(std::iter::repeat_n(letter, length));
            continue;
        };
        if let Some(decimal) = fraction
            && field == SECOND
        {
            adjusted.extend(std::iter::repeat_n(letter, length));
            adjusted.push_str(decimal);
            let digits = wanted.wishes[FRACTION].map_or(0, |wish| wish.length);
            adjusted.extend(std::iter::repeat_n('S', digits));
            continue;
        }
        let wished = if wish.letter == 'E' { wish.length.max(3) } else { wish.length };
        let mut new_length = wished;
        if matches!(field, MINUTE | SECOND) {
            new_length = length;
        } else if entry.is_named {
            let named = entry.skeleton.wishes.get(field).copied().flatten();
            let named = named.map_or(0, |wish| wish.length);
            if named == wished || (found.kind > 0) != (wish.kind > 0) {
                new_length = length;
            }
        }
        let letter =
            if matches!(field, HOUR | MONTH | WEEKDAY | YEAR) { letter } else { wish.letter };
        adjusted.extend(std::iter::repeat_n(letter, new_length));
    }
    adjusted
}

fn push_literal(pattern: &mut String, text: &str) {
    let is_plain = !text.contains(|c: char| c.is_ascii_alphabetic() || c == '\'');
    if is_plain {
        pattern.push_str(text);
    } else {
        pattern.push('\'');
        pattern.push_str(&text.replace('\'', "''"));
        pattern.push('\'');
    }
}
