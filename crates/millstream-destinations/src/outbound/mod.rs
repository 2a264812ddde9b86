//! Connections to the outside, and the guard before them.
//!
//! Owns one pooled HTTP client over rustls: HTTP/1.1, or HTTP/2 where ALPN gives it; a deadline
//! for connecting and one for the whole exchange; answers bounded in size; redirects never
//! followed and no proxy of the environment believed.
//!
//! Invariant: a connection is opened only to an address that the guard has just seen and let
//! pass, never to a name that could since have come to mean another (DNS rebinding).

mod body;
mod connect;
mod error;
mod guard;
mod resolve;
mod tls;
mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpStream;

pub use body::Pieces;
pub use connect::Stream;
pub use error::{OutboundError, TlsFault};
pub use guard::{Allow, Kind, Network, NetworkError, Refusal};
pub use resolve::{Resolve, SystemResolver};
pub use tls::{Trust, TrustError};
pub use url::{Url, UrlError, Userinfo};
pub(crate) use url::{percent_decoded, percent_encoded};

use connect::Connector;

/// How long a connection may take to stand, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long an unused connection is kept: shorter than what servers commonly allow, so that a
/// request seldom goes out on a connection that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How often the other side of an HTTP/2 connection is asked whether it is still there while it
/// owes an answer, and how long it may take to say so. A connection that went silent would
/// otherwise be given to each request after, for as long as TCP believes in it (ours).
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_MAX: Duration = Duration::from_secs(10);
/// Unused connections kept for one host.
const IDLE_PER_HOST_MAX: usize = 8;

/// What a client may do.
#[derive(Clone, Debug)]
pub struct OutboundSettings {
    /// Where connections may go beyond public addresses over TLS.
    pub allow: Allow,
    /// Whom to believe over TLS.
    pub trust: Trust,
    /// How long a connection may take to stand, TLS included.
    pub connect_timeout: Duration,
}

impl Default for OutboundSettings {
    /// Public addresses over TLS only, the system's authorities, ten seconds.
    fn default() -> Self {
        Self { allow: Allow::default(), trust: Trust::default(), connect_timeout: CONNECT_MAX }
    }
}

/// How long one exchange may last and how large its answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the request to the last byte of its answer, connecting included.
    pub timeout: Duration,
    /// The answer's body at most.
    pub answer_bytes_max: usize,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as it came.
    pub body: Bytes,
}

impl Answer {
    /// A header's value as text; none where it is missing or is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The start of the body as text for people, at most `chars_max` characters.
    pub fn excerpt(&self, chars_max: usize) -> String {
        // No more than four bytes make a character.
        let start = &self.body[..self.body.len().min(chars_max.saturating_mul(4))];
        String::from_utf8_lossy(start).chars().take(chars_max).collect()
    }
}

/// The client; clones share its connections.
#[derive(Clone)]
pub struct Outbound {
    client: legacy::Client<Connector, Pieces>,
    connector: Connector,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("allow", self.allow()).finish()
    }
}

impl Outbound {
    /// A client that resolves names as the system does.
    pub fn new(settings: OutboundSettings) -> Result<Self, TrustError> {
        Self::with_resolver(settings, Arc::new(SystemResolver))
    }

    /// A client that resolves names with `resolver`: for tests, and for those who pin names.
    pub fn with_resolver(
        settings: OutboundSettings,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, TrustError> {
        let connector = Connector::new(settings, resolver)?;
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PONG_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(connector.clone());
        Ok(Self { client, connector })
    }

    /// What the guard lets pass.
    pub fn allow(&self) -> &Allow {
        self.connector.allow()
    }

    /// Whether `url` may be spoken to at all, as far as it says itself: its scheme, and its
    /// host where that is an address. Names are looked up only when a connection is opened.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        self.allow().check_scheme(url.is_tls)?;
        match url.host.parse() {
            Ok(address) => self.allow().check_address(&url.host, address),
            Err(_) => Ok(()),
        }
    }

    /// Sends a request, whose target is absolute, and reads the whole answer. Any status is an
    /// answer; redirects are not followed.
    pub async fn send(
        &self,
        request: Request<impl Into<Pieces>>,
        bounds: Bounds,
    ) -> Result<Answer, OutboundError> {
        let request = request.map(Into::into);
        match tokio::time::timeout(bounds.timeout, self.exchange(request, bounds)).await {
            Ok(answer) => answer,
            Err(_) => Err(OutboundError::TimedOut { timeout: bounds.timeout }),
        }
    }

    async fn exchange(
        &self,
        request: Request<Pieces>,
        bounds: Bounds,
    ) -> Result<Answer, OutboundError> {
        let response = self.client.request(request).await;
        let (head, body) = response.map_err(|error| OutboundError::of_client(&error))?.into_parts();
        let body = collect(body, bounds.answer_bytes_max).await?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// A bare connection to `host`, guarded as any other: for protocols other than HTTP.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, OutboundError> {
        self.connector.connect_tcp(host, port).await
    }

    /// The same over TLS, or in clear text where that is allowed.
    pub async fn open(&self, host: &str, port: u16, is_tls: bool) -> Result<Stream, OutboundError> {
        self.connector.connect_bare(host, port, is_tls).await
    }

    /// TLS settings for protocols other than HTTP: the same trust, and no ALPN.
    pub(crate) fn bare_tls(&self) -> Arc<rustls::ClientConfig> {
        self.connector.bare_tls()
    }
}

/// The whole body; copied only where it comes in several pieces.
async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Bytes, OutboundError> {
    let too_large = || OutboundError::AnswerTooLarge { bytes_max };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| OutboundError::broken(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + whole.len() + data.len() > bytes_max {
            return Err(too_large());
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(announced.max(first.len() + data.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
