//! Calls that run side by side: one config in a runtime of its own, with any number of its functions under
//! way at once, each waiting for its own requests and timers. What a config does to its runtime no other
//! config notices.

mod answer;
mod call;
mod calls;
mod craft;
mod shapes;

use std::rc::Rc;
use std::time::{Duration, Instant};

pub use call::{Call, Return, Schedule, Settings, Ticket};

use crate::failure::{Failure, FailureKind};
use crate::host::{Cause, Host};
use crate::limits::Limits;
use crate::pauses::Pauses;
use crate::program::Program;
use calls::Calls;
use craft::Craft;

/// One config's calls. Nothing here waits: whoever steers it calls [`turn`](Self::turn) when answers have
/// come, and at [`wake_at`](Self::wake_at). The host answers requests of this flight only, and is asked
/// for answers that are there already.
pub struct Flight {
    host: Rc<dyn Host>,
    program: Rc<Program>,
    limits: Limits,
    craft: Option<Craft>,
    calls: Calls,
    pauses: Pauses,
    /// A turn ended with work left.
    hurried: bool,
    /// The most memory that a runtime has held at a time.
    peak: usize,
}

impl Flight {
    /// A flight that has not allocated anything yet. `limits.call` is how long JavaScript may run without
    /// waiting for anything.
    pub fn new(host: Rc<dyn Host>, program: Rc<Program>, limits: Limits) -> Self {
        Flight {
            host,
            program,
            limits,
            craft: None,
            calls: Calls::default(),
            pauses: Pauses::default(),
            hurried: false,
            peak: 0,
        }
    }

