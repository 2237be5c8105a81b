//! Values as text for people: console lines and errors.

use rquickjs::{Coerced, Ctx, FromJs, Result, Value};

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
        let description: Option<String> = symbol.description()?.get()?;
        return Ok(format!("Symbol({})", description.unwrap_or_default()));
    }
    let json = argument.is_object() && !argument.is_function();
    let plain = json && (argument.is_array() || coerce(ctx, argument)? == "[object Object]");
    if plain && let Some(json) = ctx.json_stringify(argument.clone())? {
        return json.to_string();
    }
    coerce(ctx, argument)
}

fn coerce<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<String> {
    Ok(Coerced::<String>::from_js(ctx, value.clone())?.0)
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
    let name: Option<Coerced<String>> = error.get("name")?;
    let message: Option<Coerced<String>> = error.get("message")?;
    let name = name.map_or_else(|| "Error".to_owned(), |name| name.0);
    Ok(match message {
        Some(message) if !message.0.is_empty() => format!("{name}: {}", message.0),
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
