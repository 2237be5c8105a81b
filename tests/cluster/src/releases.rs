//! What was released: the install script of each version, the scripts that update one version to the
//! next, and the checksums that say whether they are still the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use postgres::Client;

use crate::{Session, repository};

/// The version that is built.
pub const CURRENT: &str = env!("CARGO_PKG_VERSION");

pub struct Releases {
    sql: PathBuf,
}

impl Releases {
    #[must_use]
    pub fn of_the_repository() -> Self {
        Self::below(repository().join("sql"))
    }

    #[must_use]
    pub fn below(sql: PathBuf) -> Self {
        Self { sql }
    }

    /// Every release with its install script, in the order of SHA256SUMS, which is that of time.
    #[must_use]
    pub fn install_scripts(&self) -> Vec<(String, String)> {
        let versions = self.checksums().into_iter().filter_map(|(path, _)| {
            Some(path.strip_prefix("released/posthog_plugins--")?.strip_suffix(".sql")?.to_owned())
        });
        versions
            .map(|version| {
                let script = self.sql.join(format!("released/posthog_plugins--{version}.sql"));
                (version, fs::read_to_string(script).expect("a released script can be read"))
            })
            .collect()
    }

    /// What is not as it was released, or was not recorded. The session only computes checksums.
    #[must_use]
    pub fn problems(&self, client: &mut Client) -> Vec<String> {
        let mut problems = Vec::new();
        let mut unrecorded = self.scripts();
        for (path, recorded) in self.checksums() {
            match unrecorded.remove(&path) {
                None => problems.push(format!("{path} is gone")),
                Some(content) => {
                    let found: String = client
                        .query_one("SELECT encode(sha256($1), 'hex')", &[&content])
                        .expect("PostgreSQL computes a checksum")
                        .get(0);
                    if found != recorded {
                        problems.push(format!("{path} was edited after its release"));
                    }
                }
            }
        }
        let released: Vec<String> =
            self.install_scripts().into_iter().map(|(version, _)| version).collect();
        for path in unrecorded.keys() {
            let target = path.rsplit("--").next().and_then(|end| end.strip_suffix(".sql"));
            let is_next = !path.starts_with("released/")
                && target.is_some_and(|target| !released.iter().any(|version| version == target));
            if !is_next {
                problems.push(format!("{path} is not in SHA256SUMS"));
            }
        }
        problems
    }

    /// Paths below sql/ with their checksums.
    fn checksums(&self) -> Vec<(String, String)> {
        let list = fs::read_to_string(self.sql.join("released/SHA256SUMS")).expect("SHA256SUMS");
        list.lines()
            .map(|line| {
                let (checksum, path) = line.split_once("  ").expect("a checksum and a path");
                (path.to_owned(), checksum.to_owned())
            })
            .collect()
    }

    /// The scripts that are, or will be, released.
    fn scripts(&self) -> BTreeMap<String, Vec<u8>> {
        let mut scripts = BTreeMap::new();
        for folder in ["", "released/"] {
            for entry in fs::read_dir(self.sql.join(folder)).expect("a folder of scripts") {
                let path = entry.expect("an entry").path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if name.starts_with("posthog_plugins--") {
                    let content = fs::read(&path).expect("a script can be read");
                    scripts.insert(format!("{folder}{name}"), content);
                }
            }
        }
        scripts
    }
}

/// Puts one database's plugins into another one, where the tables may lack columns.
pub fn transfer(from: &mut Client, to: &mut Client) {
    let tables: Vec<String> = to.column(
        "SELECT id::regclass::text
           FROM pg_extension, unnest(extconfig) AS id
           JOIN pg_class ON oid = id AND relkind = 'r'
          WHERE extname = 'posthog_plugins'",
    );
    for table in tables {
        let rows: String =
            from.value(&format!("SELECT COALESCE(jsonb_agg(t), '[]')::text FROM {table} AS t"));
        let insert = format!(
            "INSERT INTO {table} OVERRIDING SYSTEM VALUE
             SELECT * FROM jsonb_populate_recordset(NULL::{table}, $1::text::jsonb)"
        );
        to.execute(&insert, &[&rows]).unwrap_or_else(|error| panic!("{table}: {error:?}"));
    }
}
