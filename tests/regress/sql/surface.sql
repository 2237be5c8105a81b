-- Everything that CREATE EXTENSION makes, and who may use it.
SELECT n.nspname || '.' || p.proname AS function,
       pg_get_function_arguments(p.oid) AS arguments,
       pg_get_function_result(p.oid) AS result,
       has_function_privilege('public', p.oid, 'EXECUTE') AS public
  FROM pg_proc AS p
  JOIN pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_depend AS d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'posthog_plugins'
 ORDER BY 1;
SELECT c.relname AS relation, c.relkind AS kind,
       has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER') AS public,
       c.oid = ANY (e.extconfig) AS dumped
  FROM pg_class AS c
  JOIN pg_depend AS d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
  JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'posthog_plugins'
 WHERE c.relkind IN ('r', 'v', 'S')
 ORDER BY 1;
SELECT process_event('{}');
SELECT name, setting, unit, context FROM pg_settings WHERE name LIKE 'posthog_plugins.%' ORDER BY 1;
