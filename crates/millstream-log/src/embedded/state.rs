//! What lane, background and readers share: the logs, the segments, and the latch.
//!
//! Owns each log's published state. A log's chunks in memory are always a suffix of the log: the
//! older ones are also in segments (cached), the newer ones only in write-ahead files.
//!
//! Invariant: only the lane moves a log's end, only the background moves `destaged_to`, and
//! nobody holds two locks at once, but for the pair (log, segments) taken in that order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use millstream_core::Timestamp;
use tokio::sync::watch;

use super::frame::Chunk;
use super::manifest::{LogSnapshot, SegmentEntry};
use super::segment::Run;
use super::stats::Counters;
use super::{OpenFiles, Settings};
use crate::storage::{Storage, StorageLock};
use crate::{Bounds, LogId, Position, Tail};

/// One log, as published.
#[derive(Debug)]
pub(super) struct LogEntry {
    pub(super) id: LogId,
    inner: RwLock<LogInner>,
}

#[derive(Debug)]
pub(super) struct LogInner {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) last_arrived: u64,
    pub(super) sealed: bool,
    pub(super) deleted: bool,
    /// All below is in segments (or trimmed).
    pub(super) destaged_to: u64,
    /// The newest chunks.
    pub(super) chunks: VecDeque<Chunk>,
    /// Where older ones lie, in order.
    pub(super) runs: VecDeque<Run>,
    /// Made at the first follower; gone once the log is deleted or the engine stopped.
    tail: Option<watch::Sender<Bounds>>,
    unfollowable: bool,
}

/// Segments known to the engine.
#[derive(Debug, Default)]
pub(super) struct Segments {
    pub(super) live: BTreeMap<u64, LiveSegment>,
    /// No log needs these any more: to be left out of the next manifest, then unlinked.
    pub(super) dead: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct LiveSegment {
    pub(super) entry: SegmentEntry,
    /// Runs that a log still needs.
    run_count: usize,
    /// Bytes of chunks in those.
    pub(super) live_bytes: u64,
    /// Damaged: never rewritten, and never unlinked.
    pub(super) is_kept_as_is: bool,
    /// No manifest names it any more: readers are about to move to the segment that replaces it.
    pub(super) is_superseded: bool,
}

impl LiveSegment {
    pub(super) fn new(entry: SegmentEntry, runs: &[Run]) -> Self {
        let live_bytes = runs.iter().map(|run| run.bytes).sum();
        let run_count = runs.len();
        Self { entry, run_count, live_bytes, is_kept_as_is: false, is_superseded: false }
    }
}

impl Segments {
    /// A log needs `run` no more.
    pub(super) fn release(&mut self, run: &Run) {
        if let Some(live) = self.live.get_mut(&run.segment) {
            live.run_count = live.run_count.saturating_sub(1);
            live.live_bytes = live.live_bytes.saturating_sub(run.bytes);
        }
        self.bury(run.segment);
    }

    /// Gives up a segment that nobody needs.
    pub(super) fn bury(&mut self, segment: u64) {
        let unneeded = |live: &LiveSegment| live.run_count == 0 && !live.is_kept_as_is;
        if self.live.get(&segment).is_some_and(unneeded) {
            self.live.remove(&segment);
            self.dead.push(segment);
        }
    }
}

/// What everything in one engine shares.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) settings: Settings,
    logs: RwLock<BTreeMap<LogId, Arc<LogEntry>>>,
    pub(super) segments: Mutex<Segments>,
    pub(super) open_files: OpenFiles,
    pub(super) counters: Counters,
    pub(super) cached_bytes: AtomicUsize,
    pub(super) undestaged_bytes: AtomicUsize,
    latched: AtomicBool,
    latch_reason: Mutex<Option<String>>,
    /// Held until the last user of the directory is gone.
    _lock: Mutex<Option<LockHolder>>,
}

struct LockHolder(#[allow(dead_code)] StorageLock); // Held, never looked at.

impl std::fmt::Debug for LockHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LockHolder")
    }
}

/// Locks, going on with the data of a thread that panicked: each critical section is a plain
/// assignment of values already computed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogEntry {
    pub(super) fn new(snapshot: &LogSnapshot) -> Self {
        let inner = LogInner {
            start: snapshot.start,
            end: snapshot.next,
            last_arrived: snapshot.last_arrived,
            sealed: snapshot.sealed,
            deleted: false,
            destaged_to: snapshot.next,
            chunks: VecDeque::new(),
            runs: VecDeque::new(),
            tail: None,
            unfollowable: false,
        };
        Self { id: snapshot.id, inner: RwLock::new(inner) }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, LogInner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, LogInner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn follow(&self) -> Tail {
        let mut inner = self.write();
        let bounds = inner.bounds();
        if inner.unfollowable || inner.deleted {
            return watch::channel(bounds).1;
        }
        inner.tail.get_or_insert_with(|| watch::channel(bounds).0).subscribe()
    }

    /// Tells followers what the bounds are now.
    pub(super) fn notify(&self) {
        let inner = self.read();
        if let Some(tail) = &inner.tail {
            let bounds = inner.bounds();
            tail.send_if_modified(|seen| {
                let changed = *seen != bounds;
                *seen = bounds;
                changed
            });
        }
    }

    pub(super) fn stop_following(&self) {
        let mut inner = self.write();
        inner.unfollowable = true;
        inner.tail = None;
    }
}

