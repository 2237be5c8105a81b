//! A config that this worker attends: its plugin, from when it is taken up until it is torn down, and
//! all that it is to be called with.

use std::rc::Rc;

use engine::Ticket;

use super::callee::Callee;
use super::deliveries::{Deliveries, Recorded};
use super::exchange::Exchange;
use crate::backend::Link;
use crate::error::Result;
use crate::queue::consumer;
use crate::worker::{Next, transaction};

pub struct Runner {
    callee: Callee,
    parts: Parts,
    /// What comes after this one's calls have ended: itself with other settings, or nothing.
    ending: Option<Option<Rc<Link>>>,
    /// The plugin is being torn down.
    teardown: Option<Ticket>,
}

/// What the plugin is to be called with.
struct Parts {
    /// If it takes stored events.
    deliveries: Option<Deliveries>,
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

    /// There may be something new to do.
    pub fn look(&mut self) {
        self.parts.deliveries.iter_mut().for_each(Deliveries::look);
    }

    /// Goes on with the config as it is now; `None` if there is nothing to do for it any more.
    pub fn follow(&mut self, link: Option<&Rc<Link>>) {
        let is_same = link.is_some_and(|link| link.is_what_was(self.callee.link()));
        self.ending = if is_same { None } else { Some(link.cloned()) };
        self.callee.release();
    }

    /// Whether it can be forgotten.
    pub fn is_over(&self) -> bool {
        matches!(self.ending, Some(None)) && self.is_idle() && self.teardown.is_none()
    }

    fn is_idle(&self) -> bool {
        self.callee.is_idle() && self.parts.deliveries.iter().all(Deliveries::is_idle)
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
        if self.ending.is_some() && self.is_idle() {
            self.end();
        }
        (self.next(), recorded)
    }

    fn next(&self) -> Next {
        let next = Next::Idle { until: self.callee.wake_at() };
        match &self.parts.deliveries {
            Some(deliveries) if self.ending.is_none() => next.or(deliveries.next(&self.callee)),
            _ => next,
        }
    }

    fn begin(&mut self) {
        let Runner { callee, parts, ending, .. } = self;
        if let Some(deliveries) = &mut parts.deliveries {
            if deliveries.read(callee) == Recorded::Gone {
                *ending = Some(None);
            }
            deliveries.begin(callee);
        }
    }

    /// Lets the plugin run, and takes what has ended.
    fn turn(&mut self) {
        let Runner { callee, parts: Parts { deliveries }, .. } = self;
        for (ticket, result) in callee.turn() {
            if self.teardown.take_if(|teardown| *teardown == ticket).is_some() {
                if let Err(failure) = result {
                    callee.tell(failure, None);
                }
            } else if let Some(deliveries) = deliveries.as_mut().filter(|it| it.know(ticket)) {
                deliveries.ended(callee, ticket, result);
            }
        }
        deliveries.iter_mut().for_each(|deliveries| deliveries.collect(callee));
    }

    /// Writes down what has ended. Whether that was some of the queue.
    fn record(&mut self) -> bool {
        let Runner { callee, parts, ending, .. } = self;
        let Some(deliveries) = &mut parts.deliveries else { return false };
        let recorded = deliveries.record(callee);
        if recorded == Recorded::Gone {
            *ending = Some(None);
        }
        recorded != Recorded::Nothing
    }

    /// All calls have ended: tears the plugin down, and goes on as what it is now.
    fn end(&mut self) {
        if self.teardown.is_some() {
            return;
        }
        self.teardown = self.callee.tear_down();
        if self.teardown.is_some() {
            return;
        }
        let Some(Some(link)) = self.ending.replace(None) else { return };
        let exchange = self.callee.exchange().clone();
        let taken_up = transaction(c"taking up a config", || Runner::new(&exchange, link));
        if let Some(runner) = taken_up {
            *self = runner;
        }
    }
}

impl Parts {
    fn find(callee: &mut Callee) -> Result<Self> {
        let consumer = match callee.link().consumes {
            true => consumer::find(callee.config())?,
            false => None,
        };
        Ok(Parts { deliveries: consumer.map(|consumer| Deliveries::new(callee, consumer)) })
    }
}
