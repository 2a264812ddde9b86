//! Reading: from memory near the tail, from segments further back.
//!
//! Owns what a read returns. Payloads share the memory of the chunk, or of the piece of file,
//! they were found in.
//!
//! Invariant: a record is returned only if its chunk's checksums hold and its position is the one
//! asked for; where they do not, that read fails and other logs are served.

use std::io;

use millstream_core::Timestamp;

use super::frame::{Chunk, Flaw};
use super::segment::{Run, RunError, RunReader, segment_name};
use super::state::{LogEntry, LogInner, Shared};
use crate::{Position, Read, ReadError, ReadLimit};

/// How much of a segment is read with one call.
const READ_BYTES: usize = 1 << 20;
/// How much of a segment is read to look at arrivals only.
const SEEK_BYTES: usize = 128 << 10;

/// Where a read goes on.
#[derive(Debug)]
pub(super) enum Source {
    /// Nothing there, or all of it in memory: done.
    Done(Read),
    /// In a segment: from disk.
    Segment(Run),
    Failed(ReadError),
}

/// Counts down a read's limits.
struct Budget {
    records: usize,
    bytes: usize,
    taken: bool,
}

impl Budget {
    fn of(limit: ReadLimit) -> Self {
        Self { records: limit.records.max(1), bytes: limit.bytes, taken: false }
    }

    /// Whether a payload of `bytes` still fits; the first always does.
    fn take(&mut self, bytes: usize) -> bool {
        if self.taken && (self.records == 0 || self.bytes < bytes) {
            return false;
        }
        self.taken = true;
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }

    fn is_spent(&self) -> bool {
        self.taken && (self.records == 0 || self.bytes == 0)
    }
}

impl Shared {
    /// The first part of a read, which touches no disk.
    pub(super) fn read_memory(&self, entry: &LogEntry, from: Position, limit: ReadLimit) -> Source {
        let (chunks, from, end, sealed, beyond) = {
            let inner = entry.read();
            if inner.deleted {
                return Source::Failed(ReadError::NotFound);
            }
            let from = from.0.max(inner.start);
            if from < inner.end && from < inner.memory_start() {
                return find_run(self, &inner, from);
            }
            let (chunks, beyond) = collect(&inner, from, limit);
            (chunks, from, inner.end, inner.sealed, beyond)
        };
        let mut budget = Budget::of(limit);
        let mut read = Read { next: Position(from), ..Read::default() };
        for chunk in &chunks {
            match chunk.records_from(from, &mut read.records, |bytes| budget.take(bytes)) {
                Ok(next) => read.next = Position(next.max(from)),
                Err(flaw) => return Source::Failed(corrupt("memory".to_owned(), 0, flaw)),
            }
            if read.next.0 < chunk.end() {
                read.next_arrived = Some(Timestamp::from_ms(chunk.arrived));
                return Source::Done(read);
            }
        }
        read.next_arrived = beyond.map(Timestamp::from_ms);
        read.at_sealed_end = sealed && read.next.0 >= end;
        Source::Done(read)
    }

    /// The second part, which reads `run` from disk. Should that be trimmed, deleted or rewritten
    /// under its feet, it begins again where the records are by now.
    pub(super) fn read_from_disk(
        &self,
        entry: &LogEntry,
        mut run: Run,
        from: Position,
        limit: ReadLimit,
    ) -> Result<Read, ReadError> {
        loop {
            let outcome = self.read_segment(entry, &run, from, limit);
            if outcome.as_ref().is_ok_and(|read| !read.records.is_empty()) {
                return outcome;
            }
            match self.read_memory(entry, from, limit) {
                Source::Segment(now) if now.segment == run.segment => return outcome,
                Source::Segment(now) => run = now,
                Source::Done(read) => return Ok(read),
                Source::Failed(error) => return Err(error),
            }
        }
    }

    fn read_segment(
        &self,
        entry: &LogEntry,
        run: &Run,
        from: Position,
        limit: ReadLimit,
    ) -> Result<Read, ReadError> {
        let from = from.0.max(entry.read().start);
        let file = self.open_segment(run.segment)?;
        let read_bytes = limit.bytes.saturating_add(SEEK_BYTES).min(READ_BYTES);
        let mut reader = RunReader::new(&*file, run, run.seek_position(from), read_bytes);
        let mut budget = Budget::of(limit);
        let mut read = Read { next: Position(from), ..Read::default() };
        let failed = |error| self.run_error(run, error);
        loop {
            let header = match reader.peek() {
                Ok(Some(header)) => header,
                Ok(None) => break,
                // What was read before the damage is sound, and the next read reports it.
                Err(_) if !read.records.is_empty() => {
                    read.next_arrived = read.records.last().map(|record| record.arrived);
                    return Ok(read);
                }
                Err(error) => return Err(failed(error)),
            };
            if header.end() <= from {
                reader.skip(&header);
                continue;
            }
            if budget.is_spent() {
                read.next_arrived = Some(Timestamp::from_ms(header.arrived));
                return Ok(read);
            }
            let chunk = match reader.take(&header) {
                Ok(chunk) => chunk,
                Err(_) if !read.records.is_empty() => {
                    read.next_arrived = Some(Timestamp::from_ms(header.arrived));
                    return Ok(read);
                }
                Err(error) => return Err(failed(error)),
            };
            let next = chunk
                .records_from(from, &mut read.records, |bytes| budget.take(bytes))
                .map_err(|flaw| self.flawed(run.segment, run.offset, flaw))?;
            read.next = Position(next.max(from));
            if next < chunk.end() {
                read.next_arrived = Some(Timestamp::from_ms(chunk.arrived));
                return Ok(read);
            }
        }
        Self::after_run(entry, &mut read);
        Ok(read)
    }

