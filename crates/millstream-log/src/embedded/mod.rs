//! The embedded engine: our own append-only files on local disk, fsynced in groups before the ack.
//!
//! Owns a directory. All logs share one write-ahead lane; its full files are destaged in the
//! background into immutable segments. `docs/internals/log-files.md` shows the files, and
//! `docs/decisions/0002-embedded-log-layout.md` says why.
//!
//! Invariant: what was acknowledged in `Fsync` mode is there after any crash, in order, once; and
//! damage is reported, never served and never repaired by deleting.

mod commit;
mod compact;
mod destage;
mod drive;
mod frame;
mod lane;
mod manifest;
mod open_files;
mod read;
mod recover;
mod segment;
mod settings;
mod state;
mod stats;
mod wal;

use std::io;
use std::sync::{Arc, Mutex};

use millstream_core::{Clock, Rand, Timestamp};
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use drive::Driver;
pub use recover::{RecoveryReport, TornTail};
pub use settings::{Durability, Settings};
pub use stats::{SYNC_BUCKETS_US, Stats};

use crate::storage::Storage;
use crate::{
    AppendError, Appended, Batch, Bounds, BoxFuture, Log, LogId, Position, Read, ReadError,
    ReadLimit, SealError, Tail,
};
use destage::Destager;
use drive::Threads;
use lane::{Command, Lane};
use open_files::OpenFiles;
use read::Source;
use recover::Recovered;
use state::{LogEntry, Shared, lock};
use wal::Pool;

/// Why a directory cannot be opened as a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another engine of this one, has it.
    #[error("{directory} is in use by another process")]
    InUse {
        /// Which.
        directory: String,
    },
    /// What is there is not what was written. Nothing was changed: a copy, or an operator, may
    /// know better.
    #[error("corrupt data in {file} at byte {offset}: {reason}")]
    Corrupt {
        /// Where.
        file: String,
        /// Where in it.
        offset: u64,
        /// What does not hold.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot open {file}: {error}")]
    Io {
        /// Where.
        file: String,
        /// What it said.
        error: String,
    },
}

impl OpenError {
    fn io(storage: &dyn Storage, name: &str, error: &io::Error) -> Self {
        Self::Io { file: storage.describe(name), error: error.to_string() }
    }

    fn corrupt(storage: &dyn Storage, name: &str, offset: u64, flaw: &str) -> Self {
        Self::Corrupt { file: storage.describe(name), offset, reason: flaw.to_owned() }
    }
}

/// Why closing was not clean. What was acknowledged is durable all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// No space to move the last records into segments: the next start replays them.
    #[error("no space left for the log")]
    NoSpace,
    /// The engine had stopped before.
    #[error("the log has stopped: {0}")]
    Stopped(String),
}

/// Logs on local disk. Cheap to clone; the engine ends with its last handle.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    engine: Arc<Engine>,
}

#[derive(Debug)]
struct Engine {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    queue: Option<mpsc::Sender<Command>>,
    /// One permit for each byte that may wait.
    room: Arc<Semaphore>,
    disk_reads: Arc<Semaphore>,
    threads: Mutex<Option<Threads>>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The lane ends once the queue does. Waiting for it gives the directory free on return.
        self.queue = None;
        if let Some(mut threads) = lock(&self.threads).take() {
            threads.join();
        }
    }
}