    /// Applies limits from the next call on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        if let Some(craft) = &mut self.craft {
            craft.machine().apply(limits);
        }
    }

    /// Loads the plugin and begins to set it up, as the first call does. A failure shows with the calls.
    pub fn prepare(&mut self, time: Duration) {
        self.craft = self.open(Instant::now(), time).ok();
    }

    /// Begins a call, which has to end within that time, and runs it until it waits. The first one has the
    /// plugin loaded and set up, within the same time; calls wait for that.
    ///
    /// A plugin that cannot be set up fails all of them with [`FailureKind::NotLoaded`], and one that uses
    /// up its limits again and again with [`FailureKind::Suspended`], for a while without being tried.
    pub fn begin(&mut self, call: Call, time: Duration) -> Ticket {
        self.begin_caused(call, Cause::default(), time)
    }

    /// The same for a call that something has led to.
    pub fn begin_caused(&mut self, call: Call, cause: Cause, time: Duration) -> Ticket {
        let begin = Instant::now();
        match self.open(begin, time) {
            Ok(craft) => {
                let number = self.calls.add(call, cause, begin, time);
                self.fly(craft, |craft, calls| match craft.is_ready() {
                    true => craft.start(calls, number),
                    false => Ok(()),
                });
                Ticket(number)
            }
            Err(failure) => Ticket(self.calls.refuse(failure)),
        }
    }

    /// Runs all that can run now, and returns the calls that have ended. Never waits.
    pub fn turn(&mut self) -> Vec<(Ticket, Result<Return, Failure>)> {
        if let Some(craft) = self.craft.take() {
            let mut hurried = false;
            self.fly(craft, |craft, calls| {
                hurried = craft.turn(calls)?;
                Ok(())
            });
            self.hurried = hurried;
        }
        let ended = self.calls.take_ended();
        if ended.iter().any(|(_, result)| result.is_ok()) {
            self.pauses.forget(self.program.id);
        }
        ended
    }

    /// By when [`turn`](Self::turn) has something to do, whether or not an answer comes before.
    pub fn wake_at(&self) -> Option<Instant> {
        if self.hurried || self.calls.have_ended() {
            return Some(Instant::now());
        }
        let timer = self.craft.as_ref().and_then(|craft| craft.tools().timers.next());
        timer.into_iter().chain(self.calls.next_deadline()).min()
    }

    /// How many calls have begun and not ended.
    pub fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Whether another call would leave those under way what they need: one that comes too early can fail
    /// for want of memory, and takes them along.
    pub fn has_room(&self) -> bool {
        let Some(craft) = &self.craft else { return true };
        let tools = craft.tools();
        let roomy = tools.meter.used() <= tools.limits.memory / 2 && tools.requests.have_room();
        self.calls.len() == 0 || (craft.is_ready() && roomy)
    }

    /// Whether the plugin is set up.
    pub fn is_ready(&self) -> bool {
        self.craft.as_ref().is_some_and(Craft::is_ready)
    }

    /// Bytes that the runtime holds.
    pub fn memory_used(&self) -> usize {
        self.craft.as_ref().map_or(0, |craft| craft.tools().meter.used())
    }

    /// The most bytes that it has held at a time.
    pub fn memory_peak(&self) -> usize {
        let now = self.craft.as_ref().map_or(0, |craft| craft.tools().meter.peak());
        now.max(self.peak)
    }

    /// Begins `teardownPlugin`. When its ticket ends, so does everything else here; calls should have ended
    /// before. `None` when there is nothing to wait for: it has ended already.
    pub fn tear_down(&mut self, time: Duration) -> Option<Ticket> {
        let mut ticket = None;
        let craft = self.craft.take()?;
        if craft.is_ready() {
            self.fly(craft, |craft, calls| {
                ticket = craft.tear_down(calls, time)?;
                Ok(())
            });
        }
        if ticket.is_none() {
            self.land();
        }
        ticket.map(Ticket)
    }

    /// Takes the runtime, for as long as it is used: a panic on the way drops it instead of leaving it
    /// half-used. Makes it if there is none.
    fn open(&mut self, begin: Instant, time: Duration) -> Result<Craft, Failure> {
        if let Some(craft) = self.craft.take() {
            return Ok(craft);
        }
        if let Some(failure) = self.pauses.running(self.program.id) {
            return Err(failure.clone());
        }
        let calls = &mut self.calls;
        Craft::load(self.host.clone(), &self.program, self.limits)
            .and_then(|mut craft| {
                craft.begin_set_up(calls, begin, time)?;
                craft.proceed(calls)?;
                Ok(craft)
            })
            .map_err(|failure| self.lose(failure, false))
    }

    /// Lets JavaScript run, and keeps the runtime unless that shook it.
    fn fly(
        &mut self,
        mut craft: Craft,
        work: impl FnOnce(&mut Craft, &mut Calls) -> Result<(), Failure>,
    ) {
        let flown = work(&mut craft, &mut self.calls);
        self.peak = self.peak.max(craft.tools().meter.peak());
        match flown {
            Ok(()) if self.calls.is_torn_down() => {
                drop(craft);
                self.land();
            }
            Ok(()) => self.craft = Some(craft),
            Err(failure) => {
                let was_ready = craft.is_ready();
                drop(craft);
                self.lose(failure, was_ready);
            }
        }
    }

    /// Ends what is under way after the runtime was lost, and returns what it ends with.
    fn lose(&mut self, failure: Failure, was_ready: bool) -> Failure {
        let id = self.program.id;
        let failure = if failure.kind == FailureKind::Interrupted {
            // The host's interrupts are not the plugin's fault.
            failure
        } else if was_ready {
            self.pauses.strike(id, &failure);
            let message = format!("ended with the runtime, which another call used up: {failure}");
            Failure::new(FailureKind::Interrupted, message)
        } else {
            let failure = Failure { kind: FailureKind::NotLoaded, ..failure };
            self.pauses.begin(id, &failure);
            failure
        };
        self.hurried = false;
        self.calls.end_all(&failure);
        failure
    }

    /// Ends everything.
    fn land(&mut self) {
        self.craft = None;
        self.hurried = false;
        self.pauses.forget(self.program.id);
        let failure = Failure::new(FailureKind::Interrupted, "the plugin is torn down");
        self.calls.end_all(&failure);
    }
}
