//! Attached tables that are published, and subscribed to.

use cluster::{Cluster, Session, wait_until};
use postgres::Client;

fn database(cluster: &Cluster, mark: &str) -> Client {
    let mut client = cluster.create_database("events");
    client.add_body("mark", &format!("event.event += '{mark}'; return event"));
    client.run("CREATE TABLE events (id int PRIMARY KEY, event text)");
    client.run("SELECT posthog_plugins.attach('events')");
    client
}

#[test]
fn a_subscriber_stores_what_the_publisher_stored() {
    let publisher = Cluster::start_with(&[("wal_level", "logical")]);
    let subscriber = Cluster::start();
    let mut source = database(&publisher, " published");
    let mut target = database(&subscriber, " subscribed");
    source.run("INSERT INTO events VALUES (1, 'early'); CREATE PUBLICATION p FOR TABLE events");
    target.run(&format!(
        "CREATE SUBSCRIPTION s CONNECTION 'host={} dbname=events user=postgres' PUBLICATION p",
        publisher.socket_directory().display()
    ));
    let mut arrives = |id: i32, expected: &str| {
        wait_until(&format!("event {id} arrives"), || {
            let found =
                target.column::<String>(&format!("SELECT event FROM events WHERE id = {id}"));
            !found.is_empty()
        });
        let event: String = target.value(&format!("SELECT event FROM events WHERE id = {id}"));
        assert_eq!(event, expected);
    };
    arrives(1, "early published");
    source.run("INSERT INTO events VALUES (2, 'late')");
    arrives(2, "late published");
    // Unless the subscriber is asked to.
    let mut admin = subscriber.connect("events");
    admin.run("ALTER TABLE events ENABLE ALWAYS TRIGGER _posthog_plugins_process");
    source.run("INSERT INTO events VALUES (3, 'asked')");
    arrives(3, "asked published subscribed");
    admin.run("ALTER TABLE events ENABLE REPLICA TRIGGER _posthog_plugins_process");
    source.run("INSERT INTO events VALUES (4, 'replica')");
    arrives(4, "replica published subscribed");
    let local = "INSERT INTO events VALUES (5, 'local') RETURNING event";
    assert_eq!(admin.value::<String>(local), "local");
    admin.run("DROP SUBSCRIPTION s");
}
