-- PUBLIC may run process_event, and nothing else. The schema gives no access to anybody but its
-- owner; the functions in it act as the owner, so EXECUTE on one of them is the whole permission. But
-- attach and detach act as the caller, who has to own the table, and needs EXECUTE on process_row.
-- The levels that grant_role knows are in src/catalog/levels.rs.

REVOKE ALL ON SCHEMA posthog_plugins FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA posthog_plugins FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA posthog_plugins FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA posthog_plugins FROM PUBLIC;

-- ALTER DEFAULT PRIVILEGES gives to others as soon as something is created: a role that may read
-- every new table would read the secrets.
DO $$
DECLARE
    stranger text;
BEGIN
    FOR stranger IN
        SELECT DISTINCT acl.grantee::regrole::text
          FROM (SELECT nspacl, nspowner
                  FROM pg_catalog.pg_namespace
                 WHERE oid = 'posthog_plugins'::regnamespace
                 UNION ALL
                SELECT relacl, relowner
                  FROM pg_catalog.pg_class
                 WHERE relnamespace = 'posthog_plugins'::regnamespace
                 UNION ALL
                SELECT proacl, proowner
                  FROM pg_catalog.pg_proc
                 WHERE pronamespace = 'posthog_plugins'::regnamespace) AS object (acl, owner),
               pg_catalog.aclexplode(object.acl) AS acl
         WHERE acl.grantee NOT IN (0, object.owner)
    LOOP
        EXECUTE 'REVOKE ALL ON SCHEMA posthog_plugins FROM ' || stranger;
        EXECUTE 'REVOKE ALL ON ALL TABLES IN SCHEMA posthog_plugins FROM ' || stranger;
        EXECUTE 'REVOKE ALL ON ALL SEQUENCES IN SCHEMA posthog_plugins FROM ' || stranger;
        EXECUTE 'REVOKE ALL ON ALL ROUTINES IN SCHEMA posthog_plugins FROM ' || stranger;
    END LOOP;
END
$$;
