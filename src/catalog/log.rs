//! Writing plugin_log and plugin_error.

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiResult};

use super::as_owner;
use crate::event::to_datum;

pub struct LogRow {
    pub at: TimestampWithTimeZone,
    pub config_id: i32,
    pub plugin: String,
    pub source: &'static str,
    pub level: String,
    pub message: String,
}

pub struct ErrorRow {
    pub at: TimestampWithTimeZone,
    pub config_id: i32,
    pub kind: &'static str,
    pub message: String,
    pub stack: Option<String>,
    /// jsonb
    pub event: Option<Vec<u8>>,
    pub failures: i64,
}

/// Writes the rows, or nothing and says why not: a log that cannot be written must not end the
/// transaction it is about.
pub fn write(lines: &[LogRow], errors: &[ErrorRow]) -> Result<(), String> {
    // SAFETY: a transaction is running; the subtransaction is ended on both ways, and the memory
    // context and resource owner that it replaced are put back.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let resources = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        // Before a commit there is no active snapshot.
        let written = PgTryBuilder::new(|| {
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            let written = as_owner(|client| {
                insert_lines(client, lines)?;
                errors.iter().try_for_each(|error| insert_error(client, error))
            });
            pg_sys::PopActiveSnapshot();
            written.map_err(Unwritten::Spi)
        })
        .catch_others(|error| Err(Unwritten::Postgres(Box::new(error))))
        .execute();
        if written.is_ok() {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = resources;
        written.map_err(Unwritten::reason)
    }
}

enum Unwritten {
    Spi(pgrx::spi::Error),
    Postgres(Box<CaughtError>),
}

impl Unwritten {
    /// Why; but a cancelled statement is to end, not to go on without its log.
    fn reason(self) -> String {
        let error = match self {
            Unwritten::Spi(error) => return error.to_string(),
            Unwritten::Postgres(error) => error,
        };
        let report = match &*error {
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic { ereport: report, .. } => report,
        };
        if report.sql_error_code() == PgSqlErrorCode::ERRCODE_QUERY_CANCELED {
            error.rethrow();
        }
        report.message().to_owned()
    }
}

fn insert_lines(client: &mut SpiClient<'_>, lines: &[LogRow]) -> SpiResult<()> {
    let column = |text: fn(&LogRow) -> &str| -> Vec<&str> { lines.iter().map(text).collect() };
    let times: Vec<TimestampWithTimeZone> = lines.iter().map(|line| line.at).collect();
    let configs: Vec<i32> = lines.iter().map(|line| line.config_id).collect();
    client.update(
        "INSERT INTO posthog_plugins.plugin_log (logged_at, config_id, source, level, message)
         -- Unqualified: with several arrays it is syntax, not a function.
         SELECT * FROM unnest(
             $1::timestamptz[], $2::integer[], $3::text[], $4::text[], $5::text[])",
        None,
        &[
            times.into(),
            configs.into(),
            column(|line| line.source).into(),
            column(|line| &line.level).into(),
            column(|line| &line.message).into(),
        ],
    )?;
    Ok(())
}

fn insert_error(client: &mut SpiClient<'_>, error: &ErrorRow) -> SpiResult<()> {
    let event = error.event.as_deref().map(to_datum);
    // SAFETY: the datum is a jsonb, as the type says.
    let event = unsafe { DatumWithOid::new(event, pg_sys::JSONBOID) };
    client.update(
        "INSERT INTO posthog_plugins.plugin_error
             (failed_at, config_id, kind, message, stack, event, failures)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        None,
        &[
            error.at.into(),
            error.config_id.into(),
            error.kind.into(),
            error.message.as_str().into(),
            error.stack.as_deref().into(),
            event,
            error.failures.into(),
        ],
    )?;
    Ok(())
}
