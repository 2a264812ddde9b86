//! Requests that the signer signed, and all the ways in which they are not accepted.

use http::Request;
use http::request::Parts;
use millstream_core::SeededRand;

use super::*;
use crate::sigv4::{Signer, SigningCredentials};
use crate::{CreatedAccessKey, MasterKey, NewAccessKey, Policy};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const BODY: &[u8] = b"{}";

struct World {
    verifier: Verifier,
    keys: AccessKeys,
    key: CreatedAccessKey,
}

fn world() -> World {
    let rand = Arc::new(SeededRand::new(1));
    let keyring = Keyring::new(MasterKey::generate(rand.as_ref()), Vec::new(), rand.clone());
    let mut keys = AccessKeys::new();
    let new = NewAccessKey {
        account: "111111111111".parse().unwrap(),
        user_name: Some("ada".to_owned()),
        policies: vec![Policy::allow_all()],
    };
    let key = keys.create(new, NOW, rand.as_ref()).unwrap();
    World { verifier: Verifier::new("us-east-1".parse().unwrap(), &keys, &keyring), keys, key }
}

impl World {
    fn credentials(&self) -> SigningCredentials {
        SigningCredentials {
            access_key_id: self.key.access_key_id.clone(),
            secret_access_key: self.key.secret_access_key.clone(),
            session_token: None,
        }
    }

    fn verify(&self, parts: &Parts, now: Timestamp) -> Result<VerifiedCaller, SignatureError> {
        let request = SignedRequest::of(parts);
        let pending = self.verifier.begin(&request, "kinesis", now)?;
        pending.finish(&request, Payload::Bytes(BODY), true)
    }
}

fn parts(target: &str) -> Parts {
    let request = Request::builder()
        .method("POST")
        .uri(target)
        .header("host", "localhost:4566")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "Kinesis_20131202.ListStreams");
    request.body(()).unwrap().into_parts().0
}

fn signed(credentials: SigningCredentials, region: &str, service: &str) -> Parts {
    let mut parts = parts("/");
    let signer = Signer::new(credentials, region, service);
    signer.sign(&mut parts, Payload::Bytes(BODY), NOW).unwrap();
    parts
}

fn header_of(world: &World) -> Parts {
    signed(world.credentials(), "us-east-1", "kinesis")
}

fn presigned(world: &World, expires: Duration) -> Parts {
    let mut parts = parts("/");
    let signer = Signer::new(world.credentials(), "us-east-1", "kinesis");
    parts.uri = signer.presign(&mut parts, Payload::Bytes(BODY), expires, NOW).unwrap();
    parts
}

#[test]
fn a_signed_request_says_who_calls() {
    let world = world();
    for parts in [header_of(&world), presigned(&world, Duration::from_secs(60))] {
        for _ in 0..2 {
            let caller = world.verify(&parts, NOW).unwrap();
            assert_eq!(caller.access_key_id(), world.key.access_key_id);
            assert_eq!(caller.principal_arn(), "arn:aws:iam::111111111111:user/ada");
            assert_eq!(caller.user_name(), Some("ada"));
            assert!(caller.secure_transport() && !caller.is_unrestricted());
        }
    }
}

#[test]
fn the_signing_key_of_one_day_is_not_taken_for_another() {
    let world = world();
    let mut now = NOW;
    for _ in 0..20 {
        let mut parts = parts("/");
        let signer = Signer::new(world.credentials(), "us-east-1", "kinesis");
        signer.sign(&mut parts, Payload::Bytes(BODY), now).unwrap();
        assert!(world.verify(&parts, now).is_ok());
        now = now.plus(Duration::from_secs(86_400));
    }
    let key = world.verifier.key(&world.key.access_key_id).unwrap();
    assert_eq!(key.signing_keys.read().unwrap().len(), SIGNING_KEYS_MAX);
}

#[test]
fn a_signature_is_good_for_five_minutes_either_way() {
    let world = world();
    let parts = header_of(&world);
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let second = Duration::from_secs(1);
    assert!(world.verify(&parts, NOW.plus(minutes(5))).is_ok());
    assert!(world.verify(&parts, NOW.minus(minutes(5))).is_ok());
    let error = world.verify(&parts, NOW.plus(minutes(5)).plus(second)).unwrap_err();
    assert_eq!(error.code(), "InvalidSignatureException");
    assert_eq!(
        error.to_string(),
        "Signature expired: 20260921T141320Z is now earlier than 20260921T141321Z \
         (20260921T141821Z - 5 min.)"
    );
    let error = world.verify(&parts, NOW.minus(minutes(5)).minus(second)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Signature not yet current: 20260921T141320Z is still later than 20260921T141319Z \
         (20260921T140819Z + 5 min.)"
    );
}

