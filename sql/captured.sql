-- What plugins capture, on its way into the attached table.
-- API: public.

CREATE FUNCTION posthog_plugins.capture_into(events_table regclass, team_id integer DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'capture_into_wrapper';
COMMENT ON FUNCTION posthog_plugins.capture_into(regclass, integer) IS
    'Says which attached table gets the events that plugins capture, of one team or of all others; NULL: the only one there is';

CREATE VIEW posthog_plugins.captured WITH (security_barrier) AS
SELECT e.id, c.plugin, c.team_id, c.label,
       CASE
           WHEN e.next_attempt_at IS NULL THEN 'failed'
           WHEN e.next_attempt_at = 'infinity' THEN 'no table'
           ELSE 'waiting'
       END AS state,
       e.attempts, NULLIF(e.next_attempt_at, 'infinity') AS next_attempt_at, e.error, e.failed_at,
       e.captured_at, e.hops AS depth, e.event, c.id AS config_id
  FROM posthog_plugins.captured_event AS e
  JOIN posthog_plugins._visible_config AS c ON c.id = e.config_id AND c.is_own
 ORDER BY e.id;
COMMENT ON VIEW posthog_plugins.captured IS 'Events that plugins captured and that are not inserted, yet or at all';

-- API: private, a part of health().
CREATE FUNCTION posthog_plugins._capture_findings()
    RETURNS TABLE (topic text, subject text, status text, finding text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT 'captured', c.plugin, 'warning',
       pg_catalog.format('%s captured events are not inserted: %s', pg_catalog.count(*),
                         pg_catalog.min(pg_catalog.left(c.error, 200))),
       CASE c.state
           WHEN 'no table' THEN 'SELECT posthog_plugins.attach(...) or posthog_plugins.capture_into(...)'
           ELSE pg_catalog.format(
               'SELECT * FROM posthog_plugins.captured WHERE plugin = %L; then retry_captured or discard_captured',
               c.plugin)
       END
  FROM posthog_plugins.captured AS c
 WHERE c.state IN ('failed', 'no table')
 GROUP BY c.plugin, c.state
 UNION ALL
SELECT 'captured', NULL, 'warning',
       pg_catalog.format('%s captured events wait for a worker', pg_catalog.count(*)),
       'SELECT posthog_plugins.start_worker()'
  FROM posthog_plugins.captured AS c
 WHERE c.state = 'waiting' AND c.captured_at < pg_catalog.now() - '1 hour'::interval
HAVING pg_catalog.count(*) > 0;
$$;
