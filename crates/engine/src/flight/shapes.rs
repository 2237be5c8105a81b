//! Stored events as arguments: views on their jsonb, in PostHog's forms, which `shapes.js` gives them.

use rquickjs::{Ctx, Function, Object, Persistent, Result, Value};

use super::call::Call;
use crate::exports::Kept;
use crate::globals::run;
use crate::value::is_falsy;

pub(super) struct Shapes {
    /// What `onEvent` gets.
    processed: Kept,
    /// What `composeWebhook` gets.
    composed: Kept,
}

impl Shapes {
    /// Before any of the plugin's code has run.
    pub(super) fn make(ctx: &Ctx<'_>) -> Result<Self> {
        let made: Object<'_> = run(ctx, include_str!("shapes.js"))?;
        let keep = |name| -> Result<Kept> {
            Ok(Persistent::save(ctx, made.get::<_, Function<'_>>(name)?))
        };
        Ok(Shapes { processed: keep("processed")?, composed: keep("composed")? })
    }

    /// The arguments of a call, made of its documents.
    pub(super) fn arguments<'js>(
        &self,
        ctx: &Ctx<'js>,
        call: &Call,
        mut documents: Vec<Value<'js>>,
    ) -> Result<Vec<Value<'js>>> {
        match call {
            Call::OnEvent(_) | Call::ExportEvents(_) => {
                shape(ctx, &self.processed, documents.iter_mut())?;
            }
            // The first is the action.
            Call::OnAction { .. } => shape(ctx, &self.processed, documents.iter_mut().skip(1))?,
            Call::ComposeWebhook(_) => shape(ctx, &self.composed, documents.iter_mut())?,
            // PostHog leaves those out.
            Call::Job { .. } => documents.retain(|payload| !is_falsy(payload)),
            Call::OnSnapshot(_) | Call::GetSettings | Call::Scheduled(_) => {}
        }
        if let Call::ExportEvents(_) = call {
            let list = rquickjs::Array::new(ctx.clone())?;
            for (place, event) in documents.drain(..).enumerate() {
                list.set(place, event)?;
            }
            documents.push(list.into_value());
        }
        Ok(documents)
    }
}

fn shape<'a, 'js: 'a>(
    ctx: &Ctx<'js>,
    shape: &Kept,
    events: impl Iterator<Item = &'a mut Value<'js>>,
) -> Result<()> {
    let shape: Function<'js> = shape.clone().restore(ctx)?;
    for event in events {
        *event = shape.call((event.clone(),))?;
    }
    Ok(())
}
