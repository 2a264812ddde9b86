//! Splunk's HTTP event collector (HEC), with indexer acknowledgement.
//!
//! Owns one attempt: the events are sent, then the acknowledgement is polled for until it comes
//! or the time for it is over. Taken means indexed, not merely received: HEC answers 200 before
//! the events are safe. HEC knows no repeats, so an attempt whose acknowledgement was lost puts
//! the events in twice.
//!
//! The wait for the acknowledgement is part of the attempt, and so outlives a retry clock that
//! runs out meanwhile, as documented.
//!
//! Sources: the Firehose guide, "Data delivery failure handling" and "Splunk data delivery
//! errors"; Splunk's "About HTTP Event Collector Indexer Acknowledgment" and "Troubleshoot HTTP
//! Event Collector" (status codes).

mod acknowledge;
mod answer;
mod cookies;

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use millstream_auth::Secret;
use millstream_core::Rand;

use crate::outbound::{Answer, Bounds, Outbound, OutboundError, TlsFault, Url};
use crate::{ConfigError, Delivery, Destination, Failure, Outcome};
use cookies::Cookies;

const CHANNEL: HeaderName = HeaderName::from_static("x-splunk-request-channel");
const AGENT: &str = concat!("millstream/", env!("CARGO_PKG_VERSION"));
/// How long one request may take; the acknowledgement has its own time (ours).
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// An answer at most: HEC's are a line (ours).
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The wait before the first question for an acknowledgement; it doubles up to
/// [`POLL_LONGEST`] (ours).
const POLL_FIRST: Duration = Duration::from_millis(500);
/// The longest wait between questions: ten seconds are what Splunk recommends.
const POLL_LONGEST: Duration = Duration::from_secs(10);

/// Which of the collector's two doors events go through. Both get the documents' bytes one
/// after another, as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Splunk finds the events in the bytes.
    Raw,
    /// The bytes are JSON envelopes of events.
    Event,
}

/// How a collector is spoken to.
#[derive(Clone, Debug)]
pub struct SplunkConfig {
    /// The collector's host, as `https://host:8088`.
    pub endpoint: String,
    /// Which door.
    pub kind: EventKind,
    /// The collector's token.
    pub token: Secret,
    /// How long to wait for an acknowledgement (180 to 600 seconds in Firehose).
    pub acknowledgement_timeout: Duration,
}

/// One collector.
pub struct Splunk {
    events: Uri,
    acknowledgements: Uri,
    headers: HeaderMap,
    outbound: Outbound,
    acknowledgement_timeout: Duration,
    poll_first: Duration,
    cookies: Cookies,
}

impl fmt::Debug for Splunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splunk").field("events", &self.events).finish()
    }
}

impl Splunk {
    /// A collector as `config` says. Acknowledgements are counted within a channel, which is
    /// drawn here: no other client uses it.
    pub fn new(
        config: &SplunkConfig,
        outbound: Outbound,
        rand: &dyn Rand,
    ) -> Result<Self, ConfigError> {
        let url: Url = config.endpoint.parse()?;
        outbound.check(&url)?;
        let channel = channel(rand);
        let base = url.base_path();
        let base = ["/services/collector/raw", "/services/collector/event", "/services/collector"]
            .iter()
            .find_map(|path| base.strip_suffix(path))
            .unwrap_or(base);
        let at = |path: String| {
            let path = path
                .parse::<PathAndQuery>()
                .map_err(|error| ConfigError::invalid("the endpoint", error.to_string()))?;
            Ok::<_, ConfigError>(url.with_path(path))
        };
        let door = match config.kind {
            EventKind::Raw => "raw",
            EventKind::Event => "event",
        };
        Ok(Self {
            events: at(format!("{base}/services/collector/{door}"))?,
            acknowledgements: at(format!("{base}/services/collector/ack?channel={channel}"))?,
            headers: headers(&config.token, &channel)?,
            outbound,
            acknowledgement_timeout: config.acknowledgement_timeout,
            poll_first: POLL_FIRST,
            cookies: Cookies::default(),
        })
    }

