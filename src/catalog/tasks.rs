//! Writing plugin_job and captured_event.

use engine::Task;
use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiClient, SpiResult};

use super::plans;

/// Appends what configs leave for later, in order, of those who are still there.
pub fn append(client: &mut SpiClient<'_>, tasks: &[(i32, Task)]) -> SpiResult<()> {
    let mut jobs = Jobs::default();
    let (mut configs, mut events) = (Vec::new(), Vec::new());
    for (config_id, task) in tasks {
        match task {
            Task::Job { name, payload, run_at } => {
                jobs.configs.push(*config_id);
                jobs.names.push(name.as_str());
                jobs.payloads.push(payload.as_str());
                jobs.times.push(*run_at as f64 / 1e6);
            }
            Task::Event(event) => {
                configs.push(*config_id);
                events.push(event.as_str());
            }
        }
    }
    if !jobs.configs.is_empty() {
        let Jobs { configs, names, payloads, times } = jobs;
        let arguments = [configs.into(), names.into(), payloads.into(), times.into()];
        plans::update(client, APPEND_JOBS, &arguments)?;
    }
    if !configs.is_empty() {
        let arguments: [DatumWithOid<'_>; 2] = [configs.into(), events.into()];
        plans::update(client, APPEND_EVENTS, &arguments)?;
    }
    Ok(())
}

#[derive(Default)]
struct Jobs<'a> {
    configs: Vec<i32>,
    names: Vec<&'a str>,
    payloads: Vec<&'a str>,
    times: Vec<f64>,
}

// unnest is unqualified: with several arrays it is syntax, not a function.
const APPEND_JOBS: &str = "
    INSERT INTO posthog_plugins.plugin_job (config_id, name, payload, run_at)
    SELECT n.config_id, n.name, n.payload::jsonb, pg_catalog.to_timestamp(n.run_at)
      FROM unnest($1::integer[], $2::text[], $3::text[], $4::float8[]) WITH ORDINALITY
               AS n (config_id, name, payload, run_at, place)
     WHERE EXISTS (SELECT FROM posthog_plugins.plugin_config AS c WHERE c.id = n.config_id)
     ORDER BY n.place";

const APPEND_EVENTS: &str = "
    INSERT INTO posthog_plugins.captured_event (config_id, event)
    SELECT n.config_id,
           n.event::jsonb || pg_catalog.jsonb_build_object(
               'uuid', pg_catalog.gen_random_uuid(), 'team_id', c.team_id)
      FROM unnest($1::integer[], $2::text[]) WITH ORDINALITY AS n (config_id, event, place)
      JOIN posthog_plugins.plugin_config AS c ON c.id = n.config_id
     ORDER BY n.place";
