//! Stored rows that are given to a consumer: writing plugin_backfill, and reading the rows with the rights of
//! the role that asked for it.

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiHeapTupleData, SpiResult, quote_identifier, quote_literal};
use serde_json::Value;

use super::configs::{Target, existing_id};
use super::consumers::Consumer;
use super::plugins::lock;
use super::queue::{Origin, Queued};
use super::tables::{self, Table};
use super::{as_owner, as_role, plans, teams, with_settings};
use crate::error::{Error, Result};
use crate::json::Json;

/// Where an event's own time is, and what of it PostgreSQL can read: ISO 8601, with days that there are.
const TIME_OF_EVENT: &str = r"^(?!0000)(\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])|\d{4}-(0[13-9]|1[0-2])-(29|30)|\d{4}-(0[13578]|1[02])-31|(\d\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.]\d{1,9})?)?(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?)?$";

/// What says when a row came, in the order of trust.
const TIMES: [&str; 2] = ["timestamp", "created_at"];

/// Rows are taken out of the database so many at a time: a thousand events can be a gigabyte.
const FETCHED: i64 = 50;

/// Bytes of events that are read at once, unless a single time has more.
const MOST_BYTES: usize = 16 << 20;

/// Rows of one time in a table without a key, which have to be read at once.
const MOST_OF_A_TIME: usize = 20_000;

/// As it is stored.
#[derive(Clone)]
pub struct Backfill {
    pub id: i64,
    pub config_id: i32,
    relation: pg_sys::Oid,
    /// Whose rights the table is read with.
    role: pg_sys::Oid,
    form: Form,
    from: Option<TimestampWithTimeZone>,
    to: TimestampWithTimeZone,
    pub events_per_second: Option<f64>,
    /// How far it has got.
    pub place: Option<Place>,
}

/// How the rows of a table are events.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// `None`: the columns are its fields.
    pub event_column: Option<String>,
    /// `None`: the event's own timestamp.
    pub time_column: Option<String>,
}

/// Up to where rows were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    time: String,
    /// Empty in a table without one.
    key: Vec<String>,
}

/// What was read.
pub struct Rows {
    /// Those that the consumer wants.
    pub events: Vec<Queued>,
    /// How many were looked at for that.
    pub count: usize,
    /// Behind the last one; as before if there was none.
    pub place: Option<Place>,
    /// There are no more.
    pub is_end: bool,
}

const READ: &str = "
    SELECT b.id, b.config_id, b.relation::oid, b.role::oid, b.event_column, b.time_column,
           b.from_time, b.to_time, b.events_per_second, b.place_time, b.place_key
      FROM posthog_plugins.plugin_backfill AS b
     WHERE b.state = 'running'
     ORDER BY b.id";

/// Those that are to go on.
pub fn running(client: &SpiClient<'_>) -> Result<Vec<Backfill>> {
    plans::select(client, READ, &[])?.map(backfill).collect()
}

fn backfill(row: SpiHeapTupleData<'_>) -> Result<Backfill> {
    let place = match (row.get(10)?, row.get(11)?) {
        (Some(time), Some(key)) => Some(Place { time, key }),
        _ => None,
    };
    Ok(Backfill {
        id: row.get(1)?.unwrap_or_default(),
        config_id: row.get(2)?.unwrap_or_default(),
        relation: row.get(3)?.ok_or(Error::NotThere)?,
        role: row.get(4)?.ok_or(Error::NotThere)?,
        form: Form { event_column: row.get(5)?, time_column: row.get(6)? },
        from: row.get(7)?,
        to: row.get(8)?.ok_or(Error::NotThere)?,
        events_per_second: row.get(9)?,
        place,
    })
}

/// What is wanted.
pub struct Wanted<'a> {
    pub target: Target<'a>,
    pub relation: pg_sys::Oid,
    /// As the table is attached, if it is.
    pub attached: Option<Form>,
    pub time_column: Option<String>,
    pub from: Option<TimestampWithTimeZone>,
    pub to: Option<TimestampWithTimeZone>,
    pub events_per_second: Option<f64>,
}

