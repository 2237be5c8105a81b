//! From names to addresses, without a thread: the C library's own resolver would block, or need one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::future::LocalBoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;

use crate::site::is_localhost;

/// Who knows the addresses of names.
pub trait Names {
    fn lookup<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<Vec<IpAddr>, String>>;
}

/// The system's own: /etc/hosts, and the name servers of /etc/resolv.conf with their search domains.
pub(crate) struct SystemNames(TokioResolver);

impl SystemNames {
    pub(crate) fn new() -> Result<Self, String> {
        let mut builder = TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
        // Many servers have no way to IPv6 addresses.
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        Ok(SystemNames(builder.build().map_err(|error| error.to_string())?))
    }
}

impl Names for SystemNames {
    fn lookup<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<Vec<IpAddr>, String>> {
        Box::pin(async move {
            if is_localhost(name) {
                return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
            }
            let found = self.0.lookup_ip(name).await.map_err(|error| error.to_string())?;
            Ok(found.iter().collect())
        })
    }
}
