//! As many sessions as a busy server has, all with plugins, while plugins are changed.

use std::thread;

use cluster::process::memory_of;
use cluster::{Cluster, Session};
use postgres::Client;

const SESSIONS: usize = 200;
const EVENTS_OF_EACH: usize = 20;
const CHANGES: usize = 20;
const EVENT: &str = r#"{"event": "e", "properties": {}}"#;

#[test]
fn two_hundred_sessions_process_events_while_plugins_change() {
    // Some more for this test itself and for what PostgreSQL keeps for superusers.
    let cluster = Cluster::start_with(&[("max_connections", "220")]);
    let mut admin = cluster.create_database("busy");
    for plugin in ["hello-world", "drop-events", "schema-enforcer"] {
        admin.run(&format!(
            "SELECT posthog_plugins.install_bundled('{plugin}');
             SELECT posthog_plugins.enable('{plugin}')"
        ));
    }
    admin.add_body("versioned", "event.version = 0; console.log('line'); return event");
    let mut clients: Vec<Client> = (0..SESSIONS).map(|_| cluster.connect("busy")).collect();
    thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| {
                let mut newest = 0;
                for _ in 0..EVENTS_OF_EACH {
                    let event = client.process(EVENT).unwrap();
                    assert!(event.contains("Hello world"), "{event}");
                    let version = event.split(r#""version": "#).nth(1).unwrap();
                    let version = version.split(['}', ',']).next().unwrap().parse().unwrap();
                    assert!(version >= newest, "{version} after {newest}");
                    newest = version;
                }
            });
        }
        for version in 1..=CHANGES {
            let body = format!("event.version = {version}; console.log('line'); return event");
            admin.add_body("versioned", &body);
        }
    });
    let mut memory: Vec<u64> = clients.iter_mut().map(|client| memory_of(client.pid())).collect();
    memory.sort_unstable();
    println!(
        "a backend with four plugins has {} to {} kB of its own",
        memory[0],
        memory[SESSIONS - 1]
    );
    let last = format!(r#""version": {CHANGES}"#);
    for client in &mut clients {
        let event = client.process(EVENT).unwrap();
        assert!(event.contains(&last), "{event}");
    }
    let lines: i64 =
        admin.value("SELECT count(*) FROM posthog_plugins.logs WHERE message = 'line'");
    assert_eq!(lines as usize, SESSIONS * (EVENTS_OF_EACH + 1));
    assert!(!cluster.log().contains("ERROR"), "{}", cluster.log());
}
