//! A key as one transaction sees it: what it holds, and what is to be written of it.

use super::change::{Change, Effect, remove};
use super::entry::{Content, Entry, list_bytes};
use super::{Action, LARGEST_VALUE, Refusal, Reply};

/// PostHog's own limit.
const MOST_PUSHED: usize = 1000;

const WRONG_KIND: &str = "42804"; // datatype_mismatch
const NOT_A_NUMBER: &str = "22P02"; // invalid_text_representation
const OUT_OF_RANGE: &str = "22003"; // numeric_value_out_of_range
const TOO_LARGE: &str = "54000"; // program_limit_exceeded
const BAD_ARGUMENT: &str = "22023"; // invalid_parameter_value

#[derive(Debug, Clone, Default)]
pub struct Slot {
    pub state: Option<Entry>,
    pub pending: Pending,
}

/// What has to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Pending {
    #[default]
    Nothing,
    /// Each adds to what is stored.
    Changes(Vec<Change>),
    /// The state, whatever is stored.
    All { at: i64 },
}

impl Slot {
    /// What a key holds that others have written.
    pub fn stored(state: Option<Entry>) -> Self {
        Slot { state, pending: Pending::Nothing }
    }

    /// What is to be written, in order.
    pub fn changes(&self) -> Vec<Change> {
        match &self.pending {
            Pending::Nothing => Vec::new(),
            Pending::Changes(changes) => changes.clone(),
            Pending::All { at } => {
                let effect = self.state.clone().map_or(Effect::Delete, Effect::Put);
                vec![Change { effect, at: *at }]
            }
        }
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Slot>()
            + self.state.as_ref().map_or(0, Entry::bytes)
            + match &self.pending {
                Pending::Changes(changes) => changes.iter().map(Change::bytes).sum(),
                _ => 0,
            }
    }

    /// Does what a plugin asks for.
    pub fn perform(&mut self, action: Action, now: i64) -> Result<Reply, Refusal> {
        if self.state.as_ref().is_some_and(|entry| entry.is_over(now)) {
            self.state = None;
        }
        match action {
            Action::Get => self.get(),
            Action::Set { value, seconds } => {
                check_size(value.len())?;
                let expires_at = seconds.map(|seconds| later(now, seconds));
                let entry = Entry { content: Content::Text(value), expires_at };
                self.record(Effect::Put(entry), now);
                Ok(Reply::Nothing)
            }
            Action::Delete => {
                self.record(Effect::Delete, now);
                Ok(Reply::Nothing)
            }
            Action::Increment(amount) => self.add(amount, now),
            Action::CountUp => {
                if let Some(entry) = &self.state {
                    let text = text(entry)?;
                    let number = text.parse::<i64>().map_err(|_| {
                        Refusal::new(NOT_A_NUMBER, "the value is not an integer or out of range")
                    })?;
                    number
                        .checked_add(1)
                        .ok_or_else(|| Refusal::new(OUT_OF_RANGE, "the integer is out of range"))?;
                }
                self.add(1.0, now)
            }
            Action::Begin(amount) => {
                if self.state.is_none() {
                    self.record(Effect::Begin(amount), now);
                }
                Ok(Reply::Nothing)
            }
            Action::Expire(seconds) => {
                let exists = self.state.is_some();
                if exists && seconds > 0.0 {
                    self.record(Effect::Expire(later(now, seconds)), now);
                } else if exists {
                    self.record(Effect::Delete, now);
                }
                Ok(Reply::Bool(exists))
            }
            Action::Push(elements) => self.push(elements, now),
            Action::Range(start, end) => self.range(start, end),
            Action::Length => Ok(Reply::Number(self.list()?.map_or(0, |list| list.len()) as f64)),
            Action::Pop(count) => self.pop(count, now),
            Action::Remove(count, element) => {
                let Some(mut list) = self.list()?.cloned() else { return Ok(Reply::Number(0.0)) };
                let count = count as i64;
                let removed = remove(&mut list, count, &element);
                if removed > 0 {
                    self.record(Effect::Remove(count, element), now);
                }
                Ok(Reply::Number(removed as f64))
            }
        }
    }

    fn get(&self) -> Result<Reply, Refusal> {
        match &self.state {
            None => Ok(Reply::Missing),
            Some(entry) => text(entry).map(|text| Reply::Text(text.to_owned())),
        }
    }

    fn add(&mut self, amount: f64, now: i64) -> Result<Reply, Refusal> {
        let before = match &self.state {
            Some(entry) => {
                let text = text(entry)?;
                let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
                // Without it: who may read errors may not read what plugins keep.
                number.ok_or_else(|| Refusal::new(NOT_A_NUMBER, "the value is not a number"))?
            }
            None => 0.0,
        };
        if !(before + amount).is_finite() {
            return Err(Refusal::new(OUT_OF_RANGE, "the number is out of range"));
        }
        self.record(Effect::Add(amount), now);
        match &self.state {
            Some(Entry { content: Content::Text(text), .. }) => {
                Ok(Reply::Number(text.parse().unwrap_or(before + amount)))
            }
            _ => Ok(Reply::Number(before + amount)),
        }
    }

