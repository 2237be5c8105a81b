//! The version of the SQL objects in a database, which `ALTER EXTENSION` brings up to the version
//! of the library. Between the two, and in sessions that began before, they differ.

use std::cell::Cell;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiResult};

use super::as_caller;
use crate::error::{Error, Result};

const OF_LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// Refuses to write tables that may look different from what the library knows.
pub(super) fn require_same(client: &SpiClient<'_>) -> Result<()> {
    match other(client)? {
        None => Ok(()),
        Some(version) => Err(error(version)),
    }
}

/// Reads, and when that fails for want of what another version has, says so. If it works the plugins
/// run: an update of the package must not stop events until somebody has updated the extension.
pub(super) fn tolerate_other<R>(
    client: &mut SpiClient<'_>,
    read: impl FnOnce(&mut SpiClient<'_>) -> SpiResult<R>,
) -> Result<R> {
    use PgSqlErrorCode::{
        ERRCODE_UNDEFINED_COLUMN, ERRCODE_UNDEFINED_FUNCTION, ERRCODE_UNDEFINED_TABLE,
    };
    let Some(version) = other(client)? else {
        return Ok(read(client)?);
    };
    tell_once(version.clone());
    let refuse = |_| Err(error(version.clone()));
    PgTryBuilder::new(std::panic::AssertUnwindSafe(|| Ok(read(client)?)))
        .catch_when(ERRCODE_UNDEFINED_COLUMN, refuse)
        .catch_when(ERRCODE_UNDEFINED_TABLE, refuse)
        .catch_when(ERRCODE_UNDEFINED_FUNCTION, refuse)
        .execute()
}

/// How the extension stands in this database.
pub enum Standing {
    Absent,
    Current,
    /// Of another version; what to do about it.
    Other(Error),
}

pub fn standing() -> Result<Standing> {
    let version = as_caller(|client| installed(client))?;
    Ok(match version {
        None => Standing::Absent,
        Some(version) if version == OF_LIBRARY => Standing::Current,
        Some(version) => Standing::Other(error(version)),
    })
}

/// The version in this database, if it is not the library's.
fn other(client: &SpiClient<'_>) -> SpiResult<Option<String>> {
    Ok(installed(client)?.filter(|version| version != OF_LIBRARY))
}

fn installed(client: &SpiClient<'_>) -> SpiResult<Option<String>> {
    let version = client
        .select(
            "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'posthog_plugins'",
            Some(1),
            &[],
        )?
        .next()
        .map(|row| row.get::<String>(1))
        .transpose()?;
    Ok(version.flatten())
}

fn error(installed: String) -> Error {
    Error::OtherVersion { installed, library: OF_LIBRARY }
}

/// In the server's log, once in a session.
fn tell_once(installed: String) {
    thread_local! {
        static TOLD: Cell<bool> = const { Cell::new(false) };
    }
    if !TOLD.replace(true) {
        ErrorReport::from(error(installed)).report(PgLogLevel::LOG_SERVER_ONLY);
    }
}
