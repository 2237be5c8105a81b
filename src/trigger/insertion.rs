//! The statement that inserts an event into an attached table, whose trigger makes of the row the event
//! that it was made from.

use jsonb::{Document, Object, Ref};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use super::call::Call;
use super::ingest::runs_plugins;
use super::target::{self, Form};
use crate::catalog::backfills;
use crate::error::{Error, Result};

pub struct Insertion {
    /// Takes the event as its argument.
    pub statement: String,
    /// The owner of the table.
    pub owner: pg_sys::Oid,
}

/// The statement for an event. The table stays locked as by an INSERT until the transaction ends. Fields
/// that are null are left to the columns' defaults, as are columns that are no field.
pub fn insertion(table: pg_sys::Oid, event: &[u8]) -> Result<Insertion> {
    let Ok(Ref::Object(event)) = Document::new(event).map(|event| event.root()) else {
        return Err(Error::EventIsNotAnObject);
    };
    attached(table, pg_sys::RowExclusiveLock, |call| {
        // SAFETY: the relation is open and locked.
        let owner = unsafe { (*(*call.relation()).rd_rel).relowner };
        Ok(Insertion { statement: statement(call, &event)?, owner })
    })
}

/// How the rows of a table are events, if it is attached.
pub fn form(table: pg_sys::Oid) -> Result<Option<backfills::Form>> {
    let found = attached(table, pg_sys::AccessShareLock, |call| {
        let event_column = event_column(call)?;
        Ok(backfills::Form { event_column, ..Default::default() })
    });
    match found {
        Ok(form) => Ok(Some(form)),
        Err(Error::NotAttached(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Does something to a table as its trigger would be called.
fn attached<R>(table: pg_sys::Oid, lock: u32, work: impl FnOnce(&Call) -> Result<R>) -> Result<R> {
    // SAFETY: the table is open and locked until the end of the transaction; its triggers are copied, as
    // whoever looks for new ones meanwhile frees those of the relation.
    unsafe {
        let relation = pg_sys::table_open(table, lock as i32);
        let triggers = pg_sys::CopyTriggerDesc((*relation).trigdesc);
        let all = match triggers.as_ref() {
            Some(all) => std::slice::from_raw_parts_mut(all.triggers, all.numtriggers as usize),
            None => &mut [],
        };
        let trigger = all.iter_mut().find(|trigger| runs_plugins(trigger));
        let mut data = pg_sys::TriggerData {
            type_: pg_sys::NodeTag::T_TriggerData,
            tg_event: pg_sys::TRIGGER_EVENT_INSERT
                | pg_sys::TRIGGER_EVENT_BEFORE
                | pg_sys::TRIGGER_EVENT_ROW,
            tg_relation: relation,
            ..Default::default()
        };
        let done = match trigger {
            Some(trigger) => {
                data.tg_trigger = trigger;
                work(&Call::of(&mut data))
            }
            None => Err(Error::NotAttached(Call::of(&mut data).relation_name())),
        };
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        done
    }
}

/// The column that is the event; `None` if the columns are its fields.
fn event_column(call: &Call) -> Result<Option<String>> {
    let target = target::take(call)?;
    let event_column = match &target.form {
        Form::EventColumn { index, .. } => Some(call.column_name(*index)),
        Form::Fields(_) => None,
    };
    target::put_back(call, target);
    Ok(event_column)
}

fn statement(call: &Call, event: &Object<'_>) -> Result<String> {
    let name = qualified(call);
    let event_column = event_column(call)?;
    let mut columns = fields(call, event, event_column.as_deref())?;
    let mut values: Vec<String> = columns.iter().map(|column| format!("row_.{column}")).collect();
    if let Some(column) = event_column {
        columns.push(quote_identifier(column));
        values.push("$1".to_owned());
    }
    Ok(format!(
        "INSERT INTO {name} ({columns})
         SELECT {values} FROM pg_catalog.jsonb_populate_record(NULL::{name}, $1) AS row_",
        columns = columns.join(", "),
        values = values.join(", "),
    ))
}

/// The columns that have the names of fields. Beside a column that is the event as well, for tables that
/// have the team or the time in a column of its own.
fn fields(call: &Call, event: &Object<'_>, event_column: Option<&str>) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    for (index, attribute) in call.attributes().iter().enumerate() {
        let is_written_by_itself =
            attribute.attgenerated != 0 || attribute.attidentity as u8 == b'a';
        if attribute.attisdropped || is_written_by_itself {
            continue;
        }
        let name = call.column_name(index);
        let value = event.get(&name)?.filter(|value| !matches!(value, Ref::Null));
        if value.is_some() && event_column != Some(&*name) {
            columns.push(quote_identifier(name));
        }
    }
    Ok(columns)
}

fn qualified(call: &Call) -> String {
    // SAFETY: a look at the catalogs; the schema exists while a relation in it is locked.
    let schema = unsafe {
        let schema = (*(*call.relation()).rd_rel).relnamespace;
        std::ffi::CStr::from_ptr(pg_sys::get_namespace_name(schema)).to_string_lossy().into_owned()
    };
    format!("{}.{}", quote_identifier(schema), quote_identifier(call.relation_name()))
}
