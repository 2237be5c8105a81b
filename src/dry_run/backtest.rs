//! Backtests: a plugin on the last rows of a table, read with the caller's own rights.

use pgrx::PgRelation;
use pgrx::prelude::*;
use pgrx::spi::{SpiResult, quote_identifier, quote_literal};

use super::responses::Responses;
use super::trial::Trial;
use super::{Bench, Effect, Rehearsal as _, Run};
use crate::catalog::tables::{self, Table};
use crate::chain;
use crate::error::{Error, Result};
use crate::json::Json;

/// Rows that are fetched at a time: enough that fetching costs nothing, few enough that events of a
/// megabyte are no trouble.
const BATCH: i64 = 32;

/// Columns that say when a row came, in the order of trust.
const TIMES: [&str; 2] = ["timestamp", "created_at"];

/// What is to be read.
pub struct Rows<'a> {
    pub table: &'a PgRelation,
    pub most: i32,
    /// The column that holds the event; without one the row is the event.
    pub event_column: Option<&'a str>,
    pub order_by: Option<&'a str>,
}

/// A row that the plugin does something to.
pub struct Finding {
    pub row_key: Option<Json>,
    pub event: Json,
    /// Nothing for what is not an event.
    pub run: Option<Run>,
}

/// Finds what the plugin would do to the rows, the oldest first. Ends with a notice that sums up.
pub struct Backtest {
    bench: Option<Bench>,
    team: Option<i32>,
    cursor: String,
    batch: std::vec::IntoIter<(Option<Json>, Json)>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    changed: u64,
    dropped: u64,
    failed: u64,
    unchanged: u64,
    /// Of other teams, or never shown to plugins.
    passed_by: u64,
}

impl Backtest {
    pub fn begin(rows: &Rows<'_>, trial: Trial, responses: Responses) -> Result<Self> {
        let query = rows.query()?;
        let cursor = Spi::connect(|client| -> SpiResult<_> {
            Ok(client.try_open_cursor(query.as_str(), &[rows.most.into()])?.detach_into_name())
        })?;
        let team = trial.link.team_id;
        Ok(Backtest {
            bench: Some(Bench::new(trial, responses)),
            team,
            cursor,
            batch: Vec::new().into_iter(),
            counts: Counts::default(),
        })
    }

    /// The next row that the plugin does something to.
    pub fn next(&mut self) -> Result<Option<Finding>> {
        while let Some((row_key, event)) = self.next_row()? {
            let Some(bench) = &mut self.bench else { break };
            let Ok(fields) = chain::open(&event.0) else {
                self.counts.failed += 1;
                return Ok(Some(Finding { row_key, event, run: None }));
            };
            let is_its = self.team.is_none() || self.team == chain::team_of(&fields);
            if !is_its || chain::is_snapshot(&fields) {
                self.counts.passed_by += 1;
                continue;
            }
            let run = bench.run(&event.0)?;
            match run.effect {
                Effect::Unchanged | Effect::Done => self.counts.unchanged += 1,
                Effect::Changed => self.counts.changed += 1,
                Effect::Dropped => self.counts.dropped += 1,
                Effect::Failed | Effect::Retried => self.counts.failed += 1,
            }
            if run.effect == Effect::Unchanged {
                continue;
            }
            return Ok(Some(Finding { row_key, event, run: Some(run) }));
        }
        if let Some(mut bench) = self.bench.take() {
            bench.end();
            self.counts.tell();
        }
        Ok(None)
    }

