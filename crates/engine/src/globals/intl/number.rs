//! A number as text: rounded, grouped, signed, with a currency, a unit or a power of ten, as a
//! locale writes them.

use super::date::Part;
use super::decimal::{Decimal, Mode};
use super::locale::Locale;
use super::plural::{Shown, cardinal};

/// All that is needed to format numbers; `intl/number.js` has checked it.
pub(super) struct NumberFormat {
    pub(super) locale: &'static Locale,
    /// `decimal`, `percent`, `currency`, `unit`
    pub(super) style: String,
    /// The currency's code or the unit.
    pub(super) of: String,
    /// How the currency or the unit is displayed.
    pub(super) display: String,
    pub(super) is_accounting: bool,
    /// `standard`, `scientific`, `engineering`, `compact`
    pub(super) notation: String,
    pub(super) is_long: bool,
    pub(super) grouping: String,
    pub(super) sign: String,
    pub(super) rounding: Rounding,
}

pub(super) struct Rounding {
    pub(super) least_integer: usize,
    /// Least and most digits after the point.
    pub(super) fraction: Option<(usize, usize)>,
    /// Least and most significant digits.
    pub(super) significant: Option<(usize, usize)>,
    /// Where both are given, whether the finer one counts.
    pub(super) is_finer: bool,
    pub(super) mode: Mode,
    pub(super) strips_zeros: bool,
}

impl Rounding {
    /// The rounded number, and how many digits are to be shown after the point.
    fn round(&self, number: &Decimal) -> (Decimal, usize) {
        let by_fraction = |(least, most): (usize, usize)| {
            let places = most as i64;
            (number.rounded(places, self.mode), least, places)
        };
        let by_significant = |(least, most): (usize, usize)| {
            let rounded = number.significant(most as i64, self.mode);
            let least = least as i64 - 1 - rounded.power();
            let places = most as i64 - 1 - number.power();
            (rounded, usize::try_from(least).unwrap_or(0), places)
        };
        let (rounded, least, _) = match (self.fraction, self.significant) {
            (Some(fraction), Some(significant)) => {
                let (one, other) = (by_fraction(fraction), by_significant(significant));
                if (other.2 > one.2) == self.is_finer { other } else { one }
            }
            (Some(fraction), None) => by_fraction(fraction),
            (None, Some(significant)) => by_significant(significant),
            (None, None) => (number.clone(), 0, 0),
        };
        let is_whole = rounded.point >= rounded.digits.len() as i64;
        (rounded, if self.strips_zeros && is_whole { 0 } else { least })
    }
}

/// What stands around the digits: `¤`, `-`, `%` and text.
struct Affixes<'a> {
    before: &'a str,
    after: &'a str,
    /// Sizes of the last group of digits and of those before it.
    groups: (usize, usize),
}

