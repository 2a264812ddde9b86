//! One connection, from its first byte to its last.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::gate::{Gate, Peer};
use crate::limits::ServerLimits;
use crate::transport::{Rewound, Unstalled, sniff};
use crate::untaken::Untaken;

/// Both ways of speaking HTTP, set up once.
#[derive(Clone, Debug)]
pub(crate) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

/// HTTP/2 streams that were reset before anyone looked at them (hyper's own default, named here
/// because rapid resets are an attack: CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 20;
/// Streams that we had to reset (hyper's own default, against CVE-2025-8671).
const LOCAL_RESETS_MAX: usize = 1_024;
/// How much may come on a connection before we take it off, in bytes: one large PutRecords keeps
/// flowing, many connections do not add up.
const WINDOW_BYTES: u32 = 1024 * 1024;
const FRAME_BYTES: u32 = 32 * 1024;
/// How much of HTTP/1 is read at once, in bytes: a connection keeps as much for as long as it
/// lives, so it is no more than a head may have.
const BUFFER_BYTES: usize = 32 * 1024;

impl Protocols {
    pub(crate) fn new(limits: &ServerLimits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // Without a timer the deadline would silently not hold.
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_deadline)
            .max_buf_size(BUFFER_BYTES)
            .max_header_size(usize::try_from(limits.header_bytes_max).unwrap_or(usize::MAX));
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.ping_interval)
            .keep_alive_timeout(limits.ping_interval)
            .max_concurrent_streams(limits.streams_per_connection_max)
            .max_header_list_size(limits.header_bytes_max)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(LOCAL_RESETS_MAX)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES);
        Self { http1, http2 }
    }
}

/// Serves a connection that was just accepted.
pub(crate) async fn serve_connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    peer: Peer,
    gate: Arc<Gate>,
    protocols: Protocols,
    watcher: Watcher,
) {
    // Small answers must not wait for one another.
    let _ = stream.set_nodelay(true);
    let stream = Unstalled::new(stream, gate.limits.write_stall_deadline);
    // Each way on is boxed, so that a connection weighs what it uses and not the heaviest way.
    let Some(tls) = tls else {
        return Box::pin(speak(stream, false, peer, gate, protocols, watcher)).await;
    };
    let mut draining = gate.draining.clone();
    let shaken = tokio::select! {
        biased;
        _ = draining.wait_for(|draining| *draining) => return,
        shaken = Box::pin(timeout(gate.limits.handshake_deadline, tls.accept(stream))) => shaken,
    };
    let Ok(Ok(stream)) = shaken else {
        gate.metrics.handshakes_failed.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Box::pin(speak(stream, is_http2, peer, gate, protocols, watcher)).await;
}

async fn speak<S>(
    stream: S,
    is_http2: bool,
    peer: Peer,
    gate: Arc<Gate>,
    protocols: Protocols,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (is_http2, stream) = if is_http2 {
        (true, Rewound::not_read(stream))
    } else {
        let mut draining = gate.draining.clone();
        let sniffed = tokio::select! {
            biased;
            // A connection that has asked for nothing is owed nothing.
            _ = draining.wait_for(|draining| *draining) => return,
            sniffed = timeout(gate.limits.head_deadline, sniff(stream)) => sniffed,
        };
        match sniffed {
            Ok(Ok(Some(sniffed))) => sniffed,
            Ok(Ok(None) | Err(_)) | Err(_) => return,
        }
    };
    let untaken = Untaken::new(&gate.limits);
    let answers = untaken.clone();
    let service = service_fn(move |request| {
        let (gate, answers) = (gate.clone(), answers.clone());
        async move { gate.handle(request, peer, &answers).await }
    });
    let io = TokioIo::new(stream);
    let ended = if is_http2 {
        let served = watcher.watch(protocols.http2.serve_connection(io, service));
        tokio::select! {
            biased;
            ended = Box::pin(served) => ended,
            () = untaken.is_stalled() => {
                tracing::debug!(source_ip = %peer.ip, "closed: an answer was not taken in time");
                return;
            }
        }
    } else {
        // What HTTP/1 does not take stalls its socket, which is watched for itself.
        Box::pin(watcher.watch(protocols.http1.serve_connection(io, service))).await
    };
    if let Err(error) = ended {
        tracing::debug!(source_ip = %peer.ip, %error, "a connection ended badly");
    }
}
