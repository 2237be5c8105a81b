-- What plugins have done, and which of them paused themselves. Sessions only append, so that none of
-- them waits for another. Neither is in a dump.
-- API: private.

CREATE TABLE posthog_plugins.plugin_stat (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    config_id     integer     NOT NULL,
    since         timestamptz NOT NULL,
    events        bigint      NOT NULL DEFAULT 0,
    changed       bigint      NOT NULL DEFAULT 0,
    dropped       bigint      NOT NULL DEFAULT 0,
    failed        bigint      NOT NULL DEFAULT 0,
    nanoseconds   bigint      NOT NULL DEFAULT 0,
    longest       bigint      NOT NULL DEFAULT 0,
    last_error_at timestamptz,
    last_error    text
);
COMMENT ON TABLE posthog_plugins.plugin_stat IS 'Counts of calls, to be summed up: each row has those of one session for some seconds, or those of rows that were folded into it';
COMMENT ON COLUMN posthog_plugins.plugin_stat.nanoseconds IS 'Time of all calls';
COMMENT ON COLUMN posthog_plugins.plugin_stat.longest IS 'Time of the longest call, in nanoseconds';

CREATE TABLE posthog_plugins.plugin_pause (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    config_id integer     NOT NULL,
    since     timestamptz NOT NULL,
    until     timestamptz NOT NULL,
    reason    text        NOT NULL
);
COMMENT ON TABLE posthog_plugins.plugin_pause IS 'Pauses of configs that kept failing; without a row that is not over, a config is not paused';
