//! One call into a plugin, driven to its end: the function, its promise, and whatever it left
//! running.

use rquickjs::function::IntoArgs;
use rquickjs::promise::PromiseState;
use rquickjs::{Ctx, Function, Promise, Value, qjs};

use crate::failure::{Failure, FailureKind};
use crate::machine::Tools;
use crate::waiting::wait;

/// Calls the function and awaits what it returns.
pub(crate) fn call<'js, A>(
    ctx: &Ctx<'js>,
    function: &Function<'js>,
    arguments: A,
    tools: &Tools,
) -> Result<Value<'js>, Failure>
where
    A: IntoArgs<'js>,
{
    let returned: Value<'js> = function.call(arguments).map_err(|_| tools.failure(ctx))?;
    settle(ctx, returned, tools)
}

/// The value of a promise or thenable; any other value as it is.
fn settle<'js>(ctx: &Ctx<'js>, returned: Value<'js>, tools: &Tools) -> Result<Value<'js>, Failure> {
    let pending = |_| tools.failure(ctx);
    let Some(promise) = as_promise(ctx, &returned, tools).map_err(pending)? else {
        return Ok(returned);
    };
    while promise.state() == PromiseState::Pending {
        if !run_job(ctx, tools)? && !wait(ctx, tools)? {
            if tools.meter.refused() {
                return Err(Failure::out_of_memory());
            }
            return Err(Failure::new(
                FailureKind::NeverSettles,
                "the promise can never settle: nothing is left that could resolve it",
            ));
        }
    }
    match promise.state() {
        PromiseState::Resolved => match promise.result::<Value<'js>>() {
            Some(value) => value.map_err(pending),
            None => Ok(Value::new_undefined(ctx.clone())),
        },
        _ => {
            // `result` throws the reason, which makes it the pending exception.
            let _: Option<rquickjs::Result<Value<'js>>> = promise.result();
            Err(tools.failure(ctx))
        }
    }
}

fn as_promise<'js>(
    ctx: &Ctx<'js>,
    returned: &Value<'js>,
    tools: &Tools,
) -> rquickjs::Result<Option<Promise<'js>>> {
    if let Some(promise) = returned.as_promise() {
        return Ok(Some(promise.clone()));
    }
    if !is_thenable(returned, tools)? {
        return Ok(None);
    }
    let (promise, resolve, _) = ctx.promise()?;
    resolve.call::<_, ()>((returned.clone(),))?;
    Ok(Some(promise))
}

/// Whether `await` would wait for it.
pub(crate) fn is_thenable(value: &Value<'_>, tools: &Tools) -> rquickjs::Result<bool> {
    Ok(value.is_object() && tools.views.then_of(value)?.is_function())
}

/// Runs jobs until none is left.
pub(crate) fn run_jobs(ctx: &Ctx<'_>, tools: &Tools) -> Result<(), Failure> {
    while run_job(ctx, tools)? {}
    Ok(())
}

/// Runs jobs until none is left: a call ends when its floating promises and requests did. Timers that
/// have not rung by now never do.
pub(crate) fn drain(ctx: &Ctx<'_>, tools: &Tools) -> Result<(), Failure> {
    tools.timers.close();
    let refused_before = tools.meter.refused();
    while run_job(ctx, tools)? || wait(ctx, tools)? {}
    // A refusal can end a chain of promises without a word: the job that would go on is not queued.
    if tools.meter.refused() && !refused_before {
        return Err(Failure::out_of_memory());
    }
    Ok(())
}

/// Runs one job; false when there was none. Errors of jobs belong to promises; only the limits end
/// the run.
fn run_job(ctx: &Ctx<'_>, tools: &Tools) -> Result<bool, Failure> {
    // SAFETY: the runtime is alive while a context of it is; `ran_in` is set whenever a job ran.
    let result = unsafe {
        let runtime = qjs::JS_GetRuntime(ctx.as_raw().as_ptr());
        let mut ran_in = std::ptr::null_mut();
        let result = qjs::JS_ExecutePendingJob(runtime, &mut ran_in);
        if result < 0 && !ran_in.is_null() {
            qjs::JS_FreeValue(ran_in, qjs::JS_GetException(ran_in));
        }
        result
    };
    // Asked for every job: short ones never reach QuickJS's own poll.
    if tools.watch.must_stop() {
        return Err(tools.failure(ctx));
    }
    if result < 0 && tools.meter.refused() {
        return Err(Failure::out_of_memory());
    }
    Ok(result != 0)
}
