//! How much each shard of an on-demand stream is written, and how many shards that asks for.
//!
//! Owns counters in windows of ten seconds. Capacity is kept at twice the observed peak, as the
//! real service keeps it (documented: on-demand mode); it never shrinks by itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use millstream_core::limits;
use millstream_log::LogId;
use tokio::time::Instant;

/// Seconds over which a rate is measured.
const WINDOW_SECONDS: u64 = 10;
/// Capacity kept for each observed unit of load.
const HEADROOM: u64 = 2;

/// What shards were written lately.
#[derive(Debug, Default)]
pub(crate) struct Load(Mutex<BTreeMap<u64, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    bytes: u64,
    records: u64,
    peak: u64,
}

impl Window {
    /// Load in thousandths of a shard's capacity, of bytes or of records, whichever is more.
    fn permille(&self) -> u64 {
        let bytes = self.bytes * 1_000 / (limits::SHARD_WRITE_BYTES_PER_SECOND * WINDOW_SECONDS);
        let records =
            self.records * 1_000 / (limits::SHARD_WRITE_RECORDS_PER_SECOND * WINDOW_SECONDS);
        bytes.max(records)
    }
}

impl Load {
    /// Counts what a shard was given.
    pub(crate) fn count(&self, log: LogId, bytes: usize, records: usize) {
        let now = Instant::now();
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Window { start: now, bytes: 0, records: 0, peak: 0 };
        let window = shards.entry(log.0).or_insert(fresh);
        if now.duration_since(window.start).as_secs() >= WINDOW_SECONDS {
            *window = Window { peak: window.peak.max(window.permille()), ..fresh };
        }
        window.bytes += bytes as u64;
        window.records += records as u64;
    }

    /// The peak of each of `logs` since it was last asked, in thousandths of a shard's capacity.
    pub(crate) fn take_peaks(&self, logs: &[LogId]) -> Vec<u64> {
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut take = |log: &LogId| {
            shards.get_mut(&log.0).map_or(0, |window| {
                let peak = window.peak.max(window.permille());
                window.peak = 0;
                peak
            })
        };
        logs.iter().map(&mut take).collect()
    }

    /// Forgets shards that are gone.
    pub(crate) fn forget(&self, logs: &[u64]) {
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shards.retain(|log, _| !logs.contains(log));
    }
}

/// Which shards to halve, given each open shard's peak in thousandths of its capacity: the
/// hottest first, as many as are missing, and any that alone runs above half its capacity.
pub(crate) fn shards_to_halve(peaks: &[u64]) -> Vec<usize> {
    let total: u64 = peaks.iter().sum();
    let wanted = usize::try_from((total * HEADROOM).div_ceil(1_000)).unwrap_or(usize::MAX);
    let missing = wanted.saturating_sub(peaks.len());
    let mut hottest: Vec<usize> = (0..peaks.len()).collect();
    hottest.sort_by_key(|index| std::cmp::Reverse(peaks[*index]));
    hottest
        .into_iter()
        .enumerate()
        .filter(|(rank, index)| *rank < missing || peaks[*index] * HEADROOM > 1_000)
        .map(|(_, index)| index)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peak_is_kept_until_asked_for() {
        let load = Load::default();
        let log = LogId(1);
        load.count(log, 10 * 1024 * 1024, 10);
        tokio::time::advance(Duration::from_secs(11)).await;
        load.count(log, 1, 1);
        assert_eq!(load.take_peaks(&[log, LogId(2)]), [1_000, 0]);
        assert_eq!(load.take_peaks(&[log]), [0]);
    }

    #[test]
    fn capacity_is_kept_at_twice_the_peak() {
        assert_eq!(shards_to_halve(&[100, 100, 100, 100]), [0_usize; 0]);
        assert_eq!(shards_to_halve(&[600, 100, 100, 100]), [0]);
        assert_eq!(shards_to_halve(&[900, 1_000]), [1, 0]);
        assert_eq!(shards_to_halve(&[0, 0]), [0_usize; 0]);
    }
}
