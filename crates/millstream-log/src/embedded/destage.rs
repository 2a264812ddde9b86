//! The background: readies write-ahead files, moves full ones into segments, unlinks dead ones.
//!
//! Owns the segments' life and the manifest. One step at a time: a thread runs it beside the lane
//! in production, a simulation runs its steps between commits.
//!
//! Invariant: a write-ahead file is reused only after the segments that replace it and the
//! manifest that names them are durable; a segment is unlinked only after a manifest without it
//! is durable.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::commit::Salt;
use super::compact::wasteful;
use super::frame::Chunk;
use super::manifest::{LogSnapshot, Manifest};
use super::segment::{Run, segment_name, write_segment};
use super::state::{LiveSegment, Shared, lock};
use super::stats::add;
use super::wal::{Pool, PoolFailure, WalFile, create_file, prepare_file, wal_name};
use crate::LogId;
use crate::storage::{FileKind, is_no_space};

/// How much one entry of the cache's queue lets go at once.
const CACHE_ENTRY_BYTES: usize = 1 << 20;
/// Entries of the cache's queue at most: trims let go of chunks, but not of entries.
const CACHE_ENTRIES_MAX: usize = 1 << 20;
const RESERVE_NAME: &str = "reserve";

#[derive(Debug)]
pub(super) struct Destager {
    pub(super) shared: Arc<Shared>,
    pool: Arc<Pool>,
    salt: Salt,
    /// What the manifest says now.
    pub(super) checkpoint: u64,
    pub(super) logs: Vec<LogSnapshot>,
    pub(super) segment_next: u64,
    /// The manifest names no segment from this number on.
    named_next: u64,
    has_reserve: bool,
    /// What to let go of first when the cache is full: chunks of a log up to a position.
    cache: VecDeque<(LogId, u64)>,
}

/// Work that the background found.
enum Work {
    Prepare(Option<WalFile>, u64),
    Destage,
    Retire,
    Reserve,
    Compact(Vec<u64>),
}

impl Destager {
    pub(super) fn new(shared: Arc<Shared>, pool: Arc<Pool>, manifest: Manifest) -> Self {
        Self {
            shared,
            pool,
            salt: manifest.salt,
            checkpoint: manifest.checkpoint,
            logs: manifest.logs,
            segment_next: manifest.segment_next,
            named_next: manifest.segment_next,
            has_reserve: false,
            cache: VecDeque::new(),
        }
    }

    /// Does one thing, where there is one to do. Errors but for missing space latch the engine:
    /// what a failed sync left behind is unknown.
    pub(super) fn step(&mut self) -> Result<bool, PoolFailure> {
        if self.shared.latch_reason().is_some() {
            return Err(PoolFailure::Stopped);
        }
        let Some(work) = self.find_work() else { return Ok(false) };
        let outcome = match work {
            Work::Prepare(blank, epoch) => match self.prepare(blank, epoch) {
                // No space for another file: one that is full may hardly need any to be free,
                // above all where most of what is in it was trimmed.
                Err(error) if is_no_space(&error) && self.has_full_file() => self.destage(),
                outcome => outcome,
            },
            Work::Destage => self.destage(),
            Work::Reserve => self.make_reserve(),
            Work::Compact(segments) => self.compact(&segments),
            Work::Retire => self.retire(),
        };
        match outcome {
            Ok(()) => Ok(true),
            Err(error) if is_no_space(&error) => {
                tracing::warn!(%error, "no space left for the log");
                Err(PoolFailure::NoSpace)
            }
            Err(error) => {
                let reason = format!("the background of the log failed: {error}");
                tracing::error!(reason, "the log stops acknowledging");
                self.shared.latch(&reason);
                Err(PoolFailure::Stopped)
            }
        }
    }

    pub(super) fn has_work(&self) -> bool {
        let files_max = self.shared.settings.wal_files_max;
        let with_files = self.pool.with(|state| {
            let can_prepare = !state.blanks.is_empty() || state.file_count < files_max;
            (state.spares.is_empty() && can_prepare) || !state.full.is_empty()
        });
        with_files
            || !self.has_reserve
            || !lock(&self.shared.segments).dead.is_empty()
            || !self.wasteful().is_empty()
    }

    fn has_full_file(&self) -> bool {
        self.pool.with(|state| !state.full.is_empty())
    }

    fn find_work(&self) -> Option<Work> {
        // First, for it may be what makes space for the rest.
        if !lock(&self.shared.segments).dead.is_empty() {
            return Some(Work::Retire);
        }
        let files_max = self.shared.settings.wal_files_max;
        let found = self.pool.with(|state| {
            let can_prepare = !state.blanks.is_empty() || state.file_count < files_max;
            if state.spares.is_empty() && can_prepare {
                state.epoch += 1;
                return Some(Work::Prepare(state.blanks.pop(), state.epoch));
            }
            (!state.full.is_empty()).then_some(Work::Destage)
        });
        if found.is_some() {
            return found;
        }
        if !self.has_reserve {
            return Some(Work::Reserve);
        }
        let wasteful = self.wasteful();
        (!wasteful.is_empty()).then_some(Work::Compact(wasteful))
    }

