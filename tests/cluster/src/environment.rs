//! What the tests are told from outside: where PostgreSQL is and who runs it. `scripts/test` sets
//! these variables.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The PostgreSQL installation that has the extension.
pub struct Environment {
    /// Its executables.
    pub bin: PathBuf,
    /// An initialised cluster that never ran, to be copied.
    pub empty_cluster: PathBuf,
    /// Who runs the servers, when that is somebody else: PostgreSQL refuses to run as root.
    server_user: Option<String>,
}

impl Environment {
    #[must_use]
    pub fn read() -> Self {
        Self {
            bin: required("POSTHOG_PLUGINS_BIN").into(),
            empty_cluster: required("POSTHOG_PLUGINS_EMPTY_CLUSTER").into(),
            server_user: env::var("POSTHOG_PLUGINS_SERVER_USER").ok(),
        }
    }

    /// A command that runs as the user of the servers.
    #[must_use]
    pub fn as_server(&self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        let mut command = match &self.server_user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
        };
        // The checkout may be where that user cannot go.
        command.current_dir("/");
        // A server that has it spends a tenth of a second on the first error of each session.
        command.env_remove("RUST_BACKTRACE");
        command
    }
}

fn required(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `make test` sets it"))
}

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/cluster is two deep")
        .into()
}

/// Runs a command to its end and returns what it printed; panics with everything if it failed.
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&stdout);
    assert!(
        status.success(),
        "{command:?} ended with {status}\n{stdout}{}",
        String::from_utf8_lossy(&stderr)
    );
    stdout.into_owned()
}
