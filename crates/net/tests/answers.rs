//! Servers that answer well, badly, slowly, or not at all.

#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

mod common;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    LIMITS, Server, ask, ask_within, client, exchange, get, post, reply, rules, text, wait_until,
};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use net::{Error, Limits, Request};

fn header<'a>(response: &'a net::Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_request_arrives_as_it_was_meant_and_its_answer_comes_back() {
    let server = Server::start(|got, out| {
        let names: Vec<&str> = got.headers.iter().map(|(name, _)| name.as_str()).collect();
        let body = format!(
            "{} {} {:?} {} {} {}",
            got.method,
            got.path,
            got.header("x-own"),
            got.header("host").unwrap(),
            names.join(","),
            String::from_utf8_lossy(&got.body)
        );
        reply(
            out,
            "201 Made It\r\nX-Name: caf\u{e9}\r\nset-cookie: a\r\nset-cookie: b",
            body.as_bytes(),
        )
    });
    let request = Request {
        headers: vec![("x-own".to_owned(), "1".to_owned())],
        ..post(&server.url("/a%20b?c=d&e#f"), "body")
    };
    let response = ask(&mut client(), &server, request).unwrap();
    assert_eq!(
        text(&response),
        format!(
            "POST /a%20b?c=d&e Some(\"1\") {} x-own,accept,user-agent,accept-encoding,host,content-length body",
            server.address
        )
    );
    assert_eq!((response.status, response.status_text.as_str()), (201, "Made It"));
    assert_eq!(header(&response, "x-name"), Some("cafÃ©"), "Latin-1");
    assert_eq!(response.headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    assert_eq!(response.url, server.url("/a%20b?c=d&e#f"));
    assert!(!response.redirected);
}

#[test]
fn errors_of_a_server_are_answers() {
    let server = Server::start(|got, out| reply(out, &got.path[1..].replace('-', " "), b"no"));
    let mut client = client();
    for status in ["429-Slow-Down", "500-Oh", "503-Later", "404-None", "304-Same", "204-Nothing"] {
        let response = ask(&mut client, &server, get(&server.url(&format!("/{status}"))));
        let code: u16 = status[..3].parse().unwrap();
        assert_eq!(response.unwrap().status, code);
    }
}

#[test]
fn where_a_message_ends_and_whom_it_is_for_is_not_the_senders_to_say() {
    let server = Server::start(|got, out| {
        let headers: Vec<String> =
            got.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        reply(out, "200 OK", headers.join("\n").as_bytes())
    });
    let names = [
        "host",
        "Host",
        "content-length",
        "Content-Length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "proxy-authorization",
        "Proxy-Connection",
        "accept-encoding",
        "http2-settings",
    ];
    let headers =
        names.map(|name| (name.to_owned(), "chunked evil.com 0 upgrade 100-continue".to_owned()));
    let request = Request { headers: headers.into(), ..post(&server.url("/"), "12345") };
    let response = ask(&mut client(), &server, request).unwrap();
    let mut lines: Vec<&str> = text(&response).lines().collect();
    lines.sort_unstable();
    let host = format!("host={}", server.address);
    let agent = concat!("user-agent=posthog_plugins/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        lines,
        [
            "accept-encoding=gzip, deflate, br",
            "accept=*/*",
            "content-length=5",
            host.as_str(),
            agent
        ]
    );
    for (name, value) in [
        ("a\r\nb", "c"),
        ("a b", "c"),
        ("", "c"),
        ("a", "b\r\nc: d"),
        ("a", "b\nc"),
        ("a", "\0"),
        ("a", "\u{100}"),
    ] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let refused = ask(&mut client(), &server, Request { headers, ..get(&server.url("/")) });
        assert!(matches!(refused, Err(Error::BadRequest(_))), "{name:?}: {value:?}");
    }
    for method in ["CONNECT", "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET", "", "G T"] {
        let request = Request { method: method.to_owned(), ..get(&server.url("/")) };
        let refused = ask(&mut client(), &server, request);
        assert!(matches!(refused, Err(Error::BadRequest(_))), "{method:?}");
    }
}

#[test]
fn a_user_in_the_address_is_sent_as_basic_authorization() {
    let server = Server::start(|got, out| {
        reply(out, "200 OK", got.header("authorization").unwrap_or_default().as_bytes())
    });
    let address = format!("http://us%65r:p%40ss@{}/", server.address);
    let response = ask(&mut client(), &server, get(&address)).unwrap();
    assert_eq!(text(&response), "Basic dXNlcjpwQHNz");
    assert_eq!(response.url, server.url("/"));
}

