//! The lane: the one writer, which gives everything its place and makes it durable.
//!
//! Owns the order of all logs. A commit takes every command that queued while the last sync ran,
//! gives positions and arrival times, writes one padded run of blocks, syncs, and only then
//! publishes and acknowledges. No timer: the queue is the batch. It is a plain state machine, so
//! that a thread in production and a task in a simulation drive the very same code.
//!
//! Invariant: nothing is published or acknowledged before its bytes are synced (in `Fsync` mode),
//! and after a failed write or sync nothing is acknowledged ever again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;

use millstream_core::{Clock, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::commit::{COMMIT_HEADER_BYTES, CommitBuilder, Salt};
use super::frame::{CHUNK_HEADER_BYTES, Chunk, ChunkHeader, ChunkKind};
use super::manifest::LogSnapshot;
use super::state::{LogEntry, Shared};
use super::stats::add;
use super::wal::{FullFile, Pool, PoolFailure, WalFile};
use super::{CloseError, Durability};
use crate::storage::{BLOCK_BYTES, is_no_space};
use crate::{AppendError, Appended, Batch, LogId, Position, SealError};

/// What the lane is asked. The receiver of a reply may be gone: the command is done all the same.
#[derive(Debug)]
pub(super) enum Command {
    Create {
        id: LogId,
        reply: Reply<(), AppendError>,
    },
    Append {
        id: LogId,
        batch: Batch,
        reply: Reply<Appended, AppendError>,
        room: OwnedSemaphorePermit,
    },
    Seal {
        id: LogId,
        reply: Reply<Position, SealError>,
    },
    Trim {
        id: LogId,
        before: Position,
        reply: Reply<(), SealError>,
    },
    Delete {
        id: LogId,
        reply: Reply<(), SealError>,
    },
    /// Destage everything, then stop.
    Close {
        reply: Reply<(), CloseError>,
    },
}

type Reply<T, E> = oneshot::Sender<Result<T, E>>;

/// Why a whole commit was refused.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    NoSpace,
    Stopped(String),
}

/// A log as the lane plans it, ahead of what is published by the commit under way.
#[derive(Clone, Debug)]
struct Planned {
    entry: Arc<LogEntry>,
    start: u64,
    next: u64,
    last_arrived: u64,
    sealed: bool,
}

/// What becomes visible once the commit is durable, in order.
#[derive(Debug)]
enum Effect {
    Create(Arc<LogEntry>),
    Push(Arc<LogEntry>, Chunk),
    Seal(Arc<LogEntry>),
    Trim(Arc<LogEntry>, u64),
    Delete(Arc<LogEntry>),
}

/// Whom to tell what, once the commit is durable.
#[derive(Debug)]
enum Answer {
    Append(Reply<Appended, AppendError>, Result<Appended, AppendError>),
    Create(Reply<(), AppendError>),
    Seal(Reply<Position, SealError>, Result<Position, SealError>),
    Done(Reply<(), SealError>, Result<(), SealError>),
    Close(Reply<(), CloseError>),
}

/// A commit between its write and its acknowledgements.
#[derive(Debug, Default)]
pub(super) struct Commit {
    effects: Vec<Effect>,
    answers: Vec<Answer>,
    refusal: Option<Refusal>,
    /// Trims done although the rest was refused.
    trims: Vec<Reply<(), SealError>>,
    /// Given back once the commit is over.
    room: Vec<OwnedSemaphorePermit>,
}

/// The file being written.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) wal: WalFile,
    pub(super) offset: u64,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    salt: Salt,
    current: Option<Current>,
    /// Number of the next commit.
    number: u64,
    predecessors_synced: bool,
    builder: CommitBuilder,
    /// A commit that was refused for space may lie, whole even, where the next one goes.
    has_leftover: bool,
    logs: HashMap<LogId, Planned>,
    /// The latest arrival given to any log: a log made while the clock is behind begins here too,
    /// so that its records do not look expired once the clock is right again.
    arrived_ms: u64,
}

