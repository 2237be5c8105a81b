//! Which column the event is in. The trigger's argument names it as it was called when the trigger
//! was made; the condition `WHEN (NEW.column IS NOT NULL)`, which `attach` adds, is kept up to date
//! by PostgreSQL when the column is renamed, and tells where it is in each partition.

use std::ffi::CStr;

use pgrx::{is_a, pg_sys};

use super::call::{Call, name_of};
use super::ingest::runs_plugins;
use crate::error::{Error, Result};

/// The zero-based place of the event column.
pub fn find(call: &Call, argument: &CStr) -> Result<usize> {
    let name = argument.to_string_lossy().into_owned();
    let columns = call.attributes();
    let is_jsonb = |index: usize| {
        // SAFETY: a look at the catalogs.
        let base = columns.get(index).map(|column| unsafe { pg_sys::getBaseType(column.atttypid) });
        base == Some(pg_sys::JSONBOID)
    };
    let is_named =
        |column: &pg_sys::FormData_pg_attribute| !column.attisdropped && name_of(column) == name;
    let named = columns.iter().position(is_named);
    let tested = tested(call).filter(|&index| is_jsonb(index));
    match (named, tested) {
        // Renamed, and another column has the name now; or a condition of somebody's own, which
        // would look just like that.
        (Some(named), Some(tested)) if named != tested => {
            let (trigger, tested) = (call.trigger_name(), call.column_name(tested));
            Err(Error::AmbiguousEventColumn { trigger, named: name, tested })
        }
        (Some(index), _) if !is_jsonb(index) => {
            Err(Error::EventColumnIsNotJsonb { table: call.relation_name(), column: name })
        }
        (Some(index), _) | (None, Some(index)) => Ok(index),
        (None, None) => {
            let (table, trigger) = (call.relation_name(), call.trigger_name());
            Err(Error::EventColumnIsGone { table, column: name, trigger })
        }
    }
}

/// Whether the trigger's condition is the one that `attach` gives it.
pub fn is_tested(call: &Call) -> bool {
    tested(call).is_some()
}

/// The place of the column if the trigger's whole condition is `NEW.column IS NOT NULL`. One for
/// statements has no condition; it comes with one for rows, which has.
fn tested(call: &Call) -> Option<usize> {
    let mut condition = call.trigger().tgqual;
    if !call.is_for_each_row() {
        let partner = call.siblings().iter().find(|trigger| runs_plugins(trigger))?;
        condition = partner.tgqual;
    }
    if condition.is_null() {
        return None;
    }
    // SAFETY: the text of an expression, which PostgreSQL wrote; tags say what the nodes are.
    unsafe {
        let node = pg_sys::stringToNode(condition).cast::<pg_sys::Node>();
        if !is_a(node, pg_sys::NodeTag::T_NullTest) {
            return None;
        }
        let test = node.cast::<pg_sys::NullTest>();
        let operand = (*test).arg.cast::<pg_sys::Node>();
        let is_not_null = (*test).nulltesttype == pg_sys::NullTestType::IS_NOT_NULL;
        if !is_not_null || !is_a(operand, pg_sys::NodeTag::T_Var) {
            return None;
        }
        let column = operand.cast::<pg_sys::Var>();
        let is_new = u32::try_from((*column).varno) == Ok(pg_sys::PRS2_NEW_VARNO);
        let index = usize::try_from((*column).varattno - 1).ok();
        index.filter(|_| is_new)
    }
}
