-- What plugins keep and leave for later. Sessions only append to these tables, so that none of them
-- waits for another: what a key holds is its base, if it has one, with the other rows of the key after
-- it in the order of their ids. Whoever finds many of them makes one base of them.
-- API: private; the views at the end are public.

CREATE TABLE posthog_plugins.plugin_storage (
    id         bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    config_id  integer          NOT NULL,
    key        text             NOT NULL,
    is_base    boolean          NOT NULL DEFAULT false,
    change     text             NOT NULL,
    value      text,
    number     double precision,
    expires_at timestamptz,
    changed_at timestamptz      NOT NULL,
    CONSTRAINT plugin_storage_change_is_known
        CHECK (change IN ('put', 'list', 'delete', 'add', 'begin', 'expire', 'push', 'remove', 'take'))
);
CREATE INDEX plugin_storage_by_key ON posthog_plugins.plugin_storage (config_id, key);
COMMENT ON TABLE posthog_plugins.plugin_storage IS 'Changes to what plugins keep in meta.storage; the view storage shows what comes of them';
COMMENT ON COLUMN posthog_plugins.plugin_storage.is_base IS 'Comes before the other changes of its key';

CREATE UNLOGGED TABLE posthog_plugins.plugin_cache (
    id         bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plugin     text             NOT NULL,
    team_id    integer,
    key        text             NOT NULL,
    is_base    boolean          NOT NULL DEFAULT false,
    change     text             NOT NULL,
    value      text,
    number     double precision,
    expires_at timestamptz,
    changed_at timestamptz      NOT NULL,
    CONSTRAINT plugin_cache_change_is_known
        CHECK (change IN ('put', 'list', 'delete', 'add', 'begin', 'expire', 'push', 'remove', 'take'))
);
CREATE INDEX plugin_cache_by_key ON posthog_plugins.plugin_cache (plugin, key);
CREATE INDEX plugin_cache_by_expiry
    ON posthog_plugins.plugin_cache (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE posthog_plugins.plugin_cache IS 'Changes to what plugins keep in meta.cache; the view cache shows what comes of them. A crash of the server empties it';

CREATE TABLE posthog_plugins.plugin_job (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    config_id   integer     NOT NULL,
    name        text        NOT NULL,
    payload     jsonb       NOT NULL,
    run_at      timestamptz NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    hops        smallint    NOT NULL DEFAULT 0,
    attempts    integer     NOT NULL DEFAULT 0,
    error       text
);
CREATE INDEX plugin_job_by_config ON posthog_plugins.plugin_job (config_id, run_at);
COMMENT ON TABLE posthog_plugins.plugin_job IS 'Jobs that plugins asked for with meta.jobs, or somebody with run_job, and that have not run';
COMMENT ON COLUMN posthog_plugins.plugin_job.run_at IS 'When it runs, or runs again';
COMMENT ON COLUMN posthog_plugins.plugin_job.hops IS 'How many captures have led to it';

CREATE TABLE posthog_plugins.captured_event (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    config_id   integer     NOT NULL,
    event       jsonb       NOT NULL,
    captured_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    hops        smallint    NOT NULL,
    attempts    integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz DEFAULT pg_catalog.now(),
    error       text,
    failed_at   timestamptz
);
CREATE INDEX captured_event_by_time ON posthog_plugins.captured_event (next_attempt_at, id);
COMMENT ON TABLE posthog_plugins.captured_event IS 'Events that plugins made with posthog.capture and that have not taken their way';
COMMENT ON COLUMN posthog_plugins.captured_event.hops IS 'How many captures have led to it, its own included';
COMMENT ON COLUMN posthog_plugins.captured_event.next_attempt_at IS 'NULL: it could not be inserted, and is tried no more; infinity: there is no table for it';

-- Which table gets captured events, where that does not go without saying.
CREATE TABLE posthog_plugins.capture_table (
    team_id  integer,
    relation regclass NOT NULL
);
CREATE UNIQUE INDEX capture_table_of_team ON posthog_plugins.capture_table ((COALESCE(team_id::text, '')));
COMMENT ON TABLE posthog_plugins.capture_table IS 'Which table captured events are inserted into, as capture_into says';
COMMENT ON COLUMN posthog_plugins.capture_table.team_id IS 'NULL: of all other teams, and of none';

CREATE TABLE posthog_plugins.plugin_metric (
    id        bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    config_id integer          NOT NULL,
    name      text             NOT NULL,
    kind      text             NOT NULL,
    value     double precision NOT NULL,
    since     timestamptz      NOT NULL,
    CONSTRAINT plugin_metric_kind_is_known CHECK (kind IN ('sum', 'max', 'min'))
);
COMMENT ON TABLE posthog_plugins.plugin_metric IS 'Values of plugins'' metrics, to be joined by their kind: each row has those of one session for some seconds, or of rows that were folded into it';

SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin_storage', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin_storage_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin_job', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin_job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.captured_event', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.capture_table', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.captured_event_id_seq', '');