impl<'a> Affixes<'a> {
    fn of(pattern: &'a str) -> Affixes<'a> {
        let is_digit = |c: char| matches!(c, '#' | '0' | ',' | '.');
        let mut quoted = false;
        let is_outside = |c: char| {
            quoted ^= c == '\'';
            !quoted && is_digit(c)
        };
        let start = pattern.find(is_outside).unwrap_or(pattern.len());
        let rest = pattern.get(start..).unwrap_or_default();
        let end = start + rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
        let digits = pattern.get(start..end).unwrap_or_default();
        let integer = digits.split('.').next().unwrap_or_default();
        let mut groups = integer.rsplit(',').map(str::len);
        let last = groups.next().unwrap_or(0);
        let groups = match (integer.contains(','), groups.next()) {
            // The first of two groups may be cut short.
            (true, Some(other)) if integer.matches(',').count() > 1 => (last, other),
            (true, _) => (last, last),
            _ => (0, 0),
        };
        Affixes {
            before: pattern.get(..start).unwrap_or_default(),
            after: pattern.get(end..).unwrap_or_default(),
            groups,
        }
    }
}

impl NumberFormat {
    /// The parts of a number as `String(number)` writes it.
    pub(super) fn parts(&self, text: &str) -> Vec<Part> {
        let (is_negative, magnitude) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let Some(mut number) = Decimal::parse(magnitude) else {
            let (kind, symbol) =
                if magnitude == "Infinity" { ("infinity", "infinity") } else { ("nan", "nan") };
            let digits = vec![(kind, self.symbol(symbol))];
            let shown = Shown { integer: "9", fraction: "", power: 0 };
            let is_nan = kind == "nan";
            return self.dressed(digits, is_negative && !is_nan, is_nan, &shown, None);
        };
        number.is_negative = is_negative;
        if self.style == "percent" && !number.is_zero() {
            number.point += 2;
        }
        let (scale, compact) = match self.notation.as_str() {
            "compact" => self.compact(&number),
            "scientific" | "engineering" => (self.scale(&number), None),
            _ => (0, None),
        };
        let mut scaled = number;
        if !scaled.is_zero() {
            scaled.point -= scale;
        }
        let (rounded, least) = self.rounding.round(&scaled);
        let (integer, fraction) = rounded.shown(self.rounding.least_integer, least);
        let power = if compact.is_some() { usize::try_from(scale).unwrap_or(0) } else { 0 };
        let shown = Shown { integer: &integer, fraction: &fraction, power };
        let mut digits = self.grouped(&integer, compact.is_some());
        if !fraction.is_empty() {
            let own = if self.style == "currency" { "currencyDecimal" } else { "decimal" };
            let symbol = self.locale.text(&format!("symbol.{own}"));
            let symbol = symbol.unwrap_or_else(|| self.locale.must("symbol.decimal"));
            digits.push(("decimal", symbol.to_owned()));
            digits.push(("fraction", fraction.clone()));
        }
        if matches!(self.notation.as_str(), "scientific" | "engineering") {
            digits.push(("exponentSeparator", self.symbol("exponential")));
            if scale < 0 {
                digits.push(("exponentMinusSign", self.symbol("minusSign")));
            }
            digits.push(("exponentInteger", scale.unsigned_abs().to_string()));
        }
        let pattern = compact.and_then(|prefix| self.compact_pattern(&prefix, &shown));
        self.dressed(digits, is_negative, rounded.is_zero(), &shown, pattern)
    }

    fn symbol(&self, name: &str) -> String {
        self.locale.must(&format!("symbol.{name}")).to_owned()
    }

    /// The power of ten that scientific notation takes out of a number.
    fn scale(&self, number: &Decimal) -> i64 {
        let scale_of = |power: i64| {
            if self.notation == "engineering" { power.div_euclid(3) * 3 } else { power }
        };
        let scale = scale_of(number.power());
        let mut scaled = number.clone();
        scaled.point -= scale;
        let (rounded, _) = self.rounding.round(&scaled);
        scale_of(rounded.power() + scale)
    }

    /// The power of ten that a compact number's word stands for, and where its patterns are.
    fn compact(&self, number: &Decimal) -> (i64, Option<String>) {
        let mut power = number.power();
        let mut result = (0, None);
        // Rounding can make it one digit longer: 999,999 is 1M.
        for _ in 0..2 {
            result = self.compact_scale(power);
            let mut scaled = number.clone();
            scaled.point -= result.0;
            let (rounded, _) = self.rounding.round(&scaled);
            let after = rounded.power() + result.0;
            if rounded.is_zero() || after == power {
                break;
            }
            power = after;
        }
        result
    }

    fn compact_scale(&self, power: i64) -> (i64, Option<String>) {
        let power = power.min(14);
        let prefix = match (self.style.as_str(), self.is_long) {
            ("currency", false) if self.display != "name" => "compact.currency",
            (_, true) => "compact.long",
            _ => "compact.short",
        };
        let key = format!("{prefix}.{power}");
        let Some(pattern) = self.locale.text(&format!("{key}.other")) else { return (0, None) };
        let zeros = pattern.bytes().filter(|byte| *byte == b'0').count() as i64;
        if pattern.chars().all(|c| c == '0') || zeros == 0 {
            return (0, None);
        }
        (power - zeros + 1, Some(key))
    }

    fn compact_pattern(&self, key: &str, shown: &Shown<'_>) -> Option<&'static str> {
        let count = match cardinal(self.locale.language(), shown) {
            _ if shown.integer == "1" && shown.fraction.is_empty() => "1",
            count => count,
        };
        let text = self.locale.text(&format!("{key}.{count}"));
        let one =
            || self.locale.text(&format!("{key}.{}", cardinal(self.locale.language(), shown)));
        text.or_else(one).or_else(|| self.locale.text(&format!("{key}.other")))
    }

    fn pattern(&self) -> &'static str {
        match self.style.as_str() {
            "percent" => self.locale.must("number.percent"),
            "unit" if self.is_percent_sign() => self.locale.must("number.percent"),
            "currency" if self.display == "name" => self.locale.must("number.decimal"),
            "currency" if self.is_accounting => self.locale.must("number.accounting"),
            "currency" => self.locale.must("number.standard"),
            _ => self.locale.must("number.decimal"),
        }
    }