impl Command {
    /// Bytes it adds to a commit.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Append { batch, .. } => CHUNK_HEADER_BYTES + batch.body_bytes(),
            _ => CHUNK_HEADER_BYTES,
        }
    }

    pub(super) fn refuse(self, refusal: &Refusal) {
        Answer::to(self).refuse(refusal);
    }

    /// Answers a `Close` that was done.
    pub(super) fn give_closed(self) {
        Answer::to(self).give();
    }
}

impl Lane {
    pub(super) fn new(
        shared: Arc<Shared>,
        pool: Arc<Pool>,
        clock: Arc<dyn Clock>,
        salt: Salt,
        (current, number): (Option<Current>, u64),
    ) -> Self {
        let logs = shared.all_logs().into_iter().map(|entry| (entry.id, Planned::of(entry)));
        let logs: HashMap<LogId, Planned> = logs.collect();
        let arrived_ms = logs.values().map(|planned| planned.last_arrived).max().unwrap_or(0);
        let (predecessors_synced, builder) = (true, CommitBuilder::default());
        Self {
            shared,
            pool,
            clock,
            salt,
            current,
            number,
            predecessors_synced,
            builder,
            has_leftover: false,
            logs,
            arrived_ms,
        }
    }

    /// Makes room for a commit of `command_bytes`, by going on to a prepared file where needed;
    /// false where none is ready.
    pub(super) fn make_room(&mut self, command_bytes: usize) -> Result<bool, PoolFailure> {
        let needed = (COMMIT_HEADER_BYTES + command_bytes).next_multiple_of(BLOCK_BYTES) as u64;
        if let Some(current) = &self.current
            && current.offset + needed <= current.wal.bytes
        {
            return Ok(true);
        }
        self.cover_leftover()?;
        let Some(wal) = self.pool.with(|state| state.spares.pop_front()) else { return Ok(false) };
        self.retire_current();
        self.current = Some(Current { wal, offset: BLOCK_BYTES as u64 });
        Ok(true)
    }

    /// Writes an empty commit over a refused one, which would else share its number with the
    /// first commit of the next file, and be replayed in its place.
    fn cover_leftover(&mut self) -> Result<(), PoolFailure> {
        if !self.has_leftover {
            return Ok(());
        }
        self.builder.clear(self.shared.settings.commit_bytes_max);
        self.write_and_sync().map_err(|refusal| match refusal {
            Refusal::NoSpace => PoolFailure::NoSpace,
            Refusal::Stopped(_) => PoolFailure::Stopped,
        })
    }

    /// Hands the file being written to the background, full or not.
    pub(super) fn retire_current(&mut self) {
        // Only where the engine closes can there be one: then it is replayed as a refused commit
        // may be, or not at all.
        let _ = self.cover_leftover();
        let Some(current) = self.current.take() else { return };
        let full = FullFile { wal: current.wal, checkpoint: self.number, logs: self.snapshots() };
        self.pool.with(|state| state.full.push_back(full));
        self.pool.call();
    }

    /// Plans, writes and syncs. There must be room. What it returns must be published.
    pub(super) fn write(&mut self, commands: Vec<Command>) -> Commit {
        if let Some(reason) = self.shared.latch_reason() {
            return refuse_all(commands, Refusal::Stopped(reason));
        }
        self.builder.clear(self.shared.settings.commit_bytes_max);
        let mut undo = Vec::new();
        let mut commit = Commit::default();
        // The wall clock may jump back; arrivals never do.
        self.arrived_ms = self.arrived_ms.max(self.clock.now().ms());
        let now = Timestamp::from_ms(self.arrived_ms);
        for command in commands {
            self.plan(command, now, &mut commit, &mut undo);
        }
        if self.builder.is_empty() {
            return commit;
        }
        if cfg!(feature = "mutant-early-ack") {
            self.publish(std::mem::take(&mut commit));
        }
        match self.write_and_sync() {
            Ok(()) => self.count(&commit),
            Err(refusal) => {
                for (id, before) in undo.into_iter().rev() {
                    match before {
                        Some(before) => self.logs.insert(id, before),
                        None => self.logs.remove(&id),
                    };
                }
                commit.effects.clear();
                commit.refusal = Some(refusal);
            }
        }
        commit
    }

