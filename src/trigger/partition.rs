//! Whether a row still belongs to the partition it was routed to. PostgreSQL would refuse it after
//! the trigger without saying who moved it, or what to do.

use pgrx::pg_sys;

use super::call::Call;

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

/// Whether the partition takes the row.
pub fn takes(call: &Call, row: pg_sys::HeapTuple) -> bool {
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
