//! Reading and writing queue_consumer: who takes events after they are stored, and how far it has got.

use std::time::Duration;

use delivery::{Batch, Cursor, Filter, Pace, Place, Snapshot};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiHeapTupleData, SpiResult};
use serde_json::Value;

use super::configs::{Target, existing_id};
use super::plugins::lock;
use super::transaction::{Seen, Transaction};
use super::{plans, queue};
use crate::error::{Error, Result};
use crate::json::{Json, to_value};

/// A config with one of these is given stored events.
const METHODS: [&str; 4] = ["onEvent", "onSnapshot", "composeWebhook", "exportEvents"];

pub fn methods() -> Vec<&'static str> {
    METHODS.to_vec()
}

/// An enabled config that takes stored events.
// Some of it is for the worker that delivers.
#[allow(dead_code)]
#[derive(Clone)]
pub struct Consumer {
    pub config_id: i32,
    pub plugin: String,
    pub team_id: Option<i32>,
    pub label: String,
    /// What the plugin exports, of what it can be given events by and of the rest.
    pub methods: Vec<String>,
    pub cursor: Cursor,
    /// What was enqueued before is not for it.
    pub starts_at: Option<TimestampWithTimeZone>,
    pub filter: Filter,
    /// Whose rights the filter's condition has.
    pub filter_role: Option<pg_sys::Oid>,
    /// Of which distinct_ids some events wait to be tried again, before any others of them.
    pub blocked: Vec<String>,
    /// Tells whether it was put elsewhere since it was read.
    began_at: TimestampWithTimeZone,
}

impl Consumer {
    /// Whether nothing but batches of events is given to it.
    pub fn gets_only_batches(&self) -> bool {
        let has = |name: &str| self.methods.iter().any(|method| method == name);
        has("exportEvents") && !(has("onEvent") || has("onSnapshot") || has("composeWebhook"))
    }

    /// Whether what is under way for an earlier one is as well for this one: it has not been put
    /// elsewhere.
    pub fn goes_on_from(&self, earlier: &Consumer) -> bool {
        self.began_at == earlier.began_at && self.filter.ordered == earlier.filter.ordered
    }
}

/// Where new consumers begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With transactions that are not over.
    Now,
    /// With what the queue has.
    Oldest,
}

/// Keeps the rows in step with the configs that are enabled and consume.
pub fn follow(client: &mut SpiClient<'_>, start: Start) -> Result<()> {
    let snapshot = match start {
        Start::Now => queue::now(client)?,
        Start::Oldest => Snapshot::oldest(),
    };
    client.update(
        "INSERT INTO posthog_plugins.queue_consumer (config_id, since)
         SELECT c.id, $1
           FROM posthog_plugins.plugin_config AS c
           JOIN posthog_plugins.plugin_version AS v ON v.plugin = c.plugin AND v.is_current
          WHERE c.enabled AND v.capabilities -> 'methods' ?| $2
            AND NOT EXISTS (SELECT FROM posthog_plugins.queue_consumer AS q
                             WHERE q.config_id = c.id)
             ON CONFLICT DO NOTHING",
        None,
        &[Seen(&snapshot).into(), methods().into()],
    )?;
    client.update(
        "DELETE FROM posthog_plugins.queue_consumer AS q
          WHERE NOT EXISTS (
              SELECT FROM posthog_plugins.plugin_config AS c
                JOIN posthog_plugins.plugin_version AS v ON v.plugin = c.plugin AND v.is_current
               WHERE c.id = q.config_id AND c.enabled AND v.capabilities -> 'methods' ?| $1)",
        None,
        &[methods().into()],
    )?;
    Ok(())
}

const READ: &str = "
    SELECT q.config_id, c.plugin, c.team_id, c.label,
           ARRAY(SELECT pg_catalog.jsonb_array_elements_text(v.capabilities -> 'methods')),
           q.since::text, q.batch::text, q.batch_xid, q.batch_number, q.starts_at, q.began_at,
           f.filter, f.role::oid,
           ARRAY(SELECT DISTINCT u.distinct_id
                   FROM posthog_plugins.undelivered_event AS u
                  WHERE u.config_id = q.config_id AND u.distinct_id IS NOT NULL
                    AND u.next_attempt_at IS NOT NULL)
      FROM posthog_plugins.queue_consumer AS q
      JOIN posthog_plugins.plugin_config AS c ON c.id = q.config_id AND c.enabled
      JOIN posthog_plugins.plugin_version AS v ON v.plugin = c.plugin AND v.is_current
      LEFT JOIN posthog_plugins.consumer_filter AS f ON f.config_id = c.id
     WHERE $1 IS NULL OR q.config_id = $1
     ORDER BY c.position";

/// All in the order of the chain.
pub fn all(client: &SpiClient<'_>) -> Result<Vec<Consumer>> {
    plans::select(client, READ, &[None::<i32>.into()])?.map(consumer).collect()
}

pub fn one(client: &SpiClient<'_>, config_id: i32) -> Result<Option<Consumer>> {
    plans::select(client, READ, &[Some(config_id).into()])?.map(consumer).next().transpose()
}

