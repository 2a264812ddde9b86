//! Chunks: a batch with its header, in write-ahead files and segments alike.
//!
//! Owns the 48 bytes before each body. All numbers are little-endian:
//!
//! | at | bytes | what |
//! |---:|---:|---|
//! | 0 | 4 | magic `MSCK` |
//! | 4 | 4 | kind |
//! | 8 | 8 | log |
//! | 16 | 8 | position of the first record (seal: the end; trim: the new start) |
//! | 24 | 8 | arrival, ms |
//! | 32 | 4 | records |
//! | 36 | 4 | bytes of body |
//! | 40 | 4 | CRC-32C of the body |
//! | 44 | 4 | CRC-32C of the 44 bytes before |
//!
//! Invariant: header and body together are covered by checksums to the last bit, and the header
//! names log and position, so that a block at a wrong place is noticed.

use bytes::Bytes;

use crate::batch::RECORD_HEADER_BYTES;
use crate::{LogId, Position, Record};
use millstream_core::Timestamp;

pub(super) const CHUNK_HEADER_BYTES: usize = 48;
const MAGIC: u32 = u32::from_le_bytes(*b"MSCK");

/// What a chunk says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkKind {
    Records,
    Create,
    Seal,
    Trim,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    pub(super) kind: ChunkKind,
    pub(super) log: LogId,
    pub(super) first: u64,
    pub(super) arrived: u64,
    pub(super) count: u32,
    pub(super) body_bytes: u32,
    pub(super) body_crc: u32,
}

/// A batch that has its place.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) first: u64,
    pub(super) arrived: u64,
    pub(super) count: u32,
    pub(super) body_crc: u32,
    pub(super) body: Bytes,
}

/// What does not hold of some bytes.
pub(super) type Flaw = &'static str;

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Whether a checksum holds.
pub(super) fn crc_holds(stated: u32, computed: u32) -> bool {
    cfg!(feature = "mutant-no-checksum") || stated == computed
}

impl ChunkHeader {
    pub(super) fn of(log: LogId, chunk: &Chunk) -> Self {
        Self {
            kind: ChunkKind::Records,
            log,
            first: chunk.first,
            arrived: chunk.arrived,
            count: chunk.count,
            body_bytes: u32::try_from(chunk.body.len()).expect("a batch is far below 4 GiB"),
            body_crc: chunk.body_crc,
        }
    }

    /// A header without a body.
    pub(super) fn command(kind: ChunkKind, log: LogId, first: u64, arrived: u64) -> Self {
        Self { kind, log, first, arrived, count: 0, body_bytes: 0, body_crc: 0 }
    }

    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    pub(super) fn encode(&self) -> [u8; CHUNK_HEADER_BYTES] {
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        let kind: u32 = match self.kind {
            ChunkKind::Records => 1,
            ChunkKind::Create => 2,
            ChunkKind::Seal => 3,
            ChunkKind::Trim => 4,
            ChunkKind::Delete => 5,
        };
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&kind.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.log.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.arrived.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.count.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..44]);
        bytes[44..48].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header from the first bytes of `bytes`.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        let bytes = bytes.get(..CHUNK_HEADER_BYTES).ok_or("the chunk's header is cut off")?;
        if u32_at(bytes, 0) != MAGIC {
            return Err("no chunk begins here");
        }
        if !crc_holds(u32_at(bytes, 44), crc32c::crc32c(&bytes[..44])) {
            return Err("the checksum of the chunk's header does not hold");
        }
        let kind = match u32_at(bytes, 4) {
            1 => ChunkKind::Records,
            2 => ChunkKind::Create,
            3 => ChunkKind::Seal,
            4 => ChunkKind::Trim,
            5 => ChunkKind::Delete,
            _ => return Err("the chunk is of an unknown kind"),
        };
        Ok(Self {
            kind,
            log: LogId(u64_at(bytes, 8)),
            first: u64_at(bytes, 16),
            arrived: u64_at(bytes, 24),
            count: u32_at(bytes, 32),
            body_bytes: u32_at(bytes, 36),
            body_crc: u32_at(bytes, 40),
        })
    }

    /// The whole chunk's bytes.
    pub(super) fn total_bytes(&self) -> usize {
        CHUNK_HEADER_BYTES + self.body_bytes as usize
    }

    /// Checks a body against this header.
    pub(super) fn check_body(&self, body: &[u8]) -> Result<(), Flaw> {
        if !crc_holds(self.body_crc, crc32c::crc32c(body)) {
            return Err("the checksum of the chunk's body does not hold");
        }
        Ok(())
    }
}

impl Chunk {
    pub(super) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// What the chunk costs in memory, with what surrounds the body.
    pub(super) fn cost(&self) -> usize {
        const SURROUNDINGS_BYTES: usize = 128;
        self.body.len() + SURROUNDINGS_BYTES
    }

    /// Adds the records from position `from` to `records` while `take` says so of their payload's
    /// bytes. Returns the position after the last that was added, or where it stopped.
    pub(super) fn records_from(
        &self,
        from: u64,
        records: &mut Vec<Record>,
        mut take: impl FnMut(usize) -> bool,
    ) -> Result<u64, Flaw> {
        const TORN: Flaw = "the lengths of the chunk's records do not add up";
        let mut at = 0;
        for position in self.first..self.end() {
            let prefix = self.body.get(at..at + RECORD_HEADER_BYTES).ok_or(TORN)?;
            let start = at + RECORD_HEADER_BYTES;
            let length = u32_at(prefix, 0) as usize;
            if length > self.body.len() - start {
                return Err(TORN);
            }
            at = start + length;
            if position < from {
                continue;
            }
            if !take(length) {
                return Ok(position);
            }
            records.push(Record {
                position: Position(position),
                arrived: Timestamp::from_ms(self.arrived),
                payload: self.body.slice(start..at),
            });
        }
        Ok(self.end())
    }
}
