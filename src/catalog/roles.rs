//! Levels of roles, kept where PostgreSQL keeps rights: what is here only grants and revokes, as
//! the owner.

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiResult};

use super::levels::{Level, Right, rights};
use super::plugins::lock;
use super::{as_owner, teams};
use crate::error::{Error, Result};

/// Gives a role the rights of a level, and takes away what else it had.
pub fn grant(role: pg_sys::Oid, level: Level) -> Result<()> {
    let grantee = quoted_name(role)?;
    as_owner(|client| -> Result<_> {
        begin(client, role, &grantee)?;
        revoke_all(client, &grantee)?;
        run(client, &format!("GRANT USAGE ON SCHEMA posthog_plugins TO {grantee}"))?;
        for right in rights(level) {
            let what = match right {
                Right::View(view) => format!("SELECT ON posthog_plugins.{view}"),
                Right::Columns(view, columns) => {
                    format!("SELECT ({columns}) ON posthog_plugins.{view}")
                }
                Right::Call(name) => format!("EXECUTE ON ROUTINE {}", overloads(client, name)?),
            };
            run(client, &format!("GRANT {what} TO {grantee}"))?;
        }
        Ok(())
    })
}

/// Takes every right in the schema from a role, also those that somebody else granted it by hand.
pub fn revoke(role: pg_sys::Oid) -> Result<()> {
    let grantee = quoted_name(role)?;
    as_owner(|client| -> Result<_> {
        begin(client, role, &grantee)?;
        teams::lift(client, role)?;
        Ok(revoke_all(client, &grantee)?)
    })
}

/// One after the other: PostgreSQL fails on two grants of the same thing at once.
fn begin(client: &mut SpiClient<'_>, role: pg_sys::Oid, name: &str) -> Result<()> {
    lock(client)?;
    // SAFETY: reads who is the current role: in here, the owner.
    if role == unsafe { pg_sys::GetUserId() } {
        return Err(Error::RoleIsTheOwner(name.to_owned()));
    }
    Ok(())
}

fn revoke_all(client: &mut SpiClient<'_>, grantee: &str) -> SpiResult<()> {
    // CASCADE: with what the role was allowed to pass on.
    for what in [
        "ALL TABLES IN SCHEMA posthog_plugins",
        "ALL SEQUENCES IN SCHEMA posthog_plugins",
        "ALL ROUTINES IN SCHEMA posthog_plugins",
        "SCHEMA posthog_plugins",
    ] {
        run(client, &format!("REVOKE ALL ON {what} FROM {grantee} CASCADE"))?;
    }
    Ok(())
}

/// Every function of the name, as GRANT lists them. One that is missing is named as it is, for
/// PostgreSQL to complain about.
fn overloads(client: &SpiClient<'_>, name: &str) -> Result<String> {
    let found = client
        .select(
            "SELECT pg_catalog.string_agg(oid::regprocedure::text, ', ')
               FROM pg_catalog.pg_proc
              WHERE pronamespace = 'posthog_plugins'::regnamespace AND proname = $1",
            Some(1),
            &[name.into()],
        )?
        .first()
        .get_one::<String>()?;
    Ok(found.unwrap_or_else(|| format!("posthog_plugins.{name}")))
}

fn run(client: &mut SpiClient<'_>, statement: &str) -> SpiResult<()> {
    client.update(statement, None, &[]).map(drop)
}

/// The name of a role as it is written in SQL.
pub(super) fn quoted_name(role: pg_sys::Oid) -> Result<String> {
    // SAFETY: both return NUL-terminated text that lives as long as the call's memory context, the
    // first one NULL where there is no such role.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        if name.is_null() {
            return Err(Error::NoSuchRole(role.to_u32()));
        }
        Ok(CStr::from_ptr(pg_sys::quote_identifier(name)).to_string_lossy().into_owned())
    }
}
