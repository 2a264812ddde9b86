//! The client: what the guard lets pass, and how each way of not answering is told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Request;
use millstream_destinations::outbound::{
    Allow, Answer, Bounds, Kind, Outbound, OutboundError, OutboundSettings, Refusal, Resolve,
    TlsFault, Trust, Url,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::fake::{Fake, Reply, nobody, outbound};

const BOUNDS: Bounds = Bounds { timeout: Duration::from_secs(20), answer_bytes_max: 1_000 };

async fn get(outbound: &Outbound, url: &str) -> Result<Answer, OutboundError> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    outbound.send(request, BOUNDS).await
}

fn with(allow: Allow) -> Outbound {
    Outbound::new(OutboundSettings { allow, ..OutboundSettings::default() }).unwrap()
}

/// Gives the addresses of one answer after another.
#[derive(Debug)]
struct Script {
    answers: Vec<Vec<&'static str>>,
    asked: AtomicUsize,
}

impl Resolve for Script {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let answer = &self.answers[self.asked.fetch_add(1, Ordering::SeqCst)];
        let addresses =
            answer.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect();
        Box::pin(async { Ok(addresses) })
    }
}

fn scripted(allow: Allow, answers: &[&[&'static str]]) -> Outbound {
    let answers = answers.iter().map(|answer| answer.to_vec()).collect();
    let script = Script { answers, asked: AtomicUsize::new(0) };
    let settings = OutboundSettings { allow, ..OutboundSettings::default() };
    Outbound::with_resolver(settings, Arc::new(script)).unwrap()
}

#[tokio::test]
async fn by_default_nothing_on_this_machine_is_reached() {
    let fake = Fake::start(|_| Reply::status(200)).await;
    let refused = get(&with(Allow::default()), &fake.url("/")).await.unwrap_err();
    assert_eq!(refused, OutboundError::Refused(Refusal::ClearText));
    let clear = with(Allow { clear_text: true, ..Allow::default() });
    let refused = get(&clear, &fake.url("/")).await.unwrap_err();
    let loopback =
        |address| Refusal::Address { host: "127.0.0.1".to_owned(), address, kind: Kind::Loopback };
    assert_eq!(refused, OutboundError::Refused(loopback(fake.address.ip())));
    let refused = clear.connect("127.0.0.1", fake.address.port()).await.unwrap_err();
    assert_eq!(refused, OutboundError::Refused(loopback(fake.address.ip())));
    // Other ways to write the same address, and a name for it.
    for host in ["127.1", "2130706433", "0x7f000001", "localhost", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{}/", fake.address.port());
        assert!(
            matches!(
                get(&clear, &url).await,
                Err(OutboundError::Refused(_) | OutboundError::Unresolved { .. })
            ),
            "{host}"
        );
    }
    assert!(fake.seen().is_empty());
    assert_eq!(get(&outbound(), &fake.url("/")).await.unwrap().status, 200);
}

#[tokio::test]
async fn metadata_addresses_stay_closed_to_everyone() {
    let operator = with(Allow::operator());
    for address in ["169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "100.100.100.200"] {
        let url = format!("http://{address}/latest/meta-data/");
        let refused = get(&operator, &url).await.unwrap_err();
        let OutboundError::Refused(Refusal::Address { kind, .. }) = refused else {
            panic!("{refused}");
        };
        assert_eq!(kind, Kind::Local, "{address}");
        let url: Url = url.parse().unwrap();
        assert!(operator.check(&url).is_err(), "also before anything is sent");
    }
}

#[tokio::test]
async fn one_bad_address_among_good_ones_refuses_the_name() {
    let fake = Fake::start(|_| Reply::status(200)).await;
    let allow = Allow { clear_text: true, loopback: true, ..Allow::default() };
    let outbound = scripted(allow, &[&["127.0.0.1", "10.0.0.1"]]);
    let url = format!("http://two.example:{}/", fake.address.port());
    let refused = get(&outbound, &url).await.unwrap_err();
    assert!(matches!(refused, OutboundError::Refused(Refusal::Address { .. })), "{refused}");
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn each_connection_is_checked_and_goes_to_the_address_that_was_checked() {
    // Nothing may be kept for the next request: it must connect again.
    let fake =
        Fake::start_at("0.0.0.0:0", None, |_| Reply::status(200).with("connection", "close")).await;
    let networks = vec!["127.0.0.2/32".parse().unwrap()];
    let allow = Allow { clear_text: true, networks, ..Allow::default() };
    let outbound = scripted(allow, &[&["127.0.0.2"], &["127.0.0.1"]]);
    let url = format!("http://rebound.example:{}/", fake.address.port());
    assert_eq!(get(&outbound, &url).await.unwrap().status, 200);
    let refused = get(&outbound, &url).await.unwrap_err();
    assert!(matches!(refused, OutboundError::Refused(Refusal::Address { .. })), "{refused}");
    let seen = fake.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].local.ip().to_string(), "127.0.0.2");
    assert_eq!(seen[0].header("host").unwrap(), format!("rebound.example:{}", fake.address.port()));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Fake::start(|_| Reply::status(200)).await;
    let location = elsewhere.url("/");
    let fake = Fake::start(move |_| Reply::status(302).with("location", location.clone())).await;
    assert_eq!(get(&outbound(), &fake.url("/")).await.unwrap().status, 302);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn connections_are_used_again_also_after_the_other_side_closed_one() {
    let fake = Fake::start(|_| Reply::body(200, "ok")).await;
    let outbound = outbound();
    for _ in 0..3 {
        assert_eq!(get(&outbound, &fake.url("/")).await.unwrap().body, "ok");
    }
    assert!(fake.seen().iter().all(|seen| seen.connection == 0));

    // A server that closes after each answer without saying so.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    });
    for _ in 0..5 {
        assert_eq!(get(&outbound, &url).await.unwrap().body, "ok");
    }
    server.abort();
}

#[tokio::test]
async fn answers_are_bounded_whether_they_say_their_size_or_not() {
    let fake = Fake::start(|seen| {
        let size = if seen.target == "/fits" { 1_000 } else { 1_001 };
        let reply = Reply::body(200, vec![b'a'; size]);
        if seen.target == "/chunks" { reply.in_chunks() } else { reply }
    })
    .await;
    let outbound = outbound();
    assert_eq!(get(&outbound, &fake.url("/fits")).await.unwrap().body.len(), 1_000);
    for path in ["/sized", "/chunks"] {
        let error = get(&outbound, &fake.url(path)).await.unwrap_err();
        assert_eq!(error, OutboundError::AnswerTooLarge { bytes_max: 1_000 }, "{path}");
    }
}

#[tokio::test]
async fn each_way_of_not_answering_is_told_apart() {
    let outbound = outbound();
    let silent = Fake::start(|_| Reply::Silence).await;
    let request = Request::get(silent.url("/")).body(Bytes::new()).unwrap();
    let timeout = Duration::from_millis(50);
    let error = outbound.send(request, Bounds { timeout, ..BOUNDS }).await.unwrap_err();
    assert_eq!(error, OutboundError::TimedOut { timeout });

    let breaking = Fake::start(|_| Reply::Break).await;
    let error = get(&outbound, &breaking.url("/")).await.unwrap_err();
    assert!(matches!(error, OutboundError::Broken { .. }), "{error}");

    let error = get(&outbound, &format!("http://{}/", nobody().await)).await.unwrap_err();
    assert!(matches!(error, OutboundError::Unreachable { .. }), "{error}");

    let script = scripted(Allow { clear_text: true, ..Allow::default() }, &[&[]]);
    let error = get(&script, "http://nowhere.example/").await.unwrap_err();
    assert!(matches!(error, OutboundError::Unresolved { .. }), "{error}");

    // An answer that is cut short is none.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1_024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await.unwrap();
    });
    let error = get(&outbound, &url).await.unwrap_err();
    assert!(matches!(error, OutboundError::Broken { .. }), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_does_not_stand_in_time_is_given_up() {
    // A server that accepts and then says nothing of TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let timeout = Duration::from_millis(50);
    let settings = OutboundSettings {
        allow: Allow { loopback: true, ..Allow::default() },
        connect_timeout: timeout,
        ..OutboundSettings::default()
    };
    let error = get(&Outbound::new(settings).unwrap(), &url).await.unwrap_err();
    assert_eq!(error, OutboundError::ConnectTimedOut { host: "127.0.0.1".to_owned(), timeout });
}

/// A server over TLS for `localhost`, and the certificate to believe it by.
async fn over_tls(protocols: &[&[u8]]) -> (Fake, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let fake = Fake::start_at("127.0.0.1:0", Some(acceptor), |_| Reply::body(200, "ok")).await;
    (fake, made.cert.pem())
}

fn believing(pem: Option<String>) -> Outbound {
    let allow = Allow { loopback: true, ..Allow::default() };
    let trust = Trust { system: false, pem };
    let script = Script { answers: vec![vec!["127.0.0.1"]; 2], asked: AtomicUsize::new(0) };
    let settings = OutboundSettings { allow, trust, ..OutboundSettings::default() };
    Outbound::with_resolver(settings, Arc::new(script)).unwrap()
}

#[tokio::test]
async fn tls_speaks_what_the_server_offers() {
    for protocols in [&[&b"h2"[..], b"http/1.1"][..], &[b"http/1.1"], &[]] {
        let (fake, pem) = over_tls(protocols).await;
        let url = format!("https://localhost:{}/a?b", fake.address.port());
        let answer = get(&believing(Some(pem)), &url).await.unwrap();
        assert_eq!(answer.body, "ok");
        assert_eq!(fake.seen()[0].target, "/a?b");
        let is_http2 = fake.seen()[0].headers.get("host").is_none();
        assert_eq!(is_http2, protocols.contains(&&b"h2"[..]));
    }
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_told_apart() {
    let (fake, pem) = over_tls(&[]).await;
    let fault = async |outbound: Outbound, host: &str| {
        let url = format!("https://{host}:{}/", fake.address.port());
        match get(&outbound, &url).await {
            Err(OutboundError::Tls { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fault(believing(None), "localhost").await, TlsFault::Certificate);
    assert_eq!(fault(believing(Some(pem)), "other.example").await, TlsFault::Name);
    assert!(fake.seen().is_empty());

    let plain = Fake::start(|_| Reply::status(200)).await;
    let url = format!("https://localhost:{}/", plain.address.port());
    let error = get(&believing(None), &url).await.unwrap_err();
    assert!(matches!(error, OutboundError::Tls { fault: TlsFault::Handshake, .. }), "{error}");
}
