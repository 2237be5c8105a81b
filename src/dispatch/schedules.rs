//! What of a plugin runs at regular times. That a tick is dealt with is committed before the task runs,
//! so that it runs once at most, whatever happens to the worker.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use delivery::{Due, Time};
use engine::{Call, Failure, FailureKind, Return, Schedule, Ticket};
use pgrx::datum::{TimestampWithTimeZone, clock_timestamp};

use super::callee::Callee;
use crate::catalog::as_owner;
use crate::catalog::queue::newest;
use crate::catalog::runs::{Kind, Outcome, Run};
use crate::catalog::schedules::{self, Note};
use crate::error::Result;
use crate::settings;
use crate::worker::{Next, transaction};

pub struct Schedules {
    /// When one of them is due. By the clock, which can be put forward or back meanwhile.
    next: Time,
    running: Vec<Running>,
    /// What has ended and is not written yet.
    ended: Vec<Run>,
}

struct Running {
    schedule: Schedule,
    ticket: Ticket,
    at: TimestampWithTimeZone,
    since: Instant,
}

impl Schedules {
    /// Takes up the tasks of a config, in a transaction.
    pub fn new(config: i32, tasks: &[Schedule]) -> Result<Self> {
        as_owner(|client| schedules::take_up(client, config, tasks))?;
        Ok(Schedules { next: Time::MIN, running: Vec::new(), ended: Vec::new() })
    }

    /// When there is something to do, unless a call ends before.
    pub fn next(&self, callee: &Callee) -> Next {
        if !self.ended.is_empty() {
            return Next::Idle { until: callee.held_until() };
        }
        let left = u64::try_from(self.next.saturating_sub(now())).unwrap_or_default();
        let until = Instant::now() + Duration::from_micros(left);
        match callee.can_begin() {
            true => Next::Idle { until: Some(until) },
            false => Next::Idle { until: callee.held_until().map(|held| held.max(until)) },
        }
    }

    /// Runs what is due, or counts that it did not.
    pub fn begin(&mut self, callee: &mut Callee) {
        if now() < self.next || !self.ended.is_empty() || !callee.can_begin() {
            return;
        }
        let (config, running) = (callee.config(), &self.running);
        let is_first = self.next == Time::MIN;
        let noted = transaction(c"looking at schedules", || {
            newest(|client| {
                let mut notes = Vec::new();
                for (schedule, tick) in schedules::look(client, config)? {
                    let is_running = running.iter().any(|it| it.schedule == schedule);
                    let (runs, skipped, missed) = match tick.due() {
                        Due::NotYet => (false, 0, 0),
                        Due::Now { missed } if is_running => (false, missed + 1, 0),
                        Due::TooLate { missed } if is_running => (false, missed, 0),
                        Due::Now { missed } => (true, 0, missed),
                        Due::TooLate { missed } => (false, 0, missed),
                    };
                    let last = (tick.due() != Due::NotYet).then_some(tick.current);
                    let note = Note { schedule, last, next: tick.next(), runs, skipped, missed };
                    if last.is_some() || is_first {
                        schedules::note(client, config, &note)?;
                    }
                    notes.push(note);
                }
                Ok(notes)
            })
        });
        let Some(notes) = noted else { return callee.hold() };
        self.next = notes.iter().map(|note| note.next).min().unwrap_or(Time::MAX);
        for Note { schedule, .. } in notes.into_iter().filter(|note| note.runs) {
            let (at, since) = (clock_timestamp(), Instant::now());
            let ticket = callee.begin(Call::Scheduled(schedule), settings::schedule_timeout());
            self.running.push(Running { schedule, ticket, at, since });
        }
    }

    /// Whether a call is one of these.
    pub fn know(&self, ticket: Ticket) -> bool {
        self.running.iter().any(|it| it.ticket == ticket)
    }

    /// One of these calls has ended.
    pub fn ended(
        &mut self,
        callee: &mut Callee,
        ticket: Ticket,
        result: std::result::Result<Return, Failure>,
    ) {
        let Some(place) = self.running.iter().position(|it| it.ticket == ticket) else { return };
        let Running { schedule, at, since, .. } = self.running.swap_remove(place);
        let (outcome, error) = match result {
            Ok(_) => (Outcome::Succeeded, None),
            Err(failure) => {
                let outcome = match failure.kind {
                    FailureKind::Interrupted => Outcome::Interrupted,
                    _ => Outcome::Failed,
                };
                let error = failure.message.clone();
                callee.tell(failure, None);
                (outcome, Some(error))
            }
        };
        self.ended.push(Run {
            kind: Kind::Schedule,
            name: schedule.function().to_owned(),
            payload: None,
            started_at: at,
            duration: since.elapsed(),
            outcome,
            error,
            attempts: 1,
        });
    }

    /// Writes down what has ended.
    pub fn record(&mut self, callee: &mut Callee) {
        if self.ended.is_empty() || callee.held_until().is_some() {
            return;
        }
        let (config, ended) = (callee.config(), &self.ended);
        let recorded = transaction(c"recording schedules", || {
            Ok(as_owner(|client| schedules::record(client, config, ended))?)
        });
        match recorded {
            Some(()) => self.ended.clear(),
            None => callee.hold(),
        }
    }
}

/// As PostgreSQL has it.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::try_from(since.as_micros()).unwrap_or(Time::MAX)
}