    /// Says what follows a run that was read to its end.
    fn after_run(entry: &LogEntry, read: &mut Read) {
        let inner = entry.read();
        let next = read.next.0.max(inner.start);
        // A deleted log starts behind its end: that is no end that a reader came to.
        read.at_sealed_end = inner.sealed && !inner.deleted && next >= inner.end;
        if next < inner.end {
            let arrived = if next >= inner.memory_start() {
                inner.chunks.get(inner.chunk_index(next)).map(|chunk| chunk.arrived)
            } else {
                let index = inner.runs.partition_point(|run| run.end <= next);
                inner.runs.get(index).map(|run| run.first_arrived)
            };
            read.next_arrived = Some(Timestamp::from_ms(arrived.unwrap_or(inner.last_arrived)));
        }
    }

    /// The position by time as far as memory and indexes know; else the run to look into.
    pub(super) fn position_in_memory(
        entry: &LogEntry,
        at: Timestamp,
    ) -> Result<Result<Position, Run>, ReadError> {
        let inner = entry.read();
        if inner.deleted {
            return Err(ReadError::NotFound);
        }
        let at = at.ms();
        // Runs may overlap memory: what is in both is looked up in memory.
        let memory_start = inner.memory_start();
        let in_runs = inner.runs.iter().take_while(|run| run.first < memory_start).count();
        let index = inner.runs.partition_point(|run| run.last_arrived < at);
        if index < in_runs {
            let run = &inner.runs[index];
            if run.first_arrived >= at {
                return Ok(Ok(Position(run.first.max(inner.start))));
            }
            return Ok(Err(run.clone()));
        }
        let index = inner.chunks.partition_point(|chunk| chunk.arrived < at);
        let position = inner.chunks.get(index).map_or(inner.end, |chunk| chunk.first);
        Ok(Ok(Position(position.max(inner.start))))
    }

    /// The position by time, looked up in `run` first; begins again as `read_from_disk` does.
    pub(super) fn position_on_disk(
        &self,
        entry: &LogEntry,
        mut run: Run,
        at: Timestamp,
    ) -> Result<Position, ReadError> {
        loop {
            let outcome = self.position_in_run(entry, &run, at);
            if outcome.is_ok() {
                return outcome;
            }
            match Self::position_in_memory(entry, at)? {
                Ok(position) => return Ok(position),
                Err(now) if now.segment == run.segment => return outcome,
                Err(now) => run = now,
            }
        }
    }

    /// The first position in `run` that arrived at or after `at`.
    fn position_in_run(
        &self,
        entry: &LogEntry,
        run: &Run,
        at: Timestamp,
    ) -> Result<Position, ReadError> {
        let file = self.open_segment(run.segment)?;
        let mut reader = RunReader::new(&*file, run, run.seek_arrival(at.ms()), SEEK_BYTES);
        let start = entry.read().start;
        while let Some(header) = reader.peek().map_err(|error| self.run_error(run, error))? {
            if header.arrived >= at.ms() {
                return Ok(Position(header.first.max(start)));
            }
            reader.skip(&header);
        }
        Ok(Position(run.end.max(start)))
    }

    fn open_segment(
        &self,
        segment: u64,
    ) -> Result<std::sync::Arc<dyn crate::storage::StorageFile>, ReadError> {
        self.open_files.get(&*self.storage, segment).map_err(|error| self.run_io(segment, &error))
    }

    fn run_error(&self, run: &Run, error: RunError) -> ReadError {
        match error {
            RunError::Io(error) => self.run_io(run.segment, &error),
            RunError::Flawed { offset, flaw } => self.flawed(run.segment, offset, flaw),
        }
    }

    fn run_io(&self, segment: u64, error: &io::Error) -> ReadError {
        let file = self.storage.describe(&segment_name(segment));
        ReadError::Io { file, error: error.to_string() }
    }

    fn flawed(&self, segment: u64, offset: u64, flaw: Flaw) -> ReadError {
        let error = corrupt(self.storage.describe(&segment_name(segment)), offset, flaw);
        tracing::error!(%error, "corrupt data");
        error
    }
}

fn corrupt(file: String, offset: u64, flaw: Flaw) -> ReadError {
    ReadError::Corrupt { file, offset, reason: flaw.to_owned() }
}

/// The chunks in memory that a read from `from` needs, and when what follows them arrived.
fn collect(inner: &LogInner, from: u64, limit: ReadLimit) -> (Vec<Chunk>, Option<u64>) {
    let mut chunks = Vec::new();
    let (mut records, mut bytes) = (0_usize, 0_usize);
    for chunk in inner.chunks.range(inner.chunk_index(from)..) {
        if !chunks.is_empty() && (records >= limit.records || bytes > limit.bytes) {
            return (chunks, Some(chunk.arrived));
        }
        let skipped = from.saturating_sub(chunk.first);
        if skipped == 0 {
            bytes += chunk.body.len() - chunk.count as usize * crate::batch::RECORD_HEADER_BYTES;
        }
        records += usize::try_from(u64::from(chunk.count) - skipped).unwrap_or(usize::MAX);
        chunks.push(chunk.clone());
    }
    (chunks, None)
}

fn find_run(shared: &Shared, inner: &LogInner, from: u64) -> Source {
    let index = inner.runs.partition_point(|run| run.end <= from);
    match inner.runs.get(index) {
        Some(run) if run.first <= from => Source::Segment(run.clone()),
        found => {
            let file = found.map_or_else(|| "segment".to_owned(), |run| segment_name(run.segment));
            Source::Failed(corrupt(
                shared.storage.describe(&file),
                0,
                "records before these are missing: their segment is gone or damaged",
            ))
        }
    }
}
