//! What the engine counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper edges of the sync latency histogram, in microseconds; one more bucket lies above.
pub const SYNC_BUCKETS_US: [u64; 14] = [
    50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 409_600,
    1_638_400,
];

/// A snapshot of the engine's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits made durable.
    pub commits: u64,
    /// Records appended.
    pub records: u64,
    /// Bytes of batches appended.
    pub appended_bytes: u64,
    /// Bytes written to write-ahead files, padding included.
    pub wal_bytes: u64,
    /// Bytes written to segments.
    pub segment_bytes: u64,
    /// Syncs of write-ahead files: per edge of [`SYNC_BUCKETS_US`] how many took at most that
    /// long and longer than the edge before; last, how many took longer.
    pub sync_buckets: [u64; SYNC_BUCKETS_US.len() + 1],
    /// Time spent in those, in microseconds.
    pub sync_us_total: u64,
    /// Bytes kept in memory for readers near the tail.
    pub cached_bytes: u64,
    /// Bytes in memory that are not yet in segments.
    pub undestaged_bytes: u64,
    /// Bytes waiting to be written.
    pub queued_bytes: u64,
    /// Logs.
    pub logs: u64,
    /// Segments.
    pub segments: u64,
    /// Write-ahead files.
    pub wal_files: u64,
    /// Why the engine stopped acknowledging, if it did.
    pub latched: Option<String>,
}

impl Stats {
    /// The time within which a share `quantile` (0 to 1) of the syncs returned, as the upper edge
    /// of its bucket in microseconds; `None` without syncs or above the last edge.
    pub fn sync_quantile_us(&self, quantile: f64) -> Option<u64> {
        let total: u64 = self.sync_buckets.iter().sum();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )] // A quantile of a count: a rank off by a rounding does no harm.
        let rank = (total as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (count, edge) in self.sync_buckets.iter().zip(SYNC_BUCKETS_US) {
            seen += count;
            if seen >= rank {
                return Some(edge);
            }
        }
        None
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) appended_bytes: AtomicU64,
    pub(super) wal_bytes: AtomicU64,
    pub(super) segment_bytes: AtomicU64,
    sync_buckets: [AtomicU64; SYNC_BUCKETS_US.len() + 1],
    sync_us_total: AtomicU64,
}

pub(super) fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn count_sync(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = SYNC_BUCKETS_US.partition_point(|&edge| edge < us);
        add(&self.sync_buckets[bucket], 1);
        add(&self.sync_us_total, us);
    }

    pub(super) fn snapshot(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            commits: get(&self.commits),
            records: get(&self.records),
            appended_bytes: get(&self.appended_bytes),
            wal_bytes: get(&self.wal_bytes),
            segment_bytes: get(&self.segment_bytes),
            sync_buckets: std::array::from_fn(|bucket| get(&self.sync_buckets[bucket])),
            sync_us_total: get(&self.sync_us_total),
            ..Stats::default()
        }
    }
}
