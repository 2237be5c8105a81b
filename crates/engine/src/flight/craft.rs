//! What carries the calls: a runtime with one realm in it. JavaScript runs in slices: what begins a call,
//! rings a timer or brings an answer, with all the jobs that follow of it at once. The time limit of the
//! engine is that of a slice, and what goes wrong in one belongs to the call in whose course it ran.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rquickjs::function::Rest;
use rquickjs::promise::PromiseState;
use rquickjs::{Ctx, Function, Persistent, Result as JsResult, Value};

use super::answer;
use super::call::{Call, Expects, Return};
use super::calls::Calls;
use super::shapes::Shapes;
use crate::call::{is_thenable, run_jobs};
use crate::capabilities::METHODS;
use crate::exports::{Exports, Kept};
use crate::failure::{Failure, FailureKind};
use crate::fields::Given;
use crate::globals;
use crate::host::Host;
use crate::http::Answer;
use crate::limits::Limits;
use crate::machine::{Course, Machine, Of, Tools};
use crate::program::Program;
use crate::value::Lent;
use crate::world::World;

/// After so long a turn ends with work left, for the other flights of whoever steers this one.
const LONGEST_TURN: Duration = Duration::from_millis(10);

/// Fields in this order: values go before the world they live in, and that before its runtime.
pub(super) struct Craft {
    functions: Functions,
    shapes: Shapes,
    /// `await.js`
    wait: Kept,
    settled: Rc<Settled>,
    world: World,
    machine: Machine,
    ready: bool,
    /// Bytes in use when garbage was last collected for want of room.
    collected: Cell<usize>,
}

/// What the plugin exports, by name.
struct Functions {
    methods: HashMap<&'static str, Kept>,
    jobs: BTreeMap<String, Kept>,
    schedules: BTreeMap<String, Kept>,
}

/// How promises ended, by the number of the call.
type Settled = RefCell<Vec<(u64, std::result::Result<Held, Held>)>>;

type Held = Persistent<Value<'static>>;

/// Fails when a limit struck, or the plugin cannot be set up: then nothing in the runtime goes on.
type Flown<T = ()> = std::result::Result<T, Failure>;

impl Craft {
    /// Makes the realm and runs the script. What that leaves under way goes on beside the calls.
    pub(super) fn load(host: Rc<dyn Host>, program: &Rc<Program>, limits: Limits) -> Flown<Self> {
        let machine = Machine::new(host, limits)?;
        machine.make_room_for_a_realm();
        let tools = &machine.tools;
        let world = World::make(&machine, program)?;
        let settled = Rc::<Settled>::default();
        let (shapes, wait) = world.context.with(|ctx| {
            let made = Shapes::make(&ctx).and_then(|shapes| Ok((shapes, waiter(&ctx, &settled)?)));
            made.map_err(|_| tools.failure(&ctx).while_loading(program))
        })?;
        let functions = world.run(tools, run_jobs, Functions::find)?;
        let (ready, collected) = (false, Cell::new(0));
        let craft = Craft { functions, shapes, wait, settled, world, machine, ready, collected };
        craft.tell_rejections();
        craft.machine.tools.watch.disarm();
        Ok(craft)
    }

