//! The engine of one backend: a runtime that is built when first needed and thrown away when a
//! limit struck, and the realms in it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::time::Instant;

use rquickjs::{Context, Ctx, Runtime, Value, qjs};

use crate::allocator::{Meter, Metered};
use crate::failure::{Failure, FailureKind};
use crate::globals::script::{self, Compiled};
use crate::globals::{Rejections, Requests};
use crate::host::Host;
use crate::limits::Limits;
use crate::pauses::Pauses;
use crate::program::Program;
use crate::realm::Realm;
use crate::timers::Timers;
use crate::value::Views;
use crate::watch::Watch;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The plugin has no `processEvent`, or left the event as it was.
    Unchanged,
    /// The event as jsonb.
    Changed(Vec<u8>),
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
    machine: Option<Machine>,
    pauses: Pauses,
    /// The most memory that runtimes before this one held at a time.
    peak: usize,
}

/// A runtime and what lives in it. Realms go first: their values need the runtime.
struct Machine {
    realms: HashMap<i32, Realm>,
    runtime: Runtime,
    tools: Tools,
}

/// So much more may be allocated before garbage is collected again. Nothing in a new realm is garbage,
/// and going through all there are takes a millisecond in the midst of a session's first event.
const ROOM_FOR_A_REALM: usize = 1 << 20;

/// What every call into a runtime needs besides the realm.
pub(crate) struct Tools {
    pub(crate) host: Rc<dyn Host>,
    pub(crate) watch: Rc<Watch>,
    pub(crate) meter: Rc<Meter>,
    pub(crate) limits: Limits,
    pub(crate) rejections: Rejections,
    pub(crate) requests: Rc<Requests>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) views: Rc<Views>,
}

impl Engine {
    /// An engine that has not allocated anything yet.
    pub fn new(host: Rc<dyn Host>) -> Self {
        Engine {
            host,
            limits: Limits::default(),
            machine: None,
            pauses: Pauses::default(),
            peak: 0,
        }
    }

    /// Applies limits from the next call on, also to live realms.
    pub fn set_limits(&mut self, limits: Limits) {
        if self.limits == limits {
            return;
        }
        self.limits = limits;
        if let Some(machine) = &mut self.machine {
            machine.apply(limits);
        }
    }

    /// Runs the program's `processEvent` on an event given as jsonb.
    pub fn process_event(&mut self, program: &Rc<Program>, event: &[u8]) -> Outcome {
        self.process_event_from(program, event, Instant::now())
    }

    /// The same for a caller who has just looked at the clock: its time runs from `begin`, unless
    /// the program has to be set up first.
    pub fn process_event_from(
        &mut self,
        program: &Rc<Program>,
        event: &[u8],
        begin: Instant,
    ) -> Outcome {
        if let Some(failure) = self.pauses.running(program.id) {
            return Outcome::failed(failure.clone());
        }
        // Taken out for the call: a panic on the way drops it instead of leaving it half-used.
        let mut machine = match self.take_machine() {
            Ok(machine) => machine,
            Err(failure) => return Outcome::failed(failure),
        };
        let id = program.id;
        let outcome = match machine.process_event(program, event, begin) {
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
        self.put_back(machine, outcome.failure.as_ref());
        outcome
    }

    /// Loads the program and sets it up as its first event does. A failure shows again with that
    /// event.
    pub fn set_up(&mut self, program: &Rc<Program>) -> Result<(), Failure> {
        let mut machine = self.take_machine()?;
        let prepared = machine.prepare(program);
        self.put_back(machine, prepared.as_ref().err());
        prepared
    }

    /// Compiles a script without running it: what only the engine refuses, such as an invalid
    /// regular expression, is refused at install.
    pub fn check(&mut self, script: &str, script_name: &str) -> Result<(), Failure> {
        let machine = self.take_machine()?;
        let checked = Realm::check(&machine.runtime, script, script_name, &machine.tools);
        self.put_back(machine, checked.as_ref().err());
        checked
    }

    /// Whether the program has a live realm.
    pub fn has_realm(&self, id: i32) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.realms.contains_key(&id))
    }

    /// Calls `teardownPlugin` where the realm was set up, and removes the realm.
    pub fn tear_down(&mut self, id: i32) -> Option<Failure> {
        self.pauses.forget(id);
        let mut machine = self.machine.take()?;
        let failure = machine.realms.remove(&id).and_then(|realm| realm.tear_down(&machine.tools));
        machine.tools.abandon();
        // A realm is full of cycles; its memory is wanted now, not at the next threshold.
        machine.runtime.run_gc();
        self.put_back(machine, failure.as_ref());
        failure
    }

    /// Bytes that all realms hold together.
    pub fn memory_used(&self) -> usize {
        self.machine.as_ref().map_or(0, |machine| machine.tools.meter.used())
    }

    /// The most bytes that all realms have held at a time.
    pub fn memory_peak(&self) -> usize {
        self.machine.as_ref().map_or(0, |machine| machine.tools.meter.peak()).max(self.peak)
    }

    fn take_machine(&mut self) -> Result<Machine, Failure> {
        match self.machine.take() {
            Some(machine) => Ok(machine),
            None => Machine::new(self.host.clone(), self.limits),
        }
    }

    /// Keeps the runtime for the next call, unless this one's failure has shaken it, or a realm has
    /// ended and left jobs in the queue: they would run in the next plugin's call, in a context that
    /// may be gone.
    fn put_back(&mut self, machine: Machine, failure: Option<&Failure>) {
        machine.tools.watch.disarm();
        machine.tools.abandon();
        self.peak = self.peak.max(machine.tools.meter.peak());
        let shaken = failure.is_some_and(|failure| failure.kind.ends_the_runtime());
        if !shaken && !machine.runtime.is_job_pending() {
            self.machine = Some(machine);
        }
    }
}

