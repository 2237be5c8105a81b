//! A connection to a site, driven only while somebody waits for what it brings: no task of its own,
//! and gone with its socket when it is dropped.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::poll_fn;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::client::World;
use crate::error::Error;
use crate::rules::Rules;
use crate::site::{Scheme, Site};

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

type Io = TokioIo<Box<dyn Stream>>;

pub(crate) struct Connection {
    pub(crate) sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<http1::Connection<Io, Full<Bytes>>>>,
    pub(crate) peer: IpAddr,
    has_ended: bool,
}

/// What is read at a time, and so the most that the head of an answer may take.
const BUFFER: usize = 64 << 10;

/// Of a name with more addresses the first ones will do.
const MOST_ADDRESSES: usize = 4;

impl Connection {
    /// Connects to an address that the rules admit, and to no other than was looked at.
    pub(crate) async fn open(
        world: &World,
        rules: &Rules,
        site: &Site,
        time: Duration,
    ) -> Result<Self, Error> {
        let addresses = addresses(world, rules, site).await?;
        let share = time / addresses.len().max(1).try_into().unwrap_or(1);
        let mut failure = Error::EndedEarly;
        for address in addresses {
            match tcp(SocketAddr::new(address, site.port), share).await {
                Ok(stream) => return Self::over(world, site, stream, address).await,
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn over(
        world: &World,
        site: &Site,
        stream: TcpStream,
        peer: IpAddr,
    ) -> Result<Self, Error> {
        let stream: Box<dyn Stream> = match site.scheme {
            Scheme::Http => Box::new(stream),
            Scheme::Https => Box::new(world.tls()?.connect(&site.host.to_string(), stream).await?),
        };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER);
        let (sender, driver) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Error::Broken(error.to_string()))?;
        Ok(Connection { sender, driver: Box::pin(driver), peer, has_ended: false })
    }

    /// Does work that waits for what the connection brings.
    pub(crate) async fn drive<W: Future>(&mut self, work: W) -> W::Output {
        drive(&mut self.driver, &mut self.has_ended, work).await
    }

    pub(crate) async fn send(
        &mut self,
        request: hyper::Request<Full<Bytes>>,
    ) -> Result<hyper::Response<hyper::body::Incoming>, Unsent> {
        let answer = self.sender.try_send_request(request);
        drive(&mut self.driver, &mut self.has_ended, answer).await.map_err(|mut error| Unsent {
            never_written: error.take_message().is_some(),
            error: error.into_error(),
        })
    }

    /// Whether it can take another request. The other side may have closed it since.
    pub(crate) async fn is_ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.has_ended = self.has_ended || self.driver.as_mut().poll(cx).is_ready();
            Poll::Ready(!self.has_ended && self.sender.is_ready())
        })
        .await
    }
}

/// A request without an answer.
pub(crate) struct Unsent {
    pub(crate) never_written: bool,
    pub(crate) error: hyper::Error,
}

async fn drive<W: Future>(
    driver: &mut Pin<Box<http1::Connection<Io, Full<Bytes>>>>,
    has_ended: &mut bool,
    work: W,
) -> W::Output {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        if !*has_ended && driver.as_mut().poll(cx).is_ready() {
            *has_ended = true;
        }
        // What the driver has brought, or how it failed, is there for the work now.
        work.as_mut().poll(cx)
    })
    .await
}

/// The addresses of a site that may be connected to.
async fn addresses(world: &World, rules: &Rules, site: &Site) -> Result<Vec<IpAddr>, Error> {
    let found = match site.literal() {
        Some(address) => vec![address],
        None => {
            let host = site.host.to_string();
            let no_address = |reason| Error::NoAddress { host: host.clone(), reason };
            let names = world.names().map_err(no_address)?;
            names.lookup(&host).await.map_err(no_address)?
        }
    };
    let mut admitted = rules.admit_addresses(site, &found)?;
    admitted.truncate(MOST_ADDRESSES);
    Ok(admitted)
}

async fn tcp(address: SocketAddr, time: Duration) -> Result<TcpStream, Error> {
    let failed = |reason: String| Error::NoConnection { address: address.ip(), reason };
    let connecting = tokio::time::timeout(time, TcpStream::connect(address));
    let stream = match connecting.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed("it does not respond".to_owned())),
    };
    // A request is written at once, and not to wait for the answer to something else.
    stream.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
    Ok(stream)
}
