//! The server that is measured: one cluster with production's settings where they matter, and a
//! database for each chain of plugins.

use std::fs;
use std::io::Write;

use cluster::{Cluster, repository};
use postgres::Client;

use crate::{events, rounds::Effort};

pub fn start() -> Cluster {
    Cluster::start_with(&[
        ("shared_buffers", "'512MB'"),
        ("max_wal_size", "'8GB'"),
        ("autovacuum", "off"),
        ("jit", "off"),
        ("max_connections", "100"),
    ])
}

/// A database that others are copies of: events, peers' languages, the extension.
pub const TEMPLATE: &str = "bench_template";

pub fn make_template(cluster: &Cluster, effort: Effort) {
    let mut client = cluster.create_database(TEMPLATE);
    for language in ["jsonb_plpython3u", "jsonb_plperl"] {
        if let Err(error) = client.batch_execute(&format!("CREATE EXTENSION {language} CASCADE")) {
            eprintln!("without {language}: {error}");
        }
    }
    client
        .batch_execute("CREATE TABLE small (event jsonb NOT NULL); CREATE TABLE large (LIKE small)")
        .expect("tables are created");
    fill(&mut client, "small", events::small(effort.events));
    fill(&mut client, "large", events::large(effort.large_events));
    client.batch_execute("VACUUM ANALYZE").expect("tables are vacuumed");
}

/// A copy of the template with a chain of plugins, and a session in it.
pub fn database(cluster: &Cluster, name: &str, chain: &[Plugin]) -> Client {
    cluster
        .connect("postgres")
        .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
        .expect("the template is copied");
    let mut client = cluster.connect(name);
    enable(&mut client, chain);
    client
}

pub fn fill(client: &mut Client, table: &str, events: Vec<String>) {
    let mut copy =
        client.copy_in(&format!("COPY {table} (event) FROM STDIN")).expect("COPY begins");
    for event in events {
        writeln!(copy, "{}", event.replace('\\', "\\\\")).expect("COPY takes a row");
    }
    copy.finish().expect("COPY ends");
}

/// A plugin of `bench/plugins`, and its settings.
#[derive(Clone, Copy)]
pub struct Plugin {
    pub name: &'static str,
    pub config: &'static str,
}

impl Plugin {
    pub const fn plain(name: &'static str) -> Self {
        Plugin { name, config: "{}" }
    }

    pub fn path(self) -> std::path::PathBuf {
        repository().join(format!("bench/plugins/{}.js", self.name))
    }

    fn source(self) -> String {
        fs::read_to_string(self.path()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// Enables the plugins in this order. One that comes twice gets a second config.
pub fn enable(client: &mut Client, chain: &[Plugin]) {
    for (position, plugin) in chain.iter().enumerate() {
        let keys: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(plugin.config).expect("settings are JSON");
        let fields: serde_json::Map<_, _> =
            keys.keys().map(|key| (key.clone(), serde_json::json!({"type": "string"}))).collect();
        let manifest = serde_json::json!({"name": plugin.name, "config": fields}).to_string();
        let label = position.to_string();
        client
            .query(
                "SELECT posthog_plugins.install($1, $2::text::jsonb, $3)",
                &[&plugin.source(), &manifest, &plugin.name],
            )
            .expect("the plugin is installed");
        client
            .query(
                "SELECT posthog_plugins.configure($1, $2::text::jsonb, label => $3)",
                &[&plugin.name, &plugin.config, &label],
            )
            .expect("the plugin is configured");
        client
            .query("SELECT posthog_plugins.enable($1, label => $2)", &[&plugin.name, &label])
            .expect("the plugin is enabled");
    }
}
