//! Values as text for people: console lines and errors.

use std::borrow::Cow;

use rquickjs::{Coerced, Ctx, Error, FromJs, Result, Value};

use super::raw::Raw;

/// What PostHog's console prints for its arguments: each one as `String(argument)`, plain objects
/// and arrays as JSON, joined by spaces. No format directives.
pub(crate) fn console_text<'js>(ctx: &Ctx<'js>, arguments: &[Value<'js>]) -> Result<String> {
    let mut line = String::new();
    for (position, argument) in arguments.iter().enumerate() {
        if position > 0 {
            line.push(' ');
        }
        line.push_str(&argument_text(ctx, argument)?);
    }
    Ok(line)
}

fn argument_text<'js>(ctx: &Ctx<'js>, argument: &Value<'js>) -> Result<String> {
    if let Some(symbol) = argument.as_symbol() {
        let description = text_of_string(ctx, &symbol.description()?);
        return Ok(format!("Symbol({})", description.unwrap_or_default()));
    }
    let json = argument.is_object() && !argument.is_function();
    let plain = json && (argument.is_array() || coerce(ctx, argument)? == "[object Object]");
    if plain && let Some(json) = ctx.json_stringify(argument.clone())? {
        return Ok(text_of_string(ctx, json.as_value()).unwrap_or_default());
    }
    coerce(ctx, argument)
}

fn coerce<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<String> {
    let string = Coerced::<rquickjs::String<'js>>::from_js(ctx, value.clone())?.0;
    text_of_string(ctx, string.as_value()).ok_or(Error::Exception)
}

/// A JavaScript string as PostgreSQL can hold it; `None` for any other value.
pub(crate) fn text_of_string<'js>(ctx: &Ctx<'js>, string: &Value<'js>) -> Option<String> {
    let string = Raw::of(ctx, string);
    if !string.is_string() {
        return None;
    }
    string.text().ok().map(|text| storable(text.bytes()).into_owned())
}

/// A string of QuickJS's as PostgreSQL can hold it: U+0000 and lone surrogates become U+FFFD.
pub(super) fn storable(bytes: &[u8]) -> Cow<'_, str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replace_surrogates(bytes.to_vec())),
    };
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { text }
}

/// QuickJS writes a lone surrogate as the three bytes ED A0..BF xx; U+FFFD has three bytes, too.
fn replace_surrogates(mut bytes: Vec<u8>) -> String {
    let mut rest = bytes.as_mut_slice();
    while let [first, second, ..] = rest {
        let surrogate = *first == 0xED && *second >= 0xA0;
        let (done, next) = rest.split_at_mut(if surrogate { rest.len().min(3) } else { 1 });
        if surrogate && done.len() == 3 {
            done.copy_from_slice("\u{FFFD}".as_bytes());
        }
        rest = next;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `Name: message` of an error, `String(value)` of anything else. Never fails: what the plugin's
/// own accessors throw is dropped.
pub(crate) fn text_of_error<'js>(ctx: &Ctx<'js>, thrown: &Value<'js>) -> String {
    let text = if thrown.is_error() {
        name_and_message(thrown)
    } else if thrown.is_symbol() || thrown.is_object() {
        argument_text(ctx, thrown)
    } else {
        coerce(ctx, thrown)
    };
    text.unwrap_or_else(|_| {
        ctx.catch();
        "an error that cannot be shown".to_owned()
    })
}

fn name_and_message(error: &Value<'_>) -> Result<String> {
    let Some(error) = error.as_object() else { return Ok(String::new()) };
    let text = |key| -> Result<Option<String>> {
        let value: Value<'_> = error.get(key)?;
        if value.is_undefined() { Ok(None) } else { coerce(error.ctx(), &value).map(Some) }
    };
    let name = text("name")?.unwrap_or_else(|| "Error".to_owned());
    Ok(match text("message")? {
        Some(message) if !message.is_empty() => format!("{name}: {message}"),
        _ => name,
    })
}

/// Cuts a text at a character boundary and says so.
pub(crate) fn shorten(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let mut end = longest;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
