//! What the plugins made of the event becomes a row again. Fields that they left alone keep the very
//! value that the column had.

use std::cell::Cell;

use jsonb::{Document, Object, Ref};
use pgrx::pg_sys;

use super::call::Call;
use super::column::Column;
use super::history::{History, is_same};
use super::target::{Fields, Form, Target};
use super::{blame, convert, partition};
use crate::backend::Link;
use crate::error::{Error, Result};
use crate::event::to_datum;
use crate::journal;

/// What the chain did to one event.
pub struct Outcome<'a> {
    pub before: &'a [u8],
    pub after: &'a [u8],
    pub history: &'a History<'a>,
}

/// A field that the plugins changed and that has a column. `None`: they removed it.
struct Change<'a> {
    column: &'a Column,
    value: Option<Ref<'a>>,
}

/// The row for the event that the plugins made.
pub fn row(call: &Call, target: &Target, outcome: &Outcome<'_>) -> Result<pg_sys::HeapTuple> {
    match &target.form {
        Form::EventColumn { index, domain } => {
            let author = || outcome.history.last();
            let row = with_event(call, *index, *domain, outcome)?;
            keep_partition(call, target, row, *index, author)?;
            Ok(row)
        }
        Form::Fields(fields) => {
            let changes = changes(call, fields, outcome)?;
            if changes.is_empty() {
                return Ok(call.row());
            }
            let row = with_fields(call, fields, &changes, outcome)?;
            for change in &changes {
                let author = || outcome.history.author(&change.column.name, outcome.after);
                keep_partition(call, target, row, change.column.index, author)?;
            }
            Ok(row)
        }
    }
}

fn with_event(
    call: &Call,
    index: usize,
    domain: Option<pg_sys::Oid>,
    outcome: &Outcome<'_>,
) -> Result<pg_sys::HeapTuple> {
    let event = to_datum(outcome.after);
    if let Some(domain) = domain {
        convert::attempt(|| convert::check_domain(event, domain)).map_err(|refusal| {
            let value = Document::new(outcome.after).ok().map(|event| event.root());
            let column = call.column_name(index);
            blame::misfit(outcome.history.last(), column, value, refusal)
        })??;
    }
    Ok(modified(call, std::iter::once((index, Some(event)))))
}

fn with_fields(
    call: &Call,
    fields: &Fields,
    changes: &[Change<'_>],
    outcome: &Outcome<'_>,
) -> Result<pg_sys::HeapTuple> {
    // The one that is being converted when PostgreSQL refuses it.
    let current = Cell::new(None);
    let values = convert::attempt(|| {
        let mut values = Vec::with_capacity(changes.len());
        for change in changes {
            current.set(Some(change));
            values.push(convert::datum(call, fields, change.column, change.value)?);
        }
        Ok(values)
    });
    let author = |column: &str| outcome.history.author(column, outcome.after);
    let values = values.map_err(|refusal| {
        let column = current.get().map(|change| change.column.name.clone()).unwrap_or_default();
        let value = current.get().and_then(|change| change.value);
        blame::misfit(author(&column), column, value, refusal)
    })??;
    for (change, value) in changes.iter().zip(&values) {
        if value.is_none() && change.column.is_not_null {
            let column = change.column.name.clone();
            return Err(blame::is_null(author(&column), column));
        }
    }
    let places = changes.iter().map(|change| change.column.index);
    Ok(modified(call, places.zip(values)))
}

/// A copy of the row with other values in some columns.
fn modified(
    call: &Call,
    changes: impl Iterator<Item = (usize, Option<pg_sys::Datum>)>,
) -> pg_sys::HeapTuple {
    let columns = call.columns();
    let mut values = vec![pg_sys::Datum::null(); columns];
    let mut nulls = vec![true; columns];
    let mut changed = vec![false; columns];
    for (index, new) in changes {
        if let (Some(value), Some(null), Some(changed)) =
            (values.get_mut(index), nulls.get_mut(index), changed.get_mut(index))
        {
            *null = new.is_none();
            *value = new.unwrap_or(pg_sys::Datum::null());
            *changed = true;
        }
    }
    // SAFETY: one element for each column; the values are of the columns' types.
    unsafe {
        let (values, nulls) = (values.as_mut_ptr(), nulls.as_mut_ptr());
        let changed = changed.as_mut_ptr();
        pg_sys::heap_modify_tuple(call.row(), call.descriptor(), values, nulls, changed)
    }
}

/// The changed fields that have columns. Those that have none are noted in the plugin's log.
fn changes<'a>(call: &Call, fields: &'a Fields, outcome: &Outcome<'a>) -> Result<Vec<Change<'a>>> {
    let mut changes = Vec::new();
    // Columns, fields before and fields after are all in the order of jsonb's keys.
    let mut before = object(outcome.before)?.iter();
    let mut after = object(outcome.after)?.iter();
    let mut field = after.next().transpose()?;
    for column in &fields.columns {
        let was = before.next().transpose()?.map(|(_, value)| value);
        while let Some((key, _)) = field.filter(|(key, _)| column.compare_key(key).is_gt()) {
            leave_out(call, key, outcome);
            field = after.next().transpose()?;
        }
        let mut is = None;
        if let Some((_, value)) = field.filter(|(key, _)| column.compare_key(key).is_eq()) {
            is = Some(value);
            field = after.next().transpose()?;
        }
        let unchanged = match (was, is) {
            (Some(was), Some(is)) => is_same(was, is),
            // Removed, but there was nothing.
            (Some(Ref::Null), None) => true,
            _ => false,
        };
        if !unchanged {
            changes.push(Change { column, value: is });
        }
    }
    while let Some((key, _)) = field {
        leave_out(call, key, outcome);
        field = after.next().transpose()?;
    }
    Ok(changes)
}

fn object(event: &[u8]) -> Result<Object<'_>> {
    match Document::new(event)?.root() {
        Ref::Object(fields) => Ok(fields),
        _ => Err(Error::EventIsNotAnObject),
    }
}

fn leave_out(call: &Call, field: &str, outcome: &Outcome<'_>) {
    let Some(link) = outcome.history.author(field, outcome.after) else { return };
    journal::field_left_out(&link.program, call.relation_id(), field, || {
        let table = call.relation_name();
        if call.has_column(field) {
            format!("column \"{field}\" of table \"{table}\" is generated: the field is left out")
        } else {
            format!("table \"{table}\" has no column \"{field}\": the field is left out")
        }
    });
}

/// An error if the column, which was changed, moves the row to another partition. An update may do
/// that.
fn keep_partition<'h>(
    call: &Call,
    target: &Target,
    row: pg_sys::HeapTuple,
    column: usize,
    author: impl FnOnce() -> Option<&'h Link>,
) -> Result<()> {
    let decides = call.is_insert() && target.partition_key.contains(&column);
    if !decides || partition::takes(call, row) {
        return Ok(());
    }
    Err(Error::MovesRow {
        author: blame::name(author()),
        column: call.column_name(column),
        partition: call.relation_name(),
    })
}
