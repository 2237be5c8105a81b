//! The list of what somebody may reach.
//!
//! | entry | allows |
//! |---|---|
//! | `api.example.com` | https, port 443 |
//! | `https://api.example.com:8443` | that port |
//! | `http://api.example.com` | plain http, port 80 unless it is given |
//! | `*.example.com` | every name below, not `example.com` itself; with scheme and port as above |
//! | `10.1.2.3`, `http://[fd00::1]:8080` | that address, also a private one |
//! | `localhost`, `http://localhost:8080` | the machine itself |
//! | `10.0.0.0/8`, `fd00::/8` | the names above to be private addresses in there; no request by itself |

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use url::Host;

use crate::address::{Kind, kind};
use crate::error::Error;
use crate::site::{Scheme, Site, is_localhost};

/// Compared one by one for every request.
const MOST_ENTRIES: usize = 100;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Site(Site),
    /// The site's host is the name that all of them end with.
    Below(Site),
    Network(IpNet),
}

/// An entry that is none, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct BadEntry {
    pub entry: String,
    pub problem: &'static str,
}

impl Rules {
    /// The list, if every entry is one.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, BadEntry> {
        let mut rules = Rules::default();
        for text in entries {
            let bad = |problem| BadEntry { entry: text.to_owned(), problem };
            let entry = parse(text).map_err(bad)?;
            if !rules.entries.contains(&entry) {
                rules.entries.push(entry);
            }
            if rules.entries.len() > MOST_ENTRIES {
                return Err(bad("there are more than 100 entries"));
            }
        }
        Ok(rules)
    }

    /// What the list is written as: each entry once, in its shortest form.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        self.entries.iter().map(Entry::to_string)
    }

    /// The first entry that leads to something near the server.
    pub fn first_private(&self) -> Option<String> {
        self.entries.iter().find(|entry| entry.is_private()).map(Entry::to_string)
    }

    /// Whether a request may name that site.
    pub fn admit(&self, site: &Site) -> Result<(), Error> {
        let named = self.entries.iter().any(|entry| match entry {
            Entry::Site(allowed) => allowed == site,
            Entry::Below(above) => {
                (above.scheme, above.port) == (site.scheme, site.port)
                    && is_below(&site.host, &above.host)
            }
            Entry::Network(_) => false,
        });
        if named { Ok(()) } else { Err(Error::NotAllowed(site.to_string())) }
    }

    /// Of the addresses that a site turned out to have, those that may be connected to.
    pub fn admit_addresses(&self, site: &Site, found: &[IpAddr]) -> Result<Vec<IpAddr>, Error> {
        let mut admitted = Vec::new();
        let mut refusal = None;
        for address in found {
            match self.admit_address(site, *address) {
                Ok(()) => admitted.push(*address),
                Err(error) => refusal = Some(error),
            }
        }
        match refusal {
            Some(refusal) if admitted.is_empty() => Err(refusal),
            None if admitted.is_empty() => Err(Error::NoAddress {
                host: site.host.to_string(),
                reason: "it has none".to_owned(),
            }),
            _ => Ok(admitted),
        }
    }

    /// Whether a site that may be named may be that address.
    pub(crate) fn admit_address(&self, site: &Site, address: IpAddr) -> Result<(), Error> {
        let what = match kind(address) {
            Kind::Public => return Ok(()),
            Kind::Unusable(what) => return Err(Error::Unusable(address, what)),
            Kind::Private(what) => what,
        };
        let address = address.to_canonical();
        let named = match &site.host {
            Host::Domain(name) => {
                let is_own = is_localhost(name) && address.is_loopback();
                is_own || self.networks().any(|network| network.contains(&address))
            }
            _ => site.literal().is_some_and(|literal| literal.to_canonical() == address),
        };
        if named {
            return Ok(());
        }
        Err(Error::Private { host: site.host.to_string(), address, what })
    }

    fn networks(&self) -> impl Iterator<Item = IpNet> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Network(network) => Some(*network),
            _ => None,
        })
    }
}

