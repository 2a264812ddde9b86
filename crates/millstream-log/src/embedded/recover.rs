//! Opening: from what a crash left to a state that may be served.
//!
//! Owns the rules of recovery. Replay begins at the manifest's checkpoint and follows the commits'
//! numbers. A commit is written only after the one before it was synced, so:
//! * the first bad commit with nothing after it is a torn tail: cut, and reported;
//! * a bad commit with a later one behind it is corruption: refused, and nothing is changed;
//! * what was written in `Buffered` mode makes no such promise, and is cut at the first gap.
//!
//! The last commit, and in `Buffered` mode each that none after it vouches for, is written once
//! more and synced before anything is served: after a failed sync the system may hold pages for
//! clean that never reached the disk.
//!
//! Invariant: nothing on disk is changed before all of it was judged.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::Rand;

use super::commit::{CommitHeader, Salt, TORN_HEADER, decode_file_header};
use super::frame::{Chunk, ChunkHeader, ChunkKind, Flaw};
use super::lane::Current;
use super::manifest::{LogSnapshot, MANIFEST_NAME, Manifest};
use super::segment::{Run, load_runs, segment_name};
use super::state::{LiveSegment, LogEntry, Shared, lock};
use super::wal::{FullFile, PoolState, WalFile, wal_name, wal_number};
use super::{OpenError, Settings};
use crate::LogId;
use crate::storage::{AlignedBuffer, BLOCK_BYTES, FileKind, Storage, StorageFile};

/// What opening found, and what it did about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Logs that exist.
    pub logs: usize,
    /// Segments that hold their older records.
    pub segments: usize,
    /// Commits replayed from write-ahead files.
    pub commits_replayed: u64,
    /// Records among them.
    pub records_replayed: u64,
    /// The tail that was cut since its commit was never finished, and so never acknowledged.
    pub torn_tail: Option<TornTail>,
    /// Damage to segments that was found: `file: what`. Their intact records are served.
    pub damaged_segments: Vec<String>,
    /// Files removed since no manifest names them: work that a crash interrupted.
    pub removed_files: Vec<String>,
}

/// Where an unfinished commit was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The write-ahead file.
    pub file: String,
    /// Where in it the unfinished commit began.
    pub offset: u64,
    /// What did not hold of it.
    pub reason: String,
}

/// Everything that lane and background start from.
pub(super) struct Recovered {
    pub(super) manifest: Manifest,
    pub(super) pool: PoolState,
    pub(super) current: Option<Current>,
    pub(super) commit_next: u64,
    pub(super) report: RecoveryReport,
}

/// One write-ahead file as found.
struct FoundFile {
    wal: WalFile,
    header: Result<u64, Flaw>,
    /// Replayed from here; a file without is free once nothing speaks against it.
    live: bool,
    /// Where replay stopped, and why.
    stopped: (u64, Flaw),
    /// Commit headers past that point that hold.
    later: Vec<LaterCommit>,
}

/// A commit's header and its chunks.
type Commit<'a> = (CommitHeader, Vec<(ChunkHeader, &'a [u8])>);

struct LaterCommit {
    offset: u64,
    number: u64,
    predecessors_synced: bool,
}

/// The state that replay builds.
struct Replay {
    salt: Salt,
    commit_next: u64,
    logs: BTreeMap<LogId, ReplayedLog>,
    report: RecoveryReport,
    /// For each file (by number) the offset of its first commit that none after it vouches for.
    unvouched: BTreeMap<u64, u64>,
}

struct ReplayedLog {
    snapshot: LogSnapshot,
    destaged_to: u64,
    chunks: Vec<Chunk>,
}

/// Reads everything, judges it, cuts the tail, and fills `shared`.
pub(super) fn recover(shared: &Shared, rand: &dyn Rand) -> Result<Recovered, OpenError> {
    let storage = &*shared.storage;
    let names = storage.list().map_err(|error| OpenError::io(storage, "", &error))?;
    let manifest = open_manifest(storage, &names, rand)?;
    let mut replay = Replay::from(&manifest);
    let mut files = open_wal_files(storage, &names, manifest.salt)?;
    let mut fulls = Vec::new();
    for file in &mut files {
        let live = replay.read_file(storage, file)?;
        if live {
            fulls.push((file.wal.number, replay.commit_next, replay.snapshots()));
        }
    }
    replay.judge(storage, &files)?;
    replay.cut_and_sync(storage, &files)?;
    load_segments(shared, &manifest, &mut replay)?;
    remove_orphans(storage, &names, &manifest, &mut replay.report)?;
    publish_logs(shared, &mut replay);
    Ok(replay.hand_over(storage, manifest, files, fulls, &shared.settings))
}

