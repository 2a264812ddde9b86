//! Functions that rework records, by the contract that Firehose has with Lambda.
//!
//! Owns one invocation: the event, the call (to a plain URL, or to a Lambda API), and the reading
//! of what comes back, record by record. An answer that the function gave is final, however it
//! is shaped: only an invocation that failed is worth another try.
//!
//! Sources: the Firehose guide, "Data transformation"; the Lambda API's `Invoke`; per-record
//! outcomes and their messages as observed against the service by the authors of floci.

mod answer;
mod event;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use millstream_auth::sigv4::{Payload, Signer, SigningCredentials};
use millstream_core::{Clock, Timestamp};

use crate::outbound::{Bounds, Outbound, OutboundError, Url, percent_encoded};
use crate::{ConfigError, Failure};

pub use event::event_bytes;

const AGENT: &str = concat!("millstream/", env!("CARGO_PKG_VERSION"));
/// How long a function may take (documented: five minutes), and a little for the way.
const INVOCATION_MAX: Duration = Duration::from_secs(305);
/// An event, and an answer, at most (documented: 6 MB each way, which Lambda counts as MiB).
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// How a function is reached.
#[derive(Clone, Debug)]
pub enum FunctionEndpoint {
    /// A URL that takes the event as its body and answers with the function's result.
    Url(String),
    /// A Lambda API: AWS's, or a local runtime's.
    Api {
        /// Its endpoint; AWS's own for the region where none is given.
        endpoint: Option<String>,
        /// The region that requests are signed for.
        region: String,
        /// The function's name or ARN; a version or alias may stand behind it.
        function: String,
        /// Whose signature requests carry, where it asks for one.
        credentials: Option<SigningCredentials>,
    },
}

/// What a function is told beside the records.
#[derive(Clone, Debug)]
pub struct Invocation<'a> {
    /// A GUID that names the invocation; the same in each attempt.
    pub id: &'a str,
    /// The delivery stream's ARN.
    pub delivery_stream_arn: &'a str,
    /// The stream that the records come from, where they come from one.
    pub source_stream_arn: Option<&'a str>,
    /// The region.
    pub region: &'a str,
    /// The records, each with an id of its own.
    pub records: &'a [SourceRecord],
}

/// A record to rework.
#[derive(Clone, Debug)]
pub struct SourceRecord {
    /// Its id within the invocation.
    pub id: String,
    /// When it arrived.
    pub arrived: Timestamp,
    /// Its data.
    pub data: Bytes,
    /// Where it stood in the stream it comes from.
    pub stream: Option<StreamMetadata>,
}

/// Where a record stood in a Data Stream.
#[derive(Clone, Debug)]
pub struct StreamMetadata {
    /// Its shard.
    pub shard_id: String,
    /// Its partition key.
    pub partition_key: String,
    /// Its sequence number.
    pub sequence_number: String,
    /// Which of an aggregate's records it is.
    pub subsequence_number: u64,
}

/// What a function made of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on as this.
    Ok {
        /// The reworked data.
        data: Bytes,
        /// The keys that its partition is found by.
        partition_keys: BTreeMap<String, String>,
    },
    /// It is wanted no more.
    Dropped,
    /// It goes to the error output.
    Failed(Failure),
}

/// One function.
pub struct Function {
    target: Uri,
    headers: HeaderMap,
    signer: Option<Signer>,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    wait_max: Duration,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("target", &self.target).finish()
    }
}

