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
