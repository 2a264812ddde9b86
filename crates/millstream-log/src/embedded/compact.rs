//! Rewrites segments of which little is needed any more.
//!
//! Owns the answer to mixed retentions: logs kept for a year and logs kept for a day share
//! segments, and without this the former would hold on to the bytes of the latter. Segments of
//! which less than half is needed are merged into one, once what that gives back is worth a
//! write-ahead file.
//!
//! Invariant: one manifest swaps the old segments for the new one; readers move before the old
//! files go.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::destage::Destager;
use super::frame::Chunk;
use super::segment::{Run, RunError, RunReader, write_segment};
use super::state::{LiveSegment, Segments, lock};
use super::stats::add;
use crate::LogId;

/// How much of an old segment is read with one call.
const READ_BYTES: usize = 1 << 20;

/// Segments worth rewriting together, oldest first; empty where it is not worth it yet.
pub(super) fn wasteful(segments: &Segments, worth_bytes: u64) -> Vec<u64> {
    let wasteful = segments.live.iter().filter(|(_, segment)| {
        !segment.is_kept_as_is && segment.live_bytes * 2 < segment.entry.chunk_bytes
    });
    let (mut chosen, mut needed, mut wasted) = (Vec::new(), 0, 0);
    for (number, segment) in wasteful {
        chosen.push(*number);
        needed += segment.live_bytes;
        wasted += segment.entry.chunk_bytes - segment.live_bytes;
        if needed > worth_bytes {
            break;
        }
    }
    if wasted >= worth_bytes { chosen } else { Vec::new() }
}

impl Destager {
    /// Moves what is still needed of `old` segments into a new one.
    pub(super) fn compact(&mut self, old: &[u64]) -> io::Result<()> {
        let old: BTreeSet<u64> = old.iter().copied().collect();
        let mut logs: Vec<(LogId, Vec<Chunk>)> = Vec::new();
        for (id, runs) in self.runs_in(&old) {
            let mut chunks = Vec::new();
            for run in &runs {
                if let Err(error) = self.read_run(run, &mut chunks) {
                    // Whoever reads there is told. Here it is left alone, for good.
                    let error = match error {
                        RunError::Io(error) => error.to_string(),
                        RunError::Flawed { flaw, .. } => flaw.to_owned(),
                    };
                    tracing::error!(segment = run.segment, error, "a segment cannot be rewritten");
                    self.mark(&BTreeSet::from([run.segment]), |live| live.is_kept_as_is = true);
                    return Ok(());
                }
            }
            logs.push((id, chunks));
        }
        if logs.is_empty() {
            // All of it was trimmed since it was chosen.
            return Ok(());
        }
        let number = self.segment_next;
        self.segment_next += 1;
        let interval = self.shared.settings.index_interval_bytes;
        let written = write_segment(&*self.shared.storage, number, &logs, interval);
        let (entry, runs) = match written.and_then(|written| {
            self.shared.storage.sync_directory()?;
            Ok(written)
        }) {
            Ok(written) => written,
            Err(error) => {
                self.discard_unnamed();
                return Err(error);
            }
        };
        add(&self.shared.counters.segment_bytes, entry.file_bytes);
        lock(&self.shared.segments).live.insert(number, LiveSegment::new(entry, &runs));
        self.mark(&old, |live| live.is_superseded = true);
        let dead = match self.store_manifest(self.checkpoint, self.logs.clone()) {
            Ok(dead) => dead,
            Err(error) => {
                self.mark(&old, |live| live.is_superseded = false);
                return Err(error);
            }
        };
        self.swap(&old, runs);
        self.unlink(dead)
    }

    fn runs_in(&self, segments: &BTreeSet<u64>) -> BTreeMap<LogId, Vec<Run>> {
        let mut found = BTreeMap::new();
        for log in self.shared.all_logs() {
            let inner = log.read();
            let runs = inner.runs.iter().filter(|run| segments.contains(&run.segment));
            let runs: Vec<Run> = runs.cloned().collect();
            if !runs.is_empty() {
                found.insert(log.id, runs);
            }
        }
        found
    }

    fn read_run(&self, run: &Run, chunks: &mut Vec<Chunk>) -> Result<(), RunError> {
        let file = self.shared.open_files.get(&*self.shared.storage, run.segment);
        let file = file.map_err(RunError::Io)?;
        let mut reader = RunReader::new(&*file, run, run.begin(), READ_BYTES);
        while let Some(header) = reader.peek()? {
            chunks.push(reader.take(&header)?);
        }
        Ok(())
    }

    fn mark(&self, segments: &BTreeSet<u64>, change: impl Fn(&mut LiveSegment)) {
        let mut held = lock(&self.shared.segments);
        for number in segments {
            if let Some(live) = held.live.get_mut(number) {
                change(live);
            }
        }
    }

    /// Points readers to the new runs. What was trimmed or deleted meanwhile is let go of.
    fn swap(&self, old: &BTreeSet<u64>, new: Vec<Run>) {
        let mut new_by_log: BTreeMap<LogId, Vec<Run>> = BTreeMap::new();
        for run in new {
            new_by_log.entry(run.log).or_default().push(run);
        }
        for (id, runs) in new_by_log {
            let Some(entry) = self.shared.log(id) else {
                let mut segments = lock(&self.shared.segments);
                for run in &runs {
                    segments.release(run);
                }
                continue;
            };
            let mut inner = entry.write();
            let mut segments = lock(&self.shared.segments);
            inner.runs.retain(|run| {
                let stays = !old.contains(&run.segment);
                if !stays {
                    segments.release(run);
                }
                stays
            });
            for run in runs {
                if inner.deleted || run.end <= inner.start {
                    segments.release(&run);
                } else {
                    inner.runs.push_back(run);
                }
            }
            inner.runs.make_contiguous().sort_by_key(|run| run.first);
        }
    }
}
