//! Carries streams and consumers through CREATING, UPDATING and DELETING.
//!
//! Owns the drivers: at most one task for each stream, started by the operation that leaves
//! something to do and, after a crash, by opening. Each step is idempotent: logs are made,
//! sealed and deleted before the command that says so, and doing it again changes nothing.
//!
//! The protocol of a reshard: the intent is in the catalog (UPDATING, parents, planned children)
//! → the children's logs are made → the parents' logs are sealed, which fixes their ends → one
//! command closes the parents at these ends and opens the children → next round, or ACTIVE.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use millstream_core::ShardId;
use millstream_log::{AppendError, LogId, SealError};

use crate::refusal::Refusal;
use crate::state::{Command, ConsumerChange, ConsumerStatus, Stream, StreamStatus, StreamUid};
use crate::streams::Streams;

/// Logs made, sealed or deleted at once.
const LOGS_AT_ONCE: usize = 64;
/// How long a driver rests after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Which streams have a driver at work.
#[derive(Debug, Default)]
pub(crate) struct Drivers(Mutex<BTreeSet<StreamUid>>);

impl Drivers {
    fn start(&self, uid: StreamUid) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid)
    }

    fn stop(&self, uid: StreamUid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid);
    }
}

impl Streams {
    /// Starts drivers for all that is unfinished.
    pub(crate) fn take_up_transitions(&self) {
        for uid in self.catalog.read(crate::state::Registry::busy) {
            self.drive(uid);
        }
    }

    /// Has the stream's transitions carried through in the background.
    pub(crate) fn drive(&self, uid: StreamUid) {
        let Some(streams) = self.me.upgrade() else { return };
        if !streams.drivers.start(uid) {
            return;
        }
        tokio::spawn(async move {
            let mut stopping = streams.stopping();
            loop {
                while !*stopping.borrow_and_update() {
                    match streams.step(uid).await {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(refusal) => {
                            tracing::warn!(%refusal, stream = uid.0, "a transition is tried again");
                            tokio::time::sleep(RETRY_AFTER).await;
                        }
                    }
                }
                streams.drivers.stop(uid);
                // Whoever came between the last look and the end found a driver at work.
                let is_busy = streams.catalog.read(|registry| registry.busy().contains(&uid));
                if !is_busy || *stopping.borrow() || !streams.drivers.start(uid) {
                    return;
                }
            }
        });
    }

    /// Does the next thing that the stream needs; false when nothing is left.
    async fn step(&self, uid: StreamUid) -> Result<bool, Refusal> {
        let found = self.catalog.read(|registry| registry.by_uid(uid).cloned());
        let Some(stream) = found else { return Ok(false) };
        match stream.status {
            StreamStatus::Creating => self.finish_creating(&stream).await?,
            StreamStatus::Updating => self.finish_updating(&stream).await?,
            StreamStatus::Deleting => self.finish_deleting(&stream).await?,
            StreamStatus::Active => return self.finish_consumers(&stream).await,
        }
        Ok(true)
    }

    async fn finish_creating(&self, stream: &Stream) -> Result<(), Refusal> {
        rest(self.settings.creating).await;
        self.create_logs(stream.shards.iter().map(crate::state::Shard::log).collect()).await?;
        self.activate(stream).await
    }

    async fn activate(&self, stream: &Stream) -> Result<(), Refusal> {
        let uid = stream.uid;
        self.propose(|_| Ok((Some(Command::ActivateStream { stream: uid }), ()))).await
    }

    async fn finish_updating(&self, stream: &Stream) -> Result<(), Refusal> {
        rest(self.settings.updating).await;
        let mut stream = self.refresh(stream)?;
        loop {
            let round = stream.reshard.as_ref().map_or(&[][..], |reshard| &reshard.round);
            if round.is_empty() {
                return self.activate(&stream).await;
            }
            let children = round.iter().flat_map(|step| &step.children);
            self.create_logs(children.map(|child| LogId(child.log)).collect()).await?;
            let parents = round.iter().flat_map(|step| step.parents.iter().copied());
            let ends = self.seal_shards(&stream, parents.collect()).await?;
            let (uid, at) = (stream.uid, self.steady_now(&stream));
            let command = Command::FinishRound { stream: uid, at, ends };
            self.propose(|_| Ok((Some(command), ()))).await?;
            stream = self.refresh(&stream)?;
        }
    }

    async fn finish_deleting(&self, stream: &Stream) -> Result<(), Refusal> {
        rest(self.settings.deleting).await;
        let uid = stream.uid;
        self.propose(|_| Ok((Some(Command::RemoveStream { stream: uid }), ()))).await?;
        self.data_keys.forget(uid);
        self.delete_condemned_logs().await
    }

    async fn finish_consumers(&self, stream: &Stream) -> Result<bool, Refusal> {
        let unfinished = stream.consumers.values().filter_map(|consumer| match consumer.status {
            ConsumerStatus::Creating => {
                Some((consumer, self.settings.creating, ConsumerChange::Activate))
            }
            ConsumerStatus::Deleting => {
                Some((consumer, self.settings.deleting, ConsumerChange::Remove))
            }
            ConsumerStatus::Active => None,
        });
        let unfinished: Vec<_> = unfinished.collect();
        let Some(longest) = unfinished.iter().map(|(_, delay, _)| *delay).max() else {
            return Ok(false);
        };
        rest(longest).await;
        for (consumer, _, change) in unfinished {
            let (stream, consumer) = (stream.uid, consumer.name.clone());
            let command = Command::ChangeConsumer { stream, consumer, change };
            self.propose(|_| Ok((Some(command), ()))).await?;
        }
        Ok(true)
    }

    async fn create_logs(&self, logs: Vec<LogId>) -> Result<(), Refusal> {
        stream::iter(logs)
            .map(|log| self.log.create(log))
            .buffered(LOGS_AT_ONCE)
            .try_for_each(|()| std::future::ready(Ok(())))
            .await
            .map_err(|error: AppendError| {
                tracing::warn!(%error, "a shard's log was not made");
                Refusal::Internal
            })
    }

    async fn seal_shards(
        &self,
        stream: &Arc<Stream>,
        shards: Vec<ShardId>,
    ) -> Result<Vec<(ShardId, u64)>, Refusal> {
        let logs: Vec<(ShardId, LogId)> =
            shards.iter().filter_map(|id| Some((*id, stream.shard(*id)?.log()))).collect();
        stream::iter(logs)
            .map(|(id, log)| {
                let sealed = self.log.seal(log);
                async move { Ok((id, sealed.await?.0)) }
            })
            .buffered(LOGS_AT_ONCE)
            .try_collect()
            .await
            .map_err(|error: SealError| {
                tracing::warn!(%error, "a shard's log was not sealed");
                Refusal::Internal
            })
    }

    /// Deletes the logs that nothing names any more.
    pub(crate) async fn delete_condemned_logs(&self) -> Result<(), Refusal> {
        let logs = self.catalog.read(crate::state::Registry::condemned);
        if logs.is_empty() {
            return Ok(());
        }
        stream::iter(logs.clone())
            .map(|log| self.log.delete(LogId(log)))
            .buffered(LOGS_AT_ONCE)
            .try_for_each(|()| std::future::ready(Ok(())))
            .await
            .map_err(|error: SealError| {
                tracing::warn!(%error, "a log was not deleted");
                Refusal::Internal
            })?;
        self.throttle.forget(&logs);
        self.load.forget(&logs);
        self.propose(|_| Ok((Some(Command::LogsDeleted { logs }), ()))).await
    }
}

async fn rest(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
