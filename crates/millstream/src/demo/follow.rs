//! Subscribers of the demonstration: each follows one shard through enhanced fan-out.
//!
//! Owns what the writer and the subscribers share: when each record was sent, what has come
//! through, and the view that shows it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_api::kinesis::PutRecordsRequestEntry;
use millstream_client::{CallError, Client, ReadFrom};
use tokio::sync::watch;
use tokio::time::Instant;

use super::proof::Account;
use super::view::View;
use crate::bench::histogram::Histogram;
use crate::exit::Outcome;

/// Records whose way is timed at once: subscribers that fall far behind are timed by some of them.
const TIMED_MAX: usize = 100_000;

/// What subscribers have received, and how long after its put.
#[derive(Default)]
pub(crate) struct Pushed {
    /// Every record, in the order in which it came.
    pub(crate) account: Account,
    /// From the put's start to the event's arrival.
    pub(crate) latency: Histogram,
}

/// What the writer and the subscribers share.
pub(crate) struct Shared {
    view: Mutex<View>,
    pushed: Mutex<Pushed>,
    /// When the batches that records were in were sent, by key and data; only until they come.
    sent: Mutex<HashMap<(String, Bytes), VecDeque<Instant>>>,
    /// When the writer began.
    pub(crate) started: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Nothing sent yet.
    pub(crate) fn new(view: View) -> Self {
        Self {
            view: Mutex::new(view),
            pushed: Mutex::default(),
            sent: Mutex::default(),
            started: Instant::now(),
        }
    }

    /// Takes note of a batch that is about to be sent.
    pub(crate) fn note_sent(&self, batch: &[PutRecordsRequestEntry]) {
        let now = Instant::now();
        let mut sent = lock(&self.sent);
        for entry in batch.iter().take(TIMED_MAX.saturating_sub(sent.len())) {
            let name = (entry.partition_key.clone(), entry.data.clone());
            sent.entry(name).or_default().push_back(now);
        }
    }

    fn take_sent(&self, key: &str, data: &Bytes) -> Option<Instant> {
        let mut sent = lock(&self.sent);
        let name = (key.to_owned(), data.clone());
        let times = sent.get_mut(&name)?;
        let first = times.pop_front();
        if times.is_empty() {
            sent.remove(&name);
        }
        first
    }

    /// Shows how many were put, and how far into the input that is.
    pub(crate) fn show_put(&self, count: u64, position: u64) {
        lock(&self.view).put(count, position, self.started.elapsed());
    }

    /// Takes the view away.
    pub(crate) fn finish_view(&self) {
        lock(&self.view).finish();
    }

    /// Records that have come through.
    pub(crate) fn pushed_count(&self) -> u64 {
        lock(&self.pushed).account.count()
    }

    /// All that has come through.
    pub(crate) fn take_pushed(&self) -> Pushed {
        std::mem::take(&mut *lock(&self.pushed))
    }
}

/// Why a subscription ended.
enum Ended {
    /// Its time was up.
    Subscription,
    /// The shard was closed, and all of it has come.
    Shard,
}

/// Follows one shard until told to end.
pub(crate) struct Follower {
    pub(crate) client: Client,
    pub(crate) consumer_arn: String,
    pub(crate) shard: String,
    pub(crate) shared: Arc<Shared>,
    pub(crate) done: watch::Receiver<bool>,
}

impl Follower {
    /// Runs until told to end, or until the shard's end.
    pub(crate) async fn run(mut self) -> Outcome {
        let mut done = self.done.clone();
        let mut position = ReadFrom::TrimHorizon;
        loop {
            tokio::select! {
                biased;
                _ = done.wait_for(|done| *done) => return Ok(()),
                // The service ends a subscription after five minutes: subscribe again.
                followed = self.follow(&mut position) => match followed? {
                    Ended::Subscription => {}
                    Ended::Shard => return Ok(()),
                },
            }
        }
    }

    async fn follow(&mut self, position: &mut ReadFrom) -> Result<Ended, CallError> {
        let subscribed =
            self.client.subscribe_to_shard(&self.consumer_arn, &self.shard, position).await;
        let mut subscription = subscribed?;
        while let Some(event) = subscription.next().await? {
            let now = Instant::now();
            for record in &event.records {
                let sent = self.shared.take_sent(&record.partition_key, &record.data);
                let mut pushed = lock(&self.shared.pushed);
                let number = &record.sequence_number;
                pushed.account.note(&self.shard, number, &record.partition_key, &record.data);
                if let Some(sent) = sent {
                    pushed.latency.record(now.duration_since(sent));
                }
            }
            if let Some(last) = event.records.last() {
                let mut view = lock(&self.shared.view);
                view.newest(&self.shard, &last.data);
                let pushed = lock(&self.shared.pushed);
                view.pushed(pushed.account.count(), &pushed.latency);
            }
            match event.continuation_sequence_number {
                Some(number) => *position = ReadFrom::AfterSequenceNumber(number),
                None => return Ok(Ended::Shard),
            }
        }
        Ok(Ended::Subscription)
    }
}
