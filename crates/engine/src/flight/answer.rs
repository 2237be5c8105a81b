//! What functions return that somebody waits for: a webhook to send, settings.

use rquickjs::{Coerced, Ctx, Object, String as JsString, Value};

use super::call::{Expects, Return, Settings};
use crate::failure::{Failure, FailureKind};
use crate::globals::{pay, with_utf8};
use crate::http::{Redirect, Request};
use crate::machine::Tools;
use crate::value::is_falsy;

/// More would be a mistake, and servers refuse less.
const MOST_HEADERS: usize = 100;

/// Reads what a function returned.
pub(super) fn read<'js>(
    ctx: &Ctx<'js>,
    tools: &Tools,
    expects: Expects,
    value: Value<'js>,
) -> Result<Return, Failure> {
    match expects {
        Expects::Nothing | Expects::SetUp | Expects::TearDown => Ok(Return::Nothing),
        Expects::Settings => {
            let settings = value.into_object().map_or(Ok(Settings::default()), |it| settings(&it));
            settings.map(Return::Settings).map_err(|_| tools.failure(ctx))
        }
        Expects::Webhook if is_falsy(&value) => Ok(Return::Webhook(None)),
        Expects::Webhook => {
            let Some(webhook) = value.into_object() else {
                return Err(bad("composeWebhook must return an object or null"));
            };
            let request = request(ctx, &webhook).map_err(|_| tools.failure(ctx))?;
            let most = tools.limits.result_bytes;
            if request.size() > most {
                return Err(bad(&format!("the webhook is larger than {most} bytes")));
            }
            request.check().map_err(|why| bad(&format!("the webhook cannot be sent: {why}")))?;
            Ok(Return::Webhook(Some(request)))
        }
    }
}

fn bad(why: &str) -> Failure {
    Failure::new(FailureKind::BadResult, why)
}

fn settings(returned: &Object<'_>) -> rquickjs::Result<Settings> {
    let large: Value<'_> = returned.get("handlesLargeBatches")?;
    Ok(Settings { handles_large_batches: !is_falsy(&large) })
}

/// PostHog's `Webhook`: `url` and `body`, `headers` unless it is JSON, `method` unless it is POST.
fn request<'js>(ctx: &Ctx<'js>, webhook: &Object<'js>) -> rquickjs::Result<Request> {
    let method: Value<'js> = webhook.get("method")?;
    let method = if is_falsy(&method) { "POST".to_owned() } else { text(method)? };
    let url = text(webhook.get("url")?)?;
    let body: Value<'js> = webhook.get("body")?;
    let body = if body.is_undefined() || body.is_null() {
        String::new()
    } else if body.is_object() {
        ctx.json_stringify(body)?
            .map_or(Ok(String::new()), |json| with_utf8(json, str::to_owned))?
    } else {
        text(body)?
    };
    let headers: Value<'js> = webhook.get("headers")?;
    let headers = match headers.into_object() {
        Some(headers) => pairs(ctx, &headers)?,
        None => vec![("content-type".to_owned(), "application/json".to_owned())],
    };
    let (method, body) = (method.to_ascii_uppercase(), body.into_bytes());
    Ok(Request { method, url, headers, body, redirect: Redirect::Follow })
}

fn pairs<'js>(ctx: &Ctx<'js>, headers: &Object<'js>) -> rquickjs::Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for name in headers.keys::<JsString<'js>>().take(MOST_HEADERS) {
        let name = with_utf8(name?, str::to_owned)?;
        let value = text(headers.get(name.as_str())?)?;
        pay(ctx, name.len() + value.len())?;
        pairs.push((name.to_ascii_lowercase(), value));
    }
    Ok(pairs)
}

/// The value as a text, as `String(value)` has it.
fn text(value: Value<'_>) -> rquickjs::Result<String> {
    let text: Coerced<JsString<'_>> = value.get()?;
    with_utf8(text.0, str::to_owned)
}
