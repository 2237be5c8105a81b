//! The plugin that dry runs are tried with, and how their rows are read.

use postgres::Client;

use crate::{Cluster, Session};

/// Counts its events, and has a setting, a secret and a file.
const COUNTER: &str = "
let count = 0

export function processEvent(event, { config, attachments }) {
    if (event.event === 'drop') return null
    if (event.event === 'fail') {
        event.half = true
        throw new Error('no ' + config.password)
    }
    count += 1
    console.log('seen', count, config.password)
    event.count = count
    event.name = config.name
    event.length = (config.password ?? '').length
    event.files = Object.keys(attachments)
    return event
}";

pub const MANIFEST: &str = r#"{"name": "Counter", "config": [
    {"key": "name", "type": "string", "default": "nobody"},
    {"key": "password", "type": "string", "secret": true},
    {"key": "file", "type": "attachment"}]}"#;

/// A database in which it is installed and configured.
pub fn database(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.run(&format!(
        "SELECT posthog_plugins.install($js${COUNTER}$js$, '{MANIFEST}');
         SELECT posthog_plugins.configure('counter', '{{\"name\": \"Ada\", \"password\": \"hunter22\"}}');
         SELECT posthog_plugins.set_attachment('counter', 'file', 'f.txt', 'text/plain', 'x');"
    ));
    client
}

/// The first row of a call: one text for each column, nothing for NULL.
pub fn first(client: &mut Client, columns: &str, call: &str) -> Vec<Option<String>> {
    let columns: Vec<_> = columns.split(", ").map(|column| format!("({column})::text")).collect();
    let sql = format!("SELECT {} FROM posthog_plugins.{call}", columns.join(", "));
    let row = client.query(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = row.first().unwrap_or_else(|| panic!("{sql}: no row"));
    (0..row.len()).map(|column| row.get(column)).collect()
}

pub fn texts(row: &[Option<String>]) -> Vec<&str> {
    row.iter().map(|text| text.as_deref().unwrap_or("NULL")).collect()
}
