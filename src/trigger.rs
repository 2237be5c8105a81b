//! The trigger of an events table: a row becomes an event, passes the chain, and becomes a row again.
//! Either one jsonb column is the event, or the columns are its fields.

mod after;
mod blame;
mod call;
mod column;
mod convert;
mod event_column;
mod history;
mod ingest;
mod partition;
mod reading;
mod target;
mod writing;

use jsonb::Record;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::chain::{self, Audience, Processed};
use crate::error::Result;
use crate::{backend, journal, settings, store};
use call::Call;
use history::History;
use target::Target;
use writing::Outcome;

pub use ingest::ingest;
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
    let mut record = std::mem::take(&mut target.record);
    let row = run(call, &mut target, &mut record, audience)?;
    target.record = record;
    target::put_back(call, target);
    journal::relieve();
    store::relieve();
    Ok(row)
}

fn run(
    call: &Call,
    target: &mut Target,
    record: &mut Record,
    audience: Audience,
) -> Result<pg_sys::HeapTuple> {
    if let Audience::Teams = audience
        && let Some(team) = reading::team(call, target)
        && !backend::with(|backend| Ok(chain::concerns(backend, team)))?
    {
        return Ok(call.row());
    }
    let Some(event) = reading::event(call, target, record)? else {
        return Ok(call.row());
    };
    let mut history = History::default();
    let processed = backend::with(|backend| {
        chain::process_watched(backend, &event, |link, before| history.add(link, before))
    })?;
    match processed {
        Processed::Unchanged => Ok(call.row()),
        Processed::Changed(after) => {
            let outcome = Outcome { before: event.payload(), after: &after, history: &history };
            writing::row(call, target, &outcome)
        }
        Processed::Discarded => Ok(std::ptr::null_mut()),
    }
}
