//! The quotas of one shard, where `limits = "aws"`.
//!
//! Owns how much each shard has been written and read lately. Writes draw on two buckets that
//! refill steadily, 1,000 records and 1 MiB a second. Reads are counted in windows: five calls a
//! second, and an answer that took n seconds' worth of bytes closes the shard for n seconds, so
//! a full answer of 10 MiB closes it for five (documented: API_GetRecords). Iterators are made five
//! times a second.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use millstream_core::limits;
use millstream_log::LogId;
use tokio::time::Instant;

/// All shards' quotas.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<BTreeMap<u64, Quotas>>);

#[derive(Debug)]
struct Quotas {
    refilled: Instant,
    bytes: f64,
    records: f64,
    window: Instant,
    read_bytes: u64,
    read_calls: u64,
    iterators_window: Instant,
    iterators: u64,
}

#[allow(clippy::cast_precision_loss)] // Quotas are far below 2^52.
impl Quotas {
    fn new(now: Instant) -> Self {
        Self {
            refilled: now,
            bytes: limits::SHARD_WRITE_BYTES_PER_SECOND as f64,
            records: limits::SHARD_WRITE_RECORDS_PER_SECOND as f64,
            window: now,
            read_bytes: 0,
            read_calls: 0,
            iterators_window: now,
            iterators: 0,
        }
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        let bytes_max = limits::SHARD_WRITE_BYTES_PER_SECOND as f64;
        self.bytes = (self.bytes + seconds * bytes_max).min(bytes_max);
        let records_max = limits::SHARD_WRITE_RECORDS_PER_SECOND as f64;
        self.records = (self.records + seconds * records_max).min(records_max);
    }

    /// How long the present window of reads lasts.
    fn read_span(&self) -> Duration {
        let worth = self.read_bytes as f64 / limits::SHARD_READ_BYTES_PER_SECOND as f64;
        Duration::from_secs_f64(worth.max(1.0))
    }
}

impl Throttle {
    fn with<T>(&self, log: LogId, act: impl FnOnce(&mut Quotas, Instant) -> T) -> T {
        let now = Instant::now();
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(shards.entry(log.0).or_insert_with(|| Quotas::new(now)), now)
    }

    /// Whether a record of `bytes` may be written now; if so it is counted.
    ///
    /// A record above a second's worth passes on a full bucket, which then is in debt.
    #[allow(clippy::cast_precision_loss)] // Records are far below 2^52 bytes.
    pub(crate) fn admits_write(&self, log: LogId, bytes: usize) -> bool {
        self.with(log, |quotas, now| {
            quotas.refill(now);
            let full = limits::SHARD_WRITE_BYTES_PER_SECOND as f64;
            let bytes = bytes as f64;
            let admits = quotas.records >= 1.0 && quotas.bytes >= bytes.min(full);
            if admits {
                quotas.records -= 1.0;
                quotas.bytes -= bytes;
            }
            admits
        })
    }

    /// Whether a call may read now; if so it is counted.
    pub(crate) fn admits_read(&self, log: LogId) -> bool {
        self.with(log, |quotas, now| {
            if now.duration_since(quotas.window) >= quotas.read_span() {
                quotas.window = now;
                quotas.read_bytes = 0;
                quotas.read_calls = 0;
            }
            let admits = quotas.read_calls < limits::SHARD_READ_CALLS_PER_SECOND
                && quotas.read_bytes < limits::SHARD_READ_BYTES_PER_SECOND;
            quotas.read_calls += u64::from(admits);
            admits
        })
    }

    /// Whether an iterator may be made now; if so it is counted.
    pub(crate) fn admits_iterator(&self, log: LogId) -> bool {
        self.with(log, |quotas, now| {
            if now.duration_since(quotas.iterators_window) >= Duration::from_secs(1) {
                quotas.iterators_window = now;
                quotas.iterators = 0;
            }
            let admits = quotas.iterators < limits::SHARD_ITERATOR_CALLS_PER_SECOND;
            quotas.iterators += u64::from(admits);
            admits
        })
    }

    /// Counts what an admitted read answered.
    pub(crate) fn count_read(&self, log: LogId, bytes: usize) {
        self.with(log, |quotas, _| quotas.read_bytes += bytes as u64);
    }

    /// Forgets shards that are gone.
    pub(crate) fn forget(&self, logs: &[u64]) {
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shards.retain(|log, _| !logs.contains(log));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId(1);
    const MIB: usize = 1024 * 1024;

    #[tokio::test(start_paused = true)]
    async fn a_shard_takes_a_thousand_records_a_second() {
        let throttle = Throttle::default();
        let admitted = (0..2_000).filter(|_| throttle.admits_write(LOG, 10)).count();
        assert_eq!(admitted, 1_000);
        tokio::time::advance(Duration::from_millis(500)).await;
        let admitted = (0..2_000).filter(|_| throttle.admits_write(LOG, 10)).count();
        assert_eq!(admitted, 500);
        assert!(throttle.admits_write(LogId(2), 10), "each shard has its own quota");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_takes_a_mebibyte_a_second() {
        let throttle = Throttle::default();
        assert!(throttle.admits_write(LOG, MIB));
        assert!(!throttle.admits_write(LOG, 1));
        tokio::time::advance(Duration::from_secs(1)).await;
        // A record of 10 MiB passes, and has to be made up for.
        assert!(throttle.admits_write(LOG, 10 * MIB));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!throttle.admits_write(LOG, 1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(throttle.admits_write(LOG, MIB / 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_is_read_five_times_a_second() {
        let throttle = Throttle::default();
        assert_eq!((0..9).filter(|_| throttle.admits_read(LOG)).count(), 5);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(throttle.admits_read(LOG));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_answer_closes_the_shard_for_five_seconds() {
        let throttle = Throttle::default();
        assert!(throttle.admits_read(LOG));
        throttle.count_read(LOG, 10 * MIB);
        tokio::time::advance(Duration::from_millis(4_999)).await;
        assert!(!throttle.admits_read(LOG));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(throttle.admits_read(LOG));
    }
}
