//! Many exchanges at a time, connections that are used again, and the ends of waiting.

#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

mod common;

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Here, LIMITS, Server, ask, client, exchange, get, post, reply, rules, text, wait_until,
};
use net::{Client, Error, Limits, Options};

fn hanging() -> Server {
    Server::start(|_, _| {
        thread::sleep(Duration::from_secs(60));
        Ok(())
    })
}

#[test]
fn one_connection_serves_many_requests() {
    let server = Server::start(|got, out| reply(out, "200 OK", got.path.as_bytes()));
    let mut client = client();
    for n in 0..100 {
        let path = format!("/{n}");
        assert_eq!(text(&ask(&mut client, &server, get(&server.url(&path))).unwrap()), path);
    }
    assert_eq!(server.connections(), 1);
    client.close_idle();
    wait_until("the connection is closed", || server.open() == 0);
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced() {
    // Closes after each answer, without a word of it.
    let server = Server::serve(|mut stream| {
        let mut request = [0; 1000];
        let _ = stream.read(&mut request)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    });
    let mut client = client();
    for _ in 0..10 {
        let answer = ask(&mut client, &server, post(&server.url("/"), "body")).unwrap();
        assert_eq!(text(&answer), "ok");
        wait_until("it is closed", || server.open() == 0);
    }
    assert_eq!(server.connections(), 10);
}

#[test]
fn a_connection_with_something_left_in_it_is_not_used_again() {
    let server = Server::start(|_, out| {
        out.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        )
    });
    let mut client = client();
    for _ in 0..5 {
        assert_eq!(text(&ask(&mut client, &server, get(&server.url("/"))).unwrap()), "ok");
    }
    assert_eq!(server.connections(), 5);
}

#[test]
fn a_connection_is_not_for_who_may_not_have_its_address() {
    let server = Server::start(|_, out| reply(out, "200 OK", b"ok"));
    let url = format!("http://name.test:{}/", server.address.port());
    let mut client = client();
    let trusted = rules(&[url.trim_end_matches('/'), "127.0.0.0/8"]);
    assert!(exchange(&mut client, &trusted, get(&url), LIMITS).is_ok());
    let other = rules(&[url.trim_end_matches('/')]);
    let refused = exchange(&mut client, &other, get(&url), LIMITS);
    assert!(matches!(refused, Err(Error::Private { .. })), "{refused:?}");
    assert!(exchange(&mut client, &trusted, get(&url), LIMITS).is_ok());
    assert_eq!(server.connections(), 1);
}

#[test]
fn exchanges_run_beside_each_other_as_many_as_may() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let server = Server::start(|got, out| {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(20));
        NOW.fetch_sub(1, Ordering::SeqCst);
        reply(out, "200 OK", got.path.as_bytes())
    });
    let mut client = client();
    let limits = Limits { at_once: 4, ..LIMITS };
    let rules = rules(&[server.host()]);
    let mut sent: Vec<(u64, String)> = (0..40)
        .map(|n| {
            let path = format!("/{n}");
            let number = client.send(1, get(&server.url(&path)), rules.clone(), limits).unwrap();
            (number, path)
        })
        .collect();
    while let Some((number, answer)) = client.next(None, &|| false) {
        let place = sent.iter().position(|(known, _)| *known == number).unwrap();
        assert_eq!(text(&answer.unwrap()), sent.remove(place).1);
    }
    assert_eq!(sent, []);
    assert_eq!(MOST.load(Ordering::SeqCst), 4);
    assert_eq!(server.connections(), 4);
}

#[test]
fn nobody_has_to_wait_for_the_answers() {
    let server = Server::start(|_, out| reply(out, "200 OK", b"ok"));
    let (mut client, rules) = (client(), rules(&[server.host()]));
    let begin = Instant::now();
    // One that begins looks at a connection that was used while others end.
    let limits = Limits { at_once: 20, ..LIMITS };
    for _ in 0..400 {
        client.send(1, get(&server.url("/")), rules.clone(), limits).unwrap();
    }
    let mut left = 400;
    while left > 0 {
        match client.next(Some(Instant::now()), &|| false) {
            Some((_, answer)) => {
                assert!(answer.is_ok(), "{answer:?}");
                left -= 1;
            }
            None => client.wait(Some(begin + LIMITS.time), &|| false),
        }
    }
    assert!(begin.elapsed() < LIMITS.time / 2, "{:?}", begin.elapsed());
}

#[test]
fn requests_that_hang_leave_room_for_those_of_others() {
    let (hanging, server) = (hanging(), Server::start(|_, out| reply(out, "200 OK", b"ok")));
    let (mut client, rules) = (client(), rules(&[hanging.host(), server.host()]));
    let limits = Limits { at_once: 8, reserved: 2, ..LIMITS };
    let mut send = |sender, server: &Server, count| {
        for _ in 0..count {
            client.send(sender, get(&server.url("/")), rules.clone(), limits).unwrap();
        }
    };
    send(1, &hanging, 1000);
    send(2, &server, 20);
    for _ in 0..20 {
        let (_, answer) = client.next(Some(Instant::now() + LIMITS.time), &|| false).unwrap();
        assert!(answer.is_ok(), "{answer:?}");
    }
    assert!(hanging.connections() <= 10);
}

#[test]
fn an_interrupt_ends_the_wait_at_once() {
    let server = hanging();
    let mut client = client();
    client.send(1, get(&server.url("/")), rules(&[server.host()]), LIMITS).unwrap();
    let (begin, asked) = (Instant::now(), Cell::new(0));
    let interrupted = || {
        asked.set(asked.get() + 1);
        begin.elapsed() > Duration::from_millis(100)
    };
    assert!(client.next(None, &interrupted).is_none());
    assert!(begin.elapsed() < Duration::from_millis(400), "{:?}", begin.elapsed());
    assert!((2..=20).contains(&asked.get()), "asked {} times", asked.get());
}

