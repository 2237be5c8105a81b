//! A change as the columns of a row, and back.

use engine::store::{Change, Content, Effect, Entry};
use pgrx::spi::{SpiHeapTupleData, SpiResult};
use serde_json::Value;

/// What [`Row::read`] takes.
pub(super) const COLUMNS: &str = "id, change, value, number,
    (pg_catalog.date_part('epoch', expires_at) * 1e6)::bigint,
    (pg_catalog.date_part('epoch', changed_at) * 1e6)::bigint";

/// A row as it is applied to those before it.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) change: Change,
}

impl Row {
    pub(super) fn read(row: &SpiHeapTupleData<'_>) -> SpiResult<Self> {
        let value = || row.get::<String>(3).map(Option::unwrap_or_default);
        let number = || row.get::<f64>(4).map(Option::unwrap_or_default);
        let expires_at = row.get::<i64>(5)?;
        let put = |content| Effect::Put(Entry { content, expires_at });
        let effect = match row.get::<&str>(2)?.unwrap_or_default() {
            "put" => put(Content::Text(value()?)),
            "list" => put(Content::List(elements(&value()?).into())),
            "add" => Effect::Add(number()?),
            "begin" => Effect::Begin(number()?),
            "expire" => Effect::Expire(expires_at.unwrap_or_default()),
            "push" => Effect::Push(elements(&value()?)),
            "remove" => Effect::Remove(number()? as i64, element(&value()?)),
            "take" => Effect::Take(elements(&value()?)),
            _ => Effect::Delete,
        };
        let at = row.get(6)?.unwrap_or_default();
        Ok(Row { id: row.get(1)?.unwrap_or_default(), change: Change { effect, at } })
    }
}

// Only this module writes them. As JSON, they can have the U+0000 that a text cannot.
fn elements(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

fn element(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_default()
}

/// The columns of a change.
pub(super) struct Columns {
    pub(super) change: &'static str,
    pub(super) value: Option<String>,
    pub(super) number: Option<f64>,
    /// Seconds since 1970.
    pub(super) expires_at: Option<f64>,
}

impl Columns {
    pub(super) fn of(effect: Effect) -> Self {
        let seconds = |micros: i64| micros as f64 / 1e6;
        let columns = |change, value, number| Columns { change, value, number, expires_at: None };
        let json = |list: Vec<String>| Some(Value::from(list).to_string());
        match effect {
            Effect::Put(Entry { content, expires_at }) => {
                let columns = match content {
                    Content::Text(text) => columns("put", Some(text), None),
                    Content::List(list) => columns("list", json(list.into()), None),
                };
                Columns { expires_at: expires_at.map(seconds), ..columns }
            }
            Effect::Delete => columns("delete", None, None),
            Effect::Add(amount) => columns("add", None, Some(amount)),
            Effect::Begin(amount) => columns("begin", None, Some(amount)),
            Effect::Expire(at) => {
                Columns { expires_at: Some(seconds(at)), ..columns("expire", None, None) }
            }
            Effect::Push(elements) => columns("push", json(elements), None),
            Effect::Remove(count, element) => {
                columns("remove", Some(Value::from(element).to_string()), Some(count as f64))
            }
            Effect::Take(elements) => columns("take", json(elements), None),
        }
    }
}