    fn wasteful(&self) -> Vec<u64> {
        wasteful(&lock(&self.shared.segments), self.shared.settings.wal_file_bytes)
    }

    fn prepare(&self, blank: Option<WalFile>, epoch: u64) -> io::Result<()> {
        let mut wal = match blank {
            Some(wal) => wal,
            None => self.create_wal()?,
        };
        if let Err(error) = prepare_file(&mut wal, epoch, self.salt) {
            // For another try, should only space be missing.
            self.pool.with(|state| state.blanks.push(wal));
            return Err(error);
        }
        self.pool.add_spare(wal);
        Ok(())
    }

    fn create_wal(&self) -> io::Result<WalFile> {
        let bytes = self.shared.settings.wal_file_bytes;
        let number = self.pool.with(|state| {
            state.number_next += 1;
            state.number_next - 1
        });
        let file = create_file(&*self.shared.storage, number, bytes)?;
        self.pool.with(|state| state.file_count += 1);
        Ok(WalFile { number, file, epoch: 0, bytes })
    }

    /// Moves the oldest full file into segments.
    fn destage(&mut self) -> io::Result<()> {
        let (checkpoint, logs) = self.pool.with(|state| {
            let full = state.full.front().expect("found as work");
            (full.checkpoint, full.logs.clone())
        });
        let written = self.write_segments(&logs);
        let runs = match written.and_then(|runs| {
            self.shared.storage.sync_directory()?;
            Ok(runs)
        }) {
            Ok(runs) => runs,
            Err(error) => {
                self.discard_unnamed();
                return Err(error);
            }
        };
        let dead = self.store_manifest(checkpoint, logs)?;
        for run in runs {
            self.publish(run);
        }
        self.evict();
        self.recycle();
        self.unlink(dead)
    }

    /// Writes what the logs hold in memory up to `snapshots` into segments: the large ones' own,
    /// and one that the others share.
    fn write_segments(&mut self, snapshots: &[LogSnapshot]) -> io::Result<Vec<Run>> {
        let settings = &self.shared.settings;
        let (own_bytes_min, interval) =
            (settings.own_segment_bytes_min, settings.index_interval_bytes);
        let mut groups: Vec<Vec<(LogId, Vec<Chunk>)>> = Vec::new();
        let mut small = Vec::new();
        for snapshot in snapshots {
            let chunks = self.undestaged(snapshot);
            let bytes: usize = chunks.iter().map(|chunk| chunk.body.len()).sum();
            if bytes >= own_bytes_min {
                groups.push(vec![(snapshot.id, chunks)]);
            } else if !chunks.is_empty() {
                small.push((snapshot.id, chunks));
            }
        }
        if !small.is_empty() {
            groups.push(small);
        }
        // Looked at first, so that a full disk is not filled and emptied again with every try.
        let chunks = groups.iter().flatten().flat_map(|(_, chunks)| chunks);
        let bytes: usize = chunks.map(|chunk| chunk.body.len()).sum();
        if self.shared.storage.free_bytes()? < bytes as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut runs = Vec::new();
        for group in groups {
            let number = self.segment_next;
            self.segment_next += 1;
            let (entry, written) = write_segment(&*self.shared.storage, number, &group, interval)?;
            add(&self.shared.counters.segment_bytes, entry.file_bytes);
            let live = LiveSegment::new(entry, &written);
            lock(&self.shared.segments).live.insert(number, live);
            runs.extend(written);
        }
        Ok(runs)
    }

    fn undestaged(&self, snapshot: &LogSnapshot) -> Vec<Chunk> {
        // A log that was deleted meanwhile has nothing to keep.
        let Some(entry) = self.shared.log(snapshot.id) else { return Vec::new() };
        let inner = entry.read();
        let from = inner.chunk_index(inner.destaged_to);
        let chunks = inner.chunks.range(from..);
        chunks.take_while(|chunk| chunk.end() <= snapshot.next).cloned().collect()
    }

    /// Forgets segments that no manifest names yet. Their bytes are still in write-ahead files.
    pub(super) fn discard_unnamed(&self) {
        for number in self.named_next..self.segment_next {
            lock(&self.shared.segments).live.remove(&number);
            // Best effort: an unnamed segment is found and removed at the next start.
            let _ = self.shared.storage.remove(&segment_name(number));
        }
    }

    /// Makes the file that is given up when not even a manifest can be written any more.
    fn make_reserve(&mut self) -> io::Result<()> {
        let storage = &*self.shared.storage;
        if storage.list()?.iter().any(|name| name == RESERVE_NAME) {
            self.has_reserve = true;
            return Ok(());
        }
        let file = storage.create(RESERVE_NAME, FileKind::Plain)?;
        let filled = file
            .write_at(0, &vec![0; self.shared.settings.reserve_bytes])
            .and_then(|()| file.sync());
        if let Err(error) = filled.and_then(|()| storage.sync_directory()) {
            let _ = storage.remove(RESERVE_NAME);
            return Err(error);
        }
        self.has_reserve = true;
        Ok(())
    }

