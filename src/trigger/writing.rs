//! What the plugins made of the event becomes a row again. Fields that they left alone keep the very
//! value that the column had.

use std::borrow::Cow;
use std::cell::Cell;

use jsonb::{Document, Ref};
use pgrx::pg_sys;

use super::call::Call;
use super::column::Column;
use super::partition::PartitionKey;
use super::row::{Changed, Row};
use super::target::Fields;
use super::{blame, convert};
use crate::chain::Whole;
use crate::error::Result;
use crate::event::to_datum;
use crate::journal;

/// The row with the event that the plugins made in its column.
pub fn with_event(
    call: &Call,
    index: usize,
    domain: Option<pg_sys::Oid>,
    event: &Whole<'_>,
    partition: &PartitionKey<'_>,
) -> Result<pg_sys::HeapTuple> {
    let Cow::Owned(payload) = &event.payload else { return Ok(call.row()) };
    let datum = to_datum(payload);
    if let Some(domain) = domain {
        convert::attempt(|| convert::check_domain(datum, domain)).map_err(|refusal| {
            let value = Document::new(payload).ok().map(|event| event.root());
            let column = call.column_name(index);
            blame::misfit(event.author.as_deref(), column, value, refusal)
        })??;
    }
    let row = modified(call, std::iter::once((index, Some(datum))));
    partition.keep(call, row, index, || event.author.as_deref())?;
    Ok(row)
}

/// A field that the plugins changed and that has a column. `None`: they removed it.
struct Change<'r> {
    column: &'r Column,
    value: Option<Ref<'r>>,
}

/// The row with the fields that the plugins changed; the very row if they changed none.
pub fn with_fields(
    call: &Call,
    fields: &Fields,
    row: &Row<'_>,
    partition: &PartitionKey<'_>,
) -> Result<pg_sys::HeapTuple> {
    let mut changes = Vec::new();
    for Changed { column, name, value } in row.changed()? {
        match column {
            Some(column) => changes.push(Change { column, value }),
            None => leave_out(call, name, row),
        }
    }
    if changes.is_empty() {
        return Ok(call.row());
    }
    let values = converted(call, fields, &changes, row)?;
    let places = changes.iter().map(|change| change.column.index);
    let modified = modified(call, places.zip(values));
    for Change { column, .. } in &changes {
        partition.keep(call, modified, column.index, || row.author(&column.name))?;
    }
    Ok(modified)
}

fn converted(
    call: &Call,
    fields: &Fields,
    changes: &[Change<'_>],
    row: &Row<'_>,
) -> Result<Vec<Option<pg_sys::Datum>>> {
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
    let values = values.map_err(|refusal| {
        let column = current.get().map(|change| change.column.name.clone()).unwrap_or_default();
        let value = current.get().and_then(|change| change.value);
        blame::misfit(row.author(&column), column, value, refusal)
    })??;
    for (change, value) in changes.iter().zip(&values) {
        if value.is_none() && change.column.is_not_null {
            let column = change.column.name.clone();
            return Err(blame::is_null(row.author(&column), column));
        }
    }
    Ok(values)
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

/// Notes a field that has no column in the plugin's log.
fn leave_out(call: &Call, field: &str, row: &Row<'_>) {
    let Some(link) = row.author(field) else { return };
    journal::field_left_out(&link.program, call.relation_id(), field, || {
        let table = call.relation_name();
        if call.has_column(field) {
            format!("column \"{field}\" of table \"{table}\" is generated: the field is left out")
        } else {
            format!("table \"{table}\" has no column \"{field}\": the field is left out")
        }
    });
}