/// They hold what belongs to the runtime.
impl Drop for Machine {
    fn drop(&mut self) {
        self.tools.abandon();
        self.tools.rejections.take();
        self.tools.views.clear();
    }
}

impl Machine {
    fn new(host: Rc<dyn Host>, limits: Limits) -> Result<Self, Failure> {
        let watch = Watch::new(host.clone());
        let meter = Meter::new(limits.memory, watch.clone());
        let allocator = Metered(meter.clone());
        let runtime = meter.while_building(|| Runtime::new_with_alloc(allocator));
        let runtime = runtime.map_err(|_| no_memory())?;
        let (polled, metered) = (watch.clone(), meter.clone());
        runtime.set_interrupt_handler(Some(Box::new(move || {
            let stop = polled.must_stop();
            if stop {
                metered.grant_an_error();
            }
            stop
        })));
        let rejections = Rejections::track(&runtime);
        let requests = Requests::new(host.clone());
        let timers = Rc::new(Timers::default());
        let views = Views::new(meter.clone());
        let tools = Tools { host, watch, meter, limits, rejections, requests, timers, views };
        let mut machine = Machine { realms: HashMap::new(), runtime, tools };
        machine.apply(limits);
        Ok(machine)
    }

    fn apply(&mut self, limits: Limits) {
        self.tools.limits = limits;
        self.tools.meter.set_limit(limits.memory);
        self.runtime.set_max_stack_size(limits.stack);
    }

    /// Loads the program's realm, and sets it up if it processes events.
    fn prepare(&mut self, program: &Rc<Program>) -> Result<(), Failure> {
        self.in_realm(program, |_, _, _| ())
    }

    /// Runs the program's `processEvent`, if it has one. Fails when its realm cannot be prepared.
    fn process_event(
        &mut self,
        program: &Rc<Program>,
        event: &[u8],
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
        let (used, limit) = (self.tools.meter.used(), self.tools.limits.memory);
        if used > limit / 2 {
            // Of itself QuickJS would wait for half as much again, which the limit does not have.
            self.runtime.set_gc_threshold(used + limit.saturating_sub(used) / 2);
        }
        let realm = match self.realms.entry(program.id) {
            Entry::Occupied(realm) => realm.into_mut(),
            Entry::Vacant(place) => {
                self.runtime.set_gc_threshold(self.tools.meter.used() + ROOM_FOR_A_REALM);
                place.insert(Realm::load(&self.runtime, program, &self.tools)?)
            }
        };
        let was_ready = realm.is_ready();
        if realm.processes_events()
            && let Err(failure) = realm.set_up(&self.tools)
        {
            self.realms.remove(&program.id);
            return Err(failure);
        }
        Ok(work(realm, &self.tools, was_ready))
    }
}

impl Tools {
    /// Begins a call: its time runs from here.
    pub(crate) fn begin(&self, begin: Instant) {
        self.meter.forgive();
        self.rejections.take();
        self.timers.open();
        self.watch.arm(begin, self.limits.call);
    }

    /// Ends what a call has left behind.
    fn abandon(&self) {
        self.requests.abandon();
        self.timers.abandon();
    }

    /// Begins a call in a context, and tells QuickJS where its stack begins: a backend enters at
    /// any depth.
    pub(crate) fn enter(&self, ctx: &Ctx<'_>) {
        self.enter_at(ctx, Instant::now());
    }

    /// The same; the call began just now.
    pub(crate) fn enter_at(&self, ctx: &Ctx<'_>, begin: Instant) {
        // SAFETY: the runtime is alive while a context of it is.
        unsafe { qjs::JS_UpdateStackTop(qjs::JS_GetRuntime(ctx.as_raw().as_ptr())) };
        self.begin(begin);
    }

    /// What the pending exception, or the limit that struck, came to.
    pub(crate) fn failure(&self, ctx: &Ctx<'_>) -> Failure {
        Failure::pending(ctx, &self.watch, &self.meter)
    }

    /// Compiles a script. Its length was bounded when it was installed.
    pub(crate) fn compile<'js>(
        &self,
        ctx: &Ctx<'js>,
        script: &str,
        name: &str,
    ) -> Result<Compiled<'js>, Failure> {
        let compiled = self.meter.while_building(|| script::compile(ctx, script, name));
        let compiled = compiled.map_err(|_| self.failure(ctx))?;
        if self.meter.is_exhausted() { Err(Failure::out_of_memory()) } else { Ok(compiled) }
    }

    /// Runs a script of the engine's own in the plugin's global scope.
    pub(crate) fn run<'js>(&self, ctx: &Ctx<'js>, script: &str) -> Result<Value<'js>, Failure> {
        let compiled = self.compile(ctx, script, "posthog_plugins")?;
        script::execute(ctx, compiled).map_err(|_| self.failure(ctx))
    }

    /// A new context in the runtime.
    pub(crate) fn context(&self, runtime: &Runtime) -> Result<Context, Failure> {
        let context = self.meter.while_building(|| Context::full(runtime));
        context.ok().filter(|_| !self.meter.is_exhausted()).ok_or_else(no_memory)
    }
}

fn no_memory() -> Failure {
    Failure::new(FailureKind::OutOfMemory, "there is no memory left for another realm")
}
