//! What SQL calls to give roles their rights. sql/roles.sql declares it: pgrx has no regrole.

// pgrx takes errors as this type, whose size does not matter in a call that fails.
#![allow(clippy::result_large_err)]

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::catalog::levels::Level;
use crate::catalog::{roles, teams};
use crate::error::{Error, Result};

#[pg_extern(sql = false)]
fn grant_role(
    role: Option<pg_sys::Oid>,
    level: Option<&str>,
) -> std::result::Result<(), ErrorReport> {
    let level = level.unwrap_or_default();
    let level = Level::parse(level).ok_or_else(|| Error::BadLevel(level.to_owned()))?;
    Ok(roles::grant(given(role)?, level)?)
}

#[pg_extern(sql = false)]
fn revoke_role(role: Option<pg_sys::Oid>) -> std::result::Result<(), ErrorReport> {
    Ok(roles::revoke(given(role)?)?)
}

#[pg_extern(sql = false)]
fn limit_to_teams(
    role: Option<pg_sys::Oid>,
    teams: Option<Vec<Option<i32>>>,
) -> std::result::Result<(), ErrorReport> {
    let teams = teams
        .map(|teams| teams.into_iter().map(|team| team.ok_or(Error::TeamIsNull)).collect())
        .transpose();
    Ok(teams::limit(given(role)?, teams?)?)
}

fn given(role: Option<pg_sys::Oid>) -> Result<pg_sys::Oid> {
    role.ok_or(Error::RoleIsNull)
}
