//! The published SigV4 test suite, verified and signed in both forms.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use millstream_auth::Secret;
use millstream_auth::sigv4::{
    Claim, Moment, PathForm, Payload, Scope, SignatureError, SignedRequest, Signer,
    SigningCredentials, SigningKey,
};
use millstream_core::Timestamp;
use serde_json::Value;

const SUITE: &str = include_str!("vectors/aws-signing-test-suite.json");
const NOW: &str = "20150830T123600Z";

struct Case(Value);

impl Case {
    fn all() -> Vec<Self> {
        let cases: Vec<Value> = serde_json::from_str(SUITE).unwrap();
        assert_eq!(cases.len(), 38, "the suite is whole");
        cases.into_iter().map(Self).collect()
    }

    fn text(&self, path: &str) -> &str {
        self.0.pointer(path).and_then(Value::as_str).unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.text("/name")
    }

    fn credentials(&self) -> SigningCredentials {
        // Where the token is added after signing, the signer does not see it.
        let token = if self.omits_token() { "" } else { self.text("/context/credentials/token") };
        SigningCredentials {
            access_key_id: self.text("/context/credentials/access_key_id").to_owned(),
            secret_access_key: self.secret(),
            session_token: (!token.is_empty()).then(|| Secret::from(token)),
        }
    }

    fn secret(&self) -> Secret {
        Secret::from(self.text("/context/credentials/secret_access_key"))
    }

    fn path_form(&self) -> PathForm {
        match self.0.pointer("/context/normalize") {
            Some(Value::Bool(false)) => PathForm::Once,
            _ => PathForm::NormalizedOnce,
        }
    }

    fn omits_token(&self) -> bool {
        self.0.pointer("/context/omit_session_token") == Some(&Value::Bool(true))
    }

    fn signs_body(&self) -> bool {
        self.0.pointer("/context/sign_body") == Some(&Value::Bool(true))
    }

    fn headers(&self, path: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for pair in self.0.pointer(path).and_then(Value::as_array).unwrap() {
            let name: HeaderName = pair[0].as_str().unwrap().parse().unwrap();
            let value = HeaderValue::from_bytes(pair[1].as_str().unwrap().as_bytes()).unwrap();
            headers.append(name, value);
        }
        headers
    }

    fn signer(&self) -> Signer {
        Signer::new(self.credentials(), "us-east-1", "service").path_form(self.path_form())
    }

    fn request_parts(&self) -> http::request::Parts {
        let target = encode_unprintable(self.text("/target"));
        let request = Request::builder().method(self.text("/method")).uri(target).body(()).unwrap();
        let mut parts = request.into_parts().0;
        parts.headers = self.headers("/headers");
        parts
    }
}

fn now() -> Timestamp {
    Timestamp::from_seconds(Moment::parse(NOW).unwrap().seconds())
}

/// The suite writes some targets as no client can send them.
fn encode_unprintable(target: &str) -> String {
    let mut encoded = String::new();
    for byte in target.bytes() {
        if byte.is_ascii_graphic() {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(["%", &format!("{byte:02X}")]);
        }
    }
    encoded
}