fn open_manifest(
    storage: &dyn Storage,
    names: &[String],
    rand: &dyn Rand,
) -> Result<Manifest, OpenError> {
    let failed = |error: io::Error| OpenError::io(storage, MANIFEST_NAME, &error);
    if names.iter().any(|name| name == MANIFEST_NAME) {
        let file = storage.open(MANIFEST_NAME, FileKind::Plain).map_err(failed)?;
        let length = usize::try_from(file.length().map_err(failed)?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(1 << 30)];
        file.read_at(0, &mut bytes).map_err(failed)?;
        return Manifest::decode(&bytes)
            .map_err(|flaw| OpenError::corrupt(storage, MANIFEST_NAME, 0, flaw));
    }
    let ours = |name: &&String| name.starts_with("wal-") || name.starts_with("segment-");
    if let Some(name) = names.iter().find(ours) {
        let flaw = "the manifest is missing though this file is there";
        return Err(OpenError::corrupt(storage, name, 0, flaw));
    }
    let manifest = Manifest {
        salt: Salt(rand.next_u64()),
        checkpoint: 1,
        segment_next: 1,
        epoch: 0,
        logs: Vec::new(),
        segments: Vec::new(),
    };
    manifest.store(storage).map_err(failed)?;
    Ok(manifest)
}

/// Opens all write-ahead files, in order of their epochs; those with a bad header last.
fn open_wal_files(
    storage: &dyn Storage,
    names: &[String],
    salt: Salt,
) -> Result<Vec<FoundFile>, OpenError> {
    let mut files = Vec::new();
    for (name, number) in names.iter().filter_map(|name| Some((name, wal_number(name)?))) {
        let failed = |error: io::Error| OpenError::io(storage, name, &error);
        let file = storage.open(name, FileKind::Blocks).map_err(failed)?;
        // A file whose zero-filling was interrupted may be of any length.
        let bytes = file.length().map_err(failed)? & !(BLOCK_BYTES as u64 - 1);
        let mut block = AlignedBuffer::zeroed(BLOCK_BYTES);
        let header = if bytes < BLOCK_BYTES as u64 {
            Err("the file is shorter than its header")
        } else {
            file.read_at(0, block.as_mut_slice()).map_err(failed)?;
            decode_file_header(block.as_slice(), salt)
        };
        let epoch = header.unwrap_or(0);
        let wal = WalFile { number, file, epoch, bytes };
        let stopped = (0, "not read");
        files.push(FoundFile { wal, header, live: false, stopped, later: Vec::new() });
    }
    files.sort_by_key(|file| (file.header.is_err(), file.wal.epoch, file.wal.number));
    Ok(files)
}

impl Replay {
    fn from(manifest: &Manifest) -> Self {
        let logs = manifest.logs.iter().map(|snapshot| {
            let destaged_to = snapshot.next;
            let log = ReplayedLog { snapshot: *snapshot, destaged_to, chunks: Vec::new() };
            (snapshot.id, log)
        });
        Self {
            salt: manifest.salt,
            commit_next: manifest.checkpoint,
            logs: logs.collect(),
            report: RecoveryReport::default(),
            unvouched: BTreeMap::new(),
        }
    }

    fn snapshots(&self) -> Vec<LogSnapshot> {
        self.logs.values().map(|log| log.snapshot).collect()
    }