/// Begins one for the caller, who has to have the right to read the table.
pub fn begin(wanted: Wanted<'_>) -> Result<i64> {
    if wanted.events_per_second.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
        return Err(Error::BadRate);
    }
    // SAFETY: the current role exists; a clock.
    let (caller, now) = unsafe { (pg_sys::GetUserId(), pg_sys::GetCurrentTimestamp()) };
    let now = TimestampWithTimeZone::try_from(now).map_err(|_| Error::NotThere)?;
    let table = tables::table(wanted.relation)?;
    let table = table.ok_or(Error::NoSuchTable(wanted.relation.to_u32()))?;
    let form = table.form(wanted.relation, wanted.attached, wanted.time_column)?;
    let mut backfill = Backfill {
        id: 0,
        config_id: 0,
        relation: wanted.relation,
        role: caller,
        form,
        from: wanted.from,
        to: wanted.to.unwrap_or(now),
        // At any speed.
        events_per_second: wanted.events_per_second.filter(|rate| rate.is_finite()),
        place: None,
    };
    // Whoever may not read the table is told so now, by PostgreSQL; and so is what cannot be read.
    let estimated = backfill.estimate(&table)?;
    as_owner(|client| -> Result<_> {
        lock(client)?;
        let id = existing_id(client, wanted.target)?;
        let consumes = client.select(
            "SELECT FROM posthog_plugins.queue_consumer WHERE config_id = $1",
            Some(1),
            &[id.into()],
        )?;
        if consumes.is_empty() {
            return Err(Error::NotAConsumer(wanted.target.plugin.to_owned()));
        }
        backfill.config_id = id;
        let stored = client.update(
            "INSERT INTO posthog_plugins.plugin_backfill
                 (config_id, relation, role, event_column, time_column, from_time, to_time,
                  events_per_second, estimated_rows)
             VALUES ($1, $2::oid::regclass, $3::oid::regrole, $4, $5, $6, $7, $8, $9)
             RETURNING id",
            None,
            &[
                backfill.config_id.into(),
                backfill.relation.into(),
                backfill.role.into(),
                backfill.form.event_column.as_deref().into(),
                backfill.form.time_column.as_deref().into(),
                backfill.from.into(),
                backfill.to.into(),
                backfill.events_per_second.into(),
                estimated.into(),
            ],
        )?;
        Ok(stored.first().get_one::<i64>()?.unwrap_or_default())
    })
}

impl Table {
    fn form(
        &self,
        relation: pg_sys::Oid,
        attached: Option<Form>,
        time_column: Option<String>,
    ) -> Result<Form> {
        let columns = as_owner(|client| columns(client, relation))?;
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        let event_column = match attached {
            Some(form) => form.event_column,
            None if has("event") => None,
            None => {
                let mut documents = columns.iter().filter(|column| column.is_document);
                match (documents.next(), documents.next()) {
                    (Some(only), None) => Some(only.name.clone()),
                    _ => return Err(Error::NotOfEvents(self.name.clone())),
                }
            }
        };
        let is_time = |name: &str| self.times.iter().any(|time| time == name);
        let time_column = match (time_column, &event_column) {
            (Some(name), _) if is_time(&name) => Some(name),
            (Some(column), _) => {
                return Err(Error::NoTime { table: self.name.clone(), column });
            }
            (None, Some(_)) => Some("timestamp".to_owned()).filter(|name| is_time(name)),
            (None, None) => {
                let found = TIMES.iter().find(|name| is_time(name));
                let column = "timestamp".to_owned();
                let missing = || Error::NoTime { table: self.name.clone(), column };
                Some((*found.ok_or_else(missing)?).to_owned())
            }
        };
        Ok(Form { event_column, time_column })
    }
}

/// A column of a table.
struct Column {
    name: String,
    /// As it is written in SQL.
    kind: String,
    is_document: bool,
    is_generated: bool,
    is_builtin: bool,
}

fn columns(client: &SpiClient<'_>, relation: pg_sys::Oid) -> SpiResult<Vec<Column>> {
    plans::select(
        client,
        "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, NULL),
                a.atttypid = 'jsonb'::regtype, a.attgenerated <> '', a.atttypid::bigint < 16384
           FROM pg_catalog.pg_attribute AS a
          WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
          ORDER BY a.attnum",
        &[relation.into()],
    )?
    .map(|row| {
        Ok(Column {
            name: row.get(1)?.unwrap_or_default(),
            kind: row.get(2)?.unwrap_or_default(),
            is_document: row.get(3)?.unwrap_or_default(),
            is_generated: row.get(4)?.unwrap_or_default(),
            is_builtin: row.get(5)?.unwrap_or_default(),
        })
    })
    .collect()
}

