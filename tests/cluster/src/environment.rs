//! What the tests are told from outside: where PostgreSQL is and who runs it. `scripts/test` sets
//! these variables.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// A server's executable and files, which may be changed.
pub(crate) struct Installation {
    pub server: PathBuf,
    extensions: PathBuf,
}

impl Installation {
    pub fn write_extension_file(&self, name: &str, content: &str) {
        let path = self.extensions.join(name);
        // It may be a link to the original.
        let _ = fs::remove_file(&path);
        fs::write(path, content).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

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

    /// What the control file and the scripts of extensions are in.
    #[must_use]
    pub fn extension_directory(&self) -> PathBuf {
        self.directory("--sharedir").join("extension")
    }

    fn directory(&self, option: &str) -> PathBuf {
        run(Command::new(self.bin.join("pg_config")).arg(option)).trim_end().into()
    }

    /// Another installation, of links to this one's files. PostgreSQL looks for its files where its
    /// executable is, relative to it and after following links, so that one is a copy.
    pub(crate) fn copy_installation(&self, to: &Path) -> Installation {
        let share = self.directory("--sharedir");
        let library = self.directory("--pkglibdir");
        let above = self.bin.ancestors().find(|&above| share.starts_with(above)).expect("a root");
        let new = |directory: &Path| {
            to.join(directory.strip_prefix(above).expect("executables, libraries: one root"))
        };
        for directory in [&share, &library] {
            fs::create_dir_all(new(directory)).expect("a directory can be made");
            run(Command::new("cp")
                .args(["-as", "--no-target-directory"])
                .args([directory, &new(directory)]));
        }
        fs::create_dir_all(new(&self.bin)).expect("a directory can be made");
        let server = new(&self.bin).join("postgres");
        fs::copy(self.bin.join("postgres"), &server).expect("the server can be copied");
        Installation { server, extensions: new(&share).join("extension") }
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
pub fn run(command: &mut Command) -> String {
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
