//! The catalog: one writer at a time, any number of readers.
//!
//! Owns the path of a command: judged against the newest state, appended, durable, applied,
//! published. From the append on it runs in a task of its own, so that a caller who goes away
//! never leaves a durable command unapplied.

use std::sync::{Arc, PoisonError, RwLock};

use millstream_log::{AppendError, Batch, Log, LogId, Position, ReadError, ReadLimit};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::Machine;
use crate::record::{self, Replay};

/// How much is read at once while opening.
const REPLAY_LIMIT: ReadLimit = ReadLimit { records: 10_000, bytes: 4 * 1024 * 1024 };

/// When the whole state is written again, so that opening stays fast and the log short.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotPolicy {
    /// After this many commands.
    pub commands: u64,
    /// After this many bytes of commands.
    pub bytes: u64,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self { commands: 4_096, bytes: 16 * 1024 * 1024 }
    }
}

/// Why a catalog cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be made or begun.
    #[error("cannot begin the catalog: {0}")]
    Begin(#[from] AppendError),
    /// The log cannot be read.
    #[error("cannot read the catalog: {0}")]
    Read(#[from] ReadError),
    /// The log reads, and makes no sense. Never repaired by forgetting.
    #[error("the catalog's record at position {position} makes no sense: {reason}")]
    Damaged {
        /// Where.
        position: u64,
        /// What does not hold.
        reason: String,
    },
}

/// Why a command did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError<E> {
    /// Judged and refused; nothing was written.
    #[error("refused")]
    Refused(E),
    /// Nothing was written: no space, or too much waiting. Try later.
    #[error("the catalog cannot write now: {0}")]
    Unavailable(AppendError),
    /// Whether this or an earlier command is durable is unknown until the catalog is reopened.
    #[error("the catalog has stopped: {0}")]
    Stopped(String),
}

/// A state machine over one log.
pub struct Catalog<M: Machine> {
    log: Arc<dyn Log>,
    id: LogId,
    policy: SnapshotPolicy,
    state: RwLock<M>,
    writer: Arc<Mutex<Writer>>,
    followers: std::sync::Mutex<Followers>,
}

/// Those who want to know of changes. Each has a channel to itself, so that they are woken in the
/// order in which they came: one shared channel wakes in an order that no seed reaches, and a
/// simulation could not be replayed.
#[derive(Default)]
struct Followers {
    commands: u64,
    channels: Vec<watch::Sender<u64>>,
}

/// What only the one who writes may touch.
struct Writer {
    commands_since_snapshot: u64,
    bytes_since_snapshot: u64,
    stopped: Option<String>,
}

impl<M: Machine> std::fmt::Debug for Catalog<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<M: Machine> Catalog<M> {
    /// Opens the catalog in log `id`, making it where it is not there yet.
    pub async fn open(
        log: Arc<dyn Log>,
        id: LogId,
        policy: SnapshotPolicy,
    ) -> Result<Arc<Self>, OpenError> {
        log.create(id).await?;
        let (state, commands_since_snapshot) = replay(&log, id).await?;
        let state = if let Some(state) = state {
            state
        } else {
            log.append(id, Batch::of(&record::genesis())).await?;
            M::default()
        };
        let writer = Writer { commands_since_snapshot, bytes_since_snapshot: 0, stopped: None };
        Ok(Arc::new(Self {
            log,
            id,
            policy,
            state: RwLock::new(state),
            writer: Arc::new(Mutex::new(writer)),
            followers: std::sync::Mutex::default(),
        }))
    }

