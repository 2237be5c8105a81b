//! A config that this worker attends: its plugin, from when it is taken up until it is torn down, and
//! all that it is to be called with.

use std::rc::Rc;
use std::time::Instant;

use engine::Ticket;

use super::callee::Callee;
use super::deliveries::{Deliveries, Recorded};
use super::exchange::Exchange;
use super::jobs::Jobs;
use super::schedules::Schedules;
use crate::backend::Link;
use crate::catalog::backfills::Backfill;
use crate::error::Result;
use crate::queue::consumer;
use crate::settings;
use crate::worker::{Next, transaction};

pub struct Runner {
    callee: Callee,
    parts: Parts,
    ending: Option<Ending>,
    /// The plugin is being torn down.
    teardown: Option<Ticket>,
}

/// Nothing is begun any more.
struct Ending {
    /// What comes after this one's calls have ended: itself with other settings, or nothing.
    then: Option<Rc<Link>>,
    /// Calls are not waited for any longer: a schedule has more time than somebody who has changed a
    /// setting has patience.
    at_last: Instant,
}

/// What the plugin is to be called with.
struct Parts {
    /// If it takes stored events.
    deliveries: Option<Deliveries>,
    /// Stored rows that it is given besides.
    backfills: Vec<Deliveries>,
    /// If anything of it runs at regular times.
    schedules: Option<Schedules>,
    jobs: Jobs,
}

impl Runner {
    /// Takes up a config that is claimed, in a transaction.
    pub fn new(exchange: &Rc<Exchange>, link: Rc<Link>) -> Result<Self> {
        let mut callee = Callee::new(exchange, link);
        let parts = Parts::find(&mut callee)?;
        Ok(Runner { callee, parts, ending: None, teardown: None })
    }

    pub fn config(&self) -> i32 {
        self.callee.config()
    }

    /// How many calls are under way.
    pub fn calls(&self) -> usize {
        self.callee.calls()
    }

    /// There may be new events, and new jobs if it has any.
    pub fn look(&mut self, has_jobs: bool) {
        self.parts.all_mut().for_each(Deliveries::look);
        if has_jobs {
            self.parts.jobs.look();
        }
    }

    /// Goes on with the config as it is now; `None` if there is nothing to do for it any more.
    pub fn follow(&mut self, link: Option<&Rc<Link>>) {
        self.callee.release();
        if link.is_some_and(|link| link.is_what_was(self.callee.link())) {
            self.ending = None;
        } else {
            self.end_with(link.cloned());
        }
    }

    fn end_with(&mut self, then: Option<Rc<Link>>) {
        let at_last = match &self.ending {
            Some(ending) => ending.at_last,
            None => Instant::now() + settings::delivery_timeout(),
        };
        self.ending = Some(Ending { then, at_last });
    }

    /// Whether it can be forgotten.
    pub fn is_over(&self) -> bool {
        let is_last = self.ending.as_ref().is_some_and(|ending| ending.then.is_none());
        is_last && self.is_idle() && self.teardown.is_none()
    }

    fn is_idle(&self) -> bool {
        self.callee.is_idle() && self.parts.all().all(Deliveries::is_idle)
    }

    /// Goes on with those backfills of the config that are to go on, in a transaction.
    pub fn follow_backfills(&mut self, running: &[Backfill]) -> Result<()> {
        let Runner { callee, parts, .. } = self;
        let config = callee.config();
        for deliveries in &mut parts.backfills {
            let Some(id) = deliveries.backfill() else { continue };
            if running.iter().any(|it| it.id == id) {
                deliveries.go_on();
                continue;
            }
            deliveries.stop();
            if consumer::is_cancelled(id)? {
                deliveries.drop_waiting();
            }
        }
        for backfill in running.iter().filter(|backfill| backfill.config_id == config) {
            let is_new = parts.backfills.iter().all(|it| it.backfill() != Some(backfill.id));
            if is_new && let Some(consumer) = consumer::find(config)? {
                parts.backfills.push(Deliveries::stored(callee, consumer, backfill.clone()));
            }
        }
        Ok(())
    }

    /// Does what can be done without waiting. Returns when there is more, and whether some of the queue
    /// was recorded.
    pub fn work(&mut self) -> (Next, bool) {
        self.callee.rethrow();
        self.callee.release_in_time();
        if self.ending.is_none() {
            self.begin();
        }
        self.turn();
        let recorded = self.record();
        let now = Instant::now();
        if self.ending.as_ref().is_some_and(|ending| self.is_idle() || ending.at_last <= now) {
            self.end();
        }
        (self.next(), recorded)
    }

