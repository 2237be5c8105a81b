//! The locales, and what is known of each: tables of Unicode's CLDR that `scripts/locales.mjs` wrote,
//! sorted, and searched where they are. A locale's own table has what differs from its language's.

/// A locale whose conventions are known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Locale {
    pub(super) name: &'static str,
    /// The region whose name may be added to the language's without any difference.
    usual_region: &'static str,
    tables: [&'static str; 2],
}

macro_rules! language_table {
    () => {
        ""
    };
    ($language:literal) => {
        include_str!(concat!("data/", $language, ".txt"))
    };
}

macro_rules! locales {
    ($($name:literal $region:literal $(of $language:literal)?;)*) => {
        &[$(Locale {
            name: $name,
            usual_region: $region,
            tables: [
                include_str!(concat!("data/", $name, ".txt")),
                language_table!($($language)?),
            ],
        }),*]
    };
}

static LOCALES: &[Locale] = locales! {
    "en" "en-US";
    "en-AU" "" of "en";
    "en-CA" "" of "en";
    "en-GB" "" of "en";
    "en-IE" "" of "en";
    "en-IN" "" of "en";
    "en-NZ" "" of "en";
    "en-ZA" "" of "en";
    "de" "de-DE";
    "de-AT" "" of "de";
    "de-CH" "" of "de";
    "es" "es-ES";
    "es-MX" "" of "es";
    "fr" "fr-FR";
    "fr-CA" "" of "fr";
    "fr-CH" "" of "fr";
    "it" "it-IT";
    "nl" "nl-NL";
    "pt" "pt-BR";
    "pt-PT" "" of "pt";
    "sv" "sv-SE";
};

/// The locale of exactly that name, or of its language and usual region.
pub(super) fn find(name: &str) -> Option<&'static Locale> {
    LOCALES.iter().find(|locale| name == locale.name || name == locale.usual_region)
}

impl Locale {
    /// The language whose plurals it has; Portugal has its own.
    pub(super) fn language(&self) -> &'static str {
        match self.name {
            "pt-PT" => self.name,
            name => name.get(..2).unwrap_or(name),
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&'static str> {
        let [own, languages] = self.tables;
        let text = lookup(own, key).or_else(|| lookup(languages, key))?;
        // What only the language has is empty here.
        (!text.is_empty()).then_some(text)
    }

    /// Text that every locale has.
    pub(super) fn must(&self, key: &str) -> &'static str {
        self.text(key).unwrap_or_default()
    }

    /// The keys that begin with `prefix`, without it, in order.
    pub(super) fn keys(&self, prefix: &str) -> Vec<&'static str> {
        let mut keys: Vec<&str> = self
            .tables
            .iter()
            .flat_map(|table| table.lines())
            .filter_map(|line| line.strip_prefix(prefix)?.split_once('\t'))
            .map(|(key, _)| key)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// The value of a key in a table: sorted lines of key, tab, value.
pub(super) fn lookup(table: &'static str, key: &str) -> Option<&'static str> {
    let mut rest = table;
    while !rest.is_empty() {
        let middle = rest.floor_char_boundary(rest.len() / 2);
        let start = rest.get(..middle)?.rfind('\n').map_or(0, |end| end + 1);
        let (before, from) = rest.split_at_checked(start)?;
        let (line, after) = from.split_once('\n').unwrap_or((from, ""));
        let (found, value) = line.split_once('\t')?;
        match found.cmp(key) {
            std::cmp::Ordering::Equal => return Some(value),
            std::cmp::Ordering::Less => rest = after,
            std::cmp::Ordering::Greater => rest = before,
        }
    }
    None
}