    /// Asks for an acknowledgement sooner or later than after half a second for the first time.
    pub fn poll_first(mut self, wait: Duration) -> Self {
        self.poll_first = wait;
        self
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let answer = self.post(&self.events, events(delivery), "text/plain").await?;
        let acknowledgement = answer::acknowledgement_of(&answer)?;
        self.wait_for(acknowledgement).await.map(|()| Vec::new())
    }

    async fn post(
        &self,
        target: &Uri,
        body: Bytes,
        content_type: &'static str,
    ) -> Result<Answer, Failure> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.clone();
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(cookies) = self.cookies.header() {
            headers.insert(COOKIE, cookies);
        }
        let bounds = Bounds { timeout: REQUEST_MAX, answer_bytes_max: ANSWER_BYTES_MAX };
        let answer = self.outbound.send(request, bounds).await;
        let answer = answer.map_err(|error| transport_failure(&error))?;
        self.cookies.learn(&answer.headers);
        Ok(answer)
    }
}

impl Destination for Splunk {
    fn attempt<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Outcome> {
        Box::pin(self.deliver(delivery))
    }
}

fn headers(token: &Secret, channel: &str) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let token = format!("Splunk {}", token.expose());
    let mut token =
        HeaderValue::from_str(&token).map_err(|_| ConfigError::Header("the HEC token"))?;
    token.set_sensitive(true);
    headers.insert(AUTHORIZATION, token);
    let channel = HeaderValue::from_str(channel).expect("a GUID is plain");
    headers.insert(CHANNEL, channel);
    Ok(headers)
}

/// A random GUID (version 4).
fn channel(rand: &dyn Rand) -> String {
    let mut bytes = [0; 16];
    rand.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &digits[group]);
    groups.join("-")
}

/// All documents' bytes, one after another: delimiters are the sender's business (documented).
fn events(delivery: &Delivery) -> Bytes {
    if let [document] = delivery.documents.as_slice() {
        return document.data.clone();
    }
    let bytes = delivery.documents.iter().map(|document| document.data.len()).sum();
    let mut body = BytesMut::with_capacity(bytes);
    for document in &delivery.documents {
        body.extend_from_slice(&document.data);
    }
    body.freeze()
}

/// What no answer at all means (documented: each code and its sentence).
fn transport_failure(error: &OutboundError) -> Failure {
    let (code, sentence) = match error {
        OutboundError::ConnectTimedOut { .. } | OutboundError::TimedOut { .. } => (
            "Splunk.ConnectionTimeout",
            "The connection to Splunk timed out. This might be a transient error and the request \
             will be retried.",
        ),
        OutboundError::Broken { .. } | OutboundError::AnswerTooLarge { .. } => (
            "Splunk.ConnectionClosed",
            "Unable to send data to Splunk due to a connection failure. This might be a transient \
             error.",
        ),
        OutboundError::Tls { fault: TlsFault::Name, .. } => (
            "Splunk.SSLUnverified",
            "Could not connect to the HEC endpoint. The host does not match the certificate \
             provided by the peer. Make sure that the certificate and the host are valid.",
        ),
        OutboundError::Tls { fault: TlsFault::Certificate | TlsFault::Handshake, .. } => (
            "Splunk.SSLHandshake",
            "Could not connect to the HEC endpoint. Make sure that the certificate and the host \
             are valid.",
        ),
        OutboundError::Refused(_)
        | OutboundError::Unresolved { .. }
        | OutboundError::Unreachable { .. }
        | OutboundError::Request { .. } => (
            "Splunk.InvalidEndpoint",
            "Could not connect to the HEC endpoint. Make sure that the HEC endpoint URL is valid \
             and reachable.",
        ),
    };
    Failure::retryable(code, format!("{sentence} ({error})"))
}

#[cfg(test)]
mod tests {
    use millstream_core::SeededRand;

    use super::*;

    #[test]
    fn a_channel_is_a_guid() {
        let channel = channel(&SeededRand::new(1));
        let lengths: Vec<usize> = channel.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&channel[14..15], "4");
        assert!(channel.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
    }
}