#[test]
fn a_presigned_request_is_good_as_long_as_it_says() {
    let world = world();
    let hour = Duration::from_secs(3_600);
    let parts = presigned(&world, hour);
    assert!(world.verify(&parts, NOW.plus(hour)).is_ok());
    let late = world.verify(&parts, NOW.plus(hour).plus(Duration::from_secs(1)));
    assert!(late.unwrap_err().to_string().starts_with("Signature expired: "));
    for expires in [0, 604_801] {
        let error = world.verify(&presigned(&world, Duration::from_secs(expires)), NOW);
        assert_eq!(error.unwrap_err().code(), "InvalidSignatureException");
    }
}

#[test]
fn the_scope_must_be_this_region_this_service_and_this_day() {
    let world = world();
    let text = |region, service| {
        let parts = signed(world.credentials(), region, service);
        let error = world.verify(&parts, NOW).unwrap_err();
        assert_eq!(error.code(), "InvalidSignatureException");
        error.to_string()
    };
    assert_eq!(
        text("eu-west-1", "kinesis"),
        "Credential should be scoped to a valid region, not 'eu-west-1'."
    );
    assert_eq!(
        text("us-east-1", "firehose"),
        "Credential should be scoped to correct service: 'kinesis'."
    );
    let mut parts = header_of(&world);
    let authorization = parts.headers["authorization"].to_str().unwrap();
    let changed = authorization.replace("20260921/us-east-1/kinesis/aws4_request", "b/c/d/e");
    parts.headers.insert("authorization", changed.parse().unwrap());
    assert_eq!(
        world.verify(&parts, NOW).unwrap_err().to_string(),
        "Credential should be scoped to a valid region, not 'c'. Credential should be scoped to \
         correct service: 'kinesis'. Credential should be scoped with a valid terminator: \
         'aws4_request', not 'e'. Date in Credential scope does not match YYYYMMDD from ISO-8601 \
         version of date from HTTP: 'b' != '20260921', from '20260921T141320Z'."
    );
}

#[test]
fn an_unknown_a_disabled_and_a_deleted_key_are_all_unrecognized() {
    let mut world = world();
    let parts = header_of(&world);
    let mut stranger = world.credentials();
    stranger.access_key_id = "AKIAAAAAAAAAAAAAAAAA".to_owned();
    let error = world.verify(&signed(stranger, "us-east-1", "kinesis"), NOW).unwrap_err();
    assert_eq!(error.code(), "UnrecognizedClientException");
    assert_eq!(error.to_string(), "The security token included in the request is invalid.");

    world.keys.set_enabled(&world.key.access_key_id, false);
    world.verifier.replace_keys(&world.keys);
    assert_eq!(world.verify(&parts, NOW).unwrap_err(), SignatureError::UnknownKey);
    world.keys.set_enabled(&world.key.access_key_id, true);
    world.verifier.replace_keys(&world.keys);
    assert!(world.verify(&parts, NOW).is_ok());
    world.keys.delete(&world.key.access_key_id);
    world.verifier.replace_keys(&world.keys);
    assert_eq!(world.verify(&parts, NOW).unwrap_err(), SignatureError::UnknownKey);
}

#[test]
fn a_wrong_secret_and_any_changed_signed_part_do_not_match() {
    let world = world();
    let mut wrong = world.credentials();
    wrong.secret_access_key = Secret::from("wrong");
    let mut cases = vec![signed(wrong, "us-east-1", "kinesis")];
    let change = |change: &dyn Fn(&mut Parts)| {
        let mut parts = header_of(&world);
        change(&mut parts);
        parts
    };
    cases.push(change(&|parts| parts.method = http::Method::PUT));
    cases.push(change(&|parts| parts.uri = "/other".parse().unwrap()));
    cases.push(change(&|parts| parts.uri = "/?a=b".parse().unwrap()));
    cases.push(change(&|parts| {
        parts.headers.insert("x-amz-target", "Kinesis_20131202.DeleteStream".parse().unwrap());
    }));
    cases.push(change(&|parts| {
        parts.headers.insert("host", "elsewhere".parse().unwrap());
    }));
    cases.push(change(&|parts| {
        parts.headers.append("x-amz-target", "Kinesis_20131202.DeleteStream".parse().unwrap());
    }));
    for parts in cases {
        let error = world.verify(&parts, NOW).unwrap_err();
        assert!(matches!(error, SignatureError::Mismatch { .. }), "{error}");
        assert_eq!(error.code(), "InvalidSignatureException");
    }
    let parts = header_of(&world);
    let request = SignedRequest::of(&parts);
    let pending = world.verifier.begin(&request, "kinesis", NOW).unwrap();
    let other_body = pending.finish(&request, Payload::Bytes(b"{ }"), true);
    assert!(matches!(other_body, Err(SignatureError::Mismatch { .. })));
    let pending = world.verifier.begin(&request, "kinesis", NOW).unwrap();
    let unsigned = pending.finish(&request, Payload::Unsigned, true);
    assert!(matches!(unsigned, Err(SignatureError::Mismatch { .. })));
}

