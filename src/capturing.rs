//! The duty of inserting what plugins have captured into the attached table, where it takes the way of
//! every event. Taking it and inserting it is one transaction: it happens once.
//!
//! Inserting runs what others have written, the table's triggers and defaults: as the table's owner, in
//! what PostgreSQL calls a security-restricted operation, and for some time only.

mod api;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use engine::Failure;
use pgrx::spi::SpiClient;
use pgrx::{PgSqlErrorCode, pg_sys};

use crate::catalog::captured::{self, Captured};
use crate::catalog::{Refused, as_owner, as_role, attempt_in_time, with_settings};
use crate::error::Result;
use crate::event::Event;
use crate::worker::{Duty, Next, transaction};
use crate::{cause, journal, settings, trigger};

/// Events of one transaction: each has a savepoint of its own, of which PostgreSQL keeps track of 64 at no
/// cost to others.
const AT_ONCE: i64 = 50;

/// After so long a transaction ends, and the other duties have their turn.
const LONGEST_TURN: Duration = Duration::from_millis(100);

/// What the triggers of a table may take over one event, with the plugins that run on it.
const LONGEST_INSERT: Duration = Duration::from_secs(10);

/// Who has the table for himself for longer is not waited for.
const LONGEST_WAIT: &std::ffi::CStr = c"1s";

/// How often it is looked whether there is a table by now for what waits for one.
const LOOKED_EVERY: Duration = Duration::from_secs(1);

/// After a failure of the database's, of which its log has the reason.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Capturing {
    at_once: i64,
    /// When something is due.
    due: Option<Instant>,
    /// When tables were last looked for.
    looked: Option<Instant>,
}

/// What a transaction came to.
struct Step {
    /// There may be more at once.
    goes_on: bool,
    next: Option<Duration>,
}

type Tables = HashMap<Option<i32>, std::result::Result<pg_sys::Oid, String>>;

impl Capturing {
    pub fn new() -> Self {
        Capturing { at_once: AT_ONCE, due: Some(Instant::now()), looked: None }
    }

    /// Looks for tables for what waits for one, now and then. How long until it does so again, if it has
    /// to.
    fn look(&mut self) -> Result<Option<Duration>> {
        let early = self.looked.and_then(|last| LOOKED_EVERY.checked_sub(last.elapsed()));
        let looked = &mut self.looked;
        as_owner(|client| {
            if !captured::is_any_put_by(client)? {
                return Ok(None);
            }
            if early.is_some() {
                return Ok(early);
            }
            *looked = Some(Instant::now());
            for team in captured::put_by_for(client)? {
                if captured::table(client, team)?.is_ok() {
                    captured::take_up(client, team)?;
                }
            }
            Ok(None)
        })
    }

    fn step(&mut self) -> Result<Step> {
        // As it is nearly every time that the worker is woken.
        if as_owner(|client| captured::is_empty(client))? {
            return Ok(Step { goes_on: false, next: None });
        }
        let look = self.look()?;
        let begin = Instant::now();
        let due = as_owner(|client| captured::due(client, self.at_once))?;
        let mut goes_on = due.len() as i64 == self.at_once;
        let (mut tables, mut inserted) = (Tables::new(), Vec::new());
        for (place, event) in due.iter().enumerate() {
            if place > 0 && begin.elapsed() > LONGEST_TURN {
                goes_on = true;
                break;
            }
            if insert(event, &mut tables)? {
                inserted.push(event.id);
            }
        }
        let next = as_owner(|client| {
            captured::settle(client, inserted)?;
            captured::next(client)
        })?;
        Ok(Step { goes_on, next: next.into_iter().chain(look).min() })
    }
}

/// Inserts an event. False: it has been written down why not.
fn insert(event: &Captured, tables: &mut Tables) -> Result<bool> {
    let team = Event::of_payload(&event.event.0).team();
    let table = match tables.get(&team) {
        Some(table) => table,
        None => {
            let table = as_owner(|client| captured::table(client, team))?;
            tables.entry(team).or_insert(table)
        }
    };
    let table = match table {
        Ok(table) => *table,
        Err(reason) => {
            as_owner(|client| captured::put_by(client, event.id, reason))?;
            return Ok(false);
        }
    };
    let inserted =
        cause::within(event.hops, || attempt_in_time(LONGEST_INSERT, || insert_into(table, event)));
    if let Err(refused) = inserted {
        note(event, refused)?;
        return Ok(false);
    }
    Ok(true)
}

fn insert_into(table: pg_sys::Oid, event: &Captured) -> Result<()> {
    with_settings(&[(c"lock_timeout", LONGEST_WAIT)], || {
        let insertion = trigger::insertion(table, &event.event.0)?;
        let path = as_owner(|client| captured::search_path_of(client, insertion.owner))?;
        let path = std::ffi::CString::new(path).unwrap_or_default();
        as_role(insertion.owner, |client| {
            // What is checked or fired at the commit would have other rights there; PostgreSQL refuses
            // to put it off.
            client.update("SET CONSTRAINTS ALL IMMEDIATE", None, &[])?;
            with_settings(&[(c"search_path", &path)], || run(client, &insertion.statement, event))
        })
    })
}

fn run(client: &mut SpiClient<'_>, statement: &str, event: &Captured) -> Result<()> {
    client.update(statement, None, &[event.event.clone().into()])?;
    Ok(())
}

/// Writes down that an event could not be inserted. What may be otherwise later is tried again.
fn note(event: &Captured, refused: Refused) -> Result<()> {
    let attempts = event.attempts + 1;
    let retry = refused.may_pass().then(|| settings::retries().after(attempts, 0.5)).flatten();
    as_owner(|client| captured::note(client, event.id, &refused.message, attempts, retry))?;
    if journal::is_due(event.config_id) {
        let payload = event.event.0.as_slice();
        let name = Event::of_payload(payload).name().unwrap_or_default();
        let message = format!("the captured event \"{name}\" is not inserted: {}", refused.message);
        let failure = Failure::of_delivery(message);
        journal::failure(event.config_id, &event.plugin, failure, Some(payload));
    }
    Ok(())
}

impl Duty for Capturing {
    fn work(&mut self, woken: bool) -> Next {
        let now = Instant::now();
        if !woken && self.due.is_none_or(|due| now < due) {
            return Next::Idle { until: self.due };
        }
        match transaction(c"inserting captured events", || self.step()) {
            Some(step) => {
                self.at_once = (2 * self.at_once).min(AT_ONCE);
                self.due = step.next.map(|delay| now + delay);
                if step.goes_on {
                    return Next::Again;
                }
            }
            // One by one, to find which; and the one that alone fails with its whole transaction is
            // put aside.
            None if self.at_once > 1 => {
                self.at_once = 1;
                self.due = Some(now + PATIENCE);
            }
            None => {
                transaction(c"putting a captured event aside", put_aside);
                self.due = Some(now + PATIENCE);
            }
        }
        Next::Idle { until: self.due }
    }
}

fn put_aside() -> Result<()> {
    let Some(event) = as_owner(|client| captured::due(client, 1))?.pop() else { return Ok(()) };
    let message = "the transaction failed; the server's log has the reason".to_owned();
    note(
        &event,
        Refused { code: PgSqlErrorCode::ERRCODE_TRANSACTION_ROLLBACK, message, is_overdue: false },
    )
}
