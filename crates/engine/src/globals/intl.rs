//! `Intl`, and the methods of others that depend on a locale. The classes are JavaScript, which reads
//! the plugin's options; what they need is here, and made when a plugin first asks for any of it.

mod date;
mod decimal;
mod locale;
mod number;
mod plural;
mod skeleton;
mod zone;

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;

use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, Strength};
use icu_collator::preferences::{CollationCaseFirst, CollationNumericOrdering};
use icu_collator::{CollatorBorrowed, CollatorPreferences};
use rquickjs::function::{Func, Opt};
use rquickjs::{
    Array, Ctx, Exception, Function, IntoJs, Object, Result, String as JsString, Value,
};

use super::bytes::{with_utf8, with_utf16};
use super::{run, toll};
use date::{DateFormat, Part};
use locale::Locale;
use number::{NumberFormat, Rounding};
use skeleton::Generator;

/// Patterns that are kept; a plugin that asks for more different ones begins anew.
const KEPT_PATTERNS: usize = 256;

/// Characters of a number: each group of three digits becomes a part of some memory, which no meter
/// counts.
const LONGEST_NUMBER: usize = 100_000;

/// Bytes of a pattern, a skeleton or the name of a unit: CLDR's have less than half of it. What our
/// scripts give is theirs, but for what a plugin has made of `String.prototype`.
const LONGEST_WORD: usize = 200;

/// What a part is worth in bytes of a toll.
const BYTES_PER_PART: usize = 64;

/// Last millisecond of a Date, on either side of 1970.
const LAST_TIME: f64 = 8.64e15;

thread_local! {
    static GENERATORS: RefCell<HashMap<&'static str, Rc<Generator>>> = RefCell::default();
    /// By locale and skeleton.
    static PATTERNS: RefCell<HashMap<(&'static str, String), String>> = RefCell::default();
}

/// Lets the realm have `Intl` and what depends on it.
pub(super) fn install(ctx: &Ctx<'_>) -> Result<()> {
    let install: Function<'_> = run(ctx, include_str!("intl/install.js"))?;
    install.call((Func::from(build),))
}

fn build<'js>(ctx: Ctx<'js>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    native.set("find", Func::from(|name: String| locale::find(&name).map(|found| found.name)))?;
    native.set("text", Func::from(text))?;
    native
        .set("zone", Func::from(|name: String| zone::find(&name).map(|zone| zone.name.clone())))?;
    native.set("pattern", Func::from(pattern))?;
    native.set("glue", Func::from(glue))?;
    native.set("date", Func::from(date_format))?;
    native.set("number", Func::from(number_format))?;
    native.set("plural", Func::from(plural_of))?;
    native.set("collator", Func::from(collator))?;
    native.set("fraction", Func::from(fraction_digits))?;
    let base: Function<'js> = run(&ctx, include_str!("intl/intl.js"))?;
    let tools: Object<'js> = base.call((native.clone(),))?;
    for source in [
        include_str!("intl/date_time_format.js"),
        include_str!("intl/number_format.js"),
        include_str!("intl/words.js"),
    ] {
        let define: Function<'js> = run(&ctx, source)?;
        define.call::<_, ()>((native.clone(), tools.clone()))?;
    }
    Ok(tools)
}

/// What is kept of them is not among what the plugin's memory is measured by.
fn check_words(ctx: &Ctx<'_>, words: &[&str]) -> Result<()> {
    if words.iter().all(|word| word.len() <= LONGEST_WORD) {
        return Ok(());
    }
    Err(Exception::throw_range(ctx, "too long for a format"))
}

fn known(ctx: &Ctx<'_>, name: &str) -> Result<&'static Locale> {
    locale::find(name).ok_or_else(|| Exception::throw_range(ctx, "unknown locale"))
}

fn text(ctx: Ctx<'_>, name: String, key: String) -> Result<Option<&'static str>> {
    Ok(known(&ctx, &name)?.text(&key))
}

/// The pattern in which a locale shows the fields of a skeleton.
fn pattern(ctx: Ctx<'_>, name: String, skeleton: String) -> Result<String> {
    let locale = known(&ctx, &name)?;
    check_words(&ctx, &[&skeleton])?;
    let key = (locale.name, skeleton);
    if let Some(pattern) = PATTERNS.with_borrow(|kept| kept.get(&key).cloned()) {
        return Ok(pattern);
    }
    let generator = GENERATORS.with_borrow_mut(|all| {
        all.entry(locale.name).or_insert_with(|| Rc::new(Generator::new(locale))).clone()
    });
    let pattern = generator.pattern(&key.1);
    PATTERNS.with_borrow_mut(|kept| {
        if kept.len() >= KEPT_PATTERNS {
            kept.clear();
        }
        kept.insert(key, pattern.clone());
    });
    Ok(pattern)
}

fn glue(ctx: Ctx<'_>, name: String, style: String, date: String, time: String) -> Result<String> {
    check_words(&ctx, &[&style, &date, &time])?;
    Ok(skeleton::glue(known(&ctx, &name)?, &style, &date, &time))
}

/// What a formatter answers: its text, or the kinds and texts of its parts by turns.
fn answer<'js>(ctx: &Ctx<'js>, parts: Vec<Part>, in_parts: bool) -> Result<Value<'js>> {
    if !in_parts {
        let text: String = parts.into_iter().map(|(_, text)| text).collect();
        return text.into_js(ctx);
    }
    let list = Array::new(ctx.clone())?;
    for (at, (kind, text)) in parts.into_iter().enumerate() {
        list.set(2 * at, kind)?;
        list.set(2 * at + 1, text)?;
    }
    list.into_js(ctx)
}

