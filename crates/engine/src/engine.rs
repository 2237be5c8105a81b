//! The engine of one backend: a runtime that is built when first needed and thrown away when a
//! limit struck, and the realms in it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::time::Instant;

use crate::capabilities::Capabilities;
use crate::failure::{Failure, FailureKind};
use crate::fields::{Given, Patch};
use crate::host::{Bystander, Host};
use crate::limits::Limits;
use crate::machine::{Machine, Tools};
use crate::pauses::Pauses;
use crate::program::Program;
use crate::realm::Realm;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The plugin has no `processEvent`, or left the event as it was.
    Unchanged,
    /// The event as jsonb.
    Changed(Vec<u8>),
    /// What became of an event whose fields lie apart.
    Patched(Patch),
    Discarded,
}

/// One plugin's turn with one event. After a failure the verdict is the event as it then was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the plugin has a `processEvent` at all.
    pub ran: bool,
    /// Whether the plugin wants to see the event again once it is stored.
    pub deferred: bool,
    pub verdict: Verdict,
    pub failure: Option<Failure>,
}

impl Outcome {
    fn skipped(deferred: bool) -> Self {
        Outcome { ran: false, deferred, verdict: Verdict::Unchanged, failure: None }
    }

    pub(crate) fn failed(failure: Failure) -> Self {
        Outcome { ran: true, deferred: false, verdict: Verdict::Unchanged, failure: Some(failure) }
    }
}

/// The plugins' JavaScript. Not reentrant: a [`Host`] must not call back into it.
pub struct Engine {
    host: Rc<dyn Host>,
    limits: Limits,
    live: Option<Live>,
    pauses: Pauses,
    /// The most memory that runtimes before this one held at a time.
    peak: usize,
}

/// Realms and the runtime they live in. Realms go first: their values need the runtime.
struct Live {
    realms: HashMap<i32, Realm>,
    machine: Machine,
}

impl Engine {
    /// An engine that has not allocated anything yet.
    pub fn new(host: Rc<dyn Host>) -> Self {
        let (limits, pauses) = (Limits::default(), Pauses::default());
        Engine { host, limits, live: None, pauses, peak: 0 }
    }

    /// Applies limits from the next call on, also to live realms.
    pub fn set_limits(&mut self, limits: Limits) {
        if self.limits == limits {
            return;
        }
        self.limits = limits;
        if let Some(live) = &mut self.live {
            live.machine.apply(limits);
        }
    }

    /// Runs the program's `processEvent` on an event given as jsonb.
    pub fn process_event(&mut self, program: &Rc<Program>, event: &[u8]) -> Outcome {
        self.process_event_from(program, Given::Whole(event), Instant::now())
    }

    /// The same for any event, and a caller who has just looked at the clock: its time runs from `begin`, unless
    /// the program has to be set up first.
    pub fn process_event_from(
        &mut self,
        program: &Rc<Program>,
        event: Given<'_>,
        begin: Instant,
    ) -> Outcome {
        if let Some(failure) = self.pauses.running(program.id) {
            return Outcome::failed(failure.clone());
        }
        // Taken out for the call: a panic on the way drops it instead of leaving it half-used.
        let mut live = match self.take_live() {
            Ok(live) => live,
            Err(failure) => return Outcome::failed(failure),
        };
        let id = program.id;
        let outcome = match live.process_event(program, event, begin) {
            Ok(outcome) => {
                match &outcome.failure {
                    Some(failure) if failure.kind.is_a_limit() => self.pauses.strike(id, failure),
                    _ => self.pauses.forget(id),
                }
                outcome
            }
            Err(failure) => {
                // The host's interrupts are not the plugin's fault.
                if failure.kind != FailureKind::Interrupted {
                    self.pauses.begin(id, &failure);
                }
                Outcome::failed(failure)
            }
        };
        self.put_back(live, outcome.failure.as_ref());
        outcome
    }

    /// Loads the program and sets it up as its first event does. A failure shows again with that
    /// event.
    pub fn set_up(&mut self, program: &Rc<Program>) -> Result<(), Failure> {
        let mut live = self.take_live()?;
        let prepared = live.prepare(program);
        self.put_back(live, prepared.as_ref().err());
        prepared
    }

