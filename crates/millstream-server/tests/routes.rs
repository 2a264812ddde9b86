//! Every route of every model against every fault of a signature.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Built, CBOR, Client, JSON, Mode, NOW, Running, sign, start_with, with_secret};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use millstream_api::{Operation, Protocol, SERVICES};
use millstream_core::Timestamp;
use millstream_server::ServerLimits;

/// What a request of `operation` looks like before it is signed, and its body.
fn request(operation: &Operation, content_type: &str, running: &Running) -> (Parts, String) {
    let service = operation.service;
    let (method, path, headers, body) = match service.protocol {
        Protocol::Json11 | Protocol::Json10 => {
            let headers = vec![
                ("x-amz-target", operation.target()),
                ("content-type", content_type.to_owned()),
            ];
            ("POST", "/".to_owned(), headers, "{}".to_owned())
        }
        Protocol::RpcV2Cbor => {
            let path = format!("/service/{}/operation/{}", service.target_prefix, operation.name);
            let headers = vec![
                ("smithy-protocol", "rpc-v2-cbor".to_owned()),
                ("content-type", "application/cbor".to_owned()),
            ];
            ("POST", path, headers, "\u{0}".to_owned())
        }
        Protocol::RestJson => {
            let path = operation.uri.replace(['{', '}'], "");
            (
                operation.method,
                path,
                vec![("content-type", "application/json".to_owned())],
                "{}".to_owned(),
            )
        }
        Protocol::Query => {
            let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
            let body = format!("Action={}&Version={}", operation.name, service.api_version);
            ("POST", "/".to_owned(), headers, body)
        }
    };
    let mut builder = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", running.address))
        .header("host", running.address.to_string());
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    (builder.body(()).unwrap().into_parts().0, body)
}

/// The error's code, as each protocol's clients find it, and the status.
fn error_of(operation: &Operation, response: &Response<Bytes>) -> (u16, String) {
    let text = String::from_utf8_lossy(response.body()).into_owned();
    let content_type = response.headers()["content-type"].to_str().unwrap();
    let code = match operation.service.protocol {
        Protocol::RestJson => {
            assert_eq!(content_type, "application/json");
            response.headers()["x-amzn-errortype"].to_str().unwrap().to_owned()
        }
        Protocol::Query => {
            assert_eq!(content_type, "text/xml");
            let (_, rest) = text.split_once("<Code>").unwrap();
            rest.split_once("</Code>").unwrap().0.to_owned()
        }
        Protocol::RpcV2Cbor => {
            assert_eq!(content_type, "application/cbor");
            cbor_text_after(response.body(), "__type")
        }
        Protocol::Json11 | Protocol::Json10 if content_type == CBOR => {
            cbor_text_after(response.body(), "__type")
        }
        Protocol::Json11 | Protocol::Json10 => {
            let body: serde_json::Value = serde_json::from_str(&text).unwrap();
            body["__type"].as_str().unwrap().to_owned()
        }
    };
    (response.status().as_u16(), code)
}

/// The text that follows the key in a CBOR map, for texts of up to 255 bytes.
fn cbor_text_after(body: &[u8], key: &str) -> String {
    let at = body.windows(key.len()).position(|window| window == key.as_bytes()).unwrap();
    let rest = &body[at + key.len()..];
    let (length, start) = match rest[0] {
        head @ 0x60..=0x77 => (usize::from(head - 0x60), 1),
        0x78 => (usize::from(rest[1]), 2),
        other => panic!("no text: {other:#x}"),
    };
    String::from_utf8(rest[start..start + length].to_vec()).unwrap()
}

/// The codes of a fault: JSON and CBOR services, and the query protocol.
struct Fault {
    name: &'static str,
    code: &'static str,
    query_code: &'static str,
}

const FAULTS: [Fault; 5] = [
    Fault {
        name: "no signature",
        code: "MissingAuthenticationTokenException",
        query_code: "MissingAuthenticationToken",
    },
    Fault {
        name: "wrong signature",
        code: "InvalidSignatureException",
        query_code: "SignatureDoesNotMatch",
    },
    Fault {
        name: "expired signature",
        code: "InvalidSignatureException",
        query_code: "SignatureDoesNotMatch",
    },
    Fault {
        name: "signature for another service",
        code: "InvalidSignatureException",
        query_code: "SignatureDoesNotMatch",
    },
    Fault {
        name: "unknown key",
        code: "UnrecognizedClientException",
        query_code: "InvalidClientTokenId",
    },
];