fn date_format<'js>(
    ctx: Ctx<'js>,
    name: String,
    pattern: String,
    zone: String,
) -> Result<Function<'js>> {
    let locale = known(&ctx, &name)?;
    let zone = zone::find(&zone).ok_or_else(|| Exception::throw_range(&ctx, "unknown zone"))?;
    check_words(&ctx, &[&pattern])?;
    let tokens = skeleton::parse(&pattern);
    let format = DateFormat { locale, zone, tokens };
    Function::new(ctx, move |ctx: Ctx<'js>, time: f64, in_parts: Opt<bool>| {
        if time.is_nan() || time.abs() > LAST_TIME {
            return Err(Exception::throw_range(&ctx, "Invalid time value"));
        }
        let mut parts = format.parts(time as i64);
        let in_parts = in_parts.0.unwrap_or(false);
        if !in_parts {
            // As V8 does, for programs from before CLDR had a narrow space there.
            for (_, text) in parts.iter_mut().filter(|(_, text)| text.contains('\u{202F}')) {
                *text = text.replace('\u{202F}', " ");
            }
        }
        answer(&ctx, parts, in_parts)
    })
}

/// Digits are checked by the class; these bounds only keep the memory that they need small.
fn digits(options: &Object<'_>, name: &str) -> Result<usize> {
    Ok(options.get::<_, f64>(name)?.clamp(0.0, 100.0) as usize)
}

fn number_format<'js>(ctx: Ctx<'js>, options: Object<'js>) -> Result<Function<'js>> {
    let name: String = options.get("data")?;
    let pair = |least: &str, most: &str| -> Result<Option<(usize, usize)>> {
        if options.get::<_, Option<f64>>(least)?.is_none() {
            return Ok(None);
        }
        Ok(Some((digits(&options, least)?, digits(&options, most)?)))
    };
    let rounding = Rounding {
        least_integer: digits(&options, "minimumIntegerDigits")?,
        fraction: pair("minimumFractionDigits", "maximumFractionDigits")?,
        significant: pair("minimumSignificantDigits", "maximumSignificantDigits")?,
        is_finer: options.get::<_, String>("roundingPriority")? != "lessPrecision",
        mode: decimal::Mode::of(&options.get::<_, String>("roundingMode")?),
        strips_zeros: options.get::<_, String>("trailingZeroDisplay")? == "stripIfInteger",
    };
    let format = NumberFormat {
        locale: known(&ctx, &name)?,
        style: options.get("style")?,
        of: options.get("of")?,
        display: options.get("display")?,
        is_accounting: options.get("isAccounting")?,
        notation: options.get("notation")?,
        is_long: options.get("isLong")?,
        grouping: options.get("grouping")?,
        sign: options.get("signDisplay")?,
        rounding,
    };
    check_words(&ctx, &[&format.of, &format.style, &format.display])?;
    check_words(&ctx, &[&format.notation, &format.grouping, &format.sign])?;
    Function::new(ctx, move |ctx: Ctx<'js>, number: JsString<'js>, in_parts: Opt<bool>| {
        let parts = with_utf8(number, |number| {
            (number.len() <= LONGEST_NUMBER).then(|| format.parts(number))
        })?;
        let Some(parts) = parts else {
            return Err(Exception::throw_range(&ctx, "the number has too many digits"));
        };
        toll::pay(&ctx, parts.len() * BYTES_PER_PART)?;
        answer(&ctx, parts, in_parts.0.unwrap_or(false))
    })
}

/// The plural category of a number as it is shown with dots for the point.
fn plural_of(ctx: Ctx<'_>, name: String, is_ordinal: bool, number: String) -> Result<&'static str> {
    let language = known(&ctx, &name)?.language();
    let number = number.trim_start_matches('-');
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    let shown = plural::Shown { integer, fraction, power: 0 };
    Ok(if is_ordinal {
        plural::ordinal(language, &shown)
    } else {
        plural::cardinal(language, &shown)
    })
}

/// Digits after the point of an amount of that currency.
fn fraction_digits(code: String) -> usize {
    let digits = locale::lookup(include_str!("intl/data/fractions.txt"), &code);
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(2)
}

fn collator<'js>(
    ctx: Ctx<'js>,
    name: String,
    sensitivity: String,
    numeric: bool,
    case_first: String,
    ignores_punctuation: bool,
) -> Result<Function<'js>> {
    let mut options = CollatorOptions::default();
    options.strength = Some(match sensitivity.as_str() {
        "base" | "case" => Strength::Primary,
        "accent" => Strength::Secondary,
        _ => Strength::Tertiary,
    });
    options.alternate_handling = Some(if ignores_punctuation {
        AlternateHandling::Shifted
    } else {
        AlternateHandling::NonIgnorable
    });
    options.case_level = (sensitivity == "case").then_some(CaseLevel::On);
    let mut preferences = match icu_locale_core::Locale::try_from_str(&name) {
        Ok(locale) => CollatorPreferences::from(&locale),
        Err(_) => CollatorPreferences::default(),
    };
    preferences.numeric_ordering = Some(if numeric {
        CollationNumericOrdering::True
    } else {
        CollationNumericOrdering::False
    });
    preferences.case_first = Some(match case_first.as_str() {
        "upper" => CollationCaseFirst::Upper,
        "lower" => CollationCaseFirst::Lower,
        _ => CollationCaseFirst::False,
    });
    let collator = CollatorBorrowed::try_new(preferences, options)
        .map_err(|_| Exception::throw_range(&ctx, "unknown locale"))?;
    Function::new(ctx, move |one: JsString<'js>, other: JsString<'js>| {
        let order = with_utf16(&one, |one| {
            with_utf16(&other, |other| collator.compare_utf16(one, other))
        })??;
        Ok::<_, rquickjs::Error>(match order {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        })
    })
}
