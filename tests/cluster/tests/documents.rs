//! The SQL in the pages runs, and prints what the pages say. CONTRIBUTING.md has the rules.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use cluster::markdown::{Example, examples};
use cluster::{Cluster, repository};

#[test]
fn every_page_prints_what_it_says() {
    let root = repository();
    let mut report = String::new();
    for page in pages(&root) {
        let name = page.strip_prefix(&root).unwrap().display().to_string();
        let examples = examples(&fs::read_to_string(&page).unwrap());
        if !examples.is_empty() {
            run(&name, &examples, &mut report);
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn the_readme_has_sql_to_run() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(examples(&readme).iter().any(|example| example.output.is_some()));
}

fn pages(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned(), root.join("docs"), root.join("plugins")];
    folders.extend(entries(&root.join("plugins")).into_iter().filter(|path| path.is_dir()));
    let mut pages: Vec<_> = folders.iter().flat_map(|folder| entries(folder)).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A page has a cluster of its own, as it may create roles and change settings.
fn run(page: &str, examples: &[Example], report: &mut String) {
    let cluster = Cluster::start();
    let creates = examples.iter().any(|example| example.sql.contains("CREATE EXTENSION"));
    let mut script = String::new();
    if !creates {
        script.push_str("CREATE EXTENSION posthog_plugins;\n");
    }
    for example in examples {
        writeln!(script, "\\echo {MARK}\n{}", example.sql).unwrap();
    }
    let output = cluster.psql("postgres", &script);
    let outputs: Vec<_> = output.split(&format!("{MARK}\n")).skip(1).collect();
    assert_eq!(outputs.len(), examples.len(), "{page}: a block left psql in the middle\n{output}");
    for (example, found) in examples.iter().zip(outputs) {
        let found = trimmed(found);
        let as_promised = match &example.output {
            Some(promised) => trimmed(promised) == found,
            None => !found.lines().any(|line| line.starts_with("ERROR:")),
        };
        if !as_promised {
            let Example { line, sql, .. } = example;
            writeln!(report, "\n{page}:{line} prints something else\n{sql}\n--\n{found}").unwrap();
        }
    }
}

/// Between the outputs of two blocks. psql prints it when it has printed all before.
const MARK: &str = "----- the next block -----";

/// psql pads its columns with spaces, which editors remove.
fn trimmed(text: &str) -> String {
    let lines: Vec<_> = text.trim_matches('\n').lines().map(str::trim_end).collect();
    lines.join("\n")
}
