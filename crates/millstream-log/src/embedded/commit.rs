//! Commits: what one sync makes durable, and the file header before them.
//!
//! Owns the framing of write-ahead files. A file begins with one block that holds its epoch;
//! then come commits, each starting on a block boundary and padded to the next, so that no later
//! write ever touches a sector that holds acknowledged bytes.
//!
//! | at | bytes | commit header |
//! |---:|---:|---|
//! | 0 | 4 | magic `MSCM` |
//! | 4 | 4 | flags; 1: every commit before this one was synced before this one was written |
//! | 8 | 8 | epoch of the file |
//! | 16 | 8 | number of the commit, one more than the one before |
//! | 24 | 4 | bytes of chunks that follow |
//! | 28 | 4 | chunks |
//! | 32 | 4 | CRC-32C of the chunks' headers, in order |
//! | 36 | 8 | zero |
//! | 44 | 4 | CRC-32C of the store's salt and the 44 bytes before |
//!
//! Invariant: a commit validates only if it was written by this store (the salt, which no caller
//! ever sees, so that no record can pass for a commit), into this life of the file (the epoch),
//! and whole (the checksums).

use super::frame::{CHUNK_HEADER_BYTES, ChunkHeader, Flaw, crc_holds, u32_at, u64_at};
use crate::storage::{AlignedBuffer, BLOCK_BYTES};

pub(super) const COMMIT_HEADER_BYTES: usize = 48;
const COMMIT_MAGIC: u32 = u32::from_le_bytes(*b"MSCM");
const FILE_MAGIC: u32 = u32::from_le_bytes(*b"MSWL");
const VERSION: u32 = 1;
const FILE_HEADER_BYTES: usize = 32;
/// Where a commit was begun, but the block with its header is not as it was written.
pub(super) const TORN_HEADER: Flaw = "the checksum of the commit's header does not hold";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommitHeader {
    pub(super) predecessors_synced: bool,
    pub(super) epoch: u64,
    pub(super) number: u64,
    pub(super) chunk_bytes: u32,
    pub(super) chunk_count: u32,
    pub(super) chunk_headers_crc: u32,
}

/// The store's secret, which goes into every checksum of a write-ahead file's structure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Salt(pub(super) u64);

impl Salt {
    fn crc(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.0.to_le_bytes()), bytes)
    }
}

/// Collects chunks into one commit.
#[derive(Debug, Default)]
pub(super) struct CommitBuilder {
    buffer: AlignedBuffer,
    chunk_count: u32,
    chunk_headers_crc: u32,
}

impl CommitBuilder {
    /// Starts over, giving back memory above `keep_bytes`.
    pub(super) fn clear(&mut self, keep_bytes: usize) {
        if self.buffer.capacity() > keep_bytes.saturating_mul(2) {
            self.buffer = AlignedBuffer::default();
        }
        self.buffer.clear();
        self.buffer.extend(&[0; COMMIT_HEADER_BYTES]);
        self.chunk_count = 0;
        self.chunk_headers_crc = 0;
    }

    pub(super) fn push(&mut self, header: &ChunkHeader, body: &[u8]) {
        let header = header.encode();
        self.chunk_headers_crc = crc32c::crc32c_append(self.chunk_headers_crc, &header);
        self.chunk_count += 1;
        self.buffer.extend(&header);
        self.buffer.extend(body);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunk_count == 0
    }

    /// The commit's bytes, whole blocks.
    pub(super) fn finish(
        &mut self,
        salt: Salt,
        epoch: u64,
        number: u64,
        predecessors_synced: bool,
    ) -> &[u8] {
        let chunk_bytes = self.buffer.as_slice().len() - COMMIT_HEADER_BYTES;
        let header = CommitHeader {
            predecessors_synced,
            epoch,
            number,
            chunk_bytes: u32::try_from(chunk_bytes).expect("a commit fits a file of 1 GiB"),
            chunk_count: self.chunk_count,
            chunk_headers_crc: self.chunk_headers_crc,
        };
        self.buffer.pad();
        self.buffer.as_mut_slice()[..COMMIT_HEADER_BYTES].copy_from_slice(&header.encode(salt));
        self.buffer.as_slice()
    }
}

