//! For consumers that get events in order: whose turn it is, and what has to be behind something that
//! failed.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use delivery::{Item, Order, Turn};

use super::{Deliveries, Waiting};
use crate::queue::consumer::{self, Consumer, Outcome, Queued};
use crate::worker::transaction;

pub(super) fn order(consumer: &Consumer) -> Option<Order<Item>> {
    consumer.filter.ordered.then(|| Order::new(consumer.blocked.iter().cloned().collect()))
}

impl Deliveries {
    /// Decides whether it is an event's turn.
    pub(super) fn line_up(&mut self, item: Item, now: Instant) {
        if self.is_ordered_in_batches() {
            return match self.has_to_be_behind(item) {
                true => self.put_behind(item),
                false => self.plan(item, now),
            };
        }
        let turn = match (self.key(item), &mut self.order) {
            (Some(key), Some(order)) => {
                let again = self.progress.event(item).is_some_and(|it| it.retry().is_some());
                order.enter(item, key, again)
            }
            _ => Turn::Now,
        };
        match turn {
            Turn::Now => self.plan(item, now),
            Turn::Later => {}
            Turn::Behind => drop(self.progress.let_go(item, Outcome::Behind)),
        }
    }

    /// One batch at a time is enough, however many events with the same distinct_id are in it.
    fn is_ordered_in_batches(&self) -> bool {
        self.order.is_some() && self.consumer.gets_only_batches()
    }

    /// Whether something before it waits to be tried again.
    fn has_to_be_behind(&self, item: Item) -> bool {
        let is_new = self.progress.event(item).is_some_and(|event| event.retry().is_none());
        let (Some(order), Some(key)) = (&self.order, self.key(item)) else { return false };
        is_new && order.is_blocked(&key)
    }

    fn put_behind(&mut self, item: Item) {
        if let (Some(key), Some(order)) = (self.key(item), &mut self.order) {
            order.block(key);
        }
        self.progress.let_go(item, Outcome::Behind);
    }

    /// What keeps an event in its order.
    fn key(&self, item: Item) -> Option<String> {
        consumer::distinct_id(&self.consumer, self.progress.event(item)?)
    }

    /// What has yet to be exported, and comes after something in a batch that failed, is to be behind it.
    pub(super) fn put_those_after_behind(&mut self, failed: &[Item]) {
        if self.order.is_none() {
            return;
        }
        let keys: HashSet<String> = failed.iter().filter_map(|item| self.key(*item)).collect();
        self.waiting.extend(self.exports.take().map(Waiting::Export));
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain_mut(|waiting| {
            let Waiting::Export(items) = waiting else { return true };
            items.retain(|item| {
                let comes_after = self.key(*item).is_some_and(|key| keys.contains(&key));
                if comes_after {
                    self.put_behind(*item);
                }
                !comes_after
            });
            !items.is_empty()
        });
        self.waiting = waiting;
    }

    /// Something that an event waited for has ended. If that was all, the next one in its order follows.
    pub(super) fn settle(&mut self, item: Item, outcome: Outcome) {
        let Some(outcome) = self.progress.let_go(item, outcome) else { return };
        let again = outcome.is_to_be_tried_again();
        let batched = self.is_ordered_in_batches();
        let key = self.key(item).filter(|_| again && batched);
        let Some(order) = &mut self.order else { return };
        if let Some(key) = key {
            order.block(key);
        }
        let (next, behind) = order.leave(item, again);
        for item in behind {
            self.progress.let_go(item, Outcome::Behind);
        }
        if let Some(next) = next {
            self.plan(next, Instant::now());
        }
    }

    /// Lets events go on that were behind some that were recorded, if nothing waits any more.
    pub(super) fn unblock(&mut self, outcomes: &[(Queued, Outcome)]) {
        let Deliveries { consumer, order: Some(order), .. } = self else { return };
        let mut keys = BTreeSet::new();
        for (event, outcome) in outcomes {
            let Some(key) = consumer::distinct_id(consumer, event) else { continue };
            if outcome.is_to_be_tried_again() {
                order.recorded(&key);
            }
            keys.insert(key);
        }
        keys.retain(|key| order.may_be_free(key));
        if keys.is_empty() {
            return;
        }
        let waiting = transaction(c"looking what waits", || {
            consumer::waiting(consumer, keys.iter().cloned().collect())
        });
        let Some(waiting) = waiting else { return };
        for key in keys.iter().filter(|key| !waiting.contains(key)) {
            order.free(key);
        }
    }
}