/// A column of that name would be taken for the row.
const ROW: &str = r#""the whole row""#;

/// What a query about the rows is made of.
struct Parts {
    name: String,
    /// The time, of which type it is.
    time: (String, String),
    key: Vec<(String, String)>,
    event: String,
}

impl Backfill {
    fn parts(&self, table: &Table) -> Result<Parts> {
        let columns = as_owner(|client| columns(client, self.relation))?;
        let kind_of = |name: &str| {
            let column = columns.iter().find(|column| column.name == *name);
            column.map(|column| (format!("{ROW}.{}", quote_identifier(name)), column.kind.clone()))
        };
        let time = match (&self.form.time_column, &self.form.event_column) {
            (Some(name), _) => kind_of(name).ok_or_else(|| Error::NoSuchColumn {
                table: table.name.clone(),
                column: name.clone(),
            })?,
            (None, event_column) => {
                let column = event_column.as_deref().unwrap_or("properties");
                let text = format!("({ROW}.{} ->> 'timestamp')", quote_identifier(column));
                let pattern = quote_literal(TIME_OF_EVENT);
                let time = format!("CASE WHEN {text} ~ {pattern} THEN {text}::timestamptz END");
                (format!("({time})"), "timestamptz".to_owned())
            }
        };
        // Operators of other types would have to be looked for where anybody may put his own.
        let is_builtin = |name: &String| columns.iter().any(|it| it.name == *name && it.is_builtin);
        let key = match table.primary_key.iter().all(is_builtin) {
            true => table.primary_key.iter().filter_map(|name| kind_of(name)).collect(),
            false => Vec::new(),
        };
        let event = match &self.form.event_column {
            Some(column) => format!("(r.row_).{}::pg_catalog.jsonb", quote_identifier(column)),
            None => {
                let generated = columns.iter().filter(|column| column.is_generated);
                let generated: Vec<_> = generated.map(|it| quote_literal(&it.name)).collect();
                match generated.is_empty() {
                    true => "pg_catalog.to_jsonb(r.row_)".to_owned(),
                    // As the trigger has it, before which they are not computed.
                    false => format!(
                        "(pg_catalog.to_jsonb(r.row_) - ARRAY[{}]::text[])",
                        generated.join(", ")
                    ),
                }
            }
        };
        Ok(Parts { name: table.name.clone(), time, key, event })
    }

    /// What of the table is meant. Its arguments are the two times.
    fn range(&self, parts: &Parts) -> String {
        let (time, kind) = &parts.time;
        format!("{time} < $2::{kind} AND ($1 IS NULL OR {time} >= $1::{kind})")
    }

