//! Records on their way through a function.
//!
//! Owns the batches: collected by size and interval as configured, several under way at once,
//! each tried again as often as configured, and their results handed on in the order in which the
//! records came. Its memory is leased before a batch is begun and held until its results are
//! where they go.
//!
//! Source: the guide's "Data transformation flow": batches up to the buffering hint, five
//! invocations at once (ten to Splunk), three retries.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use millstream_core::Timestamp;
use millstream_destinations::lambda::{
    Invocation, PAYLOAD_BYTES_MAX, SourceRecord, StreamMetadata, Verdict, event_bytes,
};
use millstream_destinations::{Failure, backoff};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::budget::Lease;
use super::fail_point::{self, FailPoint};
use super::outlets::Transformer;
use super::process::Piece;
use super::station::{PROCESSING, Station};
use crate::plan::{Buffering, Function, Target, Transform};

/// Invocations under way at once (documented).
const UNDER_WAY_MAX: usize = 5;
/// The same on the way to Splunk (documented).
const UNDER_WAY_MAX_SPLUNK: usize = 10;
/// Bytes of a batch for a function in this process, where there is no way to go that more records
/// at once would pay for; and how long it is collected at most. Ours.
const OWN_BATCH: Buffering = Buffering { bytes: 256 << 10, interval: Duration::from_millis(20) };
/// No wait between two tries is longer.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Transformed {
    pub(super) pieces: Vec<Piece>,
    /// A verdict for each piece; or why there is none, and after how many attempts.
    pub(super) outcome: Result<Vec<Verdict>, (Failure, u32)>,
    /// Held until the pieces are where they go.
    pub(super) lease: Lease,
}

/// The batches of one delivery stream.
#[derive(Debug)]
pub(super) struct Staging {
    station: Arc<Station>,
    function: Arc<dyn Transformer>,
    buffering: Buffering,
    retries: u32,
    under_way_max: usize,
    /// Of a batch: its records, their event, and the answer.
    batch_bytes: usize,
    batch: Option<Batch>,
    under_way: FuturesOrdered<Task>,
    /// When the first record of each batch under way arrived.
    sent: VecDeque<Timestamp>,
}

/// An invocation that ends with whoever waits for it.
#[derive(Debug)]
struct Task(JoinHandle<Transformed>);

impl Future for Task {
    type Output = Result<Transformed, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Batch {
    pieces: Vec<Piece>,
    bytes: u64,
    event_bytes: usize,
    opened: Instant,
    lease: Lease,
}

impl Batch {
    fn oldest(&self) -> Option<Timestamp> {
        self.pieces.first().map(|piece| piece.arrived)
    }
}

impl Staging {
    pub(super) fn new(
        station: Arc<Station>,
        function: Arc<dyn Transformer>,
        transform: &Transform,
    ) -> Self {
        let is_splunk = matches!(station.plan.target, Target::Splunk(_));
        let is_own = matches!(transform.function, Function::Wasm { .. });
        let buffering = if is_own { OWN_BATCH } else { transform.buffering };
        let bytes = usize::try_from(buffering.bytes).unwrap_or(usize::MAX).min(PAYLOAD_BYTES_MAX);
        Self {
            station,
            function,
            buffering,
            retries: transform.retries,
            under_way_max: if is_splunk { UNDER_WAY_MAX_SPLUNK } else { UNDER_WAY_MAX },
            batch_bytes: if is_own { bytes + PAYLOAD_BYTES_MAX } else { bytes * 3 },
            batch: None,
            under_way: FuturesOrdered::new(),
            sent: VecDeque::new(),
        }
    }

    /// Whether nothing is collected or under way.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_none() && self.under_way.is_empty()
    }

