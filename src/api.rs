//! What SQL calls.

// pgrx takes errors as this type, whose size does not matter in a call that fails.
#![allow(clippy::result_large_err)]

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::chain::{self, Processed};
use crate::event::{Event, to_datum};
use crate::{backend, journal, settings, store};

type Answer<T> = Result<T, ErrorReport>;

extension_sql!(
    r#"
CREATE FUNCTION process_event(event jsonb) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'process_event'
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION process_event(jsonb) IS 'Runs the enabled plugins on an event; NULL when one of them discards it';
"#,
    name = "process_event"
);

/// What PostgreSQL looks up before it calls `process_event`.
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_process_event() -> &'static pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// Written against the call convention itself: through pgrx's `JsonB` an event would become text
/// and a tree on its way in and out.
///
/// # Safety
/// Called by PostgreSQL as a strict function of one jsonb.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn process_event(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: by contract there is one argument, and it is not null.
    let argument = unsafe { (*(*fcinfo).args.as_ptr()).value };
    if !settings::enabled() {
        return argument;
    }
    backend::accept_messages();
    // SAFETY: the argument is a jsonb.
    let event = unsafe { Event::of_datum(argument) };
    let processed = backend::with(|backend| chain::process(backend, &event));
    journal::relieve();
    store::relieve();
    match processed {
        Ok(Processed::Unchanged) => argument,
        Ok(Processed::Changed(event)) => to_datum(&event),
        Ok(Processed::Discarded) => {
            // SAFETY: the call is ours to answer.
            unsafe { (*fcinfo).isnull = true };
            pg_sys::Datum::null()
        }
        Err(error) => {
            ErrorReport::from(error).report(PgLogLevel::ERROR);
            unreachable!("an ERROR does not return")
        }
    }
}

#[pg_schema]
pub mod posthog_plugins {
    use pgrx::pg_sys::panic::ErrorReport;
    use pgrx::prelude::*;
    use pgrx::{JsonB, pg_sys};
    use serde_json::{Map, Value};

    use super::Answer;
    use std::ffi::CStr;

    use crate::catalog::attached;
    use crate::catalog::configs::{self, Target};
    use crate::catalog::hosts;
    use crate::catalog::links::OnError;
    use crate::catalog::{plugins, teams};
    use crate::error::Error;
    use crate::install::{self, Given};
    use crate::{backend, library, trigger, worker};

    /// Installs a plugin from its source, or a new version of it, and returns its name.
    #[pg_extern]
    fn install(
        source: &str,
        manifest: default!(JsonB, "'{}'"),
        name: default!(Option<&str>, "NULL"),
    ) -> Answer<String> {
        let given = Given { source, file_name: None, manifest: manifest.0, name, cases: None };
        Ok(install::install(given)?)
    }

    /// Installs a plugin from a .zip or .tar.gz.
    #[pg_extern]
    fn install_archive(archive: &[u8]) -> Answer<String> {
        Ok(install::install_archive(archive)?)
    }

    /// Installs a plugin from a folder of the server.
    #[pg_extern]
    fn install_directory(path: &str) -> Answer<String> {
        Ok(install::install_directory(path)?)
    }

    /// Installs a plugin that comes with the extension.
    #[pg_extern]
    fn install_bundled(name: &str) -> Answer<String> {
        Ok(install::install_bundled(name)?)
    }

    /// Makes an earlier version current: the given one, or the one before. Returns its number.
    #[pg_extern]
    fn rollback(plugin: &str, version: default!(Option<i32>, "NULL")) -> Answer<i32> {
        teams::check(None)?;
        let version = plugins::rollback(plugin, version)?;
        backend::retire_changed()?;
        Ok(version)
    }

    /// Removes a plugin with its configs, attachments, secrets and logs.
    #[pg_extern]
    fn uninstall(plugin: &str) -> Answer<()> {
        teams::check(None)?;
        plugins::remove(plugin)?;
        Ok(backend::retire_changed()?)
    }

    /// Stores the settings of a plugin and returns the config's id. Secrets that are not given stay.
    #[pg_extern]
    fn configure(
        plugin: &str,
        config: JsonB,
        team_id: default!(Option<i32>, "NULL"),
        label: default!(&str, "''"),
        on_error: default!(Option<&str>, "NULL"),
    ) -> Answer<i32> {
        let on_error = on_error
            .map(|name| OnError::parse(name).ok_or_else(|| Error::BadErrorPolicy(name.to_owned())))
            .transpose()?;
        let Value::Object(config) = config.0 else {
            return Err(Error::ConfigIsNotAnObject(plugin.to_owned()).into());
        };
        let target = Target::of_caller(plugin, team_id, label)?;
        let (id, unknown) = configs::configure(target, config, on_error)?;
        for key in unknown {
            notice!("the manifest of plugin \"{plugin}\" has no field \"{key}\"");
        }
        backend::retire_changed()?;
        Ok(id)
    }

