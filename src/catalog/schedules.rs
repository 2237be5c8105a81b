//! Reading and writing plugin_schedule: which tasks run at regular times, and how far they have got.

use delivery::{Tick, Time};
use engine::Schedule;
use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiClient, SpiHeapTupleData, SpiResult};

use super::plans;
use super::runs::{self, Run};

/// All that there are.
pub const SCHEDULES: [Schedule; 3] = [Schedule::Minute, Schedule::Hour, Schedule::Day];

fn tasks() -> Vec<&'static str> {
    SCHEDULES.map(Schedule::function).to_vec()
}

/// Keeps the rows in step with the configs that are enabled.
pub fn follow(client: &mut SpiClient<'_>) -> SpiResult<()> {
    client.update(
        "INSERT INTO posthog_plugins.plugin_schedule (config_id, task)
         SELECT c.id, t.task
           FROM posthog_plugins.plugin_config AS c
           JOIN posthog_plugins.plugin_version AS v ON v.plugin = c.plugin AND v.is_current
           JOIN pg_catalog.unnest($1::text[]) AS t (task)
             ON v.capabilities -> 'scheduled_tasks' ? t.task
          WHERE c.enabled
             ON CONFLICT DO NOTHING",
        None,
        &[tasks().into()],
    )?;
    client.update(
        "DELETE FROM posthog_plugins.plugin_schedule AS s
          WHERE NOT EXISTS (
              SELECT FROM posthog_plugins.plugin_config AS c
                JOIN posthog_plugins.plugin_version AS v ON v.plugin = c.plugin AND v.is_current
               WHERE c.id = s.config_id AND c.enabled
                 AND v.capabilities -> 'scheduled_tasks' ? s.task)",
        None,
        &[],
    )?;
    Ok(())
}

/// Ends what earlier workers have left running, as nobody knows how it ended; and adds what a dump has
/// left out.
pub fn take_up(client: &mut SpiClient<'_>, config_id: i32, tasks: &[Schedule]) -> SpiResult<()> {
    let tasks: Vec<&str> = tasks.iter().map(|task| task.function()).collect();
    client.update(
        "INSERT INTO posthog_plugins.plugin_schedule (config_id, task)
         SELECT $1, t.task FROM pg_catalog.unnest($2::text[]) AS t (task)
             ON CONFLICT DO NOTHING",
        None,
        &[config_id.into(), tasks.into()],
    )?;
    client.update(
        "WITH ended AS (
             UPDATE posthog_plugins.plugin_schedule
                SET outcome = 'interrupted'
              WHERE config_id = $1 AND started_at IS NOT NULL AND outcome IS NULL
             RETURNING config_id, task, started_at)
         INSERT INTO posthog_plugins.plugin_run
             (config_id, kind, name, started_at, outcome, attempts)
         SELECT config_id, 'schedule', task, started_at, 'interrupted', 1 FROM ended",
        None,
        &[config_id.into()],
    )?;
    Ok(())
}

/// How far a config's tasks have got, and what the clock says. The calendar is that of the time zone
/// that the session has.
pub fn look(client: &SpiClient<'_>, config_id: i32) -> SpiResult<Vec<(Schedule, Tick)>> {
    let found = plans::select(client, LOOK, &[config_id.into()])?;
    found.filter_map(|row| tick(row).transpose()).collect()
}

// What comes a day after midnight is not midnight where clocks are put forward then.
const LOOK: &str = "
    SELECT t.task,
           (EXTRACT(epoch FROM t.last) * 1000000)::bigint,
           (EXTRACT(epoch FROM t.now) * 1000000)::bigint,
           (EXTRACT(epoch FROM t.current) * 1000000)::bigint,
           (EXTRACT(epoch FROM pg_catalog.date_trunc(
                t.unit, t.current + ('1 ' || t.unit)::interval)) * 1000000)::bigint
      FROM (SELECT s.task, s.unit, s.last, clock.now,
                   pg_catalog.date_trunc(s.unit, clock.now) AS current
              FROM (SELECT pg_catalog.clock_timestamp() AS now) AS clock,
                   (SELECT q.task, COALESCE(q.last_tick, q.since) AS last,
                           CASE q.task WHEN 'runEveryMinute' THEN 'minute'
                                       WHEN 'runEveryHour' THEN 'hour'
                                       ELSE 'day' END AS unit
                      FROM posthog_plugins.plugin_schedule AS q
                     WHERE q.config_id = $1) AS s) AS t
     ORDER BY t.task";

fn tick(row: SpiHeapTupleData<'_>) -> SpiResult<Option<(Schedule, Tick)>> {
    let task: String = row.get(1)?.unwrap_or_default();
    let schedule = SCHEDULES.into_iter().find(|schedule| schedule.function() == task);
    let (Some(schedule), Some(last), Some(now), Some(current), Some(following)) =
        (schedule, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)
    else {
        return Ok(None);
    };
    Ok(Some((schedule, Tick { last, now, current, following })))
}

/// What is noted of a task before it runs, or does not.
pub struct Note {
    pub schedule: Schedule,
    /// Up to here its ticks are done with; `None`: as before.
    pub last: Option<Time>,
    pub next: Time,
    pub runs: bool,
    pub skipped: i64,
    pub missed: i64,
}

/// From here on the tick is over for everybody: nobody runs it a second time.
pub fn note(client: &mut SpiClient<'_>, config_id: i32, note: &Note) -> SpiResult<()> {
    let seconds = |time: Time| time as f64 / 1e6;
    let arguments: [DatumWithOid<'_>; 7] = [
        config_id.into(),
        note.schedule.function().into(),
        note.last.map(seconds).into(),
        seconds(note.next).into(),
        note.runs.into(),
        note.skipped.into(),
        note.missed.into(),
    ];
    plans::update(client, NOTE, &arguments).map(drop)
}

const NOTE: &str = "
    UPDATE posthog_plugins.plugin_schedule
       SET last_tick = COALESCE(pg_catalog.to_timestamp($3), last_tick),
           next_tick = pg_catalog.to_timestamp($4),
           started_at = CASE WHEN $5 THEN pg_catalog.clock_timestamp() ELSE started_at END,
           duration = CASE WHEN $5 THEN NULL ELSE duration END,
           outcome = CASE WHEN $5 THEN NULL ELSE outcome END,
           error = CASE WHEN $5 THEN NULL ELSE error END,
           runs = runs + $5::integer,
           skipped = skipped + $6,
           missed = missed + $7
     WHERE config_id = $1 AND task = $2";

/// Writes down what became of runs.
pub fn record(client: &mut SpiClient<'_>, config_id: i32, ended: &[Run]) -> SpiResult<()> {
    for run in ended {
        let arguments: [DatumWithOid<'_>; 5] = [
            config_id.into(),
            run.name.as_str().into(),
            run.seconds().into(),
            run.outcome.name().into(),
            run.error().into(),
        ];
        plans::update(client, RECORD, &arguments)?;
    }
    runs::append(client, config_id, &ended.iter().collect::<Vec<_>>())
}

const RECORD: &str = "
    UPDATE posthog_plugins.plugin_schedule
       SET duration = pg_catalog.make_interval(secs => $3), outcome = $4, error = $5
     WHERE config_id = $1 AND task = $2 AND started_at IS NOT NULL";
