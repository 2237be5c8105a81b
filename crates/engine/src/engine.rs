//! The engine of one backend: a runtime that is built when first needed and thrown away when a
//! limit struck, and the realms in it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rquickjs::{Context, Ctx, Runtime, qjs};

use crate::allocator::{Meter, Metered};
use crate::failure::{Failure, FailureKind};
use crate::globals::Rejections;
use crate::globals::script::{self, Compiled};
use crate::host::Host;
use crate::limits::Limits;
use crate::program::Program;
use crate::realm::Realm;
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
    pauses: HashMap<i32, Pause>,
}

/// A runtime and what lives in it. Realms go first: their values need the runtime.
struct Machine {
    realms: HashMap<i32, Realm>,
    runtime: Runtime,
    tools: Tools,
}

/// What every call into a runtime needs besides the realm.
pub(crate) struct Tools {
    pub(crate) host: Rc<dyn Host>,
    pub(crate) watch: Rc<Watch>,
    pub(crate) meter: Rc<Meter>,
    pub(crate) limits: Limits,
    pub(crate) rejections: Rejections,
}

/// A config that is not called before `until`: it could not be loaded, or used up its limits
/// [`STRIKES`] times in a row.
struct Pause {
    strikes: u32,
    length: Duration,
    until: Option<Instant>,
    failure: Failure,
}

/// Three: once may be the machine, twice a bad event. A plugin that runs into its limits on every
/// event would otherwise hold up every insert for the whole time limit.
const STRIKES: u32 = 3;

/// PostHog's first wait before it sets a plugin up again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// Long enough to cost nothing, short enough that what was broken outside heals by itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