impl EmbeddedLog {
    /// Opens the logs in `storage`, recovering what a crash left.
    ///
    /// Blocks while it reads the write-ahead files. With [`Driver::Task`] it must be called within
    /// a tokio runtime.
    pub fn open(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        rand: &dyn Rand,
        settings: Settings,
        driver: Driver,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let directory_lock = storage.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { directory: storage.describe("") },
            _ => OpenError::io(&*storage, "LOCK", &error),
        })?;
        let settings = settings.made_sane();
        let shared = Arc::new(Shared::new(storage, settings.clone(), directory_lock));
        let Recovered { manifest, pool, current, commit_next, report } =
            recover::recover(&shared, rand)?;
        let pool = Arc::new(Pool::new(pool));
        let salt = manifest.salt;
        let place = (current, commit_next);
        let lane = Lane::new(Arc::clone(&shared), Arc::clone(&pool), clock, salt, place);
        let destager = Destager::new(Arc::clone(&shared), Arc::clone(&pool), manifest);
        let (sender, receiver) = mpsc::channel(settings.queue_count_max);
        let threads = match driver {
            Driver::Thread => Some(
                Threads::start(lane, destager, receiver)
                    .map_err(|error| OpenError::io(&*shared.storage, "", &error))?,
            ),
            Driver::Task => {
                tokio::spawn(drive::run_task(lane, destager, receiver));
                None
            }
        };
        let engine = Engine {
            shared,
            pool,
            queue: Some(sender),
            room: Arc::new(Semaphore::new(settings.queue_bytes_max)),
            disk_reads: Arc::new(Semaphore::new(settings.disk_reads_max)),
            threads: Mutex::new(threads),
        };
        Ok((Self { engine: Arc::new(engine) }, report))
    }

    /// Drains the queue, moves everything into segments and stops; later appends are refused.
    pub async fn close(&self) -> Result<(), CloseError> {
        let (reply, outcome) = oneshot::channel();
        let stopped = || CloseError::Stopped(self.engine.stop_reason());
        let queue = self.engine.queue.as_ref().ok_or_else(stopped)?;
        queue.send(Command::Close { reply }).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }

    /// What the engine counted so far.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// All logs that exist, in order.
    pub fn log_ids(&self) -> Vec<LogId> {
        self.engine.shared.all_logs().iter().map(|log| log.id).collect()
    }

    fn entry(&self, id: LogId) -> Result<Arc<LogEntry>, ReadError> {
        self.engine.shared.log(id).ok_or(ReadError::NotFound)
    }

    /// Sends what has no bound of bytes, waiting for a place in the queue.
    fn ask<T: Send + 'static>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, SealError>>) -> Command,
    ) -> BoxFuture<'static, Result<T, SealError>> {
        let (reply, outcome) = oneshot::channel();
        let engine = Arc::clone(&self.engine);
        // Tried at once, so that calls take effect in the order in which they are made.
        let waiting = engine.try_send(make(reply)).err();
        Box::pin(async move {
            let stopped = |engine: &Engine| SealError::Stopped(engine.stop_reason());
            if let Some(command) = waiting {
                engine.send(command).await.map_err(|()| stopped(&engine))?;
            }
            outcome.await.map_err(|_| stopped(&engine))?
        })
    }
}

impl Engine {
    fn stop_reason(&self) -> String {
        self.shared.latch_reason().unwrap_or_else(|| "it was closed".to_owned())
    }

    fn try_send(&self, command: Command) -> Result<(), Command> {
        let Some(queue) = &self.queue else { return Err(command) };
        queue.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(command)
            | mpsc::error::TrySendError::Closed(command) => command,
        })
    }

    async fn send(&self, command: Command) -> Result<(), ()> {
        let Some(queue) = &self.queue else { return Err(()) };
        queue.send(command).await.map_err(drop)
    }

    fn enqueue_append(
        &self,
        id: LogId,
        batch: Batch,
    ) -> Result<oneshot::Receiver<Result<Appended, AppendError>>, AppendError> {
        if let Some(reason) = self.shared.latch_reason() {
            return Err(AppendError::Stopped(reason));
        }
        if batch.body_bytes() > self.shared.settings.batch_bytes_max {
            return Err(AppendError::TooLarge);
        }
        let (reply, outcome) = oneshot::channel();
        let cost = batch.body_bytes() + frame::CHUNK_HEADER_BYTES;
        let cost = u32::try_from(cost).map_err(|_| AppendError::TooLarge)?;
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(cost)
            .map_err(|_| AppendError::Overloaded)?;
        match self.try_send(Command::Append { id, batch, reply, room }) {
            Ok(()) => Ok(outcome),
            Err(_) if self.queue.as_ref().is_some_and(|queue| !queue.is_closed()) => {
                Err(AppendError::Overloaded)
            }
            Err(_) => Err(AppendError::Stopped(self.stop_reason())),
        }
    }

    fn stats(&self) -> Stats {
        use std::sync::atomic::Ordering::Relaxed;
        let shared = &self.shared;
        let waiting = shared.settings.queue_bytes_max.saturating_sub(self.room.available_permits());
        Stats {
            cached_bytes: shared.cached_bytes.load(Relaxed) as u64,
            undestaged_bytes: shared.undestaged_bytes.load(Relaxed) as u64,
            queued_bytes: waiting as u64,
            logs: shared.log_count() as u64,
            segments: lock(&shared.segments).live.len() as u64,
            wal_files: self.pool.with(|state| state.file_count) as u64,
            latched: shared.latch_reason(),
            ..shared.counters.snapshot()
        }
    }

    /// Runs a read that may wait for the disk, off the runtime's threads where there are any.
    async fn from_disk<T: Send + 'static>(
        self: Arc<Self>,
        read: impl FnOnce(&Shared) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let in_runtime = tokio::runtime::Handle::try_current().is_ok();
        if !(self.shared.storage.blocks() && in_runtime) {
            return read(&self.shared);
        }
        let _turn = self.disk_reads.acquire().await.expect("it is never closed");
        let shared = Arc::clone(&self.shared);
        let outcome = tokio::task::spawn_blocking(move || read(&shared)).await;
        outcome.unwrap_or_else(|error| {
            Err(ReadError::Io { file: "segment".to_owned(), error: error.to_string() })
        })
    }
}

