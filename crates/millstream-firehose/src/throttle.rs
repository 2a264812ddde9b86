//! The quotas of direct puts, where `limits = "aws"`.
//!
//! Owns how much each delivery stream took lately: three buckets that refill steadily, of
//! requests, records and bytes, each a second's worth deep.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use millstream_core::{Region, limits};
use millstream_log::LogId;
use tokio::time::Instant;

/// Regions with the larger quotas (documented: quotas).
const LARGE_REGIONS: [&str; 3] = ["us-east-1", "us-west-2", "eu-west-1"];

/// All delivery streams' quotas.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// Of requests, records and bytes, a second.
    quotas: [u64; 3],
    buckets: Mutex<BTreeMap<u64, Buckets>>,
}

#[derive(Debug)]
struct Buckets {
    refilled: Instant,
    levels: [f64; 3],
}

#[allow(clippy::cast_precision_loss)] // Quotas and records are far below 2^52.
impl Throttle {
    /// The quotas of `region`.
    pub(crate) fn new(region: &Region) -> Self {
        let quotas = if LARGE_REGIONS.contains(&region.as_str()) {
            limits::FIREHOSE_PUTS_PER_SECOND
        } else {
            limits::FIREHOSE_PUTS_PER_SECOND_SMALL
        };
        Self { quotas, buckets: Mutex::default() }
    }

    /// Requests, records and bytes a second.
    pub(crate) fn quotas(&self) -> [u64; 3] {
        self.quotas
    }

    /// Which of the records of one request may be written now, by their sizes; those are counted.
    pub(crate) fn admit(&self, log: LogId, sizes: impl Iterator<Item = usize>) -> Vec<bool> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = || Buckets { refilled: now, levels: self.quotas.map(|quota| quota as f64) };
        let bucket = buckets.entry(log.0).or_insert_with(full);
        let seconds = now.duration_since(bucket.refilled).as_secs_f64();
        bucket.refilled = now;
        for (level, quota) in bucket.levels.iter_mut().zip(self.quotas) {
            let rate = quota as f64;
            *level = (*level + seconds * rate).min(rate);
        }
        let [requests, records, bytes] = &mut bucket.levels;
        if *requests < 1.0 {
            return sizes.map(|_| false).collect();
        }
        *requests -= 1.0;
        let mut admit = |size: usize| {
            let admits = *records >= 1.0 && *bytes >= size as f64;
            if admits {
                *records -= 1.0;
                *bytes -= size as f64;
            }
            admits
        };
        sizes.map(&mut admit).collect()
    }

    /// Forgets delivery streams that are gone.
    pub(crate) fn forget(&self, logs: &[u64]) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|log, _| !logs.contains(log));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LOG: LogId = LogId(1);

    fn count(throttle: &Throttle, log: LogId, sizes: &[usize]) -> usize {
        throttle.admit(log, sizes.iter().copied()).into_iter().filter(|admits| *admits).count()
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_beyond_a_second_of_them_have_to_wait() {
        let throttle = Throttle::new(&"eu-central-1".parse().unwrap());
        assert_eq!(count(&throttle, LOG, &[512 * 1024; 3]), 2);
        assert_eq!(count(&throttle, LogId(2), &[1]), 1, "each has its own quota");
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(count(&throttle, LOG, &[512 * 1024; 3]), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_beyond_a_second_of_them_have_to_wait() {
        let throttle = Throttle::new(&"us-east-1".parse().unwrap());
        assert_eq!((0..3_000).filter(|_| count(&throttle, LOG, &[1]) == 1).count(), 2_000);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(count(&throttle, LOG, &[1]), 1);
    }
}
