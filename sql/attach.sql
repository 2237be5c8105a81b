-- The trigger of an events table, and what creates and removes it.
-- API: public.

CREATE FUNCTION posthog_plugins.process_row() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'process_row';
COMMENT ON FUNCTION posthog_plugins.process_row() IS
    'Runs the enabled plugins on a row; its argument names the jsonb column that is the event, without one the columns are its fields';

CREATE FUNCTION posthog_plugins.attach(events_table regclass, event_column name DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'attach_wrapper';
COMMENT ON FUNCTION posthog_plugins.attach(regclass, name) IS
    'Runs the enabled plugins on every row that is inserted into a table';

CREATE FUNCTION posthog_plugins.detach(events_table regclass) RETURNS void
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'detach_wrapper';
COMMENT ON FUNCTION posthog_plugins.detach(regclass) IS 'Removes what attach created';

CREATE FUNCTION posthog_plugins.ingest(events_table regclass, staging regclass)
    RETURNS TABLE (stored bigint, discarded bigint)
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'ingest_wrapper';
COMMENT ON FUNCTION posthog_plugins.ingest(regclass, regclass) IS
    'Runs the enabled plugins on the rows of a staging table, and inserts what they leave into an attached table';
