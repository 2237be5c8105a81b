//! `process_event` and what else could do the same: plain SQL, PL/pgSQL, PL/Python, PL/Perl, and
//! Node with the same plugin files.

use std::cell::RefCell;

use cluster::Cluster;
use postgres::Client;

use crate::node::Node;
use crate::rounds::{Effort, Measured, Subject, interleave};
use crate::server::{self, Plugin};

/// The subject that all ratios are to.
pub const OURS: &str = "posthog_plugins";

/// A chain of plugins, and functions that do the same.
struct Case {
    name: &'static str,
    chain: &'static [Plugin],
    /// An expression over `event`.
    sql: Option<&'static str>,
    /// Bodies of functions that take and return `event`.
    plpgsql: Option<&'static str>,
    python: Option<&'static str>,
    perl: Option<&'static str>,
}

const REALISTIC: &[Plugin] = &[
    Plugin { name: "property-filter", config: r#"{"properties": "token, $insert_id, $time"}"# },
    Plugin::plain("url-normalizer"),
    Plugin::plain("user-agent"),
    Plugin { name: "schema-check", config: r#"{"required": "$current_url, $lib, plan"}"# },
    Plugin::plain("hello-world"),
];

const CASES: &[Case] = &[
    Case {
        name: "identity",
        chain: &[Plugin::plain("identity")],
        sql: None,
        plpgsql: Some("RETURN event;"),
        python: Some("return event"),
        perl: Some("return $_[0];"),
    },
    Case {
        name: "set one property",
        chain: &[Plugin::plain("hello-world")],
        sql: Some(r#"jsonb_set(event, '{properties,greeting}', '"Hello world"')"#),
        plpgsql: Some(r#"RETURN jsonb_set(event, '{properties,greeting}', '"Hello world"');"#),
        python: Some("event['properties']['greeting'] = 'Hello world'\nreturn event"),
        perl: Some(
            "my $event = shift; $event->{properties}{greeting} = 'Hello world'; return $event;",
        ),
    },
    Case {
        name: "set one property, async",
        chain: &[Plugin::plain("hello-world-async")],
        sql: None,
        plpgsql: None,
        python: None,
        perl: None,
    },
    Case {
        name: "delete three properties",
        chain: &[Plugin::plain("delete-three")],
        sql: Some(
            "event #- '{properties,token}' #- '{properties,$insert_id}' #- '{properties,$time}'",
        ),
        plpgsql: Some(
            "RETURN event #- '{properties,token}' #- '{properties,$insert_id}' #- '{properties,$time}';",
        ),
        python: Some(
            "for key in ('token', '$insert_id', '$time'):\n    event['properties'].pop(key, None)\nreturn event",
        ),
        perl: Some(
            "my $event = shift; delete @{$event->{properties}}{'token', '$insert_id', '$time'}; return $event;",
        ),
    },
    Case {
        name: "read all properties",
        chain: &[Plugin::plain("read-all")],
        sql: None,
        plpgsql: Some(
            "DECLARE letters int := 0; item record;
             BEGIN
                 FOR item IN SELECT * FROM jsonb_each(event -> 'properties') LOOP
                     IF jsonb_typeof(item.value) = 'string' THEN
                         letters := letters + length(item.value #>> '{}');
                     END IF;
                 END LOOP;
                 RETURN event || jsonb_build_object('letters', letters);
             END",
        ),
        python: Some(
            "event['letters'] = sum(len(v) for v in event['properties'].values() if isinstance(v, str))\nreturn event",
        ),
        perl: Some(
            "my $event = shift; my $letters = 0;
             for (values %{$event->{properties}}) { $letters += length($_) unless ref($_) }
             $event->{letters} = $letters; return $event;",
        ),
    },
    Case {
        name: "copy by spread",
        chain: &[Plugin::plain("spread-copy")],
        sql: None,
        plpgsql: None,
        python: Some("return {**event, 'properties': {**event['properties'], 'copied': True}}"),
        perl: None,
    },
    Case {
        name: "chain of five",
        chain: REALISTIC,
        sql: None,
        plpgsql: None,
        python: None,
        perl: None,
    },
    Case {
        name: "ten plugins that set one property",
        chain: &[Plugin::plain("hello-world"); 10],
        sql: None,
        plpgsql: None,
        python: None,
        perl: None,
    },
];

/// One case on events of one size.
pub struct Comparison {
    pub case: &'static str,
    pub size: &'static str,
    /// [`OURS`] is among them; the scan, which all but Node contain, comes first.
    pub subjects: Vec<Measured>,
}

pub fn measure(cluster: &Cluster, effort: Effort) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        let mut client = server::database(cluster, &format!("calls_{number}"), case.chain);
        let peers = define(&mut client, case);
        let client = RefCell::new(client);
        for (size, table, events) in
            [("2 KB", "small", effort.events), ("20 KB", "large", effort.large_events)]
        {
            eprintln!("{}, {size}", case.name);
            // The scan detoasts the event, as every subject has to.
            let scan = ("scan", "event -> 'uuid'".to_owned());
            let ours = (OURS, "process_event(event)".to_owned());
            let mut subjects: Vec<Subject<'_>> = [scan, ours]
                .into_iter()
                .chain(peers.iter().cloned())
                .map(|(name, expression)| {
                    let query = format!("SELECT count({expression}) FROM {table}");
                    let client = &client;
                    Subject::new(name, events, move || {
                        let counted: i64 = client
                            .borrow_mut()
                            .query_one(&query, &[])
                            .expect("the query runs")
                            .get(0);
                        assert_eq!(counted, events as i64, "{name} dropped events");
                    })
                })
                .collect();
            let node = Node::start(case.chain, &mut client.borrow_mut(), table);
            if let Some(mut node) = node {
                subjects.push(Subject::timed("Node 20", events, move || node.run()));
            }
            comparisons.push(Comparison {
                case: case.name,
                size,
                subjects: interleave(subjects, effort.rounds),
            });
        }
    }
    comparisons
}

/// Defines the functions of a case, and says how each is called.
fn define(client: &mut Client, case: &Case) -> Vec<(&'static str, String)> {
    let mut calls: Vec<(&'static str, String)> = Vec::new();
    if let Some(expression) = case.sql {
        calls.push(("SQL expression", expression.to_owned()));
    }
    let plpgsql = case.plpgsql.map(|body| {
        if body.starts_with("DECLARE") { body.to_owned() } else { format!("BEGIN {body} END") }
    });
    let transform = |language: &str| format!("{language} TRANSFORM FOR TYPE jsonb");
    for (name, function, language, body) in [
        ("PL/pgSQL", "in_plpgsql", "plpgsql".to_owned(), plpgsql),
        ("PL/Python", "in_python", transform("plpython3u"), case.python.map(str::to_owned)),
        ("PL/Perl", "in_perl", transform("plperl"), case.perl.map(str::to_owned)),
    ] {
        let Some(body) = body else { continue };
        let created = client.batch_execute(&format!(
            "CREATE FUNCTION {function}(event jsonb) RETURNS jsonb LANGUAGE {language} AS $body${body}$body$"
        ));
        match created {
            Ok(()) => calls.push((name, format!("{function}(event)"))),
            Err(error) => eprintln!("without {name}: {error}"),
        }
    }
    calls
}