    /// When the oldest record arrived that is collected or under way.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.sent.front().copied().or_else(|| self.batch.as_ref()?.oldest())
    }

    /// Whether another batch may go.
    fn has_place(&self) -> bool {
        self.under_way.len() < self.under_way_max
    }

    /// Whether a batch has to be opened, with memory, before a piece is put.
    pub(super) fn needs_lease(&self) -> bool {
        self.batch.is_none()
    }

    /// Bytes of memory that a batch takes.
    pub(super) fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    /// Opens a batch.
    pub(super) fn open(&mut self, lease: Lease, now: Instant) {
        let event_bytes = event_bytes([]);
        self.batch = Some(Batch { pieces: Vec::new(), bytes: 0, event_bytes, opened: now, lease });
    }

    /// Adds a piece to the open batch; gives it back where it does not fit: then the batch is to
    /// be sent first.
    pub(super) fn put(&mut self, piece: Piece) -> Option<Piece> {
        let record_bytes = event_bytes([&source_record(&self.station, &piece)]) - event_bytes([]);
        let Some(batch) = &mut self.batch else { return Some(piece) };
        let bytes = batch.bytes + piece.data.len() as u64;
        let event_bytes = batch.event_bytes + record_bytes;
        let fits = bytes <= self.buffering.bytes && event_bytes <= PAYLOAD_BYTES_MAX;
        if !fits && !batch.pieces.is_empty() {
            return Some(piece);
        }
        batch.pieces.push(piece);
        (batch.bytes, batch.event_bytes) = (bytes, event_bytes);
        None
    }

    /// When the open batch is to be sent, full or not; `None` while none may.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let is_filled = |batch: &&Batch| !batch.pieces.is_empty();
        let batch = self.batch.as_ref().filter(|_| self.has_place()).filter(is_filled)?;
        let is_full = batch.bytes >= self.buffering.bytes;
        Some(if is_full { batch.opened } else { batch.opened + self.buffering.interval })
    }

    /// Sends the open batch if another may be under way.
    pub(super) fn send(&mut self) -> bool {
        if !self.has_place() {
            return false;
        }
        let Some(batch) = self.batch.take() else { return false };
        self.sent.push_back(batch.oldest().unwrap_or_default());
        let (station, function) = (Arc::clone(&self.station), Arc::clone(&self.function));
        let run = invoke(station, function, batch, self.retries);
        self.under_way.push_back(Task(tokio::spawn(run)));
        true
    }

    /// Waits for the oldest batch under way. Dropping it loses nothing.
    pub(super) async fn next(&mut self) -> Result<Transformed, JoinError> {
        match self.under_way.next().await {
            Some(outcome) => {
                self.sent.pop_front();
                outcome
            }
            None => std::future::pending().await,
        }
    }
}

fn source_record(station: &Station, piece: &Piece) -> SourceRecord {
    let stream = station.source_stream().and_then(|_| {
        Some(StreamMetadata {
            shard_id: u32::try_from(piece.id.part)
                .map_or_else(|_| String::new(), |part| millstream_core::ShardId(part).to_string()),
            partition_key: piece.partition_key.as_deref()?.to_owned(),
            sequence_number: String::from_utf8_lossy(piece.sequence.as_ref()?).into_owned(),
            subsequence_number: u64::from(piece.id.index),
        })
    });
    let (id, arrived, data) = (piece.id.to_string(), piece.arrived, piece.data.clone());
    SourceRecord { id, arrived, data, stream }
}

async fn invoke(
    station: Arc<Station>,
    function: Arc<dyn Transformer>,
    batch: Batch,
    retries: u32,
) -> Transformed {
    let Batch { pieces, lease, .. } = batch;
    let records: Vec<SourceRecord> =
        pieces.iter().map(|piece| source_record(&station, piece)).collect();
    let source_stream_arn = station.source_stream();
    let invocation = Invocation {
        id: &super::naming::invocation_id(&station.origin, &pieces),
        delivery_stream_arn: &station.arn,
        source_stream_arn: source_stream_arn.as_deref(),
        region: station.region(),
        records: &records,
    };
    let counters = station.counters();
    let mut attempts = 0;
    let outcome = loop {
        attempts += 1;
        let begun = Instant::now();
        let outcome = function.invoke(&invocation).await;
        counters.invocations.add(1);
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        counters.invocation_ms.add(ms);
        fail_point::reached(FailPoint::AfterInvocation).await;
        match outcome {
            Ok(verdicts) if verdicts.len() == pieces.len() => {
                counters.invocation_successes.add(1);
                break Ok(verdicts);
            }
            Ok(_) => {
                let message = "the function's answer has another number of records";
                break Err((
                    Failure::permanent("Lambda.JsonProcessingException", message),
                    attempts,
                ));
            }
            Err(failure) => {
                station.log(PROCESSING, &failure);
                if !failure.is_retryable || attempts > retries {
                    break Err((failure, attempts));
                }
            }
        }
        let random = station.commons.rand.next_u64();
        tokio::time::sleep(backoff::wait(attempts - 1, random).min(WAIT_MAX)).await;
    };
    Transformed { pieces, outcome, lease }
}