    fn grouped(&self, integer: &str, is_compact: bool) -> Vec<Part> {
        let (last, other) =
            Affixes::of(self.pattern().split(';').next().unwrap_or_default()).groups;
        let least: usize = match self.grouping.as_str() {
            "always" => 1,
            "min2" => 2,
            "auto" => self.locale.must("grouping").parse().unwrap_or(1),
            _ => usize::MAX,
        };
        let is_scientific =
            !is_compact && self.notation != "standard" && self.notation != "compact";
        if is_scientific || last == 0 || integer.len() < least.saturating_add(last) {
            return vec![("integer", integer.to_owned())];
        }
        let own = if self.style == "currency" { "currencyGroup" } else { "group" };
        let symbol = self.locale.text(&format!("symbol.{own}"));
        let symbol = symbol.unwrap_or_else(|| self.locale.must("symbol.group"));
        let (mut rest, tail) = integer.split_at(integer.len() - last);
        let mut groups = vec![tail];
        while rest.len() > other {
            let (before, group) = rest.split_at(rest.len() - other);
            groups.push(group);
            rest = before;
        }
        if !rest.is_empty() {
            groups.push(rest);
        }
        let mut parts = Vec::with_capacity(groups.len() * 2);
        for group in groups.into_iter().rev() {
            if !parts.is_empty() {
                parts.push(("group", symbol.to_owned()));
            }
            parts.push(("integer", group.to_owned()));
        }
        parts
    }

    /// The digits with their sign, currency, unit and words around them.
    fn dressed(
        &self,
        digits: Vec<Part>,
        is_negative: bool,
        is_zero: bool,
        shown: &Shown<'_>,
        compact: Option<&str>,
    ) -> Vec<Part> {
        let sign = match (self.sign.as_str(), is_negative) {
            ("never", _) => "",
            ("exceptZero" | "negative", _) if is_zero => "",
            (_, true) => "-",
            ("always" | "exceptZero", false) => "+",
            _ => "",
        };
        let pattern = match compact {
            Some(pattern) if self.style == "percent" => {
                format!("{}%", pattern.trim_end_matches('%'))
            }
            Some(pattern)
                if self.style == "currency" && !pattern.contains('¤') && self.display != "name" =>
            {
                let frame = self.pattern().split(';').next().unwrap_or_default();
                let affixes = Affixes::of(frame);
                format!("{}{pattern}{}", affixes.before, affixes.after)
            }
            Some(pattern) => pattern.to_owned(),
            None => self.pattern().to_owned(),
        };
        let (positive, negative) = match pattern.split_once(';') {
            Some((positive, negative)) => (positive.to_owned(), negative.to_owned()),
            None if self.is_accounting
                && self.style == "currency"
                && self.display != "name"
                && self.accounts_in_parentheses() =>
            {
                (pattern.clone(), format!("({pattern})"))
            }
            None => (pattern.clone(), format!("-{pattern}")),
        };
        let chosen = match sign {
            "" => positive,
            "-" => negative,
            _ if negative.contains('-') => negative.replace('-', "+"),
            _ => format!("+{positive}"),
        };
        let affixes = Affixes::of(&chosen);
        let currency = match self.style.as_str() {
            "currency" if self.display != "name" => self.currency(),
            _ => String::new(),
        };
        let mut parts = Vec::new();
        self.affix(&mut parts, affixes.before, &currency, compact.is_some());
        let is_letter = |c: char| c.is_alphabetic();
        if affixes.before.ends_with('¤') && currency.ends_with(is_letter) {
            parts.push(("literal", "\u{A0}".to_owned()));
        }
        if chosen.contains('0') {
            parts.extend(digits);
        }
        if affixes.after.starts_with('¤') && currency.starts_with(is_letter) {
            parts.push(("literal", "\u{A0}".to_owned()));
        }
        self.affix(&mut parts, affixes.after, &currency, compact.is_some());
        match self.style.as_str() {
            "currency" if self.display == "name" => self.named(parts, shown),
            "unit" if !self.is_percent_sign() => self.with_unit(parts, shown),
            _ => parts,
        }
    }

