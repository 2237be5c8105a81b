//! The duty of delivering: what sessions have stored is given to the plugins that take stored events.
//! Each consumer has a runtime of its own, and what one of them does delays no other. Nothing here
//! holds a transaction open while a plugin waits for something outside.

mod exchange;
mod exports;
mod host;
mod runner;
mod webhook;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::backend;
use crate::network::Network;
use crate::queue::consumer;
use crate::queue::rotation::{Rotation, rotate};
use crate::worker::{Duty, Next, transaction};
use exchange::Exchange;
use runner::Runner;

/// Looking whether the queue is to be rotated costs a transaction; in this time a busy queue grows by
/// some thousand events.
const ROTATED_EVERY: Duration = Duration::from_secs(1);

/// After a failure of the database's, of which its log has the reason.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Dispatch {
    exchange: Rc<Exchange>,
    runners: BTreeMap<i32, Runner>,
    rotated: Option<Instant>,
    /// Something was delivered since the queue was last looked at.
    delivered: bool,
}

impl Dispatch {
    pub fn new() -> Self {
        Dispatch {
            exchange: Rc::default(),
            runners: BTreeMap::new(),
            rotated: None,
            delivered: true,
        }
    }

    /// Takes up consumers that nobody serves, and leaves those that are no more or have changed.
    fn follow(&mut self) -> Option<()> {
        let Dispatch { exchange, runners, .. } = self;
        transaction(c"looking for consumers", || {
            let consumers = consumer::consumers()?;
            let links = backend::with(|backend| {
                exchange.network.permit(backend.permits());
                Ok(backend.links.clone())
            })?;
            for runner in runners.values_mut() {
                let link = links.iter().find(|link| link.program.id == runner.config());
                let consumer = consumers.iter().find(|it| it.config_id == runner.config());
                runner.follow(link, consumer);
            }
            for link in links {
                let id = link.program.id;
                let is_new = !runners.contains_key(&id);
                if is_new
                    && consumers.iter().any(|it| it.config_id == id)
                    && let Some(consumer) = consumer::claim(id)?
                {
                    runners.insert(id, Runner::new(exchange, link, consumer));
                }
            }
            Ok(())
        })
    }

    /// Lets those go that have nothing left to do here.
    fn leave(&mut self) {
        let gone: Vec<i32> = self
            .runners
            .iter_mut()
            .filter_map(|(id, runner)| runner.is_over().then_some(*id))
            .collect();
        for id in gone {
            self.runners.remove(&id);
            // What waited for it is of no use to anyone.
            self.delivered = true;
            transaction(c"leaving a consumer", || {
                consumer::release(id);
                Ok(())
            });
        }
    }

    /// One step. Whether there is another one to do at once.
    fn rotate(&mut self) -> bool {
        let is_due = self.rotated.is_none_or(|last| last.elapsed() >= ROTATED_EVERY);
        if !self.delivered || !is_due {
            return false;
        }
        let step = transaction(c"rotating the queue", rotate);
        let goes_on = matches!(step, Some(Rotation::Switched | Rotation::Emptied));
        if !goes_on {
            self.rotated = Some(Instant::now());
            self.delivered = false;
        }
        goes_on
    }
}

impl Duty for Dispatch {
    fn work(&mut self, woken: bool) -> Next {
        let mut failed = false;
        if woken || backend::is_stale() {
            failed = self.follow().is_none();
            self.runners.values_mut().for_each(Runner::look);
        }
        let mut next = Next::IDLE;
        for runner in self.runners.values_mut() {
            let (step, delivered) = runner.work();
            next = next.or(step);
            self.delivered |= delivered;
        }
        self.leave();
        if self.rotate() || (backend::is_stale() && !failed) {
            return Next::Again;
        }
        if failed {
            next = next.or(Next::Idle { until: Some(Instant::now() + PATIENCE) });
        }
        let rotation = self.rotated.filter(|_| self.delivered).map(|last| last + ROTATED_EVERY);
        let unused = self.exchange.network.close_old();
        next.or(Next::Idle { until: rotation }).or(Next::Idle { until: unused })
    }

    fn network(&self) -> Option<&Network> {
        Some(&self.exchange.network)
    }
}