#[test]
fn what_matters_must_be_signed() {
    let world = world();
    let mut parts = header_of(&world);
    parts.headers.insert("x-amz-extra", "1".parse().unwrap());
    let error = world.verify(&parts, NOW).unwrap_err();
    assert_eq!(
        error.to_string(),
        "'x-amz-extra' must be a 'SignedHeader' in the AWS Authorization."
    );
    let mut parts = header_of(&world);
    let authorization = parts.headers["authorization"].to_str().unwrap().replace("host;", "");
    parts.headers.insert("authorization", authorization.parse().unwrap());
    let error = world.verify(&parts, NOW).unwrap_err();
    assert_eq!(
        error.to_string(),
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
    );
    for name in ["authorization", "x-amz-date", "host"] {
        let mut parts = header_of(&world);
        let value = parts.headers[name].clone();
        parts.headers.append(http::HeaderName::from_static(name), value);
        let error = world.verify(&parts, NOW).unwrap_err();
        assert!(matches!(error, SignatureError::Duplicate { .. }), "{name}: {error}");
    }
}

/// The texts that kinesalite's and dynalite's authors recorded against the service.
#[test]
fn what_is_missing_is_named_as_the_service_names_it() {
    let world = world();
    let text = |target: &str, authorization: Option<&str>, date: Option<&str>| {
        let mut parts = parts(target);
        let mut set = |name: &'static str, value: Option<&str>| {
            if let Some(value) = value {
                parts.headers.insert(name, value.parse().unwrap());
            }
        };
        set("authorization", authorization);
        set("date", date);
        let error = world.verify(&parts, NOW).unwrap_err();
        (error.code(), error.to_string())
    };
    let incomplete = "IncompleteSignatureException";
    assert_eq!(
        text("/", None, None),
        ("MissingAuthenticationTokenException", "Missing Authentication Token".to_owned())
    );
    assert_eq!(
        text("/", Some("X"), None),
        (
            incomplete,
            "Authorization header requires 'Credential' parameter. Authorization header requires \
             'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. \
             Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
             Authorization=X"
                .to_owned()
        )
    );
    for separator in [" ", ",", ", "] {
        let header = format!("AWS4- Signature=b{separator}Credential=a");
        assert_eq!(
            text("/", Some(&header), Some("a")),
            (
                incomplete,
                format!(
                    "Authorization header requires 'SignedHeaders' parameter. Authorization={header}"
                )
            )
        );
    }
    assert_eq!(
        text("/?X-Amz-Algorithm", None, None),
        (
            incomplete,
            "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string \
             parameters must include 'X-Amz-Credential'. AWS query-string parameters must include \
             'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. \
             AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string \
             parameters."
                .to_owned()
        )
    );
    assert_eq!(
        text("/?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d", None, None).1,
        "AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the \
         query-string parameters."
    );
    assert_eq!(
        text("/?X-Amz-Credential=a&X-Amz-Signature=b", None, None).0,
        "MissingAuthenticationTokenException"
    );
    assert_eq!(
        text("/?X-Amz-Algorithm", Some("X"), None),
        (
            "InvalidSignatureException",
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP \
             header."
                .to_owned()
        )
    );
    let full = |algorithm: &str, credential: &str| {
        format!(
            "{algorithm} Credential={credential}, SignedHeaders=host;x-amz-target;date, Signature=c"
        )
    };
    let good = Some("Mon, 21 Sep 2026 14:13:20 GMT");
    assert_eq!(
        text("/", Some(&full("AWS4-HMAC-SHA256", "a")), Some("201")),
        (
            incomplete,
            "Date must be in ISO-8601 'basic format'. Got '201'. See \
             http://en.wikipedia.org/wiki/ISO_8601"
                .to_owned()
        )
    );
    assert_eq!(
        text("/", Some(&full("AWS4-HMAC-SHA25", "a")), good),
        (
            incomplete,
            "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA25' (only AWS4-HMAC-SHA256 for now). "
                .to_owned()
        )
    );
    assert_eq!(
        text("/", Some(&full("AWS4-HMAC-SHA256", "a/b/c/d")), good),
        (
            incomplete,
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got 'a/b/c/d'"
                .to_owned()
        )
    );
    assert_eq!(
        text("/", Some("AWS4-HMAC-SHA256 Signature=b,    Credential,    SignedHeaders"), good),
        (
            incomplete,
            "'Credential' not a valid key=value pair (missing equal-sign) in Authorization header: \
             'AWS4-HMAC-SHA256 Signature=b,    Credential,    SignedHeaders'."
                .to_owned()
        )
    );
}

