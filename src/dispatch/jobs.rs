//! The jobs of a config: those that are due to the plugin, some at once, and what became of them back
//! into the tables. A job is in its table until that is written, so nothing is remembered here but what
//! is under way.

use std::collections::HashMap;
use std::time::Instant;

use engine::{Call, Cause, Failure, Return, Ticket};
use pgrx::datum::{TimestampWithTimeZone, clock_timestamp};

use super::callee::Callee;
use crate::backend;
use crate::catalog::as_owner;
use crate::catalog::jobs::{self, Ended, Job};
use crate::catalog::queue::newest;
use crate::catalog::runs::{Kind, Outcome, Run};
use crate::queue::consumer::luck;
use crate::settings;
use crate::worker::{Next, transaction};

/// Jobs under way at once. They share the plugin's memory with its deliveries, and are less urgent.
const MOST_JOBS: usize = 20;

pub struct Jobs {
    under_way: HashMap<Ticket, Started>,
    /// What has ended and is not written yet.
    ended: Vec<Ended>,
    /// There may be some that are due.
    more: bool,
    /// When the next one is.
    due_at: Option<Instant>,
}

struct Started {
    job: Job,
    at: TimestampWithTimeZone,
    since: Instant,
}

impl Jobs {
    pub fn new() -> Self {
        Jobs { under_way: HashMap::new(), ended: Vec::new(), more: true, due_at: None }
    }

    /// There may be new ones.
    pub fn look(&mut self) {
        self.more = true;
    }

    /// When there is something to do, unless a call ends before.
    pub fn next(&self, callee: &Callee) -> Next {
        if self.can_begin(callee) {
            return Next::Again;
        }
        let is_waiting = self.more || !self.ended.is_empty();
        Next::Idle { until: callee.held_until().filter(|_| is_waiting) }
            .or(Next::Idle { until: self.due_at })
    }

    fn can_begin(&self, callee: &Callee) -> bool {
        self.more && self.ended.is_empty() && self.under_way.len() < MOST_JOBS && callee.can_begin()
    }

    /// Begins as many as are due and there is room for.
    pub fn begin(&mut self, callee: &mut Callee) {
        let now = Instant::now();
        if self.due_at.take_if(|at| *at <= now).is_some() {
            self.more = true;
        }
        if !self.can_begin(callee) {
            return;
        }
        let config = callee.config();
        let most = MOST_JOBS - self.under_way.len();
        let mut under_way: Vec<i64> = self.under_way.values().map(|it| it.job.id).collect();
        let found = transaction(c"reading jobs", || {
            // What is left after a change is for the plugin as it is since.
            if backend::is_stale() {
                return Ok(None);
            }
            newest(|client| {
                let due = jobs::due(client, config, most, &under_way)?;
                under_way.extend(due.iter().map(|job| job.id));
                let next = jobs::next(client, config, &under_way)?;
                Ok(Some((due, next)))
            })
        });
        let Some(Some((due, next))) = found else { return callee.hold() };
        self.more = false;
        self.due_at = next.map(|delay| now + delay);
        for job in due {
            if !callee.can_begin() {
                // Read again when there is room.
                self.more = true;
                return;
            }
            let call = Call::Job { name: job.name.clone(), payload: job.payload.0.clone() };
            let (at, since) = (clock_timestamp(), Instant::now());
            let cause = Cause { depth: job.hops, team: None };
            let ticket = callee.begin_caused(call, cause, settings::delivery_timeout());
            self.under_way.insert(ticket, Started { job, at, since });
        }
    }

    /// Whether a call is one of these.
    pub fn know(&self, ticket: Ticket) -> bool {
        self.under_way.contains_key(&ticket)
    }

    /// One of these calls has ended.
    pub fn ended(&mut self, callee: &mut Callee, ticket: Ticket, result: Result<Return, Failure>) {
        let Some(Started { job, at, since }) = self.under_way.remove(&ticket) else { return };
        let attempts = job.attempts.saturating_add(1);
        let (outcome, error, delay) = match result {
            Ok(_) => (Outcome::Succeeded, None, None),
            Err(failure) if callee.has_to_wait(&failure) => {
                self.more = true;
                return;
            }
            Err(failure) => {
                let delay =
                    settings::retries().after(attempts, luck()).filter(|_| failure.retriable);
                let outcome = if delay.is_some() { Outcome::Retried } else { Outcome::Failed };
                let error = failure.message.clone();
                callee.tell(failure, None);
                (outcome, Some(error), delay)
            }
        };
        let payload = (outcome == Outcome::Failed).then_some(job.payload);
        let run = Run {
            kind: Kind::Job,
            name: job.name,
            payload,
            started_at: at,
            duration: since.elapsed(),
            outcome,
            error,
            attempts,
        };
        self.ended.push(Ended { id: job.id, run, delay });
    }

    /// Writes down what has ended. What could not be written is written later, and not run again
    /// meanwhile.
    pub fn record(&mut self, callee: &mut Callee) {
        if self.ended.is_empty() || callee.held_until().is_some() {
            return;
        }
        let (config, ended) = (callee.config(), &self.ended);
        let recorded = transaction(c"recording jobs", || {
            Ok(as_owner(|client| jobs::record(client, config, ended))?)
        });
        match recorded {
            // The next look finds when one is due again, and what there was no room for.
            Some(()) => {
                self.more = true;
                self.ended.clear();
            }
            None => callee.hold(),
        }
    }
}
