//! The log as it is, but those who follow it are woken in the order in which they came.
//!
//! Tokio's watch channel wakes its receivers in an order that it draws from entropy of its own,
//! which no seed reaches. Here each follower has a channel to itself, fed from one list.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use millstream_core::Timestamp;
use millstream_log::{
    AppendError, Appended, Batch, Bounds, BoxFuture, Log, LogId, Position, Read, ReadError,
    ReadLimit, SealError, Tail,
};
use tokio::sync::watch;

use crate::network::lock;

/// Those who follow each log, in the order in which they came.
type Followers = Arc<Mutex<BTreeMap<LogId, Vec<watch::Sender<Bounds>>>>>;

/// A log whose followers are woken in order.
#[derive(Debug)]
pub(crate) struct OrderedLog<L> {
    inner: L,
    followers: Followers,
}

impl<L> OrderedLog<L> {
    /// Orders the followers of `inner`.
    pub(crate) fn new(inner: L) -> Self {
        Self { inner, followers: Followers::default() }
    }
}

/// Hands on what the log says to all who follow it, until it falls silent or nobody listens.
async fn forward(id: LogId, mut tail: Tail, followers: Followers) {
    loop {
        let changed = tail.changed().await;
        let mut all = lock(&followers);
        if changed.is_err() {
            all.remove(&id);
            return;
        }
        let bounds = *tail.borrow_and_update();
        let Some(listening) = all.get_mut(&id) else { return };
        listening.retain(|follower| follower.send(bounds).is_ok());
        if listening.is_empty() {
            all.remove(&id);
            return;
        }
    }
}

impl<L: Log> Log for OrderedLog<L> {
    fn create(&self, id: LogId) -> BoxFuture<'static, Result<(), AppendError>> {
        self.inner.create(id)
    }

    fn append(&self, id: LogId, batch: Batch) -> BoxFuture<'static, Result<Appended, AppendError>> {
        self.inner.append(id, batch)
    }

    fn read(
        &self,
        id: LogId,
        from: Position,
        limit: ReadLimit,
    ) -> BoxFuture<'static, Result<Read, ReadError>> {
        self.inner.read(id, from, limit)
    }

    fn position_at(
        &self,
        id: LogId,
        at: Timestamp,
    ) -> BoxFuture<'static, Result<Position, ReadError>> {
        self.inner.position_at(id, at)
    }

    fn bounds(&self, id: LogId) -> Result<Bounds, ReadError> {
        self.inner.bounds(id)
    }

    fn tail(&self, id: LogId) -> Result<Tail, ReadError> {
        let tail = self.inner.tail(id)?;
        let (sender, receiver) = watch::channel(*tail.borrow());
        let mut all = lock(&self.followers);
        let listening = all.entry(id).or_default();
        if listening.is_empty() {
            tokio::spawn(forward(id, tail, Arc::clone(&self.followers)));
        }
        listening.push(sender);
        Ok(receiver)
    }

    fn trim(&self, id: LogId, before: Position) -> BoxFuture<'static, Result<(), SealError>> {
        self.inner.trim(id, before)
    }

    fn seal(&self, id: LogId) -> BoxFuture<'static, Result<Position, SealError>> {
        self.inner.seal(id)
    }

    fn delete(&self, id: LogId) -> BoxFuture<'static, Result<(), SealError>> {
        self.inner.delete(id)
    }
}
