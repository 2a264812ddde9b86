//! SubscribeToShard: records pushed as they come.
//!
//! Owns who is subscribed (one subscription for each consumer and shard) and the feed of events.
//! A feed reads on only when its last event was taken, so a slow reader holds up nobody and
//! nothing queues. It wakes by the log's tail: nothing polls.
//!
//! * An event comes at least every three seconds, empty where there is nothing new.
//! * A second subscription within five seconds is refused, later takes over: the first ends.
//! * After five minutes the feed ends, and so it does at a shard's end, after naming the
//!   children, and with the service.
//! * Whoever drops the feed gives the subscription back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_core::Stream as EventSource;
use futures_util::stream;
use millstream_core::{SequenceNumber, ShardId, StreamName, Timestamp, limits};
use millstream_log::{Position, ReadLimit, Tail};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::read::{Page, ReadRecord};
use crate::refusal::Refusal;
use crate::state::{ChildShard, Shard, Stream, StreamUid};
use crate::streams::Streams;

/// What one event carries at most.
const EVENT_LIMIT: ReadLimit = ReadLimit { records: 10_000, bytes: 1024 * 1024 };

type Key = (StreamUid, ShardId, StreamName);

/// Who is subscribed to what.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions(Mutex<Claims>);

#[derive(Debug, Default)]
struct Claims {
    next: u64,
    held: BTreeMap<Key, Held>,
}

#[derive(Debug)]
struct Held {
    number: u64,
    since: Instant,
    ended: watch::Sender<bool>,
}

/// The right to feed one consumer from one shard; given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    subscriptions: Arc<Subscriptions>,
    key: Key,
    number: u64,
    ended: watch::Receiver<bool>,
    /// Held for five seconds even if dropped, as the real service does.
    lingers: bool,
}

impl Subscriptions {
    fn lock(&self) -> MutexGuard<'_, Claims> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a consumer's shard; `None` where another claim is younger than five seconds.
    pub(crate) fn claim(self: &Arc<Self>, key: Key, lingers: bool) -> Option<Claim> {
        let takeover = Duration::from_millis(limits::SUBSCRIPTION_TAKEOVER_MS);
        let mut claims = self.lock();
        if claims.held.get(&key).is_some_and(|held| held.since.elapsed() < takeover) {
            return None;
        }
        // Claims that only linger are over, too.
        claims.held.retain(|_, held| held.since.elapsed() < takeover || !held.ended.is_closed());
        let number = claims.next;
        claims.next += 1;
        let (sender, ended) = watch::channel(false);
        let held = Held { number, since: Instant::now(), ended: sender };
        if let Some(first) = claims.held.insert(key.clone(), held) {
            first.ended.send_replace(true);
        }
        Some(Claim { subscriptions: self.clone(), key, number, ended, lingers })
    }

    /// How many claims are held.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.lock().held.len()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.lingers {
            return;
        }
        let mut claims = self.subscriptions.lock();
        if claims.held.get(&self.key).is_some_and(|held| held.number == self.number) {
            claims.held.remove(&self.key);
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) records: Vec<ReadRecord>,
    /// Where a new subscription goes on, after this number; `None` at a shard's end.
    pub(crate) continuation: Option<SequenceNumber>,
    pub(crate) behind_ms: u64,
    pub(crate) children: Option<Vec<ChildShard>>,
}

/// What is to be fed.
pub(crate) struct Subscription {
    pub(crate) stream: Arc<Stream>,
    pub(crate) shard: Shard,
    pub(crate) position: Position,
    pub(crate) claim: Claim,
}

/// Why a feed wakes.
enum Wake {
    Look,
    Heartbeat,
    End,
}

struct Feed {
    streams: Arc<Streams>,
    subscription: Subscription,
    tail: Tail,
    changes: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    ends: Instant,
    last_event: Instant,
    is_over: bool,
}

