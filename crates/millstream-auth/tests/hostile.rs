//! No head, however odd, makes the reader of signatures panic or let anyone in.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

use http::{HeaderMap, HeaderName, HeaderValue};
use millstream_auth::sigv4::{SignedRequest, access_key_id_of};
use millstream_auth::{AccessKeys, Keyring, MasterKey, Verifier};
use millstream_core::{SeededRand, Timestamp};
use proptest::prelude::*;
use std::sync::Arc;

fn verifier() -> Verifier {
    let rand = Arc::new(SeededRand::new(1));
    let keyring = Keyring::new(MasterKey::generate(rand.as_ref()), Vec::new(), rand);
    Verifier::new("us-east-1".parse().unwrap(), &AccessKeys::new(), &keyring)
}

fn header_text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"AWS4-HMAC-SHA256".to_vec()),
        Just(b" ".to_vec()),
        Just(b",".to_vec()),
        Just(b"=".to_vec()),
        Just(b"/".to_vec()),
        Just(b"Credential=a/20260921/us-east-1/kinesis/aws4_request".to_vec()),
        Just(b"SignedHeaders=host;x-amz-date".to_vec()),
        Just(b"Signature=00".to_vec()),
        Just(b"20260921T141320Z".to_vec()),
        prop::collection::vec(prop_oneof![Just(b'\t'), 32_u8..=126, 128_u8..=255], 0..12),
    ];
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

fn query_text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned()),
        Just("X-Amz-Credential=a%2F20260921%2Fus-east-1%2Fkinesis%2Faws4_request".to_owned()),
        Just("X-Amz-Date=20260921T141320Z".to_owned()),
        Just("X-Amz-SignedHeaders=host".to_owned()),
        Just("X-Amz-Signature=%00%ff".to_owned()),
        Just("X-Amz-Expires=18446744073709551616".to_owned()),
        "[%=+a-f0-9\u{e9}]{0,8}",
    ];
    prop::collection::vec(pieces, 0..7).prop_map(|pieces| pieces.join("&"))
}

proptest! {
    #[test]
    fn an_odd_head_is_refused_with_a_code(
        authorization in prop::option::of(header_text()),
        date in prop::option::of(header_text()),
        token in prop::option::of(header_text()),
        query in prop::option::of(query_text()),
        now in any::<u64>(),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost"));
        for (name, value) in [
            ("authorization", authorization),
            ("x-amz-date", date),
            ("x-amz-security-token", token),
        ] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(&value).ok()) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let request = SignedRequest {
            method: "POST",
            path: "/",
            query: query.as_deref(),
            authority: None,
            headers: &headers,
        };
        let _ = access_key_id_of(&request);
        for now in [Timestamp::from_ms(now), Timestamp::from_seconds(1_790_000_000)] {
            let error = verifier().begin(&request, "kinesis", now).unwrap_err();
            prop_assert!(error.code().ends_with("Exception"));
            prop_assert!(error.to_string().len() < 10_000);
        }
    }
}
