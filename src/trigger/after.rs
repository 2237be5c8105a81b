//! The trigger that enqueues what was stored, for the plugins that take stored events: all rows of a
//! statement at once, or, where PostgreSQL has none of these triggers, row by row.

use jsonb::Record;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::call::Call;
use super::reading;
use super::target::{self, Target};
use crate::chain::Audience;
use crate::error::Result;
use crate::{backend, queue, settings};

/// What PostgreSQL looks up before it calls `enqueue_rows`.
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_enqueue_rows() -> &'static pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// Written against the call convention itself, as `process_row` is.
///
/// # Safety
/// Called by PostgreSQL.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn enqueue_rows(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: what PostgreSQL calls us with.
    if let Err(error) = unsafe { Call::after(fcinfo) }.and_then(|call| enqueue(&call)) {
        ErrorReport::from(error).report(PgLogLevel::ERROR);
    }
    pg_sys::Datum::null()
}

fn enqueue(call: &Call) -> Result<()> {
    if !settings::enabled() {
        return Ok(());
    }
    backend::accept_messages();
    let audience = queue::audience()?;
    if matches!(audience, Audience::Nobody) {
        return Ok(());
    }
    // Out of its cache while in use, as for the rows before they are stored.
    let mut target = target::take(call)?;
    let mut record = std::mem::take(&mut target.record);
    if call.is_for_each_row() {
        // SAFETY: the slot has the row that the trigger is for.
        unsafe { enqueue_one(call.slot(), &mut target, &mut record, &audience)? };
    } else {
        enqueue_all(call, &mut target, &mut record, &audience)?;
    }
    target.record = record;
    target::put_back(call, target);
    Ok(())
}

fn enqueue_all(
    call: &Call,
    target: &mut Target,
    record: &mut Record,
    audience: &Audience,
) -> Result<()> {
    let rows = call.inserted();
    // SAFETY: the store is there until the statement ends. Others read it as well, each from a place
    // of its own, which it selects before. What is made for a row goes with its context.
    unsafe {
        let place = pg_sys::tuplestore_alloc_read_pointer(rows, pg_sys::EXEC_FLAG_REWIND as i32);
        pg_sys::tuplestore_select_read_pointer(rows, place);
        pg_sys::tuplestore_rescan(rows);
        let slot = pg_sys::MakeSingleTupleTableSlot(
            call.descriptor(),
            &raw const pg_sys::TTSOpsMinimalTuple,
        );
        let memory = pg_sys::AllocSetContextCreateInternal(
            pg_sys::CurrentMemoryContext,
            c"posthog_plugins stored row".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        while pg_sys::tuplestore_gettupleslot(rows, true, false, slot) {
            pgrx::check_for_interrupts!();
            let before = pg_sys::MemoryContextSwitchTo(memory);
            enqueue_one(slot, target, record, audience)?;
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::MemoryContextReset(memory);
        }
        pg_sys::MemoryContextDelete(memory);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
    }
    Ok(())
}

/// # Safety
/// The slot holds a row of the target's table.
unsafe fn enqueue_one(
    slot: *mut pg_sys::TupleTableSlot,
    target: &mut Target,
    record: &mut Record,
    audience: &Audience,
) -> Result<()> {
    // SAFETY: by contract.
    let Some(event) = (unsafe { reading::stored(slot, target, record)? }) else { return Ok(()) };
    // A column of the table's own that has something else is nobody's event.
    if !event.is_object() {
        return Ok(());
    }
    let team = event.team();
    if matches!(audience, Audience::Teams) && !queue::concerns(team)? {
        return Ok(());
    }
    queue::add(&event, team)?;
    queue::relieve();
    Ok(())
}
