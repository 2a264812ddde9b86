//! Carries delivery streams through CREATING and DELETING, and encryption through ENABLING and
//! DISABLING.
//!
//! Owns the drivers: at most one task for each delivery stream, started by the operation that
//! leaves something to do and, after a crash, by opening. Each step is idempotent: logs are made
//! and deleted before the command that says so, and doing it again changes nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_core::source::SourceError;
use millstream_log::LogId;

use crate::firehose::Firehose;
use crate::refusal::Refusal;
use crate::state::{Command, DeliveryStream, DeliveryStreamUid, Failure, Registry, Source, Status};

/// How long a driver rests after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Which delivery streams have a driver at work.
#[derive(Debug, Default)]
pub(crate) struct Drivers(Mutex<BTreeSet<DeliveryStreamUid>>);

impl Drivers {
    fn start(&self, uid: DeliveryStreamUid) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid)
    }

    fn stop(&self, uid: DeliveryStreamUid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid);
    }
}

impl Firehose {
    /// Starts drivers for all that is unfinished.
    pub(crate) fn take_up_transitions(&self) {
        for uid in self.catalog.read(Registry::busy) {
            self.drive(uid);
        }
    }

    /// Has the delivery stream's transitions carried through in the background.
    pub(crate) fn drive(&self, uid: DeliveryStreamUid) {
        let Some(firehose) = self.me.upgrade() else { return };
        if !firehose.drivers.start(uid) {
            return;
        }
        tokio::spawn(async move {
            let mut stopping = firehose.stopping();
            loop {
                while !*stopping.borrow_and_update() {
                    match firehose.step(uid).await {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(refusal) => {
                            tracing::warn!(%refusal, stream = uid.0, "a transition is tried again");
                            tokio::time::sleep(RETRY_AFTER).await;
                        }
                    }
                }
                firehose.drivers.stop(uid);
                // Whoever came between the last look and the end found a driver at work.
                let is_busy = firehose.catalog.read(|registry| registry.busy().contains(&uid));
                if !is_busy || *stopping.borrow() || !firehose.drivers.start(uid) {
                    return;
                }
            }
        });
    }

    /// Does the next thing that the delivery stream needs; false when nothing is left.
    async fn step(&self, uid: DeliveryStreamUid) -> Result<bool, Refusal> {
        let is_busy = self.catalog.read(|registry| registry.busy().contains(&uid));
        let found = self.catalog.read(|registry| registry.by_uid(uid).cloned());
        let Some(stream) = found.filter(|_| is_busy) else { return Ok(false) };
        match stream.status {
            Status::Creating => self.finish_creating(&stream).await?,
            Status::Active => self.finish_encrypting(&stream).await?,
            Status::Deleting => self.finish_deleting(&stream).await?,
            Status::CreatingFailed(_) => return Ok(false),
        }
        Ok(true)
    }

    async fn finish_creating(&self, stream: &Arc<DeliveryStream>) -> Result<(), Refusal> {
        rest(self.settings.creating).await;
        let uid = stream.uid;
        if let Some(failure) = self.missing_source(stream).await? {
            let command = Command::Fail { stream: uid, failure };
            return self.propose(|_| Ok((Some(command), ()))).await;
        }
        for log in stream.logs() {
            self.log.create(log).await.map_err(|error| {
                tracing::warn!(%error, "a delivery stream's log was not made");
                Refusal::Internal
            })?;
        }
        self.propose(|_| Ok((Some(Command::Activate { stream: uid }), ()))).await
    }

    /// Why the source cannot be read, where it is known never to be.
    async fn missing_source(&self, stream: &DeliveryStream) -> Result<Option<Failure>, Refusal> {
        let Source::Kinesis(source) = &stream.source else { return Ok(None) };
        let missing = || {
            let details = format!("The source stream {} is not there.", source.stream_arn);
            Ok(Some(Failure { details }))
        };
        let Ok(arn) = source.stream_arn.parse() else { return missing() };
        match self.streams.shards(&arn).await {
            Ok(_) | Err(SourceError::ShardNotFound(_)) => Ok(None),
            Err(SourceError::StreamNotFound) => missing(),
            Err(error @ (SourceError::Unavailable(_) | SourceError::Damaged(_))) => {
                tracing::warn!(%error, stream = %stream.name, "the source does not answer");
                Err(Refusal::Internal)
            }
        }
    }

    async fn finish_encrypting(&self, stream: &DeliveryStream) -> Result<(), Refusal> {
        rest(self.settings.encrypting).await;
        let uid = stream.uid;
        self.propose(|_| Ok((Some(Command::SettleEncryption { stream: uid }), ()))).await
    }

    async fn finish_deleting(&self, stream: &DeliveryStream) -> Result<(), Refusal> {
        rest(self.settings.deleting).await;
        let uid = stream.uid;
        self.propose(|_| Ok((Some(Command::Remove { stream: uid }), ()))).await?;
        self.data_keys.forget(uid);
        self.plans.forget(uid);
        self.incoming.forget(uid);
        self.delete_condemned_logs().await
    }

    /// Deletes the logs that nothing names any more.
    pub(crate) async fn delete_condemned_logs(&self) -> Result<(), Refusal> {
        let logs = self.catalog.read(Registry::condemned);
        if logs.is_empty() {
            return Ok(());
        }
        for log in &logs {
            self.log.delete(LogId(*log)).await.map_err(|error| {
                tracing::warn!(%error, "a log was not deleted");
                Refusal::Internal
            })?;
        }
        self.throttle.forget(&logs);
        self.propose(|_| Ok((Some(Command::LogsDeleted { logs }), ()))).await
    }
}

async fn rest(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
