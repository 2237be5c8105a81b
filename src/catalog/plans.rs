//! Statements that are planned once in a session: planning one takes longer than running it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::PgOid;
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiCursor, SpiResult, SpiTupleTable};

thread_local! {
    /// PostgreSQL itself plans anew what has become invalid.
    static PLANS: RefCell<HashMap<String, Rc<OwnedPreparedStatement>>> = RefCell::default();
}

pub fn select<'c>(
    client: &SpiClient<'c>,
    sql: &str,
    arguments: &[DatumWithOid<'_>],
) -> SpiResult<SpiTupleTable<'c>> {
    let plan = plan(client, sql, arguments)?;
    client.select(&*plan, None, arguments)
}

/// The same to be fetched piece by piece.
pub fn cursor<'c>(
    client: &'c SpiClient<'_>,
    sql: &str,
    arguments: &[DatumWithOid<'_>],
) -> SpiResult<SpiCursor<'c>> {
    let plan = plan(client, sql, arguments)?;
    client.try_open_cursor(&*plan, arguments)
}

/// Runs a query that tells a number of seconds, such as those until something is due: none if they are
/// over.
pub fn delay(
    client: &SpiClient<'_>,
    sql: &str,
    arguments: &[DatumWithOid<'_>],
) -> SpiResult<Option<Duration>> {
    let row = select(client, sql, arguments)?.next();
    let seconds = row.map(|row| row.get::<f64>(1)).transpose()?.flatten();
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

pub fn update<'c>(
    client: &mut SpiClient<'c>,
    sql: &str,
    arguments: &[DatumWithOid<'_>],
) -> SpiResult<SpiTupleTable<'c>> {
    let plan = plan(client, sql, arguments)?;
    client.update(&*plan, None, arguments)
}

fn plan(
    client: &SpiClient<'_>,
    sql: &str,
    arguments: &[DatumWithOid<'_>],
) -> SpiResult<Rc<OwnedPreparedStatement>> {
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(sql).cloned()) {
        return Ok(plan);
    }
    let types: Vec<PgOid> = arguments.iter().map(|argument| argument.oid().into()).collect();
    let plan = Rc::new(client.prepare_mut(sql, &types)?.keep());
    PLANS.with_borrow_mut(|plans| plans.insert(sql.to_owned(), plan.clone()));
    Ok(plan)
}
