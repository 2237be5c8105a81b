//! What plugins reach from a backend: for each config the hosts that an administrator has allowed,
//! and one client for all of them, made when the first request is sent.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Instant;

use engine::{Answer, Redirect, Request, Response};
use net::{Client, Limits, Options, Rules, Site};
use pgrx::pg_sys;

use crate::settings;

/// Enough for the few services that a chain talks to. While the session is idle nothing runs that
/// could close them.
const IDLE_CONNECTIONS: usize = 4;

pub struct Network {
    limits: fn() -> Limits,
    /// Connections that may wait for another request.
    idle: usize,
    permits: RefCell<HashMap<i32, Permit>>,
    client: RefCell<Option<Client>>,
    /// Who sent what is under way.
    senders: RefCell<HashMap<u64, i32>>,
}

/// For the chain, where somebody waits.
impl Default for Network {
    fn default() -> Self {
        Network::new(settings::fetch_limits, IDLE_CONNECTIONS)
    }
}

/// What a config may reach.
pub struct Permit {
    pub plugin: String,
    pub rules: Rc<Rules>,
}

impl Network {
    /// With limits of requests that are asked for each time.
    pub fn new(limits: fn() -> Limits, idle: usize) -> Self {
        Network {
            limits,
            idle,
            permits: RefCell::default(),
            client: RefCell::default(),
            senders: RefCell::default(),
        }
    }

    /// Replaces what every config may reach.
    pub fn permit(&self, permits: HashMap<i32, Permit>) {
        self.permits.replace(permits);
    }

    /// Begins a request of a config, and numbers it.
    pub fn send(&self, config: i32, request: Request) -> Result<u64, String> {
        if !settings::network() {
            return Err("the network is switched off by posthog_plugins.network".to_owned());
        }
        let request = outgoing(request)?;
        let rules = self.permits.borrow().get(&config).map(|permit| permit.rules.clone());
        let rules = rules.unwrap_or_default();
        Site::of(&request.url)
            .and_then(|site| rules.admit(&site))
            .map_err(|error| self.explain(config, &error))?;
        let mut client = self.client.borrow_mut();
        let client = match &mut *client {
            Some(client) => client,
            none => none.insert(
                Client::new(Options { idle: self.idle, ..Options::default() })
                    .map_err(|error| error.to_string())?,
            ),
        };
        let number = client
            .send(config, request, rules, (self.limits)())
            .map_err(|error| error.to_string())?;
        self.senders.borrow_mut().insert(number, config);
        Ok(number)
    }

    /// As [`engine::Host::next_answer`].
    pub fn next(&self, until: Option<Instant>, interrupted: &dyn Fn() -> bool) -> Option<Answer> {
        let Some(ended) = self.drive(|client| client.next(until, interrupted)) else {
            return self.fail_one();
        };
        let (request, result) = ended?;
        let sender = self.senders.borrow_mut().remove(&request).unwrap_or_default();
        let result = result.map(incoming).map_err(|error| self.explain(sender, &error));
        Some(Answer { request, result })
    }

    /// Whether requests are under way.
    pub fn is_busy(&self) -> bool {
        !self.senders.borrow().is_empty()
    }

    /// Closes connections that have waited for long, and returns when to do so again.
    pub fn close_old(&self) -> Option<Instant> {
        self.client.borrow_mut().as_mut().and_then(Client::close_old)
    }

    /// Waits until one of them has ended, for [`Network::next`] to return at once; until then at most,
    /// and no longer than until the caller is wanted elsewhere.
    pub fn wait(&self, until: Option<Instant>, wanted: &dyn Fn() -> bool) {
        self.drive(|client| client.wait(until, wanted));
    }

    /// Has the client do its work. `None` when there is none, or it has broken.
    fn drive<R>(&self, work: impl FnOnce(&mut Client) -> R) -> Option<R> {
        let mut client = self.client.borrow_mut();
        let _waiting = Waiting::begin();
        let working = client.as_mut()?;
        // A defect in what reads from the network must not unwind into PostgreSQL.
        let done = catch_unwind(AssertUnwindSafe(|| work(working)));
        if done.is_err() {
            *client = None;
        }
        done.ok()
    }

    /// Nobody answers what was sent by a client that is no more.
    fn fail_one(&self) -> Option<Answer> {
        let mut senders = self.senders.borrow_mut();
        let request = *senders.keys().next()?;
        senders.remove(&request);
        Some(Answer { request, result: Err("the network failed".to_owned()) })
    }

    pub fn cancel(&self, request: u64) {
        self.senders.borrow_mut().remove(&request);
        if let Some(client) = &mut *self.client.borrow_mut() {
            client.cancel(request);
        }
    }

    /// What failed, and what an administrator can do about it.
    fn explain(&self, config: i32, error: &net::Error) -> String {
        let entry = match error {
            net::Error::NotAllowed(site) => site.clone(),
            net::Error::Private { address, .. } => format!("{address}/{}", length(address)),
            net::Error::Redirected(inner) => {
                return format!("after a redirect, {}", self.explain(config, inner));
            }
            net::Error::TooLong(_) => {
                return format!("{error} (posthog_plugins.fetch_size_limit)");
            }
            net::Error::TooSlow(_) => return format!("{error} (posthog_plugins.fetch_timeout)"),
            _ => return error.to_string(),
        };
        // A plugin chooses the name, and an administrator may run what stands here.
        if Rules::parse([entry.as_str()]).is_err() {
            return error.to_string();
        }
        let permits = self.permits.borrow();
        let plugin = permits.get(&config).map_or("", |permit| permit.plugin.as_str());
        format!(
            "{error}; to allow it to plugin \"{plugin}\": SELECT posthog_plugins.allow_hosts(plugin, \
             hosts || '{{{entry}}}', team_id, label) FROM posthog_plugins.configs WHERE id = {config}"
        )
    }
}

/// The whole of an address, as a network.
fn length(address: &std::net::IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn outgoing(request: Request) -> Result<net::Request, String> {
    let url = request.url.parse().map_err(|error| format!("not an address: {error}"))?;
    let Request { method, headers, body, redirect, .. } = request;
    let redirect = match redirect {
        Redirect::Follow => net::Redirect::Follow,
        Redirect::Manual => net::Redirect::Manual,
        Redirect::Error => net::Redirect::Error,
    };
    Ok(net::Request { method, url, headers, body, redirect })
}

fn incoming(response: net::Response) -> Response {
    let net::Response { status, status_text, headers, body, url, redirected } = response;
    Response { status, status_text, headers, body, url, redirected }
}

/// Shows in `pg_stat_activity` that the session waits for something outside.
struct Waiting;

impl Waiting {
    fn begin() -> Self {
        Self::show(pg_sys::PG_WAIT_EXTENSION);
        Waiting
    }

    fn show(event: u32) {
        // SAFETY: a backend has its PGPROC from its start to its end; others read the field while
        // it is written, as PostgreSQL's own pgstat_report_wait_start does it.
        unsafe { std::ptr::write_volatile(&raw mut (*pg_sys::MyProc).wait_event_info, event) };
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        Self::show(0);
    }
}
