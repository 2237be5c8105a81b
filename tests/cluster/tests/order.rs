//! The order of the chain while several sessions change it at once.

use std::thread;

use cluster::{Cluster, Session};
use postgres::Client;

const EVENT: &str = r#"{"event": "e", "trail": ""}"#;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A database with plugins that leave their names in the event's trail.
fn four_plugins(cluster: &Cluster) -> Client {
    let mut admin = cluster.create_database("orders");
    for name in NAMES {
        admin.add_body(name, &format!("event.trail += '{name}'; return event"));
    }
    admin
}

#[track_caller]
fn counts_from_one(client: &mut Client) {
    let positions = client.column::<i32>("SELECT position FROM posthog_plugins.chain");
    assert!((1..).zip(&positions).all(|(place, position)| place == *position), "{positions:?}");
}

#[test]
fn sessions_that_reorder_at_once_end_in_one_valid_order() {
    const ROUNDS: usize = 40;
    let cluster = Cluster::start();
    let mut admin = four_plugins(&cluster);
    thread::scope(|scope| {
        for worker in 0..4 {
            let mut client = cluster.connect("orders");
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let name = NAMES[(round + worker) % NAMES.len()];
                    let call = match (round + worker) % 3 {
                        // Another session may just have disabled it, which `move` refuses.
                        0 => format!(
                            "SELECT posthog_plugins.enable('{name}');
                             SELECT posthog_plugins.move('{name}', {})",
                            1 + round % NAMES.len()
                        ),
                        1 => format!("SELECT posthog_plugins.disable('{name}')"),
                        _ => format!("SELECT posthog_plugins.enable('{name}')"),
                    };
                    client.run(&format!("BEGIN; {call}; COMMIT"));
                    client.process(EVENT);
                }
            });
        }
    });
    counts_from_one(&mut admin);
    let order = admin.column::<String>("SELECT plugin FROM posthog_plugins.chain").concat();
    let trail = admin.process(EVENT).unwrap();
    assert!(trail.contains(&format!(r#""trail": "{order}""#)), "{order}: {trail}");
    assert!(!cluster.log().contains("deadlock"));
}

#[test]
fn a_transaction_with_an_old_snapshot_fails_rather_than_break_the_order() {
    let cluster = Cluster::start();
    let mut admin = four_plugins(&cluster);
    admin.run("SELECT posthog_plugins.disable('d')");
    let mut client = cluster.connect("orders");
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for (meanwhile, change) in [
            ("disable('c')", "enable('d')"),
            ("enable('d')", "enable('c')"),
            ("disable('a')", "move('b', 3)"),
            ("enable('a')", "disable('b')"),
            ("uninstall('a')", "disable('c')"),
        ] {
            client.run(&format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM pg_class"));
            admin.run(&format!("SELECT posthog_plugins.{meanwhile}"));
            // Either is fine: it sees what is there now, or it is to be tried again.
            let changed = client.batch_execute(&format!("SELECT posthog_plugins.{change}"));
            let committed = client.batch_execute("COMMIT");
            println!("{level}: {meanwhile}, {change}: {changed:?} {committed:?}");
            counts_from_one(&mut admin);
        }
        admin.add_body("a", "event.trail += 'a'; return event");
        for name in NAMES {
            admin.run(&format!("SELECT posthog_plugins.enable('{name}')"));
        }
        admin.run("SELECT posthog_plugins.disable('d')");
    }
}
