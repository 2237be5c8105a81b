//! `posthog.api`: requests to PostHog's own API. They are `api.js`, and go the way of `fetch`.

use rquickjs::{Ctx, Function, Result, Value};

use crate::globals::run;

/// `team` is what `@current` stands for in a path.
pub(super) fn build<'js>(ctx: &Ctx<'js>, team: Option<i32>) -> Result<Value<'js>> {
    let make: Function<'js> = run(ctx, include_str!("api.js"))?;
    let fetch: Value<'js> = ctx.globals().get("fetch")?;
    let url: Value<'js> = ctx.globals().get("URL")?;
    make.call((fetch, url, team))
}
