//! The trigger of an events table: a row becomes an event, passes the chain, and becomes a row again.
//! Either one jsonb column is the event, or the columns are its fields.

mod after;
mod blame;
mod call;
mod column;
mod convert;
mod event_column;
mod ingest;
mod insertion;
mod partition;
mod reading;
mod row;
mod target;
#[cfg(any(test, feature = "pg_test"))]
mod tests;
mod writing;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::chain::{self, Audience, Passed};
use crate::error::Result;
use crate::{backend, journal, settings, store};
use call::Call;
use partition::PartitionKey;
use row::Row;
use target::{Form, Target};

pub use ingest::ingest;
pub use insertion::{form, insertion};
pub use target::register;

/// What PostgreSQL looks up before it calls `process_row`.
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_process_row() -> &'static pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// Written against the call convention itself, as `process_event` is, and for the same reason.
///
/// # Safety
/// Called by PostgreSQL.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn process_row(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: what PostgreSQL calls us with.
    match unsafe { Call::new(fcinfo) }.and_then(|call| process(&call)) {
        // A null pointer drops the row; that is not the same as a null value.
        Ok(row) => pg_sys::Datum::from(row),
        Err(error) => {
            ErrorReport::from(error).report(PgLogLevel::ERROR);
            unreachable!("an ERROR does not return")
        }
    }
}

fn process(call: &Call) -> Result<pg_sys::HeapTuple> {
    if !settings::enabled() || ingest::has_passed(call) {
        return Ok(call.row());
    }
    backend::accept_messages();
    // Without plugins, fields need not become an event. A column that is one is looked at anyway: that
    // it holds objects must not depend on them.
    let audience = backend::with(|backend| Ok(chain::audience(backend)))?;
    if call.argument()?.is_none() && matches!(audience, Audience::Nobody) {
        return Ok(call.row());
    }
    // Out of its cache while in use: a function that runs here on the way may insert into the same
    // table, and what an error leaves half done is not used again.
    let mut target = target::take(call)?;
    let row = run(call, &mut target, audience)?;
    target::put_back(call, target);
    journal::relieve();
    store::relieve();
    Ok(row)
}

fn run(call: &Call, target: &mut Target, audience: Audience) -> Result<pg_sys::HeapTuple> {
    let Target { form, record, partition_key, .. } = target;
    let partition = PartitionKey(partition_key);
    match form {
        Form::EventColumn { index, domain } => {
            let Some(event) = reading::event_in_column(call, *index) else { return Ok(call.row()) };
            let passed = backend::with(|backend| {
                let Some(mut whole) = chain::enter(backend, &event)? else { return Ok(None) };
                Ok(Some((chain::pass(backend, &mut whole)?, whole)))
            })?;
            match passed {
                None => Ok(call.row()),
                Some((Passed::Discarded, _)) => Ok(std::ptr::null_mut()),
                Some((Passed::Through, event)) => {
                    writing::with_event(call, *index, *domain, &event, &partition)
                }
            }
        }
        Form::Fields(fields) => {
            fields.take(call);
            if let Audience::Teams = audience
                && let Some(team) = reading::team(fields)
                && !backend::with(|backend| Ok(chain::concerns(backend, team)))?
            {
                return Ok(call.row());
            }
            let (passed, row) = backend::with(|backend| {
                let mut row = Row::new(fields, record, backend.host.clone())?;
                Ok((chain::pass(backend, &mut row)?, row))
            })?;
            match passed {
                Passed::Through => writing::with_fields(call, fields, &row, &partition),
                Passed::Discarded => Ok(std::ptr::null_mut()),
            }
        }
    }
}
