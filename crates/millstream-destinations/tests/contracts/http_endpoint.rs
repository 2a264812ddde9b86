//! An endpoint that checks every word of a request, and each way in which it may answer.

use std::io::Read;
use std::time::Duration;

use millstream_auth::Secret;
use millstream_destinations::http_endpoint::{HttpEndpoint, HttpEndpointConfig};
use millstream_destinations::outbound::{Outbound, OutboundSettings};
use millstream_destinations::{ConfigError, Destination};
use serde_json::{Value, json};

use super::fake::{Fake, MakeReply, NOW, Reply, Seen, clock, delivery, nobody, outbound};

const ARN: &str = "arn:aws:firehose:us-east-1:123456789:deliverystream/testStream";

fn config(url: &str) -> HttpEndpointConfig {
    HttpEndpointConfig {
        url: url.to_owned(),
        access_key: Some(Secret::from("key with {\"any\": characters}")),
        gzip: false,
        common_attributes: vec![("deployment -context".to_owned(), "pre-prod".to_owned())],
        source_arn: ARN.to_owned(),
    }
}

fn endpoint(config: &HttpEndpointConfig) -> HttpEndpoint {
    HttpEndpoint::new(config, outbound(), clock()).unwrap()
}

fn taken(seen: &Seen) -> Reply {
    let id = seen.header("x-amz-firehose-request-id").unwrap();
    Reply::json(200, json!({"requestId": id, "timestamp": 1_578_090_903_599_u64}).to_string())
}

/// The body, unpacked where its headers say so.
fn body(seen: &Seen) -> Value {
    match seen.header("content-encoding") {
        None => seen.json(),
        Some("gzip") => {
            let mut text = String::new();
            flate2::read::GzDecoder::new(&seen.body[..]).read_to_string(&mut text).unwrap();
            serde_json::from_str(&text).unwrap()
        }
        Some(other) => panic!("encoded as {other}"),
    }
}

