//! Writing plugin_job and captured_event.

use engine::Task;
use engine::store::Left;
use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiClient, SpiResult};

use super::plans;

/// Appends what configs leave for later, in order, of those who are still there.
pub fn append(client: &mut SpiClient<'_>, tasks: &[Left]) -> SpiResult<()> {
    let mut jobs = Jobs::default();
    let mut events = Events::default();
    for Left { program: config_id, task, cause, .. } in tasks {
        match task {
            Task::Job { name, payload, run_at } => {
                jobs.configs.push(*config_id);
                jobs.names.push(name.as_str());
                jobs.payloads.push(payload.as_str());
                jobs.times.push(*run_at as f64 / 1e6);
                jobs.hops.push(cause.depth.into());
            }
            Task::Event(event) => {
                events.configs.push(*config_id);
                events.events.push(event.as_str());
                events.hops.push(i16::from(cause.depth) + 1);
                events.teams.push(cause.team);
            }
        }
    }
    if !jobs.configs.is_empty() {
        let Jobs { configs, names, payloads, times, hops } = jobs;
        let arguments = [configs.into(), names.into(), payloads.into(), times.into(), hops.into()];
        plans::update(client, APPEND_JOBS, &arguments)?;
    }
    if !events.configs.is_empty() {
        let Events { configs, events, hops, teams } = events;
        let arguments: [DatumWithOid<'_>; 4] =
            [configs.into(), events.into(), hops.into(), teams.into()];
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
    hops: Vec<i16>,
}

#[derive(Default)]
struct Events<'a> {
    configs: Vec<i32>,
    events: Vec<&'a str>,
    /// How many captures there are by now, this one included.
    hops: Vec<i16>,
    /// Of the events that they were captured from, for configs of no team in particular.
    teams: Vec<Option<i32>>,
}

// unnest is unqualified: with several arrays it is syntax, not a function.
const APPEND_JOBS: &str = "
    INSERT INTO posthog_plugins.plugin_job (config_id, name, payload, run_at, hops)
    SELECT n.config_id, n.name, n.payload::jsonb, pg_catalog.to_timestamp(n.run_at), n.hops
      FROM unnest($1::integer[], $2::text[], $3::text[], $4::float8[], $5::smallint[])
               WITH ORDINALITY AS n (config_id, name, payload, run_at, hops, place)
     WHERE EXISTS (SELECT FROM posthog_plugins.plugin_config AS c WHERE c.id = n.config_id)
     ORDER BY n.place";

const APPEND_EVENTS: &str = "
    INSERT INTO posthog_plugins.captured_event (config_id, hops, event)
    SELECT n.config_id, n.hops,
           n.event::jsonb || pg_catalog.jsonb_build_object(
               'uuid', pg_catalog.gen_random_uuid(), 'team_id', COALESCE(c.team_id, n.team_id))
      FROM unnest($1::integer[], $2::text[], $3::smallint[], $4::integer[]) WITH ORDINALITY
               AS n (config_id, event, hops, team_id, place)
      JOIN posthog_plugins.plugin_config AS c ON c.id = n.config_id
     ORDER BY n.place";
