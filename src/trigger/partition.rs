//! Whether a row still belongs to the partition it was routed to. PostgreSQL would refuse it after
//! the trigger without saying who moved it, or what to do.

use pgrx::pg_sys;

use super::blame;
use super::call::Call;
use crate::backend::Link;
use crate::error::{Error, Result};

unsafe extern "C-unwind" {
    /// All conditions that the rows of a partition meet, those of the tables it is part of included.
    fn RelationGetPartitionQual(relation: pg_sys::Relation) -> *mut pg_sys::List;
}

/// The zero-based places of the columns that decide whether a row fits its partition.
pub fn key(call: &Call) -> Vec<usize> {
    if !call.is_partition() {
        return Vec::new();
    }
    let mut found = std::ptr::null_mut();
    // SAFETY: the relation is open and locked; in the conditions, its columns are those of relation 1.
    // The members are counted from before the system columns.
    unsafe {
        let conditions =
            pg_sys::ffi::pg_guard_ffi_boundary(|| RelationGetPartitionQual(call.relation()));
        pg_sys::pull_varattnos(conditions.cast(), 1, &mut found);
        let is_member = |index: &usize| {
            let number = *index as i32 + 1;
            pg_sys::bms_is_member(number - pg_sys::FirstLowInvalidHeapAttributeNumber, found)
        };
        (0..call.columns()).filter(is_member).collect()
    }
}

/// The zero-based places of the columns that decide whether a row fits its partition.
pub struct PartitionKey<'k>(pub &'k [usize]);

impl PartitionKey<'_> {
    /// An error if the column, which was changed, moves the row to another partition. An update may
    /// do that.
    pub fn keep<'l>(
        &self,
        call: &Call,
        row: pg_sys::HeapTuple,
        column: usize,
        author: impl FnOnce() -> Option<&'l Link>,
    ) -> Result<()> {
        let decides = call.is_insert() && self.0.contains(&column);
        if !decides || takes(call, row) {
            return Ok(());
        }
        Err(Error::MovesRow {
            author: blame::name(author()),
            column: call.column_name(column),
            partition: call.relation_name(),
        })
    }
}

/// Whether the partition takes the row.
fn takes(call: &Call, row: pg_sys::HeapTuple) -> bool {
    // SAFETY: the relation is open and locked, the row has its columns, and everything made here is
    // freed here, or by the transaction if an error ends it.
    unsafe {
        let state = pg_sys::CreateExecutorState();
        let size = size_of::<pg_sys::ResultRelInfo>();
        let result = pg_sys::palloc0(size).cast::<pg_sys::ResultRelInfo>();
        (*result).type_ = pg_sys::NodeTag::T_ResultRelInfo;
        pg_sys::InitResultRelInfo(result, call.relation(), 1, std::ptr::null_mut(), 0);
        let slot =
            pg_sys::MakeSingleTupleTableSlot(call.descriptor(), &raw const pg_sys::TTSOpsHeapTuple);
        pg_sys::ExecStoreHeapTuple(row, slot, false);
        let takes = pg_sys::ExecPartitionCheck(result, slot, state, false);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::FreeExecutorState(state);
        takes
    }
}
