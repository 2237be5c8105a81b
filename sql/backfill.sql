-- Stored rows that are given to a consumer.
-- API: private, but for the functions and the view at the end.

CREATE TABLE posthog_plugins.plugin_backfill (
    id                bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    config_id         integer          NOT NULL,
    relation          regclass         NOT NULL,
    role              regrole          NOT NULL,
    event_column      text,
    time_column       text,
    from_time         timestamptz,
    to_time           timestamptz      NOT NULL,
    events_per_second double precision,
    state             text             NOT NULL DEFAULT 'running',
    error             text,
    place_time        text,
    place_key         text[],
    rows              bigint           NOT NULL DEFAULT 0,
    delivered         bigint           NOT NULL DEFAULT 0,
    failed            bigint           NOT NULL DEFAULT 0,
    estimated_rows    bigint,
    rate              double precision NOT NULL DEFAULT 0,
    started_at        timestamptz      NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    resumed_at        timestamptz      NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    recorded_at       timestamptz,
    ended_at          timestamptz,
    CONSTRAINT plugin_backfill_state_is_known
        CHECK (state IN ('running', 'paused', 'done', 'cancelled', 'failed')),
    CONSTRAINT plugin_backfill_is_limited_to_something CHECK (events_per_second > 0)
) WITH (fillfactor = 20);
CREATE INDEX plugin_backfill_by_config ON posthog_plugins.plugin_backfill (config_id);
COMMENT ON TABLE posthog_plugins.plugin_backfill IS 'Stored rows that are given to a consumer, and how far that has got';
COMMENT ON COLUMN posthog_plugins.plugin_backfill.role IS 'Whose rights the table is read with: those of the role that asked for it';
COMMENT ON COLUMN posthog_plugins.plugin_backfill.event_column IS 'The jsonb column that is the event; NULL: the columns are its fields';
COMMENT ON COLUMN posthog_plugins.plugin_backfill.time_column IS 'NULL: the time is the event''s own timestamp';
COMMENT ON COLUMN posthog_plugins.plugin_backfill.place_time IS 'Rows up to this time are done, and of this time those up to the key that follows';
COMMENT ON COLUMN posthog_plugins.plugin_backfill.rate IS 'Rows a second when it was recorded, as an average over about a minute';

CREATE FUNCTION posthog_plugins.backfill(
    plugin text, "table" regclass, "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL,
    events_per_second double precision DEFAULT NULL, team_id integer DEFAULT NULL,
    label text DEFAULT '', time_column name DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'backfill_wrapper';
COMMENT ON FUNCTION posthog_plugins.backfill IS
    'Gives the stored rows of a table to a plugin that takes stored events, in the order of their times; returns the number by which it is known';

CREATE VIEW posthog_plugins.backfills WITH (security_barrier) AS
SELECT b.id, c.plugin, c.team_id, c.label, b.relation AS "table",
       CASE WHEN b.state = 'running' AND q.config_id IS NULL THEN 'waiting' ELSE b.state END AS state,
       b.from_time AS "from", b.to_time AS "to", b.place_time AS "position",
       b.rows, b.delivered, b.failed, b.estimated_rows,
       CASE
           WHEN b.state = 'done' THEN 100
           WHEN b.rows = 0 THEN 0
           ELSE LEAST(99, pg_catalog.floor(100.0 * b.rows / NULLIF(GREATEST(b.estimated_rows, b.rows), 0)))
       END::integer AS percent,
       faded.rate, b.events_per_second,
       CASE WHEN b.state = 'running' AND q.config_id IS NOT NULL THEN pg_catalog.make_interval(
           secs => GREATEST(b.estimated_rows - b.rows, 0) / NULLIF(faded.rate, 0))
       END AS eta,
       b.error, b.role, b.started_at, b.recorded_at AS last_active_at, b.ended_at, b.config_id
  FROM posthog_plugins.plugin_backfill AS b
  JOIN posthog_plugins._visible_config AS c ON c.id = b.config_id AND c.is_own
  LEFT JOIN posthog_plugins.queue_consumer AS q ON q.config_id = c.id
 CROSS JOIN LATERAL (
       -- What was counted fades while nothing comes; less than a minute has less to count.
       SELECT CASE WHEN b.state = 'running' THEN
                  b.rate * pg_catalog.exp(GREATEST(
                      -700, EXTRACT(epoch FROM b.recorded_at - pg_catalog.now()) / 60)::double precision)
                  / (1 - pg_catalog.exp(GREATEST(
                      -700, LEAST(-0.01, EXTRACT(epoch FROM b.resumed_at - pg_catalog.now()) / 60)
                    )::double precision))
              END AS rate) AS faded
 ORDER BY b.id;
COMMENT ON VIEW posthog_plugins.backfills IS 'Stored rows that are given to a plugin: how far that has got, and when it will be done';
