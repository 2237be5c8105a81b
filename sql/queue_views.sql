-- What the operator sees of the queue.
-- API: public.

-- A thousand, as PostgreSQL takes it, would make the view worth compiling, which takes seconds.
ALTER FUNCTION posthog_plugins._waiting() ROWS 10;

CREATE VIEW posthog_plugins.consumers WITH (security_barrier) AS
SELECT c.plugin,
       c.team_id,
       c.label,
       waiting.events AS depth,
       pg_catalog.now() - waiting.oldest AS lag,
       -- What was counted fades while nothing comes.
       q.rate * pg_catalog.exp(GREATEST(
           -700, EXTRACT(epoch FROM q.recorded_at - pg_catalog.now()) / 60)::double precision) AS rate,
       q.delivered,
       q.failed,
       latency.p50 AS latency_p50,
       latency.p95 AS latency_p95,
       latency.p99 AS latency_p99,
       undelivered.retries,
       undelivered.dead_letters,
       f.filter,
       q.began_at AS since,
       q.recorded_at AS last_active_at,
       c.id AS config_id
  FROM posthog_plugins.queue_consumer AS q
  JOIN posthog_plugins._visible_config AS c ON c.id = q.config_id AND c.is_own
  LEFT JOIN posthog_plugins.consumer_filter AS f ON f.config_id = c.id
  JOIN posthog_plugins._waiting() AS waiting ON waiting.config_id = c.id
 CROSS JOIN LATERAL (
       SELECT pg_catalog.make_interval(secs => posthog_plugins._latency(q.latencies, 0.5)) AS p50,
              pg_catalog.make_interval(secs => posthog_plugins._latency(q.latencies, 0.95)) AS p95,
              pg_catalog.make_interval(secs => posthog_plugins._latency(q.latencies, 0.99)) AS p99) AS latency
 CROSS JOIN LATERAL (
       SELECT pg_catalog.count(u.next_attempt_at) AS retries,
              pg_catalog.count(*) - pg_catalog.count(u.next_attempt_at) AS dead_letters
         FROM posthog_plugins.undelivered_event AS u
        WHERE u.config_id = c.id) AS undelivered
 ORDER BY c.position;
COMMENT ON VIEW posthog_plugins.consumers IS 'Configs that take stored events: how many wait for each, since when, how many it gets a second, and how long after they were stored';

CREATE VIEW posthog_plugins.queue AS
SELECT half.name,
       half.number = s.half AS is_current,
       pg_catalog.pg_stat_get_live_tuples(half.relation) AS rows,
       pg_catalog.pg_table_size(half.relation) AS table_size,
       pg_catalog.pg_indexes_size(half.relation) AS index_size
  FROM posthog_plugins.queue_state AS s,
       (VALUES (0, 'event_queue_0', 'posthog_plugins.event_queue_0'::regclass),
               (1, 'event_queue_1', 'posthog_plugins.event_queue_1'::regclass))
           AS half (number, name, relation)
 ORDER BY half.number;
COMMENT ON VIEW posthog_plugins.queue IS 'The two tables of the queue; rows are about as many as have not been removed, of one event or of some that were stored together';

CREATE VIEW posthog_plugins.retries WITH (security_barrier) AS
SELECT u.id, c.plugin, c.team_id, c.label, u.attempts, u.next_attempt_at, u.error, u.first_failed_at,
       u.failed_at, u.event, u.enqueued_at, c.id AS config_id
  FROM posthog_plugins.undelivered_event AS u
  JOIN posthog_plugins._visible_config AS c ON c.id = u.config_id AND c.is_own
 WHERE u.next_attempt_at IS NOT NULL
 ORDER BY u.next_attempt_at;
COMMENT ON VIEW posthog_plugins.retries IS 'Events that a consumer failed on and will be given again';

CREATE VIEW posthog_plugins.dead_letters WITH (security_barrier) AS
SELECT u.id, c.plugin, c.team_id, c.label, u.attempts, u.error, u.first_failed_at, u.failed_at, u.event,
       u.enqueued_at, c.id AS config_id
  FROM posthog_plugins.undelivered_event AS u
  JOIN posthog_plugins._visible_config AS c ON c.id = u.config_id AND c.is_own
 WHERE u.next_attempt_at IS NULL
 ORDER BY u.failed_at DESC, u.id DESC;
COMMENT ON VIEW posthog_plugins.dead_letters IS 'Events that a consumer failed on for good, until retry or discard; the newest first';

CREATE VIEW posthog_plugins.monitoring WITH (security_barrier) AS
SELECT s.plugin,
       s.team_id,
       s.label,
       (c.config_id IS NOT NULL)::integer AS enabled,
       (c.paused_until IS NOT NULL)::integer AS paused,
       s.events,
       s.changed,
       s.dropped,
       s.failed,
       s.total_time / 1000 AS seconds,
       q.depth AS waiting,
       EXTRACT(epoch FROM q.lag)::double precision AS lag_seconds,
       q.delivered,
       q.failed AS delivery_failures,
       q.retries,
       q.dead_letters,
       EXTRACT(epoch FROM q.latency_p50)::double precision AS latency_p50_seconds,
       EXTRACT(epoch FROM q.latency_p95)::double precision AS latency_p95_seconds,
       EXTRACT(epoch FROM q.latency_p99)::double precision AS latency_p99_seconds,
       s.config_id
  FROM posthog_plugins.stats AS s
  LEFT JOIN posthog_plugins.chain AS c ON c.config_id = s.config_id
  LEFT JOIN posthog_plugins.consumers AS q ON q.config_id = s.config_id
 ORDER BY s.plugin, s.team_id, s.label;
COMMENT ON VIEW posthog_plugins.monitoring IS 'Every config in numbers, for a program that collects them';
