//! The client against a server that does as it is told, byte for byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use millstream_wire::Codec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{CallError, Client, ClientSettings, Credentials, Endpoint, HttpVersion};

/// What the server does with a request.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Answers with this status, content type and body.
    Answer(u16, &'static str, &'static str),
    /// Answers so, and then closes the connection.
    AnswerAndClose(u16, &'static str, &'static str),
    /// Closes the connection without an answer.
    Close,
    /// Sends half of an answer, then closes the connection.
    Half,
    /// Answers with what is no HTTP.
    Babble(&'static [u8]),
    /// Never answers.
    Hang,
}

const JSON: &str = "application/x-amz-json-1.1";
const NAMES: Act = Act::Answer(200, JSON, r#"{"StreamNames":["a"],"HasMoreStreams":false}"#);
const THROTTLED: Act =
    Act::Answer(400, JSON, r#"{"__type":"LimitExceededException","message":"slower"}"#);

/// A server that acts on the requests it gets in this order; the last act goes on for ever.
/// Gives where it is and how many requests it has read.
async fn scripted(acts: &'static [Act]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(act_on(stream, acts, Arc::clone(&counted)));
        }
    });
    (address, count)
}

async fn act_on(mut stream: TcpStream, acts: &[Act], count: Arc<AtomicUsize>) {
    while read_request(&mut stream).await {
        let at = count.fetch_add(1, Ordering::SeqCst);
        let act = acts[at.min(acts.len() - 1)];
        match act {
            Act::Answer(status, kind, body) | Act::AnswerAndClose(status, kind, body) => {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
                     x-amzn-requestid: r-{at}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                if matches!(act, Act::AnswerAndClose(..)) {
                    return;
                }
            }
            Act::Close => return,
            Act::Half => {
                let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
                stream.write_all(half.as_bytes()).await.unwrap();
                return;
            }
            Act::Babble(bytes) => {
                stream.write_all(bytes).await.unwrap();
                return;
            }
            Act::Hang => std::future::pending().await,
        }
    }
}

/// Reads one whole request; `false` where the client has gone.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 4_096];
        let count = stream.read(&mut piece).await.unwrap_or(0);
        if count == 0 {
            return false;
        }
        request.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return true;
        }
    }
}

fn credentials() -> Credentials {
    Credentials {
        access_key_id: "id".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
    }
}

fn client(address: SocketAddr, attempts_max: u32) -> Client {
    let mut settings = ClientSettings::new("us-east-1", credentials());
    settings.endpoint =
        Some(Endpoint { is_tls: false, host: address.ip().to_string(), port: address.port() });
    settings.attempts_max = attempts_max;
    settings.timeout = Duration::from_millis(300);
    settings.connections = 1;
    Client::new(settings).unwrap()
}

