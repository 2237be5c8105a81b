//! Waiting, when a call has nothing left to run: for an answer or a timer, whichever comes first,
//! and no longer than the call may take.

use std::time::Instant;

use rquickjs::Ctx;

use crate::failure::Failure;
use crate::machine::Tools;

/// Waits for what comes next and tells JavaScript; false when there is nothing to wait for.
pub(crate) fn wait(ctx: &Ctx<'_>, tools: &Tools) -> Result<bool, Failure> {
    let Tools { host, watch, requests, timers, .. } = tools;
    if !requests.are_under_way() && !timers.are_waited_for() {
        return Ok(false);
    }
    let failed = |_| tools.failure(ctx);
    if let Some((ring, _)) = timers.due(Instant::now()) {
        ring.restore(ctx).and_then(|ring| ring.call::<_, ()>(())).map_err(failed)?;
        // Short ones never reach QuickJS's own poll.
        return if watch.must_stop() { Err(tools.failure(ctx)) } else { Ok(true) };
    }
    let timer = timers.next();
    let until = watch.deadline().into_iter().chain(timer).min();
    let answer = if requests.are_under_way() { host.next_answer(until) } else { None };
    if answer.is_none()
        && timer.is_some()
        && let Some(until) = until
    {
        host.sleep(until);
    }
    if watch.must_stop() {
        return Err(tools.failure(ctx));
    }
    match answer {
        Some(answer) => requests.settle(ctx, answer).map_err(failed).map(|()| true),
        None => Ok(timer.is_some()),
    }
}