impl Streams {
    /// The feed of a subscription.
    pub(crate) fn feed(
        self: Arc<Self>,
        subscription: Subscription,
    ) -> Result<impl EventSource<Item = Result<Event, Refusal>> + Send + 'static, Refusal> {
        let tail = self.log.tail(subscription.shard.log()).map_err(|_| Refusal::ShardMissing {
            shard: subscription.shard.id,
            stream: subscription.stream.named(),
        })?;
        let now = Instant::now();
        let feed = Feed {
            changes: self.catalog.changes(),
            stopping: self.stopping(),
            streams: self,
            subscription,
            tail,
            ends: now + Duration::from_millis(limits::SUBSCRIPTION_LIFE_MS),
            last_event: now,
            is_over: false,
        };
        Ok(stream::unfold(feed, |mut feed| async move {
            let event = feed.next().await?;
            Some((event, feed))
        }))
    }
}

impl Feed {
    /// The next event; `None` when the feed is over.
    async fn next(&mut self) -> Option<Result<Event, Refusal>> {
        loop {
            let is_ended = *self.subscription.claim.ended.borrow() || *self.stopping.borrow();
            if self.is_over || is_ended || Instant::now() >= self.ends {
                return None;
            }
            // Marked as seen before the read, so that whatever comes after it wakes us.
            let is_sealed = self.tail.borrow_and_update().sealed;
            self.changes.mark_unchanged();
            let page = match self.read().await {
                Ok(page) => page,
                Err(refusal) => {
                    self.is_over = true;
                    return Some(Err(refusal));
                }
            };
            self.subscription.position = page.next;
            if !page.records.is_empty() || page.children.is_some() {
                return Some(Ok(self.event(page)));
            }
            match self.wake(is_sealed).await {
                Wake::Look => {}
                Wake::Heartbeat => return Some(Ok(self.event(page))),
                Wake::End => return None,
            }
        }
    }

    /// Waits until there is something to look for, or a heartbeat is due.
    async fn wake(&mut self, is_sealed: bool) -> Wake {
        let heartbeat = Duration::from_millis(limits::SUBSCRIPTION_HEARTBEAT_MS);
        let due = (self.last_event + heartbeat).min(self.ends);
        let is_log_silent = tokio::select! {
            biased;
            _ = self.subscription.claim.ended.changed() => false,
            _ = self.stopping.changed() => false,
            changed = self.tail.changed() => changed.is_err(),
            // A sealed log's tail is silent; what comes next is in the catalog.
            _ = self.changes.changed(), if is_sealed => false,
            () = tokio::time::sleep_until(due) => return Wake::Heartbeat,
        };
        // A tail falls silent when its log is deleted, which the next look says, or when the
        // whole log stops.
        if is_log_silent && !self.is_log_gone() { Wake::End } else { Wake::Look }
    }

    fn is_log_gone(&self) -> bool {
        self.streams.log.bounds(self.subscription.shard.log()).is_err()
    }

    async fn read(&self) -> Result<Page, Refusal> {
        let Subscription { stream, shard, position, .. } = &self.subscription;
        self.streams.read(stream, shard, *position, EVENT_LIMIT).await
    }

    fn event(&mut self, page: Page) -> Event {
        self.last_event = Instant::now();
        self.is_over = page.children.is_some();
        let last = page.records.last().map(|record| record.number);
        let now = self.streams.clock.now();
        let reached = last.unwrap_or_else(|| reached(&self.subscription.shard, page.next, now));
        Event {
            records: page.records,
            continuation: page.children.is_none().then_some(reached),
            behind_ms: page.behind_ms,
            children: page.children,
        }
    }
}

/// The number after which `next` is the next record.
fn reached(shard: &Shard, next: Position, now: Timestamp) -> SequenceNumber {
    match next.0.checked_sub(1) {
        None => shard.starting_sequence_number(),
        Some(before) => shard.sequence_number(Position(before), now),
    }
}
