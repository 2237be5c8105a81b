//! A runtime under limits: what meters it, what watches it, and what ends the leftovers of its calls.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use rquickjs::{Context, Ctx, Runtime, Value, qjs};

use crate::allocator::{Meter, Metered};
use crate::failure::{Failure, FailureKind};
use crate::globals::script::{self, Compiled};
use crate::globals::{Rejections, Requests};
use crate::host::{Cause, Host};
use crate::limits::Limits;
use crate::timers::Timers;
use crate::value::Views;
use crate::watch::Watch;

/// A runtime and what works on it. The worlds in it have to go before it does.
pub(crate) struct Machine {
    pub(crate) runtime: Runtime,
    pub(crate) tools: Tools,
}

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
    /// What the running JavaScript belongs to.
    pub(crate) course: Rc<Cell<Course>>,
}

/// In whose course something happens: requests and timers belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Course {
    pub(crate) of: Of,
    /// Outlives the call: what it has set going and nobody waits for is of the same cause.
    pub(crate) cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Of {
    /// Of the only call there is, or of none in particular.
    #[default]
    Any,
    Call(u64),
    /// Of a call whose time is up: it can clean up, but not begin anything.
    Over,
}

impl Course {
    /// The same for what goes on after its call.
    pub(crate) fn of(self, of: Of) -> Self {
        Course { of, ..self }
    }
}

/// So much more may be allocated before garbage is collected again. Nothing in a new realm is garbage,
/// and going through all there are takes a millisecond in the midst of a session's first event.
const ROOM_FOR_A_REALM: usize = 1 << 20;

impl Machine {
    pub(crate) fn new(host: Rc<dyn Host>, limits: Limits) -> Result<Self, Failure> {
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
        let course = Rc::<Cell<Course>>::default();
        let requests = Requests::new(host.clone(), course.clone());
        let timers = Rc::new(Timers::new(course.clone()));
        let views = Views::new(meter.clone());
        let tools =
            Tools { host, watch, meter, limits, rejections, requests, timers, views, course };
        let mut machine = Machine { runtime, tools };
        machine.apply(limits);
        Ok(machine)
    }

    pub(crate) fn apply(&mut self, limits: Limits) {
        self.tools.limits = limits;
        self.tools.meter.set_limit(limits.memory);
        self.runtime.set_max_stack_size(limits.stack);
    }

    /// Has garbage collected while there is room for it: of itself QuickJS would wait for half as much
    /// again, which the limit does not have.
    pub(crate) fn watch_room(&self) {
        let (used, limit) = (self.tools.meter.used(), self.tools.limits.memory);
        if used > limit / 2 {
            self.runtime.set_gc_threshold(used + limit.saturating_sub(used) / 2);
        }
    }

    /// Lets a realm be made without collecting garbage in between.
    pub(crate) fn make_room_for_a_realm(&self) {
        self.runtime.set_gc_threshold(self.tools.meter.used() + ROOM_FOR_A_REALM);
    }

    /// A new context in the runtime.
    pub(crate) fn context(&self) -> Result<Context, Failure> {
        let meter = &self.tools.meter;
        let context = meter.while_building(|| Context::full(&self.runtime));
        context.ok().filter(|_| !meter.is_exhausted()).ok_or_else(no_memory)
    }

    /// Compiles a script in a context of its own, which ends with it.
    pub(crate) fn check(&self, script: &str, script_name: &str) -> Result<(), Failure> {
        self.context()?.with(|ctx| {
            self.tools.enter(&ctx);
            self.tools.compile(&ctx, script, script_name).map(drop)
        })
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

impl Tools {
    /// Begins a call: its time runs from here.
    fn begin(&self, begin: Instant) {
        self.meter.forgive();
        self.rejections.take();
        self.timers.open();
        self.watch.arm(begin, self.limits.call);
    }

    /// Ends what a call has left behind.
    pub(crate) fn abandon(&self) {
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

    /// Goes on with what has waited: a part of a call that has a time of its own.
    pub(crate) fn reenter(&self, ctx: &Ctx<'_>) {
        // SAFETY: the runtime is alive while a context of it is.
        unsafe { qjs::JS_UpdateStackTop(qjs::JS_GetRuntime(ctx.as_raw().as_ptr())) };
        self.meter.forgive();
        self.watch.rearm(Instant::now(), self.limits.call);
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
}

fn no_memory() -> Failure {
    Failure::new(FailureKind::OutOfMemory, "there is no memory left for another realm")
}