impl Function {
    /// A function at `endpoint`.
    pub fn new(
        endpoint: &FunctionEndpoint,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let (url, signer) = match endpoint {
            FunctionEndpoint::Url(url) => (url.parse::<Url>()?, None),
            FunctionEndpoint::Api { endpoint, region, function, credentials } => {
                let default = format!("https://lambda.{region}.amazonaws.com");
                let mut url: Url = endpoint.as_deref().unwrap_or(&default).parse()?;
                url.path_and_query = invocations(&url, function)?;
                let signer = |credentials: &SigningCredentials| {
                    Signer::new(credentials.clone(), region, "lambda")
                };
                (url, credentials.as_ref().map(signer))
            }
        };
        outbound.check(&url)?;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-amz-invocation-type", HeaderValue::from_static("RequestResponse"));
        if let (Some(userinfo), None) = (&url.userinfo, &signer) {
            let value = HeaderValue::from_str(&userinfo.basic());
            let mut value = value.map_err(|_| ConfigError::Header("the URL's user"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let (target, wait_max) = (url.target(), INVOCATION_MAX);
        Ok(Self { target, headers, signer, outbound, clock, wait_max })
    }

    /// Waits no longer than `wait_max` for the function, instead of the documented five minutes.
    pub fn wait_max(mut self, wait_max: Duration) -> Self {
        self.wait_max = wait_max;
        self
    }

    /// Invokes the function: a verdict for each record, in the records' order. An error means
    /// that the function did not run, or failed, and none of the records was reworked.
    pub async fn invoke(&self, invocation: &Invocation<'_>) -> Result<Vec<Verdict>, Failure> {
        let body = Bytes::from(event::encode(invocation));
        if body.len() > PAYLOAD_BYTES_MAX {
            let bytes = body.len();
            return Err(Failure::permanent(
                "Lambda.RequestTooLarge",
                format!("the event is {bytes} bytes, and a function takes {PAYLOAD_BYTES_MAX}"),
            ));
        }
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::POST;
        parts.uri = self.target.clone();
        parts.headers = self.headers.clone();
        if let Some(signer) = &self.signer {
            signer
                .sign(&mut parts, Payload::Bytes(&body), self.clock.now())
                .map_err(|error| Failure::retryable("InternalError", error.to_string()))?;
        }
        let bounds = Bounds { timeout: self.wait_max, answer_bytes_max: PAYLOAD_BYTES_MAX };
        let answer = self.outbound.send(Request::from_parts(parts, body), bounds).await;
        let answer = answer.map_err(|error| transport_failure(&error))?;
        answer::check(&answer)?;
        Ok(answer::verdicts(&answer, invocation.records))
    }
}

/// What a function's answer means for each record: a door for fuzzers.
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub fn read_answer(body: &Bytes, records: &[SourceRecord]) -> Result<Vec<Verdict>, Failure> {
    let (status, headers) = (http::StatusCode::OK, HeaderMap::new());
    let answer = crate::outbound::Answer { status, headers, body: body.clone() };
    answer::check(&answer)?;
    Ok(answer::verdicts(&answer, records))
}

/// The path of `Invoke`. A qualifier stands behind a name's only colon, or an ARN's seventh.
fn invocations(url: &Url, function: &str) -> Result<PathAndQuery, ConfigError> {
    if function.is_empty() {
        return Err(ConfigError::invalid("the function", "it has no name"));
    }
    let base = url.base_path();
    let function = percent_encoded(function, b"");
    format!("{base}/2015-03-31/functions/{function}/invocations")
        .parse()
        .map_err(|error| ConfigError::invalid("the function", format!("{error}")))
}

fn transport_failure(error: &OutboundError) -> Failure {
    match error {
        OutboundError::TimedOut { .. } => Failure::retryable(
            "Lambda.FunctionTimedOut",
            "Firehose encountered timeout errors when calling AWS Lambda. The maximum supported \
             function timeout is 5 minutes.",
        ),
        OutboundError::AnswerTooLarge { .. } => Failure::permanent(
            "Lambda.ResponseTooLarge",
            format!("the function's answer is above {PAYLOAD_BYTES_MAX} bytes"),
        ),
        OutboundError::Refused(_)
        | OutboundError::Unresolved { .. }
        | OutboundError::Unreachable { .. }
        | OutboundError::ConnectTimedOut { .. }
        | OutboundError::Tls { .. }
        | OutboundError::Broken { .. }
        | OutboundError::Request { .. } => {
            Failure::retryable("Lambda.ConnectionFailed", error.to_string())
        }
    }
}
