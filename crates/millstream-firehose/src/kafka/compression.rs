//! The codecs of record batches.
//!
//! Owns their names by number. All of them unpack as they are read, so that what a batch becomes
//! takes no more memory than is asked for.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use ruzstd::decoding::StreamingDecoder as ZstdDecoder;

use super::KafkaError;

/// What a zstd frame may ask to keep: the largest that Kafka's own producers make by level is
/// 8 MiB, at the highest levels 128 MiB, which nobody uses for batches of one MiB.
const ZSTD_WINDOW_BYTES_MAX: u64 = 32 << 20;
/// What one block of snappy may become.
const SNAPPY_BLOCK_BYTES_MAX: usize = 64 << 20;
/// How much larger than it is a block of snappy becomes at most: three bytes may stand for 64.
const SNAPPY_GROWTH_MAX: usize = 22;
/// How snappy's Java library begins a stream of blocks; others send one block, bare.
const SNAPPY_JAVA: &[u8] = b"\x82SNAPPY\0";
/// After those, two versions of four bytes each.
const SNAPPY_JAVA_HEAD_BYTES: usize = 16;

/// Bytes that are unpacked as they are read.
pub(super) type Unpacked = Box<dyn Read + Send>;

/// The bytes of a batch's records, packed by codec number `codec`; `None` where they are not
/// packed.
pub(super) fn unpack(codec: i16, packed: &Bytes) -> Result<Option<Unpacked>, KafkaError> {
    let reader = packed.clone().reader();
    Ok(Some(match codec {
        0 => return Ok(None),
        1 => Box::new(MultiGzDecoder::new(reader)),
        2 => Box::new(Snappy::new(packed.clone())),
        3 => Box::new(Lz4Decoder::new(reader)),
        4 => Box::new(Zstd { packed: Some(reader), frame: None }),
        _ => return Err(KafkaError::Malformed("a batch is packed in an unknown way")),
    }))
}

type Packed = bytes::buf::Reader<Bytes>;

/// Frames of zstd, one after another.
struct Zstd {
    /// What follows, while no frame is open.
    packed: Option<Packed>,
    frame: Option<ZstdDecoder<Packed, ruzstd::decoding::FrameDecoder>>,
}

impl Read for Zstd {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(out)?;
                if count > 0 || out.is_empty() {
                    return Ok(count);
                }
                self.packed = self.frame.take().map(ZstdDecoder::into_inner);
            }
            match self.packed.take() {
                Some(packed) if packed.get_ref().has_remaining() => {
                    let frame =
                        ZstdDecoder::new_with_max_window_size(packed, ZSTD_WINDOW_BYTES_MAX);
                    self.frame = Some(frame.map_err(io::Error::other)?);
                }
                _ => return Ok(0),
            }
        }
    }
}

/// Blocks of snappy.
struct Snappy {
    packed: Bytes,
    has_blocks: bool,
    block: Bytes,
}

impl Snappy {
    fn new(mut packed: Bytes) -> Self {
        let has_blocks = packed.starts_with(SNAPPY_JAVA) && packed.len() >= SNAPPY_JAVA_HEAD_BYTES;
        if has_blocks {
            packed.advance(SNAPPY_JAVA_HEAD_BYTES);
        }
        Self { packed, has_blocks, block: Bytes::new() }
    }

    fn next_block(&mut self) -> io::Result<Bytes> {
        if !self.has_blocks {
            return Ok(std::mem::take(&mut self.packed));
        }
        let length = self.packed.try_get_u32().map_err(io::Error::other)? as usize;
        if length > self.packed.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.packed.split_to(length))
    }
}

impl Read for Snappy {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() && !self.packed.is_empty() {
            let packed = self.next_block()?;
            // What the block says is asked for at once, so it must be possible.
            let possible = packed.len().saturating_mul(SNAPPY_GROWTH_MAX);
            if snap::raw::decompress_len(&packed)? > possible.min(SNAPPY_BLOCK_BYTES_MAX) {
                return Err(io::Error::other("a block of snappy is too large"));
            }
            self.block = snap::raw::Decoder::new().decompress_vec(&packed)?.into();
        }
        let count = out.len().min(self.block.len());
        self.block.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}
