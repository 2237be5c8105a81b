//! Where the rows of a key are.

use engine::store::{Key, Owner};
use pgrx::datum::DatumWithOid;

pub(super) const STORAGE: &str = "posthog_plugins.plugin_storage";
pub(super) const CACHE: &str = "posthog_plugins.plugin_cache";

pub(super) trait Stored {
    fn table(&self) -> &'static str;

    /// The condition that finds its rows, by its arguments.
    fn condition(&self) -> &'static str;

    fn arguments(&self) -> Vec<DatumWithOid<'_>>;

    /// Its own columns, in the order of its arguments.
    fn columns(&self) -> &'static str;
}

impl Stored for Key {
    fn table(&self) -> &'static str {
        match self.owner {
            Owner::Config(_) => STORAGE,
            Owner::Plugin { .. } => CACHE,
        }
    }

    fn condition(&self) -> &'static str {
        match self.owner {
            Owner::Config(_) => "config_id = $1 AND key = $2",
            Owner::Plugin { .. } => "plugin = $1 AND key = $2 AND team_id IS NOT DISTINCT FROM $3",
        }
    }

    fn arguments(&self) -> Vec<DatumWithOid<'_>> {
        let name = self.name.as_str().into();
        match &self.owner {
            Owner::Config(id) => vec![(*id).into(), name],
            Owner::Plugin { plugin, team_id } => vec![(&**plugin).into(), name, (*team_id).into()],
        }
    }

    fn columns(&self) -> &'static str {
        match self.owner {
            Owner::Config(_) => "config_id, key",
            Owner::Plugin { .. } => "plugin, key, team_id",
        }
    }
}