impl Engine {
    /// An engine that has not allocated anything yet.
    pub fn new(host: Rc<dyn Host>) -> Self {
        Engine { host, limits: Limits::default(), machine: None, pauses: HashMap::new() }
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
    pub fn process_event(&mut self, program: &Program, event: &[u8]) -> Outcome {
        if let Some(failure) = self.paused(program.id) {
            return Outcome::failed(failure);
        }
        // Taken out for the call: a panic on the way drops it instead of leaving it half-used.
        let mut machine = match self.take_machine() {
            Ok(machine) => machine,
            Err(failure) => return Outcome::failed(failure),
        };
        let outcome = match machine.prepare(program) {
            Ok(()) => machine.process_event(program.id, event),
            Err(failure) => {
                self.pause(program.id, &failure);
                Outcome::failed(failure)
            }
        };
        self.put_back(machine, program.id, outcome.failure.as_ref());
        outcome
    }

    /// Compiles a script without running it: what only the engine refuses, such as an invalid
    /// regular expression, is refused at install.
    pub fn check(&mut self, script: &str, script_name: &str) -> Result<(), Failure> {
        let machine = self.take_machine()?;
        let checked = Realm::check(&machine.runtime, script, script_name, &machine.tools);
        machine.tools.watch.disarm();
        if !checked.as_ref().is_err_and(|failure| failure.kind.ends_the_runtime()) {
            self.machine = Some(machine);
        }
        checked
    }

    /// Whether the program has a live realm.
    pub fn has_realm(&self, id: i32) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.realms.contains_key(&id))
    }

    /// Calls `teardownPlugin` where the realm was set up, and removes the realm.
    pub fn tear_down(&mut self, id: i32) -> Option<Failure> {
        self.pauses.remove(&id);
        let mut machine = self.machine.take()?;
        let failure = machine.realms.remove(&id).and_then(|realm| realm.tear_down(&machine.tools));
        // A realm is full of cycles; its memory is wanted now, not at the next threshold.
        machine.runtime.run_gc();
        machine.tools.watch.disarm();
        if !failure.as_ref().is_some_and(|failure| failure.kind.ends_the_runtime()) {
            self.machine = Some(machine);
        }
        failure
    }

    /// Bytes that all realms hold together.
    pub fn memory_used(&self) -> usize {
        self.machine.as_ref().map_or(0, |machine| machine.tools.meter.used())
    }

    fn take_machine(&mut self) -> Result<Machine, Failure> {
        match self.machine.take() {
            Some(machine) => Ok(machine),
            None => Machine::new(self.host.clone(), self.limits),
        }
    }

    fn put_back(&mut self, machine: Machine, id: i32, failure: Option<&Failure>) {
        match failure {
            Some(failure) if failure.kind.ends_the_runtime() => {
                drop(machine);
                // The host's interrupts are not the plugin's fault.
                if failure.kind != FailureKind::Interrupted {
                    self.strike(id, failure);
                }
            }
            _ => {
                machine.tools.watch.disarm();
                self.machine = Some(machine);
                if failure.is_none() {
                    self.pauses.remove(&id);
                }
            }
        }
    }

    fn paused(&self, id: i32) -> Option<Failure> {
        let pause = self.pauses.get(&id)?;
        pause.until.is_some_and(|until| Instant::now() < until).then(|| pause.failure.clone())
    }

    /// Counts a call that ran into a limit; enough of them pause the config.
    fn strike(&mut self, id: i32, failure: &Failure) {
        let strikes = self.pauses.get(&id).map_or(0, |pause| pause.strikes) + 1;
        if strikes >= STRIKES {
            let suspended = Failure::new(
                FailureKind::Suspended,
                format!("not called for a while, because {strikes} calls failed: {failure}"),
            );
            self.pause(id, &suspended);
        } else if !self.pauses.contains_key(&id) {
            let pause =
                Pause { strikes, length: FIRST_PAUSE, until: None, failure: failure.clone() };
            self.pauses.insert(id, pause);
        }
        if let Some(pause) = self.pauses.get_mut(&id) {
            pause.strikes = strikes;
        }
    }

    fn pause(&mut self, id: i32, failure: &Failure) {
        if failure.kind == FailureKind::Interrupted {
            return;
        }
        let length = match self.pauses.get(&id) {
            Some(Pause { until: Some(_), length, .. }) => (*length * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        let strikes = self.pauses.get(&id).map_or(0, |pause| pause.strikes);
        let until = Instant::now().checked_add(length);
        self.pauses.insert(id, Pause { strikes, length, until, failure: failure.clone() });
    }
}

impl Machine {
    fn new(host: Rc<dyn Host>, limits: Limits) -> Result<Self, Failure> {
        let watch = Watch::new(host.clone());
        let meter = Meter::new(limits.memory, watch.clone());
        let allocator = Metered(meter.clone());
        let runtime = meter.while_building(|| Runtime::new_with_alloc(allocator));
        let runtime = runtime.map_err(|_| no_memory())?;
        let polled = watch.clone();
        runtime.set_interrupt_handler(Some(Box::new(move || polled.must_stop())));
        let rejections = Rejections::track(&runtime);
        let tools = Tools { host, watch, meter, limits, rejections };
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
    fn prepare(&mut self, program: &Program) -> Result<(), Failure> {
        let realm = match self.realms.entry(program.id) {
            Entry::Occupied(realm) => realm.into_mut(),
            Entry::Vacant(place) => place.insert(Realm::load(&self.runtime, program, &self.tools)?),
        };
        if !realm.processes_events() {
            return Ok(());
        }
        let set_up = realm.set_up(&self.tools);
        if set_up.is_err() {
            self.realms.remove(&program.id);
        }
        set_up
    }

    fn process_event(&self, id: i32, event: &[u8]) -> Outcome {
        match self.realms.get(&id) {
            Some(realm) if realm.processes_events() => realm.process_event(event, &self.tools),
            realm => Outcome::skipped(realm.is_some_and(Realm::consumes_events)),
        }
    }
}

impl Tools {
    /// Begins a call: its time runs from here.
    pub(crate) fn begin(&self) {
        self.meter.forgive();
        self.rejections.take();
        self.watch.arm(self.limits.call);
    }

    /// Begins a call in a context, and tells QuickJS where its stack begins: a backend enters at
    /// any depth.
    pub(crate) fn enter(&self, ctx: &Ctx<'_>) {
        // SAFETY: the runtime is alive while a context of it is.
        unsafe { qjs::JS_UpdateStackTop(qjs::JS_GetRuntime(ctx.as_raw().as_ptr())) };
        self.begin();
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

    /// A new context in the runtime.
    pub(crate) fn context(&self, runtime: &Runtime) -> Result<Context, Failure> {
        let context = self.meter.while_building(|| Context::full(runtime));
        context.ok().filter(|_| !self.meter.is_exhausted()).ok_or_else(no_memory)
    }
}

fn no_memory() -> Failure {
    Failure::new(FailureKind::OutOfMemory, "there is no memory left for another realm")
}
