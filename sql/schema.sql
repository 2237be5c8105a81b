-- The tables: what is installed, how it is configured, what it said.
-- API: private. Functions change them, views show them; secrets and sources are behind no grant.
--
-- No foreign keys: pg_restore --jobs loads the tables of an extension in any order, when its
-- constraints are there already; and an insert that logs must not wait for somebody who is changing
-- a config. The functions keep the tables in step, one call at a time.

CREATE TABLE posthog_plugins.plugin (
    name         text        PRIMARY KEY,
    title        text        NOT NULL,
    description  text        NOT NULL DEFAULT '',
    installed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT plugin_name_is_a_slug CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')
);
COMMENT ON TABLE posthog_plugins.plugin IS 'Installed plugins';

CREATE TABLE posthog_plugins.plugin_version (
    plugin       text        NOT NULL,
    version      integer     NOT NULL,
    is_current   boolean     NOT NULL,
    file_name    text        NOT NULL,
    source       text        NOT NULL,
    script       text        NOT NULL,
    source_map   text        NOT NULL,
    manifest     jsonb       NOT NULL,
    cases        jsonb,
    sha256       bytea       NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    installed_by text        NOT NULL,
    capabilities jsonb,
    PRIMARY KEY (plugin, version),
    CONSTRAINT plugin_version_counts_from_one CHECK (version > 0)
);
CREATE UNIQUE INDEX plugin_version_one_is_current
    ON posthog_plugins.plugin_version (plugin) WHERE is_current;
COMMENT ON TABLE posthog_plugins.plugin_version IS 'Every version that was installed, with the source as written and the script as transpiled';
COMMENT ON COLUMN posthog_plugins.plugin_version.script IS 'What the backends run';
COMMENT ON COLUMN posthog_plugins.plugin_version.source_map IS 'From positions in script to positions in source';
COMMENT ON COLUMN posthog_plugins.plugin_version.cases IS 'What came as cases.json, for run_cases';
COMMENT ON COLUMN posthog_plugins.plugin_version.sha256 IS 'Of source';
COMMENT ON COLUMN posthog_plugins.plugin_version.capabilities IS 'What the script exports; NULL where it did not load';

CREATE TABLE posthog_plugins.plugin_config (
    id         integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plugin     text        NOT NULL,
    team_id    integer,
    label      text        NOT NULL DEFAULT '',
    enabled    boolean     NOT NULL DEFAULT false,
    position   integer,
    on_error   text        NOT NULL DEFAULT 'pass',
    config     jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    hosts      text[]      NOT NULL DEFAULT '{}',
    CONSTRAINT plugin_config_position_is_unique UNIQUE (position) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT plugin_config_enabled_has_position CHECK (enabled = (position IS NOT NULL)),
    CONSTRAINT plugin_config_position_counts_from_one CHECK (position > 0),
    CONSTRAINT plugin_config_on_error_is_known CHECK (on_error IN ('pass', 'drop', 'raise')),
    CONSTRAINT plugin_config_config_is_an_object CHECK (pg_catalog.jsonb_typeof(config) = 'object')
);
-- A team that is NULL is one team here: every team.
CREATE UNIQUE INDEX plugin_config_one_per_team_and_label
    ON posthog_plugins.plugin_config (plugin, (COALESCE(team_id::text, '')), label);
COMMENT ON TABLE posthog_plugins.plugin_config IS 'Uses of a plugin: settings, order, team';
COMMENT ON COLUMN posthog_plugins.plugin_config.team_id IS 'NULL: every team';
COMMENT ON COLUMN posthog_plugins.plugin_config.position IS 'Place in the chain; NULL while disabled';
COMMENT ON COLUMN posthog_plugins.plugin_config.on_error IS 'What becomes of an event on which the plugin fails';
COMMENT ON COLUMN posthog_plugins.plugin_config.hosts IS 'What its fetch may reach';

CREATE TABLE posthog_plugins.plugin_secret (
    config_id integer NOT NULL,
    key       text    NOT NULL,
    value     jsonb   NOT NULL,
    PRIMARY KEY (config_id, key)
);
COMMENT ON TABLE posthog_plugins.plugin_secret IS 'Values of fields that the manifest calls secret';

CREATE TABLE posthog_plugins.plugin_attachment (
    config_id    integer NOT NULL,
    key          text    NOT NULL,
    file_name    text    NOT NULL,
    content_type text    NOT NULL,
    contents     bytea   NOT NULL,
    PRIMARY KEY (config_id, key)
);
COMMENT ON TABLE posthog_plugins.plugin_attachment IS 'Files for meta.attachments';

CREATE TABLE posthog_plugins.plugin_revision (
    is_the_only_row boolean PRIMARY KEY DEFAULT true,
    revision        bigint  NOT NULL DEFAULT 0,
    CONSTRAINT plugin_revision_has_one_row CHECK (is_the_only_row)
);
INSERT INTO posthog_plugins.plugin_revision DEFAULT VALUES;
COMMENT ON TABLE posthog_plugins.plugin_revision IS 'Counts changes to the tables above; its row is the lock that puts them in order';

CREATE TABLE posthog_plugins.plugin_log (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    logged_at timestamptz NOT NULL,
    config_id integer     NOT NULL,
    source    text        NOT NULL,
    level     text        NOT NULL,
    message   text        NOT NULL,
    CONSTRAINT plugin_log_source_is_known CHECK (source IN ('CONSOLE', 'PLUGIN', 'SYSTEM')),
    CONSTRAINT plugin_log_level_is_known CHECK (level IN ('DEBUG', 'LOG', 'INFO', 'WARN', 'ERROR'))
);
CREATE INDEX plugin_log_by_config ON posthog_plugins.plugin_log (config_id, logged_at);
CREATE INDEX plugin_log_by_time ON posthog_plugins.plugin_log (logged_at);
COMMENT ON TABLE posthog_plugins.plugin_log IS 'What plugins wrote to their console';

CREATE TABLE posthog_plugins.plugin_error (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    failed_at timestamptz NOT NULL,
    config_id integer     NOT NULL,
    kind      text        NOT NULL,
    message   text        NOT NULL,
    stack     text,
    event     jsonb,
    failures  bigint      NOT NULL,
    CONSTRAINT plugin_error_counts_from_one CHECK (failures > 0)
);
CREATE INDEX plugin_error_by_config ON posthog_plugins.plugin_error (config_id, failed_at);
CREATE INDEX plugin_error_by_time ON posthog_plugins.plugin_error (failed_at);
COMMENT ON TABLE posthog_plugins.plugin_error IS 'Failures of plugins, a sample of each run of failures';
COMMENT ON COLUMN posthog_plugins.plugin_error.failures IS 'How many failures of the session this row stands for';

-- What an administrator wrote is in a dump. Logs are not.
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin_version', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin_config', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin_config_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin_secret', '');
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.plugin_attachment', '');
