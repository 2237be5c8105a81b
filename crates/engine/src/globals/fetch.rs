//! `fetch` and the classes that go with it, from `Headers` to `FormData` and `Event`: they are
//! the scripts in `fetch/`; what they send goes through [`Requests`] to the host.

mod requests;

use std::rc::Rc;

use rquickjs::function::Func;
use rquickjs::{Ctx, Function, Object, Persistent, Result, TypedArray, Value};

use super::bytes::with_bytes;
use super::{encoding, run, url};
use crate::http::{Redirect, Request};
use crate::machine::Tools;
use crate::program::Program;
use crate::timers::{Purpose, Timers};
pub(crate) use requests::Requests;

pub(super) const NAMES: &[&str] = &[
    "fetch",
    "Headers",
    "Request",
    "Response",
    "AbortController",
    "AbortSignal",
    "Event",
    "EventTarget",
    "Blob",
    "File",
    "FormData",
];

/// Each is a function that adds its classes to the parts, out of those before it.
const SCRIPTS: [&str; 10] = [
    include_str!("fetch/event.js"),
    include_str!("fetch/abort.js"),
    include_str!("fetch/headers.js"),
    include_str!("fetch/streams.js"),
    include_str!("fetch/blob.js"),
    include_str!("fetch/form_data.js"),
    include_str!("fetch/body.js"),
    include_str!("fetch/request.js"),
    include_str!("fetch/response.js"),
    include_str!("fetch/fetch.js"),
];

/// What makes the globals of a program's realm.
pub(super) fn builder(
    program: &Rc<Program>,
    tools: &Tools,
) -> impl for<'a> Fn(&Ctx<'a>) -> Result<Object<'a>> + Clone + use<> {
    let program = program.clone();
    let (requests, timers) = (tools.requests.clone(), tools.timers.clone());
    move |ctx| {
        let parts = Object::new(ctx.clone())?;
        parts.set("native", native(ctx, &program, &requests, &timers)?)?;
        parts.set("errors", run::<Value<'_>>(ctx, include_str!("node_errors.js"))?)?;
        for script in SCRIPTS {
            let add: Function<'_> = run(ctx, script)?;
            add.call::<_, ()>((parts.clone(),))?;
        }
        Ok(parts)
    }
}

fn native<'js>(
    ctx: &Ctx<'js>,
    program: &Rc<Program>,
    requests: &Rc<Requests>,
    timers: &Rc<Timers>,
) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    native.set("encode", Func::from(encoding::encode))?;
    native.set("decode", Func::from(encoding::utf8))?;
    native.set("parse", Func::from(url::parse))?;
    native.set("send", sender(ctx, program, requests)?)?;
    // An address may hold a secret, and a plugin can put the error that names it anywhere.
    let redacting = program.clone();
    let redact = move |text: String| redacting.redact(text);
    native.set("redact", Function::new(ctx.clone(), redact)?)?;
    let table = requests.clone();
    let cancel = move |number: u64| table.cancel(number);
    native.set("cancel", Function::new(ctx.clone(), cancel)?)?;
    let table = timers.clone();
    let set_alarm = move |ctx: Ctx<'js>, milliseconds: f64, ring: Function<'js>| {
        table.set(Purpose::Limit, None, milliseconds, Persistent::save(&ctx, ring))
    };
    native.set("setAlarm", Function::new(ctx.clone(), set_alarm)?)?;
    let table = timers.clone();
    let clear_alarm = move |number: u64| table.clear(number);
    native.set("clearAlarm", Function::new(ctx.clone(), clear_alarm)?)?;
    Ok(native)
}

/// Sends a request, and answers with its number; or with why it is refused.
fn sender<'js>(
    ctx: &Ctx<'js>,
    program: &Rc<Program>,
    requests: &Rc<Requests>,
) -> Result<Function<'js>> {
    let (program, requests) = (program.id, requests.clone());
    let send = move |ctx: Ctx<'js>, parts: Object<'js>, settle: Function<'js>| {
        let headers: Vec<Vec<String>> = parts.get("headers")?;
        let pairs = headers.into_iter().filter_map(|pair| <[String; 2]>::try_from(pair).ok());
        let body: Option<TypedArray<'js, u8>> = parts.get("body")?;
        let request = Request {
            method: parts.get("method")?,
            url: parts.get("url")?,
            headers: pairs.map(|[name, value]| (name, value)).collect(),
            body: body.map_or(Ok(Vec::new()), |body| with_bytes(&body, <[u8]>::to_vec))?,
            redirect: match parts.get::<_, String>("redirect")?.as_str() {
                "manual" => Redirect::Manual,
                "error" => Redirect::Error,
                _ => Redirect::Follow,
            },
        };
        let answer = Object::new(ctx.clone())?;
        let sent = request
            .check()
            .and_then(|()| requests.send(program, request, Persistent::save(&ctx, settle)));
        match sent {
            Ok(number) => answer.set("number", number)?,
            Err(refusal) => answer.set("refusal", refusal)?,
        }
        Ok::<_, rquickjs::Error>(answer)
    };
    Function::new(ctx.clone(), send)
}
