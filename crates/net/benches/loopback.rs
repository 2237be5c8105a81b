//! Requests to a server on loopback, one after the other and many at a time: how many a second.
//! `cargo bench -p net`

use std::io::{Read, Write};
use std::net::TcpListener;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use net::{Client, Limits, Options, Redirect, Request, Rules};

/// What a small answer of a service is.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"rate\": 1.5}";

const TIME: Duration = Duration::from_secs(3);

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let host = format!("http://{}", listener.local_addr().expect("it has an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.set_nodelay(true);
            thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|length| length > 0) {
                    if stream.write_all(ANSWER).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let begin = Instant::now();
    let mut client = Client::new(Options { idle: 64, ..Options::default() }).expect("a client");
    println!("a client is made in {:?}", begin.elapsed());
    let rules = Rc::new(Rules::parse([host.as_str()]).expect("a list"));
    for at_once in [1, 8, 32] {
        let limits = Limits { time: TIME * 10, body_bytes: 1 << 20, at_once, reserved: 0 };
        let request = get(&host);
        let send = |client: &mut Client| {
            client.send(1, request.clone(), rules.clone(), limits).expect("there is room");
        };
        (0..at_once).for_each(|_| send(&mut client));
        let (begin, mut count) = (Instant::now(), 0_u32);
        while begin.elapsed() < TIME {
            let (_, answer) = client.next(None, &|| false).expect("one is under way");
            answer.expect("an answer");
            count += 1;
            send(&mut client);
        }
        let rate = f64::from(count) / begin.elapsed().as_secs_f64();
        println!("{at_once:>3} at a time: {rate:>8.0} a second");
        while client.next(None, &|| false).is_some() {}
    }
    // The server does not speak it; what takes time is to read what the system trusts.
    for which in ["first", "second"] {
        let secure = host.replace("http:", "https:");
        let rules = Rc::new(Rules::parse([secure.as_str()]).expect("a list"));
        let begin = Instant::now();
        let limits = Limits { time: TIME, body_bytes: 1 << 20, at_once: 1, reserved: 0 };
        client.send(1, get(&secure), rules, limits).expect("there is room");
        let (_, answer) = client.next(None, &|| false).expect("one is under way");
        answer.expect_err("there is no TLS");
        println!("the {which} handshake, which fails: {:?}", begin.elapsed());
    }
}

fn get(url: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        url: url.parse().expect("an address"),
        headers: Vec::new(),
        body: Vec::new(),
        redirect: Redirect::Follow,
    }
}
