-- What the operator sees of what plugins keep and leave for later.
-- API: public.

CREATE VIEW posthog_plugins.storage WITH (security_barrier) AS
SELECT c.plugin, c.team_id, c.label, k.key, k.value, k.changed_at, k.config_id
  FROM posthog_plugins._kept(in_cache => false) AS k
  JOIN posthog_plugins._visible_config AS c ON c.id = k.config_id AND c.is_own
 ORDER BY c.plugin, c.team_id, c.label, k.key;
COMMENT ON VIEW posthog_plugins.storage IS 'What plugins keep in meta.storage, as JSON';

CREATE VIEW posthog_plugins.cache AS
SELECT k.plugin, k.team_id, k.key, k.value, k.expires_at, k.changed_at
  FROM posthog_plugins._kept(in_cache => true) AS k
 ORDER BY k.plugin, k.team_id, k.key;
COMMENT ON VIEW posthog_plugins.cache IS 'What plugins keep in meta.cache; a list is a JSON array from head to tail';

CREATE VIEW posthog_plugins.metrics WITH (security_barrier) AS
SELECT c.plugin, c.team_id, c.label, m.name, m.kind,
       CASE m.kind
           WHEN 'sum' THEN pg_catalog.sum(m.value)
           WHEN 'max' THEN pg_catalog.max(m.value)
           ELSE pg_catalog.min(m.value)
       END AS value,
       pg_catalog.min(m.since) AS since,
       c.id AS config_id
  FROM posthog_plugins.plugin_metric AS m
  JOIN posthog_plugins._visible_config AS c ON c.id = m.config_id AND c.is_own
 GROUP BY c.plugin, c.team_id, c.label, m.name, m.kind, c.id
 ORDER BY c.plugin, c.team_id, c.label, m.name;
COMMENT ON VIEW posthog_plugins.metrics IS 'Metrics of plugins, as the sessions have written them';