    /// Whether `setupPlugin` has done well.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    pub(super) fn tools(&self) -> &Tools {
        &self.machine.tools
    }

    /// Begins to set the plugin up.
    pub(super) fn begin_set_up(&self, calls: &mut Calls, begin: Instant, time: Duration) -> Flown {
        self.begin_hook(calls, "setupPlugin", Expects::SetUp, begin, time).map(drop)
    }

    /// Begins to tear the plugin down; none if there is nothing to be done for that.
    pub(super) fn tear_down(&self, calls: &mut Calls, time: Duration) -> Flown<Option<u64>> {
        if !self.functions.methods.contains_key("teardownPlugin") {
            return Ok(None);
        }
        let begin = Instant::now();
        self.begin_hook(calls, "teardownPlugin", Expects::TearDown, begin, time).map(Some)
    }

    fn begin_hook(
        &self,
        calls: &mut Calls,
        name: &'static str,
        expects: Expects,
        begin: Instant,
        time: Duration,
    ) -> Flown<u64> {
        let number = calls.add_hook(name, expects, begin, time);
        match self.functions.methods.get(name) {
            Some(function) => {
                self.begin_slice(calls, number, |ctx| self.call(ctx, number, function, Vec::new()))?
            }
            None => calls.end(number, Ok(Return::Nothing)),
        }
        Ok(number)
    }

    /// Makes a call that waits to be made.
    pub(super) fn start(&self, calls: &mut Calls, number: u64) -> Flown {
        let Some(call) = calls.take_call(number) else { return Ok(()) };
        let Some(function) = self.functions.of(&call) else {
            let message = format!("the plugin has no {}", call.name());
            calls.end(number, Err(Failure::new(FailureKind::NotFound, message)));
            return Ok(());
        };
        let Tools { views, limits, .. } = self.tools();
        let lent: Vec<Lent<'_>> = call
            .documents()
            .into_iter()
            .map(|document| Lent::new(views, Given::Whole(document)))
            .collect();
        let flown = self.begin_slice(calls, number, |ctx| {
            let documents = lent.iter().map(|document| views.event(ctx, document, limits));
            let documents = documents.collect::<JsResult<_>>()?;
            let arguments = self.shapes.arguments(ctx, &call, documents)?;
            self.call(ctx, number, function, arguments)
        });
        // What is still in use of them is copied now.
        let mut kept = true;
        for document in lent {
            kept &= document.end();
        }
        flown?;
        if kept {
            return Ok(());
        }
        Err(self.lose(calls, calls.course(number), Failure::out_of_memory()))
    }

    /// Runs what can be run now; whether there is more.
    pub(super) fn turn(&mut self, calls: &mut Calls) -> Flown<bool> {
        let end = Instant::now() + LONGEST_TURN;
        loop {
            // What is set or sent from here on is for the next round, so that nothing is left waiting
            // by what always begins anew.
            let round = Instant::now();
            let mut idle = self.end_overdue(calls, round)?;
            while let Some((ring, course)) = self.tools().timers.due(round) {
                idle = false;
                self.slice(calls, course, |ctx| ring.restore(ctx)?.call::<_, ()>(()))?;
                if Instant::now() >= end {
                    break;
                }
            }
            while self.tools().requests.are_under_way()
                && let Some(answer) = self.tools().host.next_answer(Some(round))
            {
                idle = false;
                self.settle_request(calls, answer, None)?;
                if Instant::now() >= end {
                    break;
                }
            }
            self.proceed(calls)?;
            self.collect_garbage();
            if idle {
                return Ok(false);
            }
            if Instant::now() >= end {
                return Ok(true);
            }
        }
    }

    /// Makes room when half of the memory is in use: nobody begins calls then, so that the engine would
    /// not come to it. Not before there can be much garbage again.
    fn collect_garbage(&self) {
        let Tools { meter, limits, .. } = self.tools();
        if meter.used() > (limits.memory / 2).max(self.collected.get() / 4 * 5) {
            self.machine.runtime.run_gc();
            self.collected.set(meter.used());
        }
    }

    /// Ends the calls whose time is up; true if there were none.
    fn end_overdue(&self, calls: &mut Calls, now: Instant) -> Flown<bool> {
        let overdue = calls.end_overdue(now);
        if overdue.is_empty() {
            return Ok(true);
        }
        // Told that they failed, so that what the calls hold is given back.
        let is_over = |number| overdue.binary_search(&number).is_ok();
        for answer in self.tools().requests.end(is_over) {
            self.settle_request(calls, answer, Some(Of::Over))?;
        }
        Ok(false)
    }

    fn settle_request(&self, calls: &mut Calls, answer: Answer, of: Option<Of>) -> Flown {
        // The plugin may have lost interest in it.
        let Some(sender) = self.tools().requests.course_of(answer.request) else { return Ok(()) };
        let requests = &self.tools().requests;
        self.slice(calls, sender.of(of.unwrap_or(sender.of)), |ctx| requests.settle(ctx, answer))
    }

    /// Goes on once `setupPlugin` has ended, with the calls that wait for it.
    pub(super) fn proceed(&mut self, calls: &mut Calls) -> Flown {
        match calls.take_set_up() {
            None => return Ok(()),
            Some(Err(failure)) => return Err(failure),
            Some(Ok(())) => self.ready = true,
        }
        for number in calls.waiting() {
            self.start(calls, number)?;
        }
        Ok(())
    }

    /// Calls a function, and has what it returns waited for.
    fn call<'js>(
        &self,
        ctx: &Ctx<'js>,
        number: u64,
        function: &Kept,
        mut arguments: Vec<Value<'js>>,
    ) -> JsResult<()> {
        arguments.push(self.world.meta(ctx)?.into_value());
        let function = function.clone().restore(ctx)?;
        let returned: Value<'js> = function.call((Rest(arguments),))?;
        let settled = match returned.as_promise() {
            Some(promise) if promise.state() == PromiseState::Resolved => {
                promise.result().unwrap_or(Err(rquickjs::Error::Unknown))?
            }
            None if !is_thenable(&returned, self.tools())? => returned,
            _ => {
                let wait = self.wait.clone().restore(ctx)?;
                return wait.call((number, returned));
            }
        };
        self.settled.borrow_mut().push((number, Ok(Persistent::save(ctx, settled))));
        Ok(())
    }

    /// A slice in which a call begins.
    fn begin_slice(
        &self,
        calls: &mut Calls,
        number: u64,
        work: impl for<'js> FnOnce(&Ctx<'js>) -> JsResult<()>,
    ) -> Flown {
        self.fly(calls, calls.course(number), work, Tools::enter)
    }

    /// A slice in which something goes on.
    fn slice(
        &self,
        calls: &mut Calls,
        course: Course,
        work: impl for<'js> FnOnce(&Ctx<'js>) -> JsResult<()>,
    ) -> Flown {
        // Of a call that has ended, what goes on belongs to nobody.
        let course = match course.of {
            Of::Call(number) if calls.expects(number).is_none() => course.of(Of::Any),
            _ => course,
        };
        self.fly(calls, course, work, Tools::reenter)
    }

    fn fly(
        &self,
        calls: &mut Calls,
        course: Course,
        work: impl for<'js> FnOnce(&Ctx<'js>) -> JsResult<()>,
        enter: fn(&Tools, &Ctx<'_>),
    ) -> Flown {
        let tools = self.tools();
        self.machine.watch_room();
        tools.course.set(course);
        let flown = self.world.context.with(|ctx| {
            enter(tools, &ctx);
            if work(&ctx).is_err() {
                let failure = tools.failure(&ctx);
                self.struck()?;
                self.fail(calls, course, failure);
            }
            loop {
                run_jobs(&ctx, tools)?;
                let settled = self.settled.take();
                if settled.is_empty() {
                    break;
                }
                for (number, outcome) in settled {
                    self.land(&ctx, calls, number, outcome);
                }
            }
            self.struck()
        });
        self.tell_rejections();
        tools.course.set(Course::default());
        tools.watch.disarm();
        flown.map_err(|failure| self.lose(calls, course, failure))
    }

    /// The limit that struck, if one did. A refusal of memory can end a chain of promises without a word,
    /// so that a call would never end.
    fn struck(&self) -> Flown {
        let Tools { watch, meter, .. } = self.tools();
        match Failure::stopped(watch) {
            Some(failure) => Err(failure),
            None if meter.refused() => Err(Failure::out_of_memory()),
            None => Ok(()),
        }
    }

    /// Ends a call with what its promise came to.
    fn land(
        &self,
        ctx: &Ctx<'_>,
        calls: &mut Calls,
        number: u64,
        outcome: std::result::Result<Held, Held>,
    ) {
        // It may have ended for lack of time.
        let Some(expects) = calls.expects(number) else { return };
        let result = match outcome {
            Ok(value) => match value.restore(ctx) {
                Ok(value) => answer::read(ctx, self.tools(), expects, value),
                Err(_) => Err(self.tools().failure(ctx)),
            },
            Err(reason) => Err(match reason.restore(ctx) {
                Ok(reason) => Failure::of_thrown(ctx, &reason),
                Err(_) => self.tools().failure(ctx),
            }),
        };
        // After a limit struck, that is what the call failed of.
        if self.struck().is_ok() {
            let shown = |failure: Failure| failure.redacted(&self.world.program);
            calls.end(number, result.map_err(shown));
        }
    }

    /// Ends the call in whose course something failed.
    fn fail(&self, calls: &mut Calls, course: Course, failure: Failure) {
        match course.of {
            Of::Call(number) => calls.end(number, Err(failure.redacted(&self.world.program))),
            Of::Any | Of::Over => self.world.tell(self.tools(), "error", &failure),
        }
    }

    /// Ends the call that takes the runtime along. Whether it alone was too much is not known when
    /// others were under way.
    fn lose(&self, calls: &mut Calls, course: Course, failure: Failure) -> Failure {
        let retriable = failure.retriable || (self.ready && calls.len() > 1);
        let failure = Failure { retriable, ..failure }.redacted(&self.world.program);
        self.fail(calls, course, failure.clone());
        failure
    }

    fn tell_rejections(&self) {
        for rejection in self.tools().rejections.take_all() {
            self.world.tell(self.tools(), "unhandled rejection", &rejection);
        }
    }
}

