//! Opens connections: look the name up, let the guard see every address, connect to one of
//! those very addresses, then TLS under the name.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::guard::Allow;
use super::resolve::Resolve;
use super::tls::{TrustError, client_config};
use super::{OutboundError, OutboundSettings};

/// Opens connections; clones share their settings.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    allow: Allow,
    resolver: Arc<dyn Resolve>,
    connect_timeout: Duration,
    bare_tls: Arc<rustls::ClientConfig>,
    tls: tokio_rustls::TlsConnector,
}

impl Connector {
    pub(super) fn new(
        settings: OutboundSettings,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, TrustError> {
        let bare_tls = Arc::new(client_config(&settings.trust)?);
        let mut with_alpn = (*bare_tls).clone();
        with_alpn.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(Inner {
            allow: settings.allow,
            resolver,
            connect_timeout: settings.connect_timeout,
            bare_tls,
            tls: Arc::new(with_alpn).into(),
        })))
    }

    pub(super) fn allow(&self) -> &Allow {
        &self.0.allow
    }

    pub(super) fn bare_tls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.0.bare_tls)
    }

    pub(super) async fn connect_tcp(
        &self,
        host: &str,
        port: u16,
    ) -> Result<TcpStream, OutboundError> {
        self.in_time(host, self.open(host, port)).await
    }

    async fn in_time<T>(
        &self,
        host: &str,
        attempt: impl Future<Output = Result<T, OutboundError>>,
    ) -> Result<T, OutboundError> {
        let timeout = self.0.connect_timeout;
        tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| {
            Err(OutboundError::ConnectTimedOut { host: host.to_owned(), timeout })
        })
    }

    /// Every address is checked before any is tried: a name with one address inside and one
    /// outside is refused whole, whichever would have answered first.
    async fn open(&self, host: &str, port: u16) -> Result<TcpStream, OutboundError> {
        let unresolved =
            |reason: String| OutboundError::Unresolved { host: host.to_owned(), reason };
        let found = self.0.resolver.resolve(host, port).await;
        let addresses = found.map_err(|error| unresolved(error.to_string()))?;
        for address in &addresses {
            self.0.allow.check_address(host, address.ip())?;
        }
        let share = self.0.connect_timeout / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = unresolved("it has no address".to_owned());
        for address in addresses {
            match tokio::time::timeout(share, open_one(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = unreachable(host, &error),
                Err(_) => last = unreachable(host, &io::ErrorKind::TimedOut.into()),
            }
        }
        Err(last)
    }

    /// A connection for protocols other than HTTP: no ALPN.
    pub(super) async fn connect_bare(
        &self,
        host: &str,
        port: u16,
        is_tls: bool,
    ) -> Result<Stream, OutboundError> {
        let tls = is_tls.then(|| tokio_rustls::TlsConnector::from(self.bare_tls()));
        self.stand(host, port, tls).await
    }

    async fn connect(&self, uri: &Uri) -> Result<Stream, OutboundError> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        self.stand(host, port, is_tls.then(|| self.0.tls.clone())).await
    }

    /// A connection that stands, with TLS where it is to have it.
    async fn stand(
        &self,
        host: &str,
        port: u16,
        tls: Option<tokio_rustls::TlsConnector>,
    ) -> Result<Stream, OutboundError> {
        // Here, where no caller can forget it.
        self.0.allow.check_scheme(tls.is_some())?;
        let attempt = async {
            let stream = self.open(host, port).await?;
            let Some(tls) = tls else { return Ok(Stream::Plain(stream)) };
            let name = ServerName::try_from(host.to_owned())
                .map_err(|error| unreachable(host, &io::Error::other(error)))?;
            let stream = tls.connect(name, stream).await;
            stream
                .map(|stream| Stream::Tls(Box::new(stream)))
                .map_err(|error| OutboundError::of_handshake(host, &error))
        };
        self.in_time(host, attempt).await
    }
}

async fn open_one(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn unreachable(host: &str, error: &io::Error) -> OutboundError {
    OutboundError::Unreachable { host: host.to_owned(), reason: error.to_string() }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = OutboundError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await.map(TokioIo::new) })
    }
}

/// A connection, with TLS or without.
#[derive(Debug)]
pub enum Stream {
    /// Without.
    Plain(TcpStream),
    /// With, under the name that was connected to.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            Self::Plain(_) | Self::Tls(_) => Connected::new(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }
}
