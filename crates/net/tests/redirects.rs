//! Answers that lead elsewhere: each hop is checked as the first one is.

#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

mod common;

use common::{LIMITS, Server, ask, client, exchange, get, post, reply, rules, text};
use net::{Error, Redirect, Request};

/// Leads to where the path says: `/302/address`; any other path is answered with the request.
fn server() -> Server {
    Server::start(|got, out| match got.path[1..].split_once('/') {
        Some((status, to)) if status.parse::<u16>().is_ok() => {
            write!(out, "HTTP/1.1 {status} Go\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
        }
        _ => {
            let mut headers: Vec<String> = got
                .headers
                .iter()
                .filter(|(name, _)| {
                    ["authorization", "cookie", "content-type", "x-own"].contains(&name.as_str())
                })
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            headers.sort();
            let body = String::from_utf8_lossy(&got.body);
            let text = format!("{} {} {} {body}", got.method, got.path, headers.join(","));
            reply(out, "200 OK", text.as_bytes())
        }
    })
}

#[test]
fn redirects_are_followed_as_browsers_do() {
    let server = server();
    let mut client = client();
    for (method, status, expected) in [
        ("POST", 301, "GET /end  "),
        ("POST", 302, "GET /end  "),
        ("POST", 303, "GET /end  "),
        ("PUT", 303, "GET /end  "),
        ("PUT", 302, "PUT /end content-type=a body"),
        ("POST", 307, "POST /end content-type=a body"),
        ("POST", 308, "POST /end content-type=a body"),
    ] {
        let request = Request {
            method: method.to_owned(),
            headers: vec![("content-type".to_owned(), "a".to_owned())],
            ..post(&server.url(&format!("/{status}//end")), "body")
        };
        let response = ask(&mut client, &server, request).unwrap();
        assert_eq!(text(&response), expected, "{method} {status}");
        assert!(response.redirected);
        assert_eq!(response.url, server.url("/end"));
    }
    let head = Request { method: "HEAD".to_owned(), ..get(&server.url("/303//end")) };
    assert_eq!(ask(&mut client, &server, head).unwrap().status, 200);
    // Other statuses lead nowhere, whatever they say.
    for status in [300, 304, 305, 200, 404] {
        let response = ask(&mut client, &server, get(&server.url(&format!("/{status}//end"))));
        assert_eq!(response.unwrap().status, status);
    }
}

#[test]
fn an_answer_that_leads_elsewhere_can_be_the_answer_or_an_error() {
    let server = server();
    let mut client = client();
    let from = server.url("/302/http://forbidden.test/");
    let manual = Request { redirect: Redirect::Manual, ..get(&from) };
    assert_eq!(ask(&mut client, &server, manual).unwrap().status, 302);
    let error = Request { redirect: Redirect::Error, ..get(&from) };
    assert_eq!(ask(&mut client, &server, error), Err(Error::RedirectRefused));
}

#[test]
fn twenty_redirects_are_followed_and_no_more() {
    let mut client = client();
    for (count, is_followed) in [(20, true), (21, false)] {
        let server = Server::start(move |got, out| {
            let hop: usize = got.path[1..].parse().unwrap();
            if hop == count {
                return reply(out, "200 OK", b"end");
            }
            write!(out, "HTTP/1.1 302 Go\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", hop + 1)
        });
        let answer = ask(&mut client, &server, get(&server.url("/0")));
        match is_followed {
            true => assert_eq!(text(&answer.unwrap()), "end"),
            false => assert_eq!(answer, Err(Error::TooManyRedirects(20))),
        }
    }
    let circle = Server::start(|_, out| {
        out.write_all(b"HTTP/1.1 302 Go\r\nlocation: /\r\ncontent-length: 0\r\n\r\n")
    });
    let answer = ask(&mut client, &circle, get(&circle.url("/")));
    assert_eq!(answer, Err(Error::TooManyRedirects(20)));
}

/// What is allowed is the first host and `other.test` with the same port.
const LEADS_OUT: [&str; 21] = [
    "http://forbidden.test/",
    "//forbidden.test/",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://localhost/",
    "http://169.254.169.254/latest/meta-data/",
    "http://metadata.google.internal/",
    "https://other.test/",
    "http://other.test/",
    "http://other.test@forbidden.test/",
    "http:\\\\forbidden.test",
    "\\\\forbidden.test",
    "ftp://other.test/",
    "file:///etc/passwd",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "gopher://other.test/",
    "http://other.test:99999/",
];

#[test]
fn a_redirect_leads_to_no_host_that_is_not_allowed() {
    let server = server();
    let port = server.address.port();
    let rules = rules(&[server.host(), format!("http://other.test:{port}"), "127.0.0.1/32".into()]);
    let mut client = client();
    let mut wrong = Vec::new();
    for to in LEADS_OUT {
        // Directly, and by way of a hop that is allowed.
        for by in ["", &format!("http://other.test:{port}/302/")] {
            let from = get(&server.url(&format!("/302/{by}{to}")));
            match exchange(&mut client, &rules, from, LIMITS) {
                Err(Error::Redirected(_) | Error::Url(_)) => {}
                other => wrong.push(format!("{by}{to}: {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let allowed = get(&server.url(&format!("/302/http://other.test:{port}/end")));
    let response = exchange(&mut client, &rules, allowed, LIMITS).unwrap();
    assert_eq!(response.url, format!("http://other.test:{port}/end"));
}

#[test]
fn a_redirect_to_a_name_that_is_a_private_address_is_refused() {
    let server = server();
    let other = format!("http://other.test:{}", server.address.port());
    let rules = rules(&[&server.host(), &other]);
    let from = get(&server.url(&format!("/302/{other}/")));
    let refused = exchange(&mut client(), &rules, from, LIMITS).unwrap_err();
    let text = refused.to_string();
    assert_eq!(text, "after a redirect, other.test is 127.0.0.1, a loopback address");
}

#[test]
fn credentials_are_for_the_site_they_were_given_for() {
    let server = server();
    let other = format!("http://other.test:{}", server.address.port());
    let rules = rules(&[server.host(), other.clone(), "127.0.0.1/32".into()]);
    let mut client = client();
    let secret = |url: &str| Request {
        headers: [("authorization", "secret"), ("cookie", "secret"), ("x-own", "kept")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..get(url)
    };
    let mut end =
        |url: &str| text(&exchange(&mut client, &rules, secret(url), LIMITS).unwrap()).to_owned();
    assert_eq!(
        end(&server.url("/302//end")),
        "GET /end authorization=secret,cookie=secret,x-own=kept "
    );
    assert_eq!(end(&server.url(&format!("/302/{other}/end"))), "GET /end x-own=kept ");
    // Gone is gone, also on the way back.
    let back = server.url(&format!("/302/{other}/302/{}", server.url("/end")));
    assert_eq!(end(&back), "GET /end x-own=kept ");
    // What a redirect has as user and password is not ours to send.
    let user = server.url(&format!("/302/http://user:password@{}/end", server.address));
    let response = exchange(&mut client, &rules, get(&user), LIMITS).unwrap();
    assert_eq!(text(&response), "GET /end  ");
    assert_eq!(response.url, server.url("/end"));
}
