//! What a connection costs that asks for nothing.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod common;

use std::time::Duration;

use common::{Client, JSON, Mode, start};
use millstream_server::ServerLimits;
use tokio::net::TcpStream;

/// The promise: 10,000 idle connections in 240 MiB, most of which are HTTP/1's two buffers.
const BYTES_PER_USED_CONNECTION_MAX: usize = 24 * 1024;
/// And of those that never said anything, 120 MiB.
const BYTES_PER_SILENT_CONNECTION_MAX: usize = 12 * 1024;
const CONNECTIONS: usize = 2_000;

/// This process's resident memory; `None` where the system does not say.
fn resident_bytes() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').nth(1)?.parse::<usize>().ok()? * 4_096)
}

async fn until_open(running: &common::Running, count: usize) {
    let mut client = Client::http1(running.address).await;
    let wanted = format!("millstream_connections_open {}", count + 1);
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let request = http::Request::get(format!("http://{}/metrics", running.address))
                .header("host", "localhost")
                .body(http_body_util::Full::default())
                .unwrap();
            let metrics = client.send(request).await;
            if String::from_utf8_lossy(metrics.body()).lines().any(|line| line == wanted) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn idle_connections_cost_little_before_and_after_their_first_request() {
    let running = start(Mode::Verified, ServerLimits::default()).await;
    until_open(&running, 0).await;
    let Some(before) = resident_bytes() else { return };
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    until_open(&running, CONNECTIONS).await;
    let each = resident_bytes().unwrap().saturating_sub(before) / CONNECTIONS;
    println!("{each} bytes for each connection that said nothing, both ends");
    assert!(each <= BYTES_PER_SILENT_CONNECTION_MAX, "{each}");
    drop(silent);

    // Clients cost memory too, in this process: a raw one costs least.
    let before = resident_bytes().unwrap();
    let request = running.signed("ListStreams", JSON, b"{}");
    let mut text = "POST / HTTP/1.1\r\ncontent-length: 2\r\n".to_owned();
    for (name, value) in request.headers() {
        text.extend([name.as_str(), ": ", value.to_str().unwrap(), "\r\n"]);
    }
    text.push_str("\r\n{}");
    let mut used = Vec::new();
    for _ in 0..CONNECTIONS {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        used.push(stream);
    }
    let each = resident_bytes().unwrap().saturating_sub(before) / CONNECTIONS;
    println!("{each} bytes for each connection that made a request, both ends");
    assert!(each <= BYTES_PER_USED_CONNECTION_MAX, "{each}");
}