    /// Stores a file for `meta.attachments`.
    #[pg_extern]
    fn set_attachment(
        plugin: &str,
        key: &str,
        file_name: &str,
        content_type: &str,
        contents: &[u8],
        team_id: default!(Option<i32>, "NULL"),
        label: default!(&str, "''"),
    ) -> Answer<()> {
        let target = Target::of_caller(plugin, team_id, label)?;
        configs::set_attachment(target, key, file_name, content_type, contents)?;
        Ok(backend::retire_changed()?)
    }

    /// Replaces the list of hosts that `fetch` reaches for a config, and returns it as it is stored.
    #[pg_extern]
    fn allow_hosts(
        plugin: &str,
        hosts: Option<Vec<Option<String>>>,
        team_id: default!(Option<i32>, "NULL"),
        label: default!(&str, "''"),
    ) -> Answer<Vec<String>> {
        let target = Target::of_caller(plugin, team_id, label)?;
        let stored = hosts::allow(target, hosts.unwrap_or_default())?;
        backend::retire_changed()?;
        Ok(stored)
    }

    /// Appends a config to the chain and returns its position.
    #[pg_extern]
    fn enable(
        plugin: &str,
        team_id: default!(Option<i32>, "NULL"),
        label: default!(&str, "''"),
    ) -> Answer<i32> {
        Ok(configs::enable(Target::of_caller(plugin, team_id, label)?)?)
    }

    /// Takes a config out of the chain; its settings stay.
    #[pg_extern]
    fn disable(
        plugin: &str,
        team_id: default!(Option<i32>, "NULL"),
        label: default!(&str, "''"),
    ) -> Answer<()> {
        configs::disable(Target::of_caller(plugin, team_id, label)?)?;
        Ok(backend::retire_changed()?)
    }

    /// Moves a config to a position of the chain and returns where it is now.
    #[pg_extern(name = "move")]
    fn move_to(
        plugin: &str,
        position: i32,
        team_id: default!(Option<i32>, "NULL"),
        label: default!(&str, "''"),
    ) -> Answer<i32> {
        Ok(configs::move_to(Target::of_caller(plugin, team_id, label)?, position)?)
    }

    /// Runs the plugins on every row that is inserted into a table. In sql/attach.sql, for types
    /// that have none in Rust.
    #[pg_extern(sql = false)]
    fn attach(events_table: Option<pg_sys::Oid>, event_column: Option<&CStr>) -> Answer<()> {
        attached::attach(events_table, event_column)?;
        // What plugins have captured may have waited for it.
        worker::wake_at_commit();
        Ok(())
    }

    /// Takes the plugins off a table. In sql/attach.sql.
    #[pg_extern(sql = false)]
    fn detach(events_table: pg_sys::Oid) -> Answer<()> {
        Ok(attached::detach(events_table)?)
    }

    /// Stores staged rows as the plugins leave them. In sql/attach.sql.
    #[pg_extern(sql = false)]
    fn ingest(
        events_table: pg_sys::Oid,
        staging: pg_sys::Oid,
    ) -> Result<TableIterator<'static, (name!(stored, i64), name!(discarded, i64))>, ErrorReport>
    {
        let ingested = trigger::ingest(events_table, staging)?;
        Ok(TableIterator::once((ingested.stored, ingested.discarded)))
    }

    /// Behind the view `library`.
    #[pg_extern]
    fn _library() -> TableIterator<
        'static,
        (
            name!(name, String),
            name!(title, String),
            name!(description, String),
            name!(settings, JsonB),
        ),
    > {
        let text = |manifest: &Map<String, Value>, key: &str| {
            manifest.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        TableIterator::new(library::LIBRARY.iter().map(move |bundled| {
            let manifest: Map<String, Value> =
                serde_json::from_str(bundled.manifest).unwrap_or_default();
            let settings = manifest.get("config").cloned().unwrap_or_default();
            let title = text(&manifest, "name");
            (bundled.name.to_owned(), title, text(&manifest, "description"), JsonB(settings))
        }))
    }

    /// Behind the triggers on the chain's tables.
    #[pg_trigger]
    fn _chain_changed<'a>(
        trigger: &'a pgrx::PgTrigger<'a>,
    ) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, pgrx::PgTriggerError> {
        backend::announce_change(trigger.relid()?);
        Ok(None::<PgHeapTuple<'a, pgrx::AllocatedByPostgres>>)
    }
}