#[tokio::test]
async fn what_is_throttled_or_broken_is_tried_again_until_it_succeeds() {
    static ACTS: &[Act] = &[THROTTLED, Act::Half, Act::Answer(500, JSON, "{}"), NAMES];
    let (address, count) = scripted(ACTS).await;
    assert_eq!(client(address, 5).list_streams().await.unwrap(), ["a"]);
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn what_cannot_succeed_is_tried_once() {
    static ACTS: &[Act] =
        &[Act::Answer(400, JSON, r#"{"__type":"ValidationException","message":"no"}"#)];
    let (address, count) = scripted(ACTS).await;
    let error = client(address, 5).list_streams().await.unwrap_err();
    let CallError::Service(error) = error else { panic!("{error}") };
    assert_eq!((error.code.as_str(), error.message.as_str()), ("ValidationException", "no"));
    assert_eq!((error.status, error.request_id.as_str()), (400, "r-0"));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_costs_no_attempt() {
    static ACTS: &[Act] =
        &[Act::AnswerAndClose(200, JSON, r#"{"StreamNames":[],"HasMoreStreams":false}"#), NAMES];
    let (address, _) = scripted(ACTS).await;
    let client = client(address, 1);
    client.list_streams().await.unwrap();
    // The close may be noticed before the next request, or by it.
    assert_eq!(client.list_streams().await.unwrap(), ["a"]);
}

#[tokio::test]
async fn each_way_of_not_answering_says_what_is_known() {
    let (address, _) = scripted(&[Act::Half]).await;
    let error = client(address, 1).list_streams().await.unwrap_err();
    assert!(matches!(error, CallError::Broken { .. }), "{error}");
    let (address, _) = scripted(&[Act::Hang]).await;
    let error = client(address, 1).list_streams().await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut { timeout_ms: 300, .. }), "{error}");
    let (address, _) = scripted(&[Act::Close]).await;
    let error = client(address, 1).list_streams().await.unwrap_err();
    assert!(matches!(error, CallError::Broken { .. }), "{error}");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client(free, 1).list_streams().await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_speaks_something_else_is_told_from_one_that_is_away() {
    // What a TLS listener says to a request in clear text: a fatal alert.
    let (address, count) = scripted(&[Act::Babble(b"\x15\x03\x03\x00\x02\x02\x46")]).await;
    let error = client(address, 5).list_streams().await.unwrap_err();
    assert!(matches!(error, CallError::NotHttp { .. }), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 1, "trying again would not help");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let mut settings = ClientSettings::new("us-east-1", credentials());
    settings.endpoint = Some(format!("https://{address}").parse().unwrap());
    let error = Client::new(settings).unwrap().list_streams().await.unwrap_err();
    assert!(matches!(error, CallError::NotTls { .. }), "{error}");
}

#[tokio::test]
async fn connections_opened_ahead_are_the_ones_that_are_used() {
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(act_on(stream, &[NAMES], Arc::default()));
            }
        });
        let mut settings = ClientSettings::new("us-east-1", credentials());
        settings.endpoint = Some(format!("http://{address}").parse().unwrap());
        settings.connections = 40;
        settings.version = version;
        let client = Client::new(settings).unwrap();
        client.connect_ahead().await.unwrap();
        if version == HttpVersion::Http1 {
            assert_eq!(client.list_streams().await.unwrap(), ["a"]);
        }
        assert_eq!(accepted.load(Ordering::SeqCst), 40, "{version:?}");
    }
}

#[tokio::test]
async fn an_error_that_is_no_error_of_the_service_is_shown_as_it_came() {
    static ACTS: &[Act] = &[Act::Answer(403, "text/html", "<html>a proxy</html>")];
    let (address, _) = scripted(ACTS).await;
    let error = client(address, 1).list_streams().await.unwrap_err();
    assert!(error.to_string().contains("HTTP 403"), "{error}");
    assert!(error.to_string().contains("a proxy"), "{error}");
    let (address, _) = scripted(&[Act::Answer(200, JSON, "[]")]).await;
    let error = client(address, 1).list_streams().await.unwrap_err();
    assert!(matches!(error, CallError::Unreadable { .. }), "{error}");
}

#[tokio::test]
async fn answers_to_fewer_records_than_were_put_are_not_taken_for_success() {
    static ACTS: &[Act] = &[Act::Answer(200, JSON, r#"{"Records":[],"FailedRecordCount":0}"#)];
    let (address, _) = scripted(ACTS).await;
    let entry = millstream_api::kinesis::PutRecordsRequestEntry {
        data: Bytes::from_static(b"x"),
        partition_key: "k".to_owned(),
        explicit_hash_key: None,
    };
    let error = client(address, 1).put_records("s", vec![entry]).await.unwrap_err();
    assert!(error.to_string().contains("0 answers to 1 records"), "{error}");
}

#[test]
fn a_client_says_which_encoding_it_speaks() {
    let settings = ClientSettings::new("eu-west-1", credentials());
    let client = Client::new(settings).expect("the system trusts someone");
    assert_eq!(client.codec(), Codec::Json11);
    assert_eq!(client.endpoint(), &Endpoint::of_aws("eu-west-1"));
}
