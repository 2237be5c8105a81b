//! One request and all that becomes of it: connections, redirects, the answer. Every hop is checked
//! against the rules as the first one is.

use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION};
use hyper::http::response::Parts;
use hyper::{Method, StatusCode};
use url::Url;

use crate::body;
use crate::client::{Limits, World};
use crate::connection::Connection;
use crate::error::Error;
use crate::message;
use crate::rules::Rules;
use crate::site::Site;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub url: Url,
    /// Latin-1, as headers are.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub redirect: Redirect,
}

/// What becomes of an answer that leads elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect {
    Follow,
    /// It is the answer.
    Manual,
    /// It is an error.
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub status_text: String,
    pub headers: Vec<(String, String)>,
    /// Decoded.
    pub body: Vec<u8>,
    /// Where it came from in the end, without a user and password.
    pub url: String,
    pub redirected: bool,
}

/// As the standard of fetch has it.
const MOST_REDIRECTS: usize = 20;

pub(crate) async fn exchange(
    world: &World,
    rules: &Rules,
    request: Request,
    limits: Limits,
) -> Result<Response, Error> {
    let Request { method, url, headers, body, redirect } = request;
    let mut hop = Hop {
        method: message::method(&method)?,
        headers: message::headers(&headers, &url)?,
        url,
        body: Bytes::from(body),
    };
    for redirects in 0..=MOST_REDIRECTS {
        let after = |error| match redirects {
            0 => error,
            _ => Error::Redirected(Box::new(error)),
        };
        let site = Site::of(&hop.url).map_err(after)?;
        rules.admit(&site).map_err(after)?;
        let (mut connection, head, incoming) =
            hop.send(world, rules, &site, limits.time).await.map_err(after)?;
        let next = match redirect {
            Redirect::Manual => None,
            _ => location(&head, &hop.url)?,
        };
        let Some(next) = next else {
            let most = limits.body_bytes;
            let body = body::read(&mut connection, &hop.method, &head.headers, incoming, most);
            let body = body.await?;
            if connection.is_ready().await {
                world.pool.put(site, connection);
            }
            return Ok(hop.response(&head, body, redirects > 0));
        };
        if redirect == Redirect::Error {
            return Err(Error::RedirectRefused);
        }
        // The body of a redirect is not worth reading for a connection.
        if incoming.is_end_stream() && connection.is_ready().await {
            world.pool.put(site, connection);
        }
        hop.follow(head.status, next);
    }
    Err(Error::TooManyRedirects(MOST_REDIRECTS))
}

/// What is asked of one site.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Hop {
    async fn send(
        &self,
        world: &World,
        rules: &Rules,
        site: &Site,
        time: Duration,
    ) -> Result<(Connection, Parts, Incoming), Error> {
        loop {
            let idle = world.pool.take(site, rules).await;
            let is_used = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => Connection::open(world, rules, site, time).await?,
            };
            let Hop { method, url, headers, body } = self;
            let request = message::request(method, url, site, headers, body)?;
            match connection.send(request).await {
                Ok(answer) => {
                    let (head, incoming) = answer.into_parts();
                    if head.status.is_informational() {
                        return Err(Error::NotHttp(head.status.to_string()));
                    }
                    return Ok((connection, head, incoming));
                }
                // The other side had closed it meanwhile. Each turn uses one of the pool up.
                Err(unsent) if is_used && (unsent.never_written || method.is_idempotent()) => {}
                Err(unsent) => return Err(body::broken(&unsent.error)),
            }
        }
    }

    /// Becomes the request that a redirect leads to.
    fn follow(&mut self, status: StatusCode, next: Url) {
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            self.method = Method::GET;
            self.body = Bytes::new();
            for about_body in ["content-language", "content-location"] {
                self.headers.remove(about_body);
            }
            self.headers.remove(CONTENT_TYPE);
            self.headers.remove(CONTENT_ENCODING);
        }
        // What is meant for one site is not told to another.
        if self.url.origin() != next.origin() {
            self.headers.remove(AUTHORIZATION);
            self.headers.remove(COOKIE);
        }
        self.url = next;
    }

    fn response(&self, head: &Parts, body: Vec<u8>, redirected: bool) -> Response {
        Response {
            status: head.status.as_u16(),
            status_text: message::status_text(head),
            headers: message::pairs(&head.headers),
            body,
            url: without_user(self.url.clone()).into(),
            redirected,
        }
    }
}

/// Where an answer leads, if it does.
fn location(head: &Parts, from: &Url) -> Result<Option<Url>, Error> {
    if !matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = head.headers.get(LOCATION) else { return Ok(None) };
    let location = String::from_utf8_lossy(location.as_bytes());
    let mut url = from.join(&location)?;
    if url.fragment().is_none() {
        url.set_fragment(from.fragment());
    }
    Ok(Some(without_user(url)))
}

fn without_user(mut url: Url) -> Url {
    // Both fail for addresses that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}