    fn estimate(&self, table: &Table) -> Result<i64> {
        let parts = self.parts(table)?;
        // Of an expression PostgreSQL has no statistics.
        let range = match self.form.time_column {
            Some(_) => self.range(&parts),
            None => "($1 IS NULL OR $2 IS NOT NULL)".to_owned(),
        };
        let explain = format!(
            "EXPLAIN (FORMAT JSON) SELECT {ROW} FROM {} AS {ROW} WHERE {range}",
            parts.name
        );
        let arguments: [DatumWithOid<'_>; 2] = [self.from.into(), self.to.into()];
        let plan: Option<pgrx::Json> = as_role(self.role, |client| {
            client.update(explain.as_str(), None, &arguments)?.first().get_one()
        })?;
        let rows =
            plan.and_then(|plan| plan.0.pointer("/0/Plan/Plan Rows").and_then(Value::as_f64));
        Ok(rows.unwrap_or_default() as i64)
    }

    /// Reads what comes after a place, about so many rows; with the rights of the role that asked for it.
    pub fn read(&self, consumer: &Consumer, after: Option<&Place>, most: usize) -> Result<Rows> {
        let table = tables::table(self.relation)?;
        let table = table.ok_or(Error::NoSuchTable(self.relation.to_u32()))?;
        let parts = self.parts(&table)?;
        let query = self.query(&parts, after);
        let filter = &consumer.filter;
        let properties = filter.properties.clone();
        let properties =
            properties.and_then(|map| Json::parse(&Value::Object(map).to_string()).ok());
        let most_rows = i64::try_from(most).unwrap_or(i64::MAX);
        let arguments: [DatumWithOid<'_>; 9] = [
            self.from.into(),
            self.to.into(),
            after.map(|place| place.time.clone()).into(),
            after.map(|place| place.key.clone()).into(),
            most_rows.into(),
            consumer.team_id.into(),
            filter.events.clone().into(),
            properties.into(),
            filter.sample.into(),
        ];
        let enqueued_at = pgrx::datum::clock_timestamp();
        as_role(self.role, |client| {
            with_settings(&[(c"TimeZone", c"UTC")], || {
                let mut cursor = client.try_open_cursor(query.as_str(), &arguments)?;
                let mut rows =
                    Rows { events: Vec::new(), count: 0, place: after.cloned(), is_end: false };
                let mut bytes = 0;
                'reading: loop {
                    let fetched = cursor.fetch(FETCHED)?;
                    if fetched.is_empty() {
                        break;
                    }
                    for row in fetched {
                        let time: String = row.get(1)?.unwrap_or_default();
                        let key: Vec<String> = row.get(2)?.unwrap_or_default();
                        // Where there is no key, what has the same time belongs together.
                        let is_apart = !key.is_empty()
                            || rows.place.as_ref().is_none_or(|place| place.time != time);
                        if bytes > MOST_BYTES && is_apart {
                            break 'reading;
                        }
                        if rows.count > MOST_OF_A_TIME.max(most) {
                            return Err(Error::NoKey(table.name.clone()));
                        }
                        rows.count += 1;
                        rows.place = Some(Place { time, key });
                        if let Some(event) = row.get::<Json>(3)? {
                            bytes += event.0.len();
                            let origin = Origin::Backfill;
                            rows.events.push(Queued { origin, enqueued_at, event, hops: 0 });
                        }
                    }
                }
                rows.is_end = rows.count < most && bytes <= MOST_BYTES;
                Ok(rows)
            })
        })
    }

    fn query(&self, parts: &Parts, after: Option<&Place>) -> String {
        let Parts { name, time: (time, kind), key, event } = parts;
        let each = |form: &dyn Fn(usize, &(String, String)) -> String| {
            key.iter()
                .enumerate()
                .map(|(at, it)| format!(", {}", form(at + 1, it)))
                .collect::<String>()
        };
        let is_after = match (after, key.is_empty()) {
            (None, _) => "$3 IS NULL AND $4::text[] IS NULL".to_owned(),
            (Some(_), true) => format!("{time} > $3::{kind} AND $4::text[] IS NOT NULL"),
            // The first of the two is for an index that has the time alone.
            (Some(_), false) => format!(
                "{time} >= $3::{kind} AND ({time}{}) > ($3::{kind}{})",
                each(&|_, (column, _)| column.clone()),
                each(&|at, (_, kind)| format!("($4::text[])[{at}]::{kind}")),
            ),
        };
        let ties = if key.is_empty() { "WITH TIES" } else { "ONLY" };
        format!(
            "SELECT pg_catalog.to_jsonb(r.time_) #>> '{{}}', ARRAY[{texts}]::text[],
                    CASE WHEN pg_catalog.jsonb_typeof(e.event) = 'object'
                          AND ($6 IS NULL OR e.event ->> 'team_id' = $6::text)
                          AND ($7 IS NULL OR e.event ->> 'event' = ANY ($7))
                          AND ($8 IS NULL OR e.event -> 'properties' @> $8)
                          AND ($9 IS NULL
                               OR (pg_catalog.hashtextextended(
                                       COALESCE(e.event ->> 'uuid', e.event::text), 0) & 1048575)
                                  < $9 * 1048576)
                         THEN e.event END
               FROM (SELECT {time} AS time_{keys}, {ROW} AS row_
                       FROM {name} AS {ROW}
                      WHERE {range} AND {is_after}
                      ORDER BY 1{order}
                      FETCH FIRST $5 ROWS {ties}) AS r
              CROSS JOIN LATERAL (SELECT {event} AS event OFFSET 0) AS e
              ORDER BY r.time_{outer}",
            texts = each(&|at, _| format!("pg_catalog.to_jsonb(r.k{at}) #>> '{{}}'"))
                .trim_start_matches(", "),
            keys = each(&|at, (column, _)| format!("{column} AS k{at}")),
            range = self.range(parts),
            order = each(&|at, _| (at + 1).to_string()),
            outer = each(&|at, _| format!("r.k{at}")),
        )
    }
}

