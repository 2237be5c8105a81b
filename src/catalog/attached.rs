//! Attaching: creating and dropping the triggers of events tables. All of it runs as the caller, so
//! nobody attaches what is not theirs; PostgreSQL's own rules for triggers apply on top.

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::spi::{SpiClient, quote_identifier, quote_literal};

use super::as_caller;
use crate::error::{Error, Result};

/// Triggers fire in the order of their names' bytes. The underscore is before all lower-case letters,
/// so this one is before all triggers with ordinary names, which see what the plugins made of the
/// row; digits, capitals and a second underscore are before it.
const TRIGGER: &str = "_posthog_plugins_process";

/// The one after them, for which the order does not matter.
const AFTER: &str = "_posthog_plugins_enqueue";

struct Table {
    id: pg_sys::Oid,
    name: String,
    /// As it is written in SQL, with its schema.
    qualified: String,
    /// Whether there is a trigger that gets all rows that come into the table by a statement. There is
    /// none on foreign tables; one on a partitioned table misses what is inserted into a partition,
    /// and one on a partition what is inserted through its table.
    has_transitions: bool,
}

struct Trigger {
    name: String,
    table: String,
    /// The table that it was created on, if not on this one.
    parent: Option<String>,
}

/// Creates the triggers.
pub fn attach(table: Option<pg_sys::Oid>, event_column: Option<&CStr>) -> Result<()> {
    let table = table.ok_or(Error::NoTable)?;
    let event_column = event_column
        .map(|name| name.to_str().map(str::to_owned).map_err(|_| Error::NotUtf8))
        .transpose()?;
    as_caller(|client| {
        let table = Table::find(client, table)?;
        if let Some(column) = &event_column {
            check_column(client, &table, column)?;
        }
        if let Some(trigger) = triggers(client, &table, WITH_PARTITIONS)?.into_iter().next() {
            let (trigger, place) = (trigger.name, trigger.table);
            return Err(Error::AlreadyAttached { table: table.name, trigger, place });
        }
        let (condition, argument) = match &event_column {
            // PostgreSQL keeps the condition up to date when the column is renamed.
            Some(column) => (
                format!("WHEN (NEW.{} IS NOT NULL)", quote_identifier(column)),
                quote_literal(column),
            ),
            None => Default::default(),
        };
        let statement = format!(
            "CREATE TRIGGER {TRIGGER} BEFORE INSERT ON {} FOR EACH ROW {condition}
                 EXECUTE FUNCTION posthog_plugins.process_row({argument})",
            table.qualified
        );
        client.update(statement.as_str(), None, &[])?;
        let rows = if table.has_transitions {
            "REFERENCING NEW TABLE AS posthog_plugins_rows FOR EACH STATEMENT".to_owned()
        } else {
            format!("FOR EACH ROW {condition}")
        };
        let statement = format!(
            "CREATE TRIGGER {AFTER} AFTER INSERT ON {} {rows}
                 EXECUTE FUNCTION posthog_plugins.enqueue_rows({argument})",
            table.qualified
        );
        client.update(statement.as_str(), None, &[])?;
        Ok(())
    })
}

/// Drops the table's triggers that run plugins, whatever they are called and whoever made them.
pub fn detach(table: pg_sys::Oid) -> Result<()> {
    as_caller(|client| {
        let table = Table::find(client, table)?;
        let triggers = triggers(client, &table, "t.tgrelid = $1")?;
        if triggers.is_empty() {
            return Err(Error::NotAttached(table.name));
        }
        for trigger in triggers {
            if let Some(parent) = trigger.parent {
                return Err(Error::AttachedThroughParent { table: table.name, parent });
            }
            let name = quote_identifier(trigger.name);
            let statement = format!("DROP TRIGGER {name} ON {}", table.qualified);
            client.update(statement.as_str(), None, &[])?;
        }
        Ok(())
    })
}

