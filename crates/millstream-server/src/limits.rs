//! Every bound that keeps one client, or all of them, from taking the server down.

use std::time::Duration;

/// Caps and deadlines of a server. All are ours: the service's own quotas are in
/// `millstream_core::limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at one time; one more is closed as soon as it is accepted.
    pub connections_max: usize,
    /// Bytes of one request's body: the largest PutRecords is 10 MiB of data, 14 in base64.
    pub body_bytes_max: usize,
    /// Bytes of all requests and answers being received, worked on or not yet taken by their
    /// client; beyond it requests are throttled, and where even such refusals are not taken,
    /// reset.
    pub in_flight_bytes_max: usize,
    /// Bytes of one request's headers.
    pub header_bytes_max: u32,
    /// Requests on one HTTP/2 connection at one time.
    pub streams_per_connection_max: u32,
    /// How long a TLS handshake may take.
    pub handshake_deadline: Duration,
    /// How long a connection may be idle or send a request's head; above the 60 s that SDKs keep
    /// idle connections, so that they are the ones to close.
    pub head_deadline: Duration,
    /// How long a body may stand still.
    pub body_idle_deadline: Duration,
    /// The slowest a body may come on average, in bytes a second, after the first
    /// `body_idle_deadline`.
    pub body_bytes_per_second_min: usize,
    /// How long a client may take no byte of an answer.
    pub write_stall_deadline: Duration,
    /// How long a client may leave a piece of an event stream lie: slow readers are usual there,
    /// and a stream ends after five minutes anyway.
    pub event_stall_deadline: Duration,
    /// How often an HTTP/2 connection is asked whether it still lives.
    pub ping_interval: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            body_bytes_max: 16 * 1024 * 1024,
            in_flight_bytes_max: 512 * 1024 * 1024,
            header_bytes_max: 32 * 1024,
            streams_per_connection_max: 256,
            handshake_deadline: Duration::from_secs(10),
            head_deadline: Duration::from_secs(75),
            body_idle_deadline: Duration::from_secs(20),
            body_bytes_per_second_min: 32 * 1024,
            write_stall_deadline: Duration::from_secs(60),
            event_stall_deadline: Duration::from_secs(300),
            ping_interval: Duration::from_secs(30),
        }
    }
}

/// What each request counts for beside its body, until its answer was taken: its head, its task,
/// a small answer. An HTTP/2 stream with such an answer was measured to hold 3.6 KiB.
pub(crate) const REQUEST_BYTES: usize = 8 * 1024;
/// Answers below this size, in bytes, are part of what each request counts for.
pub(crate) const ANSWER_BYTES_COUNTED_MIN: usize = 4 * 1024;
/// Refusals may hold this part of what requests may hold, on top of it.
pub(crate) const REFUSALS_PART: usize = 32;
/// From this size on a body is hashed on another thread, in bytes: about half a millisecond.
pub(crate) const HASH_ELSEWHERE_BYTES: usize = 1024 * 1024;
/// The largest form of the query protocol, in bytes.
pub(crate) const FORM_BYTES_MAX: usize = 1024 * 1024;
/// How much of a body is read and thrown away after an early error, in bytes, so that the client
/// gets to read the answer.
pub(crate) const DISCARDED_BYTES_MAX: usize = 16 * 1024 * 1024;
