//! What Firehose adds to `/metrics`.
//!
//! Owns the families, whose help texts name what CloudWatch calls them: `DeliveryToX` stands for
//! `DeliveryToS3`, `DeliveryToHttpEndpoint` and so on, as the label `destination` says. Ages are
//! in milliseconds here and in seconds there; `Success` there is a ratio, of two families here.
//! Calls (`PutRecord.Requests`, `DescribeDeliveryStream.Latency`) are the server's own families.

use std::sync::Arc;

use millstream_firehose::{Deliveries, DeliveryMetrics, DeliveryStatus, Firehose, Incoming};
use millstream_server::{Collector, MetricsText, Samples};

/// Tells of all delivery streams.
pub(super) struct FirehoseMetrics {
    pub(super) firehose: Arc<Firehose>,
    pub(super) deliveries: Arc<Deliveries>,
}

impl std::fmt::Debug for FirehoseMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FirehoseMetrics")
    }
}

/// A family: its name, its help, and its value for one delivery stream.
type Family<T> = (&'static str, &'static str, fn(&T) -> u64);

const INCOMING: &[Family<Incoming>] = &[
    (
        "millstream_firehose_incoming_records_total",
        "Records stored by direct puts (IncomingRecords).",
        |incoming| incoming.records,
    ),
    (
        "millstream_firehose_incoming_bytes_total",
        "Bytes of data stored by direct puts (IncomingBytes).",
        |incoming| incoming.bytes,
    ),
    (
        "millstream_firehose_incoming_requests_total",
        "Direct puts of which something was stored (IncomingPutRequests).",
        |incoming| incoming.requests,
    ),
    (
        "millstream_firehose_throttled_records_total",
        "Records beyond the quotas of direct puts (ThrottledRecords).",
        |incoming| incoming.throttled,
    ),
];

