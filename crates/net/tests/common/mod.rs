//! Servers on loopback that do what they are told, and a client to ask them.

#![allow(dead_code)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use net::{Client, Error, Limits, Names, Options, Redirect, Request, Response, Rules};
use url::Url;

/// What a server got.
pub struct Got {
    pub method: String,
    pub path: String,
    /// As they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut parts = line.split(' ').map(str::to_owned);
        let (method, path) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        let mut got = Got { method, path, headers: Vec::new(), body: Vec::new() };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            got.headers.push((name.to_owned(), value.to_owned()));
        }
        if let Some(length) = got.header("content-length") {
            got.body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut got.body)?;
        }
        Ok(Some(got))
    }
}

/// Answers with bytes as they are; an error closes the connection.
pub type Answer = dyn Fn(&Got, &mut dyn Write) -> io::Result<()> + Send + Sync;

pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(
        answer: impl Fn(&Got, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(move |stream| serve(stream.try_clone()?, stream, &answer))
    }

    /// A server for whom `each` serves each connection.
    pub fn serve(each: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let server = Server { address, connections: connections.clone(), open: open.clone() };
        let each = Arc::new(each);
        thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                let (each, open) = (each.clone(), open.clone());
                thread::spawn(move || {
                    let _ = each(stream.unwrap());
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many of them are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn host(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Requests one after the other, until the other side has enough.
pub fn serve(reader: impl Read, mut writer: impl Write, answer: &Answer) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    while let Some(got) = Got::read(&mut reader)? {
        let mut whole = Vec::new();
        // What is written in pieces would wait for the other side's acknowledgements.
        let result = answer(&got, &mut Direct(&mut writer, &mut whole));
        writer.write_all(&whole)?;
        writer.flush()?;
        result?;
    }
    Ok(())
}

/// Gathers what is written until it is flushed.
struct Direct<'a, W: Write>(&'a mut W, &'a mut Vec<u8>);

impl<W: Write> Write for Direct<'_, W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.1.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.write_all(self.1)?;
        self.1.clear();
        self.0.flush()
    }
}

/// An answer with a body.
pub fn reply(out: &mut dyn Write, head: &str, body: &[u8]) -> io::Result<()> {
    write!(out, "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len())?;
    out.write_all(body)
}

/// Every name is an address of this machine.
pub struct Here;

impl Names for Here {
    fn lookup<'a>(&'a self, _name: &'a str) -> LocalBoxFuture<'a, Result<Vec<IpAddr>, String>> {
        Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) })
    }
}

pub const LIMITS: Limits =
    Limits { time: Duration::from_secs(20), body_bytes: 1 << 20, at_once: 32, reserved: 0 };

pub fn client() -> Client {
    let options = Options { idle: 32, names: Some(Box::new(Here)), ..Options::default() };
    Client::new(options).unwrap()
}

pub fn rules<S: AsRef<str>>(hosts: &[S]) -> Rc<Rules> {
    Rc::new(Rules::parse(hosts.iter().map(AsRef::as_ref)).unwrap())
}

pub fn get(url: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        url: Url::parse(url).unwrap(),
        headers: Vec::new(),
        body: Vec::new(),
        redirect: Redirect::Follow,
    }
}

pub fn post(url: &str, body: &str) -> Request {
    Request { method: "POST".to_owned(), body: body.into(), ..get(url) }
}

/// What becomes of one request to a server, which is allowed.
pub fn ask(client: &mut Client, server: &Server, request: Request) -> Result<Response, Error> {
    ask_within(client, server, request, LIMITS)
}

pub fn ask_within(
    client: &mut Client,
    server: &Server,
    request: Request,
    limits: Limits,
) -> Result<Response, Error> {
    exchange(client, &rules(&[server.host()]), request, limits)
}

pub fn exchange(
    client: &mut Client,
    rules: &Rc<Rules>,
    request: Request,
    limits: Limits,
) -> Result<Response, Error> {
    let number = client.send(1, request, rules.clone(), limits).unwrap();
    let (ended, result) = client.next(None, &|| false).expect("an exchange is under way");
    assert_eq!(ended, number);
    result
}

pub fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

/// Waits until something holds.
#[track_caller]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain until {what}");
}
