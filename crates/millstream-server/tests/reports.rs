//! A report is read by whoever may call an operation, and by nobody else.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Built, Client, Mode, NOW, Running, sign, start_with, with_secret};
use http::{Method, Request, Response};
use http_body_util::Full;
use millstream_server::{Reader, Report, ServerLimits};

const PATH: &str = "/_millstream/test";

/// Says who asks.
struct Who;

impl Report for Who {
    fn path(&self) -> &'static str {
        PATH
    }

    fn signing_name(&self) -> &'static str {
        "firehose"
    }

    fn report(&self, reader: Reader<'_>) -> Bytes {
        format!("[\"{}\",\"{}\"]", reader.caller.account(), reader.source_ip).into()
    }
}

async fn start(mode: Mode) -> Running {
    let limits = ServerLimits::default();
    start_with(mode, Built::Kinesis, limits, |builder| builder.report(Arc::new(Who))).await
}

/// A request whose head `finish` completes.
fn request(
    running: &Running,
    method: Method,
    finish: impl FnOnce(&mut http::request::Parts),
) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{PATH}", running.address))
        .header("host", running.address.to_string());
    let mut parts = request.body(()).unwrap().into_parts().0;
    finish(&mut parts);
    Request::from_parts(parts, Full::default())
}

fn code(response: &Response<Bytes>) -> String {
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    body["__type"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_signature_for_its_service_opens_a_report() {
    let running = start(Mode::Verified).await;
    let signed = |parts: &mut http::request::Parts| {
        sign(parts, running.credentials(), "firehose", b"", NOW);
    };
    for mut client in [Client::http1(running.address).await, Client::http2(running.address).await] {
        let response = client.send(request(&running, Method::GET, signed)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.body(), "[\"000000000000\",\"127.0.0.1\"]");
    }
}

#[tokio::test]
async fn without_the_right_signature_nothing_is_told() {
    let running = start(Mode::Verified).await;
    let mut client = Client::http1(running.address).await;
    let unsigned = client.send(request(&running, Method::GET, |_| {})).await;
    assert_eq!(
        (unsigned.status().as_u16(), code(&unsigned).as_str()),
        (400, "MissingAuthenticationTokenException")
    );
    let wrong = |parts: &mut http::request::Parts| {
        let credentials = with_secret(running.credentials(), "the wrong secret");
        sign(parts, credentials, "firehose", b"", NOW);
    };
    let other = |parts: &mut http::request::Parts| {
        sign(parts, running.credentials(), "kinesis", b"", NOW);
    };
    let wrong = client.send(request(&running, Method::GET, wrong)).await;
    let other = client.send(request(&running, Method::GET, other)).await;
    for refused in [wrong, other] {
        assert_eq!(refused.status(), 400);
        assert_eq!(code(&refused), "InvalidSignatureException");
    }
}

#[tokio::test]
async fn in_dev_mode_this_machine_reads_and_rebound_names_do_not() {
    let running = start(Mode::Dev).await;
    let mut client = Client::http1(running.address).await;
    let open = client.send(request(&running, Method::GET, |_| {})).await;
    assert_eq!(open.status(), 200);
    let rebound = |parts: &mut http::request::Parts| {
        parts.headers.insert("host", "evil.example".parse().unwrap());
    };
    let rebound = client.send(request(&running, Method::GET, rebound)).await;
    assert_ne!(rebound.status(), 200);
    let posted = client.send(request(&running, Method::POST, |_| {})).await;
    assert_ne!(posted.status(), 200, "a report is read only");
    assert_eq!(running.calls(), 0);
}
