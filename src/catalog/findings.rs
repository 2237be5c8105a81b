//! What is wrong, as sql/health.sql finds it.

use pgrx::spi::SpiResult;

use super::as_owner;
use crate::error::Result;

/// Topic, subject, status, finding, advice.
pub type Finding = (String, Option<String>, String, String, Option<String>);

pub fn all(library_version: &str) -> Result<Vec<Finding>> {
    let found = as_owner(|client| {
        client
            .select(
                "SELECT topic, subject, status, finding, advice FROM posthog_plugins._findings($1)",
                None,
                &[library_version.into()],
            )?
            .map(|row| {
                Ok((
                    row.get(1)?.unwrap_or_default(),
                    row.get(2)?,
                    row.get(3)?.unwrap_or_default(),
                    row.get(4)?.unwrap_or_default(),
                    row.get(5)?,
                ))
            })
            .collect::<SpiResult<_>>()
    });
    Ok(found?)
}