/// The values in it belong to the runtime; a function of it holds the list as well.
impl Drop for Craft {
    fn drop(&mut self) {
        drop(self.settled.take());
    }
}

impl Functions {
    fn find(exports: &Exports<'_>) -> JsResult<Self> {
        let mut methods = HashMap::new();
        for name in METHODS {
            methods.extend(exports.function(name)?.map(|function| (name, function)));
        }
        Ok(Functions { methods, jobs: exports.jobs()?, schedules: exports.schedules()? })
    }

    fn of(&self, call: &Call) -> Option<&Kept> {
        match call {
            Call::Job { name, .. } => self.jobs.get(name),
            Call::Scheduled(schedule) => self.schedules.get(schedule.function()),
            _ => self.methods.get(&*call.name()),
        }
    }
}

/// The function that waits for a promise and says how it ended.
fn waiter(ctx: &Ctx<'_>, settled: &Rc<Settled>) -> JsResult<Kept> {
    fn settle<'js>(ctx: &Ctx<'js>, settled: Rc<Settled>) -> JsResult<Function<'js>> {
        let settle = move |ctx: Ctx<'js>, number: u64, well: bool, value: Value<'js>| {
            let value = Persistent::save(&ctx, value);
            settled.borrow_mut().push((number, if well { Ok(value) } else { Err(value) }));
        };
        Function::new(ctx.clone(), settle)
    }
    let make: Function<'_> = globals::run(ctx, include_str!("await.js"))?;
    let wait: Function<'_> = make.call((settle(ctx, settled.clone())?,))?;
    Ok(Persistent::save(ctx, wait))
}
