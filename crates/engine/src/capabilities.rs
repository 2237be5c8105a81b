//! What a program can do, as it shows once its script has run: in the shape of PostHog's column
//! `capabilities`, and with its metrics.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::call::run_jobs;
use crate::failure::Failure;
use crate::flight::Schedule;
use crate::host::MetricKind;
use crate::machine::Machine;
use crate::program::Program;
use crate::world::World;

/// Every function that is called by its name, in PostHog's order.
pub(crate) const METHODS: [&str; 9] = [
    "setupPlugin",
    "teardownPlugin",
    "exportEvents",
    "onEvent",
    "onAction",
    "onSnapshot",
    "processEvent",
    "composeWebhook",
    "getSettings",
];

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// The functions that PostHog knows by name.
    pub methods: Vec<String>,
    pub jobs: Vec<String>,
    /// Every `runEvery…`, also those that nothing ever runs.
    pub scheduled_tasks: Vec<String>,
    pub metrics: BTreeMap<String, MetricKind>,
}

impl Capabilities {
    /// Whether it has a function of that name.
    pub fn has(&self, method: &str) -> bool {
        self.methods.iter().any(|name| name == method)
    }

    /// Whether it has a function that runs so often.
    pub fn schedules(&self, schedule: Schedule) -> bool {
        self.scheduled_tasks.iter().any(|name| name == schedule.function())
    }

    /// Whether stored events are any use to it.
    pub fn consumes_events(&self) -> bool {
        let consuming = ["onEvent", "onSnapshot", "exportEvents", "composeWebhook"];
        consuming.into_iter().any(|method| self.has(method))
    }

    /// Runs the program's script in a machine that is made for it.
    pub(crate) fn of(program: &Rc<Program>, machine: &Machine) -> Result<Self, Failure> {
        let world = World::make(machine, program)?;
        let mut found = world.run(&machine.tools, run_jobs, |exports| {
            let mut methods = Vec::new();
            for method in METHODS {
                let is_there = exports.function(method)?.is_some();
                // Which is made of it.
                let batch = method == "processEvent" && !is_there;
                if is_there || (batch && exports.function("processEventBatch")?.is_some()) {
                    methods.push(method.to_owned());
                }
            }
            let jobs = exports.jobs()?.into_keys().collect();
            let scheduled_tasks = exports.schedules()?.into_keys().collect();
            Ok(Capabilities { methods, jobs, scheduled_tasks, metrics: BTreeMap::new() })
        })?;
        let metrics = world.metrics.declared();
        found.metrics = metrics.iter().map(|metric| (metric.name.clone(), metric.kind)).collect();
        Ok(found)
    }
}
