-- Every change to what the chain is made of tells every session at commit, through PostgreSQL's own
-- invalidation messages: no polling, and nothing to tell after a rollback.
-- API: private.

DO $$
DECLARE
    part text;
BEGIN
    FOREACH part IN ARRAY
        ARRAY['plugin', 'plugin_version', 'plugin_config', 'plugin_secret', 'plugin_attachment']
    LOOP
        EXECUTE pg_catalog.format(
            'CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON posthog_plugins.%I
                 FOR EACH STATEMENT EXECUTE FUNCTION posthog_plugins._chain_changed()',
            part || '_changed', part);
    END LOOP;
END
$$;

-- For each row: whoever removes pauses that are over, mostly none, tells nobody.
CREATE TRIGGER plugin_pause_changed AFTER INSERT OR DELETE ON posthog_plugins.plugin_pause
    FOR EACH ROW EXECUTE FUNCTION posthog_plugins._chain_changed();
