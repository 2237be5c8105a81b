//! What PostHog's tests ask of its plugin server: tests/conformance, whose README has the rules.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use cluster::markdown::{Block, blocks};
use cluster::mmdb::database;
use cluster::{Cluster, Session, repository};
use serde_json::json;

/// A section of a page.
struct Case {
    /// The identifier, such as `VM-01`.
    id: String,
    /// Where it is, for the report.
    page: String,
    steps: Vec<Step>,
}

/// What psql is given, and what it has to print: anything but an error, unless it is said.
struct Step {
    line: usize,
    script: String,
    output: Option<String>,
}

#[test]
fn every_case_does_as_in_posthog() {
    let cluster = Cluster::start();
    drop(cluster.create_database("model"));
    let places = places();
    let cases = Mutex::new(cases().into_iter());
    let reports = thread::scope(|scope| {
        // As many as there is use for: a case mostly waits for its server and for its plugin.
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut report = String::new();
                    loop {
                        let Some(case) = cases.lock().unwrap().next() else { return report };
                        run(&cluster, &places, &case, &mut report);
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<String>()
    });
    fs::remove_file(places).unwrap();
    assert!(reports.is_empty(), "{reports}");
}

#[test]
fn the_table_has_every_case_and_no_other() {
    let page = fs::read_to_string(repository().join("docs/conformance.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split('|').map(str::trim);
        let (id, mark) = (cells.next()?, cells.nth(1)?);
        "✔⚠✘–".contains(mark).then(|| (id.to_owned(), mark.to_owned()))
    });
    let mut table = BTreeMap::new();
    for (id, mark) in rows.filter(|(_, mark)| !mark.is_empty()) {
        assert!(table.insert(id.clone(), mark).is_none(), "{id} is listed twice");
    }
    let cases: BTreeMap<_, _> = cases().into_iter().map(|case| (case.id, case.page)).collect();
    let mut wrong = String::new();
    for id in cases.keys().filter(|id| !table.contains_key(*id)) {
        writeln!(wrong, "{id} is missing in the table").unwrap();
    }
    for (id, mark) in table {
        if cases.contains_key(&id) != "✔⚠".contains(&mark) {
            writeln!(wrong, "{id} is marked {mark}, which its cases do not bear out").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn cases() -> Vec<Case> {
    let folder = repository().join("tests/conformance");
    let mut pages: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages.iter().filter(|page| !page.ends_with("README.md")).flat_map(cases_of).collect()
}

fn cases_of(page: &PathBuf) -> Vec<Case> {
    let text = fs::read_to_string(page).unwrap();
    let name = page.file_name().unwrap().to_string_lossy().into_owned();
    let mut blocks = blocks(&text).into_iter().peekable();
    let headings: Vec<_> = text
        .lines()
        .enumerate()
        .filter_map(|(number, line)| Some((number + 1, line.strip_prefix("## ")?)))
        .collect();
    let ends = headings.iter().skip(1).map(|(line, _)| *line).chain([usize::MAX]);
    let cases = headings.iter().zip(ends).map(|((_, heading), end)| {
        let id = heading.split_whitespace().next().unwrap().to_owned();
        let mut own = Vec::new();
        while let Some(block) = blocks.next_if(|block| block.line < end) {
            own.push(block);
        }
        Case { id, page: name.clone(), steps: steps(own) }
    });
    cases.collect()
}

fn steps(blocks: Vec<Block>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut manifest = "{}".to_owned();
    for Block { line, language, body, adjoins } in blocks {
        let (language, plugin) = language.split_once(' ').unwrap_or((&language, "plugin"));
        match (language, steps.last_mut()) {
            ("json", _) => manifest = body,
            ("js" | "ts", _) => {
                let manifest = std::mem::replace(&mut manifest, "{}".to_owned());
                let script = format!(
                    "\\o /dev/null\n
                     SELECT posthog_plugins.install($source${body}$source$, $json${manifest}$json$, '{plugin}');
                     SELECT posthog_plugins.enable('{plugin}') \
                      WHERE EXISTS (SELECT FROM posthog_plugins.plugins WHERE name = '{plugin}');
                     \\o"
                );
                steps.push(Step { line, script, output: None });
            }
            ("sql", _) => steps.push(Step { line, script: body, output: None }),
            ("text", Some(last)) if adjoins => last.output = Some(body),
            _ => panic!("line {line}: what is {language} here?"),
        }
    }
    steps
}

/// A database of places that the server can read.
fn places() -> PathBuf {
    let file = std::env::temp_dir().join(format!("places-{}.mmdb", std::process::id()));
    let place = json!({"city": {"names": {"en": "Linköping"}}});
    fs::write(&file, database(&[([89, 160, 20, 0], 24, place)])).unwrap();
    file
}

fn run(cluster: &Cluster, places: &Path, Case { id, page, steps }: &Case, report: &mut String) {
    let database = id.to_lowercase().replace('-', "_");
    cluster.connect("postgres").run(&format!("CREATE DATABASE {database} TEMPLATE model"));
    let mut script = format!(
        "\\pset format unaligned\n\\pset tuples_only on\n\\set VERBOSITY terse\n\\set places '{}'\n",
        places.display()
    );
    for step in steps {
        writeln!(script, "\\echo {MARK}\n{}", step.script).unwrap();
    }
    let output = cluster.psql(&database, &script);
    let outputs: Vec<_> = output.split(&format!("{MARK}\n")).skip(1).collect();
    assert_eq!(outputs.len(), steps.len(), "{id}: a block left psql in the middle\n{output}");
    for (step, found) in steps.iter().zip(outputs) {
        let as_expected = match &step.output {
            Some(expected) => lines(expected).eq(lines(found)),
            None => !found.contains("ERROR:"),
        };
        if !as_expected {
            let line = step.line;
            writeln!(report, "\n{id}, {page}:{line} prints something else\n{found}").unwrap();
        }
    }
}

/// Without the empty ones, which psql prints for a value that is void.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty())
}

/// Between the outputs of two blocks. psql prints it when it has printed all before.
const MARK: &str = "----- the next block -----";
