//! Buckets of an S3-compatible service.
//!
//! Owns the requests of S3 that delivery needs, signed, over our own guarded client: an object
//! of one part is put in one request, a larger one in a multipart upload, which is completed or
//! aborted, and never left behind while this process lives.
//!
//! Source: the Amazon S3 API reference.

mod error;
mod multipart;
mod parts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RANGE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use millstream_auth::sigv4::{PathForm, Payload, Signer, SigningCredentials, sha256_hex_of};
use millstream_core::{Clock, Timestamp};

use super::{Chunks, ObjectSummary, Page, PutOptions, xml};
use crate::outbound::{Answer, Bounds, Outbound, Pieces, Url, percent_encoded};
use crate::{ConfigError, Failure};
use error::{answered, transport_failure};
use parts::{PART_BYTES, Part, Parts};

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const ENCRYPTION: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
const KMS_KEY: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
const AGENT: &str = concat!("millstream/", env!("CARGO_PKG_VERSION"));
/// How long one request may take: a part over a line of 1 Mbit/s (ours).
const REQUEST_MAX: Duration = Duration::from_secs(150);
/// An answer that is not an object: a thousand keys of a kilobyte, escaped (ours).
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Which service, and in whose name.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// Where to; AWS's own endpoint for the region where none is given.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// In whose name; unsigned where none are given.
    pub credentials: Option<SigningCredentials>,
    /// Whether the bucket stands in the path rather than in the host's name. AWS wants the
    /// latter, most others understand only the former.
    pub path_style: bool,
}

/// One service.
pub(super) struct S3 {
    url: Url,
    path_style: bool,
    signer: Option<Signer>,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)
    }
}

/// A request before it is signed.
#[derive(Debug)]
struct Ask<'a> {
    method: Method,
    bucket: &'a str,
    key: &'a str,
    /// With its `?`, encoded.
    query: &'a str,
    headers: HeaderMap,
    body: Pieces,
    /// Of the body, where it is known already.
    body_hash: Option<&'a str>,
}

impl<'a> Ask<'a> {
    fn new(method: Method, bucket: &'a str, key: &'a str, query: &'a str) -> Self {
        let (headers, body, body_hash) = (HeaderMap::new(), Pieces::default(), None);
        Self { method, bucket, key, query, headers, body, body_hash }
    }
}

impl S3 {
    pub(super) fn new(
        settings: &S3Settings,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let default = format!("https://s3.{}.amazonaws.com", settings.region);
        let url: Url = settings.endpoint.as_deref().unwrap_or(&default).parse()?;
        outbound.check(&url)?;
        let signer = settings.credentials.as_ref().map(|credentials| {
            Signer::new(credentials.clone(), &settings.region, "s3").path_form(PathForm::Once)
        });
        Ok(Self { url, path_style: settings.path_style, signer, outbound, clock })
    }

    pub(super) async fn put(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        chunks: Chunks,
        options: &PutOptions,
    ) -> Result<(), Failure> {
        let headers = headers_of(options)?;
        let mut parts = Parts::new(chunks, PART_BYTES);
        let first = parts.next().await?.unwrap_or_else(Part::empty);
        if parts.is_over() {
            let ask = Ask {
                headers,
                body: first.body,
                body_hash: Some(&first.hash),
                ..Ask::new(Method::PUT, bucket, key, "")
            };
            let answer = self.ask(ask, ANSWER_BYTES_MAX).await?;
            return answered(&answer, &[StatusCode::OK]);
        }
        self.put_in_parts(bucket, key, headers, first, parts).await
    }

