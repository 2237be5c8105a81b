-- Which teams a role is limited to, and the functions that give roles their rights.
-- API: the functions are public, the rest is private.

CREATE TABLE posthog_plugins.team_limit (
    role  regrole   PRIMARY KEY,
    teams integer[] NOT NULL
);
COMMENT ON TABLE posthog_plugins.team_limit IS 'Roles that have to do with some teams only';
COMMENT ON COLUMN posthog_plugins.team_limit.role IS 'Follows when the role is renamed; in a dump it is the name';

-- Roles that were dropped without revoke_role are only numbers, which no other cluster knows.
SELECT pg_catalog.pg_extension_config_dump(
    'posthog_plugins.team_limit', 'WHERE role IN (SELECT oid FROM pg_catalog.pg_roles)');

-- Row-level security is no help where a superuser owns the views: they are never subject to it. So
-- the limits are part of the views, and of the functions in Rust. A view with no row is no limit.
CREATE VIEW posthog_plugins._limit_of_caller AS
SELECT l.teams
  FROM posthog_plugins.team_limit AS l
 WHERE pg_catalog.pg_has_role(CURRENT_USER, l.role, 'USAGE')
   AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = CURRENT_USER);
COMMENT ON VIEW posthog_plugins._limit_of_caller IS 'The teams of whoever asks; no row is no limit, several add up';

-- Everything below shows configs through this one. Those of all teams are visible to everybody, as
-- they run on everybody's events; what they log is about everybody's events, so it is not.
CREATE VIEW posthog_plugins._visible_config WITH (security_barrier) AS
SELECT limited.is_own, c.*
  FROM posthog_plugins.plugin_config AS c,
       LATERAL (
           SELECT NOT EXISTS (SELECT FROM posthog_plugins._limit_of_caller)
               OR EXISTS (SELECT
                            FROM posthog_plugins._limit_of_caller AS l
                           WHERE c.team_id = ANY (l.teams))) AS limited (is_own)
 WHERE (limited.is_own OR c.team_id IS NULL)
    -- Somebody limited may pass on what he sees by a view of his own, through which others ask, who
    -- are not limited. They have to be let in themselves.
   AND pg_catalog.has_schema_privilege(CURRENT_USER, 'posthog_plugins', 'USAGE');
COMMENT ON VIEW posthog_plugins._visible_config IS 'Configs that whoever asks may see; what is_own may be changed, and its log read';

-- Not STRICT: a role that is NULL, as to_regrole returns for one that is not there, is an error.
CREATE FUNCTION posthog_plugins.grant_role(role regrole, level text) RETURNS void
    AS 'MODULE_PATHNAME', 'grant_role_wrapper' LANGUAGE c;
COMMENT ON FUNCTION posthog_plugins.grant_role IS 'Gives a role the rights of a level, viewer, editor or admin, instead of those it had';

CREATE FUNCTION posthog_plugins.revoke_role(role regrole) RETURNS void
    AS 'MODULE_PATHNAME', 'revoke_role_wrapper' LANGUAGE c;
COMMENT ON FUNCTION posthog_plugins.revoke_role IS 'Takes every right in the schema from a role, and its limit';

CREATE FUNCTION posthog_plugins.limit_to_teams(role regrole, teams integer[]) RETURNS void
    AS 'MODULE_PATHNAME', 'limit_to_teams_wrapper' LANGUAGE c;
COMMENT ON FUNCTION posthog_plugins.limit_to_teams IS 'Lets a role see and change what belongs to these teams only; NULL lifts the limit';
