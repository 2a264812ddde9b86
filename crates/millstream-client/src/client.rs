//! One call: encode, sign, send, wait, decode; again where that may help.
//!
//! Owns the order of these and nothing of their content. A request that fails before it was on
//! its way is sent again at once; one that the service calls transient, or that broke on the way,
//! after a wait. As with any SDK, a put whose answer was lost is put again: at least once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use millstream_api::kinesis::ListStreamsInput;
use millstream_auth::Secret;
use millstream_auth::sigv4::{Moment, Payload, Signer, SigningCredentials};
use millstream_core::{Clock, SystemClock, SystemRand};
use millstream_wire::{Codec, Decode, Encode, ErrorBody, decode_output, encode_body};

use crate::backoff;
use crate::connection::{Connection, Connector, TransportError, tls_connector};
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::error::{CallError, ServiceError};
use crate::pool::Pool;
use crate::tls::{HttpVersion, Trust, TrustError, client_config};

/// What stands before each operation's name.
const TARGET_PREFIX: &str = "Kinesis_20131202";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const AGENT: &str = concat!("millstream/", env!("CARGO_PKG_VERSION"));
/// No answer is longer: GetRecords gives 10 MiB of data, which base64 makes a third longer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How a client works. Start from [`ClientSettings::new`].
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Where to; the service's own endpoint for the region where none is given.
    pub endpoint: Option<Endpoint>,
    /// The region that signatures are made for.
    pub region: String,
    /// In whose name.
    pub credentials: Credentials,
    /// The encoding of requests and answers.
    pub codec: Codec,
    /// The version of HTTP.
    pub version: HttpVersion,
    /// Whom to believe over TLS.
    pub trust: Trust,
    /// Connections at most. Over HTTP/1.1 also the number of requests under way.
    pub connections: usize,
    /// How often a request is tried.
    pub attempts_max: u32,
    /// How long each attempt may take.
    pub timeout: Duration,
}

impl ClientSettings {
    /// JSON over HTTP/1.1, 8 connections, 5 attempts of a minute each.
    pub fn new(region: &str, credentials: Credentials) -> Self {
        Self {
            endpoint: None,
            region: region.to_owned(),
            credentials,
            codec: Codec::Json11,
            version: HttpVersion::Http1,
            trust: Trust::System,
            connections: 8,
            attempts_max: 5,
            timeout: Duration::from_secs(60),
        }
    }
}

/// A client of one endpoint; clones share its connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    target: Uri,
    host: HeaderValue,
    content_type: HeaderValue,
    version: HttpVersion,
    codec: Codec,
    signer: Signer,
    credentials: SigningCredentials,
    region: String,
    pool: Pool,
    attempts_max: u32,
    timeout: Duration,
    clock: SystemClock,
    rand: SystemRand,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.0.endpoint).finish()
    }
}

/// How an endpoint answers.
#[derive(Debug)]
pub struct Probe {
    /// From the request to the head of its answer, connecting included.
    pub took: Duration,
    /// How far the endpoint's clock is ahead of ours, where it tells the time.
    pub server_ahead_seconds: Option<i64>,
    /// What it said.
    pub answer: Result<(), CallError>,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) codec: Codec,
    pub(crate) body: Bytes,
}

impl Client {
    /// A client that connects with its first call.
    pub fn new(settings: ClientSettings) -> Result<Self, TrustError> {
        let endpoint = settings.endpoint.unwrap_or_else(|| Endpoint::of_aws(&settings.region));
        let tls = tls_connector(&endpoint, || client_config(&settings.trust, settings.version))?;
        let version = settings.version;
        let authority = endpoint.authority();
        // Over HTTP/2 the authority travels in the target, over HTTP/1.1 in a header.
        let target = match version {
            HttpVersion::Http1 => Uri::from_static("/"),
            HttpVersion::Http2 => format!("{endpoint}/").parse().expect("an endpoint is a URI"),
        };
        let credentials = SigningCredentials {
            access_key_id: settings.credentials.access_key_id,
            secret_access_key: Secret::new(settings.credentials.secret_access_key),
            session_token: settings.credentials.session_token.map(Secret::new),
        };
        let connector = Connector { endpoint: endpoint.clone(), version, tls };
        Ok(Self(Arc::new(Inner {
            host: HeaderValue::from_str(&authority).expect("an endpoint's host is plain"),
            content_type: HeaderValue::from_static(settings.codec.content_type()),
            signer: Signer::new(credentials.clone(), &settings.region, "kinesis"),
            credentials,
            region: settings.region,
            pool: Pool::new(connector, settings.connections.max(1)),
            attempts_max: settings.attempts_max.max(1),
            timeout: settings.timeout,
            codec: settings.codec,
            clock: SystemClock,
            rand: SystemRand::new(),
            endpoint,
            target,
            version,
        })))
    }

