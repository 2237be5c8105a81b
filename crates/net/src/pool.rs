//! Connections that wait for another request to the same site.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::rules::Rules;
use crate::site::Site;

/// Node closes a connection that has been idle for five seconds, most servers later.
const KEPT: Duration = Duration::from_secs(4);

pub(crate) struct Pool {
    most: usize,
    /// The oldest first.
    idle: RefCell<Vec<Idle>>,
}

struct Idle {
    site: Site,
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(most: usize) -> Self {
        Pool { most, idle: RefCell::default() }
    }

    /// A connection to the site that is still open. Who takes it may be somebody else than who opened
    /// it, and may not be allowed the address it leads to.
    pub(crate) async fn take(&self, site: &Site, rules: &Rules) -> Option<Connection> {
        while let Some(mut connection) = self.find(site, rules) {
            // Lets the executor look at the sockets: the end of one is known only then.
            tokio::task::yield_now().await;
            if connection.is_ready().await {
                return Some(connection);
            }
        }
        None
    }

    fn find(&self, site: &Site, rules: &Rules) -> Option<Connection> {
        self.close_old();
        let mut idle = self.idle.borrow_mut();
        let fits = |idle: &Idle| {
            idle.site == *site && rules.admit_address(site, idle.connection.peer).is_ok()
        };
        let place = idle.iter().rposition(fits)?;
        Some(idle.remove(place).connection)
    }

    pub(crate) fn put(&self, site: Site, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if self.most == 0 {
            return;
        }
        if idle.len() >= self.most {
            idle.remove(0);
        }
        idle.push(Idle { site, connection, since: Instant::now() });
    }

    /// Closes what has waited for too long, and returns when the next one will have.
    pub(crate) fn close_old(&self) -> Option<Instant> {
        let mut idle = self.idle.borrow_mut();
        let now = Instant::now();
        idle.retain(|idle| now.duration_since(idle.since) < KEPT);
        idle.first().map(|idle| idle.since + KEPT)
    }

    pub(crate) fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}