    fn push(&mut self, elements: Vec<String>, now: i64) -> Result<Reply, Refusal> {
        if elements.len() > MOST_PUSHED {
            let message = format!("at most {MOST_PUSHED} elements can be pushed at once");
            return Err(Refusal::new(TOO_LARGE, message));
        }
        let length = self.list()?.map_or(0, |list| list.len()) + elements.len();
        if elements.is_empty() {
            return Err(Refusal::new(BAD_ARGUMENT, "there is nothing to push"));
        }
        check_size(self.state.as_ref().map_or(0, Entry::bytes) + list_bytes(&elements))?;
        self.record(Effect::Push(elements), now);
        Ok(Reply::Number(length as f64))
    }

    fn range(&self, start: f64, end: f64) -> Result<Reply, Refusal> {
        let Some(list) = self.list()? else { return Ok(Reply::List(Vec::new())) };
        let length = list.len() as f64;
        let place = |at: f64| if at < 0.0 { length + at } else { at }.trunc();
        let start = place(start).max(0.0) as usize;
        let end = place(end) + 1.0;
        let count = (end.max(0.0) as usize).saturating_sub(start);
        Ok(Reply::List(list.iter().skip(start).take(count).cloned().collect()))
    }

    /// Recorded as what was taken, not as how many: two transactions that take at the same time take
    /// the same, and nothing is lost that nobody has seen.
    fn pop(&mut self, count: f64, now: i64) -> Result<Reply, Refusal> {
        if count < 0.0 {
            return Err(Refusal::new(BAD_ARGUMENT, "the count must not be negative"));
        }
        let Some(list) = self.list()? else { return Ok(Reply::Missing) };
        let taken: Vec<String> = list.iter().take(count as usize).cloned().collect();
        if !taken.is_empty() {
            self.record(Effect::Take(taken.clone()), now);
        }
        Ok(Reply::List(taken))
    }

    fn list(&self) -> Result<Option<&std::collections::VecDeque<String>>, Refusal> {
        match &self.state {
            None => Ok(None),
            Some(Entry { content: Content::List(list), .. }) => Ok(Some(list)),
            Some(_) => Err(wrong_kind("the key holds a value, not a list")),
        }
    }

    /// Changes the state, and remembers how to write it.
    fn record(&mut self, effect: Effect, now: i64) {
        let was_there = self.state.is_some();
        let change = Change { effect, at: now };
        change.apply(&mut self.state);
        if matches!(change.effect, Effect::Put(_) | Effect::Delete) {
            self.pending = Pending::All { at: now };
            return;
        }
        match &mut self.pending {
            Pending::All { at } => *at = now,
            Pending::Nothing => self.pending = Pending::Changes(vec![change]),
            Pending::Changes(changes) => {
                // What expired or was taken in between stays apart from what begins anew.
                let left = if was_there {
                    absorb(changes, change, self.state.is_some())
                } else {
                    Some(change)
                };
                changes.extend(left);
                if changes.is_empty() {
                    self.pending = Pending::Nothing;
                }
            }
        }
    }
}

/// Takes a change into an earlier one, or gives it back. `stays`: the key holds something after it.
fn absorb(changes: &mut Vec<Change>, next: Change, stays: bool) -> Option<Change> {
    // What a key holds is changed in the same way before it is said when it expires, and after. Who
    // counts and says so with every event writes two changes.
    let passes = matches!(changes.last(), Some(Change { effect: Effect::Expire(_), .. }))
        && !matches!(next.effect, Effect::Expire(_))
        && changes.len() > 1
        && stays;
    let place = changes.len().saturating_sub(if passes { 2 } else { 1 });
    let Some(earlier) = changes.get_mut(place) else { return Some(next) };
    let left = earlier.absorb(next);
    if earlier.does_nothing() {
        changes.remove(place);
    }
    left
}

fn text(entry: &Entry) -> Result<&str, Refusal> {
    match &entry.content {
        Content::Text(text) => Ok(text),
        Content::List(_) => Err(wrong_kind("the key holds a list, not a value")),
    }
}

fn wrong_kind(message: &str) -> Refusal {
    Refusal::new(WRONG_KIND, message)
}

fn check_size(bytes: usize) -> Result<(), Refusal> {
    if bytes <= LARGEST_VALUE {
        return Ok(());
    }
    Err(Refusal::new(TOO_LARGE, format!("a value or list can have {LARGEST_VALUE} bytes at most")))
}

/// So many seconds from then; PostgreSQL's own times end before this does.
fn later(now: i64, seconds: f64) -> i64 {
    const TEN_THOUSAND_YEARS: f64 = 10_000.0 * 366.0 * 86_400.0;
    now.saturating_add((seconds.clamp(0.0, TEN_THOUSAND_YEARS) * 1e6) as i64)
}

#[cfg(test)]
mod tests;
