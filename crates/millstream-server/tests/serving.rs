//! Protocols, limits, deadlines, probes and the drain, over real connections.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{ANSWER_BYTES, Built, CBOR, Client, JSON, Mode, connect_tls, start, start_with};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use millstream_server::{Collector, MetricsText, ServerLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

fn limits() -> ServerLimits {
    ServerLimits::default()
}

fn get(running: &common::Running, path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://{}{path}", running.address))
        .header("host", running.address.to_string())
        .body(Full::default())
        .unwrap()
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

#[tokio::test]
async fn one_port_speaks_http_1_and_http_2_in_clear_text() {
    let running = start(Mode::Verified, limits()).await;
    for client in [Client::http1(running.address).await, Client::http2(running.address).await] {
        let mut client = client;
        for content_type in [JSON, CBOR] {
            let response = client.send(running.signed("ListStreams", content_type, b"{}")).await;
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], content_type);
            assert_eq!(response.headers()["x-amzn-requestid"].len(), 36);
            assert!(response.headers().contains_key("x-amz-id-2"));
            assert!(response.headers().contains_key("date"));
            assert!(!response.headers().contains_key("x-millstream-mode"));
        }
    }
    assert_eq!(running.calls(), 4);
}

#[tokio::test]
async fn tls_speaks_both_by_alpn_and_http_2_without_it() {
    let running = start(Mode::Verified, limits()).await;
    for (offered, is_http2) in [
        (vec![b"h2".as_slice(), b"http/1.1"], true),
        (vec![b"http/1.1".as_slice()], false),
        (vec![], true),
        (vec![], false),
    ] {
        let (stream, agreed) = connect_tls(&running, &offered).await;
        assert_eq!(agreed.as_deref(), offered.first().copied());
        let mut client = if is_http2 {
            Client::http2_over(stream).await
        } else {
            Client::http1_over(stream).await
        };
        let response = client.send(running.signed("ListStreams", JSON, b"{}")).await;
        assert_eq!(response.status(), 200, "{offered:?} {is_http2}");
    }
    let plain = Client::http1(running.tls_address);
    let mut plain = plain.await;
    assert!(plain.begin(running.signed("ListStreams", JSON, b"{}")).await.is_err());
}

#[tokio::test]
async fn a_body_of_any_size_arrives_whole_and_no_larger_than_allowed() {
    let running = start(Mode::Verified, limits()).await;
    for mut client in [Client::http1(running.address).await, Client::http2(running.address).await] {
        for length in [1, 1_000, 100_000, 3 * 1024 * 1024, 16 * 1024 * 1024] {
            let body = vec![b'x'; length];
            let response = client.send(running.signed("PutRecords", JSON, &body)).await;
            assert_eq!(text(&response), length.to_string());
        }
    }
    let body = vec![b'x'; 16 * 1024 * 1024 + 1];
    let mut client = Client::http1(running.address).await;
    let response = client.send(running.signed("PutRecords", JSON, &body)).await;
    assert_eq!(response.status(), 413);
    assert!(text(&response).contains("RequestEntityTooLargeException"), "{}", text(&response));
    assert_eq!(running.calls(), 10);
}

#[tokio::test]
async fn more_than_may_be_under_way_is_throttled_in_the_requests_encoding() {
    let few = ServerLimits { in_flight_bytes_max: 64 * 1024, ..limits() };
    let running = start(Mode::Verified, few).await;
    let mut client = Client::http1(running.address).await;
    for content_type in [JSON, CBOR] {
        let response =
            client.send(running.signed("PutRecords", content_type, &vec![0; 100_000])).await;
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["content-type"], content_type);
        assert!(text(&response).contains("ThrottlingException"), "{}", text(&response));
    }
    let response = client.send(running.signed("PutRecords", JSON, &[0; 10_000])).await;
    assert_eq!(text(&response), "10000", "what was refused holds nothing");
}