/// Whether somebody has ended one, or it is gone.
pub fn is_cancelled(client: &SpiClient<'_>, id: i64) -> SpiResult<bool> {
    let query =
        "SELECT FROM posthog_plugins.plugin_backfill WHERE id = $1 AND state <> 'cancelled'";
    Ok(plans::select(client, query, &[id.into()])?.is_empty())
}

/// What became of rows up to a place.
pub struct Progress<'a> {
    pub place: Option<&'a Place>,
    pub rows: i64,
    pub delivered: i64,
    pub failed: i64,
    pub is_end: bool,
}

/// Writes down how far one has got. Whether it is still there.
pub fn record(client: &mut SpiClient<'_>, id: i64, progress: &Progress<'_>) -> SpiResult<bool> {
    let arguments = [
        id.into(),
        progress.place.map(|place| place.time.clone()).into(),
        progress.place.map(|place| place.key.clone()).into(),
        progress.rows.into(),
        progress.delivered.into(),
        progress.failed.into(),
        progress.is_end.into(),
    ];
    let updated = plans::update(
        client,
        "UPDATE posthog_plugins.plugin_backfill
            SET place_time = COALESCE($2, place_time), place_key = COALESCE($3, place_key),
                rows = rows + $4, delivered = delivered + $5, failed = failed + $6,
                rate = rate * pg_catalog.exp(GREATEST(-700, COALESCE(
                           EXTRACT(epoch FROM recorded_at - pg_catalog.clock_timestamp()) / 60, 0)
                       )::float8) + $4 / 60.0,
                recorded_at = pg_catalog.clock_timestamp(),
                state = CASE WHEN $7 AND state IN ('running', 'paused') THEN 'done' ELSE state END,
                ended_at = CASE WHEN $7 THEN pg_catalog.clock_timestamp() ELSE ended_at END
          WHERE id = $1",
        &arguments,
    )?;
    Ok(!updated.is_empty())
}

/// Writes down why one does not go on.
pub fn fail(client: &mut SpiClient<'_>, id: i64, error: &str) -> SpiResult<()> {
    plans::update(
        client,
        "UPDATE posthog_plugins.plugin_backfill
            SET state = 'failed', error = $2, ended_at = pg_catalog.clock_timestamp()
          WHERE id = $1 AND state = 'running'",
        &[id.into(), error.into()],
    )
    .map(drop)
}

/// Has one of the caller's go to another state, from one of these.
pub fn change(id: i64, from: &[&str], to: &str) -> Result<()> {
    let limit = teams::limit_of_caller()?;
    as_owner(|client| -> Result<_> {
        let from: Vec<String> = from.iter().map(|state| (*state).to_owned()).collect();
        let changed = client.update(
            "UPDATE posthog_plugins.plugin_backfill AS b
                SET state = $3, error = NULL,
                    rate = CASE WHEN $3 = 'running' THEN 0 ELSE rate END,
                    resumed_at = CASE WHEN $3 = 'running' THEN pg_catalog.clock_timestamp()
                                      ELSE resumed_at END,
                    ended_at = CASE WHEN $3 = 'cancelled' THEN pg_catalog.clock_timestamp() END
               FROM posthog_plugins.plugin_config AS c
              WHERE b.id = $1 AND c.id = b.config_id AND b.state = ANY ($2)
                AND ($4 IS NULL OR c.team_id = ANY ($4))",
            None,
            &[id.into(), from.into(), to.into(), limit.clone().into()],
        )?;
        if !changed.is_empty() {
            return Ok(());
        }
        let found = client.select(
            "SELECT b.state
               FROM posthog_plugins.plugin_backfill AS b
               JOIN posthog_plugins.plugin_config AS c ON c.id = b.config_id
              WHERE b.id = $1 AND ($2 IS NULL OR c.team_id = ANY ($2))",
            Some(1),
            &[id.into(), limit.into()],
        )?;
        let state = found.into_iter().next().map(|row| row.get::<String>(1)).transpose()?.flatten();
        match state {
            Some(state) if state == to => Ok(()),
            Some(state) => Err(Error::BackfillIs { id, state }),
            None => Err(Error::NoSuchBackfill(id)),
        }
    })
}
