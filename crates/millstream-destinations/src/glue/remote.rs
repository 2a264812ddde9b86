//! A catalog that speaks Glue's protocol.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use millstream_auth::sigv4::{Payload, SignError, Signer};
use millstream_core::Clock;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{CatalogError, Columns, GlueSettings, LATEST, Table, TableVersion};
use crate::ConfigError;
use crate::outbound::{Answer, Bounds, Outbound, OutboundError, Url};

const AGENT: &str = concat!("millstream/", env!("CARGO_PKG_VERSION"));
/// How long a question may take (ours).
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// A table's description at most (ours).
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

pub(crate) struct Remote {
    url: Url,
    signer: Option<Signer>,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableAnswer {
    table: Table,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionAnswer {
    table_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    table: Table,
    version_id: Option<String>,
}

impl Remote {
    pub(crate) fn new(
        settings: &GlueSettings,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let default = format!("https://glue.{}.amazonaws.com", settings.region);
        let url: Url = settings.endpoint.as_deref().unwrap_or(&default).parse()?;
        outbound.check(&url)?;
        let signer = settings
            .credentials
            .as_ref()
            .map(|credentials| Signer::new(credentials.clone(), &settings.region, "glue"));
        Ok(Self { url, signer, outbound, clock })
    }

    pub(super) async fn columns(&self, of: &TableVersion) -> Result<Columns, CatalogError> {
        let mut input = Map::new();
        if let Some(catalog) = &of.catalog {
            input.insert("CatalogId".to_owned(), catalog.as_str().into());
        }
        input.insert("DatabaseName".to_owned(), of.database.as_str().into());
        if of.version == LATEST {
            input.insert("Name".to_owned(), of.table.as_str().into());
            let answer = self.ask("GetTable", input, of).await?;
            return parse::<TableAnswer>(&answer)?.table.into_columns(None);
        }
        input.insert("TableName".to_owned(), of.table.as_str().into());
        input.insert("VersionId".to_owned(), of.version.as_str().into());
        let answer = self.ask("GetTableVersion", input, of).await?;
        let version = parse::<VersionAnswer>(&answer)?.table_version;
        version.table.into_columns(version.version_id)
    }

    async fn ask(
        &self,
        operation: &str,
        input: Map<String, Value>,
        of: &TableVersion,
    ) -> Result<Answer, CatalogError> {
        let answer = self.call(operation, input).await;
        let answer = answer.map_err(|error| CatalogError::Unavailable(error.to_string()))?;
        if answer.status == StatusCode::OK {
            return Ok(answer);
        }
        Err(refused(&answer, of))
    }

    /// Sends one request; any status is an answer.
    pub(crate) async fn call(
        &self,
        operation: &str,
        input: Map<String, Value>,
    ) -> Result<Answer, CallError> {
        let body = Bytes::from(Value::from(input).to_string());
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::POST;
        parts.uri = self.url.target();
        let target = format!("AWSGlue.{operation}");
        let target = HeaderValue::from_str(&target).expect("operations are plain words");
        parts.headers.insert("x-amz-target", target);
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(signer) = &self.signer {
            signer.sign(&mut parts, Payload::Bytes(&body), self.clock.now())?;
        }
        let bounds = Bounds { timeout: REQUEST_MAX, answer_bytes_max: ANSWER_BYTES_MAX };
        Ok(self.outbound.send(Request::from_parts(parts, body), bounds).await?)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The request could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Nothing came back.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
}

fn parse<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, CatalogError> {
    serde_json::from_slice(&answer.body).map_err(|error| CatalogError::Unusable(error.to_string()))
}

/// The type of an error, and its message; both empty where there is none.
pub(crate) fn error_kind(answer: &Answer) -> (String, String) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| body.get(name).and_then(Value::as_str));
        found.unwrap_or_default().to_owned()
    };
    let in_body = said(["__type", "code"]);
    let kind = answer.header("x-amzn-errortype").unwrap_or(&in_body);
    // As `com.amazonaws.glue#EntityNotFoundException:http://...`.
    let kind = kind.split(':').next().unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    (kind.to_owned(), said(["Message", "message"]))
}

/// What a refusal means, by the error's type.
fn refused(answer: &Answer, of: &TableVersion) -> CatalogError {
    let (kind, message) = error_kind(answer);
    match kind.as_str() {
        "EntityNotFoundException" => {
            let (database, table, version) = (&of.database, &of.table, &of.version);
            CatalogError::NotFound(format!("version {version} of {database}.{table}"))
        }
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException" => {
            CatalogError::AccessDenied(format!("{kind}: {message}"))
        }
        _ => {
            let status = answer.status.as_u16();
            CatalogError::Unavailable(format!("{status} {kind}: {message}"))
        }
    }
}
