//! Streams: bytes in chunks, each compressed for itself, so that a reader can begin at any of them.

use crate::compress::{Codec, Compressor};

/// Bytes of a chunk before compression, at most: Hive's default. Its header holds 23 bits.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// A stream being written.
#[derive(Debug)]
pub(super) struct Stream {
    compressor: Compressor,
    /// Chunks that are done.
    out: Vec<u8>,
    /// The chunk that is filled; unused without compression.
    chunk: Vec<u8>,
}

impl Stream {
    pub(super) fn new(codec: Codec) -> Self {
        Self { compressor: Compressor::new(codec), out: Vec::new(), chunk: Vec::new() }
    }

    fn is_compressed(&self) -> bool {
        self.compressor.codec() != Codec::None
    }

    /// Appends bytes. What comes at once is better short: chunks do not reach beyond their bound.
    #[inline]
    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        if !self.is_compressed() {
            self.out.extend_from_slice(bytes);
            return;
        }
        while self.chunk.len() + bytes.len() >= CHUNK_BYTES {
            let (now, later) = bytes.split_at(CHUNK_BYTES - self.chunk.len());
            self.chunk.extend_from_slice(now);
            self.end_chunk();
            bytes = later;
        }
        self.chunk.extend_from_slice(bytes);
    }

    /// Where the next byte will be: places for a row index.
    pub(super) fn position(&self, positions: &mut Vec<u64>) {
        positions.push(self.out.len() as u64);
        if self.is_compressed() {
            positions.push(self.chunk.len() as u64);
        }
    }

    fn end_chunk(&mut self) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 3]);
        self.compressor.append(&self.chunk, &mut self.out);
        let mut length = self.out.len() - start - 3;
        let mut original = 0;
        if length >= self.chunk.len() {
            // Did not get smaller: kept as it is, and marked so.
            self.out.truncate(start + 3);
            self.out.extend_from_slice(&self.chunk);
            length = self.chunk.len();
            original = 1;
        }
        let [a, b, c, ..] = (length << 1 | original).to_le_bytes();
        self.out[start..start + 3].copy_from_slice(&[a, b, c]);
        self.chunk.clear();
    }

    /// Bytes that are held.
    pub(super) fn bytes(&self) -> usize {
        self.out.len() + self.chunk.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.out.capacity() + self.chunk.capacity()
    }

    /// The stream's bytes; it is empty afterwards.
    pub(super) fn take(&mut self) -> Vec<u8> {
        if !self.chunk.is_empty() {
            self.end_chunk();
        }
        std::mem::take(&mut self.out)
    }
}

/// A section of metadata, compressed as a stream.
pub(super) fn section(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let mut stream = Stream::new(codec);
    stream.write(bytes);
    stream.take()
}