    fn next(&self) -> Next {
        let next = Next::Idle { until: self.callee.wake_at() };
        if let Some(ending) = &self.ending {
            let until = self.callee.held_until().unwrap_or(ending.at_last);
            let until = Some(until).filter(|_| self.teardown.is_none());
            return next.or(Next::Idle { until });
        }
        let Parts { schedules, jobs, .. } = &self.parts;
        let next = next.or(jobs.next(&self.callee));
        let next = schedules.iter().fold(next, |next, it| next.or(it.next(&self.callee)));
        self.parts.all().fold(next, |next, it| next.or(it.next(&self.callee)))
    }

    /// What has to be on time begins first.
    fn begin(&mut self) {
        let Runner { callee, parts: Parts { deliveries, backfills, schedules, jobs }, .. } = self;
        if let Some(schedules) = schedules {
            schedules.begin(callee);
        }
        jobs.begin(callee);
        for deliveries in backfills {
            if deliveries.read(callee) == Recorded::Gone {
                deliveries.stop();
                deliveries.drop_waiting();
            }
            deliveries.begin(callee);
        }
        let Some(deliveries) = deliveries else { return };
        let read = deliveries.read(callee);
        deliveries.begin(callee);
        if read == Recorded::Gone {
            self.end_with(None);
        }
    }

    /// Lets the plugin run, and takes what has ended.
    fn turn(&mut self) {
        let Runner { callee, parts, .. } = self;
        for (ticket, result) in callee.turn() {
            if self.teardown.take_if(|teardown| *teardown == ticket).is_some() {
                if let Err(failure) = result {
                    callee.tell(failure, None);
                }
            } else if let Some(deliveries) = parts.all_mut().find(|it| it.know(ticket)) {
                deliveries.ended(callee, ticket, result);
            } else if let Some(schedules) = parts.schedules.as_mut().filter(|it| it.know(ticket)) {
                schedules.ended(callee, ticket, result);
            } else if parts.jobs.know(ticket) {
                parts.jobs.ended(callee, ticket, result);
            }
        }
        parts.all_mut().for_each(|deliveries| deliveries.collect(callee));
    }

    /// Writes down what has ended. Whether that was some of the queue.
    fn record(&mut self) -> bool {
        let Runner { callee, parts: Parts { deliveries, backfills, schedules, jobs }, .. } = self;
        schedules.iter_mut().for_each(|schedules| schedules.record(callee));
        jobs.record(callee);
        for deliveries in backfills.iter_mut() {
            if deliveries.record(callee) == Recorded::Gone {
                deliveries.stop();
                deliveries.drop_waiting();
            }
        }
        backfills.retain(|deliveries| !deliveries.is_over());
        let Some(deliveries) = deliveries else { return false };
        let recorded = deliveries.record(callee);
        if recorded == Recorded::Gone {
            self.end_with(None);
        }
        recorded != Recorded::Nothing
    }

    /// Tears the plugin down, and goes on as what it is now.
    fn end(&mut self) {
        if self.teardown.is_some() {
            return;
        }
        self.teardown = self.callee.tear_down();
        if self.teardown.is_some() || self.callee.held_until().is_some() {
            return;
        }
        let Some(link) = self.ending.as_ref().and_then(|ending| ending.then.clone()) else {
            return;
        };
        let exchange = self.callee.exchange().clone();
        let taken_up = transaction(c"taking up a config", || Runner::new(&exchange, link));
        match taken_up {
            Some(runner) => *self = runner,
            None => self.callee.hold(),
        }
    }
}

impl Parts {
    fn find(callee: &mut Callee) -> Result<Self> {
        let (config, link) = (callee.config(), callee.link().clone());
        let consumer = if link.consumes { consumer::find(config)? } else { None };
        let schedules = match link.schedules.is_empty() {
            true => None,
            false => Some(Schedules::new(config, &link.schedules)?),
        };
        let mut backfills = Vec::new();
        if let Some(consumer) = &consumer {
            for backfill in consumer::backfills()?.into_iter().filter(|it| it.config_id == config) {
                backfills.push(Deliveries::stored(callee, consumer.clone(), backfill));
            }
        }
        let deliveries = consumer.map(|consumer| Deliveries::new(callee, consumer));
        Ok(Parts { deliveries, backfills, schedules, jobs: Jobs::new() })
    }

    fn all(&self) -> impl Iterator<Item = &Deliveries> {
        self.deliveries.iter().chain(&self.backfills)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Deliveries> {
        self.deliveries.iter_mut().chain(&mut self.backfills)
    }
}
