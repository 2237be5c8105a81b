-- What the operator sees of jobs and schedules.
-- API: public.

CREATE VIEW posthog_plugins.jobs WITH (security_barrier) AS
SELECT j.id, c.plugin, c.team_id, c.label, j.name, j.payload, j.run_at, j.attempts, j.error,
       j.enqueued_at, j.config_id
  FROM posthog_plugins.plugin_job AS j
  JOIN posthog_plugins._visible_config AS c ON c.id = j.config_id AND c.is_own
 ORDER BY j.run_at, j.id;
COMMENT ON VIEW posthog_plugins.jobs IS 'Jobs that have yet to run, or to run again; of configs that are disabled, when they are enabled';

CREATE VIEW posthog_plugins.schedules WITH (security_barrier) AS
SELECT c.plugin, c.team_id, c.label, s.task, s.next_tick AS next_run_at, s.started_at AS last_run_at,
       s.duration AS last_duration, s.outcome AS last_outcome, s.error AS last_error, s.runs,
       s.skipped, s.missed, s.since, s.config_id
  FROM posthog_plugins.plugin_schedule AS s
  JOIN posthog_plugins._visible_config AS c ON c.id = s.config_id AND c.is_own
 ORDER BY c.plugin, c.team_id, c.label, s.task;
COMMENT ON VIEW posthog_plugins.schedules IS 'Tasks that run at regular times; skipped are times at which one was still running, missed those at which no worker was';

CREATE VIEW posthog_plugins.runs WITH (security_barrier) AS
SELECT r.id, c.plugin, c.team_id, c.label, r.kind, r.name, r.started_at, r.duration, r.outcome,
       r.error, r.attempts, r.payload, r.config_id
  FROM posthog_plugins.plugin_run AS r
  JOIN posthog_plugins._visible_config AS c ON c.id = r.config_id AND c.is_own
 ORDER BY r.started_at DESC, r.id DESC;
COMMENT ON VIEW posthog_plugins.runs IS 'What became of jobs and schedules, the newest first';

CREATE FUNCTION posthog_plugins._task_findings()
    RETURNS TABLE (topic text, subject text, status text, finding text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT 'job', due.plugin || COALESCE(', team ' || due.team_id, '')
                         || COALESCE(', ' || NULLIF(due.label, ''), ''),
       'warning',
       pg_catalog.format('%s jobs are due, the oldest for %s', due.jobs,
                         pg_catalog.date_trunc('second', pg_catalog.now() - due.oldest)),
       pg_catalog.format('SELECT * FROM posthog_plugins.jobs WHERE config_id = %s; SELECT posthog_plugins.start_worker(), if none is in posthog_plugins.workers',
                         due.config_id)
  FROM (SELECT j.config_id, c.plugin, c.team_id, c.label, pg_catalog.count(*) AS jobs,
               pg_catalog.min(j.run_at) AS oldest
          FROM posthog_plugins.jobs AS j
          JOIN posthog_plugins.plugin_config AS c ON c.id = j.config_id AND c.enabled
         WHERE j.run_at < pg_catalog.now()
         GROUP BY j.config_id, c.plugin, c.team_id, c.label) AS due
 WHERE due.oldest < pg_catalog.now() - '1 hour'::interval
 UNION ALL
SELECT 'schedule', s.plugin || COALESCE(', team ' || s.team_id, '')
                            || COALESCE(', ' || NULLIF(s.label, ''), ''),
       'warning',
       pg_catalog.format('%s failed the last time: %s', s.task, pg_catalog.left(s.last_error, 200)),
       pg_catalog.format('SELECT * FROM posthog_plugins.runs WHERE config_id = %s AND kind = ''schedule''',
                         s.config_id)
  FROM posthog_plugins.schedules AS s
 WHERE s.last_outcome = 'failed'
$$;
