//! What the columns of a staging table are to a table of events. Looked up as the caller.

use pgrx::pg_sys;
use pgrx::spi::{SpiClient, quote_identifier};

use super::as_caller;
use crate::error::{Error, Result};

/// The two tables of a bulk load, as SQL that can be run under any search_path.
pub struct Load {
    /// Reads the staged rows: a value for each of the columns in `places`.
    pub read: String,
    /// Stores the rows that are in the relation [`ROWS`].
    pub store: String,
    /// Zero-based places in the events table, in the order of what is read.
    pub places: Vec<usize>,
}

/// How the processed rows are called while they are stored. Never looked for in a schema.
pub const ROWS: &str = "posthog_plugins_rows";

/// Finds out how rows of the staging table become rows of the events table.
pub fn plan(events_table: pg_sys::Oid, staging: pg_sys::Oid) -> Result<Load> {
    as_caller(|client| {
        let (table, qualified) = name(client, events_table)?;
        let (_, source) = name(client, staging)?;
        let may = "SELECT pg_catalog.has_any_column_privilege($1, 'INSERT')";
        if client.select(may, Some(1), &[events_table.into()])?.first().get(1)? != Some(true) {
            return Err(Error::MayNotInsert(table));
        }
        refuse_others(client, events_table, staging, &table)?;
        let columns = columns(client, events_table, staging, &table)?;
        let values: Vec<_> = columns.iter().map(|column| column.value.as_str()).collect();
        let stored = columns.iter().filter(|column| column.is_stored);
        let stored: Vec<_> = stored.map(|column| quote_identifier(&column.name)).collect();
        let (values, stored) = (values.join(", "), stored.join(", "));
        Ok(Load {
            read: format!("SELECT {values} FROM {source} AS staged"),
            store: format!("INSERT INTO {qualified} ({stored}) SELECT {stored} FROM {ROWS}"),
            places: columns.iter().map(|column| column.place).collect(),
        })
    })
}

struct Column {
    place: usize,
    name: String,
    /// Where its values come from.
    value: String,
    /// Not if it is an identity column that gives itself a value when the row is stored.
    is_stored: bool,
}

/// The columns that rows have before they are stored. Generated ones get their values after that.
fn columns(
    client: &SpiClient<'_>,
    events_table: pg_sys::Oid,
    staging: pg_sys::Oid,
    table: &str,
) -> Result<Vec<Column>> {
    // A default may be written in another type than the column's.
    let rows = client.select(
        "SELECT a.attnum::int4, a.attname::text,
                pg_catalog.format_type(a.atttypid, a.atttypmod),
                pg_catalog.format_type(s.atttypid, s.atttypmod),
                CASE WHEN a.attidentity <> 'a' THEN s.attname::text END,
                CASE WHEN a.attidentity = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
                a.attidentity = '' OR a.attidentity = 'd' AND s.attnum IS NOT NULL
           FROM pg_catalog.pg_attribute AS a
           LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
           LEFT JOIN pg_catalog.pg_attribute AS s
             ON s.attrelid = $2 AND s.attname = a.attname AND s.attnum > 0 AND NOT s.attisdropped
          WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
          ORDER BY a.attnum",
        None,
        &[events_table.into(), staging.into()],
    )?;
    rows.map(|row| {
        let number: i32 = row.get(1)?.unwrap_or_default();
        let name: String = row.get(2)?.unwrap_or_default();
        let type_name: String = row.get(3)?.unwrap_or_default();
        let (staged_type, staged): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
        let default: Option<String> = row.get(6)?;
        let value = match (&staged, default) {
            (Some(_), _) if staged_type.as_ref() != Some(&type_name) => {
                let found = staged_type.unwrap_or_default();
                let table = table.to_owned();
                return Err(Error::StagedInOtherType { table, column: name, type_name, found });
            }
            (Some(staged), _) => format!("staged.{}", quote_identifier(staged)),
            (None, Some(default)) => format!("CAST({default} AS {type_name})"),
            (None, None) => "NULL".to_owned(),
        };
        let is_stored = row.get(7)?.unwrap_or_default();
        Ok(Column {
            place: usize::try_from(number - 1).unwrap_or_default(),
            name,
            value,
            is_stored,
        })
    })
    .collect()
}

/// An error if the staging table has a column that the events table has not: it would be lost.
fn refuse_others(
    client: &SpiClient<'_>,
    events_table: pg_sys::Oid,
    staging: pg_sys::Oid,
    table: &str,
) -> Result<()> {
    let rows = client.select(
        "SELECT s.attname::text
           FROM pg_catalog.pg_attribute AS s
          WHERE s.attrelid = $2 AND s.attnum > 0 AND NOT s.attisdropped
            AND NOT EXISTS (SELECT 1
                              FROM pg_catalog.pg_attribute AS a
                             WHERE a.attrelid = $1 AND a.attname = s.attname AND a.attnum > 0
                               AND NOT a.attisdropped)
          ORDER BY s.attnum",
        Some(1),
        &[events_table.into(), staging.into()],
    )?;
    match rows.into_iter().next() {
        None => Ok(()),
        Some(row) => {
            let (table, column) = (table.to_owned(), row.get(1)?.unwrap_or_default());
            Err(Error::NoSuchColumn { table, column })
        }
    }
}

/// The name for messages, and the one for SQL.
fn name(client: &SpiClient<'_>, id: pg_sys::Oid) -> Result<(String, String)> {
    let rows = client.select(
        "SELECT c.relname::text, pg_catalog.format('%I.%I', n.nspname, c.relname)
           FROM pg_catalog.pg_class AS c
           JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
          WHERE c.oid = $1",
        Some(1),
        &[id.into()],
    )?;
    match rows.into_iter().next() {
        None => Err(Error::NoSuchTable(id.to_u32())),
        Some(row) => Ok((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default())),
    }
}