#[test]
fn a_session_acts_as_its_parent_until_it_expires_or_the_parent_goes() {
    let mut world = world();
    let rand = SeededRand::new(5);
    let hour = Duration::from_secs(3_600);
    let session = world.verifier.new_session(&world.key.access_key_id, hour, NOW, &rand).unwrap();
    assert!(world.verifier.new_session("AKIAAAAAAAAAAAAAAAAA", hour, NOW, &rand).is_none());
    let credentials = |token: Option<Secret>| SigningCredentials {
        access_key_id: session.access_key_id.clone(),
        secret_access_key: session.secret_access_key.clone(),
        session_token: token,
    };
    let sign_at = |credentials: SigningCredentials, now: Timestamp| {
        let mut parts = parts("/");
        let signer = Signer::new(credentials, "us-east-1", "kinesis");
        signer.sign(&mut parts, Payload::Bytes(BODY), now).unwrap();
        parts
    };
    let good = sign_at(credentials(Some(session.session_token.clone())), NOW);
    let caller = world.verify(&good, NOW).unwrap();
    assert_eq!(caller.access_key_id(), session.access_key_id);
    assert_eq!(caller.principal_arn(), "arn:aws:iam::111111111111:user/ada");
    assert!(caller.policies().is_some_and(|policies| policies.len() == 1));

    let late = NOW.plus(hour).plus(Duration::from_secs(1));
    let expired = sign_at(credentials(Some(session.session_token.clone())), late);
    assert_eq!(world.verify(&expired, late).unwrap_err(), SignatureError::TokenExpired);
    let without = sign_at(credentials(None), NOW);
    assert_eq!(world.verify(&without, NOW).unwrap_err(), SignatureError::UnknownKey);
    let mut forged = session.session_token.expose().to_owned();
    forged.replace_range(forged.len() - 1.., if forged.ends_with('0') { "1" } else { "0" });
    for token in [forged.as_str(), "", "zz", "\u{e9}x"] {
        let token = token.chars().filter(char::is_ascii).collect::<String>();
        let parts = sign_at(credentials(Some(Secret::new(token))), NOW);
        assert_eq!(world.verify(&parts, NOW).unwrap_err(), SignatureError::UnknownKey);
    }
    let mut borrowed = world.credentials();
    borrowed.session_token = Some(session.session_token.clone());
    let parts = sign_at(borrowed, NOW);
    assert_eq!(world.verify(&parts, NOW).unwrap_err(), SignatureError::UnknownKey);

    world.keys.delete(&world.key.access_key_id);
    world.verifier.replace_keys(&world.keys);
    assert_eq!(world.verify(&good, NOW).unwrap_err(), SignatureError::UnknownKey);
}

#[test]
fn http_2_signs_the_authority_in_place_of_the_host() {
    let world = world();
    let mut parts = header_of(&world);
    let host = parts.headers.remove("host").unwrap();
    let mut uri = parts.uri.into_parts();
    uri.scheme = Some(http::uri::Scheme::HTTP);
    uri.authority = Some(host.to_str().unwrap().parse().unwrap());
    parts.uri = http::Uri::from_parts(uri).unwrap();
    assert!(world.verify(&parts, NOW).is_ok());
}

#[test]
fn the_access_key_id_is_read_from_well_and_ill_formed_credentials() {
    let world = world();
    let id = |parts: &Parts| crate::sigv4::access_key_id_of(&SignedRequest::of(parts));
    let own = Some(world.key.access_key_id.clone());
    assert_eq!(id(&header_of(&world)), own);
    assert_eq!(id(&presigned(&world, Duration::from_secs(60))), own);
    let mut odd = parts("/");
    odd.headers.insert("authorization", "X Credential=test, y".parse().unwrap());
    assert_eq!(id(&odd), Some("test".to_owned()));
    assert_eq!(id(&parts("/")), None);
}
