//! A realm: the JavaScript world of one config, from its script to its last call.

use std::rc::Rc;
use std::time::Instant;

use rquickjs::{Context, Ctx, Function, Object, Persistent, Runtime, Value};

use crate::call::{call, drain};
use crate::engine::{Outcome, Tools, Verdict};
use crate::failure::{Failure, FailureKind};
use crate::globals::{self, script};
use crate::host::{Level, LogLine};
use crate::meta::{self, Metrics};
use crate::program::Program;
use crate::value::{self, Lent, Returned, Unrepresentable};

type Kept<T> = Persistent<T>;

/// Fields in this order: values go before the context they live in.
pub(crate) struct Realm {
    functions: Functions,
    meta: Kept<Object<'static>>,
    context: Context,
    program: Rc<Program>,
    ready: bool,
}

/// What the plugin exports for the engine to call.
struct Functions {
    setup: Option<Kept<Function<'static>>>,
    teardown: Option<Kept<Function<'static>>>,
    process_event: Option<Kept<Function<'static>>>,
    /// Its argument and result are lists of one.
    process_event_batch: Option<Kept<Function<'static>>>,
    /// Whether there is an `onEvent` or `onSnapshot`.
    consume_events: bool,
}

impl Realm {
    /// Makes the global environment and runs the script in it.
    pub(crate) fn load(
        runtime: &Runtime,
        program: &Rc<Program>,
        tools: &Tools,
    ) -> Result<Self, Failure> {
        let context = tools.context(runtime)?;
        let loaded = context.with(|ctx| {
            tools.enter(&ctx);
            let failed = |_| tools.failure(&ctx);
            tools
                .meter
                .while_building(|| {
                    tools.views.install(&ctx)?;
                    globals::install(&ctx, program, tools)
                })
                .map_err(failed)?;
            let metrics = Rc::new(Metrics::default());
            let meta = meta::build(&ctx, program, tools, &metrics).map_err(failed)?;
            tools.run(&ctx, "const module = {exports: {}}; let exports = {};")?;
            let script = tools.compile(&ctx, &program.script, &program.script_name)?;
            script::execute(&ctx, script).map_err(failed)?;
            drain(&ctx, tools)?;
            let found = tools.run(&ctx, "({exports, module: module.exports})")?;
            let places = Places::of(&ctx, found).map_err(failed)?;
            if let Some(declared) = places.object("metrics").map_err(failed)? {
                metrics.declare(&ctx, &declared).map_err(failed)?;
            }
            let functions = Functions::find(&places).map_err(failed)?;
            Ok((functions, Persistent::save(&ctx, meta)))
        });
        match loaded {
            Ok((functions, meta)) => {
                let program = program.clone();
                Ok(Realm { functions, meta, context, program, ready: false })
            }
            Err(failure) => Err(not_loaded(failure, program)),
        }
    }