fn packed(body: &[u8], coding: &str) -> Vec<u8> {
    let level = Compression::default();
    match coding {
        "gzip" => {
            let mut out = GzEncoder::new(Vec::new(), level);
            out.write_all(body).unwrap();
            out.finish().unwrap()
        }
        "zlib" => {
            let mut out = ZlibEncoder::new(Vec::new(), level);
            out.write_all(body).unwrap();
            out.finish().unwrap()
        }
        "raw" => {
            let mut out = DeflateEncoder::new(Vec::new(), level);
            out.write_all(body).unwrap();
            out.finish().unwrap()
        }
        _ => {
            let mut out = Vec::new();
            brotli::BrotliCompress(&mut &*body, &mut out, &Default::default()).unwrap();
            out
        }
    }
}

const CODINGS: [(&str, &str); 4] =
    [("gzip", "gzip"), ("zlib", "deflate"), ("raw", "deflate"), ("br", "br")];

/// Answers with what the path names: how it is packed, how much is cut off, what it is.
fn packing(got: &common::Got, out: &mut dyn Write) -> io::Result<()> {
    let mut parts = got.path[1..].split('/');
    let (how, cut) = (parts.next().unwrap(), parts.next().unwrap().parse::<usize>().unwrap());
    let body = match parts.next().unwrap() {
        "text" => "text ".repeat(10_000).into_bytes(),
        _ => vec![0; 2 << 20],
    };
    let coding = CODINGS.iter().find(|(name, _)| *name == how).unwrap().1;
    let mut body = packed(&body, how);
    body.truncate(body.len() - cut);
    reply(out, &format!("200 OK\r\ncontent-encoding: {coding}"), &body)
}

