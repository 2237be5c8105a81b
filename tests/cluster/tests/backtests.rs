//! Plugins on events that are stored already: `backtest`.

use cluster::counter::database;
use cluster::{Cluster, Session};

#[test]
fn a_backtest_runs_over_the_last_rows_in_their_order() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "backtest");
    client.run(
        "CREATE TABLE stamped (id int PRIMARY KEY, timestamp timestamptz, event text, team_id int);
         INSERT INTO stamped SELECT n, now() - n * interval '1 s', 'e', n % 2 FROM generate_series(1, 90) n;
         INSERT INTO stamped VALUES (0, NULL, 'e', 0);
         CREATE TABLE keyed (b int, a int, data jsonb, PRIMARY KEY (a, b));
         INSERT INTO keyed VALUES (1, 1, '{}'), (2, 1, '{}'), (1, 2, '{\"event\": \"drop\"}'),
                                  (1, 0, '{}'), (3, 3, '5'), (4, 4, '{\"event\": \"$snapshot\"}');
         CREATE TABLE bare (data json);
         INSERT INTO bare VALUES ('{\"a\": 1}'), (NULL), ('{\"event\": \"fail\"}');
         CREATE VIEW seen AS SELECT * FROM bare, generate_series(1, 2) AS n;",
    );
    let mut rows = |call: &str| -> Vec<String> {
        client.column(&format!(
            "SELECT concat_ws(' ', row_key, outcome, result -> 'count', error)
               FROM posthog_plugins.backtest('counter', {call})"
        ))
    };
    // The newest three, the oldest of them first.
    assert_eq!(
        rows("'stamped', 3"),
        [r#"{"id": 3} changed 1"#, r#"{"id": 2} changed 2"#, r#"{"id": 1} changed 3"#]
    );
    assert_eq!(rows("'stamped'").len(), 90);
    assert_eq!(
        rows("'stamped', 2, order_by => 'id'"),
        [r#"{"id": 89} changed 1"#, r#"{"id": 90} changed 2"#]
    );
    assert_eq!(
        rows("'keyed', 5, event_column => 'data'"),
        [
            r#"{"a": 1, "b": 1} changed 1"#,
            r#"{"a": 1, "b": 2} changed 2"#,
            r#"{"a": 2, "b": 1} dropped"#,
            r#"{"a": 3, "b": 3} failed an event must be a JSON object"#,
        ]
    );
    assert_eq!(
        rows("'bare', event_column => 'data'"),
        [r#"{"ctid": "(0,1)"} changed 1"#, r#"{"ctid": "(0,3)"} failed Error: no ********"#]
    );
    assert_eq!(rows("'seen', event_column => 'data', order_by => 'n'").len(), 4);
    client.run("SELECT posthog_plugins.configure('counter', '{}', team_id => 1)");
    let output = cluster.psql(
        "backtest",
        "SELECT count(*) FROM posthog_plugins.backtest('counter', 'stamped', team_id => 1)",
    );
    let notice = "NOTICE:  90 rows: 45 changed, 0 dropped, 0 failed, 0 unchanged, 45 passed by";
    assert!(output.contains(notice), "{output}");
    // One that is left before its end does no harm.
    client.run("SELECT posthog_plugins.backtest('counter', 'stamped') LIMIT 1");
}

#[test]
fn a_backtest_knows_the_row_from_its_columns() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("columns");
    client.add_body("seen", "event.seen = true; return event");
    client.run(
        "CREATE TABLE events (id int PRIMARY KEY, t timestamptz, r int, place int, event text);
         INSERT INTO events VALUES (1, now(), 2, 3, 'e')",
    );
    let found = client.value::<i64>(
        "SELECT count(*) FROM posthog_plugins.backtest('seen', 'events') AS found
          WHERE found.outcome = 'changed' AND found.event ->> 'event' = 'e'
            AND found.row_key = '{\"id\": 1}'",
    );
    assert_eq!(found, 1);
}
