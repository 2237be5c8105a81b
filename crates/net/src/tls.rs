//! TLS with the certificates that the system trusts.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::Error;

pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// The system's roots, unless others are given.
    pub(crate) fn new(roots: Option<&[CertificateDer<'static>]>) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        let problem = match roots {
            Some(roots) => {
                store.add_parsable_certificates(roots.iter().cloned());
                None
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                store.add_parsable_certificates(found.certs);
                found.errors.first().map(ToString::to_string)
            }
        };
        if store.is_empty() {
            let problem = problem.unwrap_or_else(|| "there are none".to_owned());
            return Err(format!("no certificates that the system trusts were found: {problem}"));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Tls(Arc::new(config).into()))
    }

    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let failed = |reason: String| Error::NoTls { host: host.to_owned(), reason };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|e| failed(e.to_string()))?;
        self.0.connect(name, stream).await.map_err(|error| failed(error.to_string()))
    }
}
