//! What kinds of addresses there are: of machines on the Internet, of what is near the server, and of
//! nothing that can be connected to. After the registries of special-purpose addresses of IANA.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Public,
    /// Near the server, where others trust it: only for those who name it. With what it is called.
    Private(&'static str),
    /// Never connected to, whoever names it.
    Unusable(&'static str),
}

use Kind::{Private, Public, Unusable};

const V4: [(Ipv4Net, Kind); 18] = [
    // Linux connects 0.0.0.0 to the machine itself.
    (v4(0, 0, 0, 0, 8), Unusable("an unspecified address")),
    (v4(10, 0, 0, 0, 8), Private("a private address")),
    (v4(100, 64, 0, 0, 10), Private("an address of a shared network")),
    (v4(127, 0, 0, 0, 8), Private("a loopback address")),
    (v4(168, 63, 129, 16, 32), Private("an address of cloud metadata")),
    // 169.254.169.254 is where most clouds hand out credentials.
    (v4(169, 254, 0, 0, 16), Private("a link-local address")),
    (v4(172, 16, 0, 0, 12), Private("a private address")),
    (v4(192, 0, 0, 0, 24), Private("a special-purpose address")),
    (v4(192, 0, 2, 0, 24), Private("an address for documentation")),
    (v4(192, 31, 196, 0, 24), Private("a special-purpose address")),
    (v4(192, 52, 193, 0, 24), Private("a special-purpose address")),
    (v4(192, 88, 99, 0, 24), Private("a special-purpose address")),
    (v4(192, 168, 0, 0, 16), Private("a private address")),
    (v4(198, 18, 0, 0, 15), Private("an address for benchmarks")),
    (v4(198, 51, 100, 0, 24), Private("an address for documentation")),
    (v4(203, 0, 113, 0, 24), Private("an address for documentation")),
    (v4(224, 0, 0, 0, 4), Unusable("a multicast address")),
    (v4(240, 0, 0, 0, 4), Unusable("a reserved address")),
];

const V6: [(Ipv6Net, Kind); 9] = [
    (v6([0, 0, 0], 128), Unusable("an unspecified address")),
    // Teredo, ORCHID, benchmarks.
    (v6([0x2001, 0, 0], 23), Private("a special-purpose address")),
    (v6([0x2001, 0xdb8, 0], 32), Private("an address for documentation")),
    (v6([0x3fff, 0, 0], 20), Private("an address for documentation")),
    (v6([0xfc00, 0, 0], 7), Private("a private address")),
    (v6([0xfe80, 0, 0], 10), Private("a link-local address")),
    (v6([0xff00, 0, 0], 8), Unusable("a multicast address")),
    (v6([0x64, 0xff9b, 1], 48), Private("an address of a local translator")),
    (v6([0x100, 0, 0], 64), Unusable("an address that discards")),
];

/// All that is given out to machines on the Internet.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0], 3);

/// Addresses that carry one of IPv4, to which somebody on the way translates: NAT64 and 6to4.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0], 96);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0], 16);

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(start: [u16; 3], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(start[0], start[1], start[2], 0, 0, 0, 0, 0), length)
}

pub(crate) fn kind(address: IpAddr) -> Kind {
    match address.to_canonical() {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) if address.is_loopback() => Private("a loopback address"),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Kind {
    let special = V4.iter().find(|(network, _)| network.contains(&address));
    special.map_or(Public, |(_, kind)| *kind)
}

fn kind_of_v6(address: Ipv6Addr) -> Kind {
    if NAT64.contains(&address) || SIX_TO_FOUR.contains(&address) {
        return kind_of_v4(carried(address));
    }
    let special = V6.iter().find(|(network, _)| network.contains(&address));
    match special {
        Some((_, kind)) => *kind,
        None if GLOBAL_V6.contains(&address) => Public,
        None => Private("a special-purpose address"),
    }
}

fn carried(address: Ipv6Addr) -> Ipv4Addr {
    let bits = u128::from(address);
    // 6to4 has it after the first 16 bits, NAT64 at the end.
    let shift = if SIX_TO_FOUR.contains(&address) { 128 - 16 - 32 } else { 0 };
    Ipv4Addr::from(((bits >> shift) & 0xffff_ffff) as u32)
}
