//! A site: scheme, host and port, as one address of a request comes to.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::error::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "http" => Some(Scheme::Http),
            "https" => Some(Scheme::Https),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    pub(crate) fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Names are in small letters, in their ASCII form, without a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Site {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
}

impl Site {
    pub fn of(url: &Url) -> Result<Self, Error> {
        let scheme =
            Scheme::parse(url.scheme()).ok_or_else(|| Error::Scheme(url.scheme().to_owned()))?;
        let host = url.host().ok_or(Error::NoHost)?.to_owned();
        let port = url.port().unwrap_or_else(|| scheme.default_port());
        Ok(Site { scheme, host: without_dot(host), port })
    }

    /// The address, if the host is one.
    pub fn literal(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }

    /// Host and port as the header `Host` has them.
    pub(crate) fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// As an entry of the list has it.
impl fmt::Display for Site {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_default = (self.scheme, self.port) == (Scheme::Https, 443);
        if is_default {
            write!(out, "{}", self.host)
        } else {
            write!(out, "{}://{}", self.scheme.name(), self.authority())
        }
    }
}

/// `example.com.` is the very host `example.com`.
fn without_dot(host: Host<String>) -> Host<String> {
    match host {
        Host::Domain(name) => {
            Host::Domain(name.strip_suffix('.').map_or_else(|| name.clone(), str::to_owned))
        }
        address => address,
    }
}

/// Names of the machine itself, which no name server is asked for.
pub(crate) fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}
