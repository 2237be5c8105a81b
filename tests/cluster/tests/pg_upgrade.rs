//! pg_upgrade, from a cluster to another of the same major version, which is the only one that a
//! test finds installed. What it does with an extension is the same.

use cluster::sample::{everything, furnish, works};
use cluster::{Cluster, Environment, Session, Shutdown, catalog, run};

#[test]
fn an_upgraded_cluster_has_everything() {
    let (old, new) = (Cluster::start(), Cluster::prepare(&[]));
    let mut client = old.create_database("app");
    furnish(&mut client);
    works(&mut client);
    client.run(
        "CREATE TABLE events (data jsonb);
         CREATE FUNCTION run_plugins() RETURNS trigger LANGUAGE plpgsql
             AS $$BEGIN NEW.data := public.process_event(NEW.data); RETURN NEW; END$$;
         CREATE TRIGGER run_plugins BEFORE INSERT ON events
             FOR EACH ROW EXECUTE FUNCTION run_plugins();
         INSERT INTO events VALUES ('{\"event\": \"e\"}')",
    );
    let events = "SELECT data::text FROM events";
    let logs = "SELECT message FROM posthog_plugins.logs";
    let stored: Vec<String> = client.column(events);
    let logged: Vec<String> = client.column(logs);
    // Its counts are written when a session ends, and would differ.
    drop(client);
    old.restart(Shutdown::Fast);
    let mut client = old.connect("app");
    let described = catalog::describe(&mut client);
    let written = everything(&mut client);
    drop(client);
    old.shut_down(Shutdown::Fast);

    let environment = Environment::read();
    let mut upgrade = environment.as_server(environment.bin.join("pg_upgrade"));
    for (option, value) in [
        ("--old-bindir", &environment.bin),
        ("--new-bindir", &environment.bin),
        ("--old-datadir", &old.data()),
        ("--new-datadir", &new.data()),
    ] {
        upgrade.arg(option).arg(value);
    }
    // Its files and sockets are put where it is started.
    run(upgrade.arg("--username=postgres").current_dir(new.socket_directory()));

    new.boot();
    let mut client = new.connect("app");
    assert_eq!(everything(&mut client), written);
    let mut difference = catalog::difference(&described, &catalog::describe(&mut client));
    // It does not note them where they are what the owner has anyway.
    difference.retain(|line| !line.starts_with("- initial rights"));
    assert_eq!(difference, [""; 0]);
    assert_eq!(client.column::<String>(events), stored);
    assert_eq!(client.column::<String>(logs), logged);
    works(&mut client);
    client.run("INSERT INTO events VALUES ('{\"event\": \"new\"}')");
    assert_eq!(client.column::<String>(events).len(), 2);
    client.run("SELECT posthog_plugins.configure('last', '{}', 9); DROP EXTENSION posthog_plugins");
}
