//! Compression of objects, as they are written: bytes in, compressed bytes out, piece by piece.
//!
//! Owns the five forms of `CompressionFormat` and their file extensions. Invariant: the output
//! depends on the input and the entry's name alone, never on how the input was cut or on the time
//! (times in headers are zero), so an object that is written again is the same object. Memory is
//! bounded by the caller's takes: at most [`BLOCKS_MAX`] blocks wait inside.
//! Source: Firehose API reference, `ExtendedS3DestinationConfiguration`; the default extensions
//! from the guide's "Configure Amazon S3 object name format".

mod blocks;
mod gzip;
mod hadoop_snappy;
mod zip;

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use snap::write::FrameEncoder;

use gzip::GzipEncoder;
use hadoop_snappy::HadoopSnappyEncoder;
use zip::ZipEncoder;

/// Input of a block of GZIP and ZIP. Large, since each costs a flush and the window before it once
/// more; small beside a part of an upload.
const BLOCK_BYTES: usize = 512 * 1024;

/// What a codec keeps to itself, about.
const CODEC_BYTES: usize = 512 * 1024;

/// Blocks of one object under way at most, however many workers there are.
const BLOCKS_MAX: usize = 8;

/// What Snappy's encoder is given at once: a block of its framing. As pieces are always cut here,
/// the output does not depend on how the input was.
const STAGE_BYTES: usize = 64 * 1024;

/// Why an encoder's writes cannot fail.
const INFALLIBLE: &str = "writing to memory does not fail";

/// How an object is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all (`UNCOMPRESSED`).
    #[default]
    None,
    /// One gzip member (`GZIP`).
    Gzip,
    /// A zip archive of one deflated entry (`ZIP`).
    Zip,
    /// Snappy's framing format (`Snappy`).
    Snappy,
    /// The blocks of Hadoop's `SnappyCodec` (`HADOOP_SNAPPY`).
    HadoopSnappy,
}

impl Compression {
    /// The extension that objects get by default, with its dot; empty for none.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zip => ".zip",
            Self::Snappy => ".snappy",
            Self::HadoopSnappy => ".hsnappy",
        }
    }

    /// Bytes of memory that making an object of `bytes` (before compression) takes at most, beside
    /// what of it is ready: with so many workers.
    pub const fn working_bytes(self, bytes: usize, workers: usize) -> usize {
        match self {
            Self::None => 0,
            // Input, its output as long as that is behind a block that takes longer, the codec.
            Self::Gzip | Self::Zip => {
                let (wanted, most) = (bytes.div_ceil(BLOCK_BYTES), blocks_max(workers));
                (2 * BLOCK_BYTES + CODEC_BYTES) * if wanted < most { wanted } else { most }
            }
            Self::Snappy | Self::HadoopSnappy => CODEC_BYTES,
        }
    }
}

/// Threads that take work off the one that compresses an object.
pub trait Workers: fmt::Debug + Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// Has `work`, which takes some milliseconds, done by one that is free now. Where none is,
    /// drops it and says so with false.
    fn try_run(&self, work: Box<dyn FnOnce() + Send>) -> bool;
}

/// Blocks of one object under way at most, with so many workers: about twice as many as can be
/// worked on, so that none waits for another, up to a limit.
const fn blocks_max(workers: usize) -> usize {
    let wanted = 2 * workers + 1;
    if wanted < BLOCKS_MAX { wanted } else { BLOCKS_MAX }
}

/// Compresses one object.
///
/// ```
/// use millstream_formats::compression::{Compression, Compressor};
///
/// let mut compressor = Compressor::new(Compression::Gzip, "entry");
/// let mut object = Vec::new();
/// for record in [&b"{\"a\":1}\n"[..], b"{\"a\":2}\n"] {
///     compressor.write(record);
///     object.extend_from_slice(&compressor.take());
/// }
/// object.extend_from_slice(&compressor.finish());
/// assert!(object.starts_with(&[0x1f, 0x8b]));
/// ```
pub struct Compressor {
    encoder: Encoder,
    /// Input for Snappy's encoder, shorter than [`STAGE_BYTES`].
    stage: Vec<u8>,
}

