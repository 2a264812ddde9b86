//! The benchmark: load an endpoint, measure, and prove that nothing was lost on the way.
//!
//! Owns what is sent when and how it is counted; knows the endpoint as any client does. Every
//! request is built, signed and sent by the same client that the other commands use, so signing
//! counts as the client's work.
//!
//! Invariant: a record is counted as put only when the service has acknowledged it, and what was
//! acknowledged is looked for afterwards, byte by byte.

pub(crate) mod fan_out;
pub(crate) mod histogram;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod verify;
pub(crate) mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use millstream_client::Client;
use tokio::time::Instant;

use record::RecordForm;

/// Stops a run at its end, and counts what is shown while it lasts.
#[derive(Debug)]
pub(crate) struct Control {
    started: Instant,
    duration: Option<Duration>,
    records_max: Option<u64>,
    /// Records a second, of all workers together.
    rate: Option<u64>,
    stopped: AtomicBool,
    /// Records that turns were asked for.
    issued: AtomicU64,
    /// Records that workers were told to send.
    taken: AtomicU64,
    /// Records done with.
    pub(crate) records: AtomicU64,
    /// Bytes of their data.
    pub(crate) bytes: AtomicU64,
    /// Records that reached subscribers.
    delivered: AtomicU64,
}

/// A worker's turn: how many records, and when they are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Records to send.
    pub(crate) count: u64,
    /// When latency is counted from: in an open loop the scheduled time, so that a slow answer
    /// makes those behind it late as well.
    pub(crate) due: Instant,
}

/// How late a timer may wake a worker that had nothing else to do (tokio's timers and epoll each
/// round up to a millisecond). That is our own lateness, not the endpoint's, and is not counted.
const TIMER_SLACK: Duration = Duration::from_millis(2);

impl Control {
    /// A run that starts now, and ends after `duration` or `records_max`, whichever is first.
    pub(crate) fn start(
        duration: Option<Duration>,
        records_max: Option<u64>,
        rate: Option<u64>,
    ) -> Self {
        Self {
            started: Instant::now(),
            duration,
            records_max,
            rate,
            stopped: AtomicBool::new(false),
            issued: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
        }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends the run early.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the run is over.
    pub(crate) fn is_over(&self) -> bool {
        let is_enough = |max| self.records.load(Ordering::Relaxed) >= max;
        self.is_stopped()
            || self.duration.is_some_and(|duration| self.elapsed() >= duration)
            || self.records_max.is_some_and(is_enough)
    }

    /// Whether it was ended early.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// In an open loop: records that were due by now, and that no worker had its hands free for.
    pub(crate) fn unsent(&self) -> u64 {
        let Some(rate) = self.rate else { return 0 };
        let lasted = self.duration.unwrap_or(Duration::MAX).min(self.elapsed());
        let due = lasted.as_nanos() * u128::from(rate) / 1_000_000_000;
        let due = u64::try_from(due).unwrap_or(u64::MAX).min(self.records_max.unwrap_or(u64::MAX));
        due.saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    /// How far the run is, in thousandths.
    pub(crate) fn per_mille(&self) -> u64 {
        let share = |done: u128, all: u128| {
            u64::try_from((done * 1000).checked_div(all).unwrap_or(1000)).unwrap_or(1000)
        };
        let by_time = self.duration.map(|all| share(self.elapsed().as_millis(), all.as_millis()));
        let done = self.records.load(Ordering::Relaxed);
        let by_count = self.records_max.map(|all| share(done.into(), all.into()));
        by_time.unwrap_or(0).max(by_count.unwrap_or(0)).min(1000)
    }

    /// The next turn of up to `count` records, once it is due; `None` at the end of the run.
    pub(crate) async fn turn(&self, count: u64) -> Option<Turn> {
        if self.is_over() {
            return None;
        }
        let first = self.issued.fetch_add(count, Ordering::Relaxed);
        let left = self.records_max.map_or(count, |max| max.saturating_sub(first).min(count));
        if left == 0 {
            return None;
        }
        let Some(rate) = self.rate else {
            self.taken.fetch_add(left, Ordering::Relaxed);
            return Some(Turn { count: left, due: Instant::now() });
        };
        let due_ns = u128::from(first) * 1_000_000_000 / u128::from(rate.max(1));
        let after = Duration::from_nanos(u64::try_from(due_ns).unwrap_or(u64::MAX));
        if self.duration.is_some_and(|duration| after >= duration) {
            return None;
        }
        let mut due = self.started + after;
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
            due = Instant::now().min(due + TIMER_SLACK);
        }
        if self.is_stopped() {
            return None;
        }
        self.taken.fetch_add(left, Ordering::Relaxed);
        Some(Turn { count: left, due })
    }

    /// Counts what has reached a subscriber.
    pub(crate) fn delivered(&self, records: u64) {
        self.delivered.fetch_add(records, Ordering::Relaxed);
    }

    /// Records that have reached subscribers.
    pub(crate) fn delivered_count(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Counts what a worker is done with.
    pub(crate) fn count(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What all workers of a run share.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    /// Tries each request once: the benchmark counts failures itself.
    pub(crate) client: Client,
    /// The stream under load.
    pub(crate) stream: Arc<str>,
    /// What records look like.
    pub(crate) form: Arc<RecordForm>,
    /// When it ends.
    pub(crate) control: Arc<Control>,
    /// What the times in records count from.
    pub(crate) epoch: Instant,
}

impl Bench {
    /// Nanoseconds from the epoch until now.
    pub(crate) fn now_ns(&self) -> u64 {
        self.ns_of(Instant::now())
    }

    /// Nanoseconds from the epoch to a moment after it, as records carry them.
    pub(crate) fn ns_of(&self, moment: Instant) -> u64 {
        u64::try_from(moment.duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_open_loop_gives_turns_by_the_clock_and_stops_at_its_end() {
        let control = Control::start(Some(Duration::from_secs(1)), None, Some(10));
        let mut due = Vec::new();
        while let Some(turn) = control.turn(2).await {
            assert_eq!(turn.count, 2);
            due.push(turn.due.duration_since(control.started).as_millis());
        }
        assert_eq!(due, [0, 200, 400, 600, 800]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_was_held_up_counts_from_when_it_was_due() {
        let control = Control::start(Some(Duration::from_secs(1)), None, Some(10));
        control.turn(1).await.unwrap();
        // The answer to the first took until the fourth was due.
        tokio::time::advance(Duration::from_millis(350)).await;
        let late = control.turn(1).await.unwrap();
        assert_eq!(late.due.elapsed(), Duration::from_millis(250));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_due_and_never_sent_is_told() {
        let control = Control::start(Some(Duration::from_secs(1)), None, Some(100));
        while control.turn(10).await.is_some() {}
        assert_eq!(control.unsent(), 0);
        let held_up = Control::start(Some(Duration::from_secs(1)), None, Some(100));
        held_up.turn(10).await.unwrap();
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(held_up.turn(10).await.is_none());
        assert_eq!(held_up.unsent(), 90);
        let closed = Control::start(Some(Duration::from_secs(1)), None, None);
        closed.turn(1).await.unwrap();
        assert_eq!(closed.unsent(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_count_is_kept_to_the_record() {
        let control = Control::start(None, Some(5), None);
        let mut counts = Vec::new();
        while let Some(turn) = control.turn(2).await {
            counts.push(turn.count);
        }
        assert_eq!(counts, [2, 2, 1]);
    }
}