impl CommitHeader {
    fn encode(&self, salt: Salt) -> [u8; COMMIT_HEADER_BYTES] {
        let mut bytes = [0; COMMIT_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&COMMIT_MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&u32::from(self.predecessors_synced).to_le_bytes());
        bytes[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.chunk_bytes.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.chunk_count.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.chunk_headers_crc.to_le_bytes());
        let crc = salt.crc(&bytes[..44]);
        bytes[44..48].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header, checking it alone: the chunks may be torn all the same.
    pub(super) fn decode(bytes: &[u8], salt: Salt) -> Result<Self, Flaw> {
        let bytes = bytes.get(..COMMIT_HEADER_BYTES).ok_or("the commit's header is cut off")?;
        if u32_at(bytes, 0) != COMMIT_MAGIC {
            return Err("no commit begins here");
        }
        if !crc_holds(u32_at(bytes, 44), salt.crc(&bytes[..44])) {
            return Err(TORN_HEADER);
        }
        Ok(Self {
            predecessors_synced: u32_at(bytes, 4) & 1 != 0,
            epoch: u64_at(bytes, 8),
            number: u64_at(bytes, 16),
            chunk_bytes: u32_at(bytes, 24),
            chunk_count: u32_at(bytes, 28),
            chunk_headers_crc: u32_at(bytes, 32),
        })
    }

    /// Bytes in the file, padding included.
    pub(super) fn total_bytes(&self) -> usize {
        (COMMIT_HEADER_BYTES + self.chunk_bytes as usize).next_multiple_of(BLOCK_BYTES)
    }

    /// The chunks of this commit, which starts at the beginning of `bytes`, all checked.
    pub(super) fn chunks<'a>(&self, bytes: &'a [u8]) -> Result<Vec<(ChunkHeader, &'a [u8])>, Flaw> {
        let end = COMMIT_HEADER_BYTES + self.chunk_bytes as usize;
        let bytes = bytes.get(..end).ok_or("the commit is cut off")?;
        let mut chunks = Vec::new();
        let mut at = COMMIT_HEADER_BYTES;
        let mut headers_crc = 0;
        for _ in 0..self.chunk_count {
            let header = ChunkHeader::decode(&bytes[at..])?;
            let body = at + CHUNK_HEADER_BYTES;
            let next = at + header.total_bytes();
            headers_crc = crc32c::crc32c_append(headers_crc, &bytes[at..body]);
            let body = bytes.get(body..next).ok_or("the chunk's body is cut off")?;
            header.check_body(body)?;
            chunks.push((header, body));
            at = next;
        }
        if at != end || !crc_holds(self.chunk_headers_crc, headers_crc) {
            return Err("the commit's chunks do not add up");
        }
        Ok(chunks)
    }
}

/// The first block of a write-ahead file.
pub(super) fn encode_file_header(epoch: u64, salt: Salt) -> AlignedBuffer {
    let mut bytes = [0; FILE_HEADER_BYTES];
    bytes[0..4].copy_from_slice(&FILE_MAGIC.to_le_bytes());
    bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
    bytes[8..16].copy_from_slice(&epoch.to_le_bytes());
    let crc = salt.crc(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    let mut block = AlignedBuffer::with_capacity(BLOCK_BYTES);
    block.extend(&bytes);
    block.pad();
    block
}

/// The epoch in the first block of a write-ahead file.
pub(super) fn decode_file_header(bytes: &[u8], salt: Salt) -> Result<u64, Flaw> {
    let bytes = bytes.get(..FILE_HEADER_BYTES).ok_or("the file's header is cut off")?;
    if u32_at(bytes, 0) != FILE_MAGIC || !crc_holds(u32_at(bytes, 28), salt.crc(&bytes[..28])) {
        return Err("the file's header does not hold");
    }
    if u32_at(bytes, 4) != VERSION {
        return Err("the file was written by another version");
    }
    Ok(u64_at(bytes, 8))
}