    /// Replays what continues the sequence in `file`, and notes commits that lie behind.
    /// Says whether anything was replayed.
    fn read_file(
        &mut self,
        storage: &dyn Storage,
        file: &mut FoundFile,
    ) -> Result<bool, OpenError> {
        let name = wal_name(file.wal.number);
        let length = usize::try_from(file.wal.bytes).unwrap_or(usize::MAX);
        let mut buffer = AlignedBuffer::zeroed(length);
        let read = file.wal.file.read_at(0, buffer.as_mut_slice());
        read.map_err(|error| OpenError::io(storage, &name, &error))?;
        let bytes = buffer.as_slice();
        let mut at = 0;
        if let Ok(epoch) = file.header {
            at = BLOCK_BYTES;
            loop {
                let commit = self.decode_next(&bytes[at.min(length)..], epoch);
                let (header, chunks) = match commit {
                    Ok(commit) => commit,
                    Err(flaw) => {
                        file.stopped = (at as u64, flaw);
                        break;
                    }
                };
                for (chunk, body) in chunks {
                    self.apply(&chunk, body)
                        .map_err(|flaw| OpenError::corrupt(storage, &name, at as u64, flaw))?;
                }
                if header.predecessors_synced {
                    self.unvouched.clear();
                }
                self.unvouched.entry(file.wal.number).or_insert(at as u64);
                self.commit_next += 1;
                self.report.commits_replayed += 1;
                file.live = true;
                at += header.total_bytes();
            }
        }
        for offset in (at..length).step_by(BLOCK_BYTES) {
            if let Ok(header) = CommitHeader::decode(&bytes[offset..], self.salt) {
                file.later.push(LaterCommit {
                    offset: offset as u64,
                    number: header.number,
                    predecessors_synced: header.predecessors_synced,
                });
            }
        }
        Ok(file.live)
    }

