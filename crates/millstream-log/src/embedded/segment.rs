//! Segments: immutable files of chunks, sorted by log and position, with an index behind them.
//!
//! Owns their form: a header block of 32 bytes, the chunks as in the write-ahead files, a footer
//! of runs (one per log: where its chunks lie, and every so many bytes an index entry), and a
//! trailer. The footer is derived from the chunks and is no evidence: where it is damaged it is
//! rebuilt from them.
//!
//! | bytes | footer, per run |
//! |---:|---|
//! | 7 × 8 | log, first position, end position, offset, bytes, first arrival, last arrival |
//! | 8 | index entries |
//! | 24 each | position, arrival, offset |
//!
//! Trailer, 32 bytes: segment number, bytes of footer, runs, CRC-32C of the footer, magic `MSSG`,
//! CRC-32C of the trailer's 28 bytes before.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;

use super::frame::{CHUNK_HEADER_BYTES, Chunk, ChunkHeader, ChunkKind, Flaw, u32_at, u64_at};
use super::manifest::SegmentEntry;
use crate::LogId;
use crate::storage::{FileKind, Storage, StorageFile};

pub(super) const SEGMENT_HEADER_BYTES: usize = 32;
const TRAILER_BYTES: usize = 32;
const RUN_BYTES: usize = 64;
const INDEX_BYTES: usize = 24;
const MAGIC: u32 = u32::from_le_bytes(*b"MSSG");
const VERSION: u32 = 1;
/// How much is handed to the file system at once.
const WRITE_BYTES: usize = 1 << 20;

/// One log's chunks in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) segment: u64,
    pub(super) log: LogId,
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) first_arrived: u64,
    pub(super) last_arrived: u64,
    pub(super) index: Arc<[IndexEntry]>,
}

/// Where a chunk of a run lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) first: u64,
    pub(super) arrived: u64,
    pub(super) offset: u64,
}

impl Run {
    pub(super) fn offset_end(&self) -> u64 {
        self.offset + self.bytes
    }

    /// The last indexed chunk at or before `position`.
    pub(super) fn seek_position(&self, position: u64) -> IndexEntry {
        let after = self.index.partition_point(|entry| entry.first <= position);
        self.entry_before(after)
    }

    /// The last indexed chunk that arrived before `at`.
    pub(super) fn seek_arrival(&self, at: u64) -> IndexEntry {
        let after = self.index.partition_point(|entry| entry.arrived < at);
        self.entry_before(after)
    }

    /// The first chunk.
    pub(super) fn begin(&self) -> IndexEntry {
        IndexEntry { first: self.first, arrived: self.first_arrived, offset: self.offset }
    }

    fn entry_before(&self, after: usize) -> IndexEntry {
        after.checked_sub(1).map_or_else(|| self.begin(), |index| self.index[index])
    }
}

pub(super) fn segment_name(number: u64) -> String {
    format!("segment-{number:012}")
}

/// Collects runs from chunks that come in order of log and position.
#[derive(Debug)]
struct RunBuilder {
    segment: u64,
    index_interval_bytes: usize,
    runs: Vec<Run>,
    index: Vec<IndexEntry>,
    since_entry_bytes: usize,
}

impl RunBuilder {
    fn new(segment: u64, index_interval_bytes: usize) -> Self {
        let (runs, index) = (Vec::new(), Vec::new());
        Self { segment, index_interval_bytes, runs, index, since_entry_bytes: 0 }
    }

    fn push(&mut self, header: &ChunkHeader, offset: u64) {
        let bytes = header.total_bytes();
        let follows = |run: &&mut Run| run.log == header.log && run.end == header.first;
        if let Some(run) = self.runs.last_mut().filter(follows) {
            if self.since_entry_bytes >= self.index_interval_bytes {
                let (first, arrived) = (header.first, header.arrived);
                self.index.push(IndexEntry { first, arrived, offset });
                self.since_entry_bytes = 0;
            }
            run.end = header.end();
            run.bytes += bytes as u64;
            run.last_arrived = header.arrived;
        } else {
            self.close_run();
            self.runs.push(Run {
                segment: self.segment,
                log: header.log,
                first: header.first,
                end: header.end(),
                offset,
                bytes: bytes as u64,
                first_arrived: header.arrived,
                last_arrived: header.arrived,
                index: Arc::from([]),
            });
        }
        self.since_entry_bytes += bytes;
    }

