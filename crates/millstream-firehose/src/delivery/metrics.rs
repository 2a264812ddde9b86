//! What is counted of each delivery stream, under the names that CloudWatch has for it.
//!
//! Owns the counters and their snapshot, which the binary renders for Prometheus, CloudWatch's
//! API and `firehose status`. Incoming records are counted where they come in, not here.
//! Source: the guide's "Monitoring with CloudWatch metrics"; what has no name there is ours.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use millstream_core::Timestamp;
use tokio::time::Instant;

use super::station::{BACKUP, DESTINATION};

/// Counts something.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Deliveries to one place.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// Bytes delivered, before compression.
    pub(super) bytes: Counter,
    pub(super) records: Counter,
    /// Objects or requests tried.
    attempts: Counter,
    /// What was in them, each time.
    attempted_bytes: Counter,
    attempted_records: Counter,
    /// Objects or requests that were taken.
    successes: Counter,
    /// How long all attempts took together.
    attempt_ms: Counter,
}

impl Deliveries {
    /// So many records and bytes are tried, from now on.
    pub(super) fn begin(&self, records: u64, bytes: u64) -> Instant {
        self.attempts.add(1);
        self.attempted_records.add(records);
        self.attempted_bytes.add(bytes);
        Instant::now()
    }

    /// An attempt is over that began at `begun`.
    pub(super) fn end(&self, begun: Instant, is_success: bool) {
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.attempt_ms.add(ms);
        self.successes.add(u64::from(is_success));
    }
}

/// What an object is put for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is what the delivery stream delivers.
    Delivery,
    /// A database is to load it.
    Staging,
    /// It keeps source records as they came.
    Backup,
    /// It is the error output.
    Errors,
}

impl Purpose {
    /// The log that failures are taken down in.
    pub(super) fn log(self) -> &'static str {
        match self {
            Self::Delivery => DESTINATION,
            Self::Staging | Self::Backup | Self::Errors => BACKUP,
        }
    }
}

/// The counters of one delivery stream.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) delivery: Deliveries,
    /// To the bucket that a database loads from.
    pub(super) staging: Deliveries,
    /// Of source records.
    pub(super) backup: Deliveries,
    /// Of what was refused.
    error_output: Deliveries,
    /// Read from the source.
    pub(super) read_bytes: Counter,
    pub(super) read_records: Counter,
    /// How far the slowest part of the source is behind its tip.
    pub(super) behind_ms: Counter,
    /// Records in the error output, by its type.
    errors: Mutex<BTreeMap<&'static str, u64>>,
    pub(super) invocations: Counter,
    pub(super) invocation_successes: Counter,
    pub(super) invocation_ms: Counter,
    /// What functions gave back for the destination.
    pub(super) processed_bytes: Counter,
    pub(super) processed_records: Counter,
    /// Runs of the query for partition keys, and how long they took together.
    pub(super) queries: Counter,
    pub(super) query_us: Counter,
    pub(super) converted_bytes: Counter,
    pub(super) converted_records: Counter,
    pub(super) unconverted_bytes: Counter,
    pub(super) unconverted_records: Counter,
    pub(super) partitions: Counter,
    pub(super) partitions_max: Counter,
    pub(super) partition_overflows: Counter,
    /// Records delivered again after a restart, where the destination cannot tell: those of
    /// deliveries that had begun before it and were not known to be over.
    pub(super) duplicates: Counter,
    /// Records that the source gave up before they were delivered.
    pub(super) expired: Counter,
    pub(super) restarts: Counter,
    pub(super) checkpoints: Counter,
    /// Records read and not settled.
    pub(super) outstanding: Counter,
    pub(super) buffered_bytes: Counter,
    /// When the oldest record that is not settled arrived; 0 where there is none.
    pub(super) oldest_ms: Counter,
    /// The same of the records that the backup is to keep.
    pub(super) oldest_backup_ms: Counter,
}

