//! A realm: the JavaScript world of one config, from its script to its last call.

use std::rc::Rc;
use std::time::Instant;

use rquickjs::{Ctx, Value};

use crate::call::{call, drain};
use crate::engine::{Outcome, Verdict};
use crate::exports::{Exports, Kept};
use crate::failure::{Failure, FailureKind};
use crate::fields::Given;
use crate::machine::{Machine, Tools};
use crate::program::Program;
use crate::value::{self, Lent, Returned, Unrepresentable, is_falsy};
use crate::world::World;

/// Fields in this order: functions go before the world they live in.
pub(crate) struct Realm {
    functions: Functions,
    world: World,
    ready: bool,
}

/// What the plugin exports for the engine to call.
struct Functions {
    setup: Option<Kept>,
    teardown: Option<Kept>,
    process_event: Option<Kept>,
    /// Its argument and result are lists of one.
    process_event_batch: Option<Kept>,
    /// Whether there is an `onEvent` or `onSnapshot`.
    consume_events: bool,
}

impl Realm {
    /// Makes the global environment and runs the script in it.
    pub(crate) fn load(machine: &Machine, program: &Rc<Program>) -> Result<Self, Failure> {
        let world = World::make(machine, program)?;
        let functions = world.run(&machine.tools, drain, Functions::find)?;
        Ok(Realm { functions, world, ready: false })
    }

    pub(crate) fn processes_events(&self) -> bool {
        self.functions.process_event.is_some() || self.functions.process_event_batch.is_some()
    }

    pub(crate) fn consumes_events(&self) -> bool {
        self.functions.consume_events
    }

    /// Whether `setupPlugin` has run.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Runs `setupPlugin` once.
    pub(crate) fn set_up(&mut self, tools: &Tools) -> Result<(), Failure> {
        if !self.ready {
            self.run_hook(&self.functions.setup, tools)
                .map_err(|failure| failure.while_loading(&self.world.program))?;
            self.ready = true;
        }
        Ok(())
    }

    /// Runs `teardownPlugin` if the realm was in use, and ends the realm.
    pub(crate) fn tear_down(self, tools: &Tools) -> Option<Failure> {
        if !self.ready {
            return None;
        }
        self.run_hook(&self.functions.teardown, tools).err().map(|failure| self.redacted(failure))
    }

    fn run_hook(&self, hook: &Option<Kept>, tools: &Tools) -> Result<(), Failure> {
        let Some(hook) = hook else { return Ok(()) };
        self.world.context.with(|ctx| {
            tools.enter(&ctx);
            let failed = |_| tools.failure(&ctx);
            let hook = hook.clone().restore(&ctx).map_err(failed)?;
            let meta = self.world.meta(&ctx).map_err(failed)?;
            call(&ctx, &hook, (meta,), tools)?;
            drain(&ctx, tools)?;
            if let Some(rejection) = tools.rejections.take() {
                self.world.tell(tools, "unhandled rejection", &rejection);
            }
            Ok(())
        })
    }

    /// Runs `processEvent` on an event.
    pub(crate) fn process_event(&self, event: Given<'_>, tools: &Tools, begin: Instant) -> Outcome {
        self.world.context.with(|ctx| {
            tools.enter_at(&ctx, begin);
            let event = Lent::new(&tools.views, event);
            let (verdict, failure) = self.turn(&ctx, &event, tools);
            let late = drain(&ctx, tools).err();
            let late = if event.end() { late } else { late.or_else(|| Some(no_room(tools))) };
            // Memory that ran out in a floating promise looks like a rejection.
            let rejection = tools.rejections.take().map(|rejection| {
                if tools.meter.refused() { Failure::out_of_memory() } else { rejection }
            });
            // The first that went wrong explains the rest, unless the runtime is lost.
            let failure = match late {
                Some(late) if late.kind.ends_the_runtime() => Some(late),
                late => failure.or(late).or(rejection),
            };
            Outcome {
                ran: true,
                deferred: self.consumes_events(),
                verdict,
                failure: failure.map(|failure| self.redacted(failure)),
            }
        })
    }

