//! Makes signatures: for our own client, and as the counterpart that tests verification.

use std::sync::RwLock;
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use millstream_core::Timestamp;

use super::canonical::{Canonical, hex, sha256_hex, write_encoded};
use super::verify::string_to_sign;
use super::{ALGORITHM, Moment, PathForm, Scope, SigningKey, UNSIGNED_PAYLOAD};
use crate::Secret;
use crate::sigv4::Payload;

/// Headers that others on the way may change, or that say nothing of the request.
const NOT_SIGNED: &[&str] = &[
    "authorization",
    "connection",
    "expect",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// What a caller signs with.
#[derive(Clone, Debug)]
pub struct SigningCredentials {
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// The token of a session, sent along and signed.
    pub session_token: Option<Secret>,
}

/// Why a request cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Neither a `Host` header nor an authority in the target.
    #[error("a request without a host cannot be signed")]
    NoHost,
    /// The access key id or the session token has characters that no header may hold.
    #[error("the credentials hold characters that a header cannot carry")]
    Credentials,
    /// The target with the signature in its query is no URI.
    #[error("the signed target is not a URI")]
    Target,
}

/// Signs requests to one service in one region.
#[derive(Debug)]
pub struct Signer {
    credentials: SigningCredentials,
    region: String,
    service: String,
    path_form: PathForm,
    /// The key of the day that was signed for last.
    day_key: RwLock<Option<(String, SigningKey)>>,
}

impl Signer {
    /// A signer for `service`'s signing name in `region`.
    pub fn new(credentials: SigningCredentials, region: &str, service: &str) -> Self {
        Self {
            credentials,
            region: region.to_owned(),
            service: service.to_owned(),
            path_form: PathForm::Service,
            day_key: RwLock::new(None),
        }
    }

    /// Makes paths canonical in another way than services do.
    pub fn path_form(mut self, path_form: PathForm) -> Self {
        self.path_form = path_form;
        self
    }

    /// Adds `x-amz-date`, `x-amz-security-token` and `authorization` to a request; `host` too,
    /// where only the target names it. All other headers must be there already.
    pub fn sign(
        &self,
        parts: &mut Parts,
        payload: Payload<'_>,
        now: Timestamp,
    ) -> Result<(), SignError> {
        let moment = Moment::of(now);
        ensure_host(parts)?;
        let text = |text: &str| HeaderValue::from_str(text).map_err(|_| SignError::Credentials);
        parts.headers.insert(HeaderName::from_static("x-amz-date"), text(moment.as_str())?);
        if let Some(token) = &self.credentials.session_token {
            let mut token = text(token.expose())?;
            token.set_sensitive(true);
            parts.headers.insert(HeaderName::from_static("x-amz-security-token"), token);
        }
        parts.headers.remove(AUTHORIZATION);
        let signed_headers = signed_headers(parts);
        let signature = self.signature(parts, &signed_headers, payload, moment);
        let scope = self.scope(moment.date());
        let authorization = format!(
            "{ALGORITHM} Credential={scope}, SignedHeaders={signed_headers}, Signature={signature}"
        );
        parts.headers.insert(AUTHORIZATION, text(&authorization)?);
        Ok(())
    }

    /// The target that anyone may call until `expires` after `now`, signature included.
    pub fn presign(
        &self,
        parts: &mut Parts,
        payload: Payload<'_>,
        expires: Duration,
        now: Timestamp,
    ) -> Result<Uri, SignError> {
        let moment = Moment::of(now);
        ensure_host(parts)?;
        let signed_headers = signed_headers(parts);
        let scope = self.scope(moment.date()).to_string();
        let expires = expires.as_secs().to_string();
        let mut pairs = vec![
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &scope),
            ("X-Amz-Date", moment.as_str()),
            ("X-Amz-Expires", &expires),
            ("X-Amz-SignedHeaders", &signed_headers),
        ];
        if let Some(token) = &self.credentials.session_token {
            pairs.push(("X-Amz-Security-Token", token.expose()));
        }
        let mut query = parts.uri.query().unwrap_or_default().as_bytes().to_vec();
        for (name, value) in pairs {
            if !query.is_empty() {
                query.push(b'&');
            }
            query.extend_from_slice(name.as_bytes());
            query.push(b'=');
            write_encoded(value.as_bytes(), b"", &mut query);
        }
        let query = String::from_utf8(query).map_err(|_| SignError::Target)?;
        parts.uri = with_query(&parts.uri, &query)?;
        let signature = self.signature(parts, &signed_headers, payload, moment);
        with_query(&parts.uri, &format!("{query}&X-Amz-Signature={signature}"))
    }

    fn scope<'a>(&'a self, date: &'a str) -> Scope<'a> {
        Scope::new(&self.credentials.access_key_id, date, &self.region, &self.service)
    }

    fn signature(
        &self,
        parts: &Parts,
        signed_headers: &str,
        payload: Payload<'_>,
        moment: Moment,
    ) -> String {
        let hashed;
        let payload_hash = match payload {
            Payload::Bytes(body) => {
                hashed = sha256_hex(body);
                hashed.as_str()
            }
            Payload::Hash(hash) => hash,
            Payload::Unsigned => UNSIGNED_PAYLOAD,
        };
        let canonical = Canonical {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            path_form: self.path_form,
            query: parts.uri.query(),
            headers: &parts.headers,
            authority: None,
            signed_headers,
            payload_hash,
        };
        let scope = self.scope(moment.date());
        let string_to_sign = string_to_sign(moment.as_str(), &scope, &canonical.hash());
        hex(&self.key(&scope).sign(&string_to_sign))
    }

    fn key(&self, scope: &Scope<'_>) -> SigningKey {
        let cached = self.day_key.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, key)) = cached.as_ref().filter(|(date, _)| date == scope.date) {
            return key.clone();
        }
        drop(cached);
        let key = SigningKey::derive(&self.credentials.secret_access_key, scope);
        let mut cached = self.day_key.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *cached = Some((scope.date.to_owned(), key.clone()));
        key
    }
}

fn ensure_host(parts: &mut Parts) -> Result<(), SignError> {
    if parts.headers.contains_key(HOST) {
        return Ok(());
    }
    let authority = parts.uri.authority().ok_or(SignError::NoHost)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| SignError::NoHost)?;
    parts.headers.insert(HOST, host);
    Ok(())
}

/// The names of the headers to sign, sorted and joined.
fn signed_headers(parts: &Parts) -> String {
    let mut names: Vec<&str> = parts
        .headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| !NOT_SIGNED.contains(name))
        .collect();
    names.sort_unstable();
    names.join(";")
}

fn with_query(uri: &Uri, query: &str) -> Result<Uri, SignError> {
    let target: PathAndQuery =
        format!("{}?{query}", uri.path()).parse().map_err(|_| SignError::Target)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map_err(|_| SignError::Target)
}