#[test]
fn a_wait_ends_when_it_should_and_goes_on() {
    let server = Server::start(|_, out| {
        thread::sleep(Duration::from_millis(200));
        reply(out, "200 OK", b"ok")
    });
    let mut client = client();
    client.send(1, get(&server.url("/")), rules(&[server.host()]), LIMITS).unwrap();
    let soon = Instant::now() + Duration::from_millis(30);
    assert!(client.next(Some(soon), &|| false).is_none());
    assert!(client.next(None, &|| false).unwrap().1.is_ok());
    assert!(client.next(None, &|| false).is_none(), "there is nothing to wait for");
}

#[test]
fn what_is_cancelled_closes_its_connection_at_once_and_never_ends() {
    let server = hanging();
    let mut client = client();
    let rules = rules(&[server.host()]);
    let limits = Limits { at_once: 10, ..LIMITS };
    let numbers: Vec<u64> = (0..20)
        .map(|_| client.send(1, get(&server.url("/")), rules.clone(), limits).unwrap())
        .collect();
    let soon = Instant::now() + Duration::from_millis(100);
    assert!(client.next(Some(soon), &|| false).is_none());
    wait_until("they are connected", || server.connections() == 10);
    let before = sockets();
    for number in numbers.iter().rev() {
        client.cancel(*number);
    }
    assert!(sockets() + 10 <= before, "{} of {before}", sockets());
    assert!(client.next(None, &|| false).is_none());
    let quick = Server::start(|_, out| reply(out, "200 OK", b"ok"));
    assert!(ask(&mut client, &quick, get(&quick.url("/"))).is_ok());
    client.cancel(4711);
}

/// Connections of this process to its servers, seen from the client's side and the servers'.
fn sockets() -> usize {
    let targets = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn a_client_that_goes_away_leaves_no_connection() {
    let server = hanging();
    let mut client = client();
    client.send(1, get(&server.url("/")), rules(&[server.host()]), LIMITS).unwrap();
    let soon = Instant::now() + Duration::from_millis(50);
    assert!(client.next(Some(soon), &|| false).is_none());
    drop(client);
    let closed = Server::serve(|mut stream| stream.read(&mut [0]).map(drop));
    let mut client = common::client();
    client.send(1, get(&closed.url("/")), rules(&[closed.host()]), LIMITS).unwrap();
    drop(client);
    wait_until("nothing is open", || closed.open() == 0);
}

#[test]
fn there_is_an_end_to_how_many_wait() {
    let mut client = client();
    let rules = rules(&["example.com"]);
    let url = get("https://example.com/");
    let sent = (0..2000).take_while(|_| client.send(1, url.clone(), rules.clone(), LIMITS).is_ok());
    assert_eq!(sent.count(), 1000);
    assert!(matches!(client.send(1, url, rules, LIMITS), Err(Error::TooMany(1000))));
}

#[test]
fn a_name_without_an_address_is_an_error_that_says_so() {
    let mut client = Client::new(Options::default()).unwrap();
    let rules = rules(&["no-such-name.invalid"]);
    let limits = Limits { time: Duration::from_millis(500), ..LIMITS };
    let refused = exchange(&mut client, &rules, get("https://no-such-name.invalid/"), limits);
    let text = refused.unwrap_err().to_string();
    // Where there is no name server, it is not known before the time is up.
    let expected = ["no address was found for no-such-name.invalid: ", "there was no answer"];
    assert!(expected.iter().any(|expected| text.starts_with(expected)), "{text}");
}

#[test]
fn localhost_needs_no_name_server() {
    let server = Server::start(|_, out| reply(out, "200 OK", b"ok"));
    let mut client = Client::new(Options::default()).unwrap();
    let site = format!("http://localhost:{}", server.address.port());
    assert!(exchange(&mut client, &rules(&[&site]), get(&site), LIMITS).is_ok());
}

#[test]
fn names_that_are_asked_for_are_those_of_the_options() {
    let server = Server::start(|_, out| reply(out, "200 OK", b"ok"));
    let options = Options { names: Some(Box::new(Here)), ..Options::default() };
    let mut client = Client::new(options).unwrap();
    let site = format!("http://any.test:{}", server.address.port());
    let list = rules(&[site.as_str(), "127.0.0.1/32"]);
    assert!(exchange(&mut client, &list, get(&site), LIMITS).is_ok());
    assert_eq!(Rc::strong_count(&list), 1, "nothing of it is kept");
}

#[test]
fn waiting_leaves_what_has_ended_to_who_asks_for_it() {
    let server = Server::start(|_, out| reply(out, "200 OK", b"ok"));
    let mut client = client();
    let allowed = rules(&[server.host()]);
    client.wait(Some(Instant::now()), &|| false);
    let [first, second] =
        [(); 2].map(|()| client.send(1, get(&server.url("/")), allowed.clone(), LIMITS).unwrap());
    let patience = Some(Instant::now() + Duration::from_secs(60));
    // Once more changes nothing.
    client.wait(patience, &|| false);
    client.wait(patience, &|| false);
    let now = Some(Instant::now());
    let (number, result) = client.next(now, &|| true).expect("it is there already");
    assert_eq!(text(&result.unwrap()), "ok");
    let other = if number == first { second } else { first };
    client.wait(patience, &|| false);
    // Who cancelled it does not hear of it.
    client.cancel(other);
    assert!(client.next(now, &|| true).is_none());
}