    /// Refuses for want of space all but trims, which are what makes space: they take effect in
    /// memory, as they may since a crash is allowed to undo them, and last from the next manifest.
    pub(super) fn refuse_for_space(&mut self, commands: Vec<Command>) -> Commit {
        let mut commit = Commit { refusal: Some(Refusal::NoSpace), ..Commit::default() };
        for command in commands {
            match command {
                Command::Trim { id, before, reply } if self.logs.contains_key(&id) => {
                    let planned = self.logs.get_mut(&id).expect("just seen");
                    planned.start = planned.start.max(before.0.min(planned.next));
                    let entry = Arc::clone(&planned.entry);
                    commit.effects.push(Effect::Trim(entry, planned.start));
                    commit.trims.push(reply);
                }
                command => commit.answers.push(Answer::to(command)),
            }
        }
        commit
    }

    /// Makes a commit visible and answers everyone in it.
    pub(super) fn publish(&mut self, commit: Commit) {
        let mut touched: Vec<Arc<LogEntry>> = Vec::new();
        let mut released = false;
        for effect in commit.effects {
            let entry = match effect {
                Effect::Create(entry) => {
                    self.shared.insert_log(Arc::clone(&entry));
                    entry
                }
                Effect::Push(entry, chunk) => {
                    self.shared.push_chunk(&mut entry.write(), chunk);
                    entry
                }
                Effect::Seal(entry) => {
                    entry.write().sealed = true;
                    entry
                }
                Effect::Trim(entry, start) => {
                    released |= self.shared.trim(&mut entry.write(), start);
                    entry
                }
                Effect::Delete(entry) => {
                    released |= self.shared.delete(&entry);
                    entry
                }
            };
            if touched.last().is_none_or(|last| !Arc::ptr_eq(last, &entry)) {
                touched.push(entry);
            }
        }
        for entry in touched {
            entry.notify();
        }
        drop(commit.room);
        for answer in commit.answers {
            match &commit.refusal {
                Some(refusal) => answer.refuse(refusal),
                None => answer.give(),
            }
        }
        for trim in commit.trims {
            Answer::Done(trim, Ok(())).give();
        }
        if released {
            self.pool.call();
        }
    }

    fn write_and_sync(&mut self) -> Result<(), Refusal> {
        let current = self.current.as_mut().expect("the driver made room");
        let epoch = current.wal.epoch;
        let bytes = self.builder.finish(self.salt, epoch, self.number, self.predecessors_synced);
        assert!(
            current.offset + bytes.len() as u64 <= current.wal.bytes,
            "a commit fits the file that has room for it"
        );
        if let Err(error) = current.wal.file.write_at(current.offset, bytes) {
            // Zero-filled files need no space on most file systems; where one does all the same,
            // the next commit takes the same place, so that nothing of this one survives it.
            if is_no_space(&error) {
                self.has_leftover = true;
                return Err(Refusal::NoSpace);
            }
            return Err(self.latch("write", &error));
        }
        let sync = self.shared.settings.durability == Durability::Fsync;
        if sync && !cfg!(feature = "mutant-no-sync") {
            let begun = Instant::now();
            // Never tried again: after a failure the system holds the pages for clean.
            if let Err(error) = current.wal.file.sync() {
                return Err(self.latch("sync", &error));
            }
            self.shared.counters.count_sync(begun.elapsed());
        }
        current.offset += bytes.len() as u64;
        self.has_leftover = false;
        add(&self.shared.counters.wal_bytes, bytes.len() as u64);
        self.number += 1;
        self.predecessors_synced = sync;
        Ok(())
    }

