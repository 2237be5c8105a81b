//! `fetch` in the chain: to the hosts that are allowed to a config, from this process alone, and for
//! no longer than the statement may take.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cluster::{Cluster, Session, Shutdown, wait_until};
use postgres::Client;
use postgres::error::SqlState;

/// A server on loopback: answers with the path it was asked for, and for `/hang` not at all.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let server = Server { address, asked: asked.clone(), open: open.clone() };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (asked, open) = (asked.clone(), open.clone());
                open.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    while let Some(Ok(first)) = lines.next() {
                        while lines
                            .next()
                            .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                        {
                        }
                        asked.fetch_add(1, Ordering::SeqCst);
                        let path = first.split(' ').nth(1).unwrap_or_default();
                        if path.starts_with("/hang") {
                            continue;
                        }
                        let long = "x".repeat(100_000);
                        let body = if path == "/long" { long.as_str() } else { path };
                        let head = "HTTP/1.1 200 OK\r\ncontent-length:";
                        if write!(stream, "{head} {}\r\n\r\n{body}", body.len()).is_err() {
                            break;
                        }
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    fn host(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// An event that has the plugin `asker` fetch a path.
    fn event(&self, path: &str) -> String {
        format!(r#"{{"url": "{}{path}"}}"#, self.host())
    }
}

const ASKER: &str = "export async function processEvent(event) {
    if (!event.url) return event
    const response = await fetch(event.url)
    return { got: await response.text() }
}";

/// A database where the plugin `asker` is enabled, and fails loudly.
fn asking(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.create_database(name);
    client.add_plugin("asker", ASKER);
    client.run("SELECT posthog_plugins.configure('asker', '{}', on_error => 'raise')");
    client
}

fn allow(client: &mut Client, host: &str) {
    client.run(&format!("SELECT posthog_plugins.allow_hosts('asker', '{{{host}}}')"));
}

fn call(event: &str) -> String {
    format!("SELECT process_event('{event}')")
}

fn got(path: &str) -> Option<String> {
    Some(format!(r#"{{"got": "{path}"}}"#))
}

#[test]
fn a_refusal_has_the_call_that_allows_the_host() {
    let cluster = Cluster::start();
    let server = Server::start();
    let mut client = asking(&cluster, "refusals");
    client.run("SELECT posthog_plugins.allow_hosts('asker', '{example.com}')");
    let refused = client.refused(&call(&server.event("/a")));
    assert_eq!(refused.code(), &SqlState::EXTERNAL_ROUTINE_EXCEPTION);
    let reason =
        format!("{} is not an allowed host; to allow it to plugin \"asker\": ", server.host());
    let (_, statement) = refused.message().split_once(&reason).unwrap();
    assert_eq!(server.asked(), 0);
    client.run(statement);
    assert_eq!(client.process(&server.event("/a")), got("/a"));
    let hosts: Vec<String> = client.value("SELECT hosts FROM posthog_plugins.configs");
    assert_eq!(hosts, ["example.com".to_owned(), server.host()]);
}

#[test]
fn a_refusal_has_no_call_that_a_plugin_has_written() {
    let cluster = Cluster::start();
    let mut client = asking(&cluster, "written");
    for host in ["a'||pg_sleep(9)||'", "a}',b", "a'),(1", "a;b", "a$$b", "a,b"] {
        let refused = client
            .refused(&call(&format!(r#"{{"url": "https://{host}.com/"}}"#).replace('\'', "''")));
        let message = refused.message();
        assert!(!message.contains("SELECT"), "{message}");
    }
}

#[test]
fn a_refusal_shows_no_secret() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("masked");
    let manifest = r#"{"config": [{"key": "token", "type": "string", "secret": true}]}"#;
    client.run(&format!(
        "SELECT posthog_plugins.install($$export const processEvent = (_, {{ config }}) =>
                    fetch(`https://${{config.token}}.example.com/${{config.token}}`)$$, '{manifest}', 'teller');
         SELECT posthog_plugins.configure('teller', '{{\"token\": \"hunter2hunter2\"}}', on_error => 'raise');
         SELECT posthog_plugins.enable('teller')"
    ));
    let message = client.refused(&call("{}")).message().to_owned();
    assert!(message.contains("********.example.com is not an allowed host"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn other_sessions_follow_the_list_at_once_and_see_no_list_that_was_rolled_back() {
    let cluster = Cluster::start();
    let server = Server::start();
    let mut client = asking(&cluster, "sessions");
    let mut other = cluster.connect("sessions");
    assert!(other.batch_execute(&call(&server.event("/a"))).is_err());
    client.run("BEGIN");
    allow(&mut client, &server.host());
    assert!(other.batch_execute(&call(&server.event("/a"))).is_err());
    assert_eq!(client.process(&server.event("/own")), got("/own"));
    client.run("ROLLBACK");
    for session in [&mut client, &mut other] {
        assert!(session.batch_execute(&call(&server.event("/a"))).is_err());
    }
    allow(&mut client, &server.host());
    assert_eq!(other.process(&server.event("/b")), got("/b"));
    for nothing in ["NULL", "'{}'"] {
        allow(&mut client, &server.host());
        assert_eq!(other.process(&server.event("/c")), got("/c"));
        client.run(&format!("SELECT posthog_plugins.allow_hosts('asker', {nothing})"));
        assert!(other.batch_execute(&call(&server.event("/d"))).is_err(), "{nothing}");
    }
}

#[test]
fn each_config_has_a_list_of_its_own() {
    let cluster = Cluster::start();
    let server = Server::start();
    let mut client = asking(&cluster, "configs");
    client.run(
        "SELECT posthog_plugins.disable('asker'); SELECT posthog_plugins.enable('asker', 1);
                SELECT posthog_plugins.configure('asker', '{}', 2, 'b', 'raise');
                SELECT posthog_plugins.enable('asker', 2, 'b')",
    );
    client.run(&format!(
        "SELECT posthog_plugins.allow_hosts('asker', '{{{}}}', 2, 'b')",
        server.host()
    ));
    let event = |team: i32| server.event("/a").replace('}', &format!(r#", "team_id": {team}}}"#));
    // This one keeps the team of its events.
    client.run(
        "SELECT posthog_plugins.install($$export async function processEvent(event) {
        event.got = await (await fetch(event.url)).text(); return event }$$, '{}', 'asker')",
    );
    assert!(client.process(&event(2)).unwrap().contains(r#""got": "/a""#));
    assert!(!client.process(&event(1)).unwrap().contains("got"));
}

#[test]
fn who_may_allow_which_hosts() {
    let cluster = Cluster::start();
    let mut owner = asking(&cluster, "rights");
    for level in ["viewer", "editor", "admin"] {
        owner.run(&format!(
            "CREATE ROLE {level} LOGIN; SELECT posthog_plugins.grant_role('{level}', '{level}')"
        ));
    }
    owner.run("CREATE ROLE app LOGIN");
    for role in ["app", "viewer", "editor"] {
        let mut client = cluster.connect_as(role, "rights");
        // Before its library is loaded, a session can set anything, and it comes to nothing.
        client.process("{}");
        for attempt in [
            "SELECT posthog_plugins.allow_hosts('asker', '{example.com}')",
            "SELECT posthog_plugins.allow_hosts('asker', NULL)",
            "UPDATE posthog_plugins.plugin_config SET hosts = '{example.com}'",
            "SET posthog_plugins.fetch_timeout = '1min'",
            "SET posthog_plugins.fetch_size_limit = '256MB'",
            "SET posthog_plugins.fetch_concurrency = 100",
        ] {
            let code = client.refusal(attempt);
            assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{role}: {attempt}");
        }
    }
    // Settings and new configs of an editor's change nothing about it.
    let mut editor = cluster.connect_as("editor", "rights");
    editor.run(
        "SELECT posthog_plugins.configure('asker', '{\"hosts\": [\"example.com\"]}');
                SELECT posthog_plugins.configure('asker', '{}', label => 'new');
                SELECT posthog_plugins.enable('asker', label => 'new')",
    );
    let hosts = "SELECT count(*) FROM posthog_plugins.configs WHERE hosts <> '{}'";
    assert_eq!(editor.value::<i64>(hosts), 0);
    let mut admin = cluster.connect_as("admin", "rights");
    allow(&mut admin, "example.com,*.example.org");
    for private in [
        "10.0.0.1",
        "http://127.0.0.1:80",
        "localhost",
        "http://localhost:5432",
        "[::1]",
        "169.254.169.254",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "::/0",
    ] {
        let refused = admin.refused(&format!(
            "SELECT posthog_plugins.allow_hosts('asker', '{{example.com,{private}}}')"
        ));
        assert_eq!(refused.code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{private}");
        assert!(refused.message().starts_with("permission denied to allow "), "{refused}");
        owner.run(&format!("SELECT posthog_plugins.allow_hosts('asker', '{{{private}}}')"));
    }
    owner.run("SELECT posthog_plugins.limit_to_teams('admin', '{7}')");
    let all = admin.refusal("SELECT posthog_plugins.allow_hosts('asker', '{example.com}')");
    assert_eq!(all, SqlState::INSUFFICIENT_PRIVILEGE);
    admin.run("SELECT posthog_plugins.allow_hosts('asker', '{example.com}', 7)");
}

#[test]
fn what_cannot_be_an_allowed_host_is_refused() {
    let cluster = Cluster::start();
    let mut client = asking(&cluster, "entries");
    for (arguments, code) in [
        ("'asker', '{NULL}'", SqlState::NULL_VALUE_NOT_ALLOWED),
        ("'asker', '{\"\"}'", SqlState::INVALID_PARAMETER_VALUE),
        ("'asker', '{*}'", SqlState::INVALID_PARAMETER_VALUE),
        ("'asker', '{ftp://example.com}'", SqlState::INVALID_PARAMETER_VALUE),
        ("'asker', '{https://example.com/path}'", SqlState::INVALID_PARAMETER_VALUE),
        (
            "'asker', array_fill('a.com'::text, '{2,2}') || '{{b, c:0}}'",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        ("'nobody', '{example.com}'", SqlState::UNDEFINED_OBJECT),
    ] {
        let statement = format!("SELECT posthog_plugins.allow_hosts({arguments})");
        assert_eq!(client.refusal(&statement), code, "{arguments}");
    }
    let stored: Vec<String> = client.value(
        "SELECT posthog_plugins.allow_hosts('asker', '{https://EXAMPLE.com:443,example.com}')",
    );
    assert_eq!(stored, ["example.com"]);
}

/// What leads to a server of ours on loopback, if anything lets it, by way of the whole extension.
#[test]
fn no_spelling_of_an_address_gets_around_the_list() {
    let cluster = Cluster::start();
    let server = Server::start();
    let port = server.address.port();
    let mut client = asking(&cluster, "spellings");
    // What the attacks look like is allowed; the machine itself is not.
    client.run(&format!(
        "SELECT posthog_plugins.configure('asker', '{{}}', on_error => 'pass');
         SELECT posthog_plugins.allow_hosts('asker',
             '{{example.com,http://example.com:{port},http://127.0.0.1.example.com:{port}}}')"
    ));
    const ATTACKS: [&str; 28] = [
        "http://127.0.0.1:PORT/",
        "http://localhost:PORT/",
        "http://LOCALHOST.:PORT/",
        "http://a.localhost:PORT/",
        "http://127.1:PORT/",
        "http://2130706433:PORT/",
        "http://0x7f000001:PORT/",
        "http://0177.0.0.1:PORT/",
        "http://0:PORT/",
        "http://0.0.0.0:PORT/",
        "http://127.0.0.1.:PORT/",
        "http://[::1]:PORT/",
        "http://[::]:PORT/",
        "http://[::ffff:127.0.0.1]:PORT/",
        "http://[::127.0.0.1]:PORT/",
        "http://[64:ff9b::7f00:1]:PORT/",
        "http://[2002:7f00:1::]:PORT/",
        "http://example.com@127.0.0.1:PORT/",
        "http://example.com:PORT@127.0.0.1:PORT/",
        "http://127.0.0.1:PORT#@example.com/",
        "http://127.0.0.1:PORT?@example.com/",
        "http:\\\\\\\\127.0.0.1:PORT\\\\@example.com/",
        "http:127.0.0.1:PORT/",
        "https://127.0.0.1:PORT/",
        "ftp://127.0.0.1:PORT/",
        "file:///etc/passwd",
        "http://１２７．０．０．１:PORT/",
        "http://①②⑦.0.0.1:PORT/",
    ];
    for attack in ATTACKS {
        let url = attack.replace("PORT", &port.to_string());
        let event = client.process(&format!(r#"{{"url": "{url}"}}"#)).unwrap();
        assert!(!event.contains("got"), "{event}");
    }
    assert_eq!(server.open() + server.asked(), 0);
}

/// Runs a statement that has the plugin wait for what never comes, and `end` when it does; returns
/// the code of its error, and how long after `end` it came.
fn ended_by(
    client: &mut Client,
    server: &Server,
    setting: &str,
    end: impl FnOnce(i32),
) -> (Option<SqlState>, Duration) {
    let (pid, before) = (client.pid(), server.asked());
    client.run(setting);
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            let error = client.batch_execute(&call(&server.event("/hang"))).unwrap_err();
            (error.code().cloned(), Instant::now())
        });
        wait_until("the request is there", || server.asked() > before);
        let begin = Instant::now();
        end(pid);
        let (code, at) = running.join().unwrap();
        (code, at.saturating_duration_since(begin))
    })
}

#[test]
fn postgresql_ends_a_statement_that_waits_for_the_network_at_once() {
    let cluster = Cluster::start_with(&[
        ("posthog_plugins.execution_timeout", "'10min'"),
        ("posthog_plugins.fetch_timeout", "'10min'"),
    ]);
    let server = Server::start();
    let mut client = asking(&cluster, "ends");
    allow(&mut client, &server.host());
    let mut admin = cluster.connect("ends");
    // Generous, as a busy machine must not fail it; by hand it is 10 to 20 ms.
    let soon = Duration::from_millis(1500);
    let (code, late) = ended_by(&mut client, &server, "", |pid| {
        wait_until("the session shows that it waits", || {
            let waits = format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {pid}");
            admin.value::<Option<String>>(&waits).as_deref() == Some("Extension")
        });
        admin.run(&format!("SELECT pg_cancel_backend({pid})"));
    });
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
    assert!(late < soon + soon, "{late:?} after pg_cancel_backend");
    wait_until("the connection is closed", || server.open() == 0);
    assert_eq!(client.process(&server.event("/a")), got("/a"));
    let (code, late) = ended_by(&mut client, &server, "SET statement_timeout = '200ms'", |_| ());
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
    assert!(late < soon, "{late:?} with statement_timeout");
    client.run("RESET statement_timeout");
    assert_eq!(client.process(&server.event("/b")), got("/b"));
    let (_, late) = ended_by(&mut client, &server, "", |pid| {
        admin.run(&format!("SELECT pg_terminate_backend({pid})"));
    });
    assert!(late < soon, "{late:?} after pg_terminate_backend");
    wait_until("the connections are closed", || server.open() == 0);
    let mut client = cluster.connect("ends");
    let (_, late) = ended_by(&mut client, &server, "", |_| cluster.shut_down(Shutdown::Fast));
    assert!(late < soon + soon, "{late:?} after a fast shutdown");
    let log = cluster.log();
    assert!(!log.contains("terminated by signal"), "{log}");
}

fn descriptors(pid: i32) -> Vec<String> {
    let folder = format!("/proc/{pid}/fd");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_session_that_fetches_has_no_thread_and_passes_no_descriptor_on() {
    let cluster = Cluster::start();
    let server = Server::start();
    let mut client = asking(&cluster, "threads");
    let (pid, _) = (client.pid(), client.process("{}"));
    let before = descriptors(pid);
    assert_eq!(client.process(r#"{"a": 1}"#).as_deref(), Some(r#"{"a": 1}"#));
    assert!(client.batch_execute(&call(&server.event("/a"))).is_err());
    assert_eq!(descriptors(pid), before, "what is not used costs nothing");
    allow(
        &mut client,
        &format!(
            "{0},http://localhost:{1},no-such-name.invalid",
            server.host(),
            server.address.port()
        ),
    );
    for n in 0..5 {
        assert_eq!(client.process(&server.event(&format!("/{n}"))), got(&format!("/{n}")));
    }
    let _ = client.batch_execute(&call(r#"{"url": "https://no-such-name.invalid/"}"#));
    assert_eq!(fs::read_dir(format!("/proc/{pid}/task")).unwrap().count(), 1);
    let new: Vec<String> =
        descriptors(pid).into_iter().filter(|name| !before.contains(name)).collect();
    assert!((3..12).contains(&new.len()), "{new:?}");
    for name in new {
        // It may be one of a table that was read, and closed meanwhile.
        let Ok(target) = fs::read_link(format!("/proc/{pid}/fd/{name}")) else { continue };
        let Ok(info) = fs::read_to_string(format!("/proc/{pid}/fdinfo/{name}")) else { continue };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let flags = u32::from_str_radix(flags, 8).unwrap();
        assert_ne!(flags & 0o2_000_000, 0, "{} is not closed on exec", target.display());
    }
}

#[test]
fn a_server_that_hangs_leaks_no_connection() {
    let cluster = Cluster::start_with(&[("posthog_plugins.fetch_timeout", "'20ms'")]);
    let server = Server::start();
    let mut client = asking(&cluster, "leaks");
    allow(&mut client, &server.host());
    client.run("SELECT posthog_plugins.configure('asker', '{}', on_error => 'pass')");
    client.process(&server.event("/hang"));
    let pid = client.pid();
    let before = descriptors(pid).len();
    for _ in 0..30 {
        client.process(&server.event("/hang"));
    }
    assert!(descriptors(pid).len() <= before + 2, "{} after {before}", descriptors(pid).len());
    assert_eq!(server.asked(), 31);
    wait_until("all are closed", || server.open() == 0);
    // What a call that has failed leaves behind is closed, too.
    client.add_plugin(
        "leaver",
        "export function processEvent(event) { fetch(event.url); throw new Error('no') }",
    );
    client.run(&format!(
        "SELECT posthog_plugins.disable('asker');
                         SELECT posthog_plugins.allow_hosts('leaver', '{{{}}}')",
        server.host()
    ));
    client.process(&server.event("/hang"));
    wait_until("it is closed", || server.open() == 0);
}

#[test]
fn the_limits_of_requests_are_settings() {
    let cluster = Cluster::start();
    let server = Server::start();
    let mut client = asking(&cluster, "limits");
    allow(&mut client, &server.host());
    client.run("SET posthog_plugins.fetch_timeout = '50ms'");
    let slow = client.refused(&call(&server.event("/hang"))).message().to_owned();
    assert!(slow.contains("no answer in 50 ms (posthog_plugins.fetch_timeout)"), "{slow}");
    client
        .run("SET posthog_plugins.fetch_size_limit = '64kB'; RESET posthog_plugins.fetch_timeout");
    let long = client.refused(&call(&server.event("/long"))).message().to_owned();
    assert!(long.contains("longer than 65536 bytes (posthog_plugins.fetch_size_limit)"), "{long}");
    client.run("RESET posthog_plugins.fetch_size_limit; SET posthog_plugins.fetch_concurrency = 2");
    client.add_plugin(
        "many",
        "export async function processEvent(event, { config }) {
             const urls = Array.from({ length: 20 }, (_, n) => `${event.url}${n}`)
             const all = await Promise.all(urls.map((url) => fetch(url).then((r) => r.text())))
             return { all: all.join('') }
         }",
    );
    client.run(&format!(
        "SELECT posthog_plugins.disable('asker');
                         SELECT posthog_plugins.allow_hosts('many', '{{{}}}')",
        server.host()
    ));
    let all: String = (0..20).map(|n| format!("/{n}")).collect();
    let event = client.process(&server.event("/")).unwrap();
    assert_eq!(event, format!(r#"{{"all": "{all}"}}"#));
}

#[test]
fn an_administrator_can_switch_the_network_off() {
    let cluster = Cluster::start();
    let server = Server::start();
    let mut client = asking(&cluster, "switch");
    allow(&mut client, &server.host());
    assert_eq!(client.process(&server.event("/a")), got("/a"));
    let refused = client.refusal("SET posthog_plugins.network = off");
    assert_eq!(refused, SqlState::CANT_CHANGE_RUNTIME_PARAM);
    cluster.configure(&[("posthog_plugins.network", "off")]);
    client.run("SELECT pg_reload_conf()");
    wait_until("it is off", || client.value::<String>("SHOW posthog_plugins.network") == "off");
    let off = client.refused(&call(&server.event("/b"))).message().to_owned();
    assert!(off.contains("the network is switched off by posthog_plugins.network"), "{off}");
    assert_eq!(server.asked(), 1);
    // Also for who sets it before the library is there.
    let mut other = cluster.connect("switch");
    other.run("SET posthog_plugins.network = on");
    assert!(other.batch_execute(&call(&server.event("/c"))).is_err());
    assert_eq!(server.asked(), 1);
}

#[test]
fn a_dry_run_reaches_nothing_that_is_allowed() {
    let cluster = Cluster::start();
    let server = Server::start();
    let mut client = asking(&cluster, "dry");
    allow(&mut client, &server.host());
    let event = server.event("/a");
    for dry in [
        format!("SELECT error FROM posthog_plugins.test('asker', '{event}')"),
        format!("SELECT error FROM posthog_plugins.explain('{event}')"),
        format!(
            "SELECT problem FROM posthog_plugins.run_cases('asker', '[{{\"event\": {event}}}]')"
        ),
    ] {
        let error = client.value::<Option<String>>(&dry).unwrap_or_default();
        assert!(!error.is_empty(), "{dry}");
    }
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_plugin_can_fetch_when_it_is_set_up_and_when_it_ends() {
    let cluster = Cluster::start();
    let server = Server::start();
    let mut client = cluster.create_database("hooks");
    client.run(&format!(
        "SELECT posthog_plugins.install($$
             const ask = async (path) => (await fetch('{0}' + path)).text()
             export async function setupPlugin({{ global }}) {{ global.up = await ask('/up') }}
             export const processEvent = (event, {{ global }}) => ({{ up: global.up }})
             export const teardownPlugin = () => ask('/down')$$, '{{}}', 'hooked');
         SELECT posthog_plugins.allow_hosts('hooked', '{{{0}}}'), posthog_plugins.enable('hooked')",
        server.host()
    ));
    assert_eq!(client.process("{}").as_deref(), Some(r#"{"up": "/up"}"#));
    // With the list it had, as that has not changed.
    client.run("SELECT posthog_plugins.configure('hooked', '{\"other\": 1}')");
    wait_until("it has ended", || server.asked() == 2);
}
