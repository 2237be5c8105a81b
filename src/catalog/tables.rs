//! What PostgreSQL's catalog says about a table with events.

use pgrx::pg_sys;
use pgrx::spi::SpiResult;

use super::as_owner;

pub struct Table {
    /// Qualified and quoted.
    pub name: String,
    /// Whether its rows have a `ctid`.
    pub has_places: bool,
    pub primary_key: Vec<String>,
    /// Columns with a date or a time.
    pub times: Vec<String>,
}

/// `None` for what has no rows, such as an index.
pub fn table(oid: pg_sys::Oid) -> SpiResult<Option<Table>> {
    as_owner(|client| {
        let found = client
            .select(
                "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),
                        c.relkind IN ('r', 'p', 'm'),
                        ARRAY(SELECT a.attname::text
                                FROM pg_catalog.pg_index AS i,
                                     pg_catalog.unnest(i.indkey::smallint[])
                                         WITH ORDINALITY AS k (attnum, place)
                                JOIN pg_catalog.pg_attribute AS a USING (attnum)
                               WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid
                               ORDER BY k.place),
                        ARRAY(SELECT a.attname::text
                                FROM pg_catalog.pg_attribute AS a
                               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                 AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype,
                                                    'date'::regtype))
                   FROM pg_catalog.pg_class AS c
                   JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                  WHERE c.oid = $1 AND c.relkind IN ('r', 'p', 'm', 'v', 'f')",
                Some(1),
                &[oid.into()],
            )?
            .next();
        let Some(row) = found else { return Ok(None) };
        Ok(Some(Table {
            name: row.get(1)?.unwrap_or_default(),
            has_places: row.get(2)?.unwrap_or_default(),
            primary_key: row.get(3)?.unwrap_or_default(),
            times: row.get(4)?.unwrap_or_default(),
        }))
    })
}
