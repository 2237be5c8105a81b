//! Roles that have to do with some teams only. The views know it by themselves (sql/roles.sql); the
//! functions ask here.

use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiResult};

use super::plugins::lock;
use super::roles::quoted_name;
use super::{as_owner, caller_name};
use crate::error::{Error, Result};

/// Limits a role to teams; without teams it is limited no more.
pub fn limit(role: pg_sys::Oid, teams: Option<Vec<i32>>) -> Result<()> {
    quoted_name(role)?;
    as_owner(|client| -> Result<_> {
        lock(client)?;
        lift(client, role)?;
        if let Some(teams) = teams {
            client.update(
                "INSERT INTO posthog_plugins.team_limit (role, teams) VALUES ($1, $2)",
                None,
                &[role.into(), teams.into()],
            )?;
        }
        Ok(())
    })
}

/// Removes the limit of a role, and those of roles that are no more.
pub(super) fn lift(client: &mut SpiClient<'_>, role: pg_sys::Oid) -> SpiResult<()> {
    client.update(
        "DELETE FROM posthog_plugins.team_limit
          WHERE role = $1 OR role NOT IN (SELECT oid FROM pg_catalog.pg_roles)",
        None,
        &[role.into()],
    )?;
    Ok(())
}

/// The teams that somebody is limited to, if he is.
pub struct Limit(Option<Vec<i32>>);

impl Limit {
    pub fn of_caller() -> Result<Self> {
        Ok(Limit(limit_of_caller()?))
    }

    /// What concerns every team, `None`, is for callers without a limit.
    pub fn admits(&self, team_id: Option<i32>) -> bool {
        match &self.0 {
            Some(teams) => team_id.is_some_and(|team| teams.contains(&team)),
            None => true,
        }
    }
}

/// Refuses a caller who is limited to other teams.
pub fn check(team_id: Option<i32>) -> Result<()> {
    let limit = Limit::of_caller()?;
    if limit.admits(team_id) {
        return Ok(());
    }
    let teams = limit.0.unwrap_or_default();
    Err(Error::NotYourTeam { role: caller_name(), team_id, teams })
}

pub fn is_caller_limited() -> Result<bool> {
    Ok(limit_of_caller()?.is_some())
}

/// The teams that the caller is limited to.
pub fn limit_of_caller() -> Result<Option<Vec<i32>>> {
    // SAFETY: plain calls; the current role exists.
    let caller = unsafe {
        let caller = pg_sys::GetUserId();
        if pg_sys::superuser_arg(caller) {
            return Ok(None);
        }
        caller
    };
    let limits: Option<Vec<Option<i32>>> = as_owner(|client| {
        client
            .select(
                "SELECT pg_catalog.array_agg(DISTINCT team ORDER BY team)
                   FROM posthog_plugins.team_limit AS l
                   LEFT JOIN LATERAL pg_catalog.unnest(l.teams) AS team ON true
                  WHERE pg_catalog.pg_has_role($1, l.role, 'USAGE')",
                Some(1),
                &[caller.into()],
            )?
            .first()
            .get_one()
    })?;
    // An empty limit is a team that is NULL.
    Ok(limits.map(|teams| teams.into_iter().flatten().collect()))
}
