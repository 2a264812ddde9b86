//! Tables of a catalog that speaks Iceberg's REST protocol.
//!
//! The catalog writes metadata itself: a commit tells it what it must find and what to change.
//! Source: Iceberg's `rest-catalog-open-api.yaml`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, StatusCode};
use millstream_auth::Secret;
use millstream_auth::sigv4::{Payload, Signer, SigningCredentials};
use millstream_core::Clock;
use millstream_iceberg::TableMetadata;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::catalog::{CommitError, Loaded, Name, Token, table_failure};
use super::token::{TokenSettings, Tokens};
use crate::outbound::{Answer, Bounds, Outbound, Url, percent_encoded};
use crate::{ConfigError, Failure};

pub(super) const AGENT: &str = concat!("millstream/", env!("CARGO_PKG_VERSION"));
/// How long a request may take: a commit reads and writes files of the catalog's own (ours).
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// A table's metadata at most (ours).
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Which catalog, and in whose name.
#[derive(Clone, Debug)]
pub struct RestSettings {
    /// Its base URL, without `/v1`.
    pub endpoint: String,
    /// Which of its warehouses.
    pub warehouse: Option<String>,
    /// How it knows this server.
    pub auth: RestAuth,
}

/// How a catalog knows whom it speaks with.
#[derive(Clone, Debug)]
pub enum RestAuth {
    /// Not at all.
    None,
    /// By a token that was given out once.
    Bearer(Secret),
    /// By tokens that are fetched with an id and a secret.
    OAuth2(TokenSettings),
    /// By signatures of AWS's, for a region and a service (`glue`, `s3tables`).
    SigV4 {
        /// In whose name.
        credentials: SigningCredentials,
        /// Where.
        region: String,
        /// What is asked.
        service: String,
    },
}

enum Auth {
    None,
    Bearer(Secret),
    OAuth2(Box<Tokens>),
    SigV4(Box<Signer>),
}

pub(super) struct Rest {
    url: Url,
    warehouse: Option<String>,
    auth: Auth,
    /// What paths begin with behind `/v1`, as the catalog itself says.
    prefix: OnceCell<String>,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)
    }
}

fn unavailable(why: &str) -> Failure {
    let message = format!("The catalog cannot be asked: {why}.");
    Failure::retryable("Iceberg.CatalogUnavailable", message)
}

impl Rest {
    pub(super) fn new(
        settings: &RestSettings,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let url: Url = settings.endpoint.parse()?;
        outbound.check(&url)?;
        let auth = match &settings.auth {
            RestAuth::None => Auth::None,
            RestAuth::Bearer(token) => Auth::Bearer(token.clone()),
            RestAuth::OAuth2(tokens) => {
                let default =
                    format!("{}/v1/oauth/tokens", settings.endpoint.trim_end_matches('/'));
                let tokens = Tokens::new(tokens, &default, outbound.clone(), clock.clone())?;
                Auth::OAuth2(Box::new(tokens))
            }
            RestAuth::SigV4 { credentials, region, service } => {
                Auth::SigV4(Box::new(Signer::new(credentials.clone(), region, service)))
            }
        };
        let (warehouse, prefix) = (settings.warehouse.clone(), OnceCell::new());
        Ok(Self { url, warehouse, auth, prefix, outbound, clock })
    }

    pub(super) async fn load(&self, name: &Name) -> Result<Loaded, Failure> {
        let path = self.table_path(name).await?;
        let answer = self.ask(Method::GET, &path, Bytes::new()).await?;
        if answer.status != StatusCode::OK {
            return Err(refused(&answer, name));
        }
        let mut body: Map<String, Value> = parse(&answer)?;
        let location = body.get("metadata-location").and_then(Value::as_str).map(str::to_owned);
        let Some(Value::Object(document)) = body.remove("metadata") else {
            return Err(unavailable("its answer has no metadata"));
        };
        let metadata = TableMetadata::new(document).map_err(|error| table_failure(&error))?;
        Ok(Loaded { metadata, location: location.unwrap_or_default(), token: Token::None })
    }

