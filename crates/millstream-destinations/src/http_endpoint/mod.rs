//! Firehose's own delivery protocol over HTTP, spoken to endpoints of anyone.
//!
//! Owns one request and the reading of its answer: taken only where the answer is a 200 that
//! follows the specification to the letter. The records of a request are taken together or not
//! at all, and the request's id, which is the delivery's, tells an endpoint a repeat.
//!
//! Source: the Firehose guide, "HTTP endpoint delivery request and response specifications" and
//! "Troubleshooting HTTP endpoints".

mod answer;
mod request;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderMap, Uri};
use millstream_auth::Secret;
use millstream_core::Clock;

use crate::outbound::{Bounds, Outbound, OutboundError, TlsFault, Url};
use crate::{ConfigError, Delivery, Destination, Failure, Limits, Outcome};

/// How long an endpoint may take to answer (documented).
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(180);
/// The answer's body at most (documented: 1 MiB).
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Records in one request (documented).
const RECORDS_MAX: usize = 10_000;
/// The request's body before compression (documented: 64 MiB).
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How an endpoint is spoken to.
#[derive(Clone, Debug)]
pub struct HttpEndpointConfig {
    /// Where to; used as it stands.
    pub url: String,
    /// Sent along as it stands, where there is one.
    pub access_key: Option<Secret>,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// Names and values that go with each request, in order.
    pub common_attributes: Vec<(String, String)>,
    /// The ARN of the delivery stream.
    pub source_arn: String,
}

/// One endpoint.
pub struct HttpEndpoint {
    target: Uri,
    headers: HeaderMap,
    gzip: bool,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    wait_max: Duration,
}

impl fmt::Debug for HttpEndpoint {
    /// With the host alone: paths and queries of endpoints hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpEndpoint").field("host", &self.target.host()).finish_non_exhaustive()
    }
}

impl HttpEndpoint {
    /// An endpoint as `config` says.
    pub fn new(
        config: &HttpEndpointConfig,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let url: Url = config.url.parse()?;
        outbound.check(&url)?;
        let headers = request::headers(config, &url)?;
        let gzip = config.gzip;
        let wait_max = ANSWER_WAIT_MAX;
        Ok(Self { target: url.target(), headers, gzip, outbound, clock, wait_max })
    }

    /// Waits no longer than `wait_max` for an answer, instead of the documented three minutes.
    pub fn wait_max(mut self, wait_max: Duration) -> Self {
        self.wait_max = wait_max;
        self
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let body = request::body(delivery, self.clock.now(), self.gzip).await;
        let request = request::assemble(&self.target, &self.headers, &delivery.id, body)?;
        let bounds = Bounds { timeout: self.wait_max, answer_bytes_max: ANSWER_BYTES_MAX };
        let answer = self.outbound.send(request, bounds).await;
        let answer = answer.map_err(|error| transport_failure(&error))?;
        answer::check(&delivery.id, &answer).map(|()| Vec::new())
    }
}

impl Destination for HttpEndpoint {
    fn limits(&self) -> Limits {
        Limits {
            documents: RECORDS_MAX,
            bytes: request::data_bytes_max(BODY_BYTES_MAX, RECORDS_MAX),
        }
    }

    fn attempt<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Outcome> {
        Box::pin(self.deliver(delivery))
    }
}

/// What no answer at all means (documented: each code and its sentence).
fn transport_failure(error: &OutboundError) -> Failure {
    let (code, sentence) = match error {
        OutboundError::TimedOut { .. } => (
            "HttpEndpoint.RequestTimeout",
            "The delivery timed out before a response was received and will be retried.",
        ),
        OutboundError::AnswerTooLarge { .. } => (
            "HttpEndpoint.ResponseTooLarge",
            "The response received from the endpoint is too large. Contact the owner of the \
             endpoint to resolve this issue.",
        ),
        OutboundError::Broken { .. } => (
            "HttpEndpoint.ConnectionReset",
            "Unable to maintain connection with the endpoint. Contact the owner of the endpoint \
             to resolve this issue.",
        ),
        OutboundError::Tls {
            fault: TlsFault::Name | TlsFault::Certificate | TlsFault::Handshake,
            ..
        } => (
            "HttpEndpoint.SSLHandshakeFailure",
            "An SSL handshake could not be successfully completed with the configured endpoint.",
        ),
        OutboundError::Refused(_)
        | OutboundError::Unresolved { .. }
        | OutboundError::Unreachable { .. }
        | OutboundError::ConnectTimedOut { .. }
        | OutboundError::Request { .. } => (
            "HttpEndpoint.ConnectionFailed",
            "Unable to connect to the destination endpoint. Contact the owner of the endpoint to \
             resolve this issue.",
        ),
    };
    Failure::retryable(code, format!("{sentence} ({error})"))
}
