//! Changes as they are written down. One that says what it does, rather than what comes of it, can
//! be added to whatever others write at the same time.

use std::collections::{HashMap, VecDeque};

use super::entry::{Content, Entry, list_bytes, number_text, sum};

/// One change to a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub effect: Effect,
    /// When, in microseconds since 1970: what had expired by then was not there.
    pub at: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Put(Entry),
    Delete,
    Add(f64),
    /// A number where nothing is.
    Begin(f64),
    /// When it expires.
    Expire(i64),
    /// At the head, one after the other.
    Push(Vec<String>),
    /// As many equal elements from the head, or from the tail if it is negative; 0 is all.
    Remove(i64, String),
    /// Each of them once, the one that is nearest to the head.
    Take(Vec<String>),
}

impl Change {
    /// What a key holds after it. What makes no sense any more, because somebody else put something
    /// of another kind there meanwhile, does nothing.
    pub fn apply(&self, state: &mut Option<Entry>) {
        if state.as_ref().is_some_and(|entry| entry.is_over(self.at)) {
            *state = None;
        }
        match (&self.effect, state) {
            (Effect::Put(entry), state) => *state = Some(entry.clone()),
            (Effect::Delete, state) => *state = None,
            (Effect::Add(amount) | Effect::Begin(amount), state @ None) => {
                *state = Some(Entry::text(number_text(*amount)));
            }
            (Effect::Push(elements), state @ None) => {
                let list = elements.iter().rev().cloned().collect();
                *state = Some(Entry { content: Content::List(list), expires_at: None });
            }
            (Effect::Expire(at), Some(entry)) => entry.expires_at = Some(*at),
            (Effect::Add(amount), Some(Entry { content: Content::Text(text), .. })) => {
                if let Some(sum) = sum(text, *amount) {
                    *text = sum;
                }
            }
            (Effect::Push(elements), Some(Entry { content: Content::List(list), .. })) => {
                elements.iter().for_each(|element| list.push_front(element.clone()));
            }
            (effect @ (Effect::Remove(..) | Effect::Take(_)), state @ Some(_)) => {
                if let Some(Entry { content: Content::List(list), .. }) = state {
                    match effect {
                        Effect::Remove(count, element) => drop(remove(list, *count, element)),
                        Effect::Take(elements) => take(list, elements),
                        _ => {}
                    }
                    if list.is_empty() {
                        *state = None;
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether the key is to go by itself some time.
    pub fn expires(&self) -> bool {
        match &self.effect {
            Effect::Put(entry) => entry.expires_at.is_some(),
            effect => matches!(effect, Effect::Expire(_)),
        }
    }

    /// Takes the next change to the same key, which was not expired in between, into this one; or
    /// gives it back.
    pub(super) fn absorb(&mut self, next: Change) -> Option<Change> {
        match (&mut self.effect, next) {
            (Effect::Add(amount), Change { effect: Effect::Add(more), .. })
                if (*amount + more).abs() < 2f64.powi(53) =>
            {
                *amount += more;
            }
            (Effect::Push(elements), Change { effect: Effect::Push(more), .. }) => {
                elements.extend(more);
            }
            // What was pushed and is taken again was never there.
            (Effect::Push(elements), Change { effect: Effect::Take(mut taken), at }) => {
                let pushed = elements.iter().rev();
                let again =
                    pushed.zip(&taken).take_while(|(pushed, taken)| pushed == taken).count();
                elements.truncate(elements.len() - again);
                taken.drain(..again);
                if !taken.is_empty() {
                    return Some(Change { effect: Effect::Take(taken), at });
                }
            }
            (Effect::Take(taken), Change { effect: Effect::Take(more), .. }) => taken.extend(more),
            (Effect::Expire(at), Change { effect: Effect::Expire(other), .. }) => *at = other,
            (_, next) => return Some(next),
        }
        None
    }

    /// Whether all of it was taken back.
    pub(super) fn does_nothing(&self) -> bool {
        matches!(&self.effect, Effect::Push(elements) if elements.is_empty())
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Change>()
            + match &self.effect {
                Effect::Put(entry) => entry.bytes(),
                Effect::Push(elements) | Effect::Take(elements) => list_bytes(elements),
                Effect::Remove(_, element) => element.len(),
                _ => 0,
            }
    }
}

/// Returns how many there were.
pub(super) fn remove(list: &mut VecDeque<String>, count: i64, element: &str) -> usize {
    let before = list.len();
    let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let mut removed = 0;
    let mut keep = |held: &String| {
        let goes = removed < most && held == element;
        removed += usize::from(goes);
        !goes
    };
    if count >= 0 {
        list.retain(keep);
    } else {
        *list = list.drain(..).rev().filter(&mut keep).collect();
        list.make_contiguous().reverse();
    }
    before - list.len()
}

/// One pass, however many there are: as a rule they are at the head.
fn take(list: &mut VecDeque<String>, elements: &[String]) {
    let at_head = elements.iter().zip(list.iter()).take_while(|(taken, held)| taken == held);
    let at_head = at_head.count();
    list.drain(..at_head);
    let mut left: HashMap<&str, usize> = HashMap::new();
    for element in elements.iter().skip(at_head) {
        *left.entry(element).or_default() += 1;
    }
    if !left.is_empty() {
        list.retain(|held| match left.get_mut(held.as_str()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        });
    }
}