fn consumer(row: SpiHeapTupleData<'_>) -> Result<Consumer> {
    let since = snapshot(row.get(6)?)?;
    let after = match (row.get::<Transaction>(8)?, row.get::<i64>(9)?) {
        (Some(Transaction(transaction)), Some(number)) => Some(Place { transaction, number }),
        _ => None,
    };
    let batch = match row.get::<String>(7)? {
        Some(until) => Some(Batch { until: snapshot(Some(until))?, after }),
        None => None,
    };
    let filter = row.get::<Json>(12)?.map(|filter| filter.root().and_then(to_value)).transpose()?;
    let filter = Filter::parse(&filter.unwrap_or_else(|| Value::Object(Default::default())));
    let plugin: String = row.get(2)?.unwrap_or_default();
    let refuse = |problem| Error::BadFilter { plugin: plugin.clone(), problem };
    Ok(Consumer {
        config_id: row.get(1)?.unwrap_or_default(),
        filter: filter.map_err(refuse)?,
        plugin,
        team_id: row.get(3)?,
        label: row.get(4)?.unwrap_or_default(),
        methods: row.get(5)?.unwrap_or_default(),
        cursor: Cursor { since, batch },
        starts_at: row.get(10)?,
        filter_role: row.get(13)?,
        blocked: row.get(14)?.unwrap_or_default(),
        began_at: row.get(11)?.ok_or(Error::NotThere)?,
    })
}

fn snapshot(text: Option<String>) -> Result<Snapshot> {
    text.unwrap_or_default().parse().map_err(|_| Error::NotASnapshot)
}

/// What became of events that were given to a consumer.
pub struct Deliveries {
    /// How long each of them had been in the queue.
    pub delivered: Vec<Duration>,
    pub failed: i64,
}

/// Writes how far a consumer has got. Whether it is still the one that was read.
pub fn record(
    client: &mut SpiClient<'_>,
    consumer: &Consumer,
    cursor: &Cursor,
    deliveries: &Deliveries,
) -> SpiResult<bool> {
    let Some(pace) = pace(client, consumer)? else { return Ok(false) };
    let (idle, pace) = pace;
    let pace = pace.after(idle, &deliveries.delivered);
    let batch = cursor.batch.as_ref();
    let after = batch.and_then(|batch| batch.after);
    let arguments = [
        consumer.config_id.into(),
        consumer.began_at.into(),
        Seen(&cursor.since).into(),
        batch.map(|batch| Seen(&batch.until)).into(),
        after.map(|place| Transaction(place.transaction)).into(),
        after.map(|place| place.number).into(),
        i64::try_from(deliveries.delivered.len()).unwrap_or(i64::MAX).into(),
        deliveries.failed.into(),
        pace.rate.into(),
        pace.latencies.into(),
    ];
    let updated = plans::update(
        client,
        "UPDATE posthog_plugins.queue_consumer
            SET since = $3, batch = $4, batch_xid = $5, batch_number = $6,
                recorded_at = pg_catalog.clock_timestamp(),
                delivered = delivered + $7,
                failed = failed + $8,
                rate = $9,
                latencies = $10
          WHERE config_id = $1 AND began_at = $2",
        &arguments,
    )?;
    Ok(!updated.is_empty())
}

/// How fast a consumer was when that was recorded, and how long ago that is.
fn pace(client: &SpiClient<'_>, consumer: &Consumer) -> SpiResult<Option<(Duration, Pace)>> {
    let found = plans::select(
        client,
        "SELECT rate, latencies,
                EXTRACT(epoch FROM pg_catalog.clock_timestamp() - recorded_at)::float8
           FROM posthog_plugins.queue_consumer
          WHERE config_id = $1 AND began_at = $2",
        &[consumer.config_id.into(), consumer.began_at.into()],
    )?;
    let Some(row) = found.into_iter().next() else { return Ok(None) };
    let idle = Duration::try_from_secs_f64(row.get(3)?.unwrap_or_default());
    let rate = row.get(1)?.unwrap_or_default();
    let latencies = row.get(2)?.unwrap_or_default();
    // A clock that was put back is no time.
    Ok(Some((idle.unwrap_or_default(), Pace { rate, latencies })))
}

/// Puts a consumer where events were enqueued at that time, as far as the queue still has them. Of
/// what is not over by now, it gets what was enqueued since.
pub fn start_from(target: Target<'_>, time: TimestampWithTimeZone) -> Result<()> {
    queue::newest(|client| -> Result<_> {
        lock(client)?;
        let id = existing_id(client, target)?;
        let now = queue::now(client)?;
        let since = match queue::first_since(client, time)? {
            Some(transaction) => now.before(transaction),
            None => now,
        };
        let updated = client.update(
            "UPDATE posthog_plugins.queue_consumer
                SET since = $2, batch = NULL, batch_xid = NULL, batch_number = NULL,
                    starts_at = $3, began_at = pg_catalog.clock_timestamp()
              WHERE config_id = $1",
            None,
            &[id.into(), Seen(&since).into(), time.into()],
        )?;
        if updated.is_empty() {
            return Err(Error::NotAConsumer(target.plugin.to_owned()));
        }
        Ok(())
    })
}