const COUNTERS: &[Family<DeliveryMetrics>] = &[
    (
        "millstream_firehose_read_records_total",
        "Records read from the source (DataReadFromKinesisStream.Records).",
        |metrics| metrics.read_records,
    ),
    (
        "millstream_firehose_read_bytes_total",
        "Bytes read from the source (DataReadFromKinesisStream.Bytes).",
        |metrics| metrics.read_bytes,
    ),
    (
        "millstream_firehose_delivered_bytes_total",
        "Bytes delivered, before compression (DeliveryToX.Bytes).",
        |metrics| metrics.delivery_bytes,
    ),
    (
        "millstream_firehose_delivered_records_total",
        "Records delivered (DeliveryToX.Records; DeliveryToIceberg.SuccessfulRowCount).",
        |metrics| metrics.delivery_records,
    ),
    (
        "millstream_firehose_delivery_attempts_total",
        "Objects or requests tried (DeliveryToX.Success is successes by these).",
        |metrics| metrics.delivery_attempts,
    ),
    (
        "millstream_firehose_delivery_successes_total",
        "Objects or requests that were taken (DeliveryToX.Success; DeliveryToS3.ObjectCount).",
        |metrics| metrics.delivery_successes,
    ),
    (
        "millstream_firehose_delivery_attempt_ms_total",
        "Time in attempts, in milliseconds (DeliveryToSplunk.DataAckLatency is this by attempts).",
        |metrics| metrics.attempt_ms,
    ),
    (
        "millstream_firehose_attempted_records_total",
        "Records tried, each time (DeliveryToX.ProcessedRecords; DeliveryToIceberg.IncomingRowCount).",
        |metrics| metrics.attempted_records,
    ),
    (
        "millstream_firehose_attempted_bytes_total",
        "Bytes tried, each time (DeliveryToX.ProcessedBytes).",
        |metrics| metrics.attempted_bytes,
    ),
    (
        "millstream_firehose_staged_records_total",
        "Records put for a database to load (DeliveryToS3.Records beside DeliveryToRedshift).",
        |metrics| metrics.staged_records,
    ),
    (
        "millstream_firehose_staged_bytes_total",
        "Bytes put for a database to load (DeliveryToS3.Bytes beside DeliveryToRedshift).",
        |metrics| metrics.staged_bytes,
    ),
    (
        "millstream_firehose_staging_attempts_total",
        "Objects for a database tried (DeliveryToS3.Success is successes by these).",
        |metrics| metrics.staging_attempts,
    ),
    (
        "millstream_firehose_staging_successes_total",
        "Objects for a database that were taken (DeliveryToS3.Success).",
        |metrics| metrics.staging_successes,
    ),
    (
        "millstream_firehose_backup_records_total",
        "Source records kept besides (BackupToS3.Records).",
        |metrics| metrics.backup_records,
    ),
    (
        "millstream_firehose_backup_bytes_total",
        "Bytes of source records kept besides (BackupToS3.Bytes).",
        |metrics| metrics.backup_bytes,
    ),
    (
        "millstream_firehose_backup_attempts_total",
        "Objects of source records tried (BackupToS3.Success is successes by these).",
        |metrics| metrics.backup_attempts,
    ),
    (
        "millstream_firehose_backup_successes_total",
        "Objects of source records that were taken (BackupToS3.Success).",
        |metrics| metrics.backup_successes,
    ),
    ("millstream_firehose_error_attempts_total", "Objects of the error output tried.", |metrics| {
        metrics.error_attempts
    }),
    (
        "millstream_firehose_error_successes_total",
        "Objects of the error output that were taken.",
        |metrics| metrics.error_successes,
    ),
    (
        "millstream_firehose_invocations_total",
        "Invocations of functions (ExecuteProcessing.Success is successes by these).",
        |metrics| metrics.invocations,
    ),
    (
        "millstream_firehose_invocation_successes_total",
        "Invocations that a function answered (ExecuteProcessing.Success).",
        |metrics| metrics.invocation_successes,
    ),
    (
        "millstream_firehose_invocation_ms_total",
        "Time in invocations, in milliseconds (ExecuteProcessing.Duration is this by invocations).",
        |metrics| metrics.invocation_ms,
    ),
    (
        "millstream_firehose_processed_records_total",
        "Records that a function gave back (SucceedProcessing.Records).",
        |metrics| metrics.processed_records,
    ),
    (
        "millstream_firehose_processed_bytes_total",
        "Bytes that a function gave back (SucceedProcessing.Bytes).",
        |metrics| metrics.processed_bytes,
    ),
    ("millstream_firehose_queries_total", "Runs of the query for partition keys.", |metrics| {
        metrics.queries
    }),
    (
        "millstream_firehose_query_us_total",
        "Time in that query, in microseconds (JQProcessing.Duration is this by runs).",
        |metrics| metrics.query_us,
    ),
    (
        "millstream_firehose_converted_records_total",
        "Records converted to columns (SucceedConversion.Records).",
        |metrics| metrics.converted_records,
    ),
    (
        "millstream_firehose_converted_bytes_total",
        "Bytes converted to columns (SucceedConversion.Bytes).",
        |metrics| metrics.converted_bytes,
    ),
    (
        "millstream_firehose_unconverted_records_total",
        "Records that could not be converted (FailedConversion.Records).",
        |metrics| metrics.unconverted_records,
    ),
    (
        "millstream_firehose_unconverted_bytes_total",
        "Bytes that could not be converted (FailedConversion.Bytes).",
        |metrics| metrics.unconverted_bytes,
    ),
    (
        "millstream_firehose_partition_overflows_total",
        "Records that would have opened one partition too many (PartitionCountExceeded).",
        |metrics| metrics.partition_overflows,
    ),
    (
        "millstream_firehose_duplicate_records_total",
        "Records delivered again after a restart where the destination could not tell.",
        |metrics| metrics.duplicates,
    ),
    (
        "millstream_firehose_expired_records_total",
        "Records that the source gave up before they were delivered.",
        |metrics| metrics.expired,
    ),
    (
        "millstream_firehose_restarts_total",
        "Times the delivery began anew: after a fault, or under a new configuration.",
        |metrics| metrics.restarts,
    ),
    ("millstream_firehose_checkpoints_total", "Checkpoints made durable.", |metrics| {
        metrics.checkpoints
    }),
];

