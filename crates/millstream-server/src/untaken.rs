//! Answers that wait for their client to take them.
//!
//! Owns the patience with one connection's client. HTTP/2 lets a client ask for answers and take
//! none of them: the connection lives on, its pings are answered, and what it asked for stays in
//! memory. So each answer has a time by which it must have been taken, and a connection on which
//! one was not is closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::limits::ServerLimits;

/// The answers of one connection that are on their way.
#[derive(Debug)]
pub(crate) struct Untaken {
    /// For an answer, beside the time that its bytes may take.
    pub(crate) answer_patience: Duration,
    /// For a piece of a stream.
    pub(crate) piece_patience: Duration,
    bytes_per_second_min: usize,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
    next: u64,
    deadlines: BTreeMap<u64, Instant>,
}

/// One answer that waits; over when dropped.
#[derive(Debug)]
pub(crate) struct Wait {
    untaken: Arc<Untaken>,
    number: u64,
}

impl Untaken {
    pub(crate) fn new(limits: &ServerLimits) -> Arc<Self> {
        Arc::new(Self {
            answer_patience: limits.write_stall_deadline,
            piece_patience: limits.event_stall_deadline,
            bytes_per_second_min: limits.body_bytes_per_second_min,
            waits: Mutex::default(),
        })
    }

    /// Begins to wait for `bytes` to be taken.
    pub(crate) fn wait(self: &Arc<Self>, patience: Duration, bytes: usize) -> Wait {
        let seconds = bytes / self.bytes_per_second_min.max(1);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX).min(86_400);
        let deadline = Instant::now() + patience + Duration::from_secs(seconds);
        let mut waits = self.lock();
        let number = waits.next;
        waits.next += 1;
        waits.deadlines.insert(number, deadline);
        Wait { untaken: self.clone(), number }
    }

    /// Resolves once an answer has waited longer than it may.
    pub(crate) async fn is_stalled(&self) {
        loop {
            sleep(self.answer_patience / 2).await;
            let now = Instant::now();
            if self.lock().deadlines.values().any(|deadline| *deadline <= now) {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waits> {
        // Each change is whole, so a panic elsewhere left nothing half done.
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.untaken.lock().deadlines.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_an_answer_that_waits_too_long_for_its_size_is_stalled() {
        let untaken = Untaken::new(&ServerLimits::default());
        let (minute, second) = (untaken.answer_patience, Duration::from_secs(1));
        let almost = minute.saturating_sub(second);
        let start = Instant::now();
        // One after the other, each taken in time.
        for _ in 0..10 {
            let wait = untaken.wait(minute, 100);
            assert!(tokio::time::timeout(almost, untaken.is_stalled()).await.is_err());
            drop(wait);
        }
        let _large = untaken.wait(minute, 320 * 1024);
        let _small = untaken.wait(minute * 2, 100);
        let begun = Instant::now();
        untaken.is_stalled().await;
        // Ten seconds for its bytes, and up to half a minute until somebody looks.
        let took = begun.elapsed();
        assert!(took >= minute + second * 10 && took <= minute + second * 40, "{took:?}");
        assert!(start.elapsed() > minute * 9);
    }
}
