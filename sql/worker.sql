-- What the operator sees of the workers.
-- API: public.

CREATE VIEW posthog_plugins.workers AS
SELECT w.number, w.pid, w.started_at, w.state, w.activity, w.since
  FROM posthog_plugins._workers() AS w
 ORDER BY w.number;
COMMENT ON VIEW posthog_plugins.workers IS 'The workers of this database, and what they do';
