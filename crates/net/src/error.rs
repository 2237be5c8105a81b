//! Why there is no response. The texts go on where a sentence about a failed request begins.

use std::net::IpAddr;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the address is not valid: {0}")]
    Url(#[from] url::ParseError),

    #[error("{0}: is neither http nor https")]
    Scheme(String),

    #[error("the address has no host")]
    NoHost,

    /// The site, as it would be an entry of the list.
    #[error("{0} is not an allowed host")]
    NotAllowed(String),

    #[error("{host} is {address}, {what}")]
    Private { host: String, address: IpAddr, what: &'static str },

    #[error("{0} is {1}, which nobody can be allowed")]
    Unusable(IpAddr, &'static str),

    #[error("after a redirect, {0}")]
    Redirected(Box<Error>),

    #[error("the answer is a redirect")]
    RedirectRefused,

    #[error("there were more than {0} redirects")]
    TooManyRedirects(usize),

    #[error("no address was found for {host}: {reason}")]
    NoAddress { host: String, reason: String },

    #[error("could not connect to {address}: {reason}")]
    NoConnection { address: IpAddr, reason: String },

    #[error("no TLS with {host}: {reason}")]
    NoTls { host: String, reason: String },

    #[error("{0}")]
    BadRequest(String),

    #[error("the connection failed: {0}")]
    Broken(String),

    #[error("the answer is no HTTP: {0}")]
    NotHttp(String),

    #[error("the answer ended too early")]
    EndedEarly,

    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),

    #[error("the answer's content-encoding {coding} cannot be decoded: {reason}")]
    NotDecoded { coding: String, reason: String },

    #[error("there was no answer in {} ms", .0.as_millis())]
    TooSlow(Duration),

    #[error("there are more than {0} requests at a time")]
    TooMany(usize),

    #[error("the network cannot be used: {0}")]
    Unavailable(String),
}
