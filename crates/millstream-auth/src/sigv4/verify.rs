//! Whether a signature fits a request.

use http::HeaderMap;

use super::canonical::{Canonical, sha256_hex};
use super::{ALGORITHM, Claim, PathForm, Scope, SignatureError, SigningKey, UNSIGNED_PAYLOAD};

/// A request as its signature sees it.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path as sent.
    pub path: &'a str,
    /// The query as sent.
    pub query: Option<&'a str>,
    /// The authority of the request's target, which HTTP/2 sends in place of `Host`.
    pub authority: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
}

impl<'a> SignedRequest<'a> {
    /// The request whose head is `parts`.
    pub fn of(parts: &'a http::request::Parts) -> Self {
        Self {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            authority: parts.uri.authority().map(http::uri::Authority::as_str),
            headers: &parts.headers,
        }
    }

    /// Whether the caller says that the body is not signed.
    pub fn claims_unsigned_payload(&self) -> bool {
        let hash = self.headers.get("x-amz-content-sha256");
        hash.is_some_and(|hash| hash.as_bytes() == UNSIGNED_PAYLOAD.as_bytes())
    }
}

/// What a signature says of the body.
///
/// The hash that the caller writes into `x-amz-content-sha256` is never believed: what is signed
/// is compared with the hash of the bytes that came.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// The body, hashed here.
    Bytes(&'a [u8]),
    /// The SHA-256 of the body, in lower-case hexadecimal.
    Hash(&'a str),
    /// Nothing: for callers that may leave it out, which is the server's to say.
    Unsigned,
}

impl Claim<'_> {
    /// Checks the signature itself, last.
    ///
    /// * `scope`: what [`Claim::check`] gave, and `key` was derived for.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        scope: &Scope<'_>,
        key: &SigningKey,
        payload: Payload<'_>,
    ) -> Result<(), SignatureError> {
        self.verify_form(request, scope, key, payload, PathForm::Service)
    }

    /// As [`Claim::verify`], for a service that makes paths canonical in another way.
    pub fn verify_form(
        &self,
        request: &SignedRequest<'_>,
        scope: &Scope<'_>,
        key: &SigningKey,
        payload: Payload<'_>,
        path_form: PathForm,
    ) -> Result<(), SignatureError> {
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
            method: request.method,
            path: request.path,
            path_form,
            query: request.query,
            headers: request.headers,
            authority: request.authority,
            signed_headers: &self.signed_headers,
            payload_hash,
        };
        let moment = self.moment()?;
        let string_to_sign = string_to_sign(moment.as_str(), scope, &canonical.hash());
        // A signature that is no signature is compared all the same: one path, one cost.
        let signature = signature_bytes(&self.signature).unwrap_or_default();
        if key.verifies(&string_to_sign, &signature) {
            return Ok(());
        }
        Err(SignatureError::Mismatch { canonical: canonical.text(), string_to_sign })
    }
}

/// The text that is signed.
pub(super) fn string_to_sign(moment: &str, scope: &Scope<'_>, canonical_hash: &str) -> String {
    let Scope { date, region, service, terminator, .. } = scope;
    let mut text = String::with_capacity(192);
    for part in [ALGORITHM, "\n", moment, "\n", date, "/", region, "/", service, "/", terminator] {
        text.push_str(part);
    }
    text.push('\n');
    text.push_str(canonical_hash);
    text
}

/// The 32 bytes that 64 lower-case hexadecimal digits stand for.
fn signature_bytes(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}