    /// The commit that continues the sequence, at the start of `bytes`.
    fn decode_next<'a>(&self, bytes: &'a [u8], epoch: u64) -> Result<Commit<'a>, Flaw> {
        let header = CommitHeader::decode(bytes, self.salt)?;
        if header.epoch != epoch {
            return Err("the commit is of another life of the file");
        }
        if header.number != self.commit_next {
            return Err("the commit does not continue the sequence");
        }
        if header.total_bytes() > bytes.len() {
            return Err("the commit is longer than the file");
        }
        let chunks = header.chunks(bytes)?;
        Ok((header, chunks))
    }

    fn apply(&mut self, chunk: &ChunkHeader, body: &[u8]) -> Result<(), Flaw> {
        let missing = "the commit names a log that does not exist";
        match chunk.kind {
            ChunkKind::Create => {
                let id = chunk.log;
                let snapshot =
                    LogSnapshot { id, start: 0, next: 0, last_arrived: 0, sealed: false };
                let log = ReplayedLog { snapshot, destaged_to: 0, chunks: Vec::new() };
                self.logs.entry(id).or_insert(log);
            }
            ChunkKind::Records => {
                let log = self.logs.get_mut(&chunk.log).ok_or(missing)?;
                if log.snapshot.next != chunk.first || log.snapshot.sealed {
                    return Err("the commit's records do not continue their log");
                }
                log.snapshot.next = chunk.end();
                log.snapshot.last_arrived = chunk.arrived;
                self.report.records_replayed += u64::from(chunk.count);
                log.chunks.push(Chunk {
                    first: chunk.first,
                    arrived: chunk.arrived,
                    count: chunk.count,
                    body_crc: chunk.body_crc,
                    body: Bytes::copy_from_slice(body),
                });
            }
            ChunkKind::Seal => {
                self.logs.get_mut(&chunk.log).ok_or(missing)?.snapshot.sealed = true;
            }
            ChunkKind::Trim => {
                let log = self.logs.get_mut(&chunk.log).ok_or(missing)?;
                log.snapshot.start = log.snapshot.start.max(chunk.first);
            }
            ChunkKind::Delete => {
                self.logs.remove(&chunk.log);
            }
        }
        Ok(())
    }

    /// Refuses where commits lie behind the end of the sequence that prove its damage.
    fn judge(&mut self, storage: &dyn Storage, files: &[FoundFile]) -> Result<(), OpenError> {
        let next = self.commit_next;
        let begun = files.iter().find(|file| file.stopped.1 == TORN_HEADER);
        for file in files {
            for later in file.later.iter().filter(|later| later.number >= next) {
                if file.header.is_err() {
                    // Headers are synced before the first commit, so this is no torn write.
                    let flaw = "the header is damaged, and commits follow it";
                    return Err(OpenError::corrupt(storage, &wal_name(file.wal.number), 0, flaw));
                }
                if later.number > next && later.predecessors_synced {
                    let (name, offset, flaw) = Self::tail(files);
                    return Err(OpenError::corrupt(storage, &name, offset, flaw));
                }
                let flaw = "the commit was never finished";
                self.report_torn(storage, file, later.offset, flaw);
            }
        }
        if let Some(file) = begun {
            self.report_torn(storage, file, file.stopped.0, file.stopped.1);
        }
        Ok(())
    }

    fn report_torn(&mut self, storage: &dyn Storage, file: &FoundFile, offset: u64, flaw: Flaw) {
        if self.report.torn_tail.is_none() {
            let name = storage.describe(&wal_name(file.wal.number));
            self.report.torn_tail = Some(TornTail { file: name, offset, reason: flaw.to_owned() });
        }
    }

    /// Where the sequence ends, and why.
    fn tail(files: &[FoundFile]) -> (String, u64, Flaw) {
        let live = files.iter().rev().find(|file| file.live);
        let tail = live.or_else(|| files.first());
        let (number, offset, flaw) = tail
            .map_or((0, 0, "no file"), |file| (file.wal.number, file.stopped.0, file.stopped.1));
        (wal_name(number), offset, flaw)
    }

    /// Overwrites what lies behind the end, and makes sure of what lies before it.
    fn cut_and_sync(&self, storage: &dyn Storage, files: &[FoundFile]) -> Result<(), OpenError> {
        let zeros = AlignedBuffer::zeroed(BLOCK_BYTES);
        for file in files {
            let name = wal_name(file.wal.number);
            let failed = |error: io::Error| OpenError::io(storage, &name, &error);
            for later in file.later.iter().filter(|later| later.number >= self.commit_next) {
                file.wal.file.write_at(later.offset, zeros.as_slice()).map_err(failed)?;
            }
            if let Some(offset) = self.unvouched.get(&file.wal.number) {
                rewrite(&*file.wal.file, *offset, file.stopped.0).map_err(failed)?;
            }
            file.wal.file.sync().map_err(failed)?;
        }
        storage.sync_directory().map_err(|error| OpenError::io(storage, "", &error))
    }

    fn hand_over(
        self,
        storage: &dyn Storage,
        manifest: Manifest,
        files: Vec<FoundFile>,
        fulls: Vec<(u64, u64, Vec<LogSnapshot>)>,
        settings: &Settings,
    ) -> Recovered {
        let mut pool = PoolState {
            number_next: files.iter().map(|file| file.wal.number + 1).max().unwrap_or(1),
            epoch: files.iter().map(|file| file.wal.epoch).fold(manifest.epoch, u64::max),
            ..PoolState::default()
        };
        let mut current = None;
        let mut fulls = fulls.into_iter().peekable();
        for file in files {
            if file.live {
                let (number, checkpoint, logs) = fulls.next().expect("one for each live file");
                assert_eq!(number, file.wal.number, "live files come in order");
                pool.file_count += 1;
                if fulls.peek().is_none() {
                    current = Some(Current { wal: file.wal, offset: file.stopped.0 });
                } else {
                    pool.full.push_back(FullFile { wal: file.wal, checkpoint, logs });
                }
            } else if file.wal.bytes == settings.wal_file_bytes {
                pool.file_count += 1;
                pool.blanks.push(file.wal);
            } else {
                // Best effort: of another size, or never finished, and nothing in it counts.
                let _ = storage.remove(&wal_name(file.wal.number));
            }
        }
        let commit_next = self.commit_next;
        Recovered { manifest, pool, current, commit_next, report: self.report }
    }
}

/// Writes what lies there once more, so that a sync counts for it.
fn rewrite(file: &dyn StorageFile, mut offset: u64, end: u64) -> io::Result<()> {
    const PIECE_BYTES: usize = 1 << 20;
    while offset < end {
        let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let mut piece = AlignedBuffer::zeroed(left.min(PIECE_BYTES));
        file.read_at(offset, piece.as_mut_slice())?;
        file.write_at(offset, piece.as_slice())?;
        offset += piece.as_slice().len() as u64;
    }
    Ok(())
}

