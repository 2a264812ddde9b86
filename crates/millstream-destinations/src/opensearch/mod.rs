//! OpenSearch, Elasticsearch and OpenSearch Serverless, through `_bulk`.
//!
//! Owns bulk requests and the reading of each item's fate. Every document names its index, which
//! follows from its own arrival time; where documents have ids of ours, a repeat overwrites what
//! it wrote before, and otherwise it writes again.
//!
//! Sources: the Firehose guide, "Data delivery failure handling" and "Index rotation"; the Bulk
//! API of OpenSearch; "Supported operations in Amazon OpenSearch Serverless".

mod answer;
mod bulk;
mod index;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use millstream_auth::Secret;
use millstream_auth::sigv4::{Payload, Signer, SigningCredentials};
use millstream_core::Clock;

use crate::outbound::{Bounds, Outbound, Url, Userinfo, percent_encoded};
use crate::{ConfigError, Delivery, Destination, Document, Failure, Outcome};

pub use index::Rotation;

const AGENT: &str = concat!("millstream/", env!("CARGO_PKG_VERSION"));
/// How long one bulk request may take (ours).
const REQUEST_MAX: Duration = Duration::from_secs(180);
/// Of the answer to a bulk request, which lists every item (ours).
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A bulk request's body; a cluster takes 100 MB unless it is set otherwise (ours, below that).
const BULK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What is remembered of a cluster that takes less is never below this (ours: small instances of
/// the service take 10 MiB).
const BULK_BYTES_MIN: usize = 1024 * 1024;

/// Who is asking.
#[derive(Clone, Debug)]
pub enum SearchAuth {
    /// Nobody in particular, unless the URL says.
    None,
    /// By name and password.
    Basic {
        /// Who.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// By signature, as domains of the AWS service ask for.
    SigV4 {
        /// In whose name.
        credentials: SigningCredentials,
        /// Of the domain.
        region: String,
    },
}

/// How a cluster is spoken to.
#[derive(Clone, Debug)]
pub struct SearchConfig {
    /// Where to; a user and password in the URL are used where `auth` is none.
    pub endpoint: String,
    /// The index, or what its name begins with where it rotates.
    pub index: String,
    /// For Elasticsearch 6 and earlier.
    pub type_name: Option<String>,
    /// How often a new index begins.
    pub rotation: Rotation,
    /// What ids of documents begin with, so that no two delivery streams make the same: the
    /// delivery stream's unique id. None: the cluster gives ids.
    pub id_prefix: Option<String>,
    /// Whether it is a serverless collection: it takes no ids, and no rotation.
    pub serverless: bool,
    /// Who is asking.
    pub auth: SearchAuth,
}

/// One cluster and its indices.
pub struct Search {
    target: Uri,
    headers: HeaderMap,
    signer: Option<Signer>,
    layout: bulk::Layout,
    /// Falls where the cluster takes less.
    bulk_bytes_max: AtomicUsize,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("target", &self.target).finish()
    }
}

impl Search {
    /// A cluster as `config` says.
    pub fn new(
        config: &SearchConfig,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let url: Url = config.endpoint.parse()?;
        outbound.check(&url)?;
        if config.index.is_empty() {
            return Err(ConfigError::invalid("the index name", "it is empty"));
        }
        let base = url.base_path();
        // Serverless knows the form with an index only (documented).
        let path = if config.serverless {
            format!("{base}/{}/_bulk", percent_encoded(&config.index, b""))
        } else {
            format!("{base}/_bulk")
        };
        let path: PathAndQuery = path
            .parse()
            .map_err(|error| ConfigError::invalid("the endpoint", format!("{error}")))?;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        let signer = authenticate(config, &url, &mut headers)?;
        let layout = bulk::Layout {
            index: config.index.clone(),
            type_name: config.type_name.clone().filter(|name| !name.is_empty()),
            rotation: if config.serverless { Rotation::None } else { config.rotation },
            id_prefix: config.id_prefix.clone().filter(|_| !config.serverless),
            is_serverless: config.serverless,
        };
        let (target, bulk_bytes_max) = (url.with_path(path), AtomicUsize::new(BULK_BYTES_MAX));
        Ok(Self { target, headers, signer, layout, bulk_bytes_max, outbound, clock })
    }

    /// Makes bulk requests no larger than `bytes`, for a cluster that takes less than is usual.
    pub fn bulk_bytes_max(self, bytes: usize) -> Self {
        Self { bulk_bytes_max: AtomicUsize::new(bytes), ..self }
    }

    /// Sends the delivery in as few bulk requests as hold it. When one fails as a whole, the
    /// documents of it and of those after it were not taken, and those before it were. Documents
    /// that are too large together are sent in smaller requests; one that is too large alone is
    /// refused alone.
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let mut refused = Vec::new();
        let mut first = 0;
        let mut bytes_max = self.bulk_bytes_max.load(Relaxed);
        while first < delivery.documents.len() {
            let part = self.layout.encode(&delivery.documents, first, bytes_max);
            let (end, bytes) = (part.end, part.body.len());
            match self.send(part).await {
                Ok(failures) => refused.extend(failures),
                Err(failure) if answer::is_too_large(&failure) && end > first + 1 => {
                    bytes_max = bytes / 2;
                    self.bulk_bytes_max.fetch_min(bytes_max.max(BULK_BYTES_MIN), Relaxed);
                    continue;
                }
                Err(failure) if answer::is_too_large(&failure) => refused.push((first, failure)),
                Err(failure) if first == 0 => return Err(failure),
                Err(failure) => {
                    let rest = first..delivery.documents.len();
                    refused.extend(rest.map(|place| (place, failure.clone())));
                    break;
                }
            }
            first = end;
        }
        for (place, failure) in &mut refused {
            failure.details = self.layout.details(&delivery.documents[*place]);
        }
        Ok(refused)
    }

    async fn send(&self, part: bulk::Part) -> Outcome {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::POST;
        parts.uri = self.target.clone();
        parts.headers = self.headers.clone();
        if let Some(signer) = &self.signer {
            let hash = millstream_auth::sigv4::sha256_hex(&part.body);
            if self.layout.is_serverless {
                // Serverless asks for the hash in a header, as S3 does.
                let value = HeaderValue::from_str(&hash).expect("a hash is plain");
                parts.headers.insert("x-amz-content-sha256", value);
            }
            signer
                .sign(&mut parts, Payload::Hash(&hash), self.clock.now())
                .map_err(|error| Failure::retryable("InternalError", error.to_string()))?;
        }
        let range = part.range();
        let bounds = Bounds { timeout: REQUEST_MAX, answer_bytes_max: ANSWER_BYTES_MAX };
        let request = Request::from_parts(parts, part.body);
        let answer = self.outbound.send(request, bounds).await;
        let answer = answer.map_err(|error| answer::transport_failure(&error))?;
        answer::read(&answer, range)
    }
}

/// Puts who is asking into the headers, or gives the signer that will.
fn authenticate(
    config: &SearchConfig,
    url: &Url,
    headers: &mut HeaderMap,
) -> Result<Option<Signer>, ConfigError> {
    let userinfo = match &config.auth {
        SearchAuth::None => url.userinfo.clone(),
        SearchAuth::Basic { user, password } => {
            Some(Userinfo { user: user.clone(), password: password.clone() })
        }
        SearchAuth::SigV4 { credentials, region } => {
            let service = if config.serverless { "aoss" } else { "es" };
            return Ok(Some(Signer::new(credentials.clone(), region, service)));
        }
    };
    if let Some(userinfo) = userinfo {
        let value = HeaderValue::from_str(&userinfo.basic());
        let mut value = value.map_err(|_| ConfigError::Header("the user and password"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(None)
}

impl Destination for Search {
    fn details(&self, document: &Document) -> Vec<(&'static str, String)> {
        self.layout.details(document)
    }

    fn attempt<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Outcome> {
        Box::pin(self.deliver(delivery))
    }
}