    fn turn<'js>(
        &self,
        ctx: &Ctx<'js>,
        event: &Lent<'_>,
        tools: &Tools,
    ) -> (Verdict, Option<Failure>) {
        let given = match tools.views.event(ctx, event, &tools.limits) {
            Ok(given) => given,
            Err(_) => return (Verdict::Unchanged, Some(tools.failure(ctx))),
        };
        let answer = self.call_process_event(ctx, given.clone(), tools).and_then(|returned| {
            if is_falsy(&returned) {
                return Ok((Verdict::Discarded, None));
            }
            write_back(ctx, &returned, &given, event, tools)
        });
        let failure = match answer {
            Ok(turn) => return turn,
            Err(failure) => failure,
        };
        if failure.kind.ends_the_runtime() {
            return (Verdict::Unchanged, Some(failure));
        }
        // The event goes on as the plugin left it, if that is still an event.
        let left = write_back(ctx, &given, &given, event, tools);
        (left.map_or(Verdict::Unchanged, |(verdict, _)| verdict), Some(failure))
    }

    fn call_process_event<'js>(
        &self,
        ctx: &Ctx<'js>,
        event: Value<'js>,
        tools: &Tools,
    ) -> Result<Value<'js>, Failure> {
        let failed = |_| tools.failure(ctx);
        let meta = self.world.meta(ctx).map_err(failed)?;
        if let Some(function) = &self.functions.process_event {
            let function = function.clone().restore(ctx).map_err(failed)?;
            return call(ctx, &function, (event, meta), tools);
        }
        let Some(function) = &self.functions.process_event_batch else {
            return Ok(event);
        };
        let function = function.clone().restore(ctx).map_err(failed)?;
        let events = call(ctx, &function, (vec![event], meta), tools)?;
        match events.as_object() {
            Some(events) => events.get(0).map_err(failed),
            None => Ok(events),
        }
    }

    fn redacted(&self, failure: Failure) -> Failure {
        failure.redacted(&self.world.program)
    }
}

/// The event that `value` is, compared with the one that was given.
fn write_back<'js>(
    ctx: &Ctx<'js>,
    value: &Value<'js>,
    given: &Value<'js>,
    event: &Lent<'_>,
    tools: &Tools,
) -> Result<(Verdict, Option<Failure>), Failure> {
    let Tools { views, limits, watch, .. } = tools;
    let Returned { verdict, team_changed } =
        match value::write_event(ctx, value, given, event, views, limits, watch) {
            Ok(returned) => returned,
            Err(Unrepresentable::Exception) => return Err(tools.failure(ctx)),
            Err(Unrepresentable::Bad(why)) => {
                return Err(Failure::new(FailureKind::BadResult, why));
            }
        };
    let failure = team_changed.then(|| {
        let message = "IllegalOperationError: a plugin cannot change team_id";
        Failure::new(FailureKind::TeamChanged, message)
    });
    Ok((verdict, failure))
}

/// What a plugin keeps of its event could not be kept.
fn no_room(tools: &Tools) -> Failure {
    Failure::stopped(&tools.watch).unwrap_or_else(Failure::out_of_memory)
}

impl Functions {
    fn find(exports: &Exports<'_>) -> rquickjs::Result<Self> {
        let process_event = exports.function("processEvent")?;
        let process_event_batch = match process_event {
            Some(_) => None,
            None => exports.function("processEventBatch")?,
        };
        Ok(Functions {
            setup: exports.function("setupPlugin")?,
            teardown: exports.function("teardownPlugin")?,
            process_event,
            process_event_batch,
            consume_events: exports.function("onEvent")?.is_some()
                || exports.function("onSnapshot")?.is_some(),
        })
    }
}