    fn latch(&self, what: &str, error: &io::Error) -> Refusal {
        let reason = format!("a {what} of the write-ahead file failed: {error}");
        tracing::error!(reason, "the log stops acknowledging");
        self.shared.latch(&reason);
        Refusal::Stopped(reason)
    }

    fn count(&self, commit: &Commit) {
        let counters = &self.shared.counters;
        add(&counters.commits, 1);
        for effect in &commit.effects {
            if let Effect::Push(_, chunk) = effect {
                add(&counters.records, u64::from(chunk.count));
                add(&counters.appended_bytes, chunk.body.len() as u64);
            }
        }
    }

    fn plan(
        &mut self,
        command: Command,
        now: Timestamp,
        commit: &mut Commit,
        undo: &mut Vec<(LogId, Option<Planned>)>,
    ) {
        match command {
            Command::Create { id, reply } => {
                if let Entry::Vacant(vacant) = self.logs.entry(id) {
                    let planned = vacant.insert(Planned::new(id));
                    commit.effects.push(Effect::Create(Arc::clone(&planned.entry)));
                    undo.push((id, None));
                    self.push_command(ChunkKind::Create, id, 0, 0);
                }
                commit.answers.push(Answer::Create(reply));
            }
            Command::Append { id, batch, reply, room } => {
                commit.room.push(room);
                let outcome = self.plan_append(id, batch, now, commit, undo);
                commit.answers.push(Answer::Append(reply, outcome));
            }
            Command::Seal { id, reply } => {
                let outcome = match self.logs.get_mut(&id) {
                    None => Err(SealError::NotFound),
                    Some(planned) => {
                        let (end, arrived) = (planned.next, planned.last_arrived);
                        if !planned.sealed {
                            undo.push((id, Some(planned.clone())));
                            planned.sealed = true;
                            commit.effects.push(Effect::Seal(Arc::clone(&planned.entry)));
                            self.push_command(ChunkKind::Seal, id, end, arrived);
                        }
                        Ok(Position(end))
                    }
                };
                commit.answers.push(Answer::Seal(reply, outcome));
            }
            Command::Trim { id, before, reply } => {
                let outcome = match self.logs.get_mut(&id) {
                    None => Err(SealError::NotFound),
                    Some(planned) => {
                        let start = before.0.min(planned.next);
                        if start > planned.start {
                            undo.push((id, Some(planned.clone())));
                            planned.start = start;
                            commit.effects.push(Effect::Trim(Arc::clone(&planned.entry), start));
                            self.push_command(ChunkKind::Trim, id, start, 0);
                        }
                        Ok(())
                    }
                };
                commit.answers.push(Answer::Done(reply, outcome));
            }
            Command::Delete { id, reply } => {
                if let Some(planned) = self.logs.remove(&id) {
                    commit.effects.push(Effect::Delete(Arc::clone(&planned.entry)));
                    undo.push((id, Some(planned)));
                    self.push_command(ChunkKind::Delete, id, 0, 0);
                }
                commit.answers.push(Answer::Done(reply, Ok(())));
            }
            Command::Close { reply } => commit.answers.push(Answer::Close(reply)),
        }
    }

    fn plan_append(
        &mut self,
        id: LogId,
        batch: Batch,
        now: Timestamp,
        commit: &mut Commit,
        undo: &mut Vec<(LogId, Option<Planned>)>,
    ) -> Result<Appended, AppendError> {
        let planned = self.logs.get_mut(&id).ok_or(AppendError::NotFound)?;
        if planned.sealed {
            return Err(AppendError::Sealed);
        }
        let arrived = now.ms().max(planned.last_arrived);
        let first = Position(planned.next);
        let count = batch.count;
        let appended = Appended { first, count, arrived: Timestamp::from_ms(arrived) };
        if count == 0 {
            return Ok(appended);
        }
        undo.push((id, Some(planned.clone())));
        planned.next += u64::from(count);
        planned.last_arrived = arrived;
        let Batch { body, body_crc, .. } = batch;
        let chunk = Chunk { first: first.0, arrived, count, body_crc, body };
        self.builder.push(&ChunkHeader::of(id, &chunk), &chunk.body);
        commit.effects.push(Effect::Push(Arc::clone(&planned.entry), chunk));
        Ok(appended)
    }

