//! `meta.metrics`, and what a plugin declares of them in its export `metrics`.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, Result, Value};

use super::native::throw;
use crate::globals::{run, with_utf8};
use crate::host::{Host, Metric, MetricKind};
use crate::program::Program;
use crate::store::Refusal;

/// More would be a mistake, and each is a row of a table.
const MOST_METRICS: usize = 100;

/// Each row has one.
const LONGEST_NAME: usize = 200;

/// What a plugin declares, once its script has run.
#[derive(Default)]
pub(crate) struct Metrics(RefCell<Rc<[Metric]>>);

impl Metrics {
    /// Reads the declaration, an object of names and kinds. What is no text is ignored, as PostHog
    /// did; a kind that there is not is an error.
    pub(crate) fn declare<'js>(&self, ctx: &Ctx<'js>, declared: &Object<'js>) -> Result<()> {
        let mut metrics = Vec::new();
        for member in declared.clone().into_iter().take(MOST_METRICS) {
            let (name, kind): (rquickjs::Atom<'js>, Value<'js>) = member?;
            let Some(kind) = kind.into_string() else { continue };
            let kind = with_utf8(kind, str::to_ascii_lowercase)?;
            let kind = match kind.as_str() {
                "sum" => MetricKind::Sum,
                "max" => MetricKind::Max,
                "min" => MetricKind::Min,
                _ => {
                    let message = "a metric must be \"sum\", \"max\" or \"min\"";
                    return Err(throw(ctx, Refusal::new("22023", message)));
                }
            };
            let name = with_utf8(name.to_js_string()?, str::to_owned)?;
            if name.len() > LONGEST_NAME || name.contains('\0') {
                let message = "this cannot be the name of a metric";
                return Err(throw(ctx, Refusal::new("22023", message)));
            }
            metrics.push(Metric { name, kind });
        }
        self.0.replace(metrics.into());
        Ok(())
    }

    /// What was declared.
    pub(crate) fn declared(&self) -> Rc<[Metric]> {
        self.0.borrow().clone()
    }

    pub(super) fn build<'js>(
        &self,
        ctx: &Ctx<'js>,
        host: &Rc<dyn Host>,
        program: &Rc<Program>,
        failures: Value<'js>,
    ) -> Result<Value<'js>> {
        let metrics = self.declared();
        let declared: Vec<Vec<&str>> =
            metrics.iter().map(|metric| vec![metric.name.as_str(), metric.kind.name()]).collect();
        let make: Function<'js> = run(ctx, include_str!("metrics.js"))?;
        let (host, program) = (host.clone(), program.clone());
        let known = metrics.clone();
        let measure = move |index: usize, value: f64| {
            if let Some(metric) = known.get(index) {
                host.measure(&program, metric, value);
            }
        };
        make.call((Function::new(ctx.clone(), measure)?, failures, declared))
    }
}
