//! Events that plugins capture, jobs that they enqueue and metrics: in the transaction they belong to.

use cluster::{Cluster, Session};

#[test]
fn captured_events_belong_to_the_transaction() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("captured");
    client.run(
        r#"SELECT posthog_plugins.install('export function processEvent(event) {
               posthog.capture("seen", { distinct_id: event.distinct_id, text: "a\0b\ud800", n: 1 });
               posthog.capture("other", { timestamp: "2024-01-01T00:00:00Z" });
               return event }', '{"name": "Capturing"}');
           SELECT posthog_plugins.enable('capturing', 2)"#,
    );
    client.run(
        r#"BEGIN; SELECT process_event('{"event": "e", "team_id": 2, "distinct_id": "me"}'); ROLLBACK;
           BEGIN; SAVEPOINT a; SELECT process_event('{"event": "e", "team_id": 2}'); ROLLBACK TO a;
           COMMIT"#,
    );
    let count = "SELECT count(*) FROM posthog_plugins.captured_event";
    assert_eq!(client.value::<i64>(count), 0);
    client.run(r#"SELECT process_event('{"event": "e", "team_id": 2, "distinct_id": "me"}')"#);
    let events: Vec<String> = client.column(
        "SELECT ((event - 'uuid' - 'now' - 'sent_at'
                  - CASE event ->> 'event' WHEN 'seen' THEN 'timestamp' ELSE '' END)
                 #- '{properties,$lib_version}')::text
           FROM posthog_plugins.captured_event
          WHERE (event ->> 'uuid')::uuid IS NOT NULL AND (event ->> 'now')::timestamptz < now()
          ORDER BY id",
    );
    assert_eq!(
        events,
        [
            "{\"ip\": null, \"event\": \"seen\", \"team_id\": 2, \"site_url\": null, \"properties\": {\"n\": 1, \"$lib\": \"posthog-plugin-server\", \"text\": \"a\u{FFFD}b\u{FFFD}\", \"distinct_id\": \"me\"}, \"distinct_id\": \"me\"}",
            "{\"ip\": null, \"event\": \"other\", \"team_id\": 2, \"site_url\": null, \"timestamp\": \"2024-01-01T00:00:00Z\", \"properties\": {\"$lib\": \"posthog-plugin-server\", \"distinct_id\": \"Capturing\"}, \"distinct_id\": \"Capturing\"}",
        ]
    );
}

#[test]
fn jobs_wait_for_their_time() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("jobs");
    client.add_plugin(
        "jobs",
        "export async function processEvent(event, { jobs }) {
             await jobs.soon({ a: 1 }).runNow()
             await jobs.later({ a: 2 }).runIn(2, 'months')
             await jobs.then_().runAt(new Date('2100-01-01T00:00:00Z'))
             event.wrong = await jobs.never().runIn(1, 'fortnight').catch((error) => error.message)
             return event
         }",
    );
    let after = client.process(r#"{"event": "e"}"#).unwrap();
    assert!(after.contains("fortnight"), "{after}");
    let jobs: Vec<String> = client.column(
        "SELECT name || payload || round(extract(epoch FROM run_at - now()) / 86400) || ' '
                || (run_at = '2100-01-01T00:00:00Z')
           FROM posthog_plugins.jobs",
    );
    assert_eq!(jobs.len(), 3);
    assert_eq!(jobs[0], r#"soon{"a": 1}0 false"#);
    assert_eq!(jobs[1], r#"later{"a": 2}60 false"#);
    assert!(jobs[2].starts_with("then_null") && jobs[2].ends_with("true"), "{jobs:?}");
}

/// PostgreSQL would say so at the commit, whatever `on_error` is.
#[test]
fn a_plugin_that_leaves_no_json_does_not_end_the_transaction() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("raw");
    client.add_plugin(
        "raw",
        r#"JSON.stringify = () => 'no JSON'
           export async function processEvent(event, { jobs }) {
             posthog.capture('fine', { n: 1 })
             await jobs.text(JSON.rawJSON('"\\uD800"')).runAt(0)
             await posthog.capture('large', { n: JSON.rawJSON('1e999999') })
         }"#,
    );
    assert_eq!(client.process(r#"{"n": 1}"#).unwrap(), r#"{"n": 1}"#);
    let left: i64 = client.value(
        "SELECT (SELECT count(*) FROM posthog_plugins.captured_event)
              + (SELECT count(*) FROM posthog_plugins.plugin_job)",
    );
    assert_eq!(left, 2);
    let message: String = client.value("SELECT message FROM posthog_plugins.failures");
    assert!(message.contains("can have numbers"), "{message}");
}

#[test]
fn no_sum_is_too_large_for_the_others_to_be_seen() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("sums");
    client.add_plugin(
        "sums",
        "export const metrics = { total: 'sum' }
         export function processEvent(event, { metrics }) {
             metrics.total.increment(1.7e308); metrics.total.increment(1.7e308); return event
         }",
    );
    client.run("SET posthog_plugins.stats_interval = 0");
    for _ in 0..3 {
        client.process("{}");
    }
    let read = "SELECT value > 1e289 FROM posthog_plugins.metrics";
    assert!(client.value::<bool>(read));
    client.run("SELECT posthog_plugins.prune()");
    assert!(client.value::<bool>(read));
}

#[test]
fn metrics_are_joined_by_their_kind() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("metrics");
    client.run("SET posthog_plugins.stats_interval = 0");
    client.add_plugin(
        "measured",
        "export const metrics = { total: 'SUM', most: 'max', least: 'min', nothing: 5 }
         export function processEvent(event, { metrics }) {
             metrics.total.increment(event.n); metrics.most.max(event.n); metrics.least.min(event.n)
             try { metrics.unknown } catch (error) { event.unknown = error.name }
             try { metrics.total.max(1) } catch (error) { event.wrong = error.name }
             try { metrics.total.increment('1') } catch (error) { event.text = error.name }
             return event
         }",
    );
    for number in [3, -1, 5] {
        let after = client.process(&format!(r#"{{"n": {number}}}"#)).unwrap();
        assert!(after.contains(r#""wrong": "TypeError""#), "{after}");
        assert!(after.contains(r#""unknown": "IllegalOperationError""#), "{after}");
        assert!(after.contains(r#""text": "IllegalOperationError""#), "{after}");
    }
    let read = "SELECT name || ' ' || kind || ' ' || value FROM posthog_plugins.metrics";
    let expected = ["least min -1", "most max 5", "total sum 7"];
    assert_eq!(client.column::<String>(read), expected);
    client.run("SELECT posthog_plugins.prune()");
    assert_eq!(client.column::<String>(read), expected);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM posthog_plugins.plugin_metric"), 3);
}

#[test]
fn an_unknown_kind_of_metric_is_a_plugin_that_does_not_load() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("wrong");
    client.add_plugin(
        "wrong",
        "export const metrics = { total: 'average' }
         export function processEvent(event) { event.ran = true; return event }",
    );
    assert_eq!(client.process(r#"{"n": 1}"#).unwrap(), r#"{"n": 1}"#);
    let message: String = client.value("SELECT message FROM posthog_plugins.failures LIMIT 1");
    assert!(message.contains("a metric must be"), "{message}");
}
