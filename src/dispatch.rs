//! The duty of calling plugins outside of any session: with what sessions have stored, with jobs that are
//! due, and at regular times. Each config has a runtime of its own, and what one of them does delays no other. Nothing here
//! holds a transaction open while a plugin waits for something outside.

mod callee;
mod deliveries;
mod exchange;
mod exports;
mod host;
mod jobs;
mod runner;
mod schedules;
mod source;
mod webhook;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::backend::{self, Link};
use crate::catalog;
use crate::catalog::queue::newest;
use crate::network::Network;
use crate::queue::rotation::{Rotation, rotate};
use crate::queue::{claim, consumer};
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
    /// When to look what there is to do, if there may be something else than before.
    look_at: Option<Instant>,
    rotated: Option<Instant>,
    /// Something was stored or delivered since the queue was last looked at.
    moved: bool,
}

impl Dispatch {
    pub fn new() -> Self {
        Dispatch {
            exchange: Rc::default(),
            runners: BTreeMap::new(),
            look_at: None,
            rotated: None,
            moved: true,
        }
    }

    /// Takes up configs that nobody attends, leaves those that are no more or have changed, and has the
    /// others look for what is new.
    fn follow(&mut self) -> Option<()> {
        let Dispatch { exchange, runners, .. } = self;
        let (mut claimed, mut taken_up) = (Vec::new(), Vec::new());
        let followed = transaction(c"looking for something to do", || {
            consumer::follow()?;
            let waiting = newest(|client| catalog::jobs::configs(client))?;
            // Somebody may be left a job that it does not have, and is to be told so.
            let is_attended = |link: &&Rc<Link>| {
                let has_tasks = link.has_jobs || !link.schedules.is_empty();
                link.consumes || has_tasks || waiting.contains(&link.program.id)
            };
            let links: Vec<_> = backend::with(|backend| {
                exchange.network.permit(backend.permits());
                Ok(backend.links.iter().filter(is_attended).cloned().collect())
            })?;
            let backfills = consumer::backfills()?;
            for runner in runners.values_mut() {
                runner.follow(links.iter().find(|link| link.program.id == runner.config()));
                runner.follow_backfills(&backfills)?;
            }
            for link in links {
                let id = link.program.id;
                if !runners.contains_key(&id) && claim::claim(id) {
                    claimed.push(id);
                    taken_up.push((id, Runner::new(exchange, link)?));
                }
            }
            for (id, runner) in runners.iter_mut() {
                runner.look(waiting.contains(id));
            }
            Ok(())
        });
        match followed {
            Some(()) => runners.extend(taken_up),
            // What they have written on being taken up is undone.
            None => release(&claimed),
        }
        followed
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
            self.moved = true;
            release(&[id]);
        }
    }

    /// One step. Whether there is another one to do at once.
    fn rotate(&mut self) -> bool {
        let is_due = self.rotated.is_none_or(|last| last.elapsed() >= ROTATED_EVERY);
        if !self.moved || !is_due {
            return false;
        }
        let step = transaction(c"rotating the queue", rotate);
        let goes_on = step.is_some_and(|step| step != Rotation::Nothing);
        if !goes_on {
            self.rotated = Some(Instant::now());
            self.moved = false;
        }
        goes_on
    }
}

/// Leaves configs to others.
fn release(configs: &[i32]) {
    transaction(c"leaving a config", || {
        configs.iter().for_each(|config| claim::release(*config));
        Ok(())
    });
}

impl Duty for Dispatch {
    fn work(&mut self, woken: bool) -> Next {
        let now = Instant::now();
        if woken {
            self.moved = true;
            self.look_at = Some(now);
        } else if backend::is_stale() {
            self.look_at.get_or_insert(now);
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = match self.follow() {
                Some(()) => None,
                // Nobody says it again.
                None => Some(Instant::now() + PATIENCE),
            };
        }
        let mut next = Next::IDLE;
        for runner in self.runners.values_mut() {
            let (step, delivered) = runner.work();
            next = next.or(step);
            self.moved |= delivered;
        }
        self.leave();
        if self.rotate() || (backend::is_stale() && self.look_at.is_none()) {
            return Next::Again;
        }
        let rotation = self.rotated.filter(|_| self.moved).map(|last| last + ROTATED_EVERY);
        let unused = self.exchange.network.close_old();
        let untils = [self.look_at, rotation, unused].map(|until| Next::Idle { until });
        untils.into_iter().fold(next, Next::or)
    }

    fn calls(&self) -> usize {
        self.runners.values().map(Runner::calls).sum()
    }

    fn network(&self) -> Option<&Network> {
        Some(&self.exchange.network)
    }
}
