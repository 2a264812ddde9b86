//! Many connections of one kind, held by a process of their own.

#![allow(dead_code)] // Two kinds are for measurements by hand.
#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use crate::common::{JSON, Running};

/// What each connection of a crowd does before it falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing at all.
    Silent,
    /// A small request.
    Http1,
    /// A request of [`LARGE_BYTES`].
    Http1AfterLargeBody,
    Http2,
    Http2AfterLargeBody,
    Http2OverTls,
    /// A request's head, all but its end.
    HalfHead,
    /// Announces a body of 1 MiB and sends [`HALF_BODY_BYTES`] of it.
    HalfBody,
    /// All but the last byte of the largest frame of HTTP/2.
    HalfFrame,
    /// A header block of HTTP/2 that goes on and on.
    HalfHeaders,
    /// As many requests as one connection may have, whose answers it does not take.
    ZeroWindow,
}

const KINDS: [Kind; 11] = [
    Kind::Silent,
    Kind::Http1,
    Kind::Http1AfterLargeBody,
    Kind::Http2,
    Kind::Http2AfterLargeBody,
    Kind::Http2OverTls,
    Kind::HalfHead,
    Kind::HalfBody,
    Kind::HalfFrame,
    Kind::HalfHeaders,
    Kind::ZeroWindow,
];

/// A few times what the server reads at once.
pub(crate) const LARGE_BYTES: usize = 128 * 1024;
pub(crate) const HALF_BODY_BYTES: usize = 64 * 1024;
const HEAD_BYTES: usize = 30 * 1024;
const STREAMS: usize = 256;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const ORDER: &str = "MILLSTREAM_CROWD";

/// The process and its connections; gone when dropped.
#[allow(dead_code)] // Held, never looked at.
pub(crate) struct Crowd {
    child: Child,
    /// Held open: a test's runner that takes long says so, and ends where nobody listens.
    lines: Lines<BufReader<ChildStdout>>,
}

/// As many open files as the system grants to whoever asks.
pub(crate) fn raise_open_files() -> u64 {
    let resource = rustix::process::Resource::Nofile;
    let mut limit = rustix::process::getrlimit(resource);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(resource, limit);
    rustix::process::getrlimit(resource).current.unwrap_or(u64::MAX)
}

impl Crowd {
    /// Connects `count` times, and returns once each has done what its kind does.
    pub(crate) async fn start(running: &Running, kind: Kind, count: usize) -> Self {
        let place = KINDS.iter().position(|known| *known == kind).unwrap();
        let order = format!("{place} {count} {} {}", running.address, running.tls_address);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crowd::a_crowd_of_clients", "--exact", "--ignored", "--nocapture"])
            .env(ORDER, order)
            .env("MILLSTREAM_CROWD_AUTHORITY", &running.authority.pem.certificate)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while lines.next_line().await.unwrap().expect("the crowd speaks") != "all are there" {}
        Self { child, lines }
    }
}

/// Not a test of its own: the process that the tests start.
#[tokio::test]
#[ignore = "run by the tests of memory"]
async fn a_crowd_of_clients() {
    let Ok(order) = std::env::var(ORDER) else { return };
    raise_open_files();
    let order: Vec<&str> = order.split(' ').collect();
    let kind = KINDS[order[0].parse::<usize>().unwrap()];
    let address: SocketAddr = order[2].parse().unwrap();
    let tls_address: SocketAddr = order[3].parse().unwrap();
    let mut held: Vec<Box<dyn std::any::Any>> = Vec::new();
    for _ in 0..order[1].parse::<usize>().unwrap() {
        held.push(match kind {
            Kind::Silent => Box::new(TcpStream::connect(address).await.unwrap()),
            Kind::Http1 => Box::new(http1(address, b"{}").await),
            Kind::Http1AfterLargeBody => Box::new(http1(address, &vec![b'x'; LARGE_BYTES]).await),
            Kind::Http2 => {
                let stream = TcpStream::connect(address).await.unwrap();
                Box::new(http2(stream, address, 2).await)
            }
            Kind::Http2AfterLargeBody => {
                let stream = TcpStream::connect(address).await.unwrap();
                Box::new(http2(stream, address, LARGE_BYTES).await)
            }
            Kind::Http2OverTls => {
                let stream = tls(tls_address).await;
                Box::new(http2(stream, tls_address, 2).await)
            }
            Kind::HalfHead => Box::new(half_head(address).await),
            Kind::HalfBody => Box::new(half_body(address).await),
            Kind::HalfFrame => Box::new(half_frame(address).await),
            Kind::HalfHeaders => Box::new(half_headers(address).await),
            Kind::ZeroWindow => Box::new(zero_window(address).await),
        });
    }
    println!("\nall are there");
    // The parent's end of the pipe closes when it lets go.
    let _ = tokio::io::stdin().read(&mut [0; 1]).await;
    drop(held);
}

async fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

fn head(address: SocketAddr, operation: &str, length: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: {JSON}\r\n\
         x-amz-target: Kinesis_20131202.{operation}\r\ncontent-length: {length}\r\n"
    )
}

async fn http1(address: SocketAddr, body: &[u8]) -> TcpStream {
    let text = head(address, "PutRecords", body.len()) + "\r\n";
    let mut stream = send(address, &[text.as_bytes(), body].concat()).await;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    stream
}

async fn half_head(address: SocketAddr) -> TcpStream {
    let text = head(address, "PutRecords", 2) + "x-filler: " + &"x".repeat(HEAD_BYTES);
    send(address, text.as_bytes()).await
}

async fn half_body(address: SocketAddr) -> TcpStream {
    let text = head(address, "PutRecords", 1024 * 1024) + "\r\n";
    send(address, &[text.as_bytes(), &vec![b'x'; HALF_BODY_BYTES]].concat()).await
}

/// A frame's head: length (3 bytes), type, flags, stream.
fn frame(length: usize, kind: u8, flags: u8, stream: u8) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream]].concat()
}

async fn half_frame(address: SocketAddr) -> TcpStream {
    const UNKNOWN: u8 = 0x77;
    let length = 32 * 1024;
    let settings = frame(0, 4, 0, 0);
    let begun = frame(length, UNKNOWN, 0, 0);
    send(address, &[PREFACE, &settings, &begun, &vec![0; length - 1]].concat()).await
}

async fn half_headers(address: SocketAddr) -> TcpStream {
    // A literal header without indexing, its name and its value each of 100 bytes.
    let field = [&[0, 100][..], &[b'n'; 100], &[100], &[b'v'; 100]].concat();
    let block = field.repeat(60);
    let mut bytes = [PREFACE, &frame(0, 4, 0, 0)].concat();
    bytes.extend(frame(block.len(), 1, 1, 1));
    bytes.extend_from_slice(&block);
    for _ in 0..2 {
        bytes.extend(frame(block.len(), 9, 0, 1));
        bytes.extend_from_slice(&block);
    }
    send(address, &bytes).await
}

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

fn request(address: SocketAddr, operation: &str, length: usize) -> Request<Full<Bytes>> {
    Request::post(format!("http://{address}/"))
        .header("content-type", JSON)
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .body(Full::new(Bytes::from(vec![b'x'; length])))
        .unwrap()
}

async fn http2<S>(stream: S, address: SocketAddr, length: usize) -> Sender
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (executor, io) = (TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let answer = client.send_request(request(address, "PutRecords", length)).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.unwrap();
    client
}

/// Answers begin to come, and nobody takes a byte of them.
async fn zero_window(address: SocketAddr) -> (Sender, Vec<http::Response<hyper::body::Incoming>>) {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut answers = Vec::new();
    for _ in 0..STREAMS {
        // Where the server is full, the request is reset.
        if client.ready().await.is_ok()
            && let Ok(answer) = client.send_request(request(address, "ListShards", 2)).await
        {
            answers.push(answer);
        }
    }
    (client, answers)
}

async fn tls(address: SocketAddr) -> tokio_rustls::client::TlsStream<TcpStream> {
    use rustls::pki_types::pem::PemObject;
    let pem = std::env::var("MILLSTREAM_CROWD_AUTHORITY").unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let tcp = TcpStream::connect(address).await.unwrap();
    connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap()
}