    fn next_row(&mut self) -> Result<Option<(Option<Json>, Json)>> {
        if let Some(row) = self.batch.next() {
            return Ok(Some(row));
        }
        if self.bench.is_none() {
            return Ok(None);
        }
        let rows = Spi::connect(|client| -> SpiResult<Vec<_>> {
            let mut cursor = client.find_cursor(&self.cursor)?;
            let rows = cursor
                .fetch(BATCH)?
                .filter_map(|row| match (row.get(1), row.get(2)) {
                    (Ok(key), Ok(event)) => event.map(|event| Ok((key, event))),
                    (Err(error), _) | (_, Err(error)) => Some(Err(error)),
                })
                .collect::<SpiResult<Vec<_>>>()?;
            // An exhausted one closes with this.
            if !rows.is_empty() {
                cursor.detach_into_name();
            }
            Ok(rows)
        })?;
        self.batch = rows.into_iter();
        Ok(self.batch.next())
    }
}

impl Counts {
    fn tell(&self) {
        let Counts { changed, dropped, failed, unchanged, passed_by } = self;
        let rows = changed + dropped + failed + unchanged + passed_by;
        let passed_by = match passed_by {
            0 => String::new(),
            count => format!(", {count} passed by"),
        };
        notice!(
            "{rows} rows: {changed} changed, {dropped} dropped, {failed} failed, \
             {unchanged} unchanged{passed_by}"
        );
    }
}

impl Rows<'_> {
    /// The key and the event of each row. Which rows are the last is found before they become jsonb.
    fn query(&self) -> Result<String> {
        let shown = self.table.name();
        let table = tables::table(self.table.oid())?;
        let table = table.ok_or_else(|| Error::NotARelation(shown.to_owned()))?;
        let order = self.order(&table).ok_or_else(|| Error::NoOrder(shown.to_owned()))?;
        let event = match self.event_column {
            Some(column) => format!("(r).{}::pg_catalog.jsonb", quote_identifier(column)),
            None => "pg_catalog.to_jsonb(r)".to_owned(),
        };
        let each = |form: &dyn Fn(usize, &str) -> String, between: &str| {
            let columns = order.iter().enumerate();
            columns.map(|(number, name)| form(number, name)).collect::<Vec<_>>().join(between)
        };
        // A column of that name would be taken for the row.
        let row = r#""the whole row""#;
        // The place of a row is gone once the row is a value.
        let place = if table.has_places { format!(", {row}.ctid AS place") } else { String::new() };
        Ok(format!(
            "SELECT {key}, {event}
               FROM (SELECT {row} AS r{place}, {columns} FROM {name} AS {row} WHERE {known}
                      ORDER BY {newest} LIMIT $1) AS last
              ORDER BY {oldest}",
            key = key(&table),
            columns = each(&|number, name| format!("{row}.{name} AS o{number}"), ", "),
            name = table.name,
            known = each(&|_, name| format!("{row}.{name} IS NOT NULL"), " AND "),
            newest = each(&|_, name| format!("{row}.{name} DESC"), ", "),
            oldest = each(&|number, _| format!("o{number}"), ", "),
        ))
    }

    /// The columns by which a row is later than another.
    fn order(&self, table: &Table) -> Option<Vec<String>> {
        if let Some(column) = self.order_by {
            return Some(vec![quote_identifier(column)]);
        }
        let time = TIMES.iter().find(|name| table.times.iter().any(|time| time == *name));
        if let Some(time) = time {
            return Some(vec![quote_identifier(time)]);
        }
        if !table.primary_key.is_empty() {
            return Some(table.primary_key.iter().map(quote_identifier).collect());
        }
        table.has_places.then(|| vec!["ctid".to_owned()])
    }
}

/// What names a row: its primary key, or else its place.
fn key(table: &Table) -> String {
    let pairs: Vec<String> = match (&*table.primary_key, table.has_places) {
        ([], false) => return "NULL::pg_catalog.jsonb".to_owned(),
        ([], true) => vec!["'ctid', place".to_owned()],
        (columns, _) => columns
            .iter()
            .map(|column| format!("{}, (r).{}", quote_literal(column), quote_identifier(column)))
            .collect(),
    };
    format!("pg_catalog.jsonb_build_object({})", pairs.join(", "))
}
