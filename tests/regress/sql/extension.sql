-- What CREATE EXTENSION leaves behind: process_event where it was created, all else in its schema.
SELECT extname, extnamespace::regnamespace AS schema, extrelocatable
  FROM pg_extension
 WHERE extname = 'posthog_plugins';
SHOW shared_preload_libraries;
