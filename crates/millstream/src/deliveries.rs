//! What a server says of its deliveries, as JSON, and how a client reads it.
//!
//! Owns the document at [`PATH`]: both ends are this program. Members are only ever added, and a
//! reader takes a missing one for nothing, so that a client and a server of different versions
//! still understand each other.

use std::collections::BTreeMap;

use millstream_firehose::{DeliveryMetrics, DeliveryStatus, ErrorEntry, Overview};
use serde::{Deserialize, Serialize};

/// Where it is.
pub(crate) const PATH: &str = "/_millstream/firehose";
/// The service that a reader signs for.
pub(crate) const SIGNING_NAME: &str = "firehose";

/// All deliveries of a server that the reader may see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    /// When it was made, in ms since 1970.
    pub(crate) at_ms: u64,
    /// Bytes that wait in memory, of all delivery streams.
    pub(crate) buffered_bytes: u64,
    /// Bytes that wait in spill files, of all delivery streams.
    pub(crate) spilled_bytes: u64,
    /// By name.
    pub(crate) delivery_streams: Vec<Delivery>,
}

/// One delivery stream. Counts are since the server started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Delivery {
    pub(crate) name: String,
    pub(crate) arn: String,
    /// As the API has it: `ACTIVE`.
    pub(crate) status: String,
    /// As the API has it: `DirectPut`.
    pub(crate) source: String,
    /// As metrics are named: `S3`, `HttpEndpoint`; empty where nothing is delivered.
    pub(crate) destination: String,
    /// Whether its configuration can be carried out under the server's settings.
    pub(crate) holds: bool,
    pub(crate) read_records: u64,
    pub(crate) read_bytes: u64,
    pub(crate) delivered_records: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) attempts: u64,
    pub(crate) successes: u64,
    pub(crate) backup_records: u64,
    pub(crate) backup_attempts: u64,
    pub(crate) backup_successes: u64,
    /// Age of the oldest record that is not delivered.
    pub(crate) data_freshness_ms: u64,
    /// How far the source is ahead of what was read of it.
    pub(crate) behind_ms: u64,
    pub(crate) waiting_records: u64,
    pub(crate) waiting_bytes: u64,
    pub(crate) partitions: u64,
    /// Records in the error output, by its type: `processing-failed`.
    pub(crate) error_records: BTreeMap<String, u64>,
    pub(crate) invocations: u64,
    pub(crate) invocation_successes: u64,
    pub(crate) converted_records: u64,
    pub(crate) unconverted_records: u64,
    pub(crate) duplicate_records: u64,
    pub(crate) expired_records: u64,
    pub(crate) restarts: u64,
    /// The CloudWatch log group and log stream that its errors are meant for.
    pub(crate) error_log: Option<(String, String)>,
    /// The last ones, oldest first.
    pub(crate) errors: Vec<DeliveryError>,
}

/// One kind of error, as often as it came without another between.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DeliveryError {
    /// When it came last, in ms since 1970.
    pub(crate) at_ms: u64,
    /// `DestinationDelivery`, `BackupDelivery` or `Processing`.
    pub(crate) log: String,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) count: u64,
}

impl Delivery {
    /// A delivery stream that is there, and its delivery where it has one.
    pub(crate) fn of(overview: Overview, delivery: Option<&DeliveryStatus>) -> Self {
        let Overview { name, arn, status, source, holds } = overview;
        let told = Self {
            name,
            arn,
            status: status.to_owned(),
            source: source.to_owned(),
            holds,
            ..Self::default()
        };
        let Some(delivery) = delivery else { return told };
        let told = told.counted(&delivery.metrics);
        let errors = delivery.errors.iter().map(DeliveryError::of).collect();
        Self { error_log: delivery.error_log.clone(), errors, ..told }
    }

    fn counted(self, metrics: &DeliveryMetrics) -> Self {
        let by_type = metrics.error_records.iter();
        Self {
            destination: metrics.destination.to_owned(),
            read_records: metrics.read_records,
            read_bytes: metrics.read_bytes,
            delivered_records: metrics.delivery_records,
            delivered_bytes: metrics.delivery_bytes,
            attempts: metrics.delivery_attempts,
            successes: metrics.delivery_successes,
            backup_records: metrics.backup_records,
            backup_attempts: metrics.backup_attempts,
            backup_successes: metrics.backup_successes,
            data_freshness_ms: metrics.data_freshness_ms,
            behind_ms: metrics.behind_ms,
            waiting_records: metrics.outstanding,
            waiting_bytes: metrics.buffered_bytes,
            partitions: metrics.partitions,
            error_records: by_type.map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            invocations: metrics.invocations,
            invocation_successes: metrics.invocation_successes,
            converted_records: metrics.converted_records,
            unconverted_records: metrics.unconverted_records,
            duplicate_records: metrics.duplicates,
            expired_records: metrics.expired,
            restarts: metrics.restarts,
            ..self
        }
    }
}

impl DeliveryError {
    fn of(entry: &ErrorEntry) -> Self {
        let ErrorEntry { at, log, code, message, count } = entry;
        Self {
            at_ms: at.ms(),
            log: (*log).to_owned(),
            code: code.clone(),
            message: message.clone(),
            count: *count,
        }
    }
}