    fn push_command(&mut self, kind: ChunkKind, id: LogId, first: u64, arrived: u64) {
        self.builder.push(&ChunkHeader::command(kind, id, first, arrived), &[]);
    }

    fn snapshots(&self) -> Vec<LogSnapshot> {
        let snapshots = self.logs.iter().map(|(id, planned)| LogSnapshot {
            id: *id,
            start: planned.start,
            next: planned.next,
            last_arrived: planned.last_arrived,
            sealed: planned.sealed,
        });
        let mut snapshots: Vec<_> = snapshots.collect();
        snapshots.sort_unstable_by_key(|snapshot| snapshot.id);
        snapshots
    }
}

/// A commit that tells everybody no.
pub(super) fn refuse_all(commands: Vec<Command>, refusal: Refusal) -> Commit {
    let answers = commands.into_iter().map(Answer::to).collect();
    Commit { answers, refusal: Some(refusal), ..Commit::default() }
}

impl Planned {
    fn new(id: LogId) -> Self {
        let entry = LogSnapshot { id, start: 0, next: 0, last_arrived: 0, sealed: false };
        Self::of(Arc::new(LogEntry::new(&entry)))
    }

    fn of(entry: Arc<LogEntry>) -> Self {
        let (start, next, last_arrived, sealed) = {
            let inner = entry.read();
            (inner.start, inner.end, inner.last_arrived, inner.sealed)
        };
        Self { entry, start, next, last_arrived, sealed }
    }
}

impl Answer {
    /// Whom a command's answer goes to; its content is for refusals only.
    fn to(command: Command) -> Self {
        match command {
            Command::Create { reply, .. } => Self::Create(reply),
            Command::Append { reply, .. } => Self::Append(reply, Err(AppendError::NotFound)),
            Command::Seal { reply, .. } => Self::Seal(reply, Err(SealError::NotFound)),
            Command::Trim { reply, .. } | Command::Delete { reply, .. } => {
                Self::Done(reply, Err(SealError::NotFound))
            }
            Command::Close { reply } => Self::Close(reply),
        }
    }

    // Whoever waited may be gone, which is no concern of ours: hence the ignored results.
    fn give(self) {
        match self {
            Self::Append(reply, outcome) => drop(reply.send(outcome)),
            Self::Create(reply) => drop(reply.send(Ok(()))),
            Self::Seal(reply, outcome) => drop(reply.send(outcome)),
            Self::Done(reply, outcome) => drop(reply.send(outcome)),
            Self::Close(reply) => drop(reply.send(Ok(()))),
        }
    }

    fn refuse(self, refusal: &Refusal) {
        let append = || match refusal {
            Refusal::NoSpace => AppendError::NoSpace,
            Refusal::Stopped(reason) => AppendError::Stopped(reason.clone()),
        };
        let seal = || match refusal {
            Refusal::NoSpace => SealError::NoSpace,
            Refusal::Stopped(reason) => SealError::Stopped(reason.clone()),
        };
        match self {
            Self::Append(reply, _) => drop(reply.send(Err(append()))),
            Self::Create(reply) => drop(reply.send(Err(append()))),
            Self::Seal(reply, _) => drop(reply.send(Err(seal()))),
            Self::Done(reply, _) => drop(reply.send(Err(seal()))),
            Self::Close(reply) => drop(reply.send(Err(match refusal {
                Refusal::NoSpace => CloseError::NoSpace,
                Refusal::Stopped(reason) => CloseError::Stopped(reason.clone()),
            }))),
        }
    }
}
