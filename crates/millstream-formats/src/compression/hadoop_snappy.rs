//! What Hadoop's `SnappyCodec` writes: blocks of raw Snappy, each behind two lengths.
//!
//! A block is its length before compression, then a chunk's length and the chunk, all lengths
//! big-endian `u32`. Source: Hadoop's `BlockCompressorStream` (one chunk per block, as here) and
//! `SnappyCodec`, whose buffer is 256 KiB by default (`io.compression.codec.snappy.buffersize`).

use snap::raw::{Encoder, max_compress_len};

/// The buffer of a reader with default settings.
const BUFFER_BYTES: usize = 256 * 1024;

/// Bytes in a block. A reader's buffer must hold a chunk even where it did not shrink, so Hadoop
/// leaves room for the worst case; a block of the whole buffer could not be read back.
const BLOCK_BYTES: usize = BUFFER_BYTES - (BUFFER_BYTES / 6 + 32);

/// Writes the blocks.
pub(super) struct HadoopSnappyEncoder {
    encoder: Encoder,
    /// The open block, shorter than [`BLOCK_BYTES`].
    block: Vec<u8>,
    output: Vec<u8>,
}

impl HadoopSnappyEncoder {
    pub(super) fn new() -> Self {
        Self { encoder: Encoder::new(), block: Vec::new(), output: Vec::new() }
    }

    pub(super) fn write(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.block.is_empty() && data.len() >= BLOCK_BYTES {
                let (block, rest) = data.split_at(BLOCK_BYTES);
                put_block(&mut self.encoder, block, &mut self.output);
                data = rest;
                continue;
            }
            let room = BLOCK_BYTES - self.block.len();
            let (head, rest) = data.split_at(room.min(data.len()));
            self.block.extend_from_slice(head);
            data = rest;
            if self.block.len() == BLOCK_BYTES {
                self.close_block();
            }
        }
    }

    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.output.len()
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if !self.block.is_empty() {
            self.close_block();
        }
        self.output
    }

    fn close_block(&mut self) {
        put_block(&mut self.encoder, &self.block, &mut self.output);
        self.block.clear();
    }
}

fn put_block(encoder: &mut Encoder, block: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&length(block.len()));
    let length_at = output.len();
    let chunk_at = length_at + 4;
    output.resize(chunk_at + max_compress_len(block.len()), 0);
    let chunk_bytes = encoder
        .compress(block, &mut output[chunk_at..])
        .expect("the block is short and there is room for the worst case");
    output.truncate(chunk_at + chunk_bytes);
    output[length_at..chunk_at].copy_from_slice(&length(chunk_bytes));
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("a block is 256 KiB at most").to_be_bytes()
}
