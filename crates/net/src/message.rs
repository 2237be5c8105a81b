//! Requests as they are written, and answers as they are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::ext::ReasonPhrase;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::http::response::Parts;
use hyper::{Method, Uri};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::body;
use crate::error::Error;
use crate::site::Site;

const AGENT: &str = concat!("posthog_plugins/", env!("CARGO_PKG_VERSION"));

/// What only who holds the connection can say: where the message begins and ends, who it is for.
const OURS: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// The headers that a request may have of those that were given.
pub(crate) fn headers(given: &[(String, String)], url: &Url) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let bad = || Error::BadRequest(format!("header {name} has a value that cannot be sent"));
        let lower = name.to_ascii_lowercase();
        if OURS.contains(&lower.as_str()) || lower.starts_with("proxy-") {
            continue;
        }
        let name = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| bad())?;
        // A character of a header is a byte.
        let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(c).ok()).collect();
        let value = HeaderValue::from_bytes(&bytes.ok_or_else(bad)?).map_err(|_| bad())?;
        headers.try_append(name, value).map_err(|_| bad())?;
    }
    if !headers.contains_key(AUTHORIZATION)
        && let Some(value) = basic(url)
    {
        headers.insert(AUTHORIZATION, value);
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(body::ACCEPTED));
    Ok(headers)
}

/// The user and password of an address, as they are sent.
fn basic(url: &Url) -> Option<HeaderValue> {
    let password = url.password().unwrap_or_default();
    if url.username().is_empty() && password.is_empty() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()
}

pub(crate) fn request(
    method: &Method,
    url: &Url,
    site: &Site,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<hyper::Request<Full<Bytes>>, Error> {
    let bad = |what: String| Error::BadRequest(format!("the address cannot be sent: {what}"));
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut request = hyper::Request::new(Full::new(body.clone()));
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.parse::<Uri>().map_err(|error| bad(error.to_string()))?;
    *request.headers_mut() = headers.clone();
    let host = HeaderValue::from_str(&site.authority()).map_err(|error| bad(error.to_string()))?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

pub(crate) fn method(name: &str) -> Result<Method, Error> {
    match Method::from_bytes(name.as_bytes()) {
        Ok(Method::CONNECT) | Err(_) => {
            Err(Error::BadRequest(format!("{name} is not a method that can be used")))
        }
        Ok(method) => Ok(method),
    }
}

pub(crate) fn status_text(head: &Parts) -> String {
    match head.extensions.get::<ReasonPhrase>() {
        Some(reason) => latin1(reason.as_bytes()),
        None => head.status.canonical_reason().unwrap_or_default().to_owned(),
    }
}

pub(crate) fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), latin1(value.as_bytes()))
    };
    headers.iter().map(pair).collect()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
