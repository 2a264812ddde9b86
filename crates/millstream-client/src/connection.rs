//! One connection: TCP, TLS where the endpoint says so, then HTTP/1.1 or HTTP/2.
//!
//! Owns how a request gets onto a connection and its answer off it, and how long that may take;
//! which connection is used is the pool's business.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::endpoint::Endpoint;
use crate::tls::HttpVersion;

/// How long a connection may take to stand.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Bytes that the server may send ahead on one HTTP/2 stream: a whole GetRecords answer.
const STREAM_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// Something answers, and its certificate is not to be believed.
    #[error("its certificate is not trusted: {0}")]
    Untrusted(rustls::CertificateError),
    /// Something answers, and it does not speak TLS, or not ours.
    #[error("no TLS: {0}")]
    NotTls(rustls::Error),
    /// The connection was closed before the request was on its way: nothing was done.
    #[error("the connection was closed")]
    Stale,
    /// The request was sent, and no whole answer came: what was done is unknown.
    #[error("the connection broke: {0}")]
    Broken(hyper::Error),
}

/// Sends requests on one connection.
#[derive(Debug)]
pub(crate) enum Connection {
    /// One request at a time.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// Many at a time.
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// What a connection needs to stand.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) endpoint: Endpoint,
    pub(crate) version: HttpVersion,
    pub(crate) tls: Option<tokio_rustls::TlsConnector>,
}

impl Connector {
    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Connection, TransportError> {
        let attempt = tokio::time::timeout(CONNECT_MAX, self.attempt()).await;
        attempt.unwrap_or_else(|_| Err(TransportError::Connect(io::ErrorKind::TimedOut.into())))
    }

    async fn attempt(&self) -> Result<Connection, TransportError> {
        let target = (self.endpoint.host.as_str(), self.endpoint.port);
        let stream = TcpStream::connect(target).await.map_err(TransportError::Connect)?;
        stream.set_nodelay(true).map_err(TransportError::Connect)?;
        let Some(tls) = &self.tls else { return self.speak(stream).await };
        let name = rustls::pki_types::ServerName::try_from(self.endpoint.host.clone())
            .map_err(|error| TransportError::Connect(io::Error::other(error)))?;
        let stream = tls.connect(name, stream).await.map_err(handshake_error)?;
        self.speak(stream).await
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Connection, TransportError> {
        let stream = TokioIo::new(stream);
        match self.version {
            HttpVersion::Http1 => {
                let (sender, driver) =
                    http1::handshake(stream).await.map_err(TransportError::Broken)?;
                // The driver ends with its connection; what failed shows in the request's answer.
                tokio::spawn(driver);
                Ok(Connection::Http1(sender))
            }
            HttpVersion::Http2 => {
                let (sender, driver) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(STREAM_WINDOW_BYTES)
                    .initial_connection_window_size(STREAM_WINDOW_BYTES)
                    .handshake(stream)
                    .await
                    .map_err(TransportError::Broken)?;
                tokio::spawn(driver);
                Ok(Connection::Http2(sender))
            }
        }
    }
}

/// What a failed handshake means: rustls hands its reason inside an IO error.
fn handshake_error(error: io::Error) -> TransportError {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
    match reason {
        Some(rustls::Error::InvalidCertificate(reason)) => TransportError::Untrusted(reason),
        Some(reason) => TransportError::NotTls(reason),
        None => TransportError::Connect(error),
    }
}

impl Connection {
    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TransportError> {
        let outcome = match self {
            Self::Http1(sender) => {
                sender.ready().await.map_err(|_| TransportError::Stale)?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await.map_err(|_| TransportError::Stale)?;
                sender.send_request(request).await
            }
        };
        outcome.map_err(|error| {
            if error.is_canceled() { TransportError::Stale } else { TransportError::Broken(error) }
        })
    }

    /// Whether another request may be sent.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Http1(sender) => !sender.is_closed(),
            Self::Http2(sender) => !sender.is_closed(),
        }
    }

    /// A second handle onto the same HTTP/2 connection.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }
}

/// TLS for `endpoint`, where it asks for it.
pub(crate) fn tls_connector(
    endpoint: &Endpoint,
    config: impl FnOnce() -> Result<Arc<rustls::ClientConfig>, crate::TrustError>,
) -> Result<Option<tokio_rustls::TlsConnector>, crate::TrustError> {
    if endpoint.is_tls { Ok(Some(config()?.into())) } else { Ok(None) }
}
