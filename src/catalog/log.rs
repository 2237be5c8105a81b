//! Writing plugin_log and plugin_error.

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiResult};

use super::attempt;
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
    attempt(|client| {
        insert_lines(client, lines)?;
        errors.iter().try_for_each(|error| insert_error(client, error))
    })
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
