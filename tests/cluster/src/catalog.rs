//! What the extension consists of in a database, as lines that can be compared.

use std::collections::BTreeSet;

use postgres::Client;

use crate::Session;

/// The definitions of all members, and the rows of those that are tables.
#[must_use]
pub fn describe(client: &mut Client) -> BTreeSet<String> {
    let unknown: Vec<String> = client.column(UNKNOWN_KINDS);
    assert!(unknown.is_empty(), "catalog.sql says nothing about {unknown:?}");
    // As someone sees it who has nothing on the search_path, so that all names are qualified.
    client.run("SET search_path = ''");
    let mut lines: BTreeSet<String> =
        client.column(include_str!("catalog.sql")).into_iter().collect();
    for table in client.column::<String>(TABLES) {
        let rows: Vec<String> = client.column(&format!("SELECT r::text FROM {table} AS r"));
        lines.extend(rows.into_iter().map(|row| format!("{table} row: {row}")));
    }
    client.run("RESET search_path");
    lines
}

/// What only one of two descriptions has: `-` for the first, `+` for the second.
#[must_use]
pub fn difference(first: &BTreeSet<String>, second: &BTreeSet<String>) -> Vec<String> {
    let lost = first.difference(second).map(|line| format!("- {line}"));
    let gained = second.difference(first).map(|line| format!("+ {line}"));
    lost.chain(gained).collect()
}

const TABLES: &str = "
    SELECT objid::regclass::text
      FROM pg_depend AS d
      JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'r'
     WHERE d.deptype = 'e' AND d.classid = 'pg_class'::regclass
       AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'posthog_plugins')
     ORDER BY 1";

const UNKNOWN_KINDS: &str = "
    SELECT pg_describe_object(d.classid, d.objid, 0)
      FROM pg_depend AS d
      LEFT JOIN pg_class AS c ON c.oid = d.objid AND d.classid = 'pg_class'::regclass
      LEFT JOIN pg_proc AS p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
     WHERE d.deptype = 'e'
       AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'posthog_plugins')
       AND d.classid <> 'pg_namespace'::regclass
       AND COALESCE(c.relkind NOT IN ('r', 'v', 'S'), true)
       AND COALESCE(p.prokind NOT IN ('f', 'p'), true)";