    /// Where requests go.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// The encoding of requests.
    pub fn codec(&self) -> Codec {
        self.0.codec
    }

    /// Opens all connections that calls may use, so that none of them waits for one.
    pub async fn connect_ahead(&self) -> Result<(), CallError> {
        self.0.pool.fill().await.map_err(|error| self.plain("connect", error))
    }

    /// Calls `operation` and decodes what it answers.
    pub async fn call<I: Encode, O: Decode>(
        &self,
        operation: &str,
        input: &I,
    ) -> Result<O, CallError> {
        let answer = self.call_bytes(operation, encode_body(self.0.codec, input)).await?;
        decode_output(answer.codec, &answer.body)
            .map_err(|error| CallError::unreadable(operation, &error))
    }

    /// Calls an `operation` that answers with nothing.
    pub async fn call_empty<I: Encode>(&self, operation: &str, input: &I) -> Result<(), CallError> {
        self.call_bytes(operation, encode_body(self.0.codec, input)).await.map(drop)
    }

    /// Asks for one stream's name, to learn how the endpoint answers: its clock, and how long it
    /// took. An error of the service is an answer too.
    pub async fn probe(&self) -> Result<Probe, CallError> {
        let input = ListStreamsInput { limit: Some(1), ..Default::default() };
        let operation = "ListStreams";
        let request = self.request(operation, encode_body(self.0.codec, &input))?;
        let asked = tokio::time::Instant::now();
        let mut taken = self.0.pool.take().await.map_err(|error| self.plain(operation, error))?;
        let sent = tokio::time::timeout(self.0.timeout, taken.connection.send(request)).await;
        let response = sent
            .map_err(|_| self.timed_out(operation))?
            .map_err(|error| self.plain(operation, error))?;
        let took = asked.elapsed();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let server_date = date.and_then(Moment::parse_http_date);
        let answer = self.answer(operation, response).await.map(drop);
        Ok(Probe {
            took,
            server_ahead_seconds: server_date.map(|date| {
                let signed = |seconds| i64::try_from(seconds).unwrap_or(i64::MAX);
                signed(date.seconds()) - signed(self.0.clock.now().seconds())
            }),
            answer,
        })
    }

    /// Reads what the server itself has at `path`, below its operations; signed for `service`.
    pub async fn page(&self, service: &str, path: &str) -> Result<Bytes, CallError> {
        let signer = Signer::new(self.0.credentials.clone(), &self.0.region, service);
        let request = || self.page_request(&signer, path);
        self.send(path, request).await.map(|answer| answer.body)
    }

    /// As [`Client::call`], with a body that is already encoded.
    pub(crate) async fn call_bytes(
        &self,
        operation: &str,
        body: Bytes,
    ) -> Result<Answer, CallError> {
        self.send(operation, || self.request(operation, body.clone())).await
    }

