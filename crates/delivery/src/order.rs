//! Keeping what belongs together in its order: of events with the same key, one is under way at a time,
//! and while one waits to be tried again, those after it are put behind it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// The events of a consumer that are in memory, by their key.
pub struct Order<I> {
    keys: HashMap<I, String>,
    /// The first of each is under way.
    lines: HashMap<String, VecDeque<I>>,
    /// Keys of which something waits to be tried again, and how much of that is not recorded.
    blocked: HashMap<String, usize>,
}

/// What becomes of an event for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Now,
    /// When those before it have left.
    Later,
    /// It is to be recorded as one to be tried again, after those that are.
    Behind,
}

impl<I: Copy + Eq + Hash> Order<I> {
    /// With the keys of which something waits to be tried again.
    pub fn new(blocked: HashSet<String>) -> Self {
        let blocked = blocked.into_iter().map(|key| (key, 0)).collect();
        Order { keys: HashMap::new(), lines: HashMap::new(), blocked }
    }

    /// An event was read; `again` if it is one that is tried again.
    pub fn enter(&mut self, event: I, key: String, again: bool) -> Turn {
        if !again && self.is_blocked(&key) {
            self.block(key);
            return Turn::Behind;
        }
        self.keys.insert(event, key.clone());
        let line = self.lines.entry(key).or_default();
        line.push_back(event);
        if line.len() == 1 { Turn::Now } else { Turn::Later }
    }

    /// Whether something of a key waits to be tried again.
    pub fn is_blocked(&self, key: &str) -> bool {
        self.blocked.contains_key(key)
    }

    /// An event of the key is to be recorded as one to be tried again.
    pub fn block(&mut self, key: String) {
        *self.blocked.entry(key).or_default() += 1;
    }

    /// An event has ended. Returns the next one, or if this one is to be tried again, all that go behind
    /// it.
    pub fn leave(&mut self, event: I, again: bool) -> (Option<I>, Vec<I>) {
        let Some(key) = self.keys.remove(&event) else { return (None, Vec::new()) };
        let Some(mut line) = self.lines.remove(&key) else { return (None, Vec::new()) };
        line.retain(|other| *other != event);
        if again {
            for other in &line {
                self.keys.remove(other);
            }
            *self.blocked.entry(key).or_default() += 1 + line.len();
            return (None, line.into());
        }
        let next = line.front().copied();
        if next.is_some() {
            self.lines.insert(key, line);
        }
        (next, Vec::new())
    }

    /// An event of the key was recorded as one to be tried again.
    pub fn recorded(&mut self, key: &str) {
        if let Some(unrecorded) = self.blocked.get_mut(key) {
            *unrecorded = unrecorded.saturating_sub(1);
        }
    }

    /// Whether only the tables tell if a key is still blocked.
    pub fn may_be_free(&self, key: &str) -> bool {
        self.blocked.get(key) == Some(&0)
    }

    /// Nothing of the key waits to be tried again.
    pub fn free(&mut self, key: &str) {
        self.blocked.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> String {
        "u1".to_owned()
    }

    #[test]
    fn one_of_a_key_is_under_way_at_a_time() {
        let mut order = Order::new(HashSet::new());
        assert_eq!(order.enter(1, key(), false), Turn::Now);
        assert_eq!(order.enter(2, key(), false), Turn::Later);
        assert_eq!(order.enter(3, "u2".to_owned(), false), Turn::Now);
        assert_eq!(order.enter(4, key(), false), Turn::Later);
        assert_eq!(order.leave(1, false), (Some(2), vec![]));
        assert_eq!(order.leave(3, false), (None, vec![]));
        assert_eq!(order.leave(2, false), (Some(4), vec![]));
        assert_eq!(order.leave(4, false), (None, vec![]));
        assert_eq!(order.enter(5, key(), false), Turn::Now);
    }

    #[test]
    fn what_follows_one_that_is_tried_again_goes_behind_it() {
        let mut order = Order::new(HashSet::new());
        order.enter(1, key(), false);
        order.enter(2, key(), false);
        assert_eq!(order.leave(1, true), (None, vec![2]));
        assert_eq!(order.enter(3, key(), false), Turn::Behind);
        // The two that are not recorded keep others from passing, whatever the tables say.
        order.recorded("u1");
        order.recorded("u1");
        assert!(!order.may_be_free("u1"));
        order.recorded("u1");
        assert!(order.may_be_free("u1"));
        assert_eq!(order.enter(1, key(), true), Turn::Now);
        assert_eq!(order.enter(4, key(), false), Turn::Behind);
        assert_eq!(order.leave(1, false), (None, vec![]));
        order.recorded("u1");
        order.free("u1");
        assert_eq!(order.enter(5, key(), false), Turn::Now);
    }

    #[test]
    fn what_waited_before_keeps_its_place() {
        let mut order = Order::new(HashSet::from([key()]));
        assert_eq!(order.enter(1, key(), false), Turn::Behind);
        assert_eq!(order.enter(2, "u2".to_owned(), false), Turn::Now);
    }
}
