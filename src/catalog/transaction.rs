//! `xid8` and `pg_snapshot`, which pgrx has no types for.

use std::ffi::CString;

use delivery::Snapshot;
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;

use super::as_caller;
use crate::error::Result;

/// A transaction's number with its epoch.
#[derive(Debug, Clone, Copy)]
pub struct Transaction(pub u64);

impl FromDatum for Transaction {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        (!is_null).then(|| Transaction(datum.value() as u64))
    }
}

impl IntoDatum for Transaction {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0.into())
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::XID8OID
    }
}

/// A snapshot as an argument of a statement.
pub struct Seen<'a>(pub &'a Snapshot);

impl IntoDatum for Seen<'_> {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        let text = CString::new(self.0.to_string()).ok()?;
        let function = pg_sys::Oid::from(pg_sys::F_PG_SNAPSHOT_IN);
        let text = text.as_ptr().cast_mut();
        // SAFETY: the type's input function, which takes a C string and keeps nothing of it.
        Some(unsafe { pg_sys::OidInputFunctionCall(function, text, pg_sys::InvalidOid, -1) })
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::PG_SNAPSHOTOID
    }
}

/// Whether transactions of this database are prepared for a two-phase commit.
pub fn has_prepared() -> Result<bool> {
    let found = as_caller(|client| {
        let query = "SELECT FROM pg_catalog.pg_prepared_xacts
                      WHERE database = pg_catalog.current_database()";
        client.select(query, Some(1), &[]).map(|rows| !rows.is_empty())
    })?;
    Ok(found)
}
