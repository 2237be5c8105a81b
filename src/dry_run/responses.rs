//! The argument `responses`: what a dry run answers to `fetch`. An object, `"METHOD address"` or
//! `"address"` to a reply or a list of replies; `*` in an address stands for anything.

use std::cell::Cell;
use std::rc::Rc;

use engine::Response;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

#[derive(Default)]
pub struct Responses(Vec<Entry>);

struct Entry {
    /// In capitals; any, unless given.
    method: Option<String>,
    address: String,
    replies: Replies,
}

enum Replies {
    Always(Rc<Reply>),
    /// One for each request, in order.
    Each {
        list: Vec<Rc<Reply>>,
        next: Cell<usize>,
    },
}

/// One answer.
pub struct Reply(std::result::Result<Content, String>);

struct Content {
    status: u16,
    status_text: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Responses {
    pub fn parse(given: Option<Value>) -> Result<Self> {
        let entries = match given {
            None | Some(Value::Null) => return Ok(Responses::default()),
            Some(Value::Object(entries)) => entries,
            Some(_) => return Err(Error::BadResponses("they must be a JSON object".to_owned())),
        };
        let entry = |(target, value): (String, Value)| {
            Entry::parse(&target, value)
                .map_err(|problem| Error::BadResponses(format!("\"{target}\": {problem}")))
        };
        let mut entries = entries.into_iter().map(entry).collect::<Result<Vec<_>>>()?;
        // What says more goes first.
        entries.sort_by_key(|entry| {
            let letters = entry.address.len() - entry.address.matches('*').count();
            (entry.has_wildcard(), entry.method.is_none(), std::cmp::Reverse(letters))
        });
        Ok(Responses(entries))
    }

    /// The reply to a request; or why there is none.
    pub fn reply(&self, method: &str, url: &str) -> std::result::Result<Rc<Reply>, String> {
        match self.0.iter().find(|entry| entry.answers(method, url)).map(|entry| &entry.replies) {
            None => Err(format!(
                "a dry run has no network, and the argument responses has nothing for \
                 \"{method} {url}\""
            )),
            Some(Replies::Always(reply)) => Ok(reply.clone()),
            Some(Replies::Each { list, next }) => {
                let reply = list.get(next.replace(next.get() + 1)).cloned();
                reply.ok_or_else(|| {
                    let count = list.len();
                    format!("the argument responses has {count} replies for it, which are used up")
                })
            }
        }
    }
}

impl Entry {
    fn parse(target: &str, value: Value) -> std::result::Result<Self, String> {
        let (method, address) = match target.split_once(' ') {
            Some((method, address)) => (Some(method.to_ascii_uppercase()), address.trim()),
            None => (None, target),
        };
        let is_http = ["http://", "https://", "*"].iter().any(|start| address.starts_with(start));
        if !is_http {
            return Err("the key must be an address with http:// or https://, or have a * in its \
                        place"
                .to_owned());
        }
        // An address without a path has the path "/".
        let authority = address.split_once("://").map_or("", |(_, rest)| rest);
        let is_bare = !authority.is_empty() && !authority.contains(['/', '?', '*']);
        let address = if is_bare { format!("{address}/") } else { address.to_owned() };
        let replies = match value {
            Value::Array(list) => Replies::Each {
                list: list.into_iter().map(Reply::parse).collect::<std::result::Result<_, _>>()?,
                next: Cell::new(0),
            },
            reply => Replies::Always(Reply::parse(reply)?),
        };
        Ok(Entry { method, address, replies })
    }

    fn has_wildcard(&self) -> bool {
        self.address.contains('*')
    }

    fn answers(&self, method: &str, url: &str) -> bool {
        self.method.as_deref().is_none_or(|own| own == method) && matches(&self.address, url)
    }
}

/// Whether a text is what a pattern says, in which each `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(end)
}

impl Reply {
    /// Text is the body of a response with status 200.
    fn parse(value: Value) -> std::result::Result<Rc<Self>, String> {
        let mut parts = match value {
            Value::Object(parts) => parts,
            Value::String(body) => Map::from_iter([("body".to_owned(), body.into())]),
            _ => return Err("a reply is an object or a text".to_owned()),
        };
        if let Some(error) = parts.remove("error") {
            let reason = error.as_str().ok_or("\"error\" must be a text")?;
            return Ok(Rc::new(Reply(Err(reason.to_owned()))));
        }
        let status = match parts.remove("status") {
            None => 200,
            Some(status) => status
                .as_u64()
                .and_then(|status| u16::try_from(status).ok())
                .filter(|status| (100..=599).contains(status))
                .ok_or("\"status\" must be a number from 100 to 599")?,
        };
        let status_text = match parts.remove("status_text") {
            None => String::new(),
            Some(Value::String(text)) => text,
            Some(_) => return Err("\"status_text\" must be a text".to_owned()),
        };
        let mut headers = headers(parts.remove("headers"))?;
        let body = match parts.remove("body") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => text.into_bytes(),
            Some(json) => {
                if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                    headers.push(("content-type".to_owned(), "application/json".to_owned()));
                }
                json.to_string().into_bytes()
            }
        };
        match parts.keys().next() {
            Some(unknown) => Err(format!(
                "a reply has status, status_text, headers and body, or error; not \"{unknown}\""
            )),
            None => Ok(Rc::new(Reply(Ok(Content { status, status_text, headers, body })))),
        }
    }

    /// The response to a request for that address.
    pub fn to(&self, url: String) -> std::result::Result<Response, String> {
        let Content { status, status_text, headers, body } =
            self.0.as_ref().map_err(Clone::clone)?;
        Ok(Response {
            status: *status,
            status_text: status_text.clone(),
            headers: headers.clone(),
            body: body.clone(),
            url,
            redirected: false,
        })
    }
}

/// Names and values; a list of values is several headers of one name.
fn headers(given: Option<Value>) -> std::result::Result<Vec<(String, String)>, String> {
    let wrong = || "\"headers\" must be an object of texts".to_owned();
    let pairs = match given {
        None => return Ok(Vec::new()),
        Some(Value::Object(pairs)) => pairs,
        Some(_) => return Err(wrong()),
    };
    let mut headers = Vec::new();
    for (name, value) in pairs {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let Value::String(value) = value else { return Err(wrong()) };
            headers.push((name.clone(), value));
        }
    }
    Ok(headers)
}