    fn close_run(&mut self) {
        if let Some(run) = self.runs.last_mut() {
            run.index = std::mem::take(&mut self.index).into();
        }
        self.since_entry_bytes = 0;
    }

    fn finish(mut self) -> Vec<Run> {
        self.close_run();
        self.runs
    }
}

/// Writes one segment, durably but for its name; `logs` come in order, their chunks in order.
pub(super) fn write_segment(
    storage: &dyn Storage,
    number: u64,
    logs: &[(LogId, Vec<Chunk>)],
    index_interval_bytes: usize,
) -> io::Result<(SegmentEntry, Vec<Run>)> {
    let file = storage.create(&segment_name(number), FileKind::Plain)?;
    let mut builder = RunBuilder::new(number, index_interval_bytes);
    let mut buffer = Vec::with_capacity(WRITE_BYTES + CHUNK_HEADER_BYTES);
    let mut flushed = 0_u64;
    buffer.extend(encode_header(number));
    for (log, chunks) in logs {
        for chunk in chunks {
            let header = ChunkHeader::of(*log, chunk);
            builder.push(&header, flushed + buffer.len() as u64);
            buffer.extend(header.encode());
            buffer.extend_from_slice(&chunk.body);
            if buffer.len() >= WRITE_BYTES {
                file.write_at(flushed, &buffer)?;
                flushed += buffer.len() as u64;
                buffer.clear();
            }
        }
    }
    let chunk_bytes = flushed + buffer.len() as u64;
    let runs = builder.finish();
    let footer = encode_footer(&runs);
    buffer.extend_from_slice(&footer);
    buffer.extend(encode_trailer(number, &footer, runs.len()));
    file.write_at(flushed, &buffer)?;
    let file_bytes = flushed + buffer.len() as u64;
    file.sync()?;
    Ok((SegmentEntry { number, chunk_bytes, file_bytes }, runs))
}

/// What is wrong with a segment.
pub(super) struct Damage {
    pub(super) flaw: Flaw,
    /// All chunks were found all the same.
    pub(super) is_healed: bool,
}

/// The runs of a segment, from its footer, or from its chunks where the footer is damaged.
pub(super) fn load_runs(
    file: &dyn StorageFile,
    entry: &SegmentEntry,
    index_interval_bytes: usize,
) -> io::Result<(Vec<Run>, Option<Damage>)> {
    match read_footer(file, entry) {
        Ok(runs) => Ok((runs, None)),
        Err(FooterError::Io(error)) => Err(error),
        Err(FooterError::Flawed(flaw)) => {
            let runs = scan_runs(file, entry, index_interval_bytes)?;
            let end = runs.last().map_or(SEGMENT_HEADER_BYTES as u64, Run::offset_end);
            Ok((runs, Some(Damage { flaw, is_healed: end == entry.chunk_bytes })))
        }
    }
}

enum FooterError {
    Io(io::Error),
    Flawed(Flaw),
}

impl From<io::Error> for FooterError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Flawed("the segment is shorter than the manifest says");
        }
        Self::Io(error)
    }
}

fn read_footer(file: &dyn StorageFile, entry: &SegmentEntry) -> Result<Vec<Run>, FooterError> {
    let flawed = FooterError::Flawed;
    let mut header = [0; SEGMENT_HEADER_BYTES];
    file.read_at(0, &mut header)?;
    if header != encode_header(entry.number) {
        return Err(flawed("the segment's header does not hold"));
    }
    let length = entry.file_bytes.saturating_sub(entry.chunk_bytes);
    let length = usize::try_from(length).map_err(|_| flawed("the footer is too long"))?;
    if length < TRAILER_BYTES || file.length()? != entry.file_bytes {
        return Err(flawed("the segment's length is not the manifest's"));
    }
    let mut bytes = vec![0; length];
    file.read_at(entry.chunk_bytes, &mut bytes)?;
    let (footer, trailer) = bytes.split_at(length - TRAILER_BYTES);
    let runs = u32_at(trailer, 16) as usize;
    let holds = trailer == encode_trailer(entry.number, footer, runs);
    if !holds && !cfg!(feature = "mutant-no-checksum") {
        return Err(flawed("the checksum of the segment's footer does not hold"));
    }
    decode_footer(entry.number, footer, runs).map_err(flawed)
}

