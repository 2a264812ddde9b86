//! Compression of objects, as they are written: bytes in, compressed bytes out, piece by piece.
//!
//! Owns the five forms of `CompressionFormat` and their file extensions. Invariant: the output
//! depends on the input and the entry's name alone, never on how the input was cut or on the time
//! (times in headers are zero), so an object that is written again is the same object. Memory is
//! bounded by the caller's takes: at most one block waits inside.
//! Source: Firehose API reference, `ExtendedS3DestinationConfiguration`; the default extensions
//! from the guide's "Configure Amazon S3 object name format".

mod hadoop_snappy;
mod zip;

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use snap::write::FrameEncoder;

use hadoop_snappy::HadoopSnappyEncoder;
use zip::ZipEncoder;

/// The level of GZIP and ZIP: gzip's own default, so that sizes are what `gzip` would give.
const DEFLATE_LEVEL: u32 = 6;

/// What an encoder is given at once, a block of Snappy's framing. Records are small, and each call
/// costs deflate; and as pieces are always cut here, the output does not depend on how the input
/// was.
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
    /// Input for the encoder, shorter than [`STAGE_BYTES`].
    stage: Vec<u8>,
}

enum Encoder {
    None(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zip(Box<ZipEncoder>),
    Snappy(Box<FrameEncoder<Vec<u8>>>),
    HadoopSnappy(Box<HadoopSnappyEncoder>),
}

impl Compressor {
    /// An object without bytes yet. `entry_name` names the entry of a zip archive (its first
    /// 65,535 bytes), and is not used otherwise.
    pub fn new(compression: Compression, entry_name: &str) -> Self {
        let encoder = match compression {
            Compression::None => Encoder::None(Vec::new()),
            Compression::Gzip => {
                let level = flate2::Compression::new(DEFLATE_LEVEL);
                Encoder::Gzip(Box::new(GzEncoder::new(Vec::new(), level)))
            }
            Compression::Zip => Encoder::Zip(Box::new(ZipEncoder::new(entry_name))),
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
            Encoder::HadoopSnappy(encoder) => encoder.write(data),
            Encoder::Gzip(_) | Encoder::Zip(_) | Encoder::Snappy(_) => {
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
        match &mut self.encoder {
            Encoder::Gzip(encoder) => encoder.write_all(&self.stage).expect(INFALLIBLE),
            Encoder::Zip(encoder) => encoder.write(&self.stage),
            Encoder::Snappy(encoder) => encoder.write_all(&self.stage).expect(INFALLIBLE),
            Encoder::None(_) | Encoder::HadoopSnappy(_) => {}
        }
        self.stage.clear();
    }

    /// The compressed bytes that are ready and were not taken yet; none where a block is open.
    pub fn take(&mut self) -> Bytes {
        let output = match &mut self.encoder {
            Encoder::None(output) => output,
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Zip(encoder) => encoder.output(),
            Encoder::Snappy(encoder) => encoder.get_mut(),
            Encoder::HadoopSnappy(encoder) => encoder.output(),
        };
        std::mem::take(output).into()
    }

    /// How many compressed bytes [`Self::take`] would give.
    pub fn ready_bytes(&self) -> usize {
        match &self.encoder {
            Encoder::None(output) => output.len(),
            Encoder::Gzip(encoder) => encoder.get_ref().len(),
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
            Encoder::Gzip(encoder) => encoder.finish().expect(INFALLIBLE),
            Encoder::Zip(encoder) => encoder.finish(),
            Encoder::Snappy(encoder) => encoder.into_inner().expect(INFALLIBLE),
            Encoder::HadoopSnappy(encoder) => encoder.finish(),
        };
        output.into()
    }
}

#[cfg(test)]
mod tests;