const GAUGES: &[Family<DeliveryMetrics>] = &[
    (
        "millstream_firehose_data_freshness_ms",
        "Age of the oldest record that is not delivered, in milliseconds (DeliveryToX.DataFreshness).",
        |metrics| metrics.data_freshness_ms,
    ),
    (
        "millstream_firehose_backup_freshness_ms",
        "Age of the oldest source record still to be kept, in milliseconds (BackupToS3.DataFreshness).",
        |metrics| metrics.backup_freshness_ms,
    ),
    (
        "millstream_firehose_behind_ms",
        "How far reading is behind the source, in milliseconds (KinesisMillisBehindLatest).",
        |metrics| metrics.behind_ms,
    ),
    ("millstream_firehose_outstanding_records", "Records read and not delivered.", |metrics| {
        metrics.outstanding
    }),
    ("millstream_firehose_buffered_bytes", "Bytes of records that wait in buffers.", |metrics| {
        metrics.buffered_bytes
    }),
    ("millstream_firehose_partitions", "Partitions that are active (PartitionCount).", |metrics| {
        metrics.partitions
    }),
    (
        "millstream_firehose_partitions_max",
        "Partitions that may be active (ActivePartitionsLimit).",
        |metrics| metrics.partitions_max,
    ),
];

/// What is stored of direct puts a second at most, where there are quotas: names and helps in the
/// order of the quotas.
const QUOTAS: [(&str, &str); 3] = [
    (
        "millstream_firehose_requests_per_second_max",
        "Direct puts of a delivery stream a second (PutRequestsPerSecondLimit).",
    ),
    (
        "millstream_firehose_records_per_second_max",
        "Records of a delivery stream a second (RecordsPerSecondLimit).",
    ),
    (
        "millstream_firehose_bytes_per_second_max",
        "Bytes of a delivery stream a second (BytesPerSecondLimit).",
    ),
];

/// Whose delivery stream, and which: names are those of an account.
fn labels(arn: &str) -> [(&'static str, &str); 2] {
    let account = arn.split(':').nth(4).unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or_default();
    [("account", account), ("delivery_stream", name)]
}

impl Collector for FirehoseMetrics {
    fn collect(&self, text: &mut MetricsText) {
        let incoming = self.firehose.incoming();
        for (name, help, value) in INCOMING {
            let mut samples = text.counter(name, help);
            for (arn, incoming) in &incoming {
                samples.sample(&labels(arn), value(incoming));
            }
        }
        for ((name, help), quota) in QUOTAS.iter().zip(self.firehose.put_quotas().iter().flatten())
        {
            text.gauge(name, help).sample(&[], quota);
        }
        let streams = self.deliveries.status();
        for (name, help, value) in COUNTERS {
            write(text.counter(name, help), &streams, *value);
        }
        for (name, help, value) in GAUGES {
            write(text.gauge(name, help), &streams, *value);
        }
        let help = "Records in the error output, by its type (DeliveryToIceberg.FailedRowCount).";
        let mut samples = text.counter("millstream_firehose_error_records_total", help);
        for stream in &streams {
            let [account, name] = labels(&stream.arn);
            for (output, count) in &stream.metrics.error_records {
                samples.sample(&[account, name, ("type", output)], count);
            }
        }
    }
}

/// A family's samples, one for each delivery stream.
fn write(mut samples: Samples<'_>, streams: &[DeliveryStatus], value: fn(&DeliveryMetrics) -> u64) {
    for stream in streams {
        let [account, name] = labels(&stream.arn);
        let metrics = &stream.metrics;
        samples.sample(&[account, name, ("destination", metrics.destination)], value(metrics));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn delivery_streams_of_one_name_are_told_apart_by_their_accounts() {
        let arn = "arn:aws:firehose:us-east-1:123456789012:deliverystream/orders";
        assert_eq!(labels(arn), [("account", "123456789012"), ("delivery_stream", "orders")]);
    }

    /// Prometheus refuses a family twice, and a counter by another name than this.
    #[test]
    fn each_family_is_there_once_and_counters_end_as_counters_do() {
        let counters = INCOMING.iter().map(|family| family.0);
        let counters: Vec<_> = counters.chain(COUNTERS.iter().map(|family| family.0)).collect();
        assert!(counters.iter().all(|name| name.ends_with("_total")));
        let gauges: Vec<_> = GAUGES.iter().map(|family| family.0).collect();
        assert!(gauges.iter().all(|name| !name.ends_with("_total")));
        let names: BTreeSet<_> = counters.iter().chain(&gauges).collect();
        assert_eq!(names.len(), counters.len() + gauges.len());
    }
}