    /// Looks at the state. `look` must be short: it holds up whoever applies a command.
    pub fn read<T>(&self, look: impl FnOnce(&M) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts the commands applied since opening: changes after each.
    pub fn changes(&self) -> watch::Receiver<u64> {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        let (channel, receiver) = watch::channel(followers.commands);
        // Those who left are forgotten when the list would grow, and at each change.
        if followers.channels.len() == followers.channels.capacity() {
            followers.channels.retain(|channel| !channel.is_closed());
        }
        followers.channels.push(channel);
        receiver
    }

    fn tell_followers(&self) {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.commands += 1;
        let commands = followers.commands;
        followers.channels.retain(|channel| channel.send(commands).is_ok());
    }

    /// Lets `decide` judge the newest state, and makes the command it gives durable and applied.
    ///
    /// `decide` yields the command, or none where nothing has to change, and a value for the
    /// caller; or it refuses. Nothing changes between its look and the application. Dropping the
    /// future after `decide` ran does not stop the command.
    pub async fn propose<T, E>(
        self: &Arc<Self>,
        decide: impl FnOnce(&M) -> Result<(Option<M::Command>, T), E>,
    ) -> Result<T, ProposeError<E>> {
        let writer = self.writer.clone().lock_owned().await;
        if let Some(reason) = &writer.stopped {
            return Err(ProposeError::Stopped(reason.clone()));
        }
        let (command, value) = self.read(decide).map_err(ProposeError::Refused)?;
        let Some(command) = command else { return Ok(value) };
        let task = tokio::spawn(self.clone().commit(writer, command));
        match task.await {
            Ok(Ok(())) => Ok(value),
            Ok(Err(AppendError::Stopped(reason))) => Err(ProposeError::Stopped(reason)),
            Ok(Err(error)) => Err(ProposeError::Unavailable(error)),
            Err(_) => Err(ProposeError::Stopped("the runtime is shutting down".to_owned())),
        }
    }

    /// Appends, applies and publishes one command, then takes a snapshot where one is due.
    async fn commit(
        self: Arc<Self>,
        mut writer: OwnedMutexGuard<Writer>,
        command: M::Command,
    ) -> Result<(), AppendError> {
        // Only a result that says "nothing was written" lets later commands through: until then
        // the state in memory may lack a durable command.
        writer.stopped = Some("a command's outcome is unknown".to_owned());
        let bytes = record::command(&command);
        writer.bytes_since_snapshot += bytes.len() as u64;
        match self.log.append(self.id, Batch::of(&bytes)).await {
            Ok(_) => writer.stopped = None,
            Err(AppendError::Stopped(reason)) => {
                writer.stopped = Some(reason.clone());
                return Err(AppendError::Stopped(reason));
            }
            Err(error) => {
                writer.stopped = None;
                return Err(error);
            }
        }
        self.state.write().unwrap_or_else(PoisonError::into_inner).apply(command);
        self.tell_followers();
        writer.commands_since_snapshot += 1;
        if writer.commands_since_snapshot >= self.policy.commands
            || writer.bytes_since_snapshot >= self.policy.bytes
        {
            // The caller's command is durable and applied: a failure here is not the caller's.
            tokio::spawn(async move { self.snapshot(&mut writer).await });
        }
        Ok(())
    }

    /// Writes the whole state and forgets what it replaces. Runs while no command can be written.
    async fn snapshot(&self, writer: &mut Writer) {
        let parts = self.read(record::snapshot);
        let mut first = None;
        for part in parts {
            match self.log.append(self.id, Batch::of(&part)).await {
                Ok(appended) => first = first.or(Some(appended.first)),
                Err(error) => {
                    if let AppendError::Stopped(reason) = &error {
                        writer.stopped = Some(reason.clone());
                    }
                    tracing::warn!(%error, "the catalog's snapshot was not written");
                    return;
                }
            }
        }
        writer.commands_since_snapshot = 0;
        writer.bytes_since_snapshot = 0;
        let Some(first) = first else { return };
        if let Err(error) = self.log.trim(self.id, first).await {
            tracing::warn!(%error, "the catalog's log was not trimmed");
        }
    }
}

/// Reads the whole log and makes the state of it.
async fn replay<M: Machine>(log: &Arc<dyn Log>, id: LogId) -> Result<(Option<M>, u64), OpenError> {
    let mut replay = Replay::<M>::new();
    let mut from = Position(0);
    loop {
        let read = log.read(id, from, REPLAY_LIMIT).await?;
        let last = read.records.last().map(|record| record.position);
        for record in read.records {
            replay.take(&record.payload).map_err(|error| OpenError::Damaged {
                position: record.position.0,
                reason: error.to_string(),
            })?;
        }
        if last.is_none() {
            break;
        }
        from = read.next;
    }
    let commands = replay.commands;
    let state = replay
        .finish()
        .map_err(|error| OpenError::Damaged { position: from.0, reason: error.to_string() })?;
    Ok((state, commands))
}

#[cfg(test)]
mod tests;
