//! `posthog`: what a plugin can do besides working on the event it was given.

mod api;

use std::rc::Rc;

use rquickjs::{Ctx, Object, Result, Value};

use crate::program::Program;

/// What makes the global of a program's realm.
pub(super) fn builder(
    program: &Rc<Program>,
) -> impl for<'a> Fn(&Ctx<'a>) -> Result<Value<'a>> + use<> {
    let program = program.clone();
    move |ctx| {
        let posthog = Object::new(ctx.clone())?;
        posthog.set("api", api::build(ctx, program.team_id)?)?;
        Ok(posthog.into_value())
    }
}
