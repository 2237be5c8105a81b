-- What plugins do besides events: when their schedules run, and what became of runs.
-- API: private; the views are in tasks_views.sql.

-- Room for the new versions of a row on its page: it changes with every run.
CREATE TABLE posthog_plugins.plugin_schedule (
    config_id  integer     NOT NULL,
    task       text        NOT NULL,
    since      timestamptz NOT NULL DEFAULT pg_catalog.now(),
    last_tick  timestamptz,
    next_tick  timestamptz,
    started_at timestamptz,
    duration   interval,
    outcome    text,
    error      text,
    runs       bigint      NOT NULL DEFAULT 0,
    skipped    bigint      NOT NULL DEFAULT 0,
    missed     bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (config_id, task),
    CONSTRAINT plugin_schedule_task_is_known
        CHECK (task IN ('runEveryMinute', 'runEveryHour', 'runEveryDay'))
) WITH (fillfactor = 50);
COMMENT ON TABLE posthog_plugins.plugin_schedule IS 'Tasks of enabled configs that run at regular times';
COMMENT ON COLUMN posthog_plugins.plugin_schedule.since IS 'Times before that are none of its';
COMMENT ON COLUMN posthog_plugins.plugin_schedule.last_tick IS 'Up to here its times are done with: it ran, was skipped, or was missed';
COMMENT ON COLUMN posthog_plugins.plugin_schedule.next_tick IS 'NULL until a worker has taken it up';
COMMENT ON COLUMN posthog_plugins.plugin_schedule.outcome IS 'NULL while it runs';

CREATE TABLE posthog_plugins.plugin_run (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    config_id  integer     NOT NULL,
    kind       text        NOT NULL,
    name       text        NOT NULL,
    payload    jsonb,
    started_at timestamptz NOT NULL,
    duration   interval,
    outcome    text        NOT NULL,
    error      text,
    attempts   integer     NOT NULL,
    CONSTRAINT plugin_run_kind_is_known CHECK (kind IN ('job', 'schedule')),
    CONSTRAINT plugin_run_outcome_is_known
        CHECK (outcome IN ('succeeded', 'failed', 'retried', 'interrupted'))
);
CREATE INDEX plugin_run_by_time ON posthog_plugins.plugin_run (started_at);
COMMENT ON TABLE posthog_plugins.plugin_run IS 'Runs of jobs and schedules that are over';
COMMENT ON COLUMN posthog_plugins.plugin_run.payload IS 'Of a job that has failed for good';
COMMENT ON COLUMN posthog_plugins.plugin_run.duration IS 'NULL where the worker ended before the run did';