/// A copy of the counters of one delivery stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryMetrics {
    /// Into which CloudWatch's names are formed: `S3`, `HttpEndpoint`, ... in `DeliveryToS3.Bytes`.
    pub destination: &'static str,
    /// `DeliveryToX.Bytes`, before compression.
    pub delivery_bytes: u64,
    /// `DeliveryToX.Records`.
    pub delivery_records: u64,
    /// `DeliveryToX.Success` is successes by attempts.
    pub delivery_attempts: u64,
    /// See `delivery_attempts`. For objects this is `DeliveryToS3.ObjectCount`.
    pub delivery_successes: u64,
    /// `DeliveryToX.ProcessedBytes`: bytes that were tried, each time that they were.
    pub attempted_bytes: u64,
    /// `DeliveryToX.ProcessedRecords`: records that were tried, each time that they were.
    pub attempted_records: u64,
    /// How long all attempts took together; `DeliveryToSplunk.DataAckLatency` is this by attempts.
    pub attempt_ms: u64,
    /// `DeliveryToX.DataFreshness`: the age of the oldest record that is not settled, in ms.
    pub data_freshness_ms: u64,
    /// `DeliveryToS3.Bytes` of a delivery stream to a database.
    pub staged_bytes: u64,
    /// `DeliveryToS3.Records` of a delivery stream to a database.
    pub staged_records: u64,
    /// `DeliveryToS3.Success` of a delivery stream to a database is successes by attempts.
    pub staging_attempts: u64,
    /// See `staging_attempts`.
    pub staging_successes: u64,
    /// `BackupToS3.Bytes`.
    pub backup_bytes: u64,
    /// `BackupToS3.Records`.
    pub backup_records: u64,
    /// `BackupToS3.Success` is successes by attempts.
    pub backup_attempts: u64,
    /// See `backup_attempts`.
    pub backup_successes: u64,
    /// `BackupToS3.DataFreshness`, in ms.
    pub backup_freshness_ms: u64,
    /// Objects of the error output tried.
    pub error_attempts: u64,
    /// Objects of the error output that were taken.
    pub error_successes: u64,
    /// `DataReadFromKinesisStream.Bytes`; of direct puts too.
    pub read_bytes: u64,
    /// `DataReadFromKinesisStream.Records`; of direct puts too.
    pub read_records: u64,
    /// `KinesisMillisBehindLatest`.
    pub behind_ms: u64,
    /// Records in the error output, by its type.
    pub error_records: BTreeMap<&'static str, u64>,
    /// `ExecuteProcessing.Success` is successes by invocations.
    pub invocations: u64,
    /// See `invocations`.
    pub invocation_successes: u64,
    /// `ExecuteProcessing.Duration`, summed over invocations.
    pub invocation_ms: u64,
    /// `SucceedProcessing.Bytes`.
    pub processed_bytes: u64,
    /// `SucceedProcessing.Records`.
    pub processed_records: u64,
    /// Runs of the query for partition keys.
    pub queries: u64,
    /// `JQProcessing.Duration`, summed over runs, in microseconds.
    pub query_us: u64,
    /// `SucceedConversion.Bytes`.
    pub converted_bytes: u64,
    /// `SucceedConversion.Records`.
    pub converted_records: u64,
    /// `FailedConversion.Bytes`.
    pub unconverted_bytes: u64,
    /// `FailedConversion.Records`.
    pub unconverted_records: u64,
    /// `PartitionCount`.
    pub partitions: u64,
    /// `ActivePartitionsLimit`.
    pub partitions_max: u64,
    /// `PartitionCountExceeded`: records that found no partition.
    pub partition_overflows: u64,
    /// Records delivered again after a restart where the destination could not tell.
    pub duplicates: u64,
    /// Records that the source gave up before they were delivered.
    pub expired: u64,
    /// Times the delivery began anew: after a fault, or under a new configuration.
    pub restarts: u64,
    /// Checkpoints made durable.
    pub checkpoints: u64,
    /// Records read and not settled.
    pub outstanding: u64,
    /// Bytes that wait in buffers, in memory and spilled.
    pub buffered_bytes: u64,
}

impl Counters {
    /// `count` records went to the error output of that type.
    pub(super) fn add_errors(&self, output: &'static str, count: u64) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        *errors.entry(output).or_default() += count;
    }

    /// The counters of what is put for a purpose.
    pub(super) fn puts(&self, purpose: Purpose) -> &Deliveries {
        match purpose {
            Purpose::Delivery => &self.delivery,
            Purpose::Staging => &self.staging,
            Purpose::Backup => &self.backup,
            Purpose::Errors => &self.error_output,
        }
    }

    /// A copy, as seen at `now`.
    pub(super) fn snapshot(&self, destination: &'static str, now: Timestamp) -> DeliveryMetrics {
        let age = |oldest: &Counter| match oldest.get() {
            0 => 0,
            ms => now.ms_since(Timestamp::from_ms(ms)),
        };
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        DeliveryMetrics {
            destination,
            delivery_bytes: self.delivery.bytes.get(),
            delivery_records: self.delivery.records.get(),
            delivery_attempts: self.delivery.attempts.get(),
            delivery_successes: self.delivery.successes.get(),
            attempted_bytes: self.delivery.attempted_bytes.get(),
            attempted_records: self.delivery.attempted_records.get(),
            attempt_ms: self.delivery.attempt_ms.get(),
            data_freshness_ms: age(&self.oldest_ms),
            staged_bytes: self.staging.bytes.get(),
            staged_records: self.staging.records.get(),
            staging_attempts: self.staging.attempts.get(),
            staging_successes: self.staging.successes.get(),
            backup_bytes: self.backup.bytes.get(),
            backup_records: self.backup.records.get(),
            backup_attempts: self.backup.attempts.get(),
            backup_successes: self.backup.successes.get(),
            backup_freshness_ms: age(&self.oldest_backup_ms),
            error_attempts: self.error_output.attempts.get(),
            error_successes: self.error_output.successes.get(),
            read_bytes: self.read_bytes.get(),
            read_records: self.read_records.get(),
            behind_ms: self.behind_ms.get(),
            error_records: errors.clone(),
            invocations: self.invocations.get(),
            invocation_successes: self.invocation_successes.get(),
            invocation_ms: self.invocation_ms.get(),
            processed_bytes: self.processed_bytes.get(),
            processed_records: self.processed_records.get(),
            queries: self.queries.get(),
            query_us: self.query_us.get(),
            converted_bytes: self.converted_bytes.get(),
            converted_records: self.converted_records.get(),
            unconverted_bytes: self.unconverted_bytes.get(),
            unconverted_records: self.unconverted_records.get(),
            partitions: self.partitions.get(),
            partitions_max: self.partitions_max.get(),
            partition_overflows: self.partition_overflows.get(),
            duplicates: self.duplicates.get(),
            expired: self.expired.get(),
            restarts: self.restarts.get(),
            checkpoints: self.checkpoints.get(),
            outstanding: self.outstanding.get(),
            buffered_bytes: self.buffered_bytes.get(),
        }
    }
}