impl LogInner {
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            start: Position(self.start),
            end: Position(self.end),
            sealed: self.sealed,
            last_arrived: Timestamp::from_ms(self.last_arrived),
        }
    }

    /// The first position held in memory; the end where none is.
    pub(super) fn memory_start(&self) -> u64 {
        self.chunks.front().map_or(self.end, |chunk| chunk.first)
    }

    /// Index of the chunk that holds `position`, or of the first after it.
    pub(super) fn chunk_index(&self, position: u64) -> usize {
        self.chunks.partition_point(|chunk| chunk.end() <= position)
    }
}

impl Shared {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        settings: Settings,
        directory_lock: StorageLock,
    ) -> Self {
        Self {
            open_files: OpenFiles::new(settings.open_files_max),
            storage,
            settings,
            logs: RwLock::default(),
            segments: Mutex::default(),
            counters: Counters::default(),
            cached_bytes: AtomicUsize::new(0),
            undestaged_bytes: AtomicUsize::new(0),
            latched: AtomicBool::new(false),
            latch_reason: Mutex::new(None),
            _lock: Mutex::new(Some(LockHolder(directory_lock))),
        }
    }

    pub(super) fn log(&self, id: LogId) -> Option<Arc<LogEntry>> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// All logs, in order.
    pub(super) fn all_logs(&self) -> Vec<Arc<LogEntry>> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn log_count(&self) -> usize {
        self.logs.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn insert_log(&self, entry: Arc<LogEntry>) {
        self.logs.write().unwrap_or_else(PoisonError::into_inner).insert(entry.id, entry);
    }

    pub(super) fn remove_log(&self, id: LogId) {
        self.logs.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Why the engine stopped acknowledging, if it did.
    pub(super) fn latch_reason(&self) -> Option<String> {
        if !self.latched.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.latch_reason).clone()
    }

    /// Stops acknowledging for good, for the first `reason` given, and lets followers go.
    pub(super) fn latch(&self, reason: &str) {
        {
            let mut held = lock(&self.latch_reason);
            if held.is_some() {
                return;
            }
            *held = Some(reason.to_owned());
            self.latched.store(true, Ordering::Release);
        }
        for log in self.all_logs() {
            log.stop_following();
        }
    }

    /// Adds a chunk at a log's end.
    pub(super) fn push_chunk(&self, inner: &mut LogInner, chunk: Chunk) {
        self.undestaged_bytes.fetch_add(chunk.cost(), Ordering::Relaxed);
        inner.end = chunk.end();
        inner.last_arrived = chunk.arrived;
        inner.chunks.push_back(chunk);
    }

    /// Forgets what lies below `start`. Says whether a segment lost its last reader.
    pub(super) fn trim(&self, inner: &mut LogInner, start: u64) -> bool {
        inner.start = inner.start.max(start);
        self.drop_chunks(inner, start);
        let mut released = false;
        while inner.runs.front().is_some_and(|run| run.end <= start) {
            let run = inner.runs.pop_front().expect("just seen");
            let mut segments = lock(&self.segments);
            segments.release(&run);
            released |= !segments.dead.is_empty();
        }
        released
    }

    /// Drops the chunks that end at or below `upto` from memory.
    pub(super) fn drop_chunks(&self, inner: &mut LogInner, upto: u64) {
        while inner.chunks.front().is_some_and(|chunk| chunk.end() <= upto) {
            let chunk = inner.chunks.pop_front().expect("just seen");
            let held = if chunk.end() <= inner.destaged_to {
                &self.cached_bytes
            } else {
                &self.undestaged_bytes
            };
            held.fetch_sub(chunk.cost(), Ordering::Relaxed);
        }
    }

    /// Deletes a log. Says whether a segment lost its last reader.
    pub(super) fn delete(&self, entry: &LogEntry) -> bool {
        let released = {
            let mut inner = entry.write();
            inner.deleted = true;
            inner.tail = None;
            self.trim(&mut inner, u64::MAX)
        };
        self.remove_log(entry.id);
        released
    }
}