    pub(super) async fn read(
        &self,
        bucket: &str,
        key: &str,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Bytes, Failure> {
        if bytes_max == 0 {
            return Ok(Bytes::new());
        }
        let length = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let last = offset.saturating_add(length - 1);
        let mut ask = Ask::new(Method::GET, bucket, key, "");
        let range = format!("bytes={offset}-{last}");
        ask.headers.insert(RANGE, HeaderValue::from_str(&range).expect("numbers are plain"));
        let answer = self.ask(ask, bytes_max.max(ANSWER_BYTES_MAX)).await?;
        match answer.status {
            StatusCode::PARTIAL_CONTENT if answer.body.len() <= bytes_max => Ok(answer.body),
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(Bytes::new()),
            // The whole object, from a service that knows no ranges.
            StatusCode::OK => {
                let end = answer.body.len();
                let start = usize::try_from(offset).unwrap_or(end).min(end);
                Ok(answer.body.slice(start..end.min(start.saturating_add(bytes_max))))
            }
            _ => Err(error::failure(&answer)),
        }
    }

    pub(super) async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        count_max: usize,
    ) -> Result<Page, Failure> {
        let after = after.map(|after| format!("&start-after={}", percent_encoded(after, b"")));
        let query = format!(
            "?list-type=2&max-keys={count_max}&prefix={}{}",
            percent_encoded(prefix, b""),
            after.unwrap_or_default()
        );
        let answer = self.ask(Ask::new(Method::GET, bucket, "", &query), ANSWER_BYTES_MAX).await?;
        answered(&answer, &[StatusCode::OK])?;
        let xml = String::from_utf8_lossy(&answer.body);
        let objects = xml::elements(&xml, "Contents").filter_map(|inner| {
            let modified = xml::text(inner, "LastModified");
            Some(ObjectSummary {
                key: xml::text(inner, "Key")?,
                bytes: xml::text(inner, "Size")?.parse().ok()?,
                modified: modified.and_then(|at| timestamp(&at)),
            })
        });
        let has_more = xml::text(&xml, "IsTruncated").is_some_and(|is_more| is_more == "true");
        Ok(Page { objects: objects.collect(), has_more })
    }

    /// Signs a request and sends it.
    async fn ask(&self, ask: Ask<'_>, answer_bytes_max: usize) -> Result<Answer, Failure> {
        let internal = |reason: String| Failure::retryable("InternalError", reason);
        let base = self.url.base_path();
        let key = percent_encoded(ask.key, b"/");
        // No certificate for all buckets covers a name with a dot in it.
        let is_in_path = self.path_style || (self.url.is_tls && ask.bucket.contains('.'));
        let (url, path) = if is_in_path {
            (self.url.clone(), format!("{base}/{}/{key}{}", ask.bucket, ask.query))
        } else {
            let url = self.url.with_subdomain(ask.bucket);
            let url = url.map_err(|error| internal(error.to_string()))?;
            (url, format!("{base}/{key}{}", ask.query))
        };
        let path: PathAndQuery =
            path.parse().map_err(|error| internal(format!("the key makes no URL: {error}")))?;
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = ask.method;
        parts.uri = url.with_path(path);
        parts.headers = ask.headers;
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let hash = ask.body_hash.map_or_else(|| sha256_hex_of(ask.body.iter()), str::to_owned);
        let value = HeaderValue::from_str(&hash).expect("a hash is plain");
        parts.headers.insert(CONTENT_SHA256, value);
        if let Some(signer) = &self.signer {
            let signed = signer.sign(&mut parts, Payload::Hash(&hash), self.clock.now());
            signed.map_err(|error| internal(error.to_string()))?;
        }
        let bounds = Bounds { timeout: REQUEST_MAX, answer_bytes_max };
        let answer = self.outbound.send(Request::from_parts(parts, ask.body), bounds).await;
        answer.map_err(|error| transport_failure(&error))
    }
}

/// The headers that an object is made with.
fn headers_of(options: &PutOptions) -> Result<HeaderMap, Failure> {
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| {
            Failure::permanent(
                "InternalError",
                "an object's option holds a character that no \
                                                 header can carry",
            )
        })
    };
    let mut headers = HeaderMap::new();
    let content_type = options.content_type.as_deref().unwrap_or("application/octet-stream");
    headers.insert(CONTENT_TYPE, value(content_type)?);
    if let Some(encoding) = &options.content_encoding {
        headers.insert(CONTENT_ENCODING, value(encoding)?);
    }
    if let Some(key) = &options.kms_key {
        headers.insert(ENCRYPTION, HeaderValue::from_static("aws:kms"));
        headers.insert(KMS_KEY, value(key)?);
    }
    Ok(headers)
}

/// A moment as `2009-10-12T17:50:30.000Z`.
fn timestamp(text: &str) -> Option<Timestamp> {
    let format = &time::format_description::well_known::Rfc3339;
    let at = time::OffsetDateTime::parse(text, format).ok()?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp::from_ms)
}