impl Table {
    /// The table, if it is one that can have the trigger and belongs to the caller.
    fn find(client: &SpiClient<'_>, id: pg_sys::Oid) -> Result<Self> {
        let rows = client.select(
            "SELECT c.relname::text, pg_catalog.format('%I.%I', n.nspname, c.relname),
                    c.relkind::text, pg_catalog.pg_has_role(c.relowner, 'USAGE'),
                    c.relkind = 'r' AND NOT c.relispartition
               FROM pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
              WHERE c.oid = $1",
            Some(1),
            &[id.into()],
        )?;
        let Some(row) = rows.into_iter().next() else {
            return Err(Error::NoSuchTable(id.to_u32()));
        };
        let name: String = row.get(1)?.unwrap_or_default();
        let kind: String = row.get(3)?.unwrap_or_default();
        if let Some(kind) = unfit(&kind) {
            return Err(Error::NotATable { table: name, kind });
        }
        if row.get(4)? != Some(true) {
            return Err(Error::NotTheOwner(name));
        }
        let has_transitions = row.get(5)?.unwrap_or_default();
        Ok(Table { id, name, qualified: row.get(2)?.unwrap_or_default(), has_transitions })
    }
}

/// What a relation is that has no row triggers before an insert.
fn unfit(kind: &str) -> Option<&'static str> {
    match kind {
        "r" | "p" | "f" => None,
        "v" => Some("a view"),
        "m" => Some("a materialized view"),
        "S" => Some("a sequence"),
        "i" | "I" => Some("an index"),
        "c" => Some("a composite type"),
        _ => Some("no table"),
    }
}

fn check_column(client: &SpiClient<'_>, table: &Table, name: &str) -> Result<()> {
    let rows = client.select(
        "SELECT a.atttypid, a.attgenerated <> ''
           FROM pg_catalog.pg_attribute AS a
          WHERE a.attrelid = $1 AND a.attname = $2::name AND a.attnum > 0 AND NOT a.attisdropped",
        Some(1),
        &[table.id.into(), name.into()],
    )?;
    let (table, column) = (table.name.clone(), name.to_owned());
    let Some(row) = rows.into_iter().next() else {
        return Err(Error::NoSuchColumn { table, column });
    };
    // SAFETY: a look at the catalogs.
    let base = row.get(1)?.map(|type_id| unsafe { pg_sys::getBaseType(type_id) });
    if base != Some(pg_sys::JSONBOID) {
        return Err(Error::EventColumnIsNotJsonb { table, column });
    }
    if row.get(2)? != Some(false) {
        return Err(Error::EventColumnIsGenerated { table, column });
    }
    Ok(())
}

const WITH_PARTITIONS: &str = "(t.tgrelid = $1 OR t.tgrelid IN
    (SELECT part.relid FROM pg_catalog.pg_partition_tree($1) AS part))";

/// The triggers that run plugins, by a condition on pg_trigger in which the table is $1.
fn triggers(client: &SpiClient<'_>, table: &Table, which: &str) -> Result<Vec<Trigger>> {
    // Not by the function's name as a constant: that would need a right to its schema.
    let query = format!(
        "SELECT t.tgname::text, c.relname::text, parent_table.relname::text
           FROM pg_catalog.pg_trigger AS t
           JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
           JOIN pg_catalog.pg_proc AS p
             ON p.oid = t.tgfoid AND p.proname IN ('process_row', 'enqueue_rows')
           JOIN pg_catalog.pg_namespace AS n
             ON n.oid = p.pronamespace AND n.nspname = 'posthog_plugins'
           LEFT JOIN pg_catalog.pg_trigger AS parent ON parent.oid = t.tgparentid
           LEFT JOIN pg_catalog.pg_class AS parent_table ON parent_table.oid = parent.tgrelid
          WHERE {which}
          ORDER BY t.tgrelid <> $1, p.proname DESC, t.tgname"
    );
    client
        .select(query.as_str(), None, &[table.id.into()])?
        .map(|row| {
            Ok(Trigger {
                name: row.get(1)?.unwrap_or_default(),
                table: row.get(2)?.unwrap_or_default(),
                parent: row.get(3)?,
            })
        })
        .collect()
}
