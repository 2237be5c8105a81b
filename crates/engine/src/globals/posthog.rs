//! `posthog`: what a plugin can do besides working on the event it was given.

mod api;

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, Result, Value};

use super::run;
use crate::machine::Tools;
use crate::meta;
use crate::program::Program;

/// What makes the global of a program's realm.
pub(super) fn builder(
    program: &Rc<Program>,
    tools: &Tools,
) -> impl for<'a> Fn(&Ctx<'a>) -> Result<Value<'a>> + use<> {
    let (program, host, course) = (program.clone(), tools.host.clone(), tools.course.clone());
    move |ctx| {
        let posthog = Object::new(ctx.clone())?;
        let native = Object::new(ctx.clone())?;
        posthog.set("api", api::build(ctx, program.team_id)?)?;
        native.set("leave", meta::leave(ctx, &host, &program, &course)?)?;
        native.set("version", env!("CARGO_PKG_VERSION"))?;
        native.set("sender", program.title.as_str())?;
        let add: Function<'_> = run(ctx, include_str!("posthog/capture.js"))?;
        add.call::<_, ()>((posthog.clone(), native))?;
        Ok(posthog.into_value())
    }
}
