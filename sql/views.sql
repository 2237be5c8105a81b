-- What the operator looks at. Secrets are masked here, so the views can be granted (library and stats
-- together with the functions behind them, which PostgreSQL checks against the caller). security_barrier
-- keeps a reader's functions away from rows of other teams.
-- API: public.

CREATE VIEW posthog_plugins.plugins AS
SELECT p.name,
       p.title,
       p.description,
       v.version,
       (SELECT pg_catalog.count(*)
          FROM posthog_plugins.plugin_version AS every_version
         WHERE every_version.plugin = p.name) AS versions,
       v.sha256,
       v.installed_at,
       v.installed_by
  FROM posthog_plugins.plugin AS p
  JOIN posthog_plugins.plugin_version AS v ON v.plugin = p.name AND v.is_current
 ORDER BY p.name;
COMMENT ON VIEW posthog_plugins.plugins IS 'Installed plugins and their current version';

CREATE VIEW posthog_plugins.configs WITH (security_barrier) AS
SELECT c.id,
       c.plugin,
       c.team_id,
       c.label,
       c.enabled,
       c.position,
       c.on_error,
       c.config || COALESCE(
           (SELECT pg_catalog.jsonb_object_agg(s.key, '********'::text)
              FROM posthog_plugins.plugin_secret AS s
             WHERE s.config_id = c.id),
           '{}') AS config,
       ARRAY(SELECT a.key
               FROM posthog_plugins.plugin_attachment AS a
              WHERE a.config_id = c.id
              ORDER BY a.key) AS attachments,
       c.updated_at,
       c.hosts
  FROM posthog_plugins._visible_config AS c
 ORDER BY c.position, c.plugin, c.team_id, c.label;
COMMENT ON VIEW posthog_plugins.configs IS 'Every use of a plugin, enabled or not';

CREATE VIEW posthog_plugins.failures WITH (security_barrier) AS
SELECT e.failed_at,
       c.plugin,
       c.team_id,
       c.label,
       e.kind,
       e.message,
       e.stack,
       e.event,
       e.failures,
       e.config_id
  FROM posthog_plugins.plugin_error AS e
  JOIN posthog_plugins._visible_config AS c ON c.id = e.config_id AND c.is_own
 ORDER BY e.id DESC;
COMMENT ON VIEW posthog_plugins.failures IS 'Where plugins failed, the newest first';

CREATE VIEW posthog_plugins.chain WITH (security_barrier) AS
SELECT c.position,
       c.plugin,
       c.team_id,
       c.label,
       v.version,
       c.on_error,
       c.config,
       c.attachments,
       failure.message AS last_error,
       failure.failed_at AS last_error_at,
       pause.until AS paused_until,
       pause.reason AS pause_reason,
       c.id AS config_id
  FROM posthog_plugins.configs AS c
  JOIN posthog_plugins._visible_config AS visible ON visible.id = c.id
  JOIN posthog_plugins.plugin_version AS v ON v.plugin = c.plugin AND v.is_current
  LEFT JOIN LATERAL (
       SELECT e.message, e.failed_at
         FROM posthog_plugins.plugin_error AS e
        WHERE e.config_id = c.id AND visible.is_own
        ORDER BY e.failed_at DESC, e.id DESC
        LIMIT 1) AS failure ON true
  LEFT JOIN LATERAL (
       SELECT p.until, p.reason
         FROM posthog_plugins.plugin_pause AS p
        WHERE p.config_id = c.id AND visible.is_own AND p.until > pg_catalog.clock_timestamp()
        ORDER BY p.until DESC
        LIMIT 1) AS pause ON true
 WHERE c.enabled
 ORDER BY c.position;
COMMENT ON VIEW posthog_plugins.chain IS 'The enabled configs in the order in which an event meets them';

CREATE VIEW posthog_plugins.logs WITH (security_barrier) AS
SELECT l.logged_at,
       c.plugin,
       c.team_id,
       c.label,
       l.source,
       l.level,
       l.message,
       l.config_id
  FROM posthog_plugins.plugin_log AS l
  JOIN posthog_plugins._visible_config AS c ON c.id = l.config_id AND c.is_own
 ORDER BY l.id;
COMMENT ON VIEW posthog_plugins.logs IS 'What plugins wrote to their console, the oldest first';

CREATE VIEW posthog_plugins.stats WITH (security_barrier) AS
SELECT c.plugin,
       c.team_id,
       c.label,
       COALESCE(s.events, 0) AS events,
       COALESCE(s.changed, 0) AS changed,
       COALESCE(s.dropped, 0) AS dropped,
       COALESCE(s.failed, 0) AS failed,
       COALESCE(s.nanoseconds, 0) / 1e6::double precision AS total_time,
       COALESCE(s.nanoseconds / NULLIF(s.events, 0), 0) / 1e6::double precision AS mean_time,
       COALESCE(s.longest, 0) / 1e6::double precision AS max_time,
       s.last_error,
       s.last_error_at,
       s.since,
       c.id AS config_id
  FROM posthog_plugins._visible_config AS c
  LEFT JOIN (
       SELECT every.config_id,
              pg_catalog.min(every.since) AS since,
              pg_catalog.sum(every.events)::bigint AS events,
              pg_catalog.sum(every.changed)::bigint AS changed,
              pg_catalog.sum(every.dropped)::bigint AS dropped,
              pg_catalog.sum(every.failed)::bigint AS failed,
              pg_catalog.sum(every.nanoseconds)::double precision AS nanoseconds,
              pg_catalog.max(every.longest) AS longest,
              pg_catalog.max(every.last_error_at) AS last_error_at,
              (pg_catalog.array_agg(every.last_error
                                    ORDER BY every.last_error_at DESC NULLS LAST))[1] AS last_error
         FROM (SELECT w.config_id, w.since, w.events, w.changed, w.dropped, w.failed,
                      w.nanoseconds, w.longest, w.last_error_at, w.last_error
                 FROM posthog_plugins.plugin_stat AS w
                UNION ALL
               SELECT n.config_id, n.since, n.events, n.changed, n.dropped, n.failed,
                      n.nanoseconds, n.longest, n.last_error_at, n.last_error
                 FROM posthog_plugins._counted() AS n) AS every
        GROUP BY every.config_id) AS s ON s.config_id = c.id
 WHERE c.is_own
 ORDER BY c.position, c.plugin, c.team_id, c.label;
COMMENT ON VIEW posthog_plugins.stats IS 'What every config has done; times are in milliseconds';

CREATE VIEW posthog_plugins.library AS
SELECT bundled.name, bundled.title, bundled.description, bundled.settings
  FROM posthog_plugins._library() AS bundled
 ORDER BY bundled.name;
COMMENT ON VIEW posthog_plugins.library IS 'Plugins that come with the extension; install_bundled installs one';
