-- What is wrong, and what to do about it.
-- API: private; health() is in src/operator.rs.

CREATE FUNCTION posthog_plugins._setting_findings()
    RETURNS TABLE (topic text, subject text, status text, finding text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
WITH setting AS (
    SELECT name, setting AS value, pg_catalog.current_setting(name) AS shown, source,
           CASE source
               WHEN 'session' THEN 'RESET ' || name
               WHEN 'database' THEN
                   pg_catalog.format('ALTER DATABASE %I RESET %s', pg_catalog.current_database(), name)
               WHEN 'user' THEN pg_catalog.format('ALTER ROLE %I RESET %s', SESSION_USER, name)
               WHEN 'database user' THEN
                   pg_catalog.format('ALTER ROLE %I IN DATABASE %I RESET %s',
                                     SESSION_USER, pg_catalog.current_database(), name)
               ELSE pg_catalog.format('ALTER SYSTEM RESET %s; SELECT pg_reload_conf()', name)
           END AS reset
      FROM pg_catalog.pg_settings
     WHERE name LIKE 'posthog\_plugins.%' OR name = 'statement_timeout'
)
SELECT 'setting', s.name,
       CASE WHEN wrong.finding IS NULL THEN 'ok' ELSE 'warning' END,
       COALESCE(wrong.finding,
                pg_catalog.format('set to %s by: %s', COALESCE(NULLIF(s.shown, ''), ''''''), s.source)),
       wrong.advice
  FROM setting AS s
  LEFT JOIN LATERAL (
       SELECT 'no plugin runs, every event passes' AS finding, s.reset AS advice
        WHERE s.name = 'posthog_plugins.enabled' AND s.value = 'off'
        UNION ALL
       SELECT pg_catalog.format(
                  'a call may take %s, so a plugin that hangs runs into statement_timeout (%s) and ends the statement, whatever its on_error',
                  s.shown, t.shown),
              pg_catalog.format('SET posthog_plugins.execution_timeout = ''%sms''',
                                GREATEST(t.value::integer / 10, 1))
         FROM setting AS t
        WHERE s.name = 'posthog_plugins.execution_timeout' AND t.name = 'statement_timeout'
          AND t.value::integer BETWEEN 1 AND s.value::integer
        UNION ALL
       -- An empty realm takes some 200 kB.
       SELECT pg_catalog.format('%s is little for %s enabled configs', s.shown, chain.length),
              s.reset
         FROM (SELECT pg_catalog.count(*) AS length
                 FROM posthog_plugins.plugin_config WHERE enabled) AS chain
        WHERE s.name = 'posthog_plugins.memory_limit' AND s.value::bigint < 400 * chain.length
        UNION ALL
       SELECT 'rows are kept for ever', s.reset
        WHERE s.name IN ('posthog_plugins.log_retention', 'posthog_plugins.error_retention')
          AND s.value = '0'
        UNION ALL
       SELECT 'the queue of notifications is half full, and nothing is sent until listeners have read it',
              'SELECT pid, state, xact_start FROM pg_stat_activity ORDER BY xact_start LIMIT 1'
        WHERE s.name = 'posthog_plugins.failure_channel' AND s.value <> ''
          AND pg_catalog.pg_notification_queue_usage() >= 0.5) AS wrong ON true
 WHERE s.name <> 'statement_timeout'
   AND (wrong.finding IS NOT NULL OR s.source <> 'default')
 ORDER BY s.name;
$$;

CREATE FUNCTION posthog_plugins._chain_findings()
    RETURNS TABLE (topic text, subject text, status text, finding text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
WITH link AS (
    SELECT c.*, s.events, s.failed, s.last_error AS counted_error, s.last_error_at AS counted_at,
           incomplete.problem,
           c.plugin || COALESCE(', team ' || c.team_id, '')
                    || COALESCE(', ' || NULLIF(c.label, ''), '') AS subject,
           pg_catalog.quote_literal(c.plugin)
               || COALESCE(', team_id => ' || c.team_id, '')
               || CASE WHEN c.label = '' THEN '' ELSE pg_catalog.format(', label => %L', c.label) END
               AS target
      FROM posthog_plugins.chain AS c
      JOIN posthog_plugins.stats AS s ON s.config_id = c.config_id
      LEFT JOIN posthog_plugins._incomplete() AS incomplete ON incomplete.config_id = c.config_id
)
SELECT 'plugin', l.subject, found.status, found.finding, found.advice
  FROM link AS l
 CROSS JOIN LATERAL (
       SELECT 'error' AS status, l.problem AS finding,
              pg_catalog.format(
                  'SELECT posthog_plugins.configure(%s, config => (SELECT config FROM posthog_plugins.plugin_config WHERE id = %s) || ''{"key": "value"}'')',
                  l.target, l.config_id) AS advice,
              1 AS rank
        WHERE l.problem IS NOT NULL
        UNION ALL
       SELECT 'error', 'paused itself: ' || l.pause_reason,
              pg_catalog.format('SELECT posthog_plugins.resume(%s)', l.target), 2
        WHERE l.paused_until IS NOT NULL
        UNION ALL
       SELECT 'warning',
              pg_catalog.format('%s of %s calls failed, the last one less than an hour ago with: %s',
                                l.failed, l.events, l.counted_error),
              CASE l.on_error
                  -- A statement that was ended has left no row.
                  WHEN 'raise' THEN
                      pg_catalog.format('SELECT posthog_plugins.disable(%s)', l.target)
                  ELSE pg_catalog.format(
                      'SELECT * FROM posthog_plugins.failures WHERE config_id = %s', l.config_id)
              END, 3
        WHERE l.counted_at > pg_catalog.now() - '1 hour'::interval
        UNION ALL
       SELECT 'ok', pg_catalog.format('version %s at position %s', l.version, l.position), NULL, 4
        ORDER BY rank
        LIMIT 1) AS found
 UNION ALL
SELECT 'plugin', NULL, 'warning', 'no plugin is enabled',
       CASE WHEN EXISTS (SELECT FROM posthog_plugins.plugin)
            THEN pg_catalog.format('SELECT posthog_plugins.enable(%L)',
                                   (SELECT name FROM posthog_plugins.plugin ORDER BY name LIMIT 1))
            ELSE 'SELECT posthog_plugins.install_bundled(''hello-world''), posthog_plugins.enable(''hello-world'')'
       END
 WHERE NOT EXISTS (SELECT FROM link);
$$;

-- A trigger counts as ours when it is attach's, or its function's text names process_event.
CREATE FUNCTION posthog_plugins._table_findings()
    RETURNS TABLE (topic text, subject text, status text, finding text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
WITH attached AS (
    SELECT t.tgrelid AS relation, t.tgname AS name, t.tgenabled AS fires,
           c.relispartition AND t.tgparentid <> 0 AS is_inherited
      FROM pg_catalog.pg_trigger AS t
      JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
      JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
     WHERE (n.nspname = 'posthog_plugins' AND p.proname = 'process_row')
        OR p.prosrc LIKE '%process\_event%'
)
SELECT 'table', a.relation::regclass::text,
       CASE WHEN a.fires IN ('D', 'R') THEN 'error' ELSE 'ok' END,
       pg_catalog.format(
           CASE a.fires
               WHEN 'D' THEN 'trigger %I is disabled: events are stored without passing plugins'
               WHEN 'R' THEN 'trigger %I fires for replicated rows only: events are stored without passing plugins'
               ELSE 'trigger %I passes its events through the plugins'
           END, a.name),
       CASE WHEN a.fires IN ('D', 'R') THEN
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I', a.relation::regclass, a.name)
       END
  FROM attached AS a
 -- A partition's trigger is of interest only where it differs.
 WHERE NOT a.is_inherited OR a.fires IN ('D', 'R')
 UNION ALL
SELECT 'table', c.oid::regclass::text, 'warning',
       'looks like a table of events, and has no trigger',
       pg_catalog.format('SELECT posthog_plugins.attach(%L)', c.oid::regclass)
  FROM pg_catalog.pg_class AS c
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
   AND (SELECT pg_catalog.count(*)
          FROM pg_catalog.pg_attribute AS column_
         WHERE column_.attrelid = c.oid AND column_.attnum > 0 AND NOT column_.attisdropped
           AND column_.attname IN ('event', 'distinct_id', 'properties')) = 3
   AND NOT EXISTS (SELECT FROM attached AS a WHERE a.relation = c.oid);
$$;

-- Tables whose rows pass plugins and are given to none afterwards count only where somebody waits for
-- them.
CREATE FUNCTION posthog_plugins._queue_findings()
    RETURNS TABLE (topic text, subject text, status text, finding text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT 'consumer', c.plugin || COALESCE(', team ' || c.team_id, '')
                            || COALESCE(', ' || NULLIF(c.label, ''), ''),
       found.status, found.finding, found.advice
  FROM posthog_plugins.consumers AS c
 CROSS JOIN LATERAL (
       SELECT 'warning' AS status,
              pg_catalog.format('%s events wait, the oldest for %s', c.depth,
                                pg_catalog.date_trunc('second', c.lag)) AS finding,
              pg_catalog.format(
                  'SELECT * FROM posthog_plugins.consumers WHERE config_id = %s; disable it if it is not to go on',
                  c.config_id) AS advice,
              1 AS rank
        WHERE c.lag > '1 hour'::interval
        UNION ALL
       SELECT 'warning',
              pg_catalog.format('%s events could not be delivered, the last one: %s', c.dead_letters,
                                (SELECT pg_catalog.left(d.error, 200)
                                   FROM posthog_plugins.dead_letters AS d
                                  WHERE d.config_id = c.config_id
                                  LIMIT 1)),
              pg_catalog.format(
                  'SELECT * FROM posthog_plugins.dead_letters WHERE config_id = %s; then retry or discard',
                  c.config_id), 2
        WHERE c.dead_letters > 0
        UNION ALL
       SELECT 'ok', pg_catalog.format('%s events wait', c.depth), NULL, 3
        ORDER BY rank
        LIMIT 1) AS found
 UNION ALL
SELECT 'table', t.tgrelid::regclass::text, 'warning',
       'what is stored is not enqueued for the plugins that take stored events',
       pg_catalog.format('SELECT posthog_plugins.detach(%1$L); then posthog_plugins.attach(%1$L, ...)',
                         t.tgrelid::regclass)
  FROM pg_catalog.pg_trigger AS t
  JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid AND p.proname = 'process_row'
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname = 'posthog_plugins'
  JOIN pg_catalog.pg_class AS r ON r.oid = t.tgrelid
 WHERE t.tgparentid = 0
   AND EXISTS (SELECT FROM posthog_plugins.queue_consumer)
   AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_trigger AS after_
         JOIN pg_catalog.pg_proc AS f ON f.oid = after_.tgfoid AND f.proname = 'enqueue_rows'
        WHERE after_.tgrelid = t.tgrelid AND after_.tgenabled NOT IN ('D', 'R')
          -- One for statements does not see what comes into a partition through its table.
          AND (after_.tgtype::integer & 1 = 1 OR NOT r.relispartition));
$$;

CREATE FUNCTION posthog_plugins._storage_findings()
    RETURNS TABLE (topic text, subject text, status text, finding text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
WITH kept AS (
    SELECT 'plugin_log' AS name, 'posthog_plugins.log_retention' AS setting,
           (SELECT pg_catalog.min(l.logged_at) FROM posthog_plugins.plugin_log AS l) AS oldest
     UNION ALL
    SELECT 'plugin_error', 'posthog_plugins.error_retention',
           (SELECT pg_catalog.min(e.failed_at) FROM posthog_plugins.plugin_error AS e)
), measured AS (
    SELECT k.*, pg_catalog.current_setting(k.setting) AS shown,
           pg_catalog.make_interval(mins => s.setting::integer) AS retention,
           pg_catalog.pg_total_relation_size(('posthog_plugins.' || k.name)::regclass) AS bytes
      FROM kept AS k
      JOIN pg_catalog.pg_settings AS s ON s.name = k.setting
)
SELECT 'storage', m.name, found.status, found.finding, found.advice
  FROM measured AS m
 CROSS JOIN LATERAL (
       -- Sessions remove a thousand rows a minute and more, so a day is long.
       SELECT 'warning' AS status,
              'rows are kept beyond ' || m.setting AS finding,
              'SELECT posthog_plugins.prune()' AS advice,
              1 AS rank
        WHERE m.retention > '0'::interval
          AND m.oldest < pg_catalog.now() - m.retention - '1 day'::interval
        UNION ALL
       SELECT 'warning', 'takes ' || pg_catalog.pg_size_pretty(m.bytes),
              pg_catalog.format(
                  'ALTER SYSTEM SET %s = ''1d''; SELECT pg_reload_conf(); SELECT posthog_plugins.prune()',
                  m.setting), 2
        WHERE m.bytes > 1024 ^ 3
        UNION ALL
       SELECT 'ok', CASE WHEN m.retention > '0'::interval THEN 'rows are kept for ' || m.shown
                         ELSE 'rows are kept for ever' END, NULL, 3
        ORDER BY rank
        LIMIT 1) AS found
 UNION ALL
SELECT 'storage', 'plugin_stat', 'warning', 'counts are not folded, which slows down the view stats',
       'SELECT posthog_plugins.prune()'
 WHERE (SELECT pg_catalog.count(*) FROM posthog_plugins.plugin_stat) > 100000;
$$;

CREATE FUNCTION posthog_plugins._server_findings(library text)
    RETURNS TABLE (topic text, subject text, status text, finding text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT 'server', 'version',
       CASE WHEN e.extversion = library THEN 'ok' ELSE 'error' END,
       CASE WHEN e.extversion = library THEN library
            ELSE pg_catalog.format('this database has the SQL of %s, this session the library of %s',
                                   e.extversion, library)
       END,
       CASE WHEN e.extversion <> library THEN
           'ALTER EXTENSION posthog_plugins UPDATE; sessions from before an update have to reconnect'
       END
  FROM pg_catalog.pg_extension AS e
 WHERE e.extname = 'posthog_plugins'
 UNION ALL
SELECT 'server', 'worker', 'warning',
       'the library is preloaded, and no worker runs in this database',
       'SELECT posthog_plugins.start_worker()'
 WHERE pg_catalog.current_setting('shared_preload_libraries') LIKE '%posthog\_plugins%'
   AND pg_catalog.current_setting('posthog_plugins.workers') <> '0'
   AND NOT pg_catalog.pg_is_in_recovery()
   AND NOT EXISTS (SELECT FROM posthog_plugins.workers)
 UNION ALL
SELECT 'server', 'recovery', 'warning',
       'a standby: events pass the plugins; logs go to the server''s log, failures and counts nowhere',
       'SELECT pg_promote(), if this is to be the primary'
 WHERE pg_catalog.pg_is_in_recovery();
$$;

CREATE FUNCTION posthog_plugins._findings(library text)
    RETURNS TABLE (topic text, subject text, status text, finding text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT found.topic, found.subject, found.status, found.finding, found.advice
  FROM (SELECT 1 AS part, f.* FROM posthog_plugins._server_findings(library) AS f
         UNION ALL
        SELECT 2, f.* FROM posthog_plugins._setting_findings() AS f
         UNION ALL
        SELECT 3, f.* FROM posthog_plugins._chain_findings() AS f
         UNION ALL
        SELECT 4, f.* FROM posthog_plugins._table_findings() AS f
         UNION ALL
        SELECT 5, f.* FROM posthog_plugins._queue_findings() AS f
         UNION ALL
        SELECT 6, f.* FROM posthog_plugins._capture_findings() AS f
         UNION ALL
        SELECT 7, f.* FROM posthog_plugins._storage_findings() AS f
         UNION ALL
        SELECT 8, f.* FROM posthog_plugins._task_findings() AS f) AS found
 ORDER BY pg_catalog.array_position(ARRAY['error', 'warning', 'ok'], found.status),
          found.part, found.subject;
$$;
