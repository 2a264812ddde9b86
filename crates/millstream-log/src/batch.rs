//! Batches of records, encoded once by the caller and never again.
//!
//! Owns the bytes inside a chunk: `(length: u32 LE, payload)*`. The caller's thread encodes and
//! checksums them; the engine frames the whole body with a header and writes it untouched.

use bytes::{BufMut, Bytes, BytesMut};
use millstream_core::Timestamp;

use crate::Position;

/// Bytes of framing before each record's payload.
pub(crate) const RECORD_HEADER_BYTES: usize = 4;

/// Collects records into one encoded body.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    body: BytesMut,
    count: u32,
}

impl BatchBuilder {
    /// A builder with room for `bytes` of body (payloads and 4 bytes for each).
    pub fn with_capacity(bytes: usize) -> Self {
        Self { body: BytesMut::with_capacity(bytes), count: 0 }
    }

    /// Adds one record whose payload is the concatenation of `parts`.
    pub fn push(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).expect("a record is far below 4 GiB");
        self.body.put_u32_le(length);
        for part in parts {
            self.body.put_slice(part);
        }
        self.count += 1;
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch, checksummed.
    pub fn build(self) -> Batch {
        let body = self.body.freeze();
        let body_crc = crc32c::crc32c(&body);
        Batch { body, count: self.count, body_crc }
    }
}

/// Records to append together: all or none survive a crash, at consecutive positions.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) body: Bytes,
    pub(crate) count: u32,
    pub(crate) body_crc: u32,
}

impl Batch {
    /// A batch of one record.
    pub fn of(payload: &[u8]) -> Self {
        let mut builder = BatchBuilder::with_capacity(payload.len() + RECORD_HEADER_BYTES);
        builder.push(&[payload]);
        builder.build()
    }

    /// Bytes of the encoded body.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// The encoded body: `(length: u32 LE, payload)*`.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// How many records.
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// One record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place.
    pub position: Position,
    /// When it arrived.
    pub arrived: Timestamp,
    /// What was appended, sharing the memory of the chunk it was read in.
    pub payload: Bytes,
}

/// Records as read, in order of position.
pub type Records = Vec<Record>;
