//! The manifest: what the segments hold, and where replay begins.
//!
//! Owns one small file, replaced whole: written beside, synced, renamed, directory synced. It is
//! the commit point of everything the background does: a segment exists once a manifest names
//! it, and a write-ahead file may be reused once a manifest's checkpoint lies past it.
//!
//! | at | bytes | what |
//! |---:|---:|---|
//! | 0 | 8 | magic `MSMF`, version |
//! | 8 | 8 | salt of the store |
//! | 16 | 8 | checkpoint: number of the first commit to replay |
//! | 24 | 8 | number of the next segment |
//! | 32 | 8 | largest epoch given to a write-ahead file |
//! | 40 | 8 | logs, segments (4 each) |
//! | 48 | 40 each | logs: id, start, next, last arrival, flags (1: sealed) |
//! | … | 24 each | segments: number, bytes of chunks, bytes of the file |
//! | end | 4 | CRC-32C of all before |
//!
//! Invariant: the logs' state is exact at the checkpoint, so that replay needs no exceptions.

use std::io;

use super::commit::Salt;
use super::frame::{Flaw, crc_holds, u32_at, u64_at};
use crate::LogId;
use crate::storage::{FileKind, Storage};

pub(super) const MANIFEST_NAME: &str = "manifest";
const TEMPORARY_NAME: &str = "manifest.tmp";
const MAGIC: u32 = u32::from_le_bytes(*b"MSMF");
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 48;
const LOG_BYTES: usize = 40;
const SEGMENT_BYTES: usize = 24;

/// A log's state at a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogSnapshot {
    pub(super) id: LogId,
    pub(super) start: u64,
    pub(super) next: u64,
    pub(super) last_arrived: u64,
    pub(super) sealed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentEntry {
    pub(super) number: u64,
    /// Bytes before the footer.
    pub(super) chunk_bytes: u64,
    pub(super) file_bytes: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) salt: Salt,
    pub(super) checkpoint: u64,
    pub(super) segment_next: u64,
    pub(super) epoch: u64,
    pub(super) logs: Vec<LogSnapshot>,
    pub(super) segments: Vec<SegmentEntry>,
}

impl Manifest {
    fn encode(&self) -> Vec<u8> {
        let count = |items: usize| u32::try_from(items).expect("far below 2^32").to_le_bytes();
        let mut bytes = Vec::with_capacity(
            HEADER_BYTES + self.logs.len() * LOG_BYTES + self.segments.len() * SEGMENT_BYTES + 4,
        );
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend(VERSION.to_le_bytes());
        for number in [self.salt.0, self.checkpoint, self.segment_next, self.epoch] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(count(self.logs.len()));
        bytes.extend(count(self.segments.len()));
        for log in &self.logs {
            let flags = u64::from(log.sealed);
            for number in [log.id.0, log.start, log.next, log.last_arrived, flags] {
                bytes.extend(number.to_le_bytes());
            }
        }
        for segment in &self.segments {
            for number in [segment.number, segment.chunk_bytes, segment.file_bytes] {
                bytes.extend(number.to_le_bytes());
            }
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        if bytes.len() < HEADER_BYTES + 4 || u32_at(bytes, 0) != MAGIC {
            return Err("not a manifest");
        }
        let end = bytes.len() - 4;
        if !crc_holds(u32_at(bytes, end), crc32c::crc32c(&bytes[..end])) {
            return Err("the manifest's checksum does not hold");
        }
        if u32_at(bytes, 4) != VERSION {
            return Err("the manifest was written by another version");
        }
        let logs_end = HEADER_BYTES + u32_at(bytes, 40) as usize * LOG_BYTES;
        let segments_end = logs_end + u32_at(bytes, 44) as usize * SEGMENT_BYTES;
        if segments_end != end {
            return Err("the manifest's counts do not add up");
        }
        let logs = bytes[HEADER_BYTES..logs_end].chunks_exact(LOG_BYTES).map(|log| LogSnapshot {
            id: LogId(u64_at(log, 0)),
            start: u64_at(log, 8),
            next: u64_at(log, 16),
            last_arrived: u64_at(log, 24),
            sealed: u64_at(log, 32) & 1 != 0,
        });
        let segments =
            bytes[logs_end..end].chunks_exact(SEGMENT_BYTES).map(|segment| SegmentEntry {
                number: u64_at(segment, 0),
                chunk_bytes: u64_at(segment, 8),
                file_bytes: u64_at(segment, 16),
            });
        Ok(Self {
            salt: Salt(u64_at(bytes, 8)),
            checkpoint: u64_at(bytes, 16),
            segment_next: u64_at(bytes, 24),
            epoch: u64_at(bytes, 32),
            logs: logs.collect(),
            segments: segments.collect(),
        })
    }

    /// Puts this manifest, durably, in the place of the one before.
    pub(super) fn store(&self, storage: &dyn Storage) -> io::Result<()> {
        match storage.remove(TEMPORARY_NAME) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = storage.create(TEMPORARY_NAME, FileKind::Plain)?;
        file.write_at(0, &self.encode())?;
        file.sync()?;
        storage.rename(TEMPORARY_NAME, MANIFEST_NAME)?;
        // From here on nobody knows which of the two a crash would leave, whatever the error.
        storage.sync_directory().map_err(io::Error::other)
    }
}
