//! The calls under way: by when each has to end, and how those ended that are not fetched yet.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::{Duration, Instant};

use super::call::{Call, Expects, Return, Ticket};
use crate::failure::{Failure, FailureKind};
use crate::host::Cause;
use crate::machine::{Course, Of};

pub(super) type Ended = (Ticket, Result<Return, Failure>);

#[derive(Default)]
pub(super) struct Calls {
    last: u64,
    under_way: BTreeMap<u64, UnderWay>,
    deadlines: BTreeSet<(Instant, u64)>,
    ended: Vec<Ended>,
    /// How `setupPlugin` ended, until that is looked at.
    set_up: Option<Result<(), Failure>>,
    torn_down: bool,
}

pub(super) struct UnderWay {
    /// The function's, for messages.
    name: Cow<'static, str>,
    expects: Expects,
    cause: Cause,
    time: Duration,
    /// None if that is beyond what a clock can say.
    deadline: Option<Instant>,
    /// What waits for `setupPlugin`.
    waiting: Option<Call>,
}

impl Calls {
    /// A call that has yet to be made; returns its number.
    pub(super) fn add(&mut self, call: Call, cause: Cause, begin: Instant, time: Duration) -> u64 {
        let under_way = UnderWay::new(call.name(), call.expects(), begin, time);
        self.insert(UnderWay { waiting: Some(call), cause, ..under_way })
    }

    /// A call of one of the functions around all others.
    pub(super) fn add_hook(
        &mut self,
        name: &'static str,
        expects: Expects,
        begin: Instant,
        time: Duration,
    ) -> u64 {
        self.insert(UnderWay::new(name.into(), expects, begin, time))
    }

    fn insert(&mut self, call: UnderWay) -> u64 {
        self.last += 1;
        self.deadlines.extend(call.deadline.map(|deadline| (deadline, self.last)));
        self.under_way.insert(self.last, call);
        self.last
    }

    /// Takes what a call waits to be made with.
    pub(super) fn take_call(&mut self, number: u64) -> Option<Call> {
        self.under_way.get_mut(&number)?.waiting.take()
    }

    /// Those that wait for `setupPlugin`, in order.
    pub(super) fn waiting(&self) -> Vec<u64> {
        let waiting = self.under_way.iter().filter(|(_, call)| call.waiting.is_some());
        waiting.map(|(number, _)| *number).collect()
    }

    /// The course of a call, which may have ended without having begun.
    pub(super) fn course(&self, number: u64) -> Course {
        let cause = self.under_way.get(&number).map(|call| call.cause).unwrap_or_default();
        Course { of: Of::Call(number), cause }
    }

    /// What is expected of a call that is under way.
    pub(super) fn expects(&self, number: u64) -> Option<Expects> {
        self.under_way.get(&number).map(|call| call.expects)
    }

    /// Ends a call, if it is under way.
    pub(super) fn end(&mut self, number: u64, result: Result<Return, Failure>) {
        let Some(call) = self.under_way.remove(&number) else { return };
        if let Some(deadline) = call.deadline {
            self.deadlines.remove(&(deadline, number));
        }
        if call.expects == Expects::SetUp {
            self.set_up = Some(result.map(drop));
            return;
        }
        self.torn_down |= call.expects == Expects::TearDown;
        self.ended.push((Ticket(number), result));
    }

    /// A call that is not even tried; returns its number.
    pub(super) fn refuse(&mut self, failure: Failure) -> u64 {
        self.last += 1;
        self.ended.push((Ticket(self.last), Err(failure)));
        self.last
    }

    /// Ends all of them.
    pub(super) fn end_all(&mut self, failure: &Failure) {
        let numbers: Vec<u64> = self.under_way.keys().copied().collect();
        for number in numbers {
            self.end(number, Err(failure.clone()));
        }
        self.set_up = None;
        self.torn_down = false;
    }

    /// Ends those whose time is up, and returns their numbers in order. Where that is `setupPlugin`, what
    /// waits for it ends otherwise.
    pub(super) fn end_overdue(&mut self, now: Instant) -> Vec<u64> {
        let mut overdue = Vec::new();
        while let Some((deadline, number)) = self.deadlines.first().copied()
            && deadline <= now
            && self.set_up.is_none()
        {
            self.deadlines.pop_first();
            if let Some(call) = self.under_way.get(&number) {
                let failure = call.overdue();
                self.end(number, Err(failure));
                overdue.push(number);
            }
        }
        overdue.sort_unstable();
        overdue
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many there are that somebody waits for.
    pub(super) fn len(&self) -> usize {
        let setting_up = self.under_way.values().take(1);
        self.under_way.len() - setting_up.filter(|call| call.expects == Expects::SetUp).count()
    }

    pub(super) fn take_set_up(&mut self) -> Option<Result<(), Failure>> {
        self.set_up.take()
    }

    pub(super) fn is_torn_down(&self) -> bool {
        self.torn_down
    }

    pub(super) fn have_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// How calls ended since this was last asked.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        mem::take(&mut self.ended)
    }
}

impl UnderWay {
    fn new(name: Cow<'static, str>, expects: Expects, begin: Instant, time: Duration) -> Self {
        let deadline = begin.checked_add(time);
        UnderWay { name, expects, cause: Cause::default(), time, deadline, waiting: None }
    }

    fn overdue(&self) -> Failure {
        let seconds = self.time.as_secs_f64();
        let what = match self.waiting {
            Some(_) => "waited for setupPlugin, and did not begin",
            None => "did not end",
        };
        let message = format!("TimeoutError: {} {what} within {seconds} s", self.name);
        Failure::new(FailureKind::TimedOut, message)
    }
}
