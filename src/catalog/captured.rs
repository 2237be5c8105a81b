//! Events that plugins have captured: those that wait to be inserted, which table that is, and those
//! that it did not take.

use std::time::Duration;

use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiResult};

use super::plugins::lock;
use super::queue::hops;
use super::{as_caller, as_owner, plans, teams};
use crate::error::{Error, Result};
use crate::json::Json;
use crate::settings;

/// What is kept of an error, as of those of deliveries.
const LONGEST_ERROR: usize = 4000;

pub struct Captured {
    pub id: i64,
    pub config_id: i32,
    pub plugin: String,
    pub event: Json,
    /// How many captures have led to it, its own included.
    pub hops: u8,
    /// How often it was tried.
    pub attempts: u32,
}

/// What is due, in order; it is this transaction's. What somebody else is inserting is left to them.
pub fn due(client: &mut SpiClient<'_>, most: i64) -> SpiResult<Vec<Captured>> {
    let found = plans::update(
        client,
        "SELECT e.id, e.config_id, c.plugin, e.event, e.hops, e.attempts
           FROM posthog_plugins.captured_event AS e
           JOIN posthog_plugins.plugin_config AS c ON c.id = e.config_id
          WHERE e.next_attempt_at <= pg_catalog.clock_timestamp()
          ORDER BY e.next_attempt_at, e.id
          LIMIT $1
            FOR UPDATE OF e SKIP LOCKED",
        &[most.into()],
    )?;
    let mut due = Vec::new();
    for row in found {
        let Some(event) = row.get(4)? else { continue };
        due.push(Captured {
            id: row.get(1)?.unwrap_or_default(),
            config_id: row.get(2)?.unwrap_or_default(),
            plugin: row.get(3)?.unwrap_or_default(),
            event,
            hops: hops(row.get(5)?),
            attempts: row.get::<i32>(6)?.unwrap_or_default().unsigned_abs(),
        });
    }
    Ok(due)
}

/// How long until something is due.
pub fn next(client: &SpiClient<'_>) -> SpiResult<Option<Duration>> {
    plans::delay(
        client,
        "SELECT EXTRACT(epoch FROM e.next_attempt_at - pg_catalog.clock_timestamp())::float8
           FROM posthog_plugins.captured_event AS e
          WHERE e.next_attempt_at < 'infinity'
          ORDER BY e.next_attempt_at
          LIMIT 1",
        &[],
    )
}

/// Removes what was inserted.
pub fn settle(client: &mut SpiClient<'_>, ids: Vec<i64>) -> SpiResult<()> {
    let statement = "DELETE FROM posthog_plugins.captured_event WHERE id = ANY ($1)";
    plans::update(client, statement, &[ids.into()]).map(drop)
}

/// Writes down that one could not be inserted; without a delay it is tried no more.
pub fn note(
    client: &mut SpiClient<'_>,
    id: i64,
    error: &str,
    attempts: u32,
    delay: Option<Duration>,
) -> SpiResult<()> {
    let error: String = error.chars().take(LONGEST_ERROR).collect();
    let attempts = i32::try_from(attempts).unwrap_or(i32::MAX);
    plans::update(
        client,
        "UPDATE posthog_plugins.captured_event
            SET attempts = $2, error = $3, failed_at = pg_catalog.now(),
                next_attempt_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4)
          WHERE id = $1",
        &[id.into(), attempts.into(), error.into(), delay.map(|it| it.as_secs_f64()).into()],
    )
    .map(drop)
}

/// Has one wait until there is a table for it.
pub fn put_by(client: &mut SpiClient<'_>, id: i64, reason: &str) -> SpiResult<()> {
    plans::update(
        client,
        "UPDATE posthog_plugins.captured_event SET next_attempt_at = 'infinity', error = $2
          WHERE id = $1",
        &[id.into(), reason.into()],
    )
    .map(drop)
}

/// Whether there is nothing to be inserted, now or ever.
pub fn is_empty(client: &SpiClient<'_>) -> SpiResult<bool> {
    let query =
        "SELECT FROM posthog_plugins.captured_event WHERE next_attempt_at IS NOT NULL LIMIT 1";
    Ok(plans::select(client, query, &[])?.is_empty())
}