    /// Sends a request, made anew for each attempt, until it is answered or no attempt helps.
    async fn send(
        &self,
        operation: &str,
        request: impl Fn() -> Result<Request<Full<Bytes>>, CallError>,
    ) -> Result<Answer, CallError> {
        let mut attempt = 0;
        let mut stale = 0;
        loop {
            attempt += 1;
            let timeout = self.0.timeout;
            let tried = tokio::time::timeout(timeout, self.attempt(operation, request()?)).await;
            let outcome = tried.unwrap_or_else(|_| Err(Attempt::Call(self.timed_out(operation))));
            match outcome {
                Ok(answer) => return Ok(answer),
                // The server closed an idle connection just as we took it: nothing was sent, so
                // this is no attempt. A server that does nothing else is broken.
                Err(Attempt::Stale) if stale < 16 => {
                    stale += 1;
                    attempt -= 1;
                }
                Err(Attempt::Stale) => return Err(self.broken(operation, "it is closed at once")),
                Err(Attempt::Call(error)) => {
                    if attempt >= self.0.attempts_max || !error.is_transient() {
                        return Err(error);
                    }
                    tracing::debug!(%error, attempt, "trying again");
                    let wait = backoff::wait(attempt, error.is_throttling(), &self.0.rand);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn attempt(
        &self,
        operation: &str,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Attempt> {
        let mut taken =
            self.0.pool.take().await.map_err(|error| self.transport(operation, error))?;
        let sent = taken.connection.send(request).await;
        let response = sent.map_err(|error| self.transport(operation, error))?;
        let answer = self.answer(operation, response).await.map_err(Attempt::Call);
        // Also after an error of the service: the connection itself is sound.
        self.0.pool.give_back(taken);
        answer
    }

    /// Sends a request whose answer is a stream, on a connection of its own.
    pub(crate) async fn open(
        &self,
        operation: &str,
        body: Bytes,
    ) -> Result<(Connection, Response<Incoming>), CallError> {
        let request = self.request(operation, body)?;
        let connecting = self.0.pool.dedicated().await;
        let mut connection = connecting.map_err(|error| self.plain(operation, error))?;
        let sent = tokio::time::timeout(self.0.timeout, connection.send(request)).await;
        let response = sent
            .map_err(|_| self.timed_out(operation))?
            .map_err(|error| self.plain(operation, error))?;
        if response.status().is_success() {
            return Ok((connection, response));
        }
        match self.answer(operation, response).await {
            Err(error) => Err(error),
            Ok(_) => Err(self.broken(operation, "an answer without a stream")),
        }
    }

    fn request(&self, operation: &str, body: Bytes) -> Result<Request<Full<Bytes>>, CallError> {
        let target = format!("{TARGET_PREFIX}.{operation}");
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(HOST, self.0.host.clone());
        headers.insert(CONTENT_TYPE, self.0.content_type.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(TARGET, HeaderValue::from_str(&target).expect("operations are plain words"));
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::POST;
        parts.uri = self.0.target.clone();
        parts.headers = headers;
        self.0.signer.sign(&mut parts, Payload::Bytes(&body), self.0.clock.now())?;
        if self.0.version == HttpVersion::Http2 {
            parts.headers.remove(HOST);
        }
        Ok(Request::from_parts(parts, Full::new(body)))
    }

    fn page_request(&self, signer: &Signer, path: &str) -> Result<Request<Full<Bytes>>, CallError> {
        let is_http2 = self.0.version == HttpVersion::Http2;
        let target = if is_http2 { format!("{}{path}", self.0.endpoint) } else { path.to_owned() };
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.uri = target.parse().expect("paths are constants");
        parts.headers.insert(HOST, self.0.host.clone());
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        signer.sign(&mut parts, Payload::Bytes(&[]), self.0.clock.now())?;
        if is_http2 {
            parts.headers.remove(HOST);
        }
        Ok(Request::from_parts(parts, Full::default()))
    }

    /// Reads an answer to its end and tells an error from a success.
    async fn answer(
        &self,
        operation: &str,
        response: Response<Incoming>,
    ) -> Result<Answer, CallError> {
        let (head, body) = response.into_parts();
        let named = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let codec = named.and_then(Codec::of_content_type).unwrap_or(self.0.codec);
        let body = collect(body).await.map_err(|reason| self.broken(operation, &reason))?;
        if head.status.is_success() {
            return Ok(Answer { codec, body });
        }
        let text = |name: &str| {
            let value = head.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let error = decode_output::<ErrorBody>(codec, &body).unwrap_or_else(|_| ErrorBody {
            code: text("x-amzn-errortype"),
            message: String::from_utf8_lossy(&body).chars().take(300).collect(),
        });
        let code = if error.code.is_empty() { format!("HTTP {}", head.status) } else { error.code };
        Err(CallError::Service(ServiceError {
            operation: operation.to_owned(),
            code,
            message: error.message,
            status: head.status.as_u16(),
            request_id: text("x-amzn-requestid"),
        }))
    }

    fn transport(&self, operation: &str, error: TransportError) -> Attempt {
        let endpoint = self.0.endpoint.to_string();
        Attempt::Call(match error {
            TransportError::Stale => return Attempt::Stale,
            TransportError::Connect(error) => {
                CallError::Unreachable { endpoint, reason: error.to_string() }
            }
            TransportError::Untrusted(reason) => {
                CallError::Untrusted { endpoint, reason: reason.to_string() }
            }
            TransportError::NotTls(reason) => {
                CallError::NotTls { endpoint, reason: reason.to_string() }
            }
            TransportError::Broken(error) if error.is_parse() => {
                CallError::NotHttp { endpoint, reason: error.to_string() }
            }
            TransportError::Broken(error) => self.broken(operation, &error.to_string()),
        })
    }

    /// What a failure means where the request is not sent again.
    fn plain(&self, operation: &str, error: TransportError) -> CallError {
        match self.transport(operation, error) {
            Attempt::Call(error) => error,
            Attempt::Stale => self.broken(operation, "it was closed"),
        }
    }

    fn timed_out(&self, operation: &str) -> CallError {
        let timeout_ms = self.0.timeout.as_millis();
        CallError::TimedOut { operation: operation.to_owned(), timeout_ms }
    }

    #[allow(clippy::unused_self)] // Reads as the others.
    fn broken(&self, operation: &str, reason: &str) -> CallError {
        CallError::Broken { operation: operation.to_owned(), reason: reason.to_owned() }
    }
}

/// How one attempt failed.
enum Attempt {
    Stale,
    Call(CallError),
}

/// The whole body in one piece; copied only where it comes in several.
async fn collect(mut body: Incoming) -> Result<Bytes, String> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(expected.min(ANSWER_BYTES_MAX).max(first.len() + data.len()));
            whole.extend_from_slice(&first);
        }
        if whole.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer is above {ANSWER_BYTES_MAX} bytes"));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