/// Walks the chunks from the front, as far as they hold.
fn scan_runs(
    file: &dyn StorageFile,
    entry: &SegmentEntry,
    index_interval_bytes: usize,
) -> io::Result<Vec<Run>> {
    let mut builder = RunBuilder::new(entry.number, index_interval_bytes);
    let mut at = SEGMENT_HEADER_BYTES as u64;
    let mut bytes = [0; CHUNK_HEADER_BYTES];
    while at + CHUNK_HEADER_BYTES as u64 <= entry.chunk_bytes {
        match file.read_at(at, &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            outcome => outcome?,
        }
        // Without this length the next chunk cannot be found: what follows reads as missing.
        let Ok(header) = ChunkHeader::decode(&bytes) else { break };
        let end = at + header.total_bytes() as u64;
        if header.kind != ChunkKind::Records || end > entry.chunk_bytes {
            break;
        }
        // Logs and their chunks are written in order: one out of order is a copy of another
        // place, and what should stand here is lost.
        if builder.runs.last().is_some_and(|run| (header.log, header.first) < (run.log, run.end)) {
            break;
        }
        builder.push(&header, at);
        at = end;
    }
    Ok(builder.finish())
}

/// Chunks read from a run, one after the other.
pub(super) struct RunReader<'a> {
    file: &'a dyn StorageFile,
    run: &'a Run,
    /// Offset of the next chunk, and the position it must begin at.
    at: u64,
    expected: u64,
    buffer: bytes::Bytes,
    buffer_at: u64,
    read_bytes: usize,
}

/// Why a run cannot be read on.
pub(super) enum RunError {
    Io(io::Error),
    Flawed { offset: u64, flaw: Flaw },
}

impl<'a> RunReader<'a> {
    /// Reads from `entry` on, about `read_bytes` at a time.
    pub(super) fn new(
        file: &'a dyn StorageFile,
        run: &'a Run,
        entry: IndexEntry,
        read_bytes: usize,
    ) -> Self {
        let buffer = bytes::Bytes::new();
        let (at, expected) = (entry.offset, entry.first);
        Self { file, run, at, expected, buffer, buffer_at: at, read_bytes }
    }

    /// The next chunk's header, checked but not its body; `None` at the run's end.
    pub(super) fn peek(&mut self) -> Result<Option<ChunkHeader>, RunError> {
        if self.at >= self.run.offset_end() {
            return Ok(None);
        }
        let bytes = self.fill(CHUNK_HEADER_BYTES)?;
        let flawed = |flaw| RunError::Flawed { offset: self.at, flaw };
        let header = ChunkHeader::decode(&bytes).map_err(flawed)?;
        if header.kind != ChunkKind::Records
            || header.log != self.run.log
            || header.first != self.expected
            || header.count == 0
        {
            return Err(flawed("another chunk lies here"));
        }
        if header.end() > self.run.end
            || self.at + header.total_bytes() as u64 > self.run.offset_end()
        {
            return Err(flawed("the chunk is longer than its run"));
        }
        Ok(Some(header))
    }

    /// Passes over a chunk that `peek` returned.
    pub(super) fn skip(&mut self, header: &ChunkHeader) {
        self.at += header.total_bytes() as u64;
        self.expected = header.end();
    }