    /// Compiles a script in a context of its own, which ends with it.
    pub(crate) fn check(
        runtime: &Runtime,
        script: &str,
        script_name: &str,
        tools: &Tools,
    ) -> Result<(), Failure> {
        tools.context(runtime)?.with(|ctx| {
            tools.enter(&ctx);
            tools.compile(&ctx, script, script_name).map(drop)
        })
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
                .map_err(|failure| not_loaded(failure, &self.program))?;
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

    fn run_hook(
        &self,
        hook: &Option<Kept<Function<'static>>>,
        tools: &Tools,
    ) -> Result<(), Failure> {
        let Some(hook) = hook else { return Ok(()) };
        self.context.with(|ctx| {
            tools.enter(&ctx);
            let failed = |_| tools.failure(&ctx);
            let hook = hook.clone().restore(&ctx).map_err(failed)?;
            let meta = self.meta.clone().restore(&ctx).map_err(failed)?;
            call(&ctx, &hook, (meta,), tools)?;
            drain(&ctx, tools)?;
            if let Some(rejection) = tools.rejections.take() {
                self.tell(tools, "unhandled rejection", &rejection);
            }
            Ok(())
        })
    }

    /// Logs what went wrong beside a call that did well.
    fn tell(&self, tools: &Tools, what: &str, failure: &Failure) {
        let Program { id, plugin, .. } = &*self.program;
        let message = self.program.redact(format!("{what}: {failure}"));
        let level = Level::Error;
        tools.host.log(LogLine { program: *id, plugin, level, message: &message });
    }

    /// Runs `processEvent` on an event given as jsonb.
    pub(crate) fn process_event(&self, event: &[u8], tools: &Tools, begin: Instant) -> Outcome {
        self.context.with(|ctx| {
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
        let meta = self.meta.clone().restore(ctx).map_err(failed)?;
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
        failure.redacted(&self.program)
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
    let Returned { bytes, team_changed } =
        match value::write_event(ctx, value, given, event, views, limits, watch) {
            Ok(returned) => returned,
            Err(Unrepresentable::Exception) => return Err(tools.failure(ctx)),
            Err(Unrepresentable::Bad(why)) => {
                return Err(Failure::new(FailureKind::BadResult, why));
            }
        };
    let verdict = bytes.map_or(Verdict::Unchanged, Verdict::Changed);
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

/// A failed load keeps the kinds that end the runtime; all else is one kind.
fn not_loaded(failure: Failure, program: &Program) -> Failure {
    let kind = if failure.kind.ends_the_runtime() { failure.kind } else { FailureKind::NotLoaded };
    Failure { kind, ..failure }.redacted(program)
}

fn is_falsy(value: &Value<'_>) -> bool {
    value.is_undefined()
        || value.is_null()
        || value.as_bool() == Some(false)
        || value.as_big_int().is_some_and(|number| matches!(number.clone().to_i64(), Ok(0)))
        || value.as_number().is_some_and(|number| number == 0.0 || number.is_nan())
        || value.as_string().is_some_and(|text| text.to_string().is_ok_and(|text| text.is_empty()))
}

impl Functions {
    /// PostHog's search: `exports`, `exports.default`, `module.exports`; the global object only if
    /// none of them exports anything.
    fn find(places: &Places<'_>) -> rquickjs::Result<Self> {
        let process_event = places.function("processEvent")?;
        let process_event_batch = match process_event {
            Some(_) => None,
            None => places.function("processEventBatch")?,
        };
        Ok(Functions {
            setup: places.function("setupPlugin")?,
            teardown: places.function("teardownPlugin")?,
            process_event,
            process_event_batch,
            consume_events: places.function("onEvent")?.is_some()
                || places.function("onSnapshot")?.is_some(),
        })
    }
}

/// The objects that are searched for exports, in order.
struct Places<'js>(Vec<Object<'js>>);

impl<'js> Places<'js> {
    /// `found` holds what the script's `exports` and `module.exports` have become.
    fn of(ctx: &Ctx<'js>, found: Value<'js>) -> rquickjs::Result<Self> {
        let found = found.into_object().ok_or(rquickjs::Error::Unknown)?;
        let exports: Value<'js> = found.get("exports")?;
        let default: Value<'js> = match exports.as_object() {
            Some(exports) => exports.get("default")?,
            None => Value::new_undefined(ctx.clone()),
        };
        let module: Value<'js> = found.get("module")?;
        let mut places: Vec<Object<'js>> = [exports, default, module]
            .into_iter()
            .filter(|place| place.is_object() && !place.is_function())
            .filter_map(|place| place.into_object())
            .collect();
        if places.iter().all(|place| place.keys::<String>().next().is_none()) {
            places.push(ctx.globals());
        }
        Ok(Places(places))
    }

    /// The first truthy property of that name, if it is an object.
    fn object(&self, name: &str) -> rquickjs::Result<Option<Object<'js>>> {
        for place in &self.0 {
            let found: Value<'js> = place.get(name)?;
            if !is_falsy(&found) {
                return Ok(found.into_object());
            }
        }
        Ok(None)
    }

    /// The first truthy property of that name, if it is a function.
    fn function(&self, name: &str) -> rquickjs::Result<Option<Kept<Function<'static>>>> {
        for place in &self.0 {
            let found: Value<'js> = place.get(name)?;
            if !is_falsy(&found) {
                let ctx = found.ctx().clone();
                return Ok(found.into_function().map(|found| Persistent::save(&ctx, found)));
            }
        }
        Ok(None)
    }
}
