//! Memory shared by all couriers.
//!
//! Owns four pools, so that nobody ever holds some of one while waiting for more of the same:
//! * buffers: what waits to be delivered. Always given back on demand, by spilling.
//! * staging: what is with a transform. Given back by itself, as invocations end.
//! * work: what a delivery under way needs, taken whole before it begins.
//! * turns: how many couriers read and process at once; what one turn may hold is bounded.
//!
//! Whoever waits for buffer memory raises the pressure; every courier then spills.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Bytes that one turn holds, about: what is read at once, and what processing makes of one
/// record.
const TURN_BYTES: usize = 4 << 20;
/// Turns at least, however small the budget.
const TURNS_MIN: usize = 2;
/// Bytes of each pool at least: one record of the largest kind must fit with room to spare.
const POOL_BYTES_MIN: usize = 4 << 20;

/// Memory, held until dropped.
#[derive(Debug)]
pub(super) struct Lease(OwnedSemaphorePermit);

impl Lease {
    /// How much.
    pub(super) fn bytes(&self) -> usize {
        self.0.num_permits()
    }
}

/// Where a buffer finds memory: what was waited for first, then what is free.
#[derive(Debug)]
pub(super) struct Room<'a> {
    pub(super) budget: &'a Budget,
    pub(super) reserve: &'a mut Option<Lease>,
}

impl Room<'_> {
    /// At least `bytes`, better `wished`; `None` where there is not so much. What needs more than
    /// there is in all makes do with all.
    pub(super) fn take(&mut self, bytes: usize, wished: usize) -> Option<Lease> {
        let enough = bytes.min(self.budget.buffers.bytes);
        let kept = self.reserve.take_if(|lease| lease.bytes() >= enough);
        kept.or_else(|| self.budget.try_buffer(wished))
    }
}

/// The memory that couriers share.
#[derive(Debug)]
pub(super) struct Budget {
    buffers: Pool,
    staging: Pool,
    work: Pool,
    turns: Arc<Semaphore>,
    pressure: watch::Sender<u64>,
    /// How many wait for buffer memory.
    waiting: Arc<AtomicUsize>,
}

/// One who waits.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Pool {
    bytes: usize,
    free: Arc<Semaphore>,
}

impl Pool {
    fn new(bytes: usize) -> Self {
        let bytes = bytes.clamp(POOL_BYTES_MIN, u32::MAX as usize);
        Self { bytes, free: Arc::new(Semaphore::new(bytes)) }
    }

    /// What is asked for, as far as there ever was that much: one that needs more than all takes
    /// all, and works alone.
    fn count(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.bytes)).expect("a pool is below 4 GiB")
    }

    fn try_take(&self, bytes: usize) -> Option<Lease> {
        Arc::clone(&self.free).try_acquire_many_owned(self.count(bytes)).ok().map(Lease)
    }

    fn take(&self, bytes: usize) -> impl Future<Output = Lease> + Send + 'static {
        let permit = Arc::clone(&self.free).acquire_many_owned(self.count(bytes));
        async move { Lease(permit.await.expect("the pool is never closed")) }
    }
}

impl Budget {
    /// A budget of `bytes` in all.
    pub(super) fn new(bytes: usize) -> Self {
        let turns = (bytes / 8 / TURN_BYTES).max(TURNS_MIN);
        let left = bytes.saturating_sub(turns * TURN_BYTES);
        Self {
            buffers: Pool::new(left / 16 * 7),
            staging: Pool::new(left / 8),
            work: Pool::new(left / 16 * 7),
            turns: Arc::new(Semaphore::new(turns)),
            pressure: watch::Sender::new(0),
            waiting: Arc::default(),
        }
    }

    /// Memory for records that wait, where there is some.
    pub(super) fn try_buffer(&self, bytes: usize) -> Option<Lease> {
        self.buffers.try_take(bytes)
    }

    /// Memory for records that wait, once others have given some back.
    pub(super) fn buffer(&self, bytes: usize) -> impl Future<Output = Lease> + Send + 'static {
        let waiting = Waiting::new(&self.waiting);
        self.pressure.send_modify(|count| *count += 1);
        let take = self.buffers.take(bytes);
        async move {
            let lease = take.await;
            drop(waiting);
            lease
        }
    }

    /// Whether someone waits for buffer memory.
    pub(super) fn is_short(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Changes when someone waits for buffer memory.
    pub(super) fn pressure(&self) -> watch::Receiver<u64> {
        self.pressure.subscribe()
    }

    /// Memory for records on their way through a transform, where there is some.
    pub(super) fn stage(&self, bytes: usize) -> impl Future<Output = Lease> + Send + 'static {
        self.staging.take(bytes)
    }

    /// Memory for a delivery under way.
    pub(super) fn work(&self, bytes: usize) -> impl Future<Output = Lease> + Send + 'static {
        self.work.take(bytes)
    }

    /// A turn to read and process.
    pub(super) fn turn(&self) -> impl Future<Output = Lease> + Send + 'static {
        let turn = Arc::clone(&self.turns).acquire_owned();
        async move { Lease(turn.await.expect("turns are never closed")) }
    }

    /// A turn, where one is free.
    pub(super) fn try_turn(&self) -> Option<Lease> {
        Arc::clone(&self.turns).try_acquire_owned().ok().map(Lease)
    }

    /// Bytes of buffer memory that are in use.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.buffers.bytes - self.buffers.free.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pools_add_up_to_the_budget() {
        for bytes in [64_usize << 20, 256 << 20, 1 << 30] {
            let budget = Budget::new(bytes);
            let turns = budget.turns.available_permits() * TURN_BYTES;
            let pools = budget.buffers.bytes + budget.staging.bytes + budget.work.bytes;
            let sum = pools + turns;
            assert!(sum <= bytes && sum > bytes / 10 * 9, "{sum} of {bytes}");
        }
    }

    #[tokio::test]
    async fn who_waits_raises_the_pressure_and_is_served_when_memory_is_given_back() {
        let budget = Budget::new(64 << 20);
        let all = budget.try_buffer(usize::MAX).expect("nothing is taken yet");
        assert!(budget.try_buffer(1).is_none());
        let mut pressure = budget.pressure();
        pressure.mark_unchanged();
        let waiting = tokio::spawn(budget.buffer(1_000));
        pressure.changed().await.unwrap();
        assert!(budget.is_short());
        drop(all);
        let lease = waiting.await.unwrap();
        assert!(!budget.is_short());
        assert_eq!(budget.buffered_bytes(), 1_000);
        drop(lease);
        assert_eq!(budget.buffered_bytes(), 0);
    }

    #[tokio::test]
    async fn one_that_needs_more_than_all_works_alone() {
        let budget = Budget::new(64 << 20);
        let whole = budget.work(usize::MAX).await;
        let next = tokio::spawn(budget.work(1));
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        drop(whole);
        next.await.unwrap();
    }
}
