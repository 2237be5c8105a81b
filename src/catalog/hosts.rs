//! The hosts that a config may reach.

use net::Rules;
use pgrx::pg_sys;

use super::configs::{Target, existing_or_new_id};
use super::plugins::{current, lock};
use super::{as_owner, pauses};
use crate::error::{Error, Result};

/// Replaces the list of a config, and returns it as it is stored; makes a config if there is none.
pub fn allow(target: Target<'_>, hosts: Vec<Option<String>>) -> Result<Vec<String>> {
    let hosts: Option<Vec<String>> = hosts.into_iter().collect();
    let hosts = hosts.ok_or(Error::HostIsNull)?;
    let rules = Rules::parse(hosts.iter().map(String::as_str)).map_err(Error::BadHost)?;
    // SAFETY: asks for the role that called.
    let is_superuser = unsafe { pg_sys::superuser() };
    // What is near the server trusts it, and lends its rights to whoever comes from there.
    if let Some(entry) = rules.first_private()
        && !is_superuser
    {
        return Err(Error::PrivateHost(entry));
    }
    let hosts: Vec<String> = rules.entries().collect();
    as_owner(|client| -> Result<_> {
        lock(client)?;
        current(client, target.plugin)?;
        let id = existing_or_new_id(client, target)?;
        client.update(
            "UPDATE posthog_plugins.plugin_config
                SET hosts = $2, updated_at = pg_catalog.now()
              WHERE id = $1",
            None,
            &[id.into(), hosts.clone().into()],
        )?;
        pauses::lift(client, id)?;
        Ok(())
    })?;
    Ok(hosts)
}