    /// Reads a chunk that `peek` returned, checking its body.
    pub(super) fn take(&mut self, header: &ChunkHeader) -> Result<Chunk, RunError> {
        let bytes = self.fill(header.total_bytes())?;
        let body = bytes.slice(CHUNK_HEADER_BYTES..header.total_bytes());
        let flawed = |flaw| RunError::Flawed { offset: self.at, flaw };
        header.check_body(&body).map_err(flawed)?;
        self.skip(header);
        Ok(Chunk {
            first: header.first,
            arrived: header.arrived,
            count: header.count,
            body_crc: header.body_crc,
            body,
        })
    }

    /// At least `bytes` from `self.at`.
    fn fill(&mut self, bytes: usize) -> Result<bytes::Bytes, RunError> {
        let skipped = usize::try_from(self.at - self.buffer_at).unwrap_or(usize::MAX);
        let have = self.buffer.len().saturating_sub(skipped);
        if have < bytes {
            let left = self.run.offset_end() - self.at;
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            if left < bytes {
                let flaw = "the chunk is longer than its run";
                return Err(RunError::Flawed { offset: self.at, flaw });
            }
            let mut buffer = BytesMut::zeroed(left.min(self.read_bytes.max(bytes)));
            self.file.read_at(self.at, &mut buffer).map_err(|error| {
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    let flaw = "the segment is shorter than its index says";
                    return RunError::Flawed { offset: self.at, flaw };
                }
                RunError::Io(error)
            })?;
            self.buffer = buffer.freeze();
            self.buffer_at = self.at;
            return Ok(self.buffer.clone());
        }
        Ok(self.buffer.slice(skipped..))
    }
}

fn encode_header(number: u64) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn encode_footer(runs: &[Run]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(runs.len() * RUN_BYTES);
    for run in runs {
        let index_count = run.index.len() as u64;
        let (first_arrived, last_arrived) = (run.first_arrived, run.last_arrived);
        for number in [run.log.0, run.first, run.end, run.offset, run.bytes] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [first_arrived, last_arrived, index_count] {
            bytes.extend(number.to_le_bytes());
        }
        for entry in run.index.iter() {
            for number in [entry.first, entry.arrived, entry.offset] {
                bytes.extend(number.to_le_bytes());
            }
        }
    }
    bytes
}

fn decode_footer(segment: u64, mut footer: &[u8], count: usize) -> Result<Vec<Run>, Flaw> {
    const FLAW: Flaw = "the segment's footer does not add up";
    let mut runs = Vec::new();
    for _ in 0..count {
        let run = footer.get(..RUN_BYTES).ok_or(FLAW)?;
        let index_count = usize::try_from(u64_at(run, 56)).map_err(|_| FLAW)?;
        let index_bytes = index_count.checked_mul(INDEX_BYTES).ok_or(FLAW)?;
        let index = footer[RUN_BYTES..].get(..index_bytes).ok_or(FLAW)?;
        runs.push(Run {
            segment,
            log: LogId(u64_at(run, 0)),
            first: u64_at(run, 8),
            end: u64_at(run, 16),
            offset: u64_at(run, 24),
            bytes: u64_at(run, 32),
            first_arrived: u64_at(run, 40),
            last_arrived: u64_at(run, 48),
            index: index
                .chunks_exact(INDEX_BYTES)
                .map(|entry| IndexEntry {
                    first: u64_at(entry, 0),
                    arrived: u64_at(entry, 8),
                    offset: u64_at(entry, 16),
                })
                .collect(),
        });
        footer = &footer[RUN_BYTES + index_bytes..];
    }
    if footer.is_empty() { Ok(runs) } else { Err(FLAW) }
}

fn encode_trailer(number: u64, footer: &[u8], runs: usize) -> [u8; TRAILER_BYTES] {
    let mut bytes = [0; TRAILER_BYTES];
    bytes[0..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..16].copy_from_slice(&(footer.len() as u64).to_le_bytes());
    let runs = u32::try_from(runs).expect("a segment holds far fewer than 2^32 runs");
    bytes[16..20].copy_from_slice(&runs.to_le_bytes());
    bytes[20..24].copy_from_slice(&crc32c::crc32c(footer).to_le_bytes());
    bytes[24..28].copy_from_slice(&MAGIC.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    bytes
}