enum Encoder {
    None(Vec<u8>),
    Gzip(Box<GzipEncoder>),
    Zip(Box<ZipEncoder>),
    Snappy(Box<FrameEncoder<Vec<u8>>>),
    HadoopSnappy(Box<HadoopSnappyEncoder>),
}

impl Compressor {
    /// An object without bytes yet. `entry_name` names the entry of a zip archive (its first
    /// 65,535 bytes), and is not used otherwise.
    pub fn new(compression: Compression, entry_name: &str) -> Self {
        Self::make(compression, entry_name, None)
    }

    /// The same object, made with the help of others where it is slow to make: GZIP and ZIP.
    pub fn helped(compression: Compression, entry_name: &str, workers: Arc<dyn Workers>) -> Self {
        Self::make(compression, entry_name, Some(workers))
    }

    fn make(compression: Compression, entry_name: &str, workers: Option<Arc<dyn Workers>>) -> Self {
        let encoder = match compression {
            Compression::None => Encoder::None(Vec::new()),
            Compression::Gzip => Encoder::Gzip(Box::new(GzipEncoder::new(workers))),
            Compression::Zip => Encoder::Zip(Box::new(ZipEncoder::new(entry_name, workers))),
            Compression::Snappy => Encoder::Snappy(Box::new(FrameEncoder::new(Vec::new()))),
            Compression::HadoopSnappy => {
                Encoder::HadoopSnappy(Box::new(HadoopSnappyEncoder::new()))
            }
        };
        Self { encoder, stage: Vec::new() }
    }

    /// Adds `data` to the object.
    pub fn write(&mut self, mut data: &[u8]) {
        match &mut self.encoder {
            Encoder::None(output) => output.extend_from_slice(data),
            Encoder::Gzip(encoder) => encoder.write(data),
            Encoder::Zip(encoder) => encoder.write(data),
            Encoder::HadoopSnappy(encoder) => encoder.write(data),
            Encoder::Snappy(_) => {
                while self.stage.len() + data.len() >= STAGE_BYTES {
                    let (head, rest) = data.split_at(STAGE_BYTES - self.stage.len());
                    self.stage.extend_from_slice(head);
                    self.encode_stage();
                    data = rest;
                }
                self.stage.extend_from_slice(data);
            }
        }
    }

    fn encode_stage(&mut self) {
        if let Encoder::Snappy(encoder) = &mut self.encoder {
            encoder.write_all(&self.stage).expect(INFALLIBLE);
        }
        self.stage.clear();
    }

    /// The compressed bytes that are ready and were not taken yet; none where a block is open.
    pub fn take(&mut self) -> Bytes {
        let output = match &mut self.encoder {
            Encoder::None(output) => output,
            Encoder::Gzip(encoder) => encoder.output(),
            Encoder::Zip(encoder) => encoder.output(),
            Encoder::Snappy(encoder) => encoder.get_mut(),
            Encoder::HadoopSnappy(encoder) => encoder.output(),
        };
        // What comes next is about as much: an object's pieces are taken at one size.
        let next = Vec::with_capacity(output.len());
        std::mem::replace(output, next).into()
    }

    /// How many compressed bytes [`Self::take`] would give.
    pub fn ready_bytes(&self) -> usize {
        match &self.encoder {
            Encoder::None(output) => output.len(),
            Encoder::Gzip(encoder) => encoder.ready_bytes(),
            Encoder::Zip(encoder) => encoder.ready_bytes(),
            Encoder::Snappy(encoder) => encoder.get_ref().len(),
            Encoder::HadoopSnappy(encoder) => encoder.ready_bytes(),
        }
    }

    /// The rest of the object: with what was taken before, it is whole.
    pub fn finish(mut self) -> Bytes {
        self.encode_stage();
        let output = match self.encoder {
            Encoder::None(output) => output,
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zip(encoder) => encoder.finish(),
            Encoder::Snappy(encoder) => encoder.into_inner().expect(INFALLIBLE),
            Encoder::HadoopSnappy(encoder) => encoder.finish(),
        };
        output.into()
    }
}

#[cfg(test)]
mod tests;
