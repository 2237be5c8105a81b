//! tests/regress: SQL in, expected output beside it, compared by PostgreSQL's own pg_regress.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cluster::{Cluster, Environment, repository};

#[test]
fn every_regress_file_prints_what_is_expected() {
    let cluster = Cluster::start();
    let environment = Environment::read();
    let folder = repository().join("tests/regress");
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("regress");
    fs::create_dir_all(&output).unwrap();
    let names = names(&folder);
    let accept = std::env::var_os("REGRESS_ACCEPT").is_some();
    if accept {
        // pg_regress gives up where nothing is expected yet.
        for name in &names {
            let expected = folder.join("expected").join(name).with_extension("out");
            fs::OpenOptions::new().create(true).append(true).open(expected).unwrap();
        }
    }
    let run = Command::new(pg_regress(&environment))
        .env("PG_REGRESS_DIFF_OPTS", "-u")
        .arg("--inputdir")
        .arg(&folder)
        .arg("--outputdir")
        .arg(&output)
        .arg("--bindir")
        .arg(&environment.bin)
        .arg("--host")
        .arg(cluster.socket_directory())
        .args(["--user=postgres", "--dbname=regress", "--load-extension=posthog_plugins"])
        .args(&names)
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&run.stdout));
    if accept {
        for name in &names {
            let file = format!("{name}.out");
            fs::copy(output.join("results").join(&file), folder.join("expected").join(&file))
                .unwrap();
        }
        return;
    }
    assert!(
        run.status.success(),
        "{}{}\n`make regress-accept` takes these over",
        String::from_utf8_lossy(&run.stderr),
        fs::read_to_string(output.join("regression.diffs")).unwrap_or_default()
    );
}

/// The files in alphabetical order. They share a database, in which the extension is.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.join("sql"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no regress files in {}", folder.display());
    names
}

fn pg_regress(environment: &Environment) -> PathBuf {
    let pgxs = Command::new(environment.bin.join("pg_config")).arg("--pgxs").output().unwrap();
    let makefile = PathBuf::from(String::from_utf8(pgxs.stdout).unwrap().trim_end());
    // pgxs/src/makefiles/pgxs.mk
    makefile.ancestors().nth(2).unwrap().join("test/regress/pg_regress")
}
