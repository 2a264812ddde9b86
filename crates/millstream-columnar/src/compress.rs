//! Blocks of bytes, compressed one by one: the codecs that both formats share.

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder};

/// What a block is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Snappy,
    /// With gzip's header: Parquet.
    Gzip,
    /// Without a header: ORC.
    Deflate,
}

/// The level of zlib's own default, which Hadoop's codecs use.
const LEVEL: u32 = 6;

/// A codec, with what it may keep from block to block.
#[derive(Debug)]
pub(crate) struct Compressor {
    codec: Codec,
    /// Boxed: it has tables inside.
    snappy: Box<snap::raw::Encoder>,
}

impl Compressor {
    pub(crate) fn new(codec: Codec) -> Self {
        Self { codec, snappy: Box::new(snap::raw::Encoder::new()) }
    }

    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends `block`, compressed, to `out`.
    pub(crate) fn append(&mut self, block: &[u8], out: &mut Vec<u8>) {
        match self.codec {
            Codec::None => out.extend_from_slice(block),
            Codec::Snappy => {
                let start = out.len();
                out.resize(start + snap::raw::max_compress_len(block.len()), 0);
                let written = self.snappy.compress(block, &mut out[start..]);
                out.truncate(start + written.expect("blocks are far below 4 GiB"));
            }
            Codec::Gzip => {
                let mut encoder = GzEncoder::new(out, flate2::Compression::new(LEVEL));
                let written = encoder.write_all(block).and_then(|()| encoder.finish());
                written.map(drop).expect("a vector takes every write");
            }
            Codec::Deflate => {
                let mut encoder = DeflateEncoder::new(out, flate2::Compression::new(LEVEL));
                let written = encoder.write_all(block).and_then(|()| encoder.finish());
                written.map(drop).expect("a vector takes every write");
            }
        }
    }
}