/// Whether anything waits for a table.
pub fn is_any_put_by(client: &SpiClient<'_>) -> SpiResult<bool> {
    let query =
        "SELECT FROM posthog_plugins.captured_event WHERE next_attempt_at = 'infinity' LIMIT 1";
    Ok(!plans::select(client, query, &[])?.is_empty())
}

/// Which teams' events wait for a table.
pub fn put_by_for(client: &SpiClient<'_>) -> SpiResult<Vec<Option<i32>>> {
    plans::select(
        client,
        "SELECT DISTINCT (e.event ->> 'team_id')::integer
           FROM posthog_plugins.captured_event AS e
          WHERE e.next_attempt_at = 'infinity'",
        &[],
    )?
    .map(|row| row.get(1))
    .collect()
}

/// There is a table for the events of a team.
pub fn take_up(client: &mut SpiClient<'_>, team_id: Option<i32>) -> SpiResult<()> {
    plans::update(
        client,
        "UPDATE posthog_plugins.captured_event SET next_attempt_at = pg_catalog.now(), error = NULL
          WHERE next_attempt_at = 'infinity'
            AND (event ->> 'team_id')::integer IS NOT DISTINCT FROM $1",
        &[team_id.into()],
    )
    .map(drop)
}

/// The table for a team's events; or why there is none.
pub fn table(
    client: &SpiClient<'_>,
    team_id: Option<i32>,
) -> SpiResult<std::result::Result<pg_sys::Oid, String>> {
    let chosen = plans::select(
        client,
        "SELECT t.relation::oid
           FROM posthog_plugins.capture_table AS t
          WHERE t.team_id = $1 OR t.team_id IS NULL
          ORDER BY t.team_id NULLS LAST
          LIMIT 1",
        &[team_id.into()],
    )?
    .next();
    let chosen: Option<pg_sys::Oid> = chosen.map(|row| row.get(1)).transpose()?.flatten();
    let attached = attached(client)?;
    Ok(match (chosen, attached.as_slice()) {
        (Some(chosen), attached) if attached.contains(&chosen) => Ok(chosen),
        (Some(_), _) => Err("the table that capture_into names is not attached".to_owned()),
        (None, [only]) => Ok(*only),
        (None, []) => Err("no table is attached".to_owned()),
        (None, several) => Err(format!(
            "{} tables are attached: posthog_plugins.capture_into says which one gets captured events",
            several.len()
        )),
    })
}

/// The tables whose inserts pass the plugins; of partitions only those that were attached by themselves.
fn attached(client: &SpiClient<'_>) -> SpiResult<Vec<pg_sys::Oid>> {
    // Of the type of a trigger, 7 is before inserting each row.
    plans::select(
        client,
        "SELECT DISTINCT t.tgrelid
           FROM pg_catalog.pg_trigger AS t
           JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid AND p.proname = 'process_row'
           JOIN pg_catalog.pg_namespace AS n
             ON n.oid = p.pronamespace AND n.nspname = 'posthog_plugins'
          WHERE t.tgparentid = 0 AND t.tgenabled IN ('O', 'A') AND t.tgtype::integer & 7 = 7",
        &[],
    )?
    .filter_map(|row| row.get(1).transpose())
    .collect()
}

/// The search_path that a session of a role would begin with here; a default of the server's is not
/// looked for.
pub fn search_path_of(client: &SpiClient<'_>, role: pg_sys::Oid) -> SpiResult<String> {
    let found = plans::select(
        client,
        "SELECT pg_catalog.substr(entry, 13)
           FROM pg_catalog.pg_db_role_setting AS s, pg_catalog.unnest(s.setconfig) AS entry
          WHERE s.setrole IN (0, $1)
            AND s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d
                                       WHERE d.datname = pg_catalog.current_database()))
            AND pg_catalog.starts_with(entry, 'search_path=')
          ORDER BY s.setrole = 0, s.setdatabase = 0
          LIMIT 1",
        &[role.into()],
    )?
    .next();
    let path = found.map(|row| row.get(1)).transpose()?.flatten();
    Ok(path.unwrap_or_else(|| "\"$user\", public".to_owned()))
}

