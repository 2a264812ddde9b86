//! A server on loopback that answers as it is told, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use millstream_auth::Secret;
use millstream_auth::sigv4::{
    Claim, PathForm, Payload, SignedRequest, SigningCredentials, SigningKey, sha256_hex,
};
use millstream_core::{ManualClock, Timestamp};
use millstream_destinations::outbound::{Allow, Outbound, OutboundSettings};
use millstream_destinations::{Delivery, Document, DocumentId};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The moment at which all tests happen.
pub(crate) const NOW: Timestamp = Timestamp::from_ms(1_578_090_901_599);

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
    /// The address that the connection came to.
    pub(crate) local: SocketAddr,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// What to do with a request.
pub(crate) enum Reply {
    /// An answer; `sized` with a content length, and otherwise in chunks.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Bytes, sized: bool },
    /// Nothing, ever.
    Silence,
    /// The connection ends without an answer.
    Break,
}

/// Makes the same reply each time.
pub(crate) type MakeReply = fn() -> Reply;

impl Reply {
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self::Answer { status, headers, body: Bytes::from(body.into()), sized: true }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Bytes::new(), sized: true }
    }

    pub(crate) fn body(status: u16, body: impl Into<Bytes>) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into(), sized: true }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }

    pub(crate) fn in_chunks(mut self) -> Self {
        if let Self::Answer { sized, .. } = &mut self {
            *sized = false;
        }
        self
    }
}

/// A running server; it ends with its handle.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Handler = Box<dyn FnMut(&Seen) -> Reply + Send>;

impl Fake {
    /// A server whose answers `handler` gives, one request after another.
    pub(crate) async fn start(handler: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0", None, handler).await
    }

    /// As [`Fake::start`], at `place`, and over TLS where an acceptor is given.
    pub(crate) async fn start_at(
        place: &str,
        tls: Option<tokio_rustls::TlsAcceptor>,
        handler: impl FnMut(&Seen) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(place).await.expect("loopback has room");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let handler: Arc<Mutex<Handler>> = Arc::new(Mutex::new(Box::new(handler)));
        let all_seen = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { break };
                let local = stream.local_addr().expect("it is connected");
                let (seen, handler) = (Arc::clone(&all_seen), Arc::clone(&handler));
                let tls = tls.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        serve(request, connection, local, Arc::clone(&seen), Arc::clone(&handler))
                    });
                    let server = auto::Builder::new(TokioExecutor::new());
                    // Clients that break off are part of the tests.
                    if let Some(tls) = tls {
                        let Ok(stream) = tls.accept(stream).await else { return };
                        let _ = server.serve_connection(TokioIo::new(stream), service).await;
                    } else {
                        let _ = server.serve_connection(TokioIo::new(stream), service).await;
                    }
                });
            }
        });
        Self { address, seen, task }
    }

    /// `http://` and the server's address, and `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nobody panicked").clone()
    }
}

async fn serve(
    request: Request<Incoming>,
    connection: usize,
    local: SocketAddr,
    all_seen: Arc<Mutex<Vec<Seen>>>,
    handler: Arc<Mutex<Handler>>,
) -> Result<Response<BoxBody<Bytes, std::io::Error>>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let target = parts.uri.path_and_query().expect("requests have targets").to_string();
    let (method, headers) = (parts.method, parts.headers);
    let seen = Seen { method, target, headers, body, connection, local };
    let reply = handler.lock().expect("nobody panicked")(&seen);
    all_seen.lock().expect("nobody panicked").push(seen);
    match reply {
        Reply::Silence => std::future::pending().await,
        Reply::Break => Err(std::io::Error::other("told to break")),
        Reply::Answer { status, headers, body, sized } => {
            let body = if sized {
                Full::new(body).map_err(std::io::Error::other).boxed()
            } else {
                StreamBody::new(stream::iter([Ok(Frame::data(body))])).boxed()
            };
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            for (name, value) in headers {
                let name = HeaderName::from_static(name);
                let value = HeaderValue::from_str(&value).expect("a header");
                response.headers_mut().append(name, value);
            }
            Ok(response)
        }
    }
}

/// A client that may speak to this machine in clear text.
pub(crate) fn outbound() -> Outbound {
    let allow = Allow { clear_text: true, loopback: true, ..Allow::default() };
    Outbound::new(OutboundSettings { allow, ..OutboundSettings::default() }).expect("it is valid")
}

/// A clock that stands at [`NOW`].
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW))
}

/// A delivery of these data.
pub(crate) fn delivery(data: &[&str]) -> Delivery {
    let documents = data.iter().zip(0..).map(|(data, position)| Document {
        id: DocumentId { part: 0, position, index: 0 },
        arrived: Timestamp::from_seconds(1_456_405_200),
        operation: millstream_destinations::Operation::Insert,
        data: Bytes::copy_from_slice(data.as_bytes()),
    });
    let id = "ed4acda5-034f-9f42-bba1-f29aea6d7d8f".to_owned();
    Delivery { id, partition: String::new(), documents: documents.collect() }
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
    listener.local_addr().expect("it is bound")
}

/// The credentials that all signed requests carry.
pub(crate) fn credentials() -> SigningCredentials {
    SigningCredentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session_token: None,
    }
}

/// Panics unless a request is signed with [`credentials`] at [`NOW`], for `service` in
/// `eu-west-1`, and the hash that it names is its body's.
pub(crate) fn assert_signed(seen: &Seen, service: &str, path_form: PathForm) {
    let (path, query) = match seen.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (seen.target.as_str(), None),
    };
    let request = SignedRequest {
        method: seen.method.as_str(),
        path,
        query,
        authority: None,
        headers: &seen.headers,
    };
    let claim = Claim::read(&request).expect("the request is signed");
    let scope = claim.check(&request, "eu-west-1", service, NOW).expect("the scope fits");
    let key = SigningKey::derive(&credentials().secret_access_key, &scope);
    claim
        .verify_form(&request, &scope, &key, Payload::Bytes(&seen.body), path_form)
        .expect("the signature fits");
    if let Some(hash) = seen.header("x-amz-content-sha256") {
        assert_eq!(hash, sha256_hex(&seen.body));
    }
}