/// Opens every segment's index. Damage is noted, and met again by whoever reads there.
fn load_segments(
    shared: &Shared,
    manifest: &Manifest,
    replay: &mut Replay,
) -> Result<(), OpenError> {
    let storage = &*shared.storage;
    for entry in &manifest.segments {
        let name = segment_name(entry.number);
        let failed = |error: io::Error| OpenError::io(storage, &name, &error);
        let mut note = |flaw: &str| {
            let note = format!("{}: {flaw}", storage.describe(&name));
            tracing::error!(note, "a segment is damaged");
            replay.report.damaged_segments.push(note);
        };
        let (runs, is_whole) = match storage.open(&name, FileKind::Plain) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                note("the file is missing");
                (Vec::new(), false)
            }
            file => {
                let interval = shared.settings.index_interval_bytes;
                let file = file.map_err(failed)?;
                let (runs, damage) = load_runs(&*file, entry, interval).map_err(failed)?;
                if let Some(damage) = &damage {
                    note(damage.flaw);
                }
                (runs, damage.is_none_or(|damage| damage.is_healed))
            }
        };
        // A damaged segment is kept whatever becomes of its logs: it is evidence, and perhaps
        // there is somebody who can read the rest of it.
        let mut live = LiveSegment::new(*entry, &runs);
        live.is_kept_as_is = !is_whole;
        lock(&shared.segments).live.insert(entry.number, live);
        for run in runs {
            let log = replay.logs.get(&run.log);
            match log.filter(|log| run.end > log.snapshot.start) {
                Some(log) => {
                    let entry = shared.log(run.log).unwrap_or_else(|| {
                        let entry = Arc::new(LogEntry::new(&log.snapshot));
                        shared.insert_log(Arc::clone(&entry));
                        entry
                    });
                    entry.write().runs.push_back(run);
                }
                None => lock(&shared.segments).release(&run),
            }
        }
        lock(&shared.segments).bury(entry.number);
    }
    Ok(())
}

/// Removes what a crash left half done: files that the manifest does not name.
fn remove_orphans(
    storage: &dyn Storage,
    names: &[String],
    manifest: &Manifest,
    report: &mut RecoveryReport,
) -> Result<(), OpenError> {
    let named: Vec<String> =
        manifest.segments.iter().map(|segment| segment_name(segment.number)).collect();
    for name in names {
        let orphan = name.starts_with("segment-") && named.binary_search(name).is_err();
        if orphan {
            storage.remove(name).map_err(|error| OpenError::io(storage, name, &error))?;
            report.removed_files.push(name.clone());
        }
    }
    if report.removed_files.is_empty() {
        return Ok(());
    }
    storage.sync_directory().map_err(|error| OpenError::io(storage, "", &error))
}

/// A manifest names each record once, so runs overlap only where a damaged segment holds a copy of
/// another's chunks: those are passed over, and said.
fn drop_overlaps(shared: &Shared, runs: &mut VecDeque<Run>, report: &mut RecoveryReport) {
    let mut end = 0;
    runs.retain(|run| {
        let is_new = run.first >= end;
        if is_new {
            end = run.end;
        } else {
            let file = shared.storage.describe(&segment_name(run.segment));
            report.damaged_segments.push(format!("{file}: holds records of another segment"));
            lock(&shared.segments).release(run);
        }
        is_new
    });
}

fn publish_logs(shared: &Shared, replay: &mut Replay) {
    for (id, log) in std::mem::take(&mut replay.logs) {
        let entry = shared.log(id).unwrap_or_else(|| {
            let entry = Arc::new(LogEntry::new(&log.snapshot));
            shared.insert_log(Arc::clone(&entry));
            entry
        });
        let mut inner = entry.write();
        // Rewritten segments have high numbers and old records.
        inner.runs.make_contiguous().sort_by_key(|run| run.first);
        drop_overlaps(shared, &mut inner.runs, &mut replay.report);
        inner.destaged_to = log.destaged_to;
        for chunk in log.chunks {
            shared.push_chunk(&mut inner, chunk);
        }
        inner.end = log.snapshot.next;
        inner.last_arrived = log.snapshot.last_arrived;
        let start = inner.start;
        shared.trim(&mut inner, start);
    }
    replay.report.logs = shared.log_count();
    replay.report.segments = lock(&shared.segments).live.len();
}