    pub(super) async fn commit(
        &self,
        name: &Name,
        requirements: Value,
        updates: Value,
    ) -> Result<(), CommitError> {
        let path = self.table_path(name).await?;
        let body = json!({
            "identifier": {"namespace": [name.database], "name": name.table},
            "requirements": requirements,
            "updates": updates,
        });
        let sent = self.ask(Method::POST, &path, body.to_string().into()).await;
        let answer = sent.map_err(CommitError::Unknown)?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            StatusCode::CONFLICT => Err(CommitError::Conflict(told(&answer).1)),
            // Documented: after 500, 502 and 504 the commit's state is unknown.
            status if status.is_server_error() => Err(CommitError::Unknown(refused(&answer, name))),
            _ => Err(CommitError::Failed(refused(&answer, name))),
        }
    }

    /// `/v1/{prefix}/namespaces/{namespace}/tables/{table}`.
    async fn table_path(&self, name: &Name) -> Result<String, Failure> {
        let prefix = self.prefix.get_or_try_init(|| self.ask_prefix()).await?;
        let gap = if prefix.is_empty() { "" } else { "/" };
        let database = percent_encoded(&name.database, b"");
        let table = percent_encoded(&name.table, b"");
        Ok(format!("/v1{gap}{prefix}/namespaces/{database}/tables/{table}"))
    }

    async fn ask_prefix(&self) -> Result<String, Failure> {
        let warehouse = self.warehouse.as_deref();
        let query = warehouse
            .map(|name| format!("?warehouse={}", percent_encoded(name, b"")))
            .unwrap_or_default();
        let answer = self.ask(Method::GET, &format!("/v1/config{query}"), Bytes::new()).await?;
        if answer.status != StatusCode::OK {
            return Err(answered(&answer));
        }
        let body: Value = parse(&answer)?;
        let said = |part: &str| body[part]["prefix"].as_str().map(str::to_owned);
        let prefix = said("overrides").or_else(|| said("defaults")).unwrap_or_default();
        Ok(percent_encoded(prefix.trim_matches('/'), b"/"))
    }

    /// Sends a request; once more with a new token where the old one is over.
    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Failure> {
        let answer = self.send(method.clone(), path, body.clone()).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Auth::OAuth2(tokens) = &self.auth
        {
            tokens.forget();
            return self.send(method, path, body).await;
        }
        Ok(answer)
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Failure> {
        let (mut parts, ()) = Request::new(()).into_parts();
        let path = format!("{}{path}", self.url.base_path());
        let path: PathAndQuery = path.parse().map_err(|_| unavailable("its path is no path"))?;
        (parts.method, parts.uri) = (method, self.url.with_path(path));
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let bearer = match &self.auth {
            Auth::None | Auth::SigV4(_) => None,
            Auth::Bearer(token) => Some(token.clone()),
            Auth::OAuth2(tokens) => Some(tokens.token().await?),
        };
        if let Some(token) = bearer {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| unavailable("its token is no header"))?;
            value.set_sensitive(true);
            parts.headers.insert(AUTHORIZATION, value);
        }
        if let Auth::SigV4(signer) = &self.auth {
            let signed = signer.sign(&mut parts, Payload::Bytes(&body), self.clock.now());
            signed.map_err(|error| unavailable(&error.to_string()))?;
        }
        let bounds = Bounds { timeout: REQUEST_MAX, answer_bytes_max: ANSWER_BYTES_MAX };
        let answer = self.outbound.send(Request::from_parts(parts, body), bounds).await;
        answer.map_err(|error| unavailable(&error.to_string()))
    }
}

fn parse<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| unavailable(&format!("its answer is no JSON: {error}")))
}

/// The type and the message of an error.
fn told(answer: &Answer) -> (String, String) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    let message = text("message");
    (text("type"), if message.is_empty() { answer.excerpt(256) } else { message })
}

fn refused(answer: &Answer, name: &Name) -> Failure {
    match answer.status {
        StatusCode::NOT_FOUND => name.missing(),
        _ => answered(answer),
    }
}

fn answered(answer: &Answer) -> Failure {
    let (kind, message) = told(answer);
    let status = answer.status.as_u16();
    match status {
        401 | 403 => Failure::retryable(
            "Iceberg.AccessDenied",
            format!("The catalog denies access. ({status} {kind}: {message})"),
        ),
        _ => unavailable(&format!("it answered {status} {kind}: {message}")),
    }
}
