//! What a list allows: tables of attacks, and laws.

#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

use std::net::{IpAddr, Ipv4Addr};

use net::{Rules, Site};
use proptest::prelude::*;
use url::Url;

/// Where the names of `rebind.test` lead.
const NAMES: [(&str, &str); 33] = [
    ("public", "93.184.215.14"),
    ("public6", "2606:2800:21f::1"),
    ("some-public", "10.0.0.1 93.184.215.14"),
    ("loopback", "127.0.0.1"),
    ("loopback6", "::1"),
    ("mapped", "::ffff:127.0.0.1"),
    ("compatible", "::127.0.0.1"),
    ("nat64", "64:ff9b::a00:1"),
    ("nat64-local", "64:ff9b:1::a00:1"),
    ("6to4", "2002:a00:1::1"),
    ("teredo", "2001:0:1:2:3:4:5:6"),
    ("private10", "10.0.0.1"),
    ("private172", "172.31.255.255"),
    ("private192", "192.168.1.1"),
    ("cgnat", "100.64.0.1"),
    ("link-local", "169.254.1.1"),
    ("link-local6", "fe80::1"),
    ("unique-local", "fd00::1"),
    ("site-local", "fec0::1"),
    ("metadata", "169.254.169.254"),
    ("metadata6", "fd00:ec2::254"),
    ("azure", "168.63.129.16"),
    ("alibaba", "100.100.100.200"),
    ("zero", "0.0.0.0"),
    ("unspecified6", "::"),
    ("multicast", "224.0.0.1"),
    ("multicast6", "ff02::1"),
    ("broadcast", "255.255.255.255"),
    ("reserved", "240.0.0.1"),
    ("documentation", "203.0.113.1"),
    ("benchmark", "198.18.0.1"),
    ("mapped-private", "::ffff:10.0.0.1"),
    ("", "127.0.0.1"),
];

/// What a name server would say.
fn addresses(name: &str) -> Vec<IpAddr> {
    let public = ["93.184.215.14".parse().unwrap()];
    let Some(below) = name.strip_suffix("rebind.test") else {
        return if name.ends_with("localhost") {
            vec![Ipv4Addr::LOCALHOST.into()]
        } else {
            public.into()
        };
    };
    let found = NAMES.iter().find(|(known, _)| below.trim_end_matches('.') == *known);
    found
        .map_or(Vec::new(), |(_, list)| list.split(' ').map(|text| text.parse().unwrap()).collect())
}

/// Whether a request would come to a connection.
fn is_reached(rules: &Rules, url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let Ok(site) = Site::of(&url) else { return false };
    let host = url.host_str().unwrap().trim_end_matches('.');
    let found = site.literal().map_or_else(|| addresses(host), |address| vec![address]);
    rules.admit(&site).is_ok() && rules.admit_addresses(&site, &found).is_ok()
}

#[test]
fn a_list_allows_what_is_in_it_and_nothing_else() {
    let table = include_str!("rules.txt");
    let mut rules = Rules::default();
    let (mut attacks, mut wrong) = (0, Vec::new());
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(hosts) = line.strip_prefix("hosts") {
            rules = Rules::parse(hosts.split_whitespace()).unwrap();
            continue;
        }
        let (expected, url) = line.split_once(' ').unwrap();
        attacks += usize::from(expected == "-");
        let found = if is_reached(&rules, url) { "+" } else { "-" };
        if found != expected {
            wrong.push(format!("{:?}: {line}", rules.entries().collect::<Vec<_>>()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(attacks > 130, "{attacks}");
}

#[test]
fn an_entry_is_stored_in_its_shortest_form_or_refused_with_a_reason() {
    let table = include_str!("entries.txt");
    let mut wrong = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let (entry, expected) = line.split_once(" => ").unwrap();
        let parsed = Rules::parse([entry]);
        let fits = match (&parsed, expected.strip_prefix("! ")) {
            (Err(error), Some(reason)) => error.problem.contains(reason) && error.entry == entry,
            (Ok(rules), None) => rules.entries().eq([expected.to_owned()]),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{line}: {parsed:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_leads_to_something_near_the_server_is_known() {
    for (entry, is_private) in [
        ("example.com", false),
        ("*.example.com", false),
        ("http://93.184.215.14", false),
        ("localhost", true),
        ("http://a.localhost:80", true),
        ("10.0.0.1", true),
        ("http://169.254.169.254", true),
        ("[fd00::1]", true),
        ("[64:ff9b::a00:1]", true),
        ("0.0.0.0", true),
        ("10.0.0.0/8", true),
        ("0.0.0.0/0", true),
        ("8.8.8.8/32", true),
    ] {
        let rules = Rules::parse(["example.org", entry]).unwrap();
        assert_eq!(rules.first_private().is_some(), is_private, "{entry}");
    }
}

#[test]
fn a_list_has_an_end_and_no_entry_twice() {
    let twice = Rules::parse(["example.com", "https://EXAMPLE.com:443"]).unwrap();
    assert_eq!(twice.entries().count(), 1);
    let many: Vec<String> = (0..101).map(|n| format!("h{n}.example.com")).collect();
    assert!(Rules::parse(many.iter().take(100).map(String::as_str)).is_ok());
    assert!(Rules::parse(many.iter().map(String::as_str)).is_err());
}

/// Lists that say little, and addresses close to what they say.
fn parts() -> impl Strategy<Value = (String, String)> {
    let host = prop::sample::select(vec![
        "a.com",
        "b.a.com",
        "a.com.",
        "127.0.0.1",
        "[::1]",
        "localhost",
        "xn--bcher-kva.example",
        "10.0.0.1",
        "A.com",
        "aa.com",
    ]);
    let scheme = prop::sample::select(vec!["http://", "https://"]);
    let port = prop::sample::select(vec!["", ":80", ":443", ":8080"]);
    (scheme, host, port)
        .prop_map(|(scheme, host, port)| (host.to_owned(), format!("{scheme}{host}{port}")))
}

proptest! {
    /// What is stored is read as what it was written from.
    #[test]
    fn stored_entries_are_read_as_themselves((_, entry) in parts(), text in "\\PC{0,30}") {
        for entry in [entry, text] {
            if let Ok(rules) = Rules::parse([entry.as_str()]) {
                let stored: Vec<String> = rules.entries().collect();
                prop_assert_eq!(Rules::parse(stored.iter().map(String::as_str)), Ok(rules));
            }
        }
    }

    /// An entry without a wildcard allows one site: that of the address that is written the same.
    #[test]
    fn an_entry_allows_its_own_site_and_no_other((_, entry) in parts(), (_, other) in parts()) {
        if let Ok(rules) = Rules::parse([entry.as_str()]) {
            let own = Site::of(&Url::parse(&entry).unwrap()).unwrap();
            let site = Site::of(&Url::parse(&other).unwrap()).unwrap();
            prop_assert!(rules.admit(&own).is_ok());
            prop_assert_eq!(rules.admit(&site).is_ok(), own == site);
        }
    }

    /// Whatever is asked for, an empty list allows nothing, and nothing panics.
    #[test]
    fn nothing_is_reached_without_an_entry(text in "\\PC{0,60}") {
        for text in [format!("http://{text}"), text] {
            if let Ok(url) = Url::parse(&text)
                && let Ok(site) = Site::of(&url)
            {
                prop_assert!(Rules::default().admit(&site).is_err());
            }
        }
    }
}