#[tokio::test]
async fn a_request_is_as_the_guide_specifies() {
    for gzip in [false, true] {
        let fake = Fake::start(taken).await;
        let endpoint = endpoint(&HttpEndpointConfig { gzip, ..config(&fake.url("/in?a=b%20c")) });
        let delivery = delivery(&["hello", "hello world", ""]);
        assert_eq!(endpoint.attempt(&delivery).await, Ok(Vec::new()));
        let seen = &fake.seen()[0];
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/in?a=b%20c"));
        assert_eq!(seen.header("x-amz-firehose-protocol-version"), Some("1.0"));
        assert_eq!(seen.header("x-amz-firehose-request-id"), Some(delivery.id.as_str()));
        assert_eq!(seen.header("x-amz-firehose-source-arn"), Some(ARN));
        assert_eq!(
            seen.header("x-amz-firehose-access-key"),
            Some("key with {\"any\": characters}")
        );
        assert_eq!(
            seen.header("x-amz-firehose-common-attributes"),
            Some(r#"{"commonAttributes":{"deployment -context":"pre-prod"}}"#)
        );
        assert_eq!(seen.header("content-type"), Some("application/json"));
        assert_eq!(seen.header("content-encoding"), gzip.then_some("gzip"));
        assert_eq!(seen.header("content-length").unwrap(), seen.body.len().to_string());
        assert_eq!(
            body(seen),
            json!({
                "requestId": delivery.id,
                "timestamp": NOW.ms(),
                "records": [{"data": "aGVsbG8="}, {"data": "aGVsbG8gd29ybGQ="}, {"data": ""}],
            })
        );
    }
}

#[tokio::test]
async fn what_is_not_configured_is_not_sent() {
    let fake = Fake::start(taken).await;
    let bare = HttpEndpointConfig {
        access_key: None,
        common_attributes: Vec::new(),
        ..config(&fake.url("/"))
    };
    assert_eq!(endpoint(&bare).attempt(&delivery(&["a"])).await, Ok(Vec::new()));
    let seen = &fake.seen()[0];
    assert_eq!(seen.header("x-amz-firehose-access-key"), None);
    assert_eq!(seen.header("x-amz-firehose-common-attributes"), None);
    assert_eq!(seen.header("content-encoding"), None);
}

#[tokio::test]
async fn a_retry_carries_the_same_request_id() {
    let mut answers = 0;
    let fake = Fake::start(move |seen| {
        answers += 1;
        if answers == 1 { Reply::status(503) } else { taken(seen) }
    })
    .await;
    let endpoint = endpoint(&config(&fake.url("/")));
    let delivery = delivery(&["a"]);
    assert!(endpoint.attempt(&delivery).await.unwrap_err().is_retryable);
    assert_eq!(endpoint.attempt(&delivery).await, Ok(Vec::new()));
    let ids: Vec<_> = fake
        .seen()
        .iter()
        .map(|seen| (seen.header("x-amz-firehose-request-id").unwrap().to_owned(), body(seen)))
        .collect();
    assert_eq!(ids[0].0, ids[1].0);
    assert_eq!(ids[0].1["requestId"], ids[1].1["requestId"]);
}

#[tokio::test]
async fn a_large_body_is_whole() {
    let fake = Fake::start(taken).await;
    let large = "x".repeat(1_000_000);
    let data: Vec<&str> = (0..5).map(|_| large.as_str()).collect();
    for gzip in [false, true] {
        let endpoint = endpoint(&HttpEndpointConfig { gzip, ..config(&fake.url("/")) });
        assert_eq!(endpoint.attempt(&delivery(&data)).await, Ok(Vec::new()));
    }
    for seen in fake.seen() {
        let body = body(&seen);
        let records = body["records"].as_array().unwrap();
        assert_eq!(records.len(), 5);
        let decoded =
            base64_simd::STANDARD.decode_to_vec(records[4]["data"].as_str().unwrap()).unwrap();
        assert_eq!(decoded, large.as_bytes());
    }
}

/// What becomes of a delivery that is answered so.
async fn outcome(reply: impl FnMut(&Seen) -> Reply + Send + 'static) -> (String, bool, String) {
    let fake = Fake::start(reply).await;
    let endpoint = endpoint(&config(&fake.url("/"))).wait_max(Duration::from_millis(300));
    let failure = endpoint.attempt(&delivery(&["a"])).await.unwrap_err();
    (failure.code, failure.is_retryable, failure.message)
}

#[tokio::test]
async fn only_a_well_formed_200_takes_the_records() {
    fn good() -> Reply {
        let id = delivery(&[]).id;
        Reply::json(200, format!(r#"{{"requestId":"{id}","timestamp":1}}"#))
    }
    let replies: [(&str, MakeReply); 6] = [
        ("chunked", || good().in_chunks()),
        ("encoded", || good().with("content-encoding", "gzip")),
        ("empty", || Reply::json(200, "")),
        ("text", || Reply::body(200, "ok").with("content-type", "text/plain")),
        ("untyped", || Reply::body(200, r#"{"requestId":"x","timestamp":1}"#)),
        ("other id", || Reply::json(200, r#"{"requestId":"x","timestamp":1}"#)),
    ];
    for (name, reply) in replies {
        let (code, is_retryable, message) = outcome(move |_| reply()).await;
        assert_eq!(code, "HttpEndpoint.InvalidResponseFromDestination", "{name}: {message}");
        assert!(is_retryable, "{name}");
    }
}

#[tokio::test]
async fn every_other_status_is_a_destination_exception_and_413_is_for_good() {
    for status in [202, 302, 400, 401, 403, 404, 413, 429, 500, 503] {
        let (code, is_retryable, message) =
            outcome(move |_| Reply::json(status, r#"{"errorMessage":"no"}"#)).await;
        assert_eq!(code, "HttpEndpoint.DestinationException");
        assert_eq!(is_retryable, status != 413);
        assert!(message.contains(&format!(r#"{status}: {{"errorMessage":"no"}}"#)), "{message}");
    }
}

#[tokio::test]
async fn no_answer_has_the_code_of_its_reason() {
    let (code, is_retryable, _) = outcome(|_| Reply::Silence).await;
    assert_eq!((code.as_str(), is_retryable), ("HttpEndpoint.RequestTimeout", true));
    let (code, is_retryable, _) = outcome(|_| Reply::Break).await;
    assert_eq!((code.as_str(), is_retryable), ("HttpEndpoint.ConnectionReset", true));
    let (code, is_retryable, _) = outcome(|_| Reply::json(200, " ".repeat(1024 * 1024 + 1))).await;
    assert_eq!((code.as_str(), is_retryable), ("HttpEndpoint.ResponseTooLarge", true));
    let unreachable = endpoint(&config(&format!("http://{}/", nobody().await)));
    let failure = unreachable.attempt(&delivery(&["a"])).await.unwrap_err();
    assert_eq!(
        (failure.code.as_str(), failure.is_retryable),
        ("HttpEndpoint.ConnectionFailed", true)
    );
    let plain = Fake::start(taken).await;
    let url = plain.url("/").replace("http:", "https:");
    let failure = endpoint(&config(&url)).attempt(&delivery(&["a"])).await.unwrap_err();
    assert_eq!(failure.code, "HttpEndpoint.SSLHandshakeFailure");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_is_refused_at_once() {
    let new = |config: &HttpEndpointConfig| HttpEndpoint::new(config, outbound(), clock());
    assert!(matches!(new(&config("ftp://host/")), Err(ConfigError::Url(_))));
    let odd_key =
        HttpEndpointConfig { access_key: Some(Secret::from("a\nb")), ..config("http://h/") };
    assert!(matches!(new(&odd_key), Err(ConfigError::Header(_))));
    let strict = Outbound::new(OutboundSettings::default()).unwrap();
    for url in ["http://example.com/", "https://127.0.0.1/", "https://[::1]/"] {
        let refused = HttpEndpoint::new(&config(url), strict.clone(), clock());
        assert!(matches!(refused, Err(ConfigError::Refused(_))), "{url}");
    }
}