impl Entry {
    fn is_private(&self) -> bool {
        match self {
            Entry::Network(_) => true,
            Entry::Site(site) | Entry::Below(site) => match &site.host {
                Host::Domain(name) => is_localhost(name),
                _ => site.literal().is_some_and(|address| kind(address) != Kind::Public),
            },
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Site(site) => site.fmt(out),
            Entry::Below(site) => {
                let name = Host::Domain(format!("*.{}", site.host));
                Site { host: name, ..*site }.fmt(out)
            }
            Entry::Network(network) => network.fmt(out),
        }
    }
}

fn is_below(host: &Host<String>, above: &Host<String>) -> bool {
    match (host, above) {
        (Host::Domain(host), Host::Domain(above)) => host
            .strip_suffix(above.as_str())
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|below| !below.is_empty()),
        _ => false,
    }
}

fn parse(text: &str) -> Result<Entry, &'static str> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => {
            let scheme = Scheme::parse(scheme).ok_or("the scheme is neither http nor https")?;
            (scheme, rest)
        }
        None if text.contains('/') => return parse_network(text),
        None => (Scheme::Https, text),
    };
    if rest.contains(['/', '?', '#', '\\']) {
        return Err("it has a path; an entry is for a whole host");
    }
    if rest.contains('@') {
        return Err("it has a user name");
    }
    let (host, port) = split_port(rest)?;
    let port = port.unwrap_or_else(|| scheme.default_port());
    match host.strip_prefix("*.") {
        Some(above) => {
            let host = parse_host(above)?;
            if !matches!(&host, Host::Domain(name) if name.contains('.')) {
                return Err("after \"*.\" there has to be a name with a dot in it");
            }
            Ok(Entry::Below(Site { scheme, host, port }))
        }
        None => Ok(Entry::Site(Site { scheme, host: parse_host(host)?, port })),
    }
}

fn parse_network(text: &str) -> Result<Entry, &'static str> {
    let network: IpNet =
        text.parse().map_err(|_| "it is neither a host nor a network, such as 10.0.0.0/8")?;
    if network.trunc() != network {
        return Err("the network has bits set behind its length");
    }
    Ok(Entry::Network(network))
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let after_address = text.rfind(']').map_or(0, |end| end + 1);
    let Some((_, port)) = text.get(after_address..).and_then(|rest| rest.split_once(':')) else {
        return Ok((text, None));
    };
    if port.contains(':') {
        return Err("an IPv6 address has to be in brackets");
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse().ok().filter(|number| digits && *number > 0);
    let number = number.ok_or("the port is not a number from 1 to 65535")?;
    let host = text.strip_suffix(port).and_then(|rest| rest.strip_suffix(':')).unwrap_or(text);
    Ok((host, Some(number)))
}

fn parse_host(text: &str) -> Result<Host<String>, &'static str> {
    if text.is_empty() {
        return Err("there is no host in it");
    }
    if text.contains('*') {
        return Err("\"*.\" can only be at the beginning");
    }
    // A browser would take "%61" for "a".
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '%') {
        return Err("the host has a character that no host can have");
    }
    let host = Host::parse(text).map_err(|_| "the host is neither a name nor an address")?;
    match &host {
        Host::Domain(name) => {
            let label = |label: &str| (1..=63).contains(&label.len());
            // A browser's names can have quotes and braces, which no name of a host has.
            if name.contains(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)) {
                return Err("the host has a character that no host can have");
            }
            if name.len() > 253 || !name.split('.').all(label) {
                return Err("the host is not a name: a part of it is empty or too long");
            }
        }
        // 2130706433 and 0x7f.1 are 127.0.0.1 to a browser, but not to who reads the list.
        Host::Ipv4(address) if address.to_string() != text => {
            return Err("the address is not written as four decimal numbers");
        }
        Host::Ipv6(address) if address.to_ipv4_mapped().is_some() => {
            return Err("the address is one of IPv4: write it as four decimal numbers");
        }
        _ => {}
    }
    Ok(host)
}
