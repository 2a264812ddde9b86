//! The loads, the same for everyone, and which figure of each is the one that counts.

use serde::{Deserialize, Serialize};

use super::results::Measure;

/// Shards of each stream, and partitions of each topic.
pub(super) const SHARDS: u32 = 4;

/// One load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Workload {
    /// One record at a time on one connection: what a put costs when nothing else happens.
    PutIdle,
    /// PutRecord of 100 B on 16 connections.
    PutSingle16,
    /// PutRecord of 100 B on 64 connections.
    PutSingle64,
    /// PutRecords of 500 × 1 KiB.
    PutBatch,
    /// GetRecords in JSON of records of 1 KiB.
    GetJson,
    /// GetRecords in CBOR of records of 1 KiB.
    GetCbor,
    /// From the put of a record to its arrival at a subscriber.
    FanOut,
}

/// Which figure of a load is compared, and whether more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    /// Payload, in MB (10^6 bytes) a second.
    MegabytesPerSecond,
    RecordsPerSecond,
    /// The median latency in milliseconds; less is better.
    P50Ms,
    /// The 99th percentile in milliseconds; less is better.
    P99Ms,
}

impl Workload {
    /// In the order of measuring: quiet before loud, and reads after the puts that feed them.
    pub(super) const ALL: [Self; 7] = [
        Self::PutIdle,
        Self::FanOut,
        Self::PutSingle16,
        Self::PutSingle64,
        Self::PutBatch,
        Self::GetJson,
        Self::GetCbor,
    ];

    /// The heading of its table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::PutIdle => "PutRecord, 100 B, one connection",
            Self::PutSingle16 => "PutRecord, 100 B, 16 connections",
            Self::PutSingle64 => "PutRecord, 100 B, 64 connections",
            Self::PutBatch => "PutRecords, 500 × 1 KiB, 4 connections",
            Self::GetJson => "GetRecords, JSON, 1 KiB records, 4 connections",
            Self::GetCbor => "GetRecords, CBOR, 1 KiB records, 4 connections",
            Self::FanOut => "Put to subscriber (SubscribeToShard), 100 B, 200 records/s",
        }
    }

    /// What Kafka's own tools do in its place; none where there is no such thing.
    pub(super) fn kafka_note(self) -> Option<&'static str> {
        match self {
            Self::PutIdle => Some("Kafka: producer, 100 B, 200 records/s, `linger.ms=0`"),
            Self::PutBatch => {
                Some("Kafka: producer, 1 KiB, `batch.size=524288`, `linger.ms=5`, pipelined")
            }
            Self::GetJson => Some("Kafka: consumer of what the producer wrote, binary"),
            Self::FanOut => Some("Kafka: end-to-end latency tool, one message at a time"),
            Self::PutSingle16 | Self::PutSingle64 | Self::GetCbor => None,
        }
    }

    /// The figure that is compared.
    pub(super) fn figure(self) -> Figure {
        match self {
            Self::PutIdle => Figure::P50Ms,
            Self::PutSingle16 | Self::PutSingle64 => Figure::RecordsPerSecond,
            Self::PutBatch | Self::GetJson | Self::GetCbor => Figure::MegabytesPerSecond,
            Self::FanOut => Figure::P99Ms,
        }
    }

    /// The load tool's words for it, after `millstream bench`.
    pub(super) fn bench_arguments(self) -> &'static [&'static str] {
        match self {
            Self::PutIdle => &["put-single", "--record-bytes", "100", "--connections", "1"],
            Self::PutSingle16 => &["put-single", "--record-bytes", "100", "--connections", "16"],
            Self::PutSingle64 => &["put-single", "--record-bytes", "100", "--connections", "64"],
            Self::PutBatch => &["put-batch", "--record-bytes", "1024", "--connections", "4"],
            Self::GetJson => &GET,
            Self::GetCbor => &GET_CBOR,
            Self::FanOut => {
                &["fan-out", "--record-bytes", "100", "--connections", "4", "--rate", "200"]
            }
        }
    }
}

/// What is read is put first; the slowest peer needs half a minute for this much.
const GET: [&str; 7] = ["get", "--record-bytes", "1024", "--connections", "4", "--prefill", "16"];
const GET_CBOR: [&str; 9] =
    ["get", "--record-bytes", "1024", "--connections", "4", "--prefill", "16", "--codec", "cbor"];

impl Figure {
    /// Its value in `measure`, if it was measured.
    pub(super) fn of(self, measure: &Measure) -> Option<f64> {
        const BYTES_PER_MEGABYTE: f64 = 1e6;
        match self {
            Self::MegabytesPerSecond => Some(measure.bytes_per_second / BYTES_PER_MEGABYTE),
            Self::RecordsPerSecond => Some(measure.records_per_second),
            Self::P50Ms => measure.p50_ms,
            Self::P99Ms => measure.p99_ms,
        }
    }

    /// Its unit, as a column's name.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::MegabytesPerSecond => "MB/s",
            Self::RecordsPerSecond => "records/s",
            Self::P50Ms => "p50, ms",
            Self::P99Ms => "p99, ms",
        }
    }

    /// How many times better `ours` is than `theirs`; above 1 is better in any unit.
    pub(super) fn ratio(self, ours: f64, theirs: f64) -> Option<f64> {
        let (above, below) = match self {
            Self::MegabytesPerSecond | Self::RecordsPerSecond => (ours, theirs),
            Self::P50Ms | Self::P99Ms => (theirs, ours),
        };
        (below > 0.0).then_some(above / below)
    }
}
