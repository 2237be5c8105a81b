//! A process that has no file descriptor left. Alone in this file, as the limit is the process's.

#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

mod common;

use common::{LIMITS, Server, client, exchange, get, reply, rules};
use net::{Client, Error, Options};

#[test]
fn without_file_descriptors_there_is_an_error_and_afterwards_there_is_none() {
    let server = Server::start(|_, out| reply(out, "200 OK", b"ok"));
    let (url, list) = (server.url("/"), rules(&[server.host()]));
    let mut early = client();
    let mut taken = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    assert!(matches!(Client::new(Options::default()), Err(Error::Unavailable(_))));
    let refused = exchange(&mut early, &list, get(&url), LIMITS).unwrap_err();
    assert!(refused.to_string().contains("Too many open files"), "{refused}");
    drop(taken);
    assert!(exchange(&mut early, &list, get(&url), LIMITS).is_ok());
}
