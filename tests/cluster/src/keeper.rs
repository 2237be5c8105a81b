//! A plugin that does to its storage and cache what the event says, and puts what came of it into the
//! event. What jsonb cannot hold comes as JSON in a text.

use postgres::Client;

use crate::{Cluster, Session};

const OPERATE: &str = "
    export async function processEvent(event, meta) {
        const { place, method, args: given } = event.properties
        const args = typeof given === 'string' ? JSON.parse(given) : given
        try {
            const target = place === 'cursor' ? meta.utils.cursor : meta[place]
            event.properties = { result: await target[method](...args) }
        } catch (error) {
            event.properties = { error: error.message, code: error.code }
        }
        return event
    }";

/// A database with the plugin `keeper`.
pub fn database(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    install(&mut client);
    client
}

pub fn install(client: &mut Client) {
    client.add_plugin("keeper", OPERATE);
}

/// The event that asks for something, as an SQL literal.
pub fn request(place: &str, method: &str, arguments: &str) -> String {
    format!("'{}'", event(place, method, arguments))
}

fn event(place: &str, method: &str, arguments: &str) -> String {
    format!(
        r#"{{"event": "e", "properties": {{"place": "{place}", "method": "{method}", "args": {arguments}}}}}"#
    )
}

/// What came of it, as JSON; `None` if nothing did.
pub fn operate(client: &mut Client, place: &str, method: &str, arguments: &str) -> Option<String> {
    member(client, place, method, arguments, "result")
}

/// `result`, `error` or `code`.
pub fn member(
    client: &mut Client,
    place: &str,
    method: &str,
    arguments: &str,
    name: &str,
) -> Option<String> {
    let event = event(place, method, arguments);
    client
        .query_one(
            "SELECT (process_event($1::text::jsonb) -> 'properties' -> $2::text)::text",
            &[&event, &name],
        )
        .unwrap_or_else(|error| panic!("{event}: {error:?}"))
        .get(0)
}
