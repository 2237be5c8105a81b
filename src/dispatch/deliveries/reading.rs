//! Reading what a consumer is to be given next, and following what is changed about it.

use std::time::{Duration, Instant};

use super::{Deliveries, MOST_OPEN, MOST_OPEN_BYTES, READ_AT_ONCE, Recorded, rate};
use crate::backend;
use crate::dispatch::callee::Callee;
use crate::dispatch::source::Read;
use crate::queue::consumer::{self, Outcome, Queued, Retry, Room};
use crate::worker::transaction;

/// What there was to be read.
enum Found {
    Batch(Read, Option<Duration>),
    /// It is not the time to read, but the consumer is as it is now.
    Nothing,
    /// The plugins have changed.
    Stale,
    /// The consumer was put elsewhere, or is gone.
    Elsewhere,
}

impl Deliveries {
    pub(super) fn can_read(&self, callee: &Callee, now: Instant) -> bool {
        let is_allowed = self.rate.as_ref().is_none_or(|rate| rate.next() <= now);
        let may_begin = self.source.not_before().is_none_or(|at| at <= now);
        self.more && is_allowed && may_begin && self.has_room() && callee.is_free()
    }

    /// For what is read at once.
    pub(super) fn has_room(&self) -> bool {
        self.progress.len() + READ_AT_ONCE.events <= MOST_OPEN
            && self.progress.bytes() < MOST_OPEN_BYTES
    }

    /// Reads what is to be delivered next.
    pub fn read(&mut self, callee: &mut Callee) -> Recorded {
        let now = Instant::now();
        if self.retry_at.take_if(|at| *at <= now).is_some() {
            self.more = true;
        }
        let can_read = self.can_read(callee, now);
        // A rate may be lifted, which nobody is to wait for as long as for the next event.
        let can_look = self.looks && callee.is_free();
        if !can_read && !can_look {
            return Recorded::Nothing;
        }
        // To read on would be to leave out what was forgotten.
        if self.lost {
            return self.start_anew(callee);
        }
        let allowed = self.rate.as_mut().map_or(usize::MAX, |rate| rate.available(now));
        let room = Room { events: READ_AT_ONCE.events.min(allowed).max(1), ..READ_AT_ONCE };
        let retries: Vec<i64> = self.progress.events().filter_map(Queued::retry).collect();
        let is_limited = self.rate.is_some();
        let mut is_changed = false;
        let found = transaction(c"reading the queue", || {
            // What was stored after a change is for the plugin as it is since.
            if backend::is_stale() {
                return Ok(Found::Stale);
            }
            let Deliveries { consumer, source, looks, .. } = &mut *self;
            if *looks {
                match consumer::find(consumer.config_id)? {
                    Some(current)
                        if source.backfill().is_some() || current.goes_on_from(consumer) =>
                    {
                        is_changed = current.filter != consumer.filter;
                        *consumer = current;
                    }
                    _ => return Ok(Found::Elsewhere),
                }
            }
            if !can_read {
                return Ok(Found::Nothing);
            }
            let batch = source.read(consumer, room, is_limited, &retries)?;
            let retry = match source.backfill() {
                Some(_) => None,
                None => {
                    let found = batch.events.iter().filter_map(Queued::retry);
                    let under_way: Vec<i64> = found.chain(retries).collect();
                    consumer::next_retry(consumer.config_id, &under_way)?
                }
            };
            Ok(Found::Batch(batch, retry))
        });
        if is_changed {
            self.rate = rate(&self.consumer, &self.source);
        }
        match found {
            Some(Found::Batch(batch, retry)) => {
                self.looks = false;
                self.more = batch.is_full;
                self.retry_at = retry.map(|delay| now + delay);
                if let Some(rate) = &mut self.rate {
                    rate.take(batch.events.len());
                }
                self.accept(batch);
                Recorded::Nothing
            }
            Some(Found::Nothing) => {
                self.looks = false;
                Recorded::Nothing
            }
            Some(Found::Elsewhere) => self.start_anew(callee),
            // The duty looks after that first.
            Some(Found::Stale) | None => {
                callee.hold();
                Recorded::Nothing
            }
        }
    }

    /// Takes what was read.
    fn accept(&mut self, found: Read) {
        let Read { mut events, refused, mark, .. } = found;
        let Some(mark) = mark else { return };
        self.source.advance(&mark);
        let wanted = events.len();
        let (others, reasons): (Vec<_>, Vec<_>) = refused.into_iter().unzip();
        events.extend(others);
        let bytes = events.iter().map(|queued| queued.event.0.len()).sum();
        let items = self.progress.add(mark, events, bytes);
        let now = Instant::now();
        for (place, item) in items.iter().enumerate() {
            match place.checked_sub(wanted) {
                None => self.line_up(*item, now),
                Some(refused) => {
                    let error = reasons.get(refused).cloned().unwrap_or_default();
                    self.settle(*item, Outcome::Failed { retry: Retry::Never, error });
                }
            }
        }
    }
}
