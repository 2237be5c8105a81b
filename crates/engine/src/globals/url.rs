//! `URL` and `URLSearchParams`: the classes are `url.js`; parsing is the `url` crate's. An object
//! holds nothing but its serialised address, so that its memory is the realm's own; a part is found
//! by parsing again, unless the address is the one that was parsed last.

use std::cell::Cell;

use rquickjs::function::Func;
use rquickjs::{Array, Ctx, Function, Object, Result, String as JsString, Value};
use url::{Url, form_urlencoded, quirks};

use super::bytes::with_utf8;
use super::run;

pub(super) fn build<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let tools = Object::new(ctx.clone())?;
    tools.set("parse", Func::from(parse))?;
    tools.set("part", Func::from(part))?;
    tools.set("change", Func::from(change))?;
    tools.set("readForm", Func::from(read_form))?;
    tools.set("writeForm", Func::from(write_form))?;
    let errors: Value<'js> = run(ctx, include_str!("node_errors.js"))?;
    let params: Function<'js> = run(ctx, include_str!("url/search_params.js"))?;
    let factory: Function<'js> = run(ctx, include_str!("url/url.js"))?;
    factory.call((tools, errors, params))
}

/// What an address becomes; nothing when it is none.
pub(super) fn parse<'js>(
    text: JsString<'js>,
    base: Option<JsString<'js>>,
) -> Result<Option<String>> {
    let base = match base {
        Some(base) => match with_utf8(base, Url::parse)? {
            Ok(base) => Some(base),
            Err(_) => return Ok(None),
        },
        None => None,
    };
    let url = with_utf8(text, |text| Url::options().base_url(base.as_ref()).parse(text))?;
    Ok(url.ok().map(|url| {
        let href = String::from(url.as_str());
        keep(url);
        href
    }))
}

thread_local! {
    /// The address that was parsed last: whoever asks for one part asks for others.
    static LAST: Cell<Option<Url>> = const { Cell::new(None) };
}

/// Addresses longer than this are parsed each time: nobody meters what is kept here.
const LONGEST_KEPT: usize = 8 << 10;

fn keep(url: Url) {
    LAST.set(Some(url).filter(|url| url.as_str().len() <= LONGEST_KEPT));
}

/// An address that came from [`parse`] or [`change`].
fn parsed(href: &str) -> Option<Url> {
    let last = LAST.take().filter(|last| last.as_str() == href);
    last.or_else(|| Url::parse(href).ok())
}

fn part<'js>(ctx: Ctx<'js>, href: JsString<'js>, name: String) -> Result<JsString<'js>> {
    let Some(url) = with_utf8(href, parsed)? else { return JsString::from_str(ctx, "") };
    let origin;
    let part = match name.as_str() {
        "origin" => {
            origin = quirks::origin(&url);
            &origin
        }
        "protocol" => quirks::protocol(&url),
        "username" => quirks::username(&url),
        "password" => quirks::password(&url),
        "host" => quirks::host(&url),
        "hostname" => quirks::hostname(&url),
        "port" => quirks::port(&url),
        "pathname" => quirks::pathname(&url),
        "search" => quirks::search(&url),
        "hash" => quirks::hash(&url),
        _ => "",
    };
    let part = JsString::from_str(ctx, part);
    keep(url);
    part
}

/// The address with one part replaced; unchanged when the part cannot be that.
fn change<'js>(href: JsString<'js>, name: String, value: JsString<'js>) -> Result<Option<String>> {
    let Some(mut url) = with_utf8(href, parsed)? else { return Ok(None) };
    with_utf8(value, |value| {
        let refused = match name.as_str() {
            "protocol" => quirks::set_protocol(&mut url, value).is_err(),
            "username" => quirks::set_username(&mut url, value).is_err(),
            "password" => quirks::set_password(&mut url, value).is_err(),
            "host" => quirks::set_host(&mut url, value).is_err(),
            "hostname" => quirks::set_hostname(&mut url, value).is_err(),
            "port" => quirks::set_port(&mut url, value).is_err(),
            "pathname" => {
                quirks::set_pathname(&mut url, value);
                false
            }
            "search" => {
                quirks::set_search(&mut url, value);
                false
            }
            "hash" => {
                quirks::set_hash(&mut url, value);
                false
            }
            _ => true,
        };
        (!refused).then(|| String::from(url))
    })
}

/// The names and values of a query, as an array of pairs.
pub(crate) fn read_form<'js>(ctx: Ctx<'js>, query: JsString<'js>) -> Result<Array<'js>> {
    let pairs = Array::new(ctx.clone())?;
    with_utf8(query, |query| {
        for (index, (name, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
            let pair = Array::new(ctx.clone())?;
            pair.set(0, name.as_ref())?;
            pair.set(1, value.as_ref())?;
            pairs.set(index, pair)?;
        }
        Ok(pairs)
    })?
}

/// The query of an array of pairs.
fn write_form<'js>(pairs: Array<'js>) -> Result<String> {
    let mut query = String::new();
    for pair in pairs.iter::<Array<'js>>() {
        let pair = pair?;
        if !query.is_empty() {
            query.push('&');
        }
        let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let name: String = with_utf8(pair.get(0)?, escape)?;
        let value: String = with_utf8(pair.get(1)?, escape)?;
        query.push_str(&name);
        query.push('=');
        query.push_str(&value);
    }
    Ok(query)
}