    /// A unit that is written as the style of that name is.
    fn is_percent_sign(&self) -> bool {
        self.of == "percent" && self.display != "long"
    }

    fn accounts_in_parentheses(&self) -> bool {
        self.locale.must("number.accounting").contains('(')
    }

    /// The text on one side of the digits.
    fn affix(&self, parts: &mut Vec<Part>, text: &str, currency: &str, is_compact: bool) {
        let mut quoted = false;
        for character in text.chars() {
            let (kind, text) = match character {
                '\'' => {
                    quoted = !quoted;
                    continue;
                }
                _ if quoted => ("compact", character.to_string()),
                '¤' => ("currency", currency.to_owned()),
                '-' => ("minusSign", self.symbol("minusSign")),
                '+' => ("plusSign", self.symbol("plusSign")),
                '%' => ("percentSign", self.symbol("percentSign")),
                ' ' | '\u{A0}' | '\u{202F}' | '(' | ')' => ("literal", character.to_string()),
                _ if is_compact => ("compact", character.to_string()),
                _ => ("literal", character.to_string()),
            };
            match parts.last_mut() {
                Some((last, before)) if *last == kind && matches!(kind, "literal" | "compact") => {
                    before.push_str(&text);
                }
                _ => parts.push((kind, text)),
            }
        }
    }

    fn currency(&self) -> String {
        let symbol = |width| self.locale.text(&format!("money.{width}.{}", self.of));
        let text = match self.display.as_str() {
            "code" => None,
            "narrowSymbol" => symbol("n").or_else(|| symbol("s")),
            _ => symbol("s"),
        };
        text.unwrap_or(&self.of).to_owned()
    }

    /// `1.00 US dollars`
    fn named(&self, number: Vec<Part>, shown: &Shown<'_>) -> Vec<Part> {
        let count = cardinal(self.locale.language(), shown);
        let name = [count, "other", "name"]
            .into_iter()
            .find_map(|kind| self.locale.text(&format!("money.{kind}.{}", self.of)))
            .unwrap_or(&self.of);
        let frame = self.locale.text(&format!("currency.{count}"));
        let frame = frame.unwrap_or_else(|| self.locale.must("currency.other"));
        framed(&frame.replace("{1}", name), number, "currency")
    }

    fn with_unit(&self, number: Vec<Part>, shown: &Shown<'_>) -> Vec<Part> {
        let count = cardinal(self.locale.language(), shown);
        let text = |key: &str| self.locale.text(&format!("unit.{}.{key}", self.display));
        let counted = |unit: &str| {
            text(&format!("{unit}.{count}")).or_else(|| text(&format!("{unit}.other")))
        };
        let kind = if self.of == "percent" { "percentSign" } else { "unit" };
        if let Some(frame) = counted(&self.of) {
            return framed(frame, number, kind);
        }
        let Some((unit, per)) = self.of.split_once("-per-") else { return number };
        let first = counted(unit).unwrap_or("{0}");
        let frame = match text(&format!("{per}.per")) {
            Some(frame) => frame.replace("{0}", first),
            None => {
                let one = text(&format!("{per}.one")).or_else(|| text(&format!("{per}.other")));
                let name = one.unwrap_or_default().replace("{0}", "");
                text("per").unwrap_or("{0}/{1}").replace("{0}", first).replace("{1}", name.trim())
            }
        };
        // The first unit's own place for the number has come along.
        framed(&frame, number, "unit")
    }
}

/// A number in a frame whose words are of that kind, and whose spaces next to it are literal.
fn framed(frame: &str, number: Vec<Part>, kind: &'static str) -> Vec<Part> {
    let (before, after) = frame.split_once("{0}").unwrap_or(("", frame));
    let mut parts = Vec::new();
    let words = before.trim_end();
    let push = |parts: &mut Vec<Part>, kind, text: &str| {
        if !text.is_empty() {
            parts.push((kind, text.to_owned()));
        }
    };
    push(&mut parts, kind, words);
    push(&mut parts, "literal", before.get(words.len()..).unwrap_or_default());
    parts.extend(number);
    let words = after.trim_start();
    let space = after.get(..after.len() - words.len()).unwrap_or_default();
    push(&mut parts, "literal", space);
    push(&mut parts, kind, words);
    parts
}