fn verify(
    case: &Case,
    target: &str,
    headers: &HeaderMap,
    signature_of: impl Fn(&SignedRequest<'_>) -> Result<(), SignatureError>,
) -> Result<(), SignatureError> {
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    let request =
        SignedRequest { method: case.text("/method"), path, query, authority: None, headers };
    signature_of(&request)
}

fn check(case: &Case, request: &SignedRequest<'_>, body: &[u8]) -> Result<(), SignatureError> {
    let claim = Claim::read(request)?;
    let scope = claim.check(request, "us-east-1", "service", now())?;
    assert_eq!(scope.access_key_id, "AKIDEXAMPLE");
    let key = SigningKey::derive(&case.secret(), &scope);
    claim.verify_form(request, &scope, &key, Payload::Bytes(body), case.path_form())
}

#[test]
fn each_published_signature_is_verified_in_both_forms() {
    for case in Case::all() {
        // A token in the query is signed by all services that we stand in for.
        let forms: &[&str] = if case.omits_token() { &["header"] } else { &["header", "query"] };
        for form in forms {
            let headers = case.headers(&format!("/{form}/headers"));
            let target = case.text(&format!("/{form}/target")).to_owned();
            let body = case.text("/body").as_bytes();
            let good = verify(&case, &target, &headers, |request| check(&case, request, body));
            assert_eq!(good, Ok(()), "{} {form}", case.name());

            let changed = [body, b"x"].concat();
            let bad = verify(&case, &target, &headers, |request| check(&case, request, &changed));
            let error = bad.expect_err("another body is another request");
            assert_eq!(error.code(), "InvalidSignatureException", "{} {form}", case.name());
        }
    }
}

#[test]
fn each_published_request_is_signed_as_published() {
    for case in Case::all() {
        let body = case.text("/body").as_bytes();
        let mut parts = case.request_parts();
        if case.signs_body() {
            let hash = case.text("/header/canonical").rsplit('\n').next().unwrap();
            parts.headers.insert("x-amz-content-sha256", hash.parse().unwrap());
        }
        case.signer().sign(&mut parts, Payload::Bytes(body), now()).unwrap();
        let authorization = parts.headers["authorization"].to_str().unwrap();
        let signature = authorization.rsplit("Signature=").next().unwrap();
        assert_eq!(signature, case.text("/header/signature"), "{}", case.name());

        let mut parts = case.request_parts();
        let hour = Duration::from_secs(3_600);
        let uri = case.signer().presign(&mut parts, Payload::Bytes(body), hour, now()).unwrap();
        let signature = uri.query().unwrap().rsplit("X-Amz-Signature=").next().unwrap();
        assert_eq!(signature, case.text("/query/signature"), "{}", case.name());
    }
}

#[test]
fn the_text_of_a_mismatch_shows_the_published_canonical_request() {
    for case in Case::all() {
        let headers = case.headers("/header/headers");
        let target = case.text("/header/target").to_owned();
        let error = verify(&case, &target, &headers, |request| {
            let claim = Claim::read(request)?;
            let scope = claim.check(request, "us-east-1", "service", now())?;
            let key = SigningKey::derive(&Secret::from("another"), &scope);
            let body = case.text("/body").as_bytes();
            claim.verify_form(request, &scope, &key, Payload::Bytes(body), case.path_form())
        })
        .expect_err("another secret");
        let SignatureError::Mismatch { canonical, string_to_sign } = error else {
            panic!("{}: {error:?}", case.name());
        };
        assert_eq!(canonical, case.text("/header/canonical"), "{}", case.name());
        assert_eq!(string_to_sign, case.text("/header/string_to_sign"), "{}", case.name());
    }
}

#[test]
fn any_one_change_to_a_signed_request_is_noticed() {
    let case = Case::all().into_iter().find(|case| case.name() == "get-vanilla-query").unwrap();
    let headers = case.headers("/header/headers");
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    // Each byte of the header, each bit flipped that leaves it a header.
    for at in 0..authorization.len() {
        for bit in 0..7 {
            let mut bytes = authorization.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { continue };
            let mut headers = headers.clone();
            headers.insert("authorization", value);
            let target = case.text("/header/target").to_owned();
            let outcome = verify(&case, &target, &headers, |request| {
                let claim = Claim::read(request)?;
                let scope = claim.check(request, "us-east-1", "service", now())?;
                if scope.access_key_id != "AKIDEXAMPLE" {
                    return Err(SignatureError::UnknownKey);
                }
                let key = SigningKey::derive(&case.secret(), &scope);
                claim.verify_form(request, &scope, &key, Payload::Bytes(b""), case.path_form())
            });
            // A blank and a comma part parameters alike (observed), and one commas's bit apart
            // from a blank is none.
            let same = bytes
                .iter()
                .map(|b| if *b == b',' { b' ' } else { *b })
                .eq(authorization.bytes().map(|b| if b == b',' { b' ' } else { b }));
            assert!(same || outcome.is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_scope_reads_what_it_prints() {
    let scope = Scope::new("AKID", "20150830", "us-east-1", "kinesis");
    assert_eq!(scope.to_string(), "AKID/20150830/us-east-1/kinesis/aws4_request");
    let text = scope.to_string();
    assert_eq!(Scope::parse(&text), Some(scope));
    assert_eq!(Scope::parse("a/b/c/d"), None);
    assert_eq!(Scope::parse("a/b/c/d/e/f"), None);
}