    /// Compiles a script without running it: what only the engine refuses, such as an invalid
    /// regular expression, is refused at install.
    pub fn check(&mut self, script: &str, script_name: &str) -> Result<(), Failure> {
        let live = self.take_live()?;
        let checked = live.machine.check(script, script_name);
        self.put_back(live, checked.as_ref().err());
        checked
    }

    /// What the program can do. Its script runs for that, without `setupPlugin`, in a runtime of its
    /// own that ends with it, and reaches nothing.
    pub fn inspect(&self, program: &Rc<Program>) -> Result<Capabilities, Failure> {
        let host = Rc::new(Bystander(self.host.clone()));
        Capabilities::of(program, &Machine::new(host, self.limits)?)
    }

    /// Whether the program has a live realm.
    pub fn has_realm(&self, id: i32) -> bool {
        self.live.as_ref().is_some_and(|live| live.realms.contains_key(&id))
    }

    /// Calls `teardownPlugin` where the realm was set up, and removes the realm.
    pub fn tear_down(&mut self, id: i32) -> Option<Failure> {
        self.pauses.forget(id);
        let mut live = self.live.take()?;
        let Live { realms, machine } = &mut live;
        let failure = realms.remove(&id).and_then(|realm| realm.tear_down(&machine.tools));
        machine.tools.abandon();
        // A realm is full of cycles; its memory is wanted now, not at the next threshold.
        machine.runtime.run_gc();
        self.put_back(live, failure.as_ref());
        failure
    }

    /// Bytes that all realms hold together.
    pub fn memory_used(&self) -> usize {
        self.live.as_ref().map_or(0, |live| live.machine.tools.meter.used())
    }

    /// The most bytes that all realms have held at a time.
    pub fn memory_peak(&self) -> usize {
        self.live.as_ref().map_or(0, |live| live.machine.tools.meter.peak()).max(self.peak)
    }

    fn take_live(&mut self) -> Result<Live, Failure> {
        match self.live.take() {
            Some(live) => Ok(live),
            None => {
                let machine = Machine::new(self.host.clone(), self.limits)?;
                Ok(Live { realms: HashMap::new(), machine })
            }
        }
    }

    /// Keeps the runtime for the next call, unless this one's failure has shaken it, or a realm has
    /// ended and left jobs in the queue: they would run in the next plugin's call, in a context that
    /// may be gone.
    fn put_back(&mut self, live: Live, failure: Option<&Failure>) {
        let Machine { runtime, tools } = &live.machine;
        tools.watch.disarm();
        tools.abandon();
        self.peak = self.peak.max(tools.meter.peak());
        let shaken = failure.is_some_and(|failure| failure.kind.ends_the_runtime());
        if !shaken && !runtime.is_job_pending() {
            self.live = Some(live);
        }
    }
}

impl Live {
    /// Loads the program's realm, and sets it up if it processes events.
    fn prepare(&mut self, program: &Rc<Program>) -> Result<(), Failure> {
        self.in_realm(program, |_, _, _| ())
    }

    /// Runs the program's `processEvent`, if it has one. Fails when its realm cannot be prepared.
    fn process_event(
        &mut self,
        program: &Rc<Program>,
        event: Given<'_>,
        begin: Instant,
    ) -> Result<Outcome, Failure> {
        self.in_realm(program, |realm, tools, was_ready| {
            if realm.processes_events() {
                let begin = if was_ready { begin } else { Instant::now() };
                realm.process_event(event, tools, begin)
            } else {
                Outcome::skipped(realm.consumes_events())
            }
        })
    }

    /// Tells `work` whether the realm was set up before.
    fn in_realm<T>(
        &mut self,
        program: &Rc<Program>,
        work: impl FnOnce(&Realm, &Tools, bool) -> T,
    ) -> Result<T, Failure> {
        let Live { realms, machine } = self;
        machine.watch_room();
        let realm = match realms.entry(program.id) {
            Entry::Occupied(realm) => realm.into_mut(),
            Entry::Vacant(place) => {
                machine.make_room_for_a_realm();
                place.insert(Realm::load(machine, program)?)
            }
        };
        let was_ready = realm.is_ready();
        if realm.processes_events()
            && let Err(failure) = realm.set_up(&machine.tools)
        {
            realms.remove(&program.id);
            return Err(failure);
        }
        Ok(work(realm, &machine.tools, was_ready))
    }
}
