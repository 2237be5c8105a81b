//! A real HTTP server on loopback for what plugins send: it keeps what it is given, and misbehaves
//! where the path asks for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use postgres::Client;

use crate::Session;

/// Answers by the path: `/status/503`, `/busy` with 429 and Retry-After, `/slow` after a second, `/hang`
/// not at all, `/mirror` with 400 and what it was given, `/away` with a redirect to another address, `/cut` with half of an answer, `/endless` with
/// a gigabyte, and anything else with 200.
pub struct Receiver {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<(String, String)>>>,
}

type Take = dyn Fn(&str, &str) + Send + Sync;

impl Receiver {
    /// One that keeps everything.
    #[must_use]
    pub fn start() -> Self {
        let bodies = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&bodies);
        let mut receiver = Self::start_with(move |path, body| {
            kept.lock().unwrap().push((path.to_owned(), body.to_owned()));
        });
        receiver.bodies = bodies;
        receiver
    }

    /// One that gives the path and the body of each request to a function, and keeps nothing.
    #[must_use]
    pub fn start_with(take: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let take: Arc<Take> = Arc::new(take);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, take) = (stream.unwrap(), Arc::clone(&take));
                thread::spawn(move || serve(stream, &*take));
            }
        });
        Receiver { address, bodies: Arc::default() }
    }

    /// What was received under a path, in order.
    #[must_use]
    pub fn received(&self, path: &str) -> Vec<String> {
        let bodies = self.bodies.lock().unwrap();
        bodies.iter().filter(|(at, _)| at == path).map(|(_, body)| body.clone()).collect()
    }

    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What lets a plugin reach it, for `allow_hosts`.
    #[must_use]
    pub fn hosts(&self) -> String {
        format!("{{http://{}, 127.0.0.1/32}}", self.address)
    }

    /// Lets a plugin reach it.
    pub fn allow(&self, client: &mut Client, plugin: &str) {
        let hosts = self.hosts();
        client.run(&format!("SELECT posthog_plugins.allow_hosts('{plugin}', '{hosts}')"));
    }
}

fn serve(mut stream: TcpStream, take: &Take) {
    // An answer is one small packet, which is not to wait for the next.
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 {
                return;
            }
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        take(&path, &String::from_utf8_lossy(&body));
        let (status, more) = match path.as_str() {
            "/hang" => continue,
            "/endless" => return endless(stream),
            "/away" => (302, "location: http://127.0.0.2:9/\r\n"),
            "/slow" => {
                thread::sleep(Duration::from_secs(1));
                (200, "")
            }
            "/busy" => (429, "retry-after: 2\r\n"),
            "/mirror" => (400, ""),
            path => {
                (path.strip_prefix("/status/").and_then(|it| it.parse().ok()).unwrap_or(200), "")
            }
        };
        let content = if path == "/mirror" { body.as_slice() } else { b"ok" };
        let length = if path == "/cut" { 100 } else { content.len() };
        let head = format!("HTTP/1.1 {status} x\r\n{more}content-length: {length}\r\n\r\n");
        let answer = [head.as_bytes(), content].concat();
        if stream.write_all(&answer).is_err() || path == "/cut" {
            return;
        }
    }
}

/// Until it is sent, or nobody wants more.
fn endless(mut stream: TcpStream) {
    let megabyte = vec![b'x'; 1 << 20];
    let mut sent = stream.write_all(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..1024 {
        if sent.is_err() {
            return;
        }
        sent = write!(stream, "{:x}\r\n", megabyte.len())
            .and_then(|()| stream.write_all(&megabyte))
            .and_then(|()| stream.write_all(b"\r\n"));
    }
}
