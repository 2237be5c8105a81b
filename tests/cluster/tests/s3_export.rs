//! The bundled plugin s3-export and a server of S3 that others have written: it checks signatures, and
//! keeps objects as files.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use cluster::{Cluster, Session, wait_until};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use postgres::Client;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use serde_json::Value;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const BUCKET: &str = "events";

/// A server with one bucket.
struct Store {
    directory: PathBuf,
    address: SocketAddr,
}

impl Store {
    fn start(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("posthog_plugins-s3-{}-{name}", std::process::id()));
        fs::create_dir_all(directory.join(BUCKET)).unwrap();
        let (told, address) = mpsc::channel();
        let root = directory.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            runtime.unwrap().block_on(serve(&root, &told));
        });
        Store { directory, address: address.recv().unwrap() }
    }

    /// Every object, by its key.
    fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let bucket = self.directory.join(BUCKET);
        let mut directories = vec![bucket.clone()];
        let mut objects = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let key = path.strip_prefix(&bucket).unwrap().to_str().unwrap().to_owned();
                    objects.push((key, fs::read(path).unwrap()));
                }
            }
        }
        objects
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

async fn serve(root: &Path, told: &mpsc::Sender<SocketAddr>) {
    let mut builder = S3ServiceBuilder::new(FileSystem::new(root).unwrap());
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    told.send(listener.local_addr().unwrap()).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

/// A database whose events are exported, once a second.
fn database(cluster: &Cluster, name: &str, store: &Store, secret: &str, settings: &str) -> Client {
    let mut client = cluster.create_database(name);
    let address = store.address;
    client.run(&format!(
        r#"SELECT posthog_plugins.install_bundled('s3-export');
           SELECT posthog_plugins.configure('s3-export', '{{
               "awsAccessKey": "{KEY}", "awsSecretAccessKey": "{secret}", "s3BucketName": "{BUCKET}",
               "s3BucketEndpoint": "http://{address}", "exportEventsBufferSeconds": "1", {settings}}}');
           SELECT posthog_plugins.allow_hosts('s3-export', '{{http://{address}, 127.0.0.1/32}}');
           SELECT posthog_plugins.enable('s3-export');
           CREATE TABLE events (uuid uuid, event text, distinct_id text, timestamp timestamptz, properties jsonb);
           SELECT posthog_plugins.attach('events');
           INSERT INTO events
           SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'signup', 'u' || n,
                  '2026-01-31 12:00+00', jsonb_build_object('n', n, 'text', 'a "b" ü 🎉')
             FROM generate_series(1, 100) AS n;
           SELECT posthog_plugins.start_worker()"#
    ));
    client
}

/// What was stored, as the names, numbers and texts of events.
fn is_everything(events: &[Value]) -> bool {
    let mut numbers: Vec<_> =
        events.iter().filter_map(|it| it["properties"]["n"].as_u64()).collect();
    numbers.sort_unstable();
    numbers == (1..=100).collect::<Vec<_>>()
        && events.iter().all(|event| {
            let n = event["properties"]["n"].as_u64().unwrap();
            event["event"] == "signup"
                && event["distinct_id"] == format!("u{n}")
                && event["uuid"] == format!("00000000-0000-4000-8000-{n:012}")
                && event["properties"]["text"] == "a \"b\" ü 🎉"
        })
}

#[test]
fn objects_have_the_events_in_the_form_that_was_asked_for() {
    let cluster = Cluster::start();
    let forms = [
        ("gzip", r#""prefix": "backups/a b+ü/""#, "backups/a b+ü/2026-01-31/", ".jsonl.gz"),
        ("brotli", r#""compression": "brotli", "uploadFormat": "json""#, "2026-01-31/", ".json.br"),
        (
            "plain",
            r#""compression": "no compression", "key": "year={year}/{id}.{extension}""#,
            "year=2026/",
            ".jsonl",
        ),
    ];
    for (name, settings, prefix, extension) in forms {
        let store = Store::start(name);
        let mut client = database(&cluster, name, &store, SECRET, settings);
        wait_until("all is exported", || {
            client.value::<i64>("SELECT delivered FROM posthog_plugins.consumers") == 100
        });
        let objects = store.objects();
        let [(key, bytes)] = objects.as_slice() else {
            panic!("{name}: {} objects", objects.len())
        };
        assert!(key.starts_with(prefix) && key.ends_with(extension), "{key}");
        let mut text = String::new();
        match name {
            "gzip" => flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text),
            "brotli" => brotli::Decompressor::new(&bytes[..], 4096).read_to_string(&mut text),
            _ => (&bytes[..]).read_to_string(&mut text),
        }
        .unwrap();
        let events: Vec<Value> = if extension.contains("jsonl") {
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        } else {
            serde_json::from_str(&text).unwrap()
        };
        assert!(is_everything(&events), "{name}: {text}");
    }
}

#[test]
fn a_wrong_secret_is_refused_and_said_to_be_the_reason() {
    let cluster = Cluster::start();
    let store = Store::start("refused");
    let mut client = database(&cluster, "refused", &store, "another", r#""prefix": """#);
    wait_until("it has failed", || {
        client.value::<i64>("SELECT count(*) FROM posthog_plugins.dead_letters") == 100
    });
    let error: String = client.value("SELECT min(error) FROM posthog_plugins.dead_letters");
    assert!(error.contains("SignatureDoesNotMatch"), "{error}");
    assert!(error.contains("awsSecretAccessKey does not belong to awsAccessKey"), "{error}");
    assert!(!error.contains("another"), "{error}");
    assert!(store.objects().is_empty());
}
