//! One server for one test, in a directory of its own below /tmp: data, log and socket. It has no
//! TCP port, so any number of them run side by side.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use postgres::{Client, Config, NoTls};

use crate::environment::{Environment, run};

/// Losing data when the machine itself dies is fine here, and not waiting for the disk is fast.
const FOR_TESTS: [(&str, &str); 3] =
    [("fsync", "off"), ("log_line_prefix", "'%p %d '"), ("timezone", "'UTC'")];

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub enum Shutdown {
    /// Sessions are cut off, everything is written.
    Fast,
    /// As in a crash: recovery follows at the next start.
    Immediate,
}

/// A running server. Dropping it stops the server and removes everything.
pub struct Cluster {
    environment: Environment,
    directory: PathBuf,
    /// The server's executable, when it is not the environment's.
    server: Option<PathBuf>,
}

impl Cluster {
    /// A server with the extension's files installed and nothing created.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with lines for postgresql.conf; text values need their own quotes.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let cluster = Self::prepare(settings);
        cluster.boot();
        cluster
    }

    /// A server whose PostgreSQL has these files of extensions, too, by name and content.
    #[must_use]
    pub fn start_with_extension_files(files: &[(&str, &str)]) -> Self {
        let mut cluster = Self::prepare(&[]);
        let installation =
            cluster.environment.copy_installation(&cluster.directory.join("installation"));
        for (name, content) in files {
            installation.write_extension_file(name, content);
        }
        cluster.server = Some(installation.server);
        cluster.boot();
        cluster
    }

    /// A server of its own that follows this one.
    #[must_use]
    pub fn standby(&self) -> Self {
        let standby = Self::empty();
        run(standby
            .environment
            .as_server(standby.environment.bin.join("pg_basebackup"))
            .arg("--host")
            .arg(&self.directory)
            .args([
                "--username=postgres",
                "--checkpoint=fast",
                "--no-sync",
                "--write-recovery-conf",
            ])
            .arg("--pgdata")
            .arg(standby.data()));
        standby.boot();
        standby
    }

    /// A server that is not running yet.
    #[must_use]
    pub fn prepare(settings: &[(&str, &str)]) -> Self {
        let cluster = Self::empty();
        run(cluster
            .environment
            .as_server("cp")
            .arg("-a")
            .arg(&cluster.environment.empty_cluster)
            .arg(cluster.data()));
        cluster.configure(&FOR_TESTS);
        cluster.configure(settings);
        cluster
    }

    /// A directory, and no server in it.
    fn empty() -> Self {
        let environment = Environment::read();
        // mktemp, as the directory must belong to the user of the server. Its path is short: the
        // path of a socket has room for 107 bytes.
        let made = run(environment.as_server("mktemp").args(["-d", "/tmp/posthog_plugins.XXXXXX"]));
        Self { environment, directory: made.trim_end().into(), server: None }
    }

    /// Adds lines to postgresql.conf, which a restart or `pg_reload_conf()` makes effective.
    pub fn configure(&self, settings: &[(&str, &str)]) {
        let path = self.data().join("postgresql.conf");
        let mut file = OpenOptions::new().append(true).open(path).expect("postgresql.conf opens");
        for (name, value) in settings {
            writeln!(file, "{name} = {value}").expect("postgresql.conf can be written");
        }
    }

    pub fn restart(&self, shutdown: Shutdown) {
        self.shut_down(shutdown);
        self.boot();
    }

    /// Ends being a standby.
    pub fn promote(&self) {
        run(&mut self.pg_ctl("promote"));
    }

    pub fn boot(&self) {
        let options = format!("-k {}", self.directory.display());
        let mut start = self.pg_ctl("start");
        if let Some(server) = &self.server {
            start.arg("-p").arg(server);
        }
        run(start.arg("--log").arg(self.log_file()).args(["--options", &options]));
    }

    pub fn shut_down(&self, shutdown: Shutdown) {
        let mode = match shutdown {
            Shutdown::Fast => "fast",
            Shutdown::Immediate => "immediate",
        };
        run(self.pg_ctl("stop").args(["--mode", mode]));
    }

    /// The process that all others of the server come from.
    #[must_use]
    pub fn postmaster(&self) -> i32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid"));
        let first = file.as_deref().unwrap_or_default().lines().next();
        first.and_then(|pid| pid.parse().ok()).expect("the server runs")
    }

    fn pg_ctl(&self, action: &str) -> Command {
        let mut command = self.environment.as_server(self.environment.bin.join("pg_ctl"));
        // A server that inherited a pipe would hold it open, and its reader would wait for the end.
        command.args([action, "--silent", "--wait", "--pgdata"]).arg(self.data());
        command
    }

    /// A session of the superuser `postgres`.
    #[must_use]
    pub fn connect(&self, database: &str) -> Client {
        self.connect_as("postgres", database)
    }

    /// A session of any role: none needs a password.
    #[must_use]
    pub fn connect_as(&self, role: &str, database: &str) -> Client {
        self.try_connect_as(role, database)
            .unwrap_or_else(|error| panic!("{role} cannot connect to {database}: {error}"))
    }

    /// For a server that may just be down.
    pub fn try_connect_as(&self, role: &str, database: &str) -> Result<Client, postgres::Error> {
        Config::new().host_path(&self.directory).user(role).dbname(database).connect(NoTls)
    }

    /// A new database with the extension in it, and a session there.
    #[must_use]
    pub fn create_database(&self, name: &str) -> Client {
        self.connect("postgres")
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .unwrap_or_else(|error| panic!("CREATE DATABASE {name}: {error}"));
        let mut client = self.connect(name);
        client.batch_execute("CREATE EXTENSION posthog_plugins").expect("the extension is created");
        client
    }

    /// What psql prints for a script, results and messages in their order. Errors do not end it.
    #[must_use]
    pub fn psql(&self, database: &str, script: &str) -> String {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let mut psql = self
            .client("psql", "postgres")
            .args(["--no-psqlrc", "--quiet", "--dbname", database])
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().expect("a second end of the pipe"))
            .stderr(writer)
            .spawn()
            .expect("psql starts");
        let mut stdin = psql.stdin.take().expect("psql has an input");
        let mut output = String::new();
        thread::scope(|scope| {
            // Beside the reading: with both pipes full, psql and this test would wait for each other.
            scope.spawn(move || stdin.write_all(script.as_bytes()).expect("psql reads the script"));
            reader.read_to_string(&mut output).expect("psql prints UTF-8");
        });
        let status = psql.wait().expect("psql ends");
        assert!(status.success(), "psql ended with {status}\n{output}");
        output
    }

    /// One of PostgreSQL's client programs, connecting to this server as a role.
    #[must_use]
    pub fn client(&self, program: &str, role: &str) -> Command {
        let mut command = Command::new(self.environment.bin.join(program));
        command.arg("--host").arg(&self.directory).args(["--username", role]);
        command
    }

    /// The server's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.log_file())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Where the socket is: the host for clients other than the ones here.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// What the server keeps.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            // Enough for a crash and what came before it.
            let end = lines.len().saturating_sub(40);
            eprintln!("the end of the server's log:\n{}", lines[end..].join("\n"));
        }
        // May be down already, and a panic in here would hide the one that matters.
        let _ = self.pg_ctl("stop").args(["--mode", "immediate"]).output();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
