//! What connections cost that ask for nothing, or never finish asking.
//!
//! The clients live in a process of their own, so that this one's memory is the server's alone.
//! `docs/threat-model.md` states the budget; `cargo test -p millstream-server --test memory
//! -- --nocapture` prints what was measured.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod common;
mod crowd;
mod heap;

use std::time::Duration;

use common::{Client, Mode, Running, start};
use crowd::{Crowd, Kind};
use heap::{CountedHeap, live_bytes};
use millstream_server::ServerLimits;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The promise for a connection that asks for nothing, whatever it asked for before: 10,000 of
/// them in 640 MB.
const IDLE_BYTES_MAX: usize = 64 * KIB;
/// And before it said anything.
const SILENT_BYTES_MAX: usize = 12 * KIB;
/// And in the middle of a request's head.
const SLOW_BYTES_MAX: usize = 96 * KIB;

#[global_allocator]
static HEAP: CountedHeap = CountedHeap;

async fn until_open(running: &Running, count: usize) {
    let wanted = format!("millstream_connections_open {}", count + 1);
    let mut found = String::new();
    let seen = tokio::time::timeout(Duration::from_secs(60), async {
        let mut client = Client::http1(running.address).await;
        loop {
            let request = http::Request::get(format!("http://{}/metrics", running.address))
                .header("host", "localhost")
                .body(http_body_util::Full::default())
                .unwrap();
            let metrics = client.send(request).await;
            let text = String::from_utf8_lossy(metrics.body());
            let line = text.lines().find(|line| line.starts_with("millstream_connections_open "));
            line.unwrap_or_default().clone_into(&mut found);
            if found == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(seen.is_ok(), "found {found:?}, wanted {wanted:?}");
}

/// The usual limits without deadlines, so that nothing is closed on a slow machine.
fn patient() -> ServerLimits {
    let hour = Duration::from_secs(3_600);
    ServerLimits {
        head_deadline: hour,
        body_idle_deadline: hour,
        write_stall_deadline: hour,
        ping_interval: hour,
        ..ServerLimits::default()
    }
}

/// Waits until the heap has come to rest, and says how large it is.
async fn heap_at_rest() -> usize {
    let mut before = usize::MAX;
    loop {
        let now = live_bytes();
        if now.abs_diff(before) < 64 * KIB {
            return now;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What each of `count` connections of a kind adds to the heap.
async fn cost(running: &Running, kind: Kind, count: usize, open: usize) -> (Crowd, usize) {
    let before = heap_at_rest().await;
    let crowd = Crowd::start(running, kind, count).await;
    until_open(running, open + count).await;
    let each = heap_at_rest().await.saturating_sub(before) / count;
    println!("{kind:?}: {each} bytes for each of {count} connections");
    (crowd, each)
}

#[tokio::test]
async fn ten_thousand_idle_connections_stay_within_their_budget() {
    let room = usize::try_from(crowd::raise_open_files()).unwrap_or(usize::MAX).min(10_500) - 500;
    let running = start(Mode::Dev, patient()).await;
    until_open(&running, 0).await;
    let (mut held, mut open, mut bytes) = (Vec::new(), 0, 0);
    for (kind, percent, bytes_max) in [
        (Kind::Silent, 20, SILENT_BYTES_MAX),
        (Kind::Http1, 20, IDLE_BYTES_MAX),
        (Kind::Http1AfterLargeBody, 20, IDLE_BYTES_MAX),
        (Kind::Http2, 20, IDLE_BYTES_MAX),
        (Kind::Http2AfterLargeBody, 18, IDLE_BYTES_MAX),
        // Few, for handshakes take their time in a build that is not optimised.
        (Kind::Http2OverTls, 2, IDLE_BYTES_MAX),
    ] {
        let count = room * percent / 100;
        let (crowd, each) = cost(&running, kind, count, open).await;
        assert!(each <= bytes_max, "{kind:?}: {each}");
        held.push(crowd);
        open += count;
        bytes += each * count;
    }
    println!("{} MiB for {open} connections of all kinds", bytes / MIB);
    assert!(bytes <= open * IDLE_BYTES_MAX);
}

#[tokio::test]
async fn half_a_head_or_a_frame_costs_no_more_than_it_may_have() {
    crowd::raise_open_files();
    let running = start(Mode::Verified, patient()).await;
    until_open(&running, 0).await;
    let mut held = Vec::new();
    for (nth, kind) in [Kind::HalfHead, Kind::HalfFrame, Kind::HalfHeaders].into_iter().enumerate()
    {
        let (crowd, each) = cost(&running, kind, 300, nth * 300).await;
        assert!(each <= SLOW_BYTES_MAX, "{kind:?}: {each}");
        held.push(crowd);
    }
}