/// Says which table gets the captured events of a team, or of all teams of which nothing is said;
/// without a table, the one that is attached.
pub fn capture_into(table: Option<pg_sys::Oid>, team_id: Option<i32>) -> Result<()> {
    teams::check(team_id)?;
    if let Some(table) = table {
        let found = as_caller(|client| -> Result<_> {
            let found = client.select(
                "SELECT c.relname::text, pg_catalog.pg_has_role(c.relowner, 'USAGE')
                   FROM pg_catalog.pg_class AS c
                  WHERE c.oid = $1",
                Some(1),
                &[table.into()],
            )?;
            let row = found.into_iter().next().ok_or(Error::NoSuchTable(table.to_u32()))?;
            Ok((row.get::<String>(1)?.unwrap_or_default(), row.get(2)? == Some(true)))
        })?;
        match found {
            (name, false) => return Err(Error::NotTheOwner(name)),
            (name, true) if !as_owner(|client| attached(client))?.contains(&table) => {
                return Err(Error::NotAttached(name));
            }
            _ => {}
        }
    }
    as_owner(|client| -> Result<_> {
        lock(client)?;
        client.update(
            "DELETE FROM posthog_plugins.capture_table WHERE team_id IS NOT DISTINCT FROM $1",
            None,
            &[team_id.into()],
        )?;
        if let Some(table) = table {
            client.update(
                "INSERT INTO posthog_plugins.capture_table (team_id, relation)
                 VALUES ($1, $2::oid::regclass)",
                None,
                &[team_id.into(), table.into()],
            )?;
        }
        Ok(())
    })
}

/// Which events that could not be inserted are meant: those that fit all that is given.
pub struct Chosen<'a> {
    pub plugin: Option<&'a str>,
    pub id: Option<i64>,
    /// A part of the error's text.
    pub error: Option<&'a str>,
}

const CHOSEN: &str = "
     WHERE e.id IN (
         SELECT one.id
           FROM posthog_plugins.captured_event AS one
           JOIN posthog_plugins.plugin_config AS c ON c.id = one.config_id
          WHERE ($1 IS NULL OR c.plugin = $1)
            AND ($2 IS NULL OR one.id = $2)
            AND ($3 IS NULL OR pg_catalog.strpos(one.error, $3) > 0)
            AND ($4 IS NULL OR c.team_id = ANY ($4)))";

impl Chosen<'_> {
    /// Does that to those of them that the caller has to do with. Returns how many those are.
    fn each(&self, statement: &str) -> Result<i64> {
        let limit = teams::limit_of_caller()?;
        let statement = format!("{statement} {CHOSEN}");
        let done = as_owner(|client| -> SpiResult<_> {
            let arguments = [self.plugin.into(), self.id.into(), self.error.into(), limit.into()];
            Ok(client.update(statement.as_str(), None, &arguments)?.len())
        })?;
        Ok(done as i64)
    }
}

/// Has them tried again now, as if for the first time.
pub fn try_again(chosen: &Chosen<'_>) -> Result<i64> {
    chosen.each(
        "UPDATE posthog_plugins.captured_event AS e
            SET next_attempt_at = pg_catalog.now(), attempts = 0",
    )
}

/// Removes them. Not all at once: that has to be said in so many words.
pub fn discard(chosen: &Chosen<'_>) -> Result<i64> {
    if chosen.plugin.is_none() && chosen.id.is_none() && chosen.error.is_none() {
        return Err(Error::NothingChosen);
    }
    chosen.each("DELETE FROM posthog_plugins.captured_event AS e")
}

/// Removes those past their time that are tried no more, the oldest first and at most `most`. Returns
/// how many.
pub fn prune(client: &mut SpiClient<'_>, most: Option<i64>) -> SpiResult<i64> {
    let Some(minutes) = settings::dead_letter_retention() else { return Ok(0) };
    let removed = client.update(
        "DELETE FROM posthog_plugins.captured_event
          WHERE id IN (
              SELECT id FROM posthog_plugins.captured_event
               WHERE next_attempt_at IS NULL
                 AND failed_at < pg_catalog.now() - pg_catalog.make_interval(mins => $1)
               LIMIT $2
                 FOR UPDATE SKIP LOCKED)",
        None,
        &[minutes.into(), most.into()],
    )?;
    Ok(removed.len() as i64)
}