impl Log for EmbeddedLog {
    fn create(&self, id: LogId) -> BoxFuture<'static, Result<(), AppendError>> {
        let (reply, outcome) = oneshot::channel();
        let engine = Arc::clone(&self.engine);
        let waiting = engine.try_send(Command::Create { id, reply }).err();
        Box::pin(async move {
            let stopped = |engine: &Engine| AppendError::Stopped(engine.stop_reason());
            if let Some(command) = waiting {
                engine.send(command).await.map_err(|()| stopped(&engine))?;
            }
            outcome.await.map_err(|_| stopped(&engine))?
        })
    }

    fn append(&self, id: LogId, batch: Batch) -> BoxFuture<'static, Result<Appended, AppendError>> {
        let engine = Arc::clone(&self.engine);
        // Queued here and not at the first poll: calls take places in the order they are made.
        let queued = engine.enqueue_append(id, batch);
        Box::pin(
            async move { queued?.await.map_err(|_| AppendError::Stopped(engine.stop_reason()))? },
        )
    }

    fn read(
        &self,
        id: LogId,
        from: Position,
        limit: ReadLimit,
    ) -> BoxFuture<'static, Result<Read, ReadError>> {
        let entry = self.entry(id);
        let engine = Arc::clone(&self.engine);
        Box::pin(async move {
            let entry = entry?;
            let run = match engine.shared.read_memory(&entry, from, limit) {
                Source::Done(read) => return Ok(read),
                Source::Failed(error) => return Err(error),
                Source::Segment(run) => run,
            };
            engine.from_disk(move |shared| shared.read_from_disk(&entry, run, from, limit)).await
        })
    }

    fn position_at(
        &self,
        id: LogId,
        at: Timestamp,
    ) -> BoxFuture<'static, Result<Position, ReadError>> {
        let entry = self.entry(id);
        let engine = Arc::clone(&self.engine);
        Box::pin(async move {
            let entry = entry?;
            match Shared::position_in_memory(&entry, at)? {
                Ok(position) => Ok(position),
                Err(run) => {
                    engine.from_disk(move |shared| shared.position_on_disk(&entry, run, at)).await
                }
            }
        })
    }

    fn bounds(&self, id: LogId) -> Result<Bounds, ReadError> {
        Ok(self.entry(id)?.read().bounds())
    }

    fn tail(&self, id: LogId) -> Result<Tail, ReadError> {
        let entry = self.entry(id)?;
        let tail = entry.follow();
        // A log that was made while the engine stopped was not among those whose followers were
        // let go.
        if self.engine.shared.latch_reason().is_some() {
            entry.stop_following();
        }
        Ok(tail)
    }

    fn trim(&self, id: LogId, before: Position) -> BoxFuture<'static, Result<(), SealError>> {
        self.ask(|reply| Command::Trim { id, before, reply })
    }

    fn seal(&self, id: LogId) -> BoxFuture<'static, Result<Position, SealError>> {
        self.ask(|reply| Command::Seal { id, reply })
    }

    fn delete(&self, id: LogId) -> BoxFuture<'static, Result<(), SealError>> {
        self.ask(|reply| Command::Delete { id, reply })
    }
}