/// What `/metrics` says of a gauge, in a loop until it says `wanted`.
async fn until_gauge(running: &common::Running, name: &str, wanted: usize) {
    let mut client = Client::http1(running.address).await;
    let line = format!("{name} {wanted}");
    timeout(Duration::from_secs(10), async {
        while !text(&client.send(get(running, "/metrics")).await).lines().any(|it| it == line) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn answers_that_nobody_takes_do_not_add_up() {
    let few = ServerLimits { in_flight_bytes_max: 4 * ANSWER_BYTES + 100_000, ..limits() };
    let running = start(Mode::Verified, few).await;
    let mut greedy = Client::http2(running.address).await;
    let mut untaken = Vec::new();
    for _ in 0..4 {
        let response = greedy.begin(running.signed("GetRecords", JSON, b"{}")).await.unwrap();
        assert_eq!(response.status(), 200);
        untaken.push(response);
    }
    let mut good = Client::http1(running.address).await;
    let response = good.send(running.signed("GetRecords", JSON, b"{}")).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("ThrottlingException"), "{}", text(&response));
    let response = good.send(running.signed("ListStreams", JSON, b"{}")).await;
    assert_eq!(response.status(), 200, "small ones go on");
    drop((greedy, untaken));
    until_gauge(&running, "millstream_in_flight_bytes", 0).await;
    let response = good.send(running.signed("GetRecords", JSON, b"{}")).await;
    assert_eq!(response.body().len(), ANSWER_BYTES);
    until_gauge(&running, "millstream_in_flight_bytes", 0).await;
}

#[tokio::test]
async fn requests_that_their_client_gave_up_hold_nothing() {
    let running = start(Mode::Verified, limits()).await;
    for is_http2 in [false, true] {
        for _ in 0..3 {
            let mut client = if is_http2 {
                Client::http2(running.address).await
            } else {
                Client::http1(running.address).await
            };
            let request = running.signed("DescribeLimits", JSON, b"{}");
            tokio::select! {
                biased;
                () = running.reached.notified() => {}
                _ = client.begin(request) => panic!("nobody lets it answer"),
            }
        }
    }
    until_gauge(&running, "millstream_in_flight_bytes", 0).await;
}

#[tokio::test]
async fn a_flood_of_streams_opened_and_reset_leaves_others_undisturbed() {
    let running = start(Mode::Verified, limits()).await;
    let mut good = Client::http2(running.address).await;
    let mut flood = Client::http2(running.address).await;
    for _ in 0..2_000 {
        // Sent and given up at once: HEADERS, DATA, RST_STREAM.
        let begun = flood.begin(running.signed("DescribeLimits", JSON, b"{}"));
        tokio::select! {
            biased;
            _ = begun => break,
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(good.send(running.signed("ListStreams", JSON, b"{}")).await.status(), 200);
    drop(flood);
    until_gauge(&running, "millstream_in_flight_bytes", 0).await;
}

#[tokio::test]
async fn errors_and_panics_of_a_service_are_answered_in_the_requests_encoding() {
    let running = start(Mode::Verified, limits()).await;
    let mut client = Client::http2(running.address).await;
    for (operation, status, code) in [
        ("ListShards", 400, "ResourceNotFoundException"),
        ("ListTagsForResource", 500, "InternalFailure"),
    ] {
        for content_type in [JSON, CBOR] {
            let response = client.send(running.signed(operation, content_type, b"{}")).await;
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()["content-type"], content_type);
            assert!(text(&response).contains(code), "{}", text(&response));
        }
    }
    let metrics = text(&client.send(get(&running, "/metrics")).await);
    assert!(metrics.contains("millstream_panics_total 2"), "{metrics}");
}

#[tokio::test]
async fn unknown_targets_are_refused_as_the_service_refuses_them() {
    let running = start(Mode::Verified, limits()).await;
    let mut client = Client::http1(running.address).await;
    let mut ask = async |content_type: &str, target: &str, body: &'static str| {
        let mut request =
            Request::post(format!("http://{}/", running.address)).header("host", "localhost");
        for (name, value) in [("content-type", content_type), ("x-amz-target", target)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        client.send(request.body(Full::new(Bytes::from(body))).unwrap()).await
    };
    let response = ask(JSON, "Kinesis_20131202.Nothing", "{}").await;
    assert_eq!(
        (response.status().as_u16(), text(&response)),
        (400, r#"{"__type":"UnknownOperationException"}"#.to_owned())
    );
    let response = ask("", "Kinesis_20131202.ListStreams", "").await;
    assert_eq!(response.headers()["content-type"], CBOR);
    assert!(text(&response).contains("SerializationException"));
    let response = ask("", "", "{}").await;
    assert_eq!(response.status(), 403);
    assert!(!response.headers().contains_key("content-type"));
    assert_eq!(
        text(&response),
        "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be \
         authorized</Message>\n</AccessDeniedException>\n"
    );
    let response = ask("application/json", "Kinesis_20131202.ListStreams", "{}").await;
    assert_eq!(response.status(), 404);
    assert_eq!(
        text(&response),
        r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#
    );
    let response = ask(JSON, "Kinesis_20131202.ListStreams", "{}").await;
    assert_eq!(
        text(&response),
        r#"{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}"#
    );
    assert_eq!(running.calls(), 0);
}

#[tokio::test]
async fn browsers_are_answered_as_the_service_answers_them() {
    let running = start(Mode::Verified, limits()).await;
    let mut client = Client::http1(running.address).await;
    let request = Request::options(format!("http://{}/", running.address))
        .header("host", "localhost")
        .header("origin", "https://example.com")
        .header("access-control-request-headers", "a, b, c")
        .header("access-control-request-method", "POST");
    let response = client.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(response.status(), 200);
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-headers", "a, b, c"),
        ("access-control-allow-methods", "POST"),
        ("access-control-max-age", "172800"),
        ("content-length", "0"),
    ] {
        assert_eq!(response.headers()[name], value);
    }
    assert!(!response.headers().contains_key("x-amz-id-2"));
    let mut request = running.signed("ListStreams", JSON, b"{}");
    request.headers_mut().insert("origin", "https://example.com".parse().unwrap());
    let response = client.send(request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn dev_mode_takes_any_credentials_from_this_machine_and_says_so() {
    let running = start(Mode::Dev, limits()).await;
    let mut client = Client::http1(running.address).await;
    for authorization in [None, Some("nonsense"), Some("AWS4-HMAC-SHA256 Credential=test/a/b/c/d")]
    {
        let mut request = running.unsigned("ListStreams", JSON, b"{}");
        if let Some(authorization) = authorization {
            request.headers_mut().insert("authorization", authorization.parse().unwrap());
        }
        let response = client.send(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-millstream-mode"], "dev");
        let wanted =
            if authorization.is_some_and(|it| it.contains("test")) { "test" } else { "anonymous" };
        assert_eq!(text(&response), wanted);
    }
    for (name, value) in [
        ("host", "rebound.example"),
        ("origin", "https://example.com"),
        ("x-millstream-caller", "root"),
    ] {
        let mut request = running.unsigned("ListStreams", JSON, b"{}");
        request.headers_mut().insert(name, value.parse().unwrap());
        let response = client.send(request).await;
        assert_eq!(response.status(), 403, "{name}");
        assert_eq!(response.headers()["content-type"], JSON);
        assert!(text(&response).contains("AccessDeniedException"), "{}", text(&response));
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{name}");
        let mut preflight =
            Request::options("/").header("host", "localhost").header("origin", "http://localhost");
        preflight.headers_mut().unwrap().insert(name, value.parse().unwrap());
        let response = client.send(preflight.body(Full::default()).unwrap()).await;
        assert_eq!(response.status(), 403, "{name}");
    }
    assert_eq!(running.calls(), 3);
}

#[tokio::test]
async fn dev_mode_does_not_listen_where_others_reach_it() {
    use millstream_auth::DevMode;
    use millstream_core::{ManualClock, SeededRand};
    use millstream_server::{Access, Listener, ServeError, Server};
    let mode = DevMode::new("000000000000".parse().unwrap(), "us-east-1".parse().unwrap());
    let clock = std::sync::Arc::new(ManualClock::default());
    let rand = std::sync::Arc::new(SeededRand::new(1));
    let everywhere = || Listener::bind(([0, 0, 0, 0], 0).into());
    let server = Server::builder(Access::Dev(mode.clone()), clock.clone(), rand.clone()).build();
    let listeners = vec![everywhere().await.unwrap()];
    let refused = server.serve(listeners, std::future::ready(()), Duration::ZERO).await;
    assert!(matches!(refused, Err(ServeError::DevModeOffLoopback { .. })));
    let server = Server::builder(Access::DevOpenToNetwork(mode), clock, rand).build();
    let listeners = vec![everywhere().await.unwrap()];
    let drain = Duration::from_secs(1);
    assert!(server.serve(listeners, std::future::ready(()), drain).await.is_ok());
}

#[tokio::test]
async fn events_come_as_they_are_made_and_end_cleanly_at_the_drain() {
    let running = start(Mode::Verified, limits()).await;
    for mut client in [Client::http1(running.address).await, Client::http2(running.address).await] {
        let response = client.begin(running.signed("SubscribeToShard", JSON, b"{}")).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
        let mut body = response.into_body();
        let mut got = Vec::new();
        while got.len() < 6 {
            got.extend_from_slice(body.frame().await.unwrap().unwrap().data_ref().unwrap());
        }
        assert_eq!(got, b"onetwo");
    }
    let mut client = Client::http2(running.address).await;
    let response = client.begin(running.signed("SubscribeToShard", JSON, b"{}")).await.unwrap();
    let stopped = running.stop();
    let all = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(all, "onetwo");
    drop(client);
    assert_eq!(stopped.await.unwrap().connections_cut, 0);
}

#[tokio::test]
async fn a_drain_lets_requests_under_way_end_and_takes_no_more() {
    let running = start(Mode::Verified, limits()).await;
    let (release, reached, address) =
        (running.release.clone(), running.reached.clone(), running.address);
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut client = Client::http1(address).await;
    let request = running.signed("DescribeLimits", JSON, b"{}");
    let answer = tokio::spawn(async move { client.send(request).await });
    reached.notified().await;
    let stopped = running.stop();
    // The idle connection is closed at once; the busy one keeps the server.
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
    assert!(!stopped.is_finished());
    release.notify_one();
    assert_eq!(answer.await.unwrap().status(), 200);
    assert_eq!(stopped.await.unwrap().connections_cut, 0);
}

#[tokio::test]
async fn probes_and_metrics_say_how_the_server_is() {
    struct Extra;
    impl Collector for Extra {
        fn collect(&self, text: &mut MetricsText) {
            text.gauge("extra", "Joined in.").sample(&[("a", "b")], 7);
        }
    }
    let running = start_with(Mode::Verified, Built::Kinesis, limits(), |builder| {
        builder.collector(std::sync::Arc::new(Extra))
    })
    .await;
    let mut client = Client::http1(running.address).await;
    assert_eq!(client.send(get(&running, "/healthz")).await.status(), 200);
    assert_eq!(client.send(get(&running, "/readyz")).await.status(), 200);
    client.send(running.signed("ListStreams", JSON, b"{}")).await;
    client.send(running.signed("ListShards", JSON, b"{}")).await;
    client.send(running.unsigned("ListStreams", JSON, b"{}")).await;
    let metrics = text(&client.send(get(&running, "/metrics")).await);
    for line in [
        r#"millstream_requests_total{service="kinesis",operation="ListStreams",code="ok"} 1"#,
        r#"millstream_requests_total{service="kinesis",operation="ListShards",code="ResourceNotFoundException"} 1"#,
        r#"millstream_requests_total{service="kinesis",operation="ListStreams",code="MissingAuthenticationTokenException"} 1"#,
        r#"millstream_request_duration_seconds_count{service="kinesis",operation="ListStreams"} 2"#,
        "millstream_connections_open 1",
        "millstream_in_flight_bytes 0",
        r#"extra{a="b"} 7"#,
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} in:\n{metrics}");
    }
}

#[tokio::test]
async fn who_sends_no_head_or_half_a_head_is_cut_off() {
    let hasty = ServerLimits { head_deadline: Duration::from_millis(150), ..limits() };
    let running = start(Mode::Verified, hasty).await;
    for sent in [b"".as_slice(), b"P", b"POST / HTTP/1.1\r\nhost: a\r\nx: "] {
        let mut slow = TcpStream::connect(running.address).await.unwrap();
        slow.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(Duration::from_secs(5), slow.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{sent:?}");
    }
    let mut good = Client::http1(running.address).await;
    assert_eq!(good.send(running.signed("ListStreams", JSON, b"{}")).await.status(), 200);
}

#[tokio::test]
async fn who_sends_no_body_is_told_so_and_cut_off() {
    let hasty = ServerLimits { body_idle_deadline: Duration::from_millis(150), ..limits() };
    let running = start(Mode::Verified, hasty).await;
    let request = running.signed("PutRecords", JSON, &[b'x'; 100]);
    let mut head = "POST / HTTP/1.1\r\ncontent-length: 100\r\n".to_owned();
    for (name, value) in request.headers() {
        head.extend([name.as_str(), ": ", value.to_str().unwrap(), "\r\n"]);
    }
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(format!("{head}\r\nxxx").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let ended = timeout(Duration::from_secs(5), slow.read_to_end(&mut answer)).await;
    assert!(ended.is_ok());
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("RequestTimeoutException"), "{answer}");
    assert_eq!(running.calls(), 0);
}

#[tokio::test]
async fn a_tls_handshake_that_stands_still_is_cut_off() {
    let hasty = ServerLimits { handshake_deadline: Duration::from_millis(150), ..limits() };
    let running = start(Mode::Verified, hasty).await;
    let mut slow = TcpStream::connect(running.tls_address).await.unwrap();
    slow.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    let ended = timeout(Duration::from_secs(5), slow.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok());
}

#[tokio::test]
async fn one_connection_more_than_allowed_is_closed() {
    let few = ServerLimits { connections_max: 2, ..limits() };
    let running = start(Mode::Verified, few).await;
    let mut one = Client::http1(running.address).await;
    let mut two = Client::http1(running.address).await;
    for client in [&mut one, &mut two] {
        assert_eq!(client.send(running.signed("ListStreams", JSON, b"{}")).await.status(), 200);
    }
    let mut three = TcpStream::connect(running.address).await.unwrap();
    let closed = timeout(Duration::from_secs(5), three.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)));
    drop(one);
    // The place is free again once the server has seen the end.
    timeout(Duration::from_secs(5), async {
        loop {
            let mut next = Client::http1(running.address).await;
            if next.begin(running.signed("ListStreams", JSON, b"{}")).await.is_ok() {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_upload_that_is_refused_early_still_gets_its_answer() {
    let running = start(Mode::Verified, limits()).await;
    let mut client = Client::http1(running.address).await;
    let body = vec![b'x'; 8 * 1024 * 1024];
    for _ in 0..3 {
        let response = client.send(running.unsigned("PutRecords", JSON, &body)).await;
        assert_eq!(response.status(), 400);
        assert!(text(&response).contains("MissingAuthenticationTokenException"));
    }
}

#[tokio::test]
async fn a_request_of_two_lengths_is_never_two_requests() {
    let running = start(Mode::Dev, limits()).await;
    let hidden = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\
                  x-amz-target: Kinesis_20131202.ListStreams\r\n\
                  content-type: application/x-amz-json-1.1\r\n\r\n{}";
    let length = hidden.len() + 5;
    for head in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n"),
        "content-length: 2\r\ncontent-length: 3\r\n\r\n{}".to_owned(),
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n".to_owned(),
        "host: localhost\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let first = format!("POST / HTTP/1.1\r\nhost: localhost\r\n{head}");
        stream.write_all(format!("{first}{hidden}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if head.starts_with("host") {
            // Two hosts: the first request is refused as a whole, the second is honest.
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert_eq!(running.calls.swap(0, std::sync::atomic::Ordering::SeqCst), 1);
        } else {
            assert_eq!(running.calls(), 0, "{head}: {answer}");
            assert!(!answer.contains("HTTP/1.1 200"), "{head}: {answer}");
        }
    }
}