    /// Unlinks segments that no log needs, if need be with the space held in reserve: on a disk
    /// that is full to the last byte this is the only way to space.
    fn retire(&mut self) -> io::Result<()> {
        let dead = match self.store_manifest(self.checkpoint, self.logs.clone()) {
            Err(error) if is_no_space(&error) && self.has_reserve => {
                self.shared.storage.remove(RESERVE_NAME)?;
                self.has_reserve = false;
                self.store_manifest(self.checkpoint, self.logs.clone())?
            }
            outcome => outcome?,
        };
        self.unlink(dead)
    }

    /// Commits to the segments that live now, and returns those that do not, to be unlinked.
    ///
    /// After an error nobody knows which of the two manifests a crash would leave, so no segment
    /// that either names may go; only where space is missing is it certain to be the old one.
    pub(super) fn store_manifest(
        &mut self,
        checkpoint: u64,
        mut logs: Vec<LogSnapshot>,
    ) -> io::Result<Vec<u64>> {
        // Before the starts are looked at: what makes a segment dead moves a start first.
        let (segments, dead) = {
            let mut held = lock(&self.shared.segments);
            let live = held.live.values().filter(|live| !live.is_superseded);
            let live = live.map(|live| live.entry).collect();
            (live, std::mem::take(&mut held.dead))
        };
        // A start may be ahead of what replay would give, since it only ever grows, and must be
        // where a segment below it is about to go. A deleted log has nothing left, even where a
        // power cut undoes the delete, as it may in `Buffered` mode.
        for snapshot in &mut logs {
            let start = self.shared.log(snapshot.id).map_or(u64::MAX, |entry| entry.read().start);
            snapshot.start = snapshot.start.max(start.min(snapshot.next));
        }
        let manifest = Manifest {
            salt: self.salt,
            checkpoint,
            segment_next: self.segment_next,
            epoch: self.pool.with(|state| state.epoch),
            logs,
            segments,
        };
        if let Err(error) = manifest.store(&*self.shared.storage) {
            lock(&self.shared.segments).dead.extend(dead);
            if is_no_space(&error) {
                self.discard_unnamed();
            }
            return Err(error);
        }
        self.checkpoint = checkpoint;
        self.logs = manifest.logs;
        self.named_next = self.segment_next;
        Ok(dead)
    }

    /// Gives back the space of segments that no manifest names any more. Those that cannot be
    /// unlinked now are tried again.
    pub(super) fn unlink(&self, mut dead: Vec<u64>) -> io::Result<()> {
        if dead.is_empty() {
            return Ok(());
        }
        while let Some(number) = dead.last() {
            match self.shared.storage.remove(&segment_name(*number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    lock(&self.shared.segments).dead.extend(dead);
                    return Err(error);
                }
                _ => self.shared.open_files.forget(*number),
            }
            dead.pop();
        }
        self.shared.storage.sync_directory()
    }

    /// Tells a log that some of its chunks now lie in a segment.
    fn publish(&mut self, run: Run) {
        let id = run.log;
        let Some(entry) = self.shared.log(id) else {
            lock(&self.shared.segments).release(&run);
            return;
        };
        let mut inner = entry.write();
        let from = inner.chunk_index(inner.destaged_to);
        let mut moved = 0;
        let mut in_entry = 0;
        // All of the run may have been trimmed while it was written: what stands in front then was
        // appended later, is in no segment, and must not be let go of.
        for chunk in inner.chunks.range(from..).take_while(|chunk| chunk.end() <= run.end) {
            moved += chunk.cost();
            in_entry += chunk.cost();
            if in_entry >= CACHE_ENTRY_BYTES {
                self.cache.push_back((id, chunk.end()));
                in_entry = 0;
            }
        }
        self.cache.push_back((id, run.end));
        self.shared.undestaged_bytes.fetch_sub(moved, Ordering::Relaxed);
        self.shared.cached_bytes.fetch_add(moved, Ordering::Relaxed);
        inner.destaged_to = run.end;
        if inner.deleted || run.end <= inner.start {
            drop(inner);
            lock(&self.shared.segments).release(&run);
        } else {
            inner.runs.push_back(run);
        }
    }

    /// Lets go of the chunks that went to segments first, until the cache is within its bound.
    fn evict(&mut self) {
        let bound = self.shared.settings.cache_bytes_max;
        while self.shared.cached_bytes.load(Ordering::Relaxed) > bound
            || self.cache.len() > CACHE_ENTRIES_MAX
        {
            let Some((id, upto)) = self.cache.pop_front() else { return };
            if let Some(entry) = self.shared.log(id) {
                self.shared.drop_chunks(&mut entry.write(), upto);
            }
        }
    }

    /// Frees the write-ahead file that was destaged for its next life.
    fn recycle(&self) {
        let full = self.pool.with(|state| state.full.pop_front()).expect("it was destaged");
        if full.wal.bytes == self.shared.settings.wal_file_bytes {
            self.pool.finish_full(Some(full.wal));
            return;
        }
        // Of another size, from before the setting changed. Should it stay, the next start
        // finds nothing to replay in it.
        let _ = self.shared.storage.remove(&wal_name(full.wal.number));
        self.pool.finish_full(None);
    }
}