#[test]
fn a_packed_body_is_unpacked() {
    let server = Server::start(packing);
    let mut client = client();
    for (how, _) in CODINGS {
        let response = ask(&mut client, &server, get(&server.url(&format!("/{how}/0/text"))));
        assert_eq!(text(&response.unwrap()), "text ".repeat(10_000), "{how}");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_packed_body_that_ends_too_early_is_refused() {
    let server = Server::start(packing);
    let mut client = client();
    for (how, _) in CODINGS {
        for cut in [1, 5, 9] {
            let path = server.url(&format!("/{how}/{cut}/text"));
            let refused = ask(&mut client, &server, get(&path));
            assert!(matches!(refused, Err(Error::NotDecoded { .. })), "{how} {cut}: {refused:?}");
        }
    }
}

#[test]
fn a_body_that_becomes_too_long_when_it_is_unpacked_is_refused() {
    let server = Server::start(packing);
    let mut client = client();
    for (how, _) in CODINGS {
        let refused = ask(&mut client, &server, get(&server.url(&format!("/{how}/0/zeros"))));
        assert_eq!(refused, Err(Error::TooLong(1 << 20)), "{how}");
    }
}

#[test]
fn what_was_packed_in_another_way_is_refused() {
    let server = Server::start(|got, out| {
        reply(out, &format!("200 OK\r\ncontent-encoding: {}", &got.path[1..]), b"body")
    });
    let mut client = client();
    for coding in ["zstd", "gzip,gzip", "gzip,br", "gzip", "deflate", "br"] {
        let refused = ask(&mut client, &server, get(&server.url(&format!("/{coding}"))));
        assert!(matches!(refused, Err(Error::NotDecoded { .. })), "{coding}");
    }
}

#[test]
fn an_answer_to_head_has_no_body_whatever_it_says() {
    let server = Server::start(|_, out| {
        out.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9999999999\r\n\r\n",
        )
    });
    let head = Request { method: "HEAD".to_owned(), ..get(&server.url("/")) };
    assert_eq!(ask(&mut client(), &server, head).unwrap().body, b"");
}

/// Answers that are none, each with what a plugin is told.
const BROKEN: [(&str, &str, &str); 15] = [
    ("short", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", "ended too early"),
    (
        "cut chunk",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n123",
        "ended too early",
    ),
    (
        "no last chunk",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "ended too early",
    ),
    ("no size", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n", "no HTTP"),
    (
        "huge size",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "invalid chunk size",
    ),
    (
        "negative size",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n12345\r\n0\r\n\r\n",
        "no HTTP",
    ),
    (
        "no end of chunk",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n12345\r\n0\r\n\r\n",
        "no HTTP",
    ),
    (
        "two lengths",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\n12345",
        "no HTTP",
    ),
    ("bad length", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "no HTTP"),
    ("no http", "220 smtp.example.com ESMTP\r\n", "no HTTP"),
    ("bad header", "HTTP/1.1 200 OK\r\na b: c\r\n\r\n", "no HTTP"),
    ("http/2", "HTTP/2 200 OK\r\n\r\n", "no HTTP"),
    ("half a head", "HTTP/1.1 200 OK\r\ncontent-", "ended too early"),
    ("nothing", "", "ended too early"),
    ("switched", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", "no HTTP: 101"),
];

#[test]
fn an_answer_that_is_broken_is_an_error_that_says_how() {
    let mut wrong = Vec::new();
    for (name, answer, reason) in BROKEN {
        let server = Server::start(move |_, out| {
            out.write_all(answer.as_bytes())?;
            Err(io::ErrorKind::BrokenPipe.into())
        });
        match ask(&mut client(), &server, get(&server.url("/"))) {
            Err(error) if error.to_string().contains(reason) => {}
            other => wrong.push(format!("{name}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_connection_that_is_reset_in_the_body_is_an_error() {
    // Closing with something unread is a reset.
    let server = Server::serve(|mut stream| {
        let mut byte = [0];
        io::Read::read_exact(&mut stream, &mut byte)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n12345")?;
        thread::sleep(Duration::from_millis(50));
        Ok(())
    });
    let refused = ask(&mut client(), &server, get(&server.url("/"))).unwrap_err();
    assert!(matches!(refused, Error::Broken(_) | Error::EndedEarly), "{refused:?}");
}

#[test]
fn a_body_that_is_too_long_is_refused_before_it_comes() {
    let server = Server::start(|_, out| {
        write!(out, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1 << 30)?;
        out.flush()?;
        thread::sleep(Duration::from_secs(10));
        Ok(())
    });
    let begin = Instant::now();
    let refused = ask(&mut client(), &server, get(&server.url("/")));
    assert_eq!(refused, Err(Error::TooLong(1 << 20)));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn a_body_without_end_is_refused_when_it_is_too_long() {
    for head in ["transfer-encoding: chunked", "connection: close"] {
        let server = Server::start(move |_, out| {
            write!(out, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n")?;
            loop {
                write!(out, "1000\r\n{}\r\n", "x".repeat(0x1000))?;
                out.flush()?;
            }
        });
        let refused = ask(&mut client(), &server, get(&server.url("/")));
        assert_eq!(refused, Err(Error::TooLong(1 << 20)), "{head}");
        wait_until("the connection is closed", || server.open() == 0);
    }
}

#[test]
fn headers_without_end_are_refused() {
    let server = Server::start(|_, out| {
        write!(out, "HTTP/1.1 200 OK\r\n")?;
        loop {
            write!(out, "x: {}\r\n", "y".repeat(1000))?;
            out.flush()?;
        }
    });
    let refused = ask(&mut client(), &server, get(&server.url("/"))).unwrap_err();
    assert!(refused.to_string().contains("no HTTP"), "{refused:?}");
}

#[test]
fn answers_before_the_answer_end_with_the_time() {
    let server = Server::start(|_, out| {
        loop {
            write!(out, "HTTP/1.1 100 Continue\r\n\r\n")?;
            out.flush()?;
        }
    });
    let limits = Limits { time: Duration::from_millis(200), ..LIMITS };
    let refused = ask_within(&mut client(), &server, get(&server.url("/")), limits);
    assert_eq!(refused, Err(Error::TooSlow(limits.time)));
}

#[test]
fn a_server_that_is_too_slow_is_left() {
    let hanging = |_: &common::Got, _: &mut dyn Write| {
        thread::sleep(Duration::from_secs(60));
        Ok(())
    };
    let dripping = |_: &common::Got, out: &mut dyn Write| {
        write!(out, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")?;
        loop {
            out.write_all(b"x")?;
            out.flush()?;
            thread::sleep(Duration::from_millis(10));
        }
    };
    let limits = Limits { time: Duration::from_millis(100), ..LIMITS };
    for server in [Server::start(hanging), Server::start(dripping)] {
        let begin = Instant::now();
        let refused = ask_within(&mut client(), &server, get(&server.url("/")), limits);
        assert_eq!(refused, Err(Error::TooSlow(limits.time)));
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}

#[test]
fn a_refused_connection_is_an_error_that_names_the_address() {
    let free: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let refused = exchange(&mut client(), &rules(&[&url]), get(&url), LIMITS).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("could not connect to 127.0.0.1: Connection refused"), "{text}");
}

#[test]
fn a_slow_answer_comes() {
    let server = Server::start(|_, out| {
        write!(out, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for piece in ["5\r\nhello\r\n", "6\r\n world\r\n", "0\r\n\r\n"] {
            out.flush()?;
            thread::sleep(Duration::from_millis(30));
            out.write_all(piece.as_bytes())?;
        }
        Ok(())
    });
    let response = ask(&mut client(), &server, get(&server.url("/"))).unwrap();
    assert_eq!(text(&response), "hello world");
}