fn spoil(fault: &Fault, parts: &mut Parts, service: &str, body: &[u8], running: &Running) {
    let credentials = running.credentials();
    match fault.name {
        "no signature" => {}
        "wrong signature" => sign(parts, with_secret(credentials, "wrong"), service, body, NOW),
        "expired signature" => {
            let long_ago = Timestamp::from_ms(NOW.ms()).minus(Duration::from_secs(301));
            sign(parts, credentials, service, body, long_ago);
        }
        "signature for another service" => sign(parts, credentials, "s3", body, NOW),
        "unknown key" => {
            let mut unknown = credentials;
            "AKIAAAAAAAAAAAAAAAAA".clone_into(&mut unknown.access_key_id);
            sign(parts, unknown, service, body, NOW);
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn no_route_lets_a_faulty_signature_reach_its_service() {
    let running =
        start_with(Mode::Verified, Built::All, ServerLimits::default(), |builder| builder).await;
    let mut client = Client::http1(running.address).await;
    let mut asked = 0;
    for operation in SERVICES.iter().flat_map(|service| service.operations) {
        let forms: &[&str] = if operation.service.takes_cbor { &[JSON, CBOR] } else { &[JSON] };
        for content_type in forms {
            for fault in &FAULTS {
                let (mut parts, body) = request(operation, content_type, &running);
                let body = body.into_bytes();
                spoil(fault, &mut parts, operation.service.signing_name, &body, &running);
                let request = Request::from_parts(parts, Full::new(Bytes::from(body)));
                let response = client.send(request).await;
                let (status, code) = error_of(operation, &response);
                let (wanted_status, wanted) = match operation.service.protocol {
                    Protocol::Query => (403, fault.query_code),
                    Protocol::RestJson => (403, fault.code),
                    Protocol::Json11 | Protocol::Json10 | Protocol::RpcV2Cbor => (400, fault.code),
                };
                let what = (operation.action, content_type, fault.name);
                assert_eq!((status, code.as_str()), (wanted_status, wanted), "{what:?}");
                assert!(response.headers().contains_key("x-amzn-requestid"), "{what:?}");
                asked += 1;
            }
        }
    }
    assert_eq!(running.calls(), 0, "none of {asked} reached a service");
    assert!(asked > 5 * 250, "{asked}");
}

#[tokio::test]
async fn a_good_signature_reaches_its_service_where_there_is_one() {
    let running =
        start_with(Mode::Verified, Built::Kinesis, ServerLimits::default(), |builder| builder)
            .await;
    let mut client = Client::http1(running.address).await;
    let skipped = [
        "DescribeLimits",
        "ListTagsForResource",
        "ListShards",
        "SubscribeToShard",
        "PutRecords",
        "GetRecords",
    ];
    let mut reached = 0;
    for operation in SERVICES.iter().flat_map(|service| service.operations) {
        if skipped.contains(&operation.name) {
            continue;
        }
        let (mut parts, body) = request(operation, JSON, &running);
        let body = body.into_bytes();
        let service = operation.service;
        sign(&mut parts, running.credentials(), service.signing_name, &body, NOW);
        let request = Request::from_parts(parts, Full::new(Bytes::from(body)));
        let response = client.send(request).await;
        if service.id == "kinesis" {
            reached += 1;
            assert_eq!(response.status(), 200, "{}", operation.action);
            assert_eq!(response.body(), running.key.access_key_id.as_bytes());
        } else {
            let (status, code) = error_of(operation, &response);
            let query = service.protocol == Protocol::Query;
            let wanted = if query { "InvalidAction" } else { "UnknownOperationException" };
            assert_eq!((status, code.as_str()), (400, wanted), "{}", operation.action);
            let text = String::from_utf8_lossy(response.body()).into_owned();
            assert!(text.contains("is not built into this Millstream yet"), "{text}");
        }
    }
    assert_eq!(running.calls(), reached);
    assert!(reached > 30);
}
