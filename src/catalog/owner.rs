//! Access to the tables: as their owner, whoever called; or as the caller. Either way with a
//! search_path that nobody else can put objects into.

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::error::Error;
use crate::worker::hold;

/// Runs `work` with SPI as the owner of the extension's tables.
///
/// Errors of PostgreSQL pass through as they are; the transaction's abort restores what was changed
/// here.
pub fn as_owner<R>(work: impl FnOnce(&mut SpiClient<'_>) -> R) -> R {
    let scope = Scope::enter();
    let result = Spi::connect_mut(|client| {
        scope.become_owner();
        work(client)
    });
    scope.leave();
    result
}

/// Runs `work` with SPI as whoever called, for what the caller has to have the right to do.
pub fn as_caller<R>(work: impl FnOnce(&mut SpiClient<'_>) -> R) -> R {
    let scope = Scope::enter();
    let result = Spi::connect_mut(work);
    scope.leave();
    result
}

/// Runs `work` with SPI as a role that is not there to ask for it: with its rights, and as PostgreSQL
/// runs what others wrote in maintenance.
pub fn as_role<R>(role: pg_sys::Oid, work: impl FnOnce(&mut SpiClient<'_>) -> R) -> R {
    let scope = Scope::enter();
    hold::doubt();
    let result = Spi::connect_mut(|client| {
        let restricted =
            pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
        // SAFETY: `leave` or an abort restores it.
        unsafe { pg_sys::SetUserIdAndSecContext(role, scope.security | restricted as i32) };
        work(client)
    });
    scope.leave();
    result
}

/// Does the work with settings, which are as before when that has been done, with all that was set on the
/// way.
pub fn with_settings<R>(settings: &[(&CStr, &CStr)], work: impl FnOnce() -> R) -> R {
    // SAFETY: settings of PostgreSQL's that every session may change; an error restores them with the
    // rest of the transaction's state.
    unsafe {
        let before = pg_sys::NewGUCNestLevel();
        for (name, value) in settings {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        let result = work();
        pg_sys::AtEOXact_GUC(false, before);
        result
    }
}

/// The name of the role that called, as it is recorded for later readers.
pub fn caller_name() -> String {
    // SAFETY: the current role exists; the name is a NUL-terminated copy.
    unsafe {
        let name = pg_sys::GetUserNameFromId(pg_sys::GetUserId(), false);
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

/// The owner of the extension's tables, if there is the extension, and they are its own. From the
/// catalog caches: a query for it took a new session as long as reading a short chain.
fn owner_of_tables() -> Option<pg_sys::Oid> {
    // SAFETY: names are constants; the cached row is read before it is released.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"posthog_plugins".as_ptr(), true);
        let table = pg_sys::get_relname_relid(c"plugin_config".as_ptr(), schema);
        let extension = pg_sys::get_extension_oid(c"posthog_plugins".as_ptr(), true);
        if extension == pg_sys::InvalidOid
            || pg_sys::getExtensionOfObject(pg_sys::RelationRelationId, table) != extension
        {
            return None;
        }
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let row = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(table));
        if row.is_null() {
            return None;
        }
        let owner = (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_class>()).relowner;
        pg_sys::ReleaseSysCache(row);
        Some(owner)
    }
}

struct Scope {
    user: pg_sys::Oid,
    security: i32,
    settings: i32,
}

impl Scope {
    fn enter() -> Self {
        let mut user = pg_sys::InvalidOid;
        let mut security = 0;
        // SAFETY: plain calls; the search_path is a constant that is valid in every database.
        let settings = unsafe {
            pg_sys::GetUserIdAndSecContext(&mut user, &mut security);
            let settings = pg_sys::NewGUCNestLevel();
            pg_sys::set_config_option(
                c"search_path".as_ptr(),
                c"pg_catalog, pg_temp".as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
            settings
        };
        Scope { user, security, settings }
    }

    /// Raises an error where the extension is not: what has its name may be somebody else's, and
    /// is not to be worked on with the caller's rights.
    fn become_owner(&self) {
        let Some(owner) = owner_of_tables() else {
            ErrorReport::from(Error::NotThere).report(PgLogLevel::ERROR);
            unreachable!("an ERROR does not return");
        };
        let local = pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32;
        // SAFETY: the role owns an object, so it exists; `leave` or an abort restores it.
        unsafe { pg_sys::SetUserIdAndSecContext(owner, self.security | local) };
    }

    fn leave(self) {
        // SAFETY: what `enter` found and opened.
        unsafe {
            pg_sys::SetUserIdAndSecContext(self.user, self.security);
            pg_sys::AtEOXact_GUC(false, self.settings);
        }
    }
}
