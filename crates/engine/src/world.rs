//! The world of a program: its global environment, its `meta`, and what its script has made there.

use std::rc::Rc;

use rquickjs::{Context, Ctx, Object, Persistent, Result as JsResult};

use crate::exports::Exports;
use crate::failure::Failure;
use crate::globals::{self, script};
use crate::host::{Level, LogLine};
use crate::machine::{Machine, Tools};
use crate::meta::{self, Metrics};
use crate::program::Program;

/// Fields in this order: values go before the context they live in.
pub(crate) struct World {
    meta: Persistent<Object<'static>>,
    pub(crate) context: Context,
    pub(crate) program: Rc<Program>,
    pub(crate) metrics: Rc<Metrics>,
}

impl World {
    /// The global environment, before the script has run.
    pub(crate) fn make(machine: &Machine, program: &Rc<Program>) -> Result<Self, Failure> {
        let tools = &machine.tools;
        let context = machine.context()?;
        let metrics = Rc::new(Metrics::default());
        let meta = context.with(|ctx| {
            tools.enter(&ctx);
            let failed = |_| tools.failure(&ctx).while_loading(program);
            tools
                .meter
                .while_building(|| {
                    tools.views.install(&ctx)?;
                    globals::install(&ctx, program, tools)
                })
                .map_err(failed)?;
            let meta = meta::build(&ctx, program, tools, &metrics).map_err(failed)?;
            Ok(Persistent::save(&ctx, meta))
        })?;
        Ok(World { meta, context, program: program.clone(), metrics })
    }

    /// Runs the script, then what it has set going, and has what it exports looked for.
    pub(crate) fn run<T>(
        &self,
        tools: &Tools,
        run_on: fn(&Ctx<'_>, &Tools) -> Result<(), Failure>,
        find: impl FnOnce(&Exports<'_>) -> JsResult<T>,
    ) -> Result<T, Failure> {
        let Program { script, script_name, .. } = &*self.program;
        let ran = self.context.with(|ctx| {
            tools.enter(&ctx);
            let failed = |_| tools.failure(&ctx);
            tools.run(&ctx, "const module = {exports: {}}; let exports = {};")?;
            let script = tools.compile(&ctx, script, script_name)?;
            script::execute(&ctx, script).map_err(failed)?;
            run_on(&ctx, tools)?;
            let found = tools.run(&ctx, "({exports, module: module.exports})")?;
            let exports = Exports::of(&ctx, found).map_err(failed)?;
            if let Some(declared) = exports.object("metrics").map_err(failed)? {
                self.metrics.declare(&ctx, &declared).map_err(failed)?;
            }
            find(&exports).map_err(failed)
        });
        ran.map_err(|failure| failure.while_loading(&self.program))
    }

    /// The last argument of every call.
    pub(crate) fn meta<'js>(&self, ctx: &Ctx<'js>) -> JsResult<Object<'js>> {
        self.meta.clone().restore(ctx)
    }

    /// Logs what went wrong beside a call that did well.
    pub(crate) fn tell(&self, tools: &Tools, what: &str, failure: &Failure) {
        let Program { id, plugin, .. } = &*self.program;
        let message = self.program.redact(format!("{what}: {failure}"));
        let level = Level::Error;
        tools.host.log(LogLine { program: *id, plugin, level, message: &message });
    }
}
