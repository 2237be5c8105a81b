//! TLS: who is not who they say is not talked to.

#![allow(clippy::unwrap_used)] // A panic here is the report of a test.

mod common;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use common::{Here, LIMITS, Server, exchange, get, rules, serve};
use net::{Client, Error, Options};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server with a certificate for `good.test` and 127.0.0.1.
fn server(issuer: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> Server {
    let names = ["good.test", "127.0.0.1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    Server::serve(move |stream| {
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let connection = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
        let shared = Shared(Arc::new(std::sync::Mutex::new(StreamOwned::new(connection, stream))));
        serve(shared.clone(), shared, &|_, out| {
            out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        })
    })
}

#[derive(Clone)]
struct Shared(Arc<std::sync::Mutex<StreamOwned<ServerConnection, std::net::TcpStream>>>);

impl std::io::Read for Shared {
    fn read(&mut self, data: &mut [u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().read(data)
    }
}

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(data)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.lock().unwrap().flush()
    }
}

fn client(roots: Option<Vec<CertificateDer<'static>>>) -> Client {
    Client::new(Options { idle: 1, names: Some(Box::new(Here)), roots }).unwrap()
}

fn ask(client: &mut Client, server: &Server, host: &str) -> Result<u16, Error> {
    let port = server.address.port();
    let allowed = format!("https://{}:{port}", host.trim_end_matches('.'));
    let rules = rules(&[allowed.as_str(), "127.0.0.1/32"]);
    let site = format!("https://{host}:{port}");
    exchange(client, &rules, get(&site), LIMITS).map(|response| response.status)
}

#[test]
fn a_server_that_is_trusted_is_talked_to() {
    let issuer = authority("one");
    let server = server(&issuer, |_| ());
    let mut client = client(Some(vec![issuer.der().clone()]));
    for host in ["good.test", "good.test.", "127.0.0.1", "good.test"] {
        assert_eq!(ask(&mut client, &server, host), Ok(200), "{host}");
    }
}

#[test]
fn a_server_that_is_not_who_it_says_is_refused() {
    let (issuer, other) = (authority("one"), authority("other"));
    let mut client = client(Some(vec![issuer.der().clone()]));
    let past = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let future = |params: &mut CertificateParams| params.not_before = date_time_ymd(2090, 1, 1);
    for (server, host, reason) in [
        (server(&issuer, |_| ()), "other.test", "not valid for name"),
        (server(&other, |_| ()), "good.test", "UnknownIssuer"),
        (server(&issuer, past), "good.test", "expired"),
        (server(&issuer, future), "good.test", "not valid yet"),
        (Server::start(|_, _| Ok(())), "good.test", ""),
    ] {
        let refused = ask(&mut client, &server, host).unwrap_err();
        let text = refused.to_string();
        let begins = format!("no TLS with {host}: ");
        assert!(text.starts_with(&begins) && text.contains(reason), "{reason}: {text}");
    }
}

#[test]
fn a_certificate_of_ones_own_is_not_trusted_by_the_system() {
    let server = server(&authority("own"), |_| ());
    let refused = ask(&mut client(None), &server, "good.test").unwrap_err();
    assert!(matches!(refused, Error::NoTls { .. } | Error::Unavailable(_)), "{refused:?}");
}
