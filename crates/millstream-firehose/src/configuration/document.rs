//! The document itself, in the clear and at rest.
//!
//! Owns the kinds of destinations, and which members are secrets. At rest each secret's text is
//! sealed by the keyring, bound to the delivery stream and the member it belongs to.

use std::fmt;

use millstream_auth::Sealer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The members whose text is a secret, or may hold one: those that the model calls sensitive, and
/// the token of Splunk, which it forgot.
const SECRETS: [&str; 7] =
    ["AccessKey", "AttributeName", "AttributeValue", "HECToken", "Password", "Url", "Username"];
/// The only member of the object that stands for a secret at rest.
const SEALED: &str = "$sealed";

/// The kinds of destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DestinationKind {
    /// Objects in a bucket. The API's first shape for them is a subset of the extended one, and
    /// is kept as that.
    ExtendedS3,
    Redshift,
    Elasticsearch,
    OpenSearch,
    OpenSearchServerless,
    Splunk,
    HttpEndpoint,
    Iceberg,
}

impl DestinationKind {
    /// As refusals call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ExtendedS3 => "ExtendedS3",
            Self::Redshift => "Redshift",
            Self::Elasticsearch => "Elasticsearch",
            Self::OpenSearch => "Amazonopensearchservice",
            Self::OpenSearchServerless => "AmazonOpenSearchServerless",
            Self::Splunk => "Splunk",
            Self::HttpEndpoint => "HttpEndpoint",
            Self::Iceberg => "Iceberg",
        }
    }

    /// Whether an update may put another kind in its place, or it in the place of another.
    ///
    /// Source: API_UpdateDestination for OpenSearch; the same was observed of HTTP endpoints.
    pub(crate) fn is_replaceable(self) -> bool {
        match self {
            Self::ExtendedS3 | Self::Redshift | Self::Splunk => true,
            Self::Elasticsearch
            | Self::OpenSearch
            | Self::OpenSearchServerless
            | Self::HttpEndpoint
            | Self::Iceberg => false,
        }
    }
}

/// A destination's configuration, in the clear.
#[derive(Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) kind: DestinationKind,
    pub(crate) body: Map<String, Value>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A destination's configuration at rest: its secrets are sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SealedDocument {
    kind: DestinationKind,
    body: Map<String, Value>,
}

/// Seals and opens the secrets of documents.
#[derive(Debug)]
pub(crate) struct Secrets(Sealer);

impl Secrets {
    /// With a sealer of their own.
    pub(crate) fn new(sealer: Sealer) -> Self {
        Self(sealer)
    }

    /// The document as it is stored. `owner` names the delivery stream: a secret opens nowhere
    /// else.
    pub(crate) fn seal(&self, document: Document, owner: &str) -> SealedDocument {
        let mut body = document.body;
        self.seal_members(&mut body, owner);
        SealedDocument { kind: document.kind, body }
    }

    /// The document in the clear; `None` where a secret does not open, because the master key is
    /// another one or the stored bytes are.
    pub(crate) fn open(&self, sealed: &SealedDocument, owner: &str) -> Option<Document> {
        let mut body = sealed.body.clone();
        self.open_members(&mut body, owner)?;
        Some(Document { kind: sealed.kind, body })
    }

    fn seal_members(&self, members: &mut Map<String, Value>, owner: &str) {
        for (name, value) in members {
            match value {
                Value::String(text) if SECRETS.contains(&name.as_str()) => {
                    let sealed = self.0.seal(text.as_bytes(), aad(owner, name).as_bytes());
                    let sealed = base64_simd::STANDARD.encode_to_string(sealed);
                    *value = Value::Object(Map::from_iter([(SEALED.to_owned(), sealed.into())]));
                }
                Value::Object(inner) => self.seal_members(inner, owner),
                Value::Array(items) => {
                    for inner in items.iter_mut().filter_map(Value::as_object_mut) {
                        self.seal_members(inner, owner);
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }

    fn open_members(&self, members: &mut Map<String, Value>, owner: &str) -> Option<()> {
        for (name, value) in members {
            match value {
                Value::Object(inner) if SECRETS.contains(&name.as_str()) => {
                    let sealed = inner.get(SEALED)?.as_str()?;
                    let sealed = base64_simd::STANDARD.decode_to_vec(sealed).ok()?;
                    let text = self.0.open(&sealed, aad(owner, name).as_bytes())?;
                    *value = Value::String(String::from_utf8(text).ok()?);
                }
                Value::Object(inner) => self.open_members(inner, owner)?,
                Value::Array(items) => {
                    for inner in items.iter_mut().filter_map(Value::as_object_mut) {
                        self.open_members(inner, owner)?;
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        Some(())
    }
}

fn aad(owner: &str, member: &str) -> String {
    format!("{owner}#{member}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_auth::{Keyring, MasterKey};
    use millstream_core::SeededRand;
    use serde_json::json;

    use super::*;

    fn secrets(seed: u64) -> Secrets {
        let rand = Arc::new(SeededRand::new(seed));
        let keyring = Keyring::new(MasterKey::generate(rand.as_ref()), Vec::new(), rand);
        Secrets::new(keyring.sealer("firehose destination"))
    }

    fn document() -> Document {
        let body = json!({
            "EndpointConfiguration": {"Url": "https://u:secret@host", "AccessKey": "secret"},
            "RequestConfiguration": {"CommonAttributes": [
                {"AttributeName": "secret", "AttributeValue": "secret"},
            ]},
            "RetryOptions": {"DurationInSeconds": 3},
        });
        let Value::Object(body) = body else { unreachable!("an object") };
        Document { kind: DestinationKind::HttpEndpoint, body }
    }

    #[test]
    fn secrets_are_sealed_wherever_they_stand_and_nothing_else_is() {
        let sealed = secrets(1).seal(document(), "a/b");
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains(r#""DurationInSeconds":3"#), "{text}");
        let read: SealedDocument = serde_json::from_str(&text).unwrap();
        assert_eq!(secrets(1).open(&read, "a/b"), Some(document()));
    }

    #[test]
    fn a_secret_opens_for_its_own_delivery_stream_and_member_and_key_only() {
        let sealed = secrets(1).seal(document(), "a/b");
        assert_eq!(secrets(1).open(&sealed, "a/c"), None);
        assert_eq!(secrets(2).open(&sealed, "a/b"), None);
        let mut moved = sealed;
        let endpoint = moved.body.get_mut("EndpointConfiguration").unwrap();
        endpoint["Url"] = endpoint["AccessKey"].clone();
        assert_eq!(secrets(1).open(&moved, "a/b"), None);
    }
}
