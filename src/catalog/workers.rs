//! The workers of this database, as PostgreSQL's own views show them: by the advisory locks that are
//! their seats.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiResult;

use super::as_owner;

/// Number, process, start, state, activity, and since when.
pub type Worker = (
    i32,
    i32,
    Option<TimestampWithTimeZone>,
    Option<String>,
    Option<String>,
    Option<TimestampWithTimeZone>,
);

const SEATS: &str = "
    SELECT l.objid::integer AS number, l.pid
      FROM pg_catalog.pg_locks AS l
     WHERE l.locktype = 'advisory' AND l.classid = $1::oid AND l.objsubid = $2 AND l.granted
       AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                          WHERE d.datname = pg_catalog.current_database())";

/// For whoever waits for one to come or go: unlike `pg_stat_activity`, locks are not remembered for
/// the rest of the transaction.
pub fn processes(key: u32, subkey: u16) -> SpiResult<Vec<i32>> {
    as_owner(|client| {
        let sql = format!("SELECT pid FROM ({SEATS}) AS seat ORDER BY number");
        client
            .select(sql.as_str(), None, &[i64::from(key).into(), i32::from(subkey).into()])?
            .filter_map(|row| row.get(1).transpose())
            .collect()
    })
}

pub fn all(key: u32, subkey: u16) -> SpiResult<Vec<Worker>> {
    as_owner(|client| {
        let sql = format!(
            "SELECT seat.number, seat.pid, a.backend_start, a.state,
                    CASE WHEN a.state = 'active' THEN a.query END, a.state_change
               FROM ({SEATS}) AS seat
               JOIN pg_catalog.pg_stat_activity AS a ON a.pid = seat.pid
              ORDER BY seat.number"
        );
        client
            .select(sql.as_str(), None, &[i64::from(key).into(), i32::from(subkey).into()])?
            .map(|row| {
                Ok((
                    row.get(1)?.unwrap_or_default(),
                    row.get(2)?.unwrap_or_default(),
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                ))
            })
            .collect()
    })
}
