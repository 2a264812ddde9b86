//! The log, at its most talkative, holds no secret.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use common::{CBOR, Client, JSON, Mode, connect_tls, start, with_secret};
use millstream_server::ServerLimits;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_is_logged_by_any_part_at_any_level() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let running = start(Mode::Verified, ServerLimits::default()).await;
    let mut signatures = Vec::new();
    let (tls, _) = connect_tls(&running, &[b"h2"]).await;
    for mut client in [
        Client::http1(running.address).await,
        Client::http2(running.address).await,
        Client::http2_over(tls).await,
    ] {
        for content_type in [JSON, CBOR] {
            let mut request = running.signed("PutRecords", content_type, b"record data");
            let authorization = request.headers()["authorization"].to_str().unwrap();
            signatures.push(authorization.rsplit("Signature=").next().unwrap().to_owned());
            let token = "a session token".parse().unwrap();
            request.headers_mut().insert("x-amz-security-token", token);
            client.send(request).await;
            client.send(running.signed("ListTagsForResource", content_type, b"{}")).await;
        }
    }
    let mut parts = running.unsigned("ListStreams", JSON, b"{}").into_parts().0;
    let wrong = with_secret(running.credentials(), "the wrong secret");
    common::sign(&mut parts, wrong, "kinesis", b"{}", common::NOW);
    let mut client = Client::http1(running.address).await;
    client.send(http::Request::from_parts(parts, bytes::Bytes::from_static(b"{}").into())).await;

    let log = captured.0.lock().unwrap().clone();
    let log = String::from_utf8_lossy(&log).into_owned();
    assert!(log.contains("answered"), "the log was captured");
    let secret = running.key.secret_access_key.expose();
    let key_line = running.authority.pem.private_key.lines().nth(1).unwrap().to_owned();
    let mut forbidden = vec![secret, "the wrong secret", "a session token", "record data"];
    forbidden.push(&key_line);
    for text in forbidden {
        assert!(!log.contains(text), "{text:?} was logged");
    }
    for signature in &signatures {
        assert!(!log.contains(signature.as_str()), "a signature was logged");
    }
}
